"""Does the DynamoDB of the unit tests answer as an emulated one does? Each case runs on both."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any, cast

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from responsys_activation.aws.account_limit import AccountLimit
from responsys_activation.aws.alone_pace import AlonePace
from responsys_activation.aws.ledger import Ledger
from responsys_activation.aws.login_guard import TableLoginGuard
from responsys_activation.aws.request_budget import RequestBudget
from responsys_activation.ledger_key import LedgerKey
from responsys_activation.responsys.errors import ThrottledError, UnavailableError
from responsys_activation.responsys.session import RefusedLogin
from tests.fakes.clock import NOW, Clock
from tests.fakes.dynamodb import InMemoryDynamoDb

TABLE = "delivery"
KEY = {"pk": {"S": "connector#default"}, "sk": {"S": "budget"}}
OTHER = {"pk": {"S": "connector#second"}, "sk": {"S": "budget"}}
FULL = KEY | {
    "nextSlot": {"N": "100.500"},
    "pausedUntil": {"N": "200"},
    "pauseCode": {"S": "API_LIMIT_EXCEEDED"},
    "probing": {"BOOL": True},
}

_IGNORED = {"ResponseMetadata", "ConsumedCapacity", "ItemCollectionMetrics"}

Case = Callable[[Any], None]
Answers = list[Any]


class Recorder:
    """Makes calls and notes what each comes to, without what only a real service can know."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self.answers: Answers = []

    def __getattr__(self, operation: str) -> Callable[..., Any]:
        def call(**request: Any) -> Any:
            try:
                answer = getattr(self._client, operation)(**request)
            except ClientError as exc:
                reasons = [
                    {name: reason[name] for name in ("Code", "Item") if name in reason}
                    for reason in cast("Any", exc.response).get("CancellationReasons", [])
                ]
                self.answers.append((operation, exc.response["Error"]["Code"], exc.response.get("Item"), reasons))
                raise
            told = {name: content for name, content in answer.items() if name not in _IGNORED}
            if operation == "batch_get_item":
                told["Responses"][TABLE].sort(key=str)
            self.answers.append((operation, told))
            return answer

        return call

    def tolerant(self, operation: str, **request: Any) -> None:
        """Make a call that may be refused."""
        with suppress(ClientError):
            getattr(self, operation)(TableName=TABLE, **request)


def update(
    client: Recorder, expression: str, condition: str, values: dict[str, Any], *, key: dict[str, Any] = KEY
) -> None:
    client.tolerant(
        "update_item",
        Key=key,
        UpdateExpression=expression,
        ConditionExpression=condition,
        ExpressionAttributeValues=values,
        ReturnValues="UPDATED_OLD",
        ReturnValuesOnConditionCheckFailure="ALL_OLD",
    )


def put(number: int, **conditions: Any) -> dict[str, Any]:
    item = {"pk": {"S": f"message-{number}"}, "sk": {"S": "default#E"}, "requestId": {"S": "r1"}}
    return {"Put": {"TableName": TABLE, "Item": item, **conditions}}


NEW = {"ConditionExpression": "attribute_not_exists(pk)", "ReturnValuesOnConditionCheckFailure": "ALL_OLD"}


def transact(client: Recorder, *puts: dict[str, Any]) -> None:
    with suppress(ClientError):
        client.transact_write_items(TransactItems=list(puts))


def batch_get(client: Recorder, *keys: dict[str, Any]) -> None:
    with suppress(ClientError):
        client.batch_get_item(RequestItems={TABLE: {"Keys": list(keys), "ConsistentRead": True}})


def over(request_id: str) -> dict[str, Any]:
    return {
        "ConditionExpression": "requestId = :over",
        "ExpressionAttributeValues": {":over": {"S": request_id}},
        "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
    }


def getting(client: Recorder) -> None:
    client.tolerant("get_item", Key=KEY)
    client.tolerant("put_item", Item=FULL)
    client.tolerant("get_item", Key=KEY, ConsistentRead=True)
    client.tolerant("get_item", Key={"pk": {"S": "connector#default"}})


def sets(client: Recorder) -> None:
    client.tolerant("put_item", Item=KEY | {"undelivered": {"NS": ["1", "2"]}})
    client.tolerant("put_item", Item=OTHER | {"undelivered": {"NS": []}})
    client.tolerant("get_item", Key=KEY)
    client.tolerant("get_item", Key=OTHER)


def another_table(client: Recorder) -> None:
    with suppress(ClientError):
        client.get_item(TableName="nowhere", Key=KEY)
    with suppress(ClientError):
        client.put_item(TableName="nowhere", Item=FULL)
    with suppress(ClientError):
        client.update_item(TableName="nowhere", Key=KEY, UpdateExpression="REMOVE probing")


def moving_a_slot_on(client: Recorder) -> None:
    client.tolerant("put_item", Item=KEY | {"nextSlot": {"N": "100.500"}})
    for now, latest in [("90", "100"), ("100.5", "120"), ("90", "100.815"), ("200", "300"), ("90", "120")]:
        update(
            client,
            "SET nextSlot = nextSlot + :spacing",
            "attribute_not_exists(pausedUntil) AND nextSlot BETWEEN :now AND :latest",
            {":spacing": {"N": "0.315"}, ":now": {"N": now}, ":latest": {"N": latest}},
        )
    client.tolerant("get_item", Key=KEY)


def a_slot_that_is_not_there(client: Recorder) -> None:
    spacing = {":spacing": {"N": "0.315"}}
    update(client, "SET nextSlot = nextSlot + :spacing", "nextSlot < :spacing", spacing)
    update(client, "SET nextSlot = nextSlot + :spacing", "attribute_not_exists(nextSlot)", spacing)
    client.tolerant("get_item", Key=KEY)


def starting_anew(client: Recorder) -> None:
    # Values differ: the emulated table leaves those that stay the same out of UPDATED_OLD, the real one does not.
    for now in ("100", "99", "102", "80"):
        update(
            client,
            "SET nextSlot = :next",
            "attribute_not_exists(pausedUntil)"
            " AND (attribute_not_exists(nextSlot) OR nextSlot < :now OR nextSlot > :furthest)",
            {":next": {"N": f"{now}.5"}, ":now": {"N": now}, ":furthest": {"N": f"{now}.5"}},
        )


def pausing_and_lifting(client: Recorder) -> None:
    client.tolerant("put_item", Item=FULL)
    for until, known in [("150", True), ("150", False), ("100", False), ("160", False)]:
        update(
            client,
            "SET pausedUntil = :until, pauseCode = :code REMOVE probing",
            "attribute_not_exists(pausedUntil) OR pausedUntil < :until OR probing = :true",
            {":until": {"N": until}, ":code": {"S": f"CODE-{known}"}, ":true": {"BOOL": True}},
        )
    update(client, "REMOVE pausedUntil, pauseCode, probing", "pausedUntil = :probe", {":probe": {"N": "150"}})
    update(client, "REMOVE pausedUntil, pauseCode, probing", "pausedUntil = :probe", {":probe": {"N": "160.000"}})
    client.tolerant("get_item", Key=KEY)


def keeping_what_is_there(client: Recorder) -> None:
    # Without UPDATED_OLD, of which the emulated table leaves out what stays the same.
    for now in ("100", "200"):
        client.tolerant(
            "update_item",
            Key=KEY,
            UpdateExpression="SET pausedSince = if_not_exists(pausedSince, :now), nextSlot = :now REMOVE probing",
            ExpressionAttributeValues={":now": {"N": now}},
        )
        client.tolerant("get_item", Key=KEY)


def removing_before_setting(client: Recorder) -> None:
    client.tolerant("put_item", Item=FULL)
    update(client, "REMOVE probing SET pauseCode = :code", "nextSlot <= :n", {":code": {"S": "X"}, ":n": {"N": "101"}})
    update(client, "SET pauseCode = :code", "nextSlot = :text", {":code": {"S": "Y"}, ":text": {"S": "100.500"}})
    client.tolerant("get_item", Key=KEY)


def values_that_nothing_uses(client: Recorder) -> None:
    update(client, "SET nextSlot = :a", "attribute_not_exists(pk)", {":a": {"N": "1"}, ":b": {"N": "2"}})
    client.tolerant("get_item", Key=KEY)


def claiming_together(client: Recorder) -> None:
    transact(client, put(1, **NEW), put(2, **NEW))
    transact(client, put(3, **NEW), put(2, **NEW), put(4, **NEW))
    batch_get(client, *({"pk": {"S": f"message-{number}"}, "sk": {"S": "default#E"}} for number in range(1, 5)))


def taking_over(client: Recorder) -> None:
    transact(client, put(1, **NEW))
    transact(client, put(1, **over("r2")), put(2, **over("r1")), put(3, **NEW))
    transact(client, put(1, **over("r1")), put(3, **NEW))


def transactions_that_cannot_be(client: Recorder) -> None:
    transact(client, put(1), put(1))
    transact(client, *(put(number) for number in range(101)))
    batch_get(client, {"pk": {"S": "message-1"}, "sk": {"S": "default#E"}})


def reading_many(client: Recorder) -> None:
    client.tolerant("put_item", Item=FULL)
    batch_get(client, KEY, OTHER)
    batch_get(client, KEY, KEY)
    batch_get(client, *({"pk": {"S": str(number)}, "sk": {"S": "-"}} for number in range(101)))


def the_ledger(client: Recorder) -> None:
    clock = Clock()
    ledger = Ledger(TABLE, cast("Any", client), resend_unknown=True, clock=clock)
    keys = [LedgerKey("default", "E", str(number)) for number in range(5)]
    ledger.claim(keys[:4], "r1", NOW + 10)
    ledger.record("r1", undelivered=[1], unknown=[2])
    ledger.claim(keys, "r2", NOW + 10)
    ledger.claim(keys, "r3", NOW + 10)
    clock.sleep(1_000)
    ledger.claim(keys, "r4", NOW + 2_000)


def the_request_budget(client: Recorder) -> None:
    clock, hours_ahead = Clock(), Clock(NOW + 20_000)
    budgets = [
        RequestBudget(
            TABLE,
            "account#one",
            cast("Any", client),
            alone=AlonePace(environments=2, clock=its_clock, sleep=clock.sleep),
            probe_seconds=60.0,
            clock=its_clock,
            sleep=clock.sleep,
        )
        for its_clock in (clock, clock, hours_ahead)
    ]
    right = budgets[:2]
    for budget in right * 2:
        budget.reserve(60, clock() + 30)
    with pytest.raises(ThrottledError):
        budgets[0].reserve(60, clock() + 1)
    budgets[0].pause("API_LIMIT_EXCEEDED", 60)
    with pytest.raises(ThrottledError):
        budgets[1].reserve(60, clock() + 30)
    budgets[1].pause("TIMEOUT", 50, in_doubt=True)
    clock.sleep(61)
    probe = budgets[1].reserve(60, clock() + 30)
    assert probe.one_recipient
    budgets[1].hand_back(cast("float", probe.probe))
    clock.sleep(1)
    budgets[0].lift(cast("float", budgets[0].reserve(60, clock() + 30).probe))
    clock.sleep(100)
    assert not budgets[0].reserve(60, clock() + 30).one_recipient
    budgets[2].reserve(60, hours_ahead() + 30)
    budgets[1].reserve(60, clock() + 30)


def the_account_limit(client: Recorder) -> None:
    clock = Clock()
    limits = iter([0, 40, 50])

    def read() -> int:
        limit = next(limits)
        if not limit:
            raise UnavailableError("TIMEOUT")
        return limit

    for _ in range(4):
        AccountLimit(TABLE, "account#one", cast("Any", client), clock=clock).requests_per_minute(read)
        clock.sleep(1_900)


def the_login_guard(client: Recorder) -> None:
    clock = Clock()
    guards = [TableLoginGuard(TABLE, "default", cast("Any", client), clock=clock) for _ in range(2)]
    for number, guard in enumerate(guards):
        guard._owner = f"owner-{number}"
        guard.refused()
        guard.acquire()
    guards[0].release(RefusedLogin("INVALID_PASSWORD", "v1", NOW + 600))
    guards[1].acquire()
    guards[1].refused()
    guards[0].release()
    guards[1].release()


CASES: list[Case] = [
    getting,
    sets,
    another_table,
    moving_a_slot_on,
    a_slot_that_is_not_there,
    starting_anew,
    pausing_and_lifting,
    keeping_what_is_there,
    removing_before_setting,
    values_that_nothing_uses,
    claiming_together,
    taking_over,
    transactions_that_cannot_be,
    reading_many,
    the_ledger,
    the_request_budget,
    the_account_limit,
    the_login_guard,
]


def run(case: Case, client: Any) -> Answers:
    recorder = Recorder(client)
    case(recorder)
    return recorder.answers


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__.replace("_", " "))
def test_the_fake_answers_as_the_emulated_dynamodb(case: Case) -> None:
    # Given an emulated table
    with mock_aws():
        emulated = boto3.client("dynamodb")
        emulated.create_table(
            TableName=TABLE,
            KeySchema=[
                {"AttributeName": "pk", "KeyType": "HASH"},
                {"AttributeName": "sk", "KeyType": "RANGE"},
            ],
            AttributeDefinitions=[
                {"AttributeName": "pk", "AttributeType": "S"},
                {"AttributeName": "sk", "AttributeType": "S"},
            ],
            BillingMode="PAY_PER_REQUEST",
        )

        # When both go through the same case
        expected = run(case, emulated)
        answered = run(case, InMemoryDynamoDb(TABLE))

    # Then they say the same
    assert answered == expected
    assert expected
