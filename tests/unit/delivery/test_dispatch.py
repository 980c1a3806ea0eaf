"""Do planned requests go in their waves, not too many at once, and no further than an answer allows?"""

from __future__ import annotations

import json
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from responsys_activation.aws.faults import AwsCallError
from responsys_activation.aws.slots import NoSlotError, Wait
from responsys_activation.delivery.dispatch import dispatch
from responsys_activation.delivery.lane import Lane
from responsys_activation.delivery.outcome import Delivered, Outcome, Rejected, Retried, Throttled
from responsys_activation.delivery.planning import PlannedRequest
from responsys_activation.delivery.result import CreationResult, Failure, RequestResult, outcome_of_error
from responsys_activation.error_code import ErrorCode
from responsys_activation.responsys.errors import (
    LoginRefusedError,
    RefusalScope,
    RequestRefusedError,
    ThrottledError,
    UnavailableError,
)
from tests.fakes.function_output import captured_output

SOON = 60.0


@dataclass
class Sent:
    """What went out, in the order of its start."""

    running: list[PlannedRequest] = field(default_factory=list)
    started: list[PlannedRequest] = field(default_factory=list)
    most_at_once: int = 0
    overlaps: list[tuple[PlannedRequest, PlannedRequest]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def start(self, request: PlannedRequest) -> None:
        with self.lock:
            self.overlaps += [(other, request) for other in self.running]
            self.running.append(request)
            self.started.append(request)
            self.most_at_once = max(self.most_at_once, len(self.running))

    def end(self, request: PlannedRequest) -> None:
        with self.lock:
            self.running.remove(request)


Stopped = Callable[[], Outcome | None]
Ends = Callable[[PlannedRequest], Failure | None]


def succeeds(_request: PlannedRequest) -> Failure | None:
    return None


def lane(
    planned: Sequence[PlannedRequest],
    sent: Sent | None = None,
    *,
    name: str = "default",
    ends: Ends = succeeds,
    seconds: float = 0.0,
) -> Lane:
    def send(request: PlannedRequest, deadline: float, stopped: Stopped) -> RequestResult:
        assert deadline > 0
        assert stopped() is None
        if sent:
            sent.start(request)
        time.sleep(seconds)
        failure = ends(request)
        if sent:
            sent.end(request)
        outcome: Outcome = _outcome(failure) if failure else Delivered()
        return RequestResult(name, request, [outcome] * len(request.items), failure=failure)

    return Lane(name, send, deque(planned))


def planned(*waves: int, event_name: str = "ENTERED") -> list[PlannedRequest]:
    return [PlannedRequest(event_name, wave, [item()]) for wave in waves]


def item(membership: str = "", *, recipient: str = "", came_back: bool = False) -> Any:
    return SimpleNamespace(
        change=SimpleNamespace(membership=membership or uuid.uuid4().hex),
        event=SimpleNamespace(recipient=recipient),
        message=SimpleNamespace(came_back=came_back),
    )


def run(lanes: Sequence[Lane], *, in_flight: int = 4, seconds: float = SOON) -> list[RequestResult]:
    return list(dispatch(lanes, in_flight=in_flight, deadline=time.time() + seconds, shortest_request=5.0))


def outcomes(results: Sequence[RequestResult], of: Sequence[PlannedRequest]) -> list[Outcome]:
    by_request = {result.request.request_id: result.outcomes[0] for result in results}
    return [undated(by_request[request.request_id]) for request in of]


def undated(outcome: Outcome) -> Outcome:
    """Leave out when it was decided: the clock here is the real one."""
    return replace(outcome, decided_at=None) if isinstance(outcome, Throttled) else outcome


def _outcome(failure: Failure) -> Outcome:
    return undated(outcome_of_error(failure, time.time()))


@given(
    waves=st.lists(st.integers(1, 4), max_size=12),
    others=st.lists(st.integers(1, 3), max_size=6),
    in_flight=st.integers(1, 5),
)
def test_every_request_is_answered_once_and_waves_keep_apart(
    waves: list[int], others: list[int], in_flight: int
) -> None:
    # Given two connectors' requests
    sent = {"default": Sent(), "second": Sent()}
    requests = {"default": planned(*sorted(waves)), "second": planned(*sorted(others))}

    # When they go
    results = run([lane(requests[name], sent[name], name=name) for name in requests], in_flight=in_flight)

    # Then each has one answer, and no two waves of a connector were in flight together
    for name, of_connector in requests.items():
        answered = [result.request.request_id for result in results if result.connector == name]
        assert sorted(answered) == sorted(request.request_id for request in of_connector)
        assert all(one.wave == other.wave for one, other in sent[name].overlaps)
        assert [request.wave for request in sent[name].started] == sorted(request.wave for request in of_connector)


def test_no_more_requests_are_in_flight_than_allowed() -> None:
    sent = Sent()

    run([lane(planned(*[1] * 9), sent, seconds=0.01), lane(planned(*[1] * 9), sent, seconds=0.01)], in_flight=3)

    assert sent.most_at_once == 3


def test_a_connector_with_many_requests_leaves_places_to_another() -> None:
    # Given a connector that could fill every place for long
    sent = Sent()
    many, few = planned(*[1] * 20), planned(*[1] * 3)

    # When another one comes behind it
    run([lane(many, sent, seconds=0.01), lane(few, sent, name="second", seconds=0.01)], in_flight=4)

    # Then that is done long before the first
    assert max(sent.started.index(request) for request in few) < 10


@pytest.mark.parametrize(
    ("failure", "outcome"),
    [
        (ThrottledError("API_LIMIT_EXCEEDED", retry_after=60), Throttled("API_LIMIT_EXCEEDED", 60)),
        (NoSlotError(Wait("API_LIMIT_EXCEEDED", 60)), Throttled("API_LIMIT_EXCEEDED", 60)),
        (NoSlotError(Wait("BUDGET_EXHAUSTED", 7)), Throttled("BUDGET_EXHAUSTED", 7)),
        (LoginRefusedError("PASSWORD_EXPIRED", retry_after=600), Throttled("INVALID_CREDENTIALS", 600)),
        (LoginRefusedError("UNTRUSTED_ENDPOINT", retry_after=600), Throttled("UNTRUSTED_ENDPOINT", 600)),
        (
            RequestRefusedError("API_BLOCKED", scope=RefusalScope.CONNECTOR, title="blocked"),
            Rejected("API_BLOCKED", "blocked"),
        ),
    ],
    ids=lambda value: str(value) if isinstance(value, Exception) else "",
)
def test_what_concerns_the_connector_stops_its_requests_and_no_others(failure: Failure, outcome: Outcome) -> None:
    # Given a connector whose first request fails so
    sent = Sent()
    first, *rest = requests = planned(1, 1, 2, 3)
    others = planned(1, 1)

    # When its requests go one at a time
    stopped = lane(requests, sent, ends=lambda request: failure if request is first else None)
    results = run([stopped, lane(others, name="second")], in_flight=1)

    # Then the others of that connector end the same way without being sent
    assert sent.started == [first]
    assert outcomes(results, rest) == [outcome] * 3
    assert outcomes(results, others) == [Delivered()] * 2


def test_what_concerns_an_event_stops_requests_of_that_event_only() -> None:
    failure = RequestRefusedError("CUSTOM_EVENT_NOT_FOUND", scope=RefusalScope.EVENT)
    sent = Sent()
    bad, good = planned(1, 2, event_name="GONE"), planned(1, 2)
    requests = [bad[0], good[0], bad[1], good[1]]

    results = run(
        [lane(requests, sent, ends=lambda request: failure if request.event_name == "GONE" else None)], in_flight=1
    )

    assert sent.started == [bad[0], good[0], good[1]]
    assert outcomes(results, requests) == [
        Rejected("CUSTOM_EVENT_NOT_FOUND"),
        Delivered(),
        Rejected("CUSTOM_EVENT_NOT_FOUND"),
        Delivered(),
    ]


@pytest.mark.parametrize(
    "failure",
    [
        UnavailableError("SERVICE_UNAVAILABLE"),
        AwsCallError("DynamoDB"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_three_failures_in_a_row_end_the_attempts_of_a_connector(failure: Failure) -> None:
    sent = Sent()
    requests = planned(*[1] * 6)

    results = run([lane(requests, sent, ends=lambda _request: failure)], in_flight=1)

    assert len(sent.started) == 3
    assert outcomes(results, requests) == [_outcome(failure)] * 6


@pytest.mark.parametrize(
    ("failure", "others_event", "other_outcome"),
    [
        (UnavailableError("SERVICE_UNAVAILABLE"), "ENTERED", Retried("SERVICE_UNAVAILABLE")),
        (RequestRefusedError("CUSTOM_EVENT_NOT_FOUND", scope=RefusalScope.EVENT), "LEFT", None),
    ],
    ids=["the connector", "one event"],
)
def test_requests_that_already_wait_for_their_slots_learn_of_it(
    failure: Failure, others_event: str, other_outcome: Outcome | None
) -> None:
    # Given three requests that fail, while one of their event and one of another wait for their slots
    failing, (waiting,), (other,) = planned(1, 1, 1), planned(1), planned(1, event_name=others_event)
    told: dict[str, Outcome | None] = {}
    all_wait = threading.Barrier(5)

    def send(request: PlannedRequest, _deadline: float, stopped: Stopped) -> RequestResult:
        all_wait.wait(10)
        if request in failing:
            return RequestResult("default", request, [_outcome(failure)], failure=failure)
        latest = time.monotonic() + 0.5
        while stopped() is None and time.monotonic() < latest:
            time.sleep(0.001)
        told[request.request_id] = stopped()
        return RequestResult("default", request, [Delivered()])

    # When all five are in flight
    run([Lane("default", send, deque([*failing, waiting, other]))], in_flight=5)

    # Then those that are concerned learn that they need not go
    assert told == {waiting.request_id: _outcome(failure), other.request_id: other_outcome}


def test_requests_that_have_their_slot_go_even_if_the_budget_has_no_more() -> None:
    # Given a request that finds the budget used up, while one waits for its slot and another has not begun
    failure = NoSlotError(Wait("BUDGET_EXHAUSTED", 7))
    exhausted, waiting, later = requests = planned(1, 1, 1)
    both_wait = threading.Barrier(2)
    is_answered = threading.Event()

    def send(request: PlannedRequest, _deadline: float, stopped: Stopped) -> RequestResult:
        both_wait.wait(10)
        if request is exhausted:
            return RequestResult("default", request, [_outcome(failure)], failure=failure)
        assert is_answered.wait(10)
        return RequestResult("default", request, [stopped() or Delivered()])

    # When they are sent
    results = []
    lane = Lane("default", send, deque(requests))
    for result in dispatch([lane], in_flight=2, deadline=time.time() + SOON, shortest_request=5.0):
        results.append(result)
        if result.request is later:  # which is answered without being sent, once the first has been
            is_answered.set()

    # Then the slot is used, and what has none is put off
    assert outcomes(results, [exhausted, waiting, later]) == [_outcome(failure), Delivered(), _outcome(failure)]


def test_a_request_that_makes_way_for_other_accounts_does_not_stop_the_next() -> None:
    # Given a connector whose requests each have a wait of their own
    sent = Sent()
    requests = planned(1, 1, 1)
    waits = iter([7.0, 10.0, 13.0])

    # When they go one at a time
    results = run(
        [
            lane(
                requests,
                sent,
                ends=lambda _: NoSlotError(Wait("BUDGET_EXHAUSTED", next(waits), one_request=True)),
            )
        ],
        in_flight=1,
    )

    # Then each is asked for
    assert sent.started == requests
    assert outcomes(results, requests) == [Throttled("BUDGET_EXHAUSTED", clock) for clock in (7.0, 10.0, 13.0)]


def test_failures_that_are_not_in_a_row_end_nothing() -> None:
    sent = Sent()
    requests = planned(*[1] * 9)

    def every_third_succeeds(request: PlannedRequest) -> Failure | None:
        return None if requests.index(request) % 3 == 2 else UnavailableError("SERVICE_UNAVAILABLE")

    run([lane(requests, sent, ends=every_third_succeeds)], in_flight=1)

    assert len(sent.started) == 9


def test_a_refusal_of_one_request_shows_that_responsys_is_up() -> None:
    sent = Sent()
    requests = planned(*[1] * 6)

    def third_is_refused(request: PlannedRequest) -> Failure | None:
        if requests.index(request) % 3 == 2:
            return RequestRefusedError("DUPLICATE_API_REQUEST", scope=RefusalScope.REQUEST)
        return UnavailableError("SERVICE_UNAVAILABLE")

    run([lane(requests, sent, ends=third_is_refused)], in_flight=1)

    assert len(sent.started) == 6


def test_requests_without_time_for_a_reply_do_not_start() -> None:
    sent = Sent()
    requests = planned(1, 1, 2)

    results = run([lane(requests, sent)], seconds=4.9)

    assert sent.started == []
    assert outcomes(results, requests) == [Retried(ErrorCode.OUT_OF_TIME)] * 3


def test_a_reply_that_is_late_is_not_waited_for() -> None:
    # Given a request whose reply takes longer than there is time, and a quick one
    slow, quick = planned(1, 1)
    both_started, release = threading.Event(), threading.Event()

    def send(request: PlannedRequest, _deadline: float, _stopped: Stopped) -> RequestResult:
        if request is slow:
            release.wait(10)
        both_started.set()
        return RequestResult("default", request, [Delivered()])

    # When the deadline comes a tenth of a second after both have started
    def clock() -> float:
        return 9.9 if both_started.is_set() else 0.0

    of_connector = Lane("default", send, deque([slow, quick]))
    results = list(dispatch([of_connector], in_flight=2, deadline=10.0, shortest_request=5.0, clock=clock))
    slow_is_still_running = not release.is_set()
    release.set()

    # Then the slow one's messages stay on the queue, and settling can begin
    assert outcomes(results, [slow, quick]) == [Retried(ErrorCode.TIMEOUT), Delivered()]
    assert slow_is_still_running


@pytest.mark.parametrize(
    ("came_back", "seconds", "merged_at_once"),
    [(True, 9.0, True), (False, 9.0, False), (True, SOON, False)],
    ids=["came back, little time", "new", "came back, time enough"],
)
def test_who_came_back_is_merged_beside_a_slow_reply_when_time_is_short(
    came_back: bool, seconds: float, merged_at_once: bool
) -> None:
    # Given a message whose recipient is missing, and a request in flight that takes long
    missing = PlannedRequest("ENTERED", 1, [item(recipient="new", came_back=came_back)])
    slow = PlannedRequest("ENTERED", 1, [item(recipient="known")])
    merging, in_time = threading.Event(), []

    def send(request: PlannedRequest, _deadline: float, _stopped: Stopped) -> RequestResult:
        if request is missing:
            return RequestResult("default", request, [Rejected("NO_RECIPIENT_FOUND")], goes_on=frozenset({0}))
        in_time.append(merging.wait(0.3))
        return RequestResult("default", request, [Delivered()])

    def create(request: PlannedRequest, _deadline: float) -> RequestResult:
        merging.set()
        return CreationResult("default", request, [Rejected("NO_RECIPIENT_FOUND")])

    # When there may be no time for a merge after the slow one's reply
    run([Lane("default", send, deque([missing, slow]), create=create)], seconds=seconds)

    # Then it is not gathered with others that may follow
    assert merging.is_set()
    assert in_time == [merged_at_once]


def test_what_fails_in_an_unforeseen_way_is_that_requests_alone() -> None:
    # Given one connector whose request fails as nobody foresaw, under a text that quotes somebody
    somebody = "@".join(["nora", "example.org"])

    def send(_request: PlannedRequest, _deadline: float, _stopped: Stopped) -> RequestResult:
        raise ZeroDivisionError(somebody)

    bad, good = planned(1), planned(1)

    # When it is sent beside another's
    with captured_output() as output:
        results = run([Lane("default", send, deque(bad)), lane(good, name="second")])

    # Then its messages come back, the other's are delivered, and the log says where it failed, but not the text
    assert outcomes(results, [*bad, *good]) == [Retried(ErrorCode.OTHER_ERROR), Delivered()]
    written = json.dumps(output.documents())
    assert "ZeroDivisionError" in written
    assert "in send" in written
    assert somebody not in written


# ---- changes of one membership


def test_what_comes_back_holds_back_the_newer_changes_of_its_membership() -> None:
    # Given three waves: one membership's request fails in the first
    sent = Sent()
    first, second, third = (PlannedRequest("ENTERED", wave, [item("m"), item()]) for wave in (1, 2, 3))
    failure = UnavailableError("SERVICE_UNAVAILABLE")

    # When they are dispatched
    results = run([lane([first, second, third], sent, ends=lambda request: failure if request is first else None)])

    # Then the newer changes share its outcome, and their neighbours go
    held = [result for result in results if result.request not in (first, second, third)]
    assert [result.outcomes for result in held] == [[Retried("SERVICE_UNAVAILABLE")]] * 2
    assert [item.change.membership for result in held for item in result.request.items] == ["m", "m"]
    assert sent.started == [first, second, third]
    assert [len(request.items) for request in sent.started] == [2, 1, 1]


def test_a_request_of_which_nothing_is_left_is_not_sent() -> None:
    sent = Sent()
    first, second = (PlannedRequest("ENTERED", wave, [item("m")]) for wave in (1, 2))
    failure = UnavailableError("SERVICE_UNAVAILABLE")

    results = run([lane([first, second], sent, ends=lambda _request: failure)])

    assert sent.started == [first]
    assert sum(len(result.outcomes) for result in results) == 2


def test_nothing_to_send_is_nothing_to_do() -> None:
    assert run([lane([])]) == []
