"""Is each message sent by one sender only, and does every answer mean what the ledger's table says?"""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

import pytest
from botocore.exceptions import ConnectTimeoutError, ReadTimeoutError

from responsys_activation.aws.faults import AwsUnavailableError
from responsys_activation.aws.ledger import ClaimState, Ledger
from responsys_activation.ledger_key import LedgerKey
from tests.fakes.clock import NOW, Clock
from tests.fakes.dynamodb import InMemoryDynamoDb, client_error

DEADLINE = NOW + 100
FOURTEEN_DAYS = 14 * 86_400


def key(number: int = 0, **changes: str) -> LedgerKey:
    return LedgerKey("default", "ENTERED", f"message-{number}")._replace(**changes)


def keys(count: int) -> list[LedgerKey]:
    return [key(number) for number in range(count)]


def ledger(
    table: InMemoryDynamoDb, clock: Clock | None = None, *, resend: bool = True, time_scale: float = 1.0
) -> Ledger:
    return Ledger("delivery", cast("Any", table), resend_unknown=resend, time_scale=time_scale, clock=clock or Clock())


def states(of: Ledger, messages: Sequence[LedgerKey], request_id: str = "r2") -> list[ClaimState]:
    return of.claim(messages, request_id, DEADLINE)[0]


@pytest.mark.parametrize("resend", [True, False])
def test_a_message_never_sent_is_claimed(resend: bool) -> None:
    table = InMemoryDynamoDb()

    assert ledger(table, resend=resend).claim([key()], "r1", DEADLINE) == ([ClaimState.CLAIMED], 0)


@pytest.mark.parametrize(
    ("undelivered", "unknown", "later", "with_resend", "with_reject", "abandoned"),
    [
        pytest.param([], [], 0, ClaimState.DELIVERED, ClaimState.DELIVERED, 0, id="answered, in no list"),
        pytest.param([], [], 10_000, ClaimState.DELIVERED, ClaimState.DELIVERED, 0, id="answered long ago"),
        pytest.param([0], [], 0, ClaimState.CLAIMED, ClaimState.CLAIMED, 0, id="answered, in undelivered"),
        pytest.param([], [0], 0, ClaimState.CLAIMED, ClaimState.UNKNOWN, 0, id="answered, in unknown"),
        pytest.param(None, None, 0, ClaimState.IN_FLIGHT, ClaimState.IN_FLIGHT, 0, id="no answer, until ahead"),
        pytest.param(None, None, 401, ClaimState.CLAIMED, ClaimState.ABANDONED, 1, id="no answer, until past"),
    ],
)
@pytest.mark.parametrize("resend", [True, False])
def test_a_claim_means_what_it_means_together_with_its_answer(
    *,
    undelivered: list[int] | None,
    unknown: list[int] | None,
    later: float,
    with_resend: ClaimState,
    with_reject: ClaimState,
    abandoned: int,
    resend: bool,
) -> None:
    # Given a message that another request has claimed
    table, clock = InMemoryDynamoDb(), Clock()
    first = ledger(table, clock)
    first.claim([key()], "r1", DEADLINE)
    if undelivered is not None:
        first.record("r1", undelivered=undelivered, unknown=unknown or [])
    clock.sleep(later)

    # When a second one wants it
    result = ledger(table, clock, resend=resend).claim([key()], "r2", DEADLINE + later)

    # Then it gets what the answer leaves
    assert result == ([with_resend if resend else with_reject], abandoned)


@pytest.mark.parametrize("time_scale", [1.0, 20.0])
def test_a_claim_is_abandoned_after_its_deadline_and_five_minutes_for_clocks_that_differ(time_scale: float) -> None:
    table, clock = InMemoryDynamoDb(), Clock()
    watched = ledger(table, clock, resend=False, time_scale=time_scale)
    watched.claim([key()], "r1", DEADLINE)

    clock.now = DEADLINE + 300 / time_scale - 0.1
    assert states(watched, [key()]) == [ClaimState.IN_FLIGHT]
    clock.now = DEADLINE + 300 / time_scale
    assert states(watched, [key()]) == [ClaimState.ABANDONED]


def test_a_claim_taken_over_is_the_new_requests() -> None:
    # Given a claim that a killed sender left
    table, clock = InMemoryDynamoDb(), Clock()
    watched = ledger(table, clock)
    watched.claim([key()], "r1", DEADLINE)
    clock.now = DEADLINE + 301

    # When another takes it over and the first, not killed after all, records its answer
    assert watched.claim([key()], "r2", clock.now + 100) == ([ClaimState.CLAIMED], 1)
    watched.record("r1", undelivered=[0], unknown=[])

    # Then the claim is still the second's
    assert states(watched, [key()], "r3") == [ClaimState.IN_FLIGHT]
    watched.record("r2", undelivered=[], unknown=[])
    assert states(watched, [key()], "r3") == [ClaimState.DELIVERED]


@pytest.mark.parametrize(
    "other",
    [key(connector="second"), key(event_name="LEFT"), key(message_id="message-1")],
    ids=["connector", "event name", "message id"],
)
def test_connector_event_name_and_message_id_make_a_message_the_same(other: LedgerKey) -> None:
    table = InMemoryDynamoDb()
    watched = ledger(table)
    watched.claim([key()], "r1", DEADLINE)

    assert states(watched, [other, key()]) == [ClaimState.CLAIMED, ClaimState.IN_FLIGHT]


def test_one_claimed_message_does_not_keep_its_neighbours() -> None:
    # Given 250 messages, each 50th of them delivered or on its way
    table = InMemoryDynamoDb()
    watched = ledger(table)
    watched.claim([key(0), key(50), key(100)], "r0", DEADLINE)
    watched.claim([key(150), key(200)], "r1", DEADLINE)
    watched.record("r0", undelivered=[1], unknown=[])

    # When a request wants all
    result = states(watched, keys(250))

    # Then it has all but those
    expected = dict.fromkeys(range(250), ClaimState.CLAIMED)
    expected |= {0: ClaimState.DELIVERED, 100: ClaimState.DELIVERED}
    expected |= {150: ClaimState.IN_FLIGHT, 200: ClaimState.IN_FLIGHT}
    assert dict(enumerate(result)) == expected


def test_two_hundred_new_messages_cost_two_transactions_and_one_answer() -> None:
    table = InMemoryDynamoDb()
    watched = ledger(table)

    watched.claim(keys(200), "r1", DEADLINE)
    watched.record("r1", undelivered=[], unknown=[])

    assert table.calls == {"TransactWriteItems": 2, "PutItem": 1}


@pytest.mark.parametrize("round_number", range(10))
def test_messages_wanted_by_two_environments_at_once_are_each_claimed_once(round_number: int) -> None:
    # Given two environments that have the same batch, in another order
    table = InMemoryDynamoDb()
    start = threading.Barrier(2)
    wanted = [keys(230), keys(230)[::-1]]

    def claim(number: int) -> dict[LedgerKey, ClaimState]:
        environment = ledger(table)
        start.wait()
        return dict(zip(wanted[number], states(environment, wanted[number], f"r{number}"), strict=True))

    # When both claim at the same time
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(claim, range(2))

    # Then no message has two senders, and none of what one got is lost to it
    for message in keys(230):
        assert sorted([first[message].name, second[message].name]) in (
            ["CLAIMED", "IN_FLIGHT"],
            ["IN_FLIGHT", "IN_FLIGHT"],
        )
    held = {item["requestId"]["S"] for item in table.items.values()}
    assert held <= {"r0", "r1"}


def test_an_environment_that_is_at_the_same_item_right_now_has_it_in_flight() -> None:
    table = InMemoryDynamoDb()
    reasons = [{"Code": "TransactionConflict"}, {"Code": "None"}]
    error = client_error("TransactionCanceledException", "TransactWriteItems", CancellationReasons=reasons)
    table.fail("TransactWriteItems", error=error)

    assert states(ledger(table), keys(2)) == [ClaimState.IN_FLIGHT, ClaimState.CLAIMED]


def test_answers_that_dynamodb_leaves_for_another_call_are_asked_for_again() -> None:
    table = InMemoryDynamoDb()
    watched = ledger(table)
    for number in range(3):
        watched.claim([key(number)], f"r{number}", DEADLINE)
        watched.record(f"r{number}", undelivered=[], unknown=[])
    table.unprocessed = 2

    assert states(watched, keys(3), "later") == [ClaimState.DELIVERED] * 3
    assert table.calls["BatchGetItem"] == 2


FAULTS = [
    pytest.param(client_error("InternalServerError", "X"), id="DynamoDB fails"),
    pytest.param(client_error("AccessDeniedException", "X"), id="no permission"),
    pytest.param(ConnectTimeoutError(endpoint_url="x"), id="no connection"),
    pytest.param(ReadTimeoutError(endpoint_url="x"), id="no reply"),
    pytest.param(
        client_error(
            "TransactionCanceledException",
            "X",
            CancellationReasons=[{"Code": "ThrottlingError"}, {"Code": "None"}],
        ),
        id="DynamoDB is throttled",
    ),
    pytest.param(client_error("TransactionCanceledException", "X"), id="no reasons given"),
]


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_messages_whose_claim_dynamodb_does_not_answer_are_out_of_reach(fault: Exception, after: bool) -> None:
    table = InMemoryDynamoDb()
    table.fail("TransactWriteItems", after=after, error=fault)

    assert states(ledger(table), keys(2)) == [ClaimState.OUT_OF_REACH] * 2


def test_what_was_claimed_before_the_fault_stays_claimed() -> None:
    # Given a table that fails from the second transaction on
    table = InMemoryDynamoDb()
    calls = iter([None])
    failure = client_error("InternalServerError", "TransactWriteItems")

    def fail_later(operation: str) -> None:
        if next(calls, failure):
            raise failure

    table.before = fail_later

    # When 150 messages are claimed, a hundred in a transaction
    result = states(ledger(table), keys(150))

    # Then the first hundred are
    assert result == [ClaimState.CLAIMED] * 100 + [ClaimState.OUT_OF_REACH] * 50


def test_a_message_that_somebody_claimed_is_not_free_because_his_answer_cannot_be_read() -> None:
    table = InMemoryDynamoDb()
    watched = ledger(table)
    watched.claim([key(0)], "r1", DEADLINE)
    table.fail("BatchGetItem")

    assert states(watched, keys(2)) == [ClaimState.IN_FLIGHT, ClaimState.OUT_OF_REACH]


def test_an_abandoned_claim_counts_even_when_taking_it_over_gets_no_answer() -> None:
    # Given a claim that a killed sender left
    table, clock = InMemoryDynamoDb(), Clock()
    watched = ledger(table, clock)
    watched.claim([key()], "r1", DEADLINE)
    clock.now = DEADLINE + 301

    # When it is taken over, and the reply to that is lost
    def fail_take_over(operation: str) -> None:
        if operation == "TransactWriteItems" and table.calls[operation] == 3:
            raise ReadTimeoutError(endpoint_url="x")

    table.after = fail_take_over
    result = watched.claim([key()], "r2", clock.now + 100)

    # Then it is not sent, and the doubt is told: the next who finds it free would not know
    assert result == ([ClaimState.IN_FLIGHT], 1)
    watched.record("r2", undelivered=[0], unknown=[])
    assert watched.claim([key()], "r3", clock.now + 100) == ([ClaimState.CLAIMED], 0)


def test_an_answer_that_cannot_be_recorded_is_a_fault() -> None:
    table = InMemoryDynamoDb()
    table.fail("PutItem")

    with pytest.raises(AwsUnavailableError, match="record answer"):
        ledger(table).record("r1", undelivered=[], unknown=[])


def test_a_delivery_is_remembered_for_fourteen_days_and_its_answer_outlives_it() -> None:
    table = InMemoryDynamoDb()
    watched = ledger(table)
    watched.claim([key()], "r1", DEADLINE)
    watched.record("r1", undelivered=[], unknown=[])

    claim, answer = table.items.values()
    assert int(claim["expiresAt"]["N"]) == NOW + FOURTEEN_DAYS
    # DynamoDB deletes expired items within days, in no order.
    assert int(answer["expiresAt"]["N"]) >= NOW + FOURTEEN_DAYS + 2 * 86_400


def test_a_producers_message_id_is_not_readable_in_the_table() -> None:
    table = InMemoryDynamoDb()
    watched = ledger(table)
    watched.claim([key(message_id="jane.doe@example.com")], "r1", DEADLINE)
    watched.record("r1", undelivered=[0], unknown=[])

    stored = json.dumps([[*names, item] for names, item in table.items.items()])
    assert "jane" not in stored


def test_a_message_id_with_half_a_surrogate_pair_is_one_like_others() -> None:
    table = InMemoryDynamoDb()

    assert states(ledger(table), [key(message_id="\ud800"), key(message_id="\ud801")]) == [ClaimState.CLAIMED] * 2
