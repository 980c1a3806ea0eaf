"""Is each change sent by one sender only, does an answer mean what the ledger says, and are doubts bounded?"""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any, cast

import pytest
from botocore.exceptions import ConnectTimeoutError, ReadTimeoutError

from responsys_activation.aws.claims import Claim, ClaimState, NewerChange
from responsys_activation.aws.delivery_table import DeliveryTable
from responsys_activation.aws.faults import AwsCallError
from responsys_activation.aws.ledger import Ledger
from responsys_activation.change import Change, membership_change
from tests.fakes.clock import NOW, Clock
from tests.fakes.dynamodb import InMemoryDynamoDb, client_error
from tests.fakes.memberships import membership

CLAIMED, DELIVERED, FREE = ClaimState.CLAIMED, ClaimState.DELIVERED, ClaimState.FREE
IN_DOUBT, IN_FLIGHT = ClaimState.IN_DOUBT, ClaimState.IN_FLIGHT
HELD_UP, OUT_OF_REACH = ClaimState.HELD_UP, ClaimState.OUT_OF_REACH

DEADLINE = NOW + 100
ABANDONED = DEADLINE + 300  # when a claim without an answer is one of a killed sender
FOURTEEN_DAYS = 14 * 86_400
RESENDS = 2


def change(number: int = 0, message_id: str | None = None, at: float = NOW, **fields: Any) -> Change:
    of_profile = membership(**{"profileId": f"profile-{number}"} | fields)
    return membership_change("default", of_profile, message_id or f"message-{number}", at, NOW)


def changes(count: int) -> list[Change]:
    return [change(number) for number in range(count)]


def ledger(table: object, clock: Clock | None = None, *, time_scale: float = 1.0) -> Ledger:
    clock = clock or Clock()
    return Ledger(DeliveryTable("delivery", cast("Any", table), sleep=clock.sleep), time_scale=time_scale, clock=clock)


def claims(
    of: Ledger, wanted: Sequence[Change], request_id: str = "r2", *, deadline: float = DEADLINE, allowed: int = RESENDS
) -> list[Claim]:
    return of.claim(wanted, request_id, deadline, [allowed] * len(wanted))


def states(of: Ledger, wanted: Sequence[Change], request_id: str = "r2", *, allowed: int = RESENDS) -> list[ClaimState]:
    return [claim.state for claim in claims(of, wanted, request_id, allowed=allowed)]


def answered(of: Ledger, wanted: Sequence[Change], request_id: str, **answer: Sequence[int]) -> None:
    """Let a request claim changes, and record its answer; without lists all were delivered."""
    claims(of, wanted, request_id)
    of.record(request_id, **{"undelivered": (), "unknown": ()} | answer)


# ---- what a claim means ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("allowed", [0, RESENDS])
def test_a_change_never_sent_is_claimed(allowed: int) -> None:
    assert claims(ledger(InMemoryDynamoDb()), [change()], allowed=allowed) == [Claim(CLAIMED, written=True)]


MEANINGS = [
    # answer's lists, how much later, what may be sent again, what may not
    pytest.param([], [], 0, Claim(DELIVERED), Claim(DELIVERED), id="answered, in no list"),
    pytest.param([], [], 10_000, Claim(DELIVERED), Claim(DELIVERED), id="answered long ago"),
    pytest.param(
        [0],
        [],
        0,
        Claim(CLAIMED, taken_over=True, written=True),
        Claim(CLAIMED, taken_over=True, written=True),
        id="answered, in undelivered",
    ),
    pytest.param(
        [], [0], 0, Claim(CLAIMED, 1, taken_over=True, written=True), Claim(IN_DOUBT, 1), id="answered, in unknown"
    ),
    pytest.param(None, None, 0, Claim(IN_FLIGHT), Claim(IN_FLIGHT), id="no answer, until ahead"),
    pytest.param(
        None,
        None,
        401,
        Claim(CLAIMED, 1, abandoned=True, taken_over=True, written=True),
        Claim(IN_DOUBT, 1, abandoned=True, taken_over=True, written=True),
        id="no answer, until past",
    ),
]


@pytest.mark.parametrize(("undelivered", "unknown", "later", "with_resend", "without"), MEANINGS)
@pytest.mark.parametrize("allowed", [0, RESENDS])
def test_a_claim_means_what_it_means_together_with_its_answer(
    *,
    undelivered: list[int] | None,
    unknown: list[int] | None,
    later: float,
    with_resend: Claim,
    without: Claim,
    allowed: int,
) -> None:
    # Given a change that another request has claimed
    table, clock = InMemoryDynamoDb(), Clock()
    watched = ledger(table, clock)
    claims(watched, [change()], "r1")
    if undelivered is not None:
        watched.record("r1", undelivered=undelivered, unknown=unknown or [])
    clock.sleep(later)

    # When a second one wants it
    result = claims(watched, [change()], "r2", deadline=DEADLINE + later, allowed=allowed)

    # Then it gets what the answer leaves
    assert result == [with_resend if allowed else without]


@pytest.mark.parametrize("time_scale", [1.0, 20.0])
def test_a_claim_is_abandoned_after_its_deadline_and_five_minutes_for_clocks_that_differ(time_scale: float) -> None:
    table, clock = InMemoryDynamoDb(), Clock()
    watched = ledger(table, clock, time_scale=time_scale)
    claims(watched, [change()], "r1")

    clock.now = DEADLINE + 300 / time_scale - 0.1
    assert claims(watched, [change()]) == [Claim(IN_FLIGHT)]
    clock.now = DEADLINE + 300 / time_scale
    assert claims(watched, [change()]) == [Claim(CLAIMED, 1, abandoned=True, taken_over=True, written=True)]


def test_a_claim_taken_over_is_the_new_requests() -> None:
    # Given a claim that a killed sender left
    table, clock = InMemoryDynamoDb(), Clock()
    watched = ledger(table, clock)
    claims(watched, [change()], "r1")
    clock.now = ABANDONED

    # When another takes it over and the first, not killed after all, records its answer
    assert claims(watched, [change()], "r2", deadline=clock.now + 100)[0].state is CLAIMED
    watched.record("r1", undelivered=[0], unknown=[])

    # Then the claim is still the second's
    assert states(watched, [change()], "r3") == [IN_FLIGHT]
    watched.record("r2", undelivered=[], unknown=[])
    assert states(watched, [change()], "r3") == [DELIVERED]


@pytest.mark.parametrize("other", [change(profileId="another"), change(0, "another")], ids=["membership", "key"])
def test_membership_and_key_make_a_change_the_same(other: Change) -> None:
    watched = ledger(InMemoryDynamoDb())
    claims(watched, [change()], "r1")

    assert states(watched, [other, change()]) == [CLAIMED, IN_FLIGHT]


def test_a_change_is_the_same_whenever_it_happened() -> None:
    watched = ledger(InMemoryDynamoDb())
    answered(watched, [change()], "r1")

    assert states(watched, [change(at=NOW + 60)]) == [DELIVERED]


def test_one_claimed_change_does_not_keep_its_neighbours() -> None:
    # Given 250 changes, each 50th of them delivered or on its way
    watched = ledger(InMemoryDynamoDb())
    answered(watched, [change(0), change(50), change(100)], "r0", undelivered=[1])
    claims(watched, [change(150), change(200)], "r1")

    # When a request wants all
    result = states(watched, changes(250))

    # Then it has all but those
    expected = dict.fromkeys(range(250), CLAIMED)
    expected |= {0: DELIVERED, 100: DELIVERED, 150: IN_FLIGHT, 200: IN_FLIGHT}
    assert dict(enumerate(result)) == expected


def test_two_hundred_new_changes_cost_eight_calls_and_an_answer_and_a_write_unit_each() -> None:
    table = InMemoryDynamoDb()

    answered(ledger(table), changes(200), "0" * 32)

    assert table.calls == {"BatchExecuteStatement": 8, "PutItem": 1}
    assert max(len(json.dumps(item)) for item in table.items.values()) < 1024


def test_what_was_delivered_costs_its_neighbours_one_call_and_the_reading() -> None:
    table = InMemoryDynamoDb()
    watched = ledger(table)
    answered(watched, changes(3), "r1")
    table.calls.clear()

    states(watched, changes(25), "r2")

    assert table.calls == {"BatchExecuteStatement": 1, "BatchGetItem": 2}


def test_a_delivery_is_remembered_for_fourteen_days_and_its_answer_outlives_it() -> None:
    table = InMemoryDynamoDb()
    answered(ledger(table), [change()], "r1")

    claim, answer = table.items.values()
    assert int(claim["expiresAt"]["N"]) == NOW + FOURTEEN_DAYS
    # DynamoDB deletes expired items within days, in no order.
    assert int(answer["expiresAt"]["N"]) >= NOW + FOURTEEN_DAYS + 2 * 86_400


def test_a_claim_taken_over_is_remembered_for_fourteen_days_from_then_on() -> None:
    table, clock = InMemoryDynamoDb(), Clock()
    watched = ledger(table, clock)
    answered(watched, [change()], "r1", undelivered=[0])
    clock.sleep(86_400)
    claims(watched, [change()], "r2")

    claim = table.items[change().membership, change().key]
    assert int(claim["expiresAt"]["N"]) == NOW + 86_400 + FOURTEEN_DAYS


def test_what_a_producer_wrote_is_not_readable_in_the_table() -> None:
    table = InMemoryDynamoDb()
    jane = change(0, "jane.doe@example.com", profileId="jane", segment={"type": "AUDIENCE", "id": "janes"})
    answered(ledger(table), [jane], "r1", undelivered=[0])

    assert "jane" not in json.dumps([[*names, item] for names, item in table.items.items()])


def test_an_answer_that_cannot_be_recorded_is_a_fault() -> None:
    table = InMemoryDynamoDb()
    table.fail("PutItem")

    with pytest.raises(AwsCallError, match="record answer"):
        ledger(table).record("r1", undelivered=[], unknown=[])


# ---- doubts ----------------------------------------------------------------------------------------------------


def test_doubts_are_carried_over_at_each_take_over_until_there_are_too_many() -> None:
    # Given a change whose requests end each in another way
    table, clock = InMemoryDynamoDb(), Clock()
    watched = ledger(table, clock)
    doubts: list[tuple[ClaimState, int, bool]] = []

    def claim(request_id: str) -> None:
        (claimed,) = claims(watched, [change()], request_id, deadline=clock.now + 100)
        doubts.append((claimed.state, claimed.doubts, claimed.abandoned))

    # When it is claimed, in doubt, not taken, in doubt by a killed sender, not taken, and in doubt again
    claim("r1")
    watched.record("r1", undelivered=[], unknown=[0])
    claim("r2")
    watched.record("r2", undelivered=[0], unknown=[])
    claim("r3")
    clock.sleep(401)
    claim("r4")
    watched.record("r4", undelivered=[0], unknown=[])
    claim("r5")
    watched.record("r5", undelivered=[], unknown=[0])
    claim("r6")

    # Then every doubt counts and nothing else, and after two it was sent for the last time
    assert doubts == [
        (CLAIMED, 0, False),
        (CLAIMED, 1, False),
        (CLAIMED, 1, False),
        (CLAIMED, 2, True),
        (CLAIMED, 2, False),
        (IN_DOUBT, 3, False),
    ]


def test_a_change_in_doubt_too_often_is_not_taken_over_and_a_person_may_allow_it_once_more() -> None:
    # Given a change that is in doubt for the third time
    table = InMemoryDynamoDb()
    watched = ledger(table)
    for number in range(RESENDS + 1):
        answered(watched, [change()], f"r{number}", unknown=[0])
    before = dict(table.items)

    # When it is wanted / Then the claim stands as it did
    assert claims(watched, [change()], "r3") == [Claim(IN_DOUBT, 3)]
    assert table.items == before
    # And who may send it with three doubts has it, but not with four
    assert claims(watched, [change()], "r4", allowed=3) == [Claim(CLAIMED, 3, taken_over=True, written=True)]
    watched.record("r4", undelivered=[], unknown=[0])
    assert claims(watched, [change()], "r5", allowed=3) == [Claim(IN_DOUBT, 4)]


def test_each_change_of_a_request_has_its_own_bound() -> None:
    watched = ledger(InMemoryDynamoDb())
    answered(watched, changes(3), "r1", unknown=[0, 1, 2])

    result = watched.claim(changes(3), "r2", DEADLINE, [0, 1, 0])

    assert [claim.state for claim in result] == [IN_DOUBT, CLAIMED, IN_DOUBT]


def test_a_killed_senders_doubt_is_told_once_even_where_nothing_may_be_sent_again() -> None:
    # Given a claim that a killed sender left, and nothing in doubt may be sent again
    table, clock = InMemoryDynamoDb(), Clock()
    watched = ledger(table, clock)
    claims(watched, [change()], "r1")
    clock.now = ABANDONED

    def claim(request_id: str, allowed: int = 0) -> Claim:
        (claimed,) = claims(watched, [change()], request_id, deadline=clock.now + 100, allowed=allowed)
        return claimed

    # When it is found / Then it is taken over, so that nobody else finds it so
    assert claim("r2") == Claim(IN_DOUBT, 1, abandoned=True, taken_over=True, written=True)
    assert claim("r3") == Claim(IN_FLIGHT, 1)
    # And free again it is still in doubt, and told no more
    watched.record("r2", undelivered=[0], unknown=[])
    assert claim("r4") == Claim(IN_DOUBT, 1, taken_over=True, written=True)
    watched.record("r4", undelivered=[0], unknown=[])
    assert claim("r5", allowed=1) == Claim(CLAIMED, 1, taken_over=True, written=True)


def test_a_killed_senders_doubt_is_told_when_taking_its_claim_over_gets_no_answer() -> None:
    # Given a claim that a killed sender left
    table, clock = InMemoryDynamoDb(), Clock()
    watched = ledger(table, clock)
    claims(watched, [change()], "r1")
    clock.now = ABANDONED

    # When it is taken over, and the reply to that is lost
    def fail_take_over(operation: str) -> None:
        if operation == "BatchExecuteStatement" and table.calls[operation] == 3:
            raise ReadTimeoutError(endpoint_url="x")

    table.after = fail_take_over
    result = claims(watched, [change()], "r2", deadline=clock.now + 100)

    # Then it is not sent, and the doubt is told: the next who finds it free would not know
    assert result == [Claim(IN_FLIGHT, 1, abandoned=True, taken_over=True, written=True)]
    watched.record("r2", undelivered=[0], unknown=[])
    assert claims(watched, [change()], "r3") == [Claim(CLAIMED, 1, taken_over=True, written=True)]


# ---- several environments --------------------------------------------------------------------------------------


@pytest.mark.parametrize("round_number", range(10))
def test_changes_wanted_by_two_environments_at_once_are_each_claimed_once(round_number: int) -> None:
    # Given two environments that have the same batch, in another order
    table = InMemoryDynamoDb()
    start = threading.Barrier(2)
    wanted = [changes(230), changes(230)[::-1]]

    def claim(number: int) -> dict[Change, ClaimState]:
        environment = ledger(table)
        start.wait()
        return dict(zip(wanted[number], states(environment, wanted[number], f"r{number}"), strict=True))

    # When both claim at the same time
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(claim, range(2))

    # Then each change has one sender, and the table says which
    for each in changes(230):
        assert {first[each], second[each]} == {CLAIMED, IN_FLIGHT}
        owner = "r0" if first[each] is CLAIMED else "r1"
        assert table.items[each.membership, each.key]["requestId"]["S"] == owner


@pytest.mark.parametrize("left", ["free", "in doubt", "abandoned"])
def test_only_one_of_two_environments_takes_a_claim_over(left: str) -> None:
    # Given a claim that may be taken over
    table, clock = InMemoryDynamoDb(), Clock()
    first, second = ledger(table, clock), ledger(table, clock)
    claims(first, [change()], "r0")
    if left == "abandoned":
        clock.now = ABANDONED
    else:
        first.record("r0", undelivered=[0] * (left == "free"), unknown=[0] * (left == "in doubt"))
    seen: list[Claim] = []

    # When another environment does so just before the first one would
    def race(operation: str) -> None:
        if operation == "BatchExecuteStatement" and table.calls[operation] == 3 and not seen:
            seen.extend(claims(second, [change()], "r2", deadline=clock.now + 100))

    table.before = race
    result = claims(first, [change()], "r1", deadline=clock.now + 100)

    # Then the other has it, and only who has it tells of the killed sender
    assert [claim.state for claim in seen] == [CLAIMED]
    assert [claim.state for claim in result] == [IN_FLIGHT]
    assert [claim.abandoned for claim in (*seen, *result)] == [left == "abandoned", False]


def test_a_claim_that_is_fought_over_to_the_last_round_is_somebody_elses() -> None:
    # Given others that take the claim over and free it again before each of our attempts
    table = InMemoryDynamoDb()
    first, others = ledger(table), ledger(table)
    answered(others, [change()], "r0", undelivered=[0])
    fight = iter(range(1, 100))

    def take_over(operation: str) -> None:
        if operation == "BatchExecuteStatement":
            table.before = lambda _: None
            answered(others, [change()], f"other-{next(fight)}", undelivered=[0])
            table.before = take_over

    table.before = take_over

    # When it is claimed, with a new one / Then it is left to them, and is not taken for one that nobody claimed
    assert states(first, [change(), change(1)], "r1") == [IN_FLIGHT, CLAIMED]


def test_a_claim_that_expires_meanwhile_is_made_anew() -> None:
    # Given a claim that DynamoDB deletes before it can be read
    table = InMemoryDynamoDb()
    watched = ledger(table)
    answered(watched, [change()], "r1")

    def expire(operation: str) -> None:
        if operation == "BatchGetItem":
            table.items.pop((change().membership, change().key), None)

    table.before = expire

    # When the change is claimed / Then it counts as never sent
    assert claims(watched, [change()]) == [Claim(CLAIMED, written=True)]


class LosingReplies:
    """A client that makes the call again whose reply was lost: DynamoDB gets some calls twice."""

    def __init__(self, table: InMemoryDynamoDb, lost: int) -> None:
        self._table = table
        self._lost = lost
        self.batch_get_item = table.batch_get_item

    def batch_execute_statement(self, **request: Any) -> dict[str, Any]:
        answer = self._table.batch_execute_statement(**request)
        self._lost -= 1
        return answer if self._lost else self._table.batch_execute_statement(**request)


def test_a_claim_whose_first_reply_was_lost_is_ours() -> None:
    watched = ledger(LosingReplies(InMemoryDynamoDb(), lost=1))

    assert claims(watched, changes(30)) == [Claim(CLAIMED, written=True)] * 30


def test_a_take_over_whose_first_reply_was_lost_is_ours_with_its_doubts() -> None:
    # Given changes in doubt
    table = InMemoryDynamoDb()
    answered(ledger(table), changes(30), "r1", unknown=range(30))

    # When they are taken over, after two calls that found them claimed, and the reply to that is lost
    result = claims(ledger(LosingReplies(table, lost=3)), changes(30))

    # Then they are ours
    assert result == [Claim(CLAIMED, 1, taken_over=True, written=True)] * 30


# ---- a table that does not do it -------------------------------------------------------------------------------

THROTTLED_ITEM = [
    "InternalServerError",
    "ProvisionedThroughputExceeded",
    "RequestLimitExceeded",
    "ThrottlingError",
    "TransactionConflict",
]


@pytest.mark.parametrize("code", THROTTLED_ITEM)
def test_an_item_that_dynamodb_holds_up_is_tried_again_and_costs_its_neighbours_nothing(code: str) -> None:
    # Given a delivered change, and that DynamoDB does not do the third statement at once
    table, clock = InMemoryDynamoDb(), Clock()
    watched = ledger(table, clock)
    answered(watched, [change(1)], "r1")
    table.calls.clear()
    table.fail_statements(None, None, code)

    # When they are claimed
    result = states(watched, changes(5))

    # Then all is done by a second call, a moment later, which has the third alone
    assert result == [CLAIMED, DELIVERED, CLAIMED, CLAIMED, CLAIMED]
    assert table.calls["BatchExecuteStatement"] == 2
    assert NOW < clock.now <= NOW + 0.2


@pytest.mark.parametrize("code", THROTTLED_ITEM)
def test_an_item_that_dynamodb_holds_up_for_long_is_nobodys(code: str) -> None:
    # Given that DynamoDB does not do the statements of one item
    table, clock = InMemoryDynamoDb(), Clock()
    table.fail_statements(code, None, *[code] * 10)

    # When it is claimed, with another
    result = claims(ledger(table, clock), changes(2))

    # Then nobody claims to have it, and the time for it is bounded
    assert result == [Claim(HELD_UP), Claim(CLAIMED, written=True)]
    assert table.calls["BatchExecuteStatement"] == 4
    assert 0.35 <= clock.now - NOW <= 1.4


def test_a_refused_item_is_held_up_at_once_and_what_stands_beside_it_is_known() -> None:
    # Given a claim of another's, and that DynamoDB refuses the statement of an item
    table, clock = InMemoryDynamoDb(), Clock()
    watched = ledger(table, clock)
    claims(watched, [change(1)], "r1")
    table.calls.clear()
    table.fail_statements("AccessDenied")

    # When it is claimed / Then no second call is made, and the others' answers count
    assert states(watched, changes(30)) == [HELD_UP, IN_FLIGHT, *[CLAIMED] * 23, *[HELD_UP] * 5]
    assert (table.calls["BatchExecuteStatement"], clock.now) == (1, NOW)


ANSWERED_FAULTS = [
    pytest.param(client_error("AccessDeniedException", "X"), id="no permission"),
    pytest.param(client_error("ResourceNotFoundException", "X"), id="no table"),
    pytest.param(client_error("ThrottlingException", "X"), id="throttled"),
    pytest.param(client_error("ProvisionedThroughputExceededException", "X"), id="throughput exceeded"),
    pytest.param(
        client_error("RequestLimitExceeded", "X", ResponseMetadata={"HTTPStatusCode": 503}), id="throttled with 503"
    ),
]
LOST_FAULTS = [
    pytest.param(client_error("InternalServerError", "X"), id="DynamoDB fails"),
    pytest.param(client_error("Unheard", "X", ResponseMetadata={"HTTPStatusCode": 500}), id="500"),
    pytest.param(ConnectTimeoutError(endpoint_url="x"), id="no connection"),
    pytest.param(ReadTimeoutError(endpoint_url="x"), id="no reply"),
]


@pytest.mark.parametrize("fault", ANSWERED_FAULTS)
def test_changes_whose_claims_dynamodb_refuses_are_held_up_and_never_out_of_reach(fault: Exception) -> None:
    table = InMemoryDynamoDb()
    table.fail("BatchExecuteStatement", error=fault)

    assert claims(ledger(table), changes(30)) == [Claim(HELD_UP)] * 30


@pytest.mark.parametrize("fault", LOST_FAULTS)
@pytest.mark.parametrize("done", [None, 0, 10, 25], ids=["before", "none done", "ten done", "all done"])
def test_changes_whose_claims_get_no_answer_are_out_of_reach_and_free_once_it_is_recorded(
    fault: Exception, done: int | None
) -> None:
    # Given a call that is not answered, and took effect in part
    table = InMemoryDynamoDb()
    table.fail("BatchExecuteStatement", after=done is not None, error=fault, statements=done)
    watched = ledger(table)

    # When changes are claimed / Then the claims may stand of those that were in that call
    result = claims(watched, changes(30))
    assert result == [Claim(OUT_OF_REACH, written=True)] * 25 + [Claim(OUT_OF_REACH)] * 5
    # And they are free as soon as the answer says so
    watched.record("r2", undelivered=range(30), unknown=[])
    again = claims(watched, changes(30), "r3")
    assert [(claim.state, claim.doubts, claim.written) for claim in again] == [(CLAIMED, 0, True)] * 30


@pytest.mark.parametrize(
    ("fault", "state"),
    [
        (client_error("InternalServerError", "X"), OUT_OF_REACH),
        (client_error("AccessDeniedException", "X"), HELD_UP),
        (client_error("ThrottlingException", "X"), HELD_UP),
    ],
)
def test_what_was_claimed_before_the_fault_stays_claimed(fault: Exception, state: ClaimState) -> None:
    # Given a table that fails from the second call on
    table = InMemoryDynamoDb()
    calls = iter([None])

    def fail_later(_operation: str) -> None:
        if next(calls, fault):
            raise fault

    table.before = fail_later

    # When 60 changes are claimed, 25 a call / Then the first 25 are
    assert states(ledger(table), changes(60)) == [CLAIMED] * 25 + [state] * 35


FAILING_LATER: list[Any] = [
    pytest.param("BatchExecuteStatement", 2, id="the next claims"),
    pytest.param("BatchGetItem", 1, id="the claims cannot be read"),
    pytest.param("BatchGetItem", 2, id="the answers cannot be read"),
    pytest.param("BatchExecuteStatement", 3, id="it cannot be taken over"),
]


@pytest.mark.parametrize(("operation", "call"), FAILING_LATER)
@pytest.mark.parametrize(
    "fault", [client_error("InternalServerError", "X"), client_error("ThrottlingException", "X")], ids=["lost", "asked"]
)
def test_a_claim_that_was_seen_standing_is_somebody_elses_whatever_fails_later(
    operation: str, call: int, fault: Exception
) -> None:
    # Given a change that another claimed, and freed
    table = InMemoryDynamoDb()
    watched = ledger(table)
    answered(watched, [change(0)], "r1", undelivered=[0])
    table.calls.clear()

    def fail(called: str) -> None:
        if called == operation and table.calls[called] == call:
            raise fault

    table.before = fail

    # When it is claimed among others / Then it is not taken for one that nobody sent
    assert states(watched, changes(30))[0] is IN_FLIGHT


def test_what_dynamodb_leaves_for_another_call_is_asked_for_again_a_moment_later() -> None:
    # Given that DynamoDB does not read all keys at once
    table, clock = InMemoryDynamoDb(), Clock()
    watched = ledger(table, clock)
    for number in range(3):
        answered(watched, [change(number)], f"r{number}")
    table.calls.clear()
    table.unprocessed = 2

    # When claims are read / Then a second call has the rest
    assert states(watched, changes(3), "later") == [DELIVERED] * 3
    assert table.calls["BatchGetItem"] == 3
    assert NOW < clock.now <= NOW + 0.2


def test_what_dynamodb_leaves_again_and_again_cannot_be_read() -> None:
    # Given that DynamoDB always leaves a key
    table, clock = InMemoryDynamoDb(), Clock()
    watched = ledger(table, clock)
    answered(watched, changes(2), "r1")

    def leave(**request: Any) -> dict[str, Any]:
        table.calls["BatchGetItem"] += 1
        return {"Responses": {}, "UnprocessedKeys": request["RequestItems"]}

    client = SimpleNamespace(batch_execute_statement=table.batch_execute_statement, batch_get_item=leave)

    # When claims are read / Then four calls are enough to know, and the wait is bounded
    assert states(ledger(client, clock), changes(2)) == [IN_FLIGHT] * 2
    assert table.calls["BatchGetItem"] == 4
    assert clock.now <= NOW + 1.4


def test_more_claims_than_a_call_reads_are_read_in_several() -> None:
    table = InMemoryDynamoDb()
    watched = ledger(table)
    for number in range(130):
        answered(watched, [change(number)], f"r{number}")
    table.calls.clear()

    assert states(watched, changes(130), "later") == [DELIVERED] * 130
    assert table.calls["BatchGetItem"] == 4


# ---- newer changes ---------------------------------------------------------------------------------------------


def of_profile(message_id: str, call_type: str = "ADD", at: float = NOW, arrived: float = NOW, **fields: Any) -> Change:
    return change(0, message_id, at, callType=call_type, **fields)._replace(arrived_at=arrived)


def newer(of: Ledger, asked: Change) -> list[NewerChange]:
    (found,) = of.newer([asked])
    return sorted(found)


@pytest.mark.parametrize(
    ("at", "arrived", "is_newer"),
    [
        pytest.param(NOW + 1, NOW - 9, True, id="happened later, arrived earlier"),
        pytest.param(NOW - 1, NOW + 9, False, id="happened earlier, arrived later"),
        pytest.param(NOW, NOW + 0.001, True, id="happened at the same time, arrived later"),
        pytest.param(NOW, NOW - 0.001, False, id="happened at the same time, arrived earlier"),
        pytest.param(NOW, NOW, False, id="at the same time"),
        pytest.param(NOW + 0.000001, NOW - 9, True, id="a microsecond later"),
        pytest.param(NOW - 0.000001, NOW + 9, False, id="a microsecond earlier"),
        pytest.param(253_402_300_799.0, NOW, True, id="in the year 9999"),
        pytest.param(-62_135_596_800.0, NOW + 9, False, id="in the year 1"),
    ],
)
def test_the_newer_of_two_changes_happened_later_or_arrived_later(at: float, arrived: float, is_newer: bool) -> None:
    # Given a change of the same membership that was delivered
    watched = ledger(InMemoryDynamoDb())
    answered(watched, [of_profile("other", "REMOVE", at, arrived)], "r1")

    # When a change asks / Then it is told of it if it is newer
    assert newer(watched, of_profile("asked")) == [NewerChange("REMOVE", DELIVERED)] * is_newer


@pytest.mark.parametrize("asked_at", [NOW, NOW - 60])
def test_a_change_is_never_newer_than_itself(asked_at: float) -> None:
    watched = ledger(InMemoryDynamoDb())
    answered(watched, [of_profile("same")], "r1")

    assert newer(watched, of_profile("same", at=asked_at)) == []


@pytest.mark.parametrize(
    ("answer", "later", "found"),
    [
        ({}, 0, [DELIVERED]),
        ({"undelivered": [0]}, 0, [ClaimState.FREE]),
        ({"unknown": [0]}, 0, [IN_DOUBT]),
        (None, 0, [IN_FLIGHT]),
        (None, 401, [IN_DOUBT]),
    ],
    ids=["delivered", "not taken", "in doubt", "being sent", "its sender was killed"],
)
def test_what_became_of_a_newer_change_is_told(
    answer: dict[str, list[int]] | None, later: float, found: list[ClaimState]
) -> None:
    # Given a newer change that ended in some way
    table, clock = InMemoryDynamoDb(), Clock()
    watched = ledger(table, clock)
    claims(watched, [of_profile("newer", "UPDATE", NOW + 1)], "r1")
    if answer is not None:
        watched.record("r1", **{"undelivered": [], "unknown": []} | answer)
    clock.sleep(later)

    # When an older one asks / Then it is told so
    assert newer(watched, of_profile("asked")) == [NewerChange("UPDATE", state) for state in found]


def test_what_was_in_doubt_once_still_is_when_its_last_request_took_nothing() -> None:
    # Given a newer change in doubt, whose second request Responsys did not take
    watched = ledger(InMemoryDynamoDb())
    in_doubt = of_profile("newer", at=NOW + 1)
    answered(watched, [in_doubt], "r1", unknown=[0])
    answered(watched, [in_doubt], "r2", undelivered=[0])

    # When an older one asks, or somebody who only wants to know / Then it may have been taken
    assert newer(watched, of_profile("asked")) == [NewerChange("ADD", IN_DOUBT)]
    assert watched.look_up(in_doubt) is IN_DOUBT
    # And it is free to be sent again all the same
    assert claims(watched, [in_doubt], "r3") == [Claim(CLAIMED, 1, taken_over=True, written=True)]


def test_only_the_same_profile_segment_and_connector_have_newer_changes() -> None:
    watched = ledger(InMemoryDynamoDb())
    others = [
        of_profile("1", at=NOW + 1, profileId="another"),
        of_profile("2", at=NOW + 1, segment={"type": "AUDIENCE", "id": "another"}),
        of_profile("3", at=NOW + 1, segment={"type": "JOURNEY", "id": "aud-42"}),
        membership_change("second", membership(profileId="profile-0"), "4", NOW + 1, NOW),
    ]
    answered(watched, others, "r1")

    assert newer(watched, of_profile("asked")) == []


def test_a_membership_of_many_changes_is_read_page_by_page() -> None:
    # Given seven changes of a membership, and that DynamoDB gives two at a time
    table = InMemoryDynamoDb()
    watched = ledger(table)
    answered(watched, [of_profile(str(number), at=NOW + number) for number in range(7)], "r1")
    table.page = 2

    # When one asks that is older than five of them / Then it is told of them all
    assert newer(watched, of_profile("asked", at=NOW + 1.5)) == [NewerChange("ADD", DELIVERED)] * 5
    assert table.calls["Query"] == 4


def test_many_changes_ask_at_once_each_for_itself() -> None:
    # Given 30 memberships, of which each third has a newer change, and one that is asked for twice
    table = InMemoryDynamoDb()
    watched = ledger(table)
    for number in range(0, 30, 3):
        answered(watched, [change(number, "newer", NOW + 1)], f"r{number}")
    table.calls.clear()

    # When all ask
    found = watched.newer([*changes(30), change(0, "another", NOW + 2)])

    # Then each is told of its own, and each membership is read once
    assert [bool(each) for each in found] == [number % 3 == 0 for number in range(30)] + [False]
    assert table.calls["Query"] == 30


def test_nothing_asked_is_no_call() -> None:
    table = InMemoryDynamoDb()

    assert ledger(table).newer([]) == []
    assert not table.calls


@pytest.mark.parametrize("operation", ["Query", "BatchGetItem"])
@pytest.mark.parametrize("fault", [*ANSWERED_FAULTS, *LOST_FAULTS])
def test_newer_changes_that_cannot_be_read_are_a_fault_and_not_none(operation: str, fault: Exception) -> None:
    table = InMemoryDynamoDb()
    watched = ledger(table)
    answered(watched, [of_profile("newer", at=NOW + 1)], "r1")
    table.fail(operation, error=fault)

    with pytest.raises(AwsCallError):
        watched.newer([of_profile("asked")])


# ---- for somebody who only wants to know -----------------------------------------------------------------------


def test_a_change_that_was_never_sent_is_not_known() -> None:
    assert ledger(InMemoryDynamoDb()).look_up(change()) is None


def test_an_answer_tells_each_change_of_its_request_apart() -> None:
    # Given a request of which one was taken, one not, and one has no trustworthy reply; and one without an answer
    table, clock = InMemoryDynamoDb(), Clock()
    watched = ledger(table, clock)
    answered(watched, changes(3), "r1", undelivered=[1], unknown=[2])
    claims(watched, [change(3)], "r2")

    # When each is asked for / Then it is told so
    assert [watched.look_up(each) for each in changes(4)] == [DELIVERED, FREE, IN_DOUBT, IN_FLIGHT]
    clock.now = ABANDONED
    assert watched.look_up(change(3)) is IN_DOUBT


def test_looking_up_claims_nothing() -> None:
    table = InMemoryDynamoDb()
    watched = ledger(table)

    watched.look_up(change())

    assert not table.items
    assert states(watched, [change()]) == [CLAIMED]
