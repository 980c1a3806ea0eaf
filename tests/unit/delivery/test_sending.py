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

from responsys_activation.change import membership_change
from responsys_activation.delivery.custom_event import custom_event
from responsys_activation.delivery.outcome import Delivered, Duplicate, Ignored, Outcome, Rejected, Retried, Throttled
from responsys_activation.delivery.planning import Outgoing, PlannedRequest
from responsys_activation.delivery.sending import Answer, RequestSender
from responsys_activation.error_code import ErrorCode
from responsys_activation.received import Mark, ReceivedMessage
from responsys_activation.responsys.errors import RefusalScope, RequestRefusedError, TokenRefusedError
from tests.fakes.clock import NOW, Clock
from tests.fakes.dynamodb import InMemoryDynamoDb, client_error
from tests.fakes.environment import Environment, Surroundings
from tests.fakes.memberships import connector, membership
from tests.fakes.parameters import InMemoryParameters, InMemorySecrets
from tests.fakes.recording_sqs import RecordingSqs
from tests.fakes.responsys import SPOILING, UNKNOWN_RECIPIENT, FakeResponsys, Fault
from tests.fakes.told_metrics import ToldMetrics


class Connected:
    """A connector whose account and table are in memory, and as many environments as a test asks for."""

    def __init__(self, *, resend: bool = True, maximum_resends: int = 2, requests_per_minute: int | None = 600) -> None:
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
        self.maximum_resends = maximum_resends
        self.told = ToldMetrics()
        self.connector = connector(requestsPerMinute=requests_per_minute)

    def environment(self) -> Environment:
        return Environment(
            self.surroundings,
            clock=self.clock,
            sleep=self.clock.sleep,
            resend=self.resend,
            metrics=self.told,
            MAXIMUM_RESENDS=str(self.maximum_resends),
        )

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


def outgoing(
    number: int,
    *,
    attempts: int = 1,
    recipient: int | None = None,
    spoiling: bool = False,
    happened_at: float = NOW,
    mark: Mark | None = None,
    **changes: Any,
) -> Outgoing:
    variables = {"mark": f"m{number}"} | ({SPOILING: "yes"} if spoiling else {})
    identifiers = {"27": str(recipient or 1000 + number)}
    fields = {"variables": variables, "identifiers": identifiers, "profileId": f"profile-{number}"} | changes
    given = membership(**fields)
    event = custom_event(given, connector())
    message = ReceivedMessage(
        message_id=f"sqs-{number}",
        original_message_id=f"sqs-{number}",
        receipt_handle="handle",
        body="{}",
        queue_name="segment-events",
        receive_count=attempts,
        attempts=attempts,
        arrived_at=NOW,
        age_from=NOW,
        first_received_at=NOW,
        came_back=attempts > 1 or mark is not None,
        last_error_code="",
        mark=mark or Mark(),
    )
    return Outgoing(message, event, membership_change("default", given, f"m{number}", happened_at, NOW))


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
    connected.environment().ledger.claim([outgoing(0).change], "another", connected.clock() + 100, [2])

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
    answer = connected.send(planned(8, [7]), seconds=100)

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
    assert (first.doubtful, second.doubtful) == ({0, 1}, set())
    assert connected.told.unknown == 2
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
    assert first.doubtful == {0, 1}
    assert connected.told.unknown == 2
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
    assert (first.doubtful, connected.told.unknown) == (set(), 0)
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
    assert answer.doubtful == {4, 5, 6, 7}

    # And parts that were never sent are not
    connected = Connected(resend=resend)
    connected.fail_event(None, Fault.TIMEOUT_AFTER)
    answer = connected.send(planned(8, [6]))
    assert answer.doubtful == {0, 1, 2, 3}
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
    assert connected.told.unknown == 2
    if resend:
        assert late.outcomes == [Delivered()] * 2
    else:
        assert all(is_told(outcome, Rejected, ErrorCode.OUTCOME_UNKNOWN) for outcome in late.outcomes)
    assert connected.deliveries() == {"m0": 1 + resend, "m1": 1 + resend}


@pytest.mark.parametrize("resends", [0, 1, 2, 3])
@pytest.mark.parametrize("fault", [Fault.EXCEPTION_AFTER, Fault.TIMEOUT_AFTER, Fault.TRUNCATED])
def test_what_is_in_doubt_again_and_again_is_sent_as_often_as_the_owner_allows(fault: Fault, resends: int) -> None:
    # Given a Responsys that takes every request and never gives a usable answer
    connected = Connected(maximum_resends=resends)
    connected.responsys.fault = lambda kind: fault if kind == "event" else None

    # When a message comes back as long as it is retried
    ends: list[Outcome] = []
    while not ends or isinstance(ends[-1], Retried | Throttled):
        ends += connected.send(planned(1, attempts=1 + len(ends))).outcomes
        connected.clock.sleep(700)  # longer than the pause of a connector that is in doubt

    # Then it is sent once more than the resends, each doubt is counted, and it waits for a person
    assert connected.deliveries() == {"m0": 1 + resends}
    assert connected.told.unknown == 1 + resends
    assert is_told(ends[-1], Rejected, ErrorCode.OUTCOME_UNKNOWN)
    assert isinstance(ends[-1], Rejected)
    assert ends[-1].doubts == 1 + resends

    # And without that person it is never sent again
    again = connected.send(planned(1))
    assert all(is_told(outcome, Rejected, ErrorCode.OUTCOME_UNKNOWN) for outcome in again.outcomes)
    assert connected.deliveries() == {"m0": 1 + resends}


def test_a_person_lets_a_message_go_once_more_in_spite_of_its_doubts() -> None:
    # Given a message that was rejected as in doubt
    connected = Connected(resend=False)
    connected.fail_event(Fault.TIMEOUT_AFTER)
    (rejected,) = connected.send(planned(1)).outcomes
    assert isinstance(rejected, Rejected)

    # When a person sends it back with leave, and that ends in doubt too, and SQS hands it over again
    allowed = Mark(doubts=rejected.doubts, in_doubt_allowed=True)
    connected.fail_event(Fault.TIMEOUT_AFTER)
    first = connected.send(planned(1, mark=allowed))
    again = connected.send(planned(1, mark=allowed, attempts=2))

    # Then it was sent once more, which was told, and not again
    assert connected.deliveries() == {"m0": 2}
    assert connected.told.told == {"OutcomesUnknown": 2, "SentInDoubt": 1}
    for answer in (first, again):
        assert all(is_told(outcome, Rejected, ErrorCode.OUTCOME_UNKNOWN) for outcome in answer.outcomes)


def test_a_doubt_is_told_before_anything_else_can_be_killed() -> None:
    # Given an environment that is killed before it can record that a reply was lost
    connected = Connected()
    connected.fail_event(Fault.TIMEOUT_AFTER)

    def kill(operation: str) -> None:
        if operation == "PutItem":
            raise KeyboardInterrupt

    connected.table.before = kill
    with pytest.raises(KeyboardInterrupt):
        connected.send(planned(2))

    # Then the doubt has been told
    assert connected.told.unknown == 2


def test_three_requests_in_a_row_in_doubt_pause_the_account_and_only_an_answer_ends_it() -> None:
    # Given a Responsys that takes requests and does not answer
    connected = Connected(maximum_resends=9)
    connected.responsys.fault = lambda kind: Fault.TIMEOUT_AFTER if kind == "event" else None
    sender = connected.sender()
    for number in range(3):
        connected.send(request_of(outgoing(number), outgoing(10 + number)), sender=sender)

    # When more comes, here and elsewhere / Then nothing goes for ten minutes
    for other in (sender, connected.sender()):
        (outcome,) = connected.send(request_of(outgoing(3)), sender=other).outcomes
        assert is_told(outcome, Throttled, "TIMEOUT")
        assert isinstance(outcome, Throttled)
        assert outcome.delay == pytest.approx(600, abs=70)
    assert connected.responsys.calls["event"] == 3

    # When they are over / Then a probe goes with one recipient, and in doubt too it renews the pause
    connected.clock.sleep(601)
    sender.begin_batch()
    answer = connected.send(planned(5), sender=sender)
    assert [len(seen.recipients) for seen in connected.responsys.seen[3:]] == [1]
    assert answer.doubtful == {0}
    sender.begin_batch()
    assert all(
        is_told(outcome, Throttled, "TIMEOUT") for outcome in connected.send(planned(5), sender=sender).outcomes[1:]
    )

    # When its next probe meets a gateway / Then the pause does not end, and the next request is the probe
    connected.clock.sleep(601)
    sender.begin_batch()
    connected.fail_event(Fault.HTML_503)
    connected.send(planned(5), sender=sender)
    connected.responsys.fault = lambda kind: None
    connected.clock.sleep(1)
    answer = connected.send(planned(5), sender=sender)
    assert [len(seen.recipients) for seen in connected.responsys.seen[-2:]] == [1, 4]

    # Then an answer of Responsys has ended it
    assert answer.outcomes == [Delivered()] * 5
    assert not any("pausedUntil" in item for item in connected.table.items.values())


def test_an_answer_in_between_means_that_responsys_speaks() -> None:
    connected = Connected()
    sender = connected.sender()
    connected.fail_event(Fault.TIMEOUT_AFTER, Fault.TIMEOUT_AFTER, None, Fault.TIMEOUT_AFTER, None)

    for number in range(5):
        connected.send(request_of(outgoing(number)), sender=sender)

    assert connected.responsys.calls["event"] == 5


# ---- what a single recipient's result may say ------------------------------------------------------------------


def answering(connected: Connected, code: str, recipient: int = 1001) -> None:
    """Let Responsys give one recipient this code in a reply of status 200."""
    forward = connected.responsys.send

    def send(request: requests.PreparedRequest, **options: Any) -> requests.Response:
        response = forward(request, **options)
        if "/events/" in str(request.url):
            sent = [each["recipient"]["recipientId"] for each in json.loads(request.body or b"")["recipientData"]]
            results = response.json()
            for each, result in zip(sent, results, strict=True):
                if each == recipient:
                    result.update(success=False, recipientId=-1, errorMessage=f"{code}: not now")
            response._content = json.dumps(results).encode()
        return response

    connected.responsys.send = send  # type: ignore[method-assign]


@pytest.mark.parametrize("code", ["INTERNAL_CAPACITY_LIMIT_EXCEEDED", "API_LIMIT_EXCEEDED"])
def test_a_recipient_that_is_throttled_in_a_good_reply_pauses_the_account(code: str) -> None:
    connected = Connected()
    answering(connected, code)

    answer = connected.send(planned(3))

    assert [type(outcome) for outcome in answer.outcomes] == [Delivered, Throttled, Delivered]
    assert is_told(answer.outcomes[1], Throttled, code)
    assert all(is_told(outcome, Throttled, code) for outcome in connected.send(request_of(outgoing(9))).outcomes)


def test_a_recipient_that_is_unavailable_in_a_good_reply_comes_back() -> None:
    connected = Connected()
    answering(connected, "SERVICE_UNAVAILABLE")

    assert connected.send(planned(3)).outcomes == [Delivered(), Retried("SERVICE_UNAVAILABLE"), Delivered()]


def test_a_recipients_failure_without_reason_is_tried_once_more() -> None:
    connected = Connected()
    answering(connected, "FAILURE")

    assert connected.send(planned(2)).outcomes[1] == Retried("FAILURE")
    assert connected.send(planned(2, attempts=2)).outcomes[1] == Rejected("FAILURE")


def test_a_recipient_that_was_perhaps_processed_is_in_doubt() -> None:
    connected = Connected()
    answering(connected, "UNEXPECTED_EXCEPTION")

    answer = connected.send(planned(3))

    assert answer.outcomes == [Delivered(), Retried("UNEXPECTED_EXCEPTION"), Delivered()]
    assert (answer.doubtful, connected.told.unknown) == ({1}, 1)


# ---- refusals under a code that no source names ----------------------------------------------------------------


def refusing_undocumented(connected: Connected, spoils: Callable[[list[int]], bool]) -> None:
    forward = connected.responsys.send

    def send(request: requests.PreparedRequest, **options: Any) -> requests.Response:
        response = forward(request, **options)
        if "/events/" in str(request.url):
            sent = [each["recipient"]["recipientId"] for each in json.loads(request.body or b"")["recipientData"]]
            if spoils(sent):
                response.status_code = 400
                response._content = json.dumps({"errorCode": "INVALID_RECIPIENT_DATA", "title": "x"}).encode()
        return response

    connected.responsys.send = send  # type: ignore[method-assign]


@pytest.mark.parametrize("bad", [0, 7, 199])
def test_an_undocumented_refusal_of_one_recipient_does_not_sink_the_others(bad: int) -> None:
    connected = Connected()
    refusing_undocumented(connected, lambda sent: 1000 + bad in sent)

    answer = connected.send(planned(200))

    codes = Counter(type(outcome) for outcome in answer.outcomes)
    assert codes == {Delivered: 199, Rejected: 1}
    assert is_told(answer.outcomes[bad], Rejected, "INVALID_RECIPIENT_DATA")


def test_an_undocumented_refusal_of_everything_costs_few_requests() -> None:
    connected = Connected()
    refusing_undocumented(connected, lambda _sent: True)

    answer = connected.send(planned(200))

    assert all(is_told(outcome, Rejected, "INVALID_RECIPIENT_DATA") for outcome in answer.outcomes)
    assert len(answer.exchanges) == 16


# ---- events that do not exist ----------------------------------------------------------------------------------


def test_an_event_that_responsys_lacks_costs_one_request_a_minute() -> None:
    # Given an event that does not exist
    connected = Connected()
    connected.responsys.known_events = {"ANOTHER"}
    sender = connected.sender()
    for number in range(5):
        # When its messages come again and again / Then one request tells
        answer = connected.send(request_of(outgoing(number)), sender=sender)
        assert all(is_told(outcome, Rejected, "CUSTOM_EVENT_NOT_FOUND") for outcome in answer.outcomes)
    assert connected.responsys.calls["event"] == 1

    # When somebody makes it / Then it is found a minute later
    connected.responsys.known_events = None
    connected.clock.sleep(60)
    assert connected.send(request_of(outgoing(9)), sender=sender).outcomes == [Delivered()]


# ---- a table that answers, but does not do it -----------------------------------------------------------------


@pytest.mark.parametrize("code", ["AccessDeniedException", "ResourceNotFoundException", "ValidationException"])
def test_a_table_that_denies_keeps_everything_on_the_queue(code: str) -> None:
    connected = Connected()
    connected.table.fail("BatchExecuteStatement", 1, error=client_error(code, "BatchExecuteStatement"))

    answer = connected.send(planned(3))

    assert answer.outcomes == [Retried(ErrorCode.AWS_UNAVAILABLE)] * 3
    assert (connected.told.told["SentWithoutLedger"], connected.responsys.calls["event"]) == (0, 0)


def test_a_table_that_throttles_for_long_keeps_everything_on_the_queue() -> None:
    connected = Connected()
    error = client_error("ProvisionedThroughputExceededException", "BatchExecuteStatement")
    connected.table.fail("BatchExecuteStatement", 1, error=error)

    answer = connected.send(planned(3))

    assert answer.outcomes == [Retried(ErrorCode.AWS_UNAVAILABLE)] * 3
    assert (connected.told.told["SentWithoutLedger"], connected.responsys.calls["event"]) == (0, 0)
    assert connected.send(planned(3)).outcomes == [Delivered()] * 3


# ---- a newer change of the same membership ---------------------------------------------------------------------


def change(number: int, call_type: str, at: float, *, attempts: int = 1, recipient: int = 1000) -> Outgoing:
    return outgoing(number, attempts=attempts, recipient=recipient, happened_at=at, profileId="p", callType=call_type)


@pytest.mark.parametrize("back", ["attempts", "mark"])
def test_a_change_that_comes_back_after_a_newer_one_was_delivered_is_ignored(back: str) -> None:
    # Given a profile that left
    connected = Connected()
    connected.send(request_of(change(1, "REMOVE", NOW + 10)))

    # When its entering comes back
    late = change(0, "ADD", NOW, attempts=2)
    if back == "mark":
        late = late._replace(message=late.message._replace(attempts=1, mark=Mark(first_sent_at=NOW)))
    answer = connected.send(request_of(late))

    # Then it is not sent
    assert answer.outcomes == [Ignored(ErrorCode.SUPERSEDED)]
    assert [event.properties["callType"] for event in connected.responsys.accepted] == ["REMOVE"]


@pytest.mark.parametrize(
    ("older", "newer", "outcome"),
    [
        ("ADD", "UPDATE", Delivered()),
        ("ADD", "ADD", Ignored(ErrorCode.SUPERSEDED)),
        ("ADD", "REMOVE", Ignored(ErrorCode.SUPERSEDED)),
        ("UPDATE", "UPDATE", Ignored(ErrorCode.SUPERSEDED)),
        ("UPDATE", "ADD", Ignored(ErrorCode.SUPERSEDED)),
        ("UPDATE", "REMOVE", Ignored(ErrorCode.SUPERSEDED)),
        ("REMOVE", "ADD", Ignored(ErrorCode.SUPERSEDED)),
        ("REMOVE", "UPDATE", Ignored(ErrorCode.SUPERSEDED)),
    ],
)
def test_only_who_was_added_and_then_updated_must_still_be_added(older: str, newer: str, outcome: Outcome) -> None:
    connected = Connected()
    connected.send(request_of(change(1, newer, NOW + 10)))

    assert connected.send(request_of(change(0, older, NOW, attempts=2))).outcomes == [outcome]


@pytest.mark.parametrize(
    ("happened", "arrived", "outcome"),
    [
        (NOW - 1, NOW + 5, Delivered()),
        (NOW, NOW - 1, Delivered()),
        (NOW, NOW + 1, Ignored(ErrorCode.SUPERSEDED)),
        (NOW + 1, NOW - 5, Ignored(ErrorCode.SUPERSEDED)),
    ],
)
def test_newer_is_what_happened_later_then_what_sqs_had_later(
    happened: float, arrived: float, outcome: Outcome
) -> None:
    connected = Connected()
    other = change(1, "REMOVE", happened)
    connected.send(request_of(other._replace(change=other.change._replace(arrived_at=arrived))))

    assert connected.send(request_of(change(0, "ADD", NOW, attempts=2))).outcomes == [outcome]


def test_a_newer_change_that_was_not_taken_stands_in_nobodys_way() -> None:
    connected = Connected()
    connected.send(request_of(change(1, "REMOVE", NOW + 10, recipient=UNKNOWN_RECIPIENT)))

    assert connected.send(request_of(change(0, "ADD", NOW, attempts=2))).outcomes == [Delivered()]


def test_what_is_ignored_takes_nobody_elses_place_in_the_ledger() -> None:
    # Given a change that is ignored, at the head of a request that Responsys takes
    connected = Connected()
    connected.send(request_of(change(1, "REMOVE", NOW + 10)))
    others = [outgoing(5), outgoing(6, recipient=UNKNOWN_RECIPIENT)]
    answer = connected.send(request_of(change(0, "ADD", NOW, attempts=2), *others))
    assert answer.outcomes == [Ignored(ErrorCode.SUPERSEDED), Delivered(), Rejected("NO_RECIPIENT_FOUND")]

    # When the others come again / Then each is known by its own result
    others[1] = outgoing(6)
    assert connected.send(request_of(*others)).outcomes == [Duplicate(), Delivered()]


def test_a_newer_change_in_doubt_may_have_been_taken() -> None:
    connected = Connected()
    connected.fail_event(Fault.TIMEOUT_AFTER)
    connected.send(request_of(change(1, "REMOVE", NOW + 10)))

    assert connected.send(request_of(change(0, "ADD", NOW, attempts=2))).outcomes == [Ignored(ErrorCode.SUPERSEDED)]


def test_a_newer_change_stays_in_doubt_when_its_next_request_takes_nothing() -> None:
    # Given a newer change that may have been taken, and whose next request certainly was not
    connected = Connected()
    connected.fail_event(Fault.TIMEOUT_AFTER, Fault.CONNECTION_REFUSED)
    for attempts in (1, 2):
        connected.send(request_of(change(1, "REMOVE", NOW + 10, attempts=attempts)))

    # When the older one comes back / Then it is not sent after it
    assert connected.send(request_of(change(0, "ADD", NOW, attempts=2))).outcomes == [Ignored(ErrorCode.SUPERSEDED)]


def test_a_change_in_doubt_stays_as_new_as_it_was_when_it_comes_again_with_an_older_time() -> None:
    # Given a change that may have been taken, and that its producer sends again with another time
    connected = Connected()
    connected.fail_event(Fault.TIMEOUT_AFTER, Fault.CONNECTION_REFUSED)
    for happened_at in (NOW + 10, NOW):
        connected.send(request_of(change(1, "REMOVE", happened_at)))

    # When one from in between comes back / Then it is not sent after it
    between = change(0, "ADD", NOW + 5, attempts=2)
    assert connected.send(request_of(between)).outcomes == [Ignored(ErrorCode.SUPERSEDED)]


def test_a_newer_change_that_is_being_sent_is_waited_for_a_minute() -> None:
    connected = Connected()
    newer = change(1, "REMOVE", NOW + 10)
    connected.environment().ledger.claim([newer.change], "another", connected.clock() + 100, [2])

    assert connected.send(request_of(change(0, "ADD", NOW, attempts=2))).outcomes == [
        Throttled(ErrorCode.IN_FLIGHT, 60.0)
    ]


def test_another_membership_is_no_newer_change() -> None:
    connected = Connected()
    others: tuple[dict[str, Any], ...] = (
        {"profileId": "q"},
        {"segment": {"type": "JOURNEY", "id": "aud-42"}},
        {"segment": {"type": "AUDIENCE", "id": "x"}},
    )
    for number, other in enumerate(others):
        fields = {"profileId": "p", "callType": "REMOVE"} | other
        connected.send(request_of(outgoing(number, happened_at=NOW + 10, **fields)))

    assert connected.send(request_of(change(9, "ADD", NOW, attempts=2))).outcomes == [Delivered()]


def test_a_first_receive_asks_nothing() -> None:
    connected = Connected()
    connected.send(planned(200))

    assert connected.table.calls["Query"] == 0
    assert connected.table.calls["BatchGetItem"] == 0


def test_where_newer_changes_cannot_be_read_what_came_back_waits_and_the_others_go() -> None:
    connected = Connected()
    connected.table.fail("Query", 1)

    answer = connected.send(request_of(outgoing(0), outgoing(1, attempts=2)))

    assert answer.outcomes == [Delivered(), Retried(ErrorCode.AWS_UNAVAILABLE)]


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

    # And the messages are free when it is repaired, and the login may be tried again
    connected.responsys.fault = lambda kind: None
    connected.clock.sleep(3600)
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
    ("fault", "code", "retry_after"),
    [
        (Fault.API_LIMIT, "API_LIMIT_EXCEEDED", 60.0),
        (Fault.CAPACITY, "INTERNAL_CAPACITY_LIMIT_EXCEEDED", 600.0),
    ],
)
def test_a_throttle_stops_the_connector_in_all_environments_until_a_probe_gets_through(
    fault: Fault, code: str, retry_after: float
) -> None:
    # Given a throttle
    connected = Connected()
    connected.fail_event(fault)
    sender = connected.sender()

    # When a request meets it
    answer = connected.send(planned(2), sender=sender)

    # Then nothing more goes before it has ended, from here or from elsewhere
    assert all(is_told(outcome, Throttled, code) for outcome in answer.outcomes)
    for outcome in answer.outcomes:
        assert isinstance(outcome, Throttled)
        assert outcome.delay == retry_after
        assert (outcome.since, outcome.age_share) == pytest.approx((connected.clock(), 0.1), abs=1.0)
    assert all(is_told(outcome, Throttled, code) for outcome in connected.send(planned(2)).outcomes)
    assert all(is_told(outcome, Throttled, code) for outcome in connected.send(planned(2), sender=sender).outcomes)
    assert connected.responsys.calls["event"] == 1

    # And then the first request lifts it
    connected.clock.sleep(retry_after + 0.001)
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
    assert connected.table.calls["BatchExecuteStatement"] == 0
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
    connected.table.fail("BatchExecuteStatement", times=1)

    # When a request has messages that come for the first time, and one that may have been sent
    answer = connected.send(request_of(outgoing(0), outgoing(1, attempts=2), outgoing(2)))

    # Then the first ones go, told apart in a metric, and the connector is not stopped for it
    assert answer.outcomes == [Delivered(), Retried(ErrorCode.AWS_UNAVAILABLE), Delivered()]
    assert connected.told.told["SentWithoutLedger"] == 2
    assert answer.failure is None


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_what_was_held_back_without_the_ledger_is_sent_later(after: bool) -> None:
    # Given a claim that fails, perhaps after it was written
    connected = Connected(resend=True)
    connected.table.fail("BatchExecuteStatement", times=1, after=after)

    # When one message is held back, and comes again
    connected.send(request_of(outgoing(0), outgoing(1, attempts=2)))
    again = connected.send(request_of(outgoing(1, attempts=3)))

    # Then it does not read as delivered because its neighbour was
    assert again.outcomes == [Delivered()]
    assert connected.deliveries() == {"m0": 1, "m1": 1}


def test_what_the_ledger_took_before_it_failed_is_told_apart() -> None:
    # Given a ledger that takes a hundred messages, 25 a call, and then fails
    connected = Connected(resend=True)

    def fail_second(operation: str) -> None:
        if operation == "BatchExecuteStatement" and connected.table.calls[operation] == 5:
            raise EndpointConnectionError(endpoint_url="dynamodb")

    connected.table.before = fail_second

    # When 150 messages come, the last fifty of them not for the first time
    items = [outgoing(number, attempts=1 if number < 100 else 2) for number in range(150)]
    answer = connected.send(request_of(*items))

    # Then the hundred go with a record, and the fifty stay
    assert answer.outcomes == [Delivered()] * 100 + [Retried(ErrorCode.AWS_UNAVAILABLE)] * 50
    assert connected.told.told["SentWithoutLedger"] == 0
    connected.table.before = lambda operation: None
    assert connected.send(request_of(*items)).outcomes == [Duplicate()] * 100 + [Delivered()] * 50


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_reject_sends_nothing_without_the_ledger_and_everything_later(after: bool) -> None:
    connected = Connected(resend=False)
    connected.table.fail("BatchExecuteStatement", times=1, after=after)

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
    connected.table.before = lambda operation: connected.clock.sleep(8.0 if operation == "BatchExecuteStatement" else 0)

    answer = connected.send(planned(2), seconds=66.5)

    assert all(is_told(outcome, Retried, ErrorCode.OUT_OF_TIME) for outcome in answer.outcomes)
    assert connected.responsys.calls["event"] == 0
    assert answer.doubtful == set()
