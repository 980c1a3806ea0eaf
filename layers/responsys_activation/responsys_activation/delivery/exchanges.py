"""How does each HTTP request get a slot of its own, and what does its end mean for the pace?"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from responsys_activation.aws.slots import BudgetOutOfReachError, NoSlotError, Slot
from responsys_activation.delivery.pacing import Pacing
from responsys_activation.delivery.result import Exchange
from responsys_activation.error_code import ErrorCode
from responsys_activation.responsys.errors import ResponsysError, ThrottledError, UnavailableError
from responsys_activation.responsys.events import EventReply
from responsys_activation.responsys.list_merge import MergeReply

__all__ = ["Exchanges"]

_CHECKS = 2
AnyReply = TypeVar("AnyReply", EventReply, MergeReply)


class Exchanges:
    """The slots and HTTP requests of one planned request.

    Parameters
    ----------
    deadline : float
        Epoch seconds by which the last reply must be there.
    returned : bool
        Whether all of its messages came back.
    full : float
        The share of a full request that it is.
    reply_seconds : float
        How long a reply may take.

    Attributes
    ----------
    exchanges, budget_wait, budget_unavailable
        As a :class:`~responsys_activation.delivery.result.RequestResult` has them.
    """

    def __init__(
        self,
        request_id: str,
        deadline: float,
        *,
        returned: bool,
        full: float = 1.0,
        pacing: Pacing,
        reply_seconds: float,
        clock: Callable[[], float],
    ) -> None:
        self._request_id = request_id
        self._deadline = deadline
        self._returned = returned
        self._full = full
        self._pacing = pacing
        self._reply_seconds = reply_seconds
        self._clock = clock
        self._slot: Slot | None = None
        self.exchanges: list[Exchange] = []
        self.budget_wait = 0.0
        self.budget_unavailable = False

    def wait_for_slot(self) -> Slot:
        """Wait until shortly before the slot of the next HTTP request; raise a ``Failure`` where there is none."""
        before = self._clock()
        try:
            slot = self._slot = self._pacing.next_slot(self._deadline, returned=self._returned, full=self._full)
        except BudgetOutOfReachError:
            self.budget_unavailable = True
            raise
        self.budget_wait += self._clock() - before
        self._pacing.heed_pause()
        return slot

    def _wait_until_slot(self, check: Callable[[], None]) -> Slot:
        """Wait for the slot itself.

        It is one request's, and for its time: the second post after a token error waits for another, and so does a post
        that was held up by its claims or a login.

        Parameters
        ----------
        check : callable
            What is to hold shortly before the slot. It is asked anew where that was missed, but not for ever: where
            DynamoDB is slow, it would itself let one slot after another pass.
        """
        slot = self._slot or self.wait_for_slot()
        checks = 0
        while True:
            if checks < _CHECKS:
                check()
                checks += 1
            self.budget_wait += max(0.0, slot.at - self._clock())
            if self._pacing.wait_until(slot):
                self._slot = None
                return slot
            slot = self.wait_for_slot()

    def _exchange(
        self, recipients: int, post: Callable[[str], AnyReply], *, check: Callable[[], None] = lambda: None
    ) -> AnyReply:
        """Make one HTTP request."""
        slot = self._wait_until_slot(check)
        started = self._clock()
        if self._deadline - started < self._reply_seconds:
            raise UnavailableError(ErrorCode.OUT_OF_TIME, title="too late for a reply")
        number = len(self.exchanges)
        request_id = f"{self._request_id}-{number}" if number else self._request_id
        try:
            reply = post(request_id)
        except ResponsysError as exc:
            self.exchanges.append(Exchange(request_id, recipients, self._clock() - started, failure=exc))
            if isinstance(exc, ThrottledError):
                raise NoSlotError(self._pacing.pause(exc.code, exc.retry_after)) from None
            self._pacing.request_ended(slot, recipients, exc)
            raise
        self.exchanges.append(Exchange(request_id, recipients, self._clock() - started, reply))
        self._pacing.request_ended(slot, recipients, None)
        return reply
