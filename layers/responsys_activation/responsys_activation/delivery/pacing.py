"""When does a connector's next request go, and what does its end mean for those that wait?"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Protocol

from responsys_activation.aws.request_pace import RequestPace
from responsys_activation.aws.slots import NoSlotError, Slot, Timing, Wait
from responsys_activation.error_code import ErrorCode
from responsys_activation.responsys.errors import OutcomeUnknownError, ResponsysError, UnavailableError

__all__ = ["DoubtObserver", "Pacing", "shortest_request"]

_WORTH_A_LOOK = 1.0  # seconds that a request has waited
_CLAIM_SECONDS = 5.0  # kept back for what comes between a slot and its request
# Below this share of a full request it is worth while to come back, and to meet others of its event.
_FAR_FROM_FULL = 0.5
_DOUBTS_IN_A_ROW = 3  # then the account is paused: what Responsys does not answer, it may still take
_RETRY_AFTER_DOUBTS = 600.0
# Under these, what stands between us and Responsys may have spoken.
_NOT_RESPONSYS = {ErrorCode.OTHER_ERROR, ErrorCode.TIMEOUT, ErrorCode.OUT_OF_TIME}


class DoubtObserver(Protocol):
    """Who counts a connector's doubts, what a person allowed to be sent in spite of them, and what has no claim."""

    def __call__(self, *, outcomes_unknown: int = 0, sent_in_doubt: int = 0, sent_without_ledger: int = 0) -> None:
        """Count messages at once: the invocation may not live to do it later."""


def shortest_request(reply_seconds: float) -> float:
    """Return the seconds that must be left for a request to start: its claims, its connection and reply."""
    return _CLAIM_SECONDS + reply_seconds


class Pacing:
    """Paces one connector's requests; safe to use from several threads.

    Parameters
    ----------
    read_limit : callable
        Asks the account for its limit, given the epoch seconds by which it must be there.
    reply_seconds : float
        How long a reply may take.
    several_accounts : callable
        Tells whether messages for other accounts may wait behind this one's.
    """

    def __init__(
        self,
        pace: RequestPace,
        *,
        timing: Timing,
        read_limit: Callable[[float], int | None],
        reply_seconds: float,
        observe_doubt: DoubtObserver,
        several_accounts: Callable[[], bool],
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._pace = pace
        self._timing = timing
        self._read_limit = read_limit
        self._reply_seconds = reply_seconds
        self._observe_doubt = observe_doubt
        self._several_accounts = several_accounts
        self._clock = clock
        self._sleep = sleep
        self._lock = threading.Lock()
        self._doubts_in_a_row = 0
        self._throttled: Wait | None = None

    def begin_batch(self) -> None:
        """Forget the throttle of the batch before."""
        self._throttled = None

    def next_slot(self, deadline: float, *, returned: bool, full: float = 1.0) -> Slot:
        """Wait until shortly before the next slot.

        A slot for which the account was paused meanwhile is void: after a pause slots are given anew. The errors are
        those of :meth:`RequestPace.reserve`, and of reading the limit.

        Parameters
        ----------
        deadline : float
            Epoch seconds by which the reply must be there.
        returned : bool
            Whether all messages of the request came back.
        full : float
            The share of a full request that it is. Others of its event fill up what is far from full, if they meet.
        """
        several = self._several_accounts()
        while True:
            slot = self._pace.reserve(
                lambda: self._read_limit(deadline),
                deadline - shortest_request(self._reply_seconds),
                returned=returned if several or full < _FAR_FROM_FULL else None,
                full=full,
                patient=not several,
            )
            if self._wait_before(slot):
                return slot

    def _wait_before(self, slot: Slot) -> bool:
        """Wait until it is time to prepare a request, and tell whether its slot still counts."""
        while (left := slot.at - self._timing.ahead - self._clock()) > 0:
            self._sleep(min(left, self._timing.look))
            if left > _WORTH_A_LOOK and self._pace.is_paused():
                return False
        return True

    def wait_until(self, slot: Slot) -> bool:
        """Wait for a slot, and tell whether it is not too late for it; raise as :meth:`heed_pause`."""
        self._sleep(max(0.0, slot.at - self._clock()))
        self.heed_pause()
        return self._clock() <= slot.until

    def heed_pause(self) -> None:
        """Raise :class:`NoSlotError` where another thread's reply has paused the account meanwhile."""
        if self._throttled:
            raise NoSlotError(self._throttled)

    def pause(self, code: str, retry_after: float, *, in_doubt: bool = False) -> Wait:
        """Hold up the account for so many seconds, and this environment's requests that wait."""
        self._throttled = self._pace.pause(code, retry_after, in_doubt=in_doubt)
        return self._throttled

    def hand_back(self, slot: Slot) -> None:
        """Leave it to another request to be the probe, where this one was not sent."""
        if slot.probe:
            self._pace.hand_back(slot.probe)

    def request_ended(self, slot: Slot, recipients: int, failure: ResponsysError | None) -> None:
        """Let the account's pause know what a request met: only Responsys's own answer ends one."""
        match failure:
            case OutcomeUnknownError():
                self._observe_doubt(outcomes_unknown=recipients)
                with self._lock:
                    self._doubts_in_a_row += 1
                    silent = self._doubts_in_a_row >= _DOUBTS_IN_A_ROW
                if slot.probe or silent:
                    self.pause(failure.code, _RETRY_AFTER_DOUBTS, in_doubt=True)
            case UnavailableError() if failure.code in _NOT_RESPONSYS:
                if slot.probe:
                    self._pace.hand_back(slot.probe, tried=True)
            case _:
                self._doubts_in_a_row = 0
                if slot.probe:
                    self._pace.lift(slot.probe)
