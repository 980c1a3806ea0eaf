"""Which planned request goes out when?

All decisions are made in the calling thread. The others send, wait, and read what was decided for them meanwhile: one
reference, which needs no lock.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import replace
from functools import partial

from responsys_activation.delivery.lane import Lane
from responsys_activation.delivery.outcome import Retried
from responsys_activation.delivery.planning import PlannedCreation, PlannedRequest
from responsys_activation.delivery.result import CreationResult, RequestResult, outcome_of_error
from responsys_activation.error_code import ErrorCode
from responsys_activation.observability import logger
from responsys_activation.responsys.errors import UnavailableError

__all__ = ["dispatch"]


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
        while awaited or any(lane.is_unfinished for lane in lanes):
            short_of_time = clock() + 2 * shortest_request > deadline
            for lane in lanes:
                if left := lane.plan_on(short_of_time=short_of_time):
                    yield left
            for lane, request in _startable(lanes, in_flight - len(awaited)):
                if held := lane.hold_back(request):
                    yield held
                if not request.items:
                    continue
                outcome = lane.stop_for(request) or (None if isinstance(request, PlannedCreation) else lane.exhausted)
                if outcome is None and clock() + shortest_request > deadline:
                    outcome = Retried(ErrorCode.OUT_OF_TIME)
                if outcome is not None:
                    yield RequestResult(lane.connector, request, [outcome] * len(request.items))
                    continue
                lane.in_flight += 1
                lane.wave = request.wave
                awaited[_submit(pool, lane, request, deadline)] = (lane, request)
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


def _submit(pool: ThreadPoolExecutor, lane: Lane, request: PlannedRequest, deadline: float) -> Future[RequestResult]:
    if lane.create and isinstance(request, PlannedCreation):
        return pool.submit(lane.create, request, deadline)
    return pool.submit(lane.send, request, deadline, partial(lane.stop_for, request))


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
        result = future.result()
    except Exception as exc:  # noqa: BLE001 - what it is, nobody knows
        # Without its text, which may quote a value.
        where = "".join(traceback.format_tb(exc.__traceback__))
        fields = {"connector": lane.connector, "errorType": type(exc).__name__, "stackTrace": where}
        logger.error("request failed unexpectedly", extra=fields)
        return _failed(lane, request, UnavailableError(ErrorCode.OTHER_ERROR, title="unexpected failure"), now)
    may_go_on = lane.create is not None or isinstance(result, CreationResult)
    return result if may_go_on or not result.goes_on else replace(result, goes_on=frozenset())


def _late(lane: Lane, request: PlannedRequest, now: float) -> RequestResult:
    """Give up on a reply; whether the messages were taken, and whether that is in doubt, the ledger will know."""
    return _failed(
        lane, request, UnavailableError(ErrorCode.TIMEOUT, title="no reply before the invocation's end"), now
    )


def _failed(lane: Lane, request: PlannedRequest, failure: UnavailableError, now: float) -> RequestResult:
    return RequestResult(lane.connector, request, [outcome_of_error(failure, now)] * len(request.items), failure)
