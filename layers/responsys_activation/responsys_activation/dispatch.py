"""Which planned request goes out when, and what does its answer mean for each of its messages?

All decisions are made in the calling thread; the others only wait for replies. So there is no shared state to guard.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field

from responsys_activation.aws.faults import AwsUnavailableError
from responsys_activation.outcome import Delivered, ErrorCode, Outcome, Rejected, Retried, Throttled
from responsys_activation.planning import PlannedRequest
from responsys_activation.responsys.errors import (
    LoginRefusedError,
    OutcomeUnknownError,
    RefusalScope,
    RequestRefusedError,
    ResponsysError,
    ThrottledError,
)
from responsys_activation.responsys.events import EventReply

__all__ = ["Answer", "Lane", "dispatch", "outcome_of_error"]

SHORTEST_REQUEST = 5.0  # seconds; a request started with less left would likely end in an unknown outcome
_FAILURES_IN_A_ROW = 3  # then Responsys is down: the rest of the connector's requests would only make it worse

_DELIVERED = Delivered()

Failure = ResponsysError | AwsUnavailableError


@dataclass(slots=True)
class Lane:
    """One connector's requests of this invocation.

    Attributes
    ----------
    send : callable
        Makes one request, given the epoch seconds by which its reply must be there.
    """

    connector: str
    send: Callable[[PlannedRequest, float], EventReply]
    waiting: deque[PlannedRequest]
    in_flight: int = 0
    wave: int = 0
    failures_in_a_row: int = 0
    stopped: Outcome | None = None
    stopped_events: dict[str, Outcome] = field(default_factory=dict)

    def next_may_start(self) -> bool:
        """Tell whether the next request shares a wave with those in flight, or none is in flight."""
        return bool(self.waiting) and (self.in_flight == 0 or self.waiting[0].wave == self.wave)

    def stop_for(self, request: PlannedRequest) -> Outcome | None:
        """Give the outcome that an earlier answer already decided for this request."""
        return self.stopped or self.stopped_events.get(request.event_name)


@dataclass(frozen=True, slots=True)
class Answer:
    """How one planned request ended.

    Attributes
    ----------
    outcomes : list of Outcome
        By position in ``request.items``.
    sent : bool
        False when an earlier answer or the end of the invocation decided it without a request.
    seconds : float
        From sending to the reply.
    """

    connector: str
    request: PlannedRequest
    outcomes: Sequence[Outcome]
    sent: bool = False
    seconds: float = 0.0
    reply: EventReply | None = None
    failure: Failure | None = None


def dispatch(
    lanes: Iterable[Lane], *, in_flight: int, deadline: float, clock: Callable[[], float] = time.time
) -> Iterator[Answer]:
    """Send every lane's requests and yield each one's end, as they end.

    Parameters
    ----------
    in_flight : int
        Most requests at once, over all lanes.
    deadline : float
        Epoch seconds; at it, replies still awaited count as unknown and no request starts.
    """
    lanes = [lane for lane in lanes if lane.waiting]
    awaited: dict[Future[EventReply], tuple[Lane, PlannedRequest, float]] = {}
    pool = ThreadPoolExecutor(in_flight)
    try:
        while True:
            for lane, request in _startable(lanes, in_flight - len(awaited)):
                outcome = lane.stop_for(request)
                if outcome is None and clock() + SHORTEST_REQUEST > deadline:
                    outcome = Retried(ErrorCode.OUT_OF_TIME)
                if outcome is not None:
                    yield Answer(lane.connector, request, [outcome] * len(request.items))
                    continue
                lane.in_flight += 1
                lane.wave = request.wave
                awaited[pool.submit(lane.send, request, deadline)] = (lane, request, clock())
            if awaited:
                yield from _ended(awaited, deadline, clock)
            elif not any(lane.waiting for lane in lanes):
                return
    finally:
        # A reply that is past the deadline is not waited for: settling the batch comes first.
        pool.shutdown(wait=False, cancel_futures=True)


def _startable(lanes: Sequence[Lane], places: int) -> Iterator[tuple[Lane, PlannedRequest]]:
    """Take requests that may start now, in turn from each lane, so that one connector cannot hold up another."""
    while places > 0:
        lane = min((lane for lane in lanes if lane.next_may_start()), key=lambda lane: lane.in_flight, default=None)
        if lane is None:
            return
        before = lane.in_flight
        yield lane, lane.waiting.popleft()
        places -= lane.in_flight - before


def _ended(
    awaited: dict[Future[EventReply], tuple[Lane, PlannedRequest, float]],
    deadline: float,
    clock: Callable[[], float],
) -> Iterator[Answer]:
    """Wait for the next reply; at the deadline give up on all."""
    done, _ = wait(awaited, timeout=max(0.0, deadline - clock()), return_when=FIRST_COMPLETED)
    late = OutcomeUnknownError(ErrorCode.TIMEOUT, title="no reply before the invocation's end")
    for future in done or set(awaited):
        lane, request, started = awaited.pop(future)
        lane.in_flight -= 1
        seconds = clock() - started
        try:
            reply = future.result() if future in done else None
        except (ResponsysError, AwsUnavailableError) as exc:
            yield _refused(lane, request, exc, seconds)
            continue
        if reply is None:
            yield _refused(lane, request, late, seconds)
            continue
        lane.failures_in_a_row = 0
        outcomes = [_DELIVERED if code is None else Rejected(code) for code in reply.error_codes]
        yield Answer(lane.connector, request, outcomes, sent=True, seconds=seconds, reply=reply)


def _refused(lane: Lane, request: PlannedRequest, failure: Failure, seconds: float) -> Answer:
    """Decide what a failed request means for its messages and for the requests still waiting in its lane."""
    outcome = outcome_of_error(failure)
    match failure:
        case ThrottledError() | LoginRefusedError() | RequestRefusedError(scope=RefusalScope.CONNECTOR):
            lane.stopped = lane.stopped or outcome
        case RequestRefusedError(scope=RefusalScope.EVENT):
            lane.stopped_events[request.event_name] = outcome
        case RequestRefusedError():
            lane.failures_in_a_row = 0
        case _:
            lane.failures_in_a_row += 1
            if lane.failures_in_a_row >= _FAILURES_IN_A_ROW:
                lane.stopped = lane.stopped or outcome
    outcomes = [outcome] * len(request.items)
    return Answer(lane.connector, request, outcomes, sent=True, seconds=seconds, failure=failure)


def outcome_of_error(failure: Failure) -> Outcome:
    """Give the outcome of the messages whose request failed as a whole."""
    match failure:
        case ThrottledError():
            return Throttled(failure.code, failure.clock)
        case LoginRefusedError():
            ours = failure.code if failure.code == ErrorCode.UNTRUSTED_ENDPOINT else ErrorCode.INVALID_CREDENTIALS
            return Throttled(ours, failure.clock)
        case RequestRefusedError():
            return Rejected(failure.code, failure.title)
        case ResponsysError():
            return Retried(failure.code)
        case AwsUnavailableError():
            return Retried(ErrorCode.AWS_UNAVAILABLE)
