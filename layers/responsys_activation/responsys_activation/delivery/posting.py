"""How do a planned request's recipients reach Responsys, and how does each of them end?"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial

from responsys_activation.aws.claims import NewerChange
from responsys_activation.aws.faults import AwsCallError
from responsys_activation.change import Change
from responsys_activation.delivery.exchanges import Exchanges
from responsys_activation.delivery.isolating import End, InDoubt
from responsys_activation.delivery.missing import NO_RECIPIENT_FOUND
from responsys_activation.delivery.order import overtaken
from responsys_activation.delivery.outcome import Delivered, Outcome, Rejected, Retried
from responsys_activation.delivery.pacing import DoubtObserver, Pacing
from responsys_activation.delivery.planning import Outgoing, PlannedRequest
from responsys_activation.delivery.result import deferred
from responsys_activation.error_code import ErrorCode
from responsys_activation.observability import logger
from responsys_activation.responsys.classification import RETRY_AFTER, ErrorClass, class_of_code
from responsys_activation.responsys.client import ResponsysClient
from responsys_activation.responsys.events import MAXIMUM_RECIPIENTS

__all__ = ["Posting"]

_DELIVERED = Delivered()


class _OvertakenError(Exception):
    """Some recipients of a group are not to be posted any more.

    Attributes
    ----------
    ends : Mapping of int to Outcome
        Theirs, by position.
    """

    def __init__(self, ends: Mapping[int, Outcome]) -> None:
        super().__init__()
        self.ends = ends


class Posting(Exchanges):
    """One planned request's way to Responsys; the other parameters as for :class:`Exchanges`.

    Parameters
    ----------
    newer : callable
        Tells for each of some changes how newer ones of its membership stand.
    creation_seconds : float
        What is kept back of the time once a recipient is missing, for creating who is; 0 where nobody is created.
    """

    def __init__(
        self,
        request: PlannedRequest,
        deadline: float,
        *,
        client: ResponsysClient,
        newer: Callable[[Sequence[Change]], list[list[NewerChange]]],
        pacing: Pacing,
        reply_seconds: float,
        creation_seconds: float,
        observe_doubt: DoubtObserver,
        clock: Callable[[], float],
    ) -> None:
        returned = all(item.message.came_back for item in request.items)
        super().__init__(
            request.request_id,
            deadline,
            returned=returned,
            full=len(request.items) / MAXIMUM_RECIPIENTS,
            pacing=pacing,
            reply_seconds=reply_seconds,
            clock=clock,
        )
        self._request = request
        self._responsys = client
        self._newer = newer
        self._creation_seconds = creation_seconds
        self._observe_doubt = observe_doubt

    def post(self, returned: Collection[int], group: Sequence[int]) -> dict[int, End]:
        """Post the recipients at some positions, and once more after a token error; raise a ``Failure`` of all.

        Parameters
        ----------
        returned : collection of int
            Positions of what was received before: it is not posted where a newer change has overtaken it by then.
        """
        ends: dict[int, End] = {}
        while left := [position for position in group if position not in ends]:
            try:
                return ends | self._post(left, [position for position in left if position in returned])
            except _OvertakenError as exc:
                ends |= exc.ends
        return ends

    def _post(self, group: Sequence[int], returned: Sequence[int]) -> dict[int, End]:
        items = [self._request.items[position] for position in group]
        reply = self._responsys.trigger(
            self._request.event_name,
            [item.event.recipient_json for item in items],
            deadline=self._deadline,
            attempt=partial(self._exchange, len(items), check=partial(self._look_for_newer, returned)),
        )
        if NO_RECIPIENT_FOUND in reply.error_codes:
            # Else isolating others could use up the time for that, each time that they come back.
            self._deadline -= self._creation_seconds
            self._creation_seconds = 0.0
        return dict(zip(group, map(self._end, items, reply.error_codes), strict=True))

    def _look_for_newer(self, returned: Sequence[int]) -> None:
        """Raise :class:`_OvertakenError` where a newer change went out while a message was away, or waited.

        Claims are made about a second before their slots, by us as by others: what is claimed after this look is posted
        after us. First receives ask nothing, so that an ordinary day costs nothing.
        """
        if not returned:
            return
        changes = [self._request.items[position].change for position in returned]
        try:
            newer = self._newer(changes)
        except AwsCallError as exc:
            logger.warning("newer changes not read", extra={"fault": str(exc)})
            raise _OvertakenError(dict.fromkeys(returned, Retried(ErrorCode.AWS_UNAVAILABLE))) from None
        ends = {
            position: outcome
            for position, change, others in zip(returned, changes, newer, strict=True)
            if (outcome := overtaken(change.call_type, others))
        }
        if ends:
            raise _OvertakenError(ends)

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
