"""Which planned request goes out when?

All decisions are made in the calling thread. The others send, wait, and read what was decided for them meanwhile: one
reference, which needs no lock.
"""

from __future__ import annotations

import time
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from functools import partial

from responsys_activation.aws.slots import NoSlotError, Wait
from responsys_activation.delivery.outcome import Outcome, Retried, Throttled
from responsys_activation.delivery.planning import PlannedRequest
from responsys_activation.delivery.result import RequestResult, outcome_of_error
from responsys_activation.error_code import ErrorCode
from responsys_activation.observability import logger
from responsys_activation.responsys.errors import (
    LoginRefusedError,
    OutcomeUnknownError,
    RefusalScope,
    RequestRefusedError,
    ThrottledError,
    UnavailableError,
)

__all__ = ["Lane", "dispatch"]

# So many event names of a batch that Responsys does not know, and those that nobody configured wait: each would cost a
# request, and a producer may write an id there.
_UNKNOWN_EVENTS = 5
_PERHAPS_UNKNOWN_TOO = Throttled(
    "CUSTOM_EVENT_NOT_FOUND",
    300.0,
    reason="the settings do not name this event, and too many others of its batch do not exist in Responsys",
)
_FAILURES_IN_A_ROW = 3  # then Responsys is down: the rest of the connector's requests would only make it worse


@dataclass(slots=True)
class Lane:
    """One connector's requests of this invocation.

    Attributes
    ----------
    send : callable
        Sends one request, given the epoch seconds by which its reply must be there, and what tells, while it waits, the
        outcome that another result decided for it.
    knows_event : callable
        Tells of an event's name whether the settings name it, or Responsys took it before.
    held_back : dict of str to Outcome
        By membership, how a change ended that comes back: a newer one must not go before it.
    """

    connector: str
    send: Callable[[PlannedRequest, float, Callable[[], Outcome | None]], RequestResult]
    waiting: deque[PlannedRequest]
    in_flight: int = 0
    wave: int = 0
    failures_in_a_row: int = 0
    stopped: Outcome | None = None
    stopped_events: dict[str, Outcome] = field(default_factory=dict)
    exhausted: Outcome | None = None
    held_back: dict[str, Outcome] = field(default_factory=dict)
    knows_event: Callable[[str], bool] = lambda _event_name: True

    def next_may_start(self) -> bool:
        """Return whether the next request shares a wave with those in flight, or none is in flight."""
        return bool(self.waiting) and (self.in_flight == 0 or self.waiting[0].wave == self.wave)

    def stop_for(self, request: PlannedRequest) -> Outcome | None:
        """Return the outcome that earlier results already decided for this request."""
        if outcome := self.stopped or self.stopped_events.get(request.event_name):
            return outcome
        if len(self.stopped_events) >= _UNKNOWN_EVENTS and not self.knows_event(request.event_name):
            return _PERHAPS_UNKNOWN_TOO
        return None

    def hold_back(self, request: PlannedRequest) -> RequestResult | None:
        """Take out of a request what would overtake an older change of its membership; it shares its outcome."""
        if not self.held_back:
            return None
        positions = [
            position for position, item in enumerate(request.items) if item.change.membership in self.held_back
        ]
        if not positions:
            return None
        held = request.take_out(positions)
        return RequestResult(self.connector, held, [self.held_back[item.change.membership] for item in held.items])

    def learn(self, result: RequestResult, now: float) -> None:
        """Decide what a result means for the requests still waiting."""
        for item, outcome in zip(result.request.items, result.outcomes, strict=True):
            if isinstance(outcome, Retried | Throttled):
                self.held_back[item.change.membership] = outcome
        match result.failure:
            case None:
                self.failures_in_a_row = 0
            case NoSlotError(wait=Wait(one_request=True)):
                pass
            case NoSlotError(wait=Wait(code=ErrorCode.BUDGET_EXHAUSTED)) as failure:
                # Those that wait for a slot have one that nobody else can use.
                self.exhausted = self.exhausted or outcome_of_error(failure, now)
            case (
                NoSlotError()
                | ThrottledError()
                | LoginRefusedError()
                | RequestRefusedError(scope=RefusalScope.CONNECTOR) as failure
            ):
                self.stopped = self.stopped or outcome_of_error(failure, now)
            case RequestRefusedError(scope=RefusalScope.EVENT) as failure:
                self.stopped_events[result.request.event_name] = outcome_of_error(failure, now)
            case RequestRefusedError():
                self.failures_in_a_row = 0
            case OutcomeUnknownError():
                pass  # the sender counts these itself, and pauses the account
            case failure:
                self.failures_in_a_row += 1
                if self.failures_in_a_row >= _FAILURES_IN_A_ROW:
                    self.stopped = self.stopped or outcome_of_error(failure, now)


def dispatch(
    lanes: Iterable[Lane],
    *,
    in_flight: int,
    deadline: float,
    shortest_request: float,
    clock: Callable[[], float] = time.time,
) -> Iterator[RequestResult]:
    """Send every lane's requests and yield each one's result, as they come.

    Parameters
    ----------
    in_flight : int
        Most requests at once, over all lanes.
    deadline : float
        Epoch seconds by which the last reply must be there.
    shortest_request : float
        Seconds that must be left for a request to start: so long its reply may take.
    """
    lanes = [lane for lane in lanes if lane.waiting]
    awaited: dict[Future[RequestResult], tuple[Lane, PlannedRequest]] = {}
    pool = ThreadPoolExecutor(in_flight)
    try:
        while awaited or any(lane.waiting for lane in lanes):
            for lane, request in _startable(lanes, in_flight - len(awaited)):
                if held := lane.hold_back(request):
                    yield held
                    if not request.items:
                        continue
                outcome = lane.stop_for(request) or lane.exhausted
                if outcome is None and clock() + shortest_request > deadline:
                    outcome = Retried(ErrorCode.OUT_OF_TIME)
                if outcome is not None:
                    yield RequestResult(lane.connector, request, [outcome] * len(request.items))
                    continue
                lane.in_flight += 1
                lane.wave = request.wave
                awaited[pool.submit(lane.send, request, deadline, partial(lane.stop_for, request))] = (lane, request)
            done, late = wait(awaited, timeout=max(0.0, deadline - clock()), return_when=FIRST_COMPLETED)
            for future in done or late:
                lane, request = awaited.pop(future)
                lane.in_flight -= 1
                result = _result(lane, request, future, clock()) if done else _late(lane, request, clock())
                lane.learn(result, clock())
                yield result
    finally:
        # A reply that is past the deadline is not waited for: settling the batch comes first.
        pool.shutdown(wait=False, cancel_futures=True)


def _startable(lanes: Sequence[Lane], places: int) -> Iterator[tuple[Lane, PlannedRequest]]:
    """Take requests that may start now, in turn from each lane, so that one connector cannot hold up another."""
    while places > 0:
        ready = [lane for lane in lanes if lane.next_may_start()]
        if not ready:
            return
        lane = min(ready, key=lambda lane: lane.in_flight)
        before = lane.in_flight
        yield lane, lane.waiting.popleft()
        places -= lane.in_flight - before


def _result(lane: Lane, request: PlannedRequest, future: Future[RequestResult], now: float) -> RequestResult:
    """Return a request's result. What nobody foresaw is that request's alone: the others' messages must be settled."""
    try:
        return future.result()
    except Exception as exc:  # noqa: BLE001 - what it is, nobody knows
        # Without its text, which may quote a value.
        where = "".join(traceback.format_tb(exc.__traceback__))
        fields = {"connector": lane.connector, "errorType": type(exc).__name__, "stackTrace": where}
        logger.error("request failed unexpectedly", extra=fields)
        return _failed(lane, request, UnavailableError(ErrorCode.OTHER_ERROR, title="unexpected failure"), now)


def _late(lane: Lane, request: PlannedRequest, now: float) -> RequestResult:
    """Give up on a reply; whether the messages were taken, and whether that is in doubt, the ledger will know."""
    return _failed(
        lane, request, UnavailableError(ErrorCode.TIMEOUT, title="no reply before the invocation's end"), now
    )


def _failed(lane: Lane, request: PlannedRequest, failure: UnavailableError, now: float) -> RequestResult:
    return RequestResult(lane.connector, request, [outcome_of_error(failure, now)] * len(request.items), failure)
