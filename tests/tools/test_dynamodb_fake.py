"""Does the DynamoDB of the unit tests answer as an emulated one does? Each case runs on both."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from decimal import Decimal
from typing import Any, cast

import pytest
from botocore.exceptions import ClientError

from responsys_activation.aws.account_limit import AccountLimit
from responsys_activation.aws.budget_reach import BudgetReach
from responsys_activation.aws.delivery_table import DeliveryTable, account_budget_key, account_limit_key
from responsys_activation.aws.ledger import Ledger
from responsys_activation.aws.login_guard import TableLoginGuard
from responsys_activation.aws.request_budget import RequestBudget
from responsys_activation.aws.slots import NoSlotError, Timing
from responsys_activation.change import Change
from responsys_activation.responsys.errors import UnavailableError
from responsys_activation.responsys.login import SecretVersion
from responsys_activation.responsys.login_memory import LoginMemory
from tests.fakes.clock import NOW, Clock
from tests.fakes.dynamodb import InMemoryDynamoDb
from tests.local_stack.ministack import ministack

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])

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
                self.answers.append((operation, exc.response["Error"]["Code"], exc.response.get("Item")))
                raise
            told = {name: content for name, content in answer.items() if name not in _IGNORED}
            if not told.get("Attributes", True):
                del told["Attributes"]  # the emulator gives an empty map, DynamoDB gives none
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


def batch_get(client: Recorder, *keys: dict[str, Any]) -> None:
    with suppress(ClientError):
        client.batch_get_item(RequestItems={TABLE: {"Keys": list(keys), "ConsistentRead": True}})


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
    for now, latest in [
        ("90", "100"),
        ("100.5", "120"),
        ("90", "100.815"),
        ("200", "300"),
        ("90", "120"),
        ("120", "90"),
    ]:
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


def reading_many(client: Recorder) -> None:
    client.tolerant("put_item", Item=FULL)
    batch_get(client, KEY, OTHER)
    batch_get(client, KEY, KEY)
    batch_get(client, *({"pk": {"S": str(number)}, "sk": {"S": "-"}} for number in range(101)))


def insert(number: int, **item: str) -> dict[str, Any]:
    item = {"pk": "profile", "sk": f"message-{number}"} | item
    members = ", ".join(f"'{name}': ?" for name in item)
    return {
        "Statement": f'INSERT INTO "{TABLE}" VALUE {{{members}}}',
        "Parameters": [{"S": value} for value in item.values()],
    }


def take_over(number: int, over: str, by: str) -> dict[str, Any]:
    return {
        "Statement": f'UPDATE "{TABLE}" SET requestId=? SET "until"=? WHERE pk=? AND sk=? AND requestId=?',  # noqa: S608
        "Parameters": [{"S": by}, {"N": "5"}, {"S": "profile"}, {"S": f"message-{number}"}, {"S": over}],
    }


def execute(client: Recorder, *statements: dict[str, Any]) -> None:
    with suppress(ClientError):
        client.batch_execute_statement(Statements=list(statements))


def inserting_together(client: Recorder) -> None:
    execute(client, *(insert(number, requestId="r1") for number in range(3)))
    execute(client, insert(3, requestId="r2"), insert(1, requestId="r2"), insert(4, requestId="r2"))
    execute(client, insert(1, requestId="r3") | {"ReturnValuesOnConditionCheckFailure": "ALL_OLD"})
    execute(client, *(insert(number) for number in range(10, 36)))
    partition(client)


def taking_over_together(client: Recorder) -> None:
    execute(client, *(insert(number, requestId="r1", extra="kept") for number in range(3)))
    execute(client, take_over(0, "r1", "r2"), take_over(1, "r2", "r3"), take_over(2, "r1", "r2"))
    execute(client, take_over(0, "r1", "r3"), take_over(7, "r1", "r2"))
    for number in (0, 7):
        execute(client, take_over(number, "r1", "r3") | {"ReturnValuesOnConditionCheckFailure": "ALL_OLD"})
    execute(
        client,
        {  # assignments may also stand in one clause
            "Statement": f'UPDATE "{TABLE}" SET requestId=?, doubts=? WHERE pk=? AND sk=? AND requestId=?',  # noqa: S608
            "Parameters": [{"S": "r3"}, {"N": "1"}, {"S": "profile"}, {"S": "message-0"}, {"S": "r2"}],
        },
    )
    partition(client)


def partition(client: Recorder, **request: Any) -> Any:
    return client.query(
        TableName=TABLE,
        KeyConditionExpression="pk = :pk",
        ExpressionAttributeValues={":pk": {"S": "profile"}},
        ConsistentRead=True,
        **request,
    )


def reading_a_partition(client: Recorder) -> None:
    partition(client)
    for number in (10, 9, 1):
        client.tolerant(
            "put_item", Item={"pk": {"S": "profile"}, "sk": {"S": f"message-{number}"}, "until": {"N": "1"}}
        )
    client.tolerant("put_item", Item=FULL)
    partition(client)
    partition(client, ProjectionExpression="sk, #until", ExpressionAttributeNames={"#until": "until"})
    partition(client, ProjectionExpression="requestId")
    first = partition(client, Limit=2)
    partition(client, Limit=2, ExclusiveStartKey=first["LastEvaluatedKey"])
    partition(client, Limit=3)


def the_ledger(client: Recorder) -> None:
    clock = Clock()
    ledger = Ledger(DeliveryTable(TABLE, cast("Any", client)), clock=clock)
    changes = [Change("membership", str(number), "ADD", NOW + number, NOW) for number in range(5)]
    ledger.claim(changes[:4], "r1", NOW + 10, [1] * 4)
    ledger.record("r1", undelivered=[1], unknown=[2])
    ledger.claim(changes, "r2", NOW + 10, [1] * 5)
    ledger.claim(changes, "r3", NOW + 10, [1] * 5)
    ledger.newer(changes)
    ledger.look_up(changes[2])
    clock.sleep(1_000)
    ledger.claim(changes, "r4", NOW + 2_000, [0] * 5)


def the_request_budget(client: Recorder) -> None:
    clock, hours_ahead = Clock(), Clock(NOW + 20_000)
    timing = Timing(probe_seconds=60.0)
    budgets = [
        RequestBudget(
            DeliveryTable(TABLE, cast("Any", client)),
            account_budget_key("one"),
            reach=BudgetReach(timing=timing, clock=its_clock, sleep=clock.sleep),
            timing=timing,
            clock=its_clock,
            sleep=clock.sleep,
        )
        for its_clock in (clock, clock, hours_ahead)
    ]
    right = budgets[:2]
    for budget in right * 2:
        budget.reserve(60, clock() + 30)
    with pytest.raises(NoSlotError):
        budgets[0].reserve(60, clock() + 1)
    budgets[0].pause("API_LIMIT_EXCEEDED", 60)
    with pytest.raises(NoSlotError):
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
    limits = iter([0, 40, 50, 50])

    def read() -> int:
        limit = next(limits)
        if not limit:
            raise UnavailableError("TIMEOUT")
        return limit

    table, timing = DeliveryTable(TABLE, cast("Any", client)), Timing(probe_seconds=60.0)
    for _ in range(4):
        limit = AccountLimit(table, account_limit_key("one"), timing=timing, clock=clock)
        limit.requests_per_minute(read)
        clock.sleep(200)
        limit.refused()


def the_login_guard(client: Recorder) -> None:
    clock = Clock()
    guards = [
        TableLoginGuard(DeliveryTable(TABLE, cast("Any", client)), "https://login5.responsys.net", "u", clock=clock)
        for _ in range(2)
    ]

    def wrong(memory: LoginMemory, _alone: bool) -> LoginMemory:
        return memory.after_wrong_password(SecretVersion("secret", "v1", NOW), "INVALID_PASSWORD", NOW)

    for number, guard in enumerate(guards):
        guard._owner = f"owner-{number}"
        guard.memory()
        guard.acquire()
    guards[1].end(wrong)
    guards[0].end(wrong)
    guards[1].acquire()
    guards[1].memory()
    guards[0].end()
    guards[1].forget()
    guards[1].end(wrong)


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
    reading_many,
    inserting_together,
    taking_over_together,
    reading_a_partition,
    the_ledger,
    the_request_budget,
    the_account_limit,
    the_login_guard,
]


def run(case: Case, client: Any) -> Answers:
    recorder = Recorder(client)
    case(recorder)
    return recorder.answers


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with ministack(tmp_path_factory.mktemp("emulator")) as endpoint:
        yield endpoint.client("dynamodb")


@pytest.fixture
def emulated(emulator: Any) -> Iterator[Any]:
    emulator.create_table(
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
    yield emulator
    emulator.delete_table(TableName=TABLE)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__.replace("_", " "))
def test_the_fake_answers_as_the_emulated_dynamodb(case: Case, emulated: Any) -> None:
    # Given an emulated table

    # When both go through the same case
    expected = run(case, emulated)
    answered = run(case, InMemoryDynamoDb(TABLE))

    # Then they say the same
    assert _shortened(answered) == _shortened(expected)
    assert expected


def _shortened(answers: Any) -> Any:
    """Write each number as DynamoDB gives it back; the fake gives it as it was written."""
    match answers:
        case {"N": number}:
            return {"N": format(Decimal(number).normalize(), "f")}
        case dict():
            return {name: _shortened(content) for name, content in answers.items()}
        case list() | tuple():
            return [_shortened(each) for each in answers]
        case _:
            return answers
