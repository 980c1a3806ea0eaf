"""Does every message of a planned request get its outcome, once, whatever its request meets on the way?"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import pytest
import requests
from botocore.exceptions import EndpointConnectionError
from hypothesis import given
from hypothesis import strategies as st

from responsys_activation.custom_event import custom_event
from responsys_activation.ledger_key import LedgerKey
from responsys_activation.outcome import Delivered, Duplicate, ErrorCode, Outcome, Rejected, Retried, Throttled
from responsys_activation.planning import Outgoing, PlannedRequest
from responsys_activation.received import ReceivedMessage
from responsys_activation.responsys.errors import RefusalScope, RequestRefusedError, TokenRefusedError
from responsys_activation.sending import Answer, RequestSender
from tests.fakes.clock import NOW, Clock
from tests.fakes.dynamodb import InMemoryDynamoDb
from tests.fakes.environment import Environment, Surroundings
from tests.fakes.memberships import connector, membership
from tests.fakes.parameters import InMemoryParameters, InMemorySecrets
from tests.fakes.recording_sqs import RecordingSqs
from tests.fakes.responsys import SPOILING, UNKNOWN_RECIPIENT, FakeResponsys, Fault


class Connected:
    """A connector whose account and table are in memory, and as many environments as a test asks for."""

    def __init__(self, *, resend: bool = True, requests_per_minute: int | None = 600) -> None:
        self.clock = Clock()
        self.responsys = FakeResponsys(self.clock, self.clock.sleep)
        self.table = InMemoryDynamoDb()
        self.surroundings = Surroundings(
            ssm=InMemoryParameters({}),
            secrets=InMemorySecrets({"stack/default": json.dumps({"username": "u", "password": "p"})}),
            sqs=RecordingSqs(),
            responsys={"default": self.responsys},
            table=self.table,
        )
        self.resend = resend
        self.connector = connector(requestsPerMinute=requests_per_minute)

    def environment(self) -> Environment:
        return Environment(self.surroundings, clock=self.clock, sleep=self.clock.sleep, resend=self.resend)

    def sender(self) -> RequestSender:
        return self.environment().open_sender("default", self.connector)

    def send(self, request: PlannedRequest, *, seconds: float = 110.0, sender: RequestSender | None = None) -> Answer:
        return (sender or self.sender()).send(request, self.clock() + seconds)

    def deliveries(self) -> Counter[str]:
        return Counter(event.properties["mark"] for event in self.responsys.accepted)

    def fail_event(self, *faults: Fault | None) -> None:
        """Let the next event requests go wrong, one fault each."""
        first = self.responsys.calls["event"] + 1
        planned = dict(enumerate(faults, first))
        self.responsys.fault = lambda kind: planned.get(self.responsys.calls["event"]) if kind == "event" else None


def outgoing(number: int, *, attempts: int = 1, recipient: int | None = None, spoiling: bool = False) -> Outgoing:
    variables = {"mark": f"m{number}"} | ({SPOILING: "yes"} if spoiling else {})
    event = custom_event(
        membership(variables=variables, identifiers={"27": str(recipient or 1000 + number)}), connector()
    )
    message = ReceivedMessage(
        message_id=f"sqs-{number}",
        original_message_id=f"sqs-{number}",
        receipt_handle="handle",
        body="{}",
        queue_name="segment-events",
        receive_count=attempts,
        attempts=attempts,
        sent_at=NOW,
        first_received_at=NOW,
        last_error_code="",
    )
    return Outgoing(message, event, NOW, LedgerKey("default", event.event_name, f"m{number}"))


def request_of(*items: Outgoing) -> PlannedRequest:
    return PlannedRequest(items[0].event.event_name, 1, list(items))


def planned(count: int, spoiling: Sequence[int] = (), **changes: Any) -> PlannedRequest:
    return request_of(*(outgoing(number, spoiling=number in spoiling, **changes) for number in range(count)))


def is_told(outcome: Outcome, kind: type[Outcome], code: str) -> bool:
    return isinstance(outcome, kind) and getattr(outcome, "error_code", None) == code


# ---- the straight way -----------------------------------------------------------------------------------------


def test_a_full_request_is_delivered_with_one_request() -> None:
    connected = Connected()

    answer = connected.send(planned(200))

    assert answer.outcomes == [Delivered()] * 200
    assert answer.failure is None
    assert [exchange.recipients for exchange in answer.exchanges] == [200]
    assert connected.deliveries() == {f"m{number}": 1 for number in range(200)}


def test_what_was_delivered_is_not_sent_again() -> None:
    connected = Connected()
    connected.send(planned(3))

    answer = connected.send(planned(3))

    assert answer.outcomes == [Duplicate()] * 3
    assert answer.exchanges == []
    assert connected.responsys.calls["event"] == 1


def test_only_what_was_not_delivered_before_is_sent() -> None:
    connected = Connected()
    connected.send(request_of(outgoing(1)))

    answer = connected.send(planned(3))

    assert answer.outcomes == [Delivered(), Duplicate(), Delivered()]
    assert connected.deliveries() == {"m0": 1, "m1": 1, "m2": 1}


def test_each_recipient_has_its_own_result_and_a_refused_one_may_be_sent_again() -> None:
    # Given a recipient that is not in the list
    connected = Connected()
    request = request_of(outgoing(0), outgoing(1, recipient=UNKNOWN_RECIPIENT), outgoing(2))

    # When the request is sent, and once more
    first = connected.send(request)
    again = connected.send(request_of(*request.items))

    # Then its neighbours are delivered, and only it is tried again
    assert first.outcomes == [Delivered(), Rejected("NO_RECIPIENT_FOUND"), Delivered()]
    assert again.outcomes == [Duplicate(), Rejected("NO_RECIPIENT_FOUND"), Duplicate()]
    assert connected.responsys.seen[-1].recipients == (UNKNOWN_RECIPIENT,)


def test_a_message_that_another_environment_is_sending_waits_for_its_next_receive() -> None:
    connected = Connected()
    connected.environment().ledger.claim([outgoing(0).ledger_key], "another", connected.clock() + 100)

    answer = connected.send(planned(2))

    assert answer.outcomes == [Retried(ErrorCode.IN_FLIGHT), Delivered()]


def test_the_limit_of_a_connector_without_one_is_read_from_the_account() -> None:
    connected = Connected(requests_per_minute=None)
    connected.responsys.requests_per_minute = 10  # nine tenths of it are used, a slot every 6.65 s
    sender = connected.sender()

    for number in range(3):
        connected.send(request_of(outgoing(number)), sender=sender)

    times = [seen.at for seen in connected.responsys.seen]
    assert connected.responsys.calls["ratelimit"] == 1
    assert times[2] - times[1] == pytest.approx(60 / (9.5 * 0.95), abs=0.01)


# ---- one bad recipient ----------------------------------------------------------------------------------------


def assert_only_the_bad_one_is_rejected(count: int, bad: int, named_from: int | None) -> None:
    # Given a request one of whose recipients Responsys refuses together with all others
    connected = Connected()
    connected.responsys.record_named_from = named_from

    # When it is sent
    answer = connected.send(planned(count, [bad]))

    # Then that one is rejected, the others are delivered once, and it took few requests more
    expected: list[Outcome] = [Delivered()] * count
    assert is_told(answer.outcomes[bad], Rejected, "INVALID_PARAMETER")
    expected[bad] = answer.outcomes[bad]
    assert answer.outcomes == expected
    assert connected.deliveries() == {f"m{number}": 1 for number in range(count) if number != bad}
    assert len(answer.exchanges) - 1 <= 2 * math.log2(count) + 2
    assert connected.responsys.calls["event"] == len(answer.exchanges)


@pytest.mark.parametrize("named_from", [0, 1, None])
@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 7, 8, 9, 16, 17])
def test_one_bad_recipient_of_a_small_request_is_found_wherever_it_is(count: int, named_from: int | None) -> None:
    for bad in range(count):
        assert_only_the_bad_one_is_rejected(count, bad, named_from)


@pytest.mark.parametrize("named_from", [0, 1, None])
@pytest.mark.parametrize("bad", [0, 1, 2, 63, 64, 99, 100, 128, 198, 199])
def test_one_bad_recipient_of_a_full_request_is_found(bad: int, named_from: int | None) -> None:
    assert_only_the_bad_one_is_rejected(200, bad, named_from)


@given(st.integers(1, 200).flatmap(lambda count: st.tuples(st.just(count), st.integers(0, count - 1))))
def test_one_bad_recipient_in_any_request_is_found_by_bisection(where: tuple[int, int]) -> None:
    assert_only_the_bad_one_is_rejected(*where, named_from=None)


def test_a_named_record_costs_three_requests_more_at_most() -> None:
    for named_from in (0, 1):
        connected = Connected()
        connected.responsys.record_named_from = named_from
        assert len(connected.send(planned(200, [77])).exchanges) <= 4


def test_a_record_that_cannot_be_is_not_believed() -> None:
    connected = Connected()
    connected.responsys.record_named_from = 5_000

    answer = connected.send(planned(8, [3]))

    assert [isinstance(outcome, Delivered) for outcome in answer.outcomes] == [place != 3 for place in range(8)]


@pytest.mark.parametrize("named_from", [0, 1, None])
def test_several_bad_recipients_do_not_sink_the_others(named_from: int | None) -> None:
    connected = Connected()
    connected.responsys.record_named_from = named_from
    bad = [3, 4, 90, 199]

    answer = connected.send(planned(200, bad))

    assert [place for place, outcome in enumerate(answer.outcomes) if not isinstance(outcome, Delivered)] == bad
    assert set(connected.deliveries().values()) == {1}


def test_a_producer_that_spoils_everything_does_not_eat_the_budget_at_once() -> None:
    connected = Connected()

    answer = connected.send(planned(200, range(200)))

    # Those that were found out are rejected, the others come back for another pass
    found_out = [is_told(outcome, Rejected, "INVALID_PARAMETER") for outcome in answer.outcomes]
    come_back = [is_told(outcome, Retried, "INVALID_PARAMETER") for outcome in answer.outcomes]
    assert any(found_out)
    assert all(rejected != retried for rejected, retried in zip(found_out, come_back, strict=True))
    assert len(answer.exchanges) <= 1 + 64 + math.log2(200)


@pytest.mark.parametrize(("most", "exchanges"), [(100, 3), (50, 7)])
def test_a_request_with_too_many_recipients_is_split(most: int, exchanges: int) -> None:
    connected = Connected()
    connected.responsys.maximum_recipients = most

    answer = connected.send(planned(200))

    assert answer.outcomes == [Delivered()] * 200
    assert len(answer.exchanges) == exchanges


def test_mending_keeps_to_the_budget() -> None:
    connected = Connected(requests_per_minute=20)

    answer = connected.send(planned(8, [5]))

    times = [seen.at for seen in connected.responsys.seen]
    gaps = [later - earlier for earlier, later in pairwise(times)]
    assert len(answer.exchanges) == 7
    assert min(gaps) >= 60 / 20
    assert answer.budget_wait == pytest.approx(sum(gaps), abs=1)


def test_what_mending_has_no_time_for_is_deferred_and_what_it_did_stays_done() -> None:
    # Given a slow connector, and time for a few requests only
    connected = Connected(requests_per_minute=6)

    # When one bad recipient would take seven
    answer = connected.send(planned(8, [7]), seconds=40)

    # Then the parts that went are delivered, the others come back by the budget's clock
    sent = [position for position, outcome in enumerate(answer.outcomes) if isinstance(outcome, Delivered)]
    deferred = [outcome for outcome in answer.outcomes if is_told(outcome, Throttled, ErrorCode.BUDGET_EXHAUSTED)]
    assert sent == [0, 1, 2, 3, 4, 5]
    assert len(deferred) == 2
    connected.clock.sleep(20)
    again = connected.send(planned(7))
    assert again.outcomes == [Duplicate()] * 6 + [Delivered()]


def test_every_further_request_has_an_id_of_its_own() -> None:
    connected = Connected()
    request = planned(4, [2])

    answer = connected.send(request)

    ids = [exchange.request_id for exchange in answer.exchanges]
    assert ids[:3] == [request.request_id, f"{request.request_id}-1", f"{request.request_id}-2"]
    assert ids == [seen.request_id for seen in connected.responsys.seen]


# ---- outcomes that nobody knows --------------------------------------------------------------------------------

IN_DOUBT = [
    (Fault.RESET_AFTER, True),
    (Fault.RESET_BEFORE, False),
    (Fault.TIMEOUT_AFTER, True),
    (Fault.TIMEOUT_BEFORE, False),
    (Fault.TRUNCATED, True),
    (Fault.WRONG_LENGTH, True),
    (Fault.EXCEPTION_AFTER, True),
    (Fault.EXCEPTION_BEFORE, False),
]


@pytest.mark.parametrize(("fault", "accepted"), IN_DOUBT, ids=str)
def test_resend_sends_again_what_may_have_been_taken(fault: Fault, accepted: bool) -> None:
    connected = Connected(resend=True)
    connected.fail_event(fault)

    first = connected.send(planned(2))
    second = connected.send(planned(2))

    assert all(isinstance(outcome, Retried) for outcome in first.outcomes)
    assert (first.doubtful, second.doubtful) == ([0, 1], [])
    assert second.outcomes == [Delivered()] * 2
    assert connected.deliveries() == {"m0": 1 + accepted, "m1": 1 + accepted}


@pytest.mark.parametrize(("fault", "accepted"), IN_DOUBT, ids=str)
def test_reject_never_sends_again_what_may_have_been_taken(fault: Fault, accepted: bool) -> None:
    connected = Connected(resend=False)
    connected.fail_event(fault)

    first = connected.send(planned(2))
    second = connected.send(planned(2))

    for answer in (first, second):
        assert all(is_told(outcome, Rejected, ErrorCode.OUTCOME_UNKNOWN) for outcome in answer.outcomes)
    assert first.doubtful == [0, 1]
    assert second.exchanges == []
    assert connected.deliveries() == ({"m0": 1, "m1": 1} if accepted else {})


@pytest.mark.parametrize("fault", [Fault.CONNECTION_REFUSED, Fault.CONNECT_TIMEOUT, Fault.HTML_503])
@pytest.mark.parametrize("resend", [True, False])
def test_what_was_certainly_not_taken_is_sent_again_in_any_case(fault: Fault, resend: bool) -> None:
    connected = Connected(resend=resend)
    connected.fail_event(fault)

    first = connected.send(planned(2))
    second = connected.send(planned(2))

    assert all(isinstance(outcome, Retried) for outcome in first.outcomes)
    assert first.doubtful == []
    assert second.outcomes == [Delivered()] * 2
    assert connected.deliveries() == {"m0": 1, "m1": 1}


@pytest.mark.parametrize("resend", [True, False])
def test_only_the_part_whose_reply_was_lost_is_in_doubt(resend: bool) -> None:
    # Given a request that is mended in parts, the second of which gets no reply
    connected = Connected(resend=resend)
    connected.fail_event(None, None, Fault.TIMEOUT_AFTER)

    # When it is sent: all 8, then 0 to 3, then 4 to 7
    answer = connected.send(planned(8, [6]))

    # Then that part is in doubt
    assert answer.outcomes[:4] == [Delivered()] * 4
    assert answer.doubtful == [4, 5, 6, 7]

    # And parts that were never sent are not
    connected = Connected(resend=resend)
    connected.fail_event(None, Fault.TIMEOUT_AFTER)
    answer = connected.send(planned(8, [6]))
    assert answer.doubtful == [0, 1, 2, 3]
    assert all(isinstance(outcome, Retried) for outcome in answer.outcomes[4:])
    connected.clock.sleep(60)
    assert connected.send(request_of(outgoing(4), outgoing(5))).outcomes == [Delivered()] * 2


@pytest.mark.parametrize("resend", [True, False])
def test_a_killed_sender_leaves_its_messages_in_doubt(resend: bool) -> None:
    # Given an environment that is killed before its answer is recorded
    connected = Connected(resend=resend)

    def kill(operation: str) -> None:
        if operation == "PutItem":
            raise KeyboardInterrupt

    connected.table.before = kill
    with pytest.raises(KeyboardInterrupt):
        connected.send(planned(2))
    connected.table.before = lambda operation: None

    # When SQS hands its messages to another, too early and then late enough
    early = connected.send(planned(2))
    connected.clock.sleep(110 + 300)
    late = connected.send(planned(2))

    # Then it waits as long as the first may live, and goes on as the owner wants it
    assert early.outcomes == [Retried(ErrorCode.IN_FLIGHT)] * 2
    assert late.abandoned == 2
    if resend:
        assert late.outcomes == [Delivered()] * 2
    else:
        assert all(is_told(outcome, Rejected, ErrorCode.OUTCOME_UNKNOWN) for outcome in late.outcomes)
    assert connected.deliveries() == {"m0": 1 + resend, "m1": 1 + resend}


# ---- tokens ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", [Fault.TOKEN_EXPIRED, Fault.TOKEN_NOT_VALID])
def test_after_a_token_error_the_same_body_goes_again_in_a_slot_of_its_own(fault: Fault) -> None:
    # Given a token that Responsys no longer takes
    connected = Connected(requests_per_minute=20)
    sender = connected.sender()
    connected.send(request_of(outgoing(9)), sender=sender)
    connected.fail_event(fault)
    posts: list[tuple[float, Any]] = []
    forward = connected.responsys.send

    def watch(request: requests.PreparedRequest, **options: Any) -> requests.Response:
        if "/events/" in str(request.url):
            posts.append((connected.clock(), request.body))
        return forward(request, **options)

    connected.responsys.send = watch  # type: ignore[method-assign]

    # When a request meets that
    answer = connected.send(planned(2), sender=sender)

    # Then it logs in once and sends the same again, a slot later
    assert answer.outcomes == [Delivered()] * 2
    assert [type(exchange.failure) for exchange in answer.exchanges] == [TokenRefusedError, type(None)]
    assert connected.responsys.calls["login"] == 2
    (first, body), (second, same) = posts
    assert body == same
    assert second - first >= 60 / 20
    assert connected.deliveries() == {"m9": 1, "m0": 1, "m1": 1}


def test_a_token_refused_twice_is_no_endless_loop() -> None:
    connected = Connected()
    connected.fail_event(Fault.TOKEN_EXPIRED, Fault.TOKEN_EXPIRED, Fault.TOKEN_EXPIRED)

    answer = connected.send(planned(2))

    assert [outcome for outcome in answer.outcomes if is_told(outcome, Retried, "TOKEN_EXPIRED")] == answer.outcomes
    assert connected.responsys.calls == {"login": 2, "ratelimit": 1, "event": 2}


def test_a_request_that_had_to_wait_for_a_login_takes_another_slot() -> None:
    # Given a login that takes ten seconds, in which others use the slots that come
    connected = Connected(requests_per_minute=20)
    connected.responsys.requests_per_minute = 20
    connected.send(planned(1))
    connected.surroundings.ssm.values.clear()  # the token
    connected.clock.sleep(60)
    connected.responsys.latency = lambda: 10.0 if connected.responsys.calls["event"] == 1 else 0.1

    # When a request waits for it
    began = connected.clock()
    connected.send(request_of(outgoing(2)))

    # Then it does not go on top of theirs
    assert [item["nextSlot"]["N"] for item in connected.table.items.values() if "nextSlot" in item] == [
        f"{began + 10 + 60 / 19:.6f}"
    ]


def test_a_refused_login_defers_everything_and_sends_nothing() -> None:
    connected = Connected()
    connected.responsys.fault = lambda kind: Fault.LOGIN_REFUSED if kind == "login" else None

    answer = connected.send(planned(2))

    refused = Throttled(ErrorCode.INVALID_CREDENTIALS, 600.0, decided_at=connected.clock())
    assert answer.outcomes == [refused] * 2
    assert connected.responsys.calls == {"login": 1}

    # And the messages are free when it is repaired
    connected.responsys.fault = lambda kind: None
    connected.clock.sleep(600)
    assert connected.send(planned(2)).outcomes == [Delivered()] * 2


def test_a_token_store_out_of_reach_leaves_the_messages_on_the_queue() -> None:
    connected = Connected()

    def fail(_service: str, _effect: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        raise EndpointConnectionError(endpoint_url="ssm")

    connected.surroundings.ssm = InMemoryParameters({}, fail)

    answer = connected.send(planned(2))

    assert answer.outcomes == [Retried(ErrorCode.AWS_UNAVAILABLE)] * 2
    assert connected.responsys.calls == {}


# ---- throttles -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "code", "clock"),
    [
        (Fault.API_LIMIT, "API_LIMIT_EXCEEDED", 60.0),
        (Fault.CAPACITY, "INTERNAL_CAPACITY_LIMIT_EXCEEDED", 600.0),
    ],
)
def test_a_throttle_stops_the_connector_in_all_environments_until_a_probe_gets_through(
    fault: Fault, code: str, clock: float
) -> None:
    # Given a throttle
    connected = Connected()
    connected.fail_event(fault)
    sender = connected.sender()

    # When a request meets it
    answer = connected.send(planned(2), sender=sender)

    # Then nothing more goes before its clock has run out, from here or from elsewhere
    assert all(is_told(outcome, Throttled, code) for outcome in answer.outcomes)
    for outcome in answer.outcomes:
        assert isinstance(outcome, Throttled)
        assert outcome.delay == clock
        assert (outcome.since, outcome.age_share) == pytest.approx((connected.clock(), 0.1), abs=1.0)
    assert all(is_told(outcome, Throttled, code) for outcome in connected.send(planned(2)).outcomes)
    assert all(is_told(outcome, Throttled, code) for outcome in connected.send(planned(2), sender=sender).outcomes)
    assert connected.responsys.calls["event"] == 1

    # And then the first request lifts it
    connected.clock.sleep(clock + 0.001)
    sender.begin_batch()
    assert connected.send(planned(2), sender=sender).outcomes == [Delivered()] * 2
    assert not any("pausedUntil" in item for item in connected.table.items.values())


def test_a_request_that_waited_while_another_answer_stopped_it_is_neither_claimed_nor_sent() -> None:
    # Given a request that another answer has stopped by the time of its slot
    connected = Connected()

    # When it is sent
    outcome = Retried("SERVICE_UNAVAILABLE")
    answer = connected.sender().send(planned(3), connected.clock() + 110, lambda: outcome)

    # Then it ends so, and leaves nothing behind
    assert answer.outcomes == [outcome] * 3
    assert (answer.exchanges, connected.responsys.calls["event"]) == ([], 0)
    assert connected.table.calls["TransactWriteItems"] == 0
    assert connected.send(planned(3)).outcomes == [Delivered()] * 3


def test_a_request_that_waited_while_another_was_throttled_does_not_go() -> None:
    # Given a request that waits for its slot
    connected = Connected(requests_per_minute=20)
    sender = connected.sender()
    connected.send(request_of(outgoing(8)), sender=sender)
    connected.fail_event(Fault.API_LIMIT)
    sleep = connected.clock.sleep

    # When another of its connector is throttled meanwhile
    def sleep_while_another_is_throttled(seconds: float) -> None:
        sender._sleep = sleep
        sender.send(request_of(outgoing(9)), connected.clock() + 110)
        sleep(seconds)

    sender._sleep = sleep_while_another_is_throttled
    answer = connected.send(planned(2), sender=sender)

    # Then it is deferred too
    assert all(is_told(outcome, Throttled, "API_LIMIT_EXCEEDED") for outcome in answer.outcomes)
    assert connected.responsys.calls["event"] == 2


def test_a_probe_that_has_nothing_to_send_leaves_the_probing_to_the_next() -> None:
    # Given a throttle whose clock has run out, and a request of duplicates
    connected = Connected()
    connected.send(planned(2))
    connected.fail_event(Fault.API_LIMIT)
    connected.send(request_of(outgoing(7)))
    connected.clock.sleep(60.001)

    # When that request comes first
    assert connected.send(planned(2)).outcomes == [Duplicate()] * 2
    began = connected.clock()
    connected.clock.sleep(0.001)

    # Then the next does not wait for what it cannot learn
    assert connected.send(request_of(outgoing(7))).outcomes == [Delivered()]
    assert connected.responsys.seen[-1].at - began < 1


# ---- refusals of the whole request -----------------------------------------------------------------------------


def test_an_event_that_does_not_exist_rejects_its_request_with_the_reason() -> None:
    connected = Connected()
    connected.responsys.known_events = {"ANOTHER"}

    answer = connected.send(planned(2))

    assert all(is_told(outcome, Rejected, "CUSTOM_EVENT_NOT_FOUND") for outcome in answer.outcomes)
    assert isinstance(answer.failure, RequestRefusedError)
    assert answer.failure.scope is RefusalScope.EVENT
    assert len(answer.exchanges) == 1


# ---- without the ledger ----------------------------------------------------------------------------------------


def test_without_the_ledger_only_what_cannot_have_been_sent_goes() -> None:
    # Given a ledger out of reach
    connected = Connected(resend=True)
    connected.send(request_of(outgoing(9)))
    connected.table.fail("TransactWriteItems", times=1)

    # When a request has messages that come for the first time, and one that may have been sent
    answer = connected.send(request_of(outgoing(0), outgoing(1, attempts=2), outgoing(2)))

    # Then the first ones go, told apart in a metric, and the connector is not stopped for it
    assert answer.outcomes == [Delivered(), Retried(ErrorCode.AWS_UNAVAILABLE), Delivered()]
    assert answer.unrecorded == 2
    assert answer.failure is None


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_what_was_held_back_without_the_ledger_is_sent_later(after: bool) -> None:
    # Given a claim that fails, perhaps after it was written
    connected = Connected(resend=True)
    connected.table.fail("TransactWriteItems", times=1, after=after)

    # When one message is held back, and comes again
    connected.send(request_of(outgoing(0), outgoing(1, attempts=2)))
    again = connected.send(request_of(outgoing(1, attempts=3)))

    # Then it does not read as delivered because its neighbour was
    assert again.outcomes == [Delivered()]
    assert connected.deliveries() == {"m0": 1, "m1": 1}


def test_what_the_ledger_took_before_it_failed_is_told_apart() -> None:
    # Given a ledger that takes a hundred messages and then fails
    connected = Connected(resend=True)

    def fail_second(operation: str) -> None:
        if operation == "TransactWriteItems" and connected.table.calls[operation] == 2:
            raise EndpointConnectionError(endpoint_url="dynamodb")

    connected.table.before = fail_second

    # When 150 messages come, the last fifty of them not for the first time
    items = [outgoing(number, attempts=1 if number < 100 else 2) for number in range(150)]
    answer = connected.send(request_of(*items))

    # Then the hundred go with a record, and the fifty stay
    assert answer.outcomes == [Delivered()] * 100 + [Retried(ErrorCode.AWS_UNAVAILABLE)] * 50
    assert answer.unrecorded == 0
    connected.table.before = lambda operation: None
    assert connected.send(request_of(*items)).outcomes == [Duplicate()] * 100 + [Delivered()] * 50


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_reject_sends_nothing_without_the_ledger_and_everything_later(after: bool) -> None:
    connected = Connected(resend=False)
    connected.table.fail("TransactWriteItems", times=1, after=after)

    first = connected.send(planned(2))
    second = connected.send(planned(2))

    assert first.outcomes == [Retried(ErrorCode.AWS_UNAVAILABLE)] * 2
    assert first.failure is not None
    assert second.outcomes == [Delivered()] * 2
    assert connected.deliveries() == {"m0": 1, "m1": 1}


def test_an_answer_that_cannot_be_recorded_does_not_undo_the_delivery() -> None:
    connected = Connected()
    connected.table.fail("PutItem", times=1)

    answer = connected.send(planned(2))

    assert answer.outcomes == [Delivered()] * 2


def test_without_the_budgets_table_requests_go_at_an_own_pace_and_say_so() -> None:
    connected = Connected(requests_per_minute=600)
    sender = connected.sender()
    assert not connected.send(planned(2), sender=sender).alone
    connected.table.fail("UpdateItem", times=math.inf)

    answer = connected.send(request_of(outgoing(2), outgoing(3)), sender=sender)

    assert answer.outcomes == [Delivered()] * 2
    assert answer.alone


# ---- time ------------------------------------------------------------------------------------------------------


def test_a_request_without_time_for_its_reply_is_not_sent() -> None:
    # Given a claim that takes nearly all the time there was
    connected = Connected()
    connected.table.before = lambda operation: connected.clock.sleep(5.0 if operation == "TransactWriteItems" else 0)

    answer = connected.send(planned(2), seconds=6.5)

    assert all(is_told(outcome, Retried, ErrorCode.OUT_OF_TIME) for outcome in answer.outcomes)
    assert connected.responsys.calls["event"] == 0
    assert answer.doubtful == []
