"""How do a planned request's recipients reach Responsys, each HTTP request in a slot of its own?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from responsys_activation.aws.slots import NoSlotError, Slot
from responsys_activation.delivery.isolating import End, InDoubt
from responsys_activation.delivery.outcome import Delivered, Rejected, Retried
from responsys_activation.delivery.pacing import DoubtObserver, Pacing
from responsys_activation.delivery.planning import Outgoing, PlannedRequest
from responsys_activation.delivery.result import Exchange, deferred
from responsys_activation.error_code import ErrorCode
from responsys_activation.responsys.classification import RETRY_AFTER, ErrorClass, class_of_code
from responsys_activation.responsys.client import ResponsysClient
from responsys_activation.responsys.errors import ResponsysError, ThrottledError, UnavailableError
from responsys_activation.responsys.events import EventReply

__all__ = ["Posting"]

_DELIVERED = Delivered()


class Posting:
    """One planned request's slots and HTTP requests.

    Parameters
    ----------
    deadline : float
        Epoch seconds by which the last reply must be there.
    reply_seconds : float
        How long a reply may take.

    Attributes
    ----------
    exchanges, budget_wait, budget_unavailable
        As a :class:`~responsys_activation.delivery.result.RequestResult` has them.
    """

    def __init__(
        self,
        request: PlannedRequest,
        deadline: float,
        *,
        client: ResponsysClient,
        pacing: Pacing,
        reply_seconds: float,
        observe_doubt: DoubtObserver,
        clock: Callable[[], float],
    ) -> None:
        self._request = request
        self._deadline = deadline
        self._responsys = client
        self._pacing = pacing
        self._reply_seconds = reply_seconds
        self._observe_doubt = observe_doubt
        self._clock = clock
        self._slot: Slot | None = None
        self.exchanges: list[Exchange] = []
        self.budget_wait = 0.0
        self.budget_unavailable = False

    def wait_for_slot(self) -> Slot:
        """Wait for the slot of the next HTTP request; raise a ``Failure`` where there is none."""
        before = self._clock()
        returned = all(item.message.came_back for item in self._request.items)
        slot = self._slot = self._pacing.next_slot(self._deadline, returned=returned)
        self.budget_unavailable = self.budget_unavailable or not slot.shared
        self.budget_wait += self._clock() - before
        self._pacing.heed_pause()
        return slot

    def post(self, group: Sequence[int]) -> dict[int, End]:
        """Post the recipients at some positions, and once more after a token error; raise a ``Failure`` of all."""
        items = [self._request.items[position] for position in group]
        reply = self._responsys.trigger(
            self._request.event_name,
            [item.event.recipient_json for item in items],
            deadline=self._deadline,
            attempt=partial(self._exchange, len(items)),
        )
        return dict(zip(group, map(self._end, items, reply.error_codes), strict=True))

    def _exchange(self, recipients: int, post: Callable[[str], EventReply]) -> EventReply:
        """Make one HTTP request.

        A slot is one request's, and for its time: the second post after a token error waits for another, and so does
        a post that had to wait for a login.
        """
        slot = self._slot
        if slot is None or self._clock() > slot.until:
            slot = self.wait_for_slot()
        self._slot = None
        started = self._clock()
        if self._deadline - started < self._reply_seconds:
            raise UnavailableError(ErrorCode.OUT_OF_TIME, title="too late for a reply")
        number = len(self.exchanges)
        request_id = f"{self._request.request_id}-{number}" if number else self._request.request_id
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

    def _end(self, item: Outgoing, code: str | None) -> End:
        """Return one recipient's end: by the same table as a whole request's."""
        if code is None:
            return _DELIVERED
        match class_of_code(code):
            case ErrorClass.THROTTLED_MINUTE | ErrorClass.THROTTLED_CAPACITY as throttle:
                return deferred(self._pacing.pause(code, RETRY_AFTER[throttle]), self._clock())
            case ErrorClass.TOKEN | ErrorClass.UNAVAILABLE:
                return Retried(code)
            case ErrorClass.FAILED if not item.message.came_back:
                return Retried(code)
            case ErrorClass.UNKNOWN:
                self._observe_doubt(outcomes_unknown=1)
                return InDoubt(code)
            case _:
                return Rejected(code)
