"""How does one planned request go, from its slot in the budget to its record in the ledger?

Reserve a slot, claim, look for newer changes, post, record. Every message leaves with its outcome, whatever happens on
the way.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial

from responsys_activation.aws.claims import Claim, ClaimState
from responsys_activation.aws.faults import AwsCallError
from responsys_activation.aws.ledger import Ledger
from responsys_activation.aws.slots import Slot
from responsys_activation.connector import Connector
from responsys_activation.delivery.creating import RecipientCreator
from responsys_activation.delivery.isolating import End, InDoubt, post_isolating
from responsys_activation.delivery.missing import BEING_CREATED, NO_RECIPIENT_FOUND, outcome_of_missing
from responsys_activation.delivery.outcome import Delivered, Duplicate, Outcome, Rejected, Retried
from responsys_activation.delivery.pacing import DoubtObserver, Pacing
from responsys_activation.delivery.planning import Outgoing, PlannedRequest
from responsys_activation.delivery.posting import Posting
from responsys_activation.delivery.result import FAILURES, CreationResult, Failure, RequestResult, outcome_of_error
from responsys_activation.error_code import ErrorCode
from responsys_activation.membership import CallType
from responsys_activation.observability import logger
from responsys_activation.responsys.errors import RefusalScope, RequestRefusedError

__all__ = ["RequestSender"]

_UNKNOWN_EVENT_SECONDS = 60.0
_UNKNOWN_EVENTS_KEPT = 1_000

_NO_SUCH_EVENT = Rejected("CUSTOM_EVENT_NOT_FOUND")
_UNSENT: Mapping[ClaimState, Outcome] = {
    ClaimState.DELIVERED: Duplicate(),
    ClaimState.IN_FLIGHT: Retried(ErrorCode.IN_FLIGHT),
    ClaimState.HELD_UP: Retried(ErrorCode.AWS_UNAVAILABLE),
    ClaimState.OUT_OF_REACH: Retried(ErrorCode.AWS_UNAVAILABLE),
}
_PERHAPS_WRITTEN = {ClaimState.HELD_UP, ClaimState.OUT_OF_REACH}


class RequestSender:
    """Sends one connector's planned requests; safe to use from several threads.

    Parameters
    ----------
    open_posting : callable
        Begins a planned request, which is to end by the deadline given.
    creator : RecipientCreator or None
        Creates missing recipients, where the settings say so.
    maximum_resends : int
        How many times a message may be sent again whose request got no trustworthy reply; then it is rejected.
    time_scale : float
        Divides how long an event that Responsys lacks is remembered; 1 but on the local stack.
    """

    def __init__(
        self,
        name: str,
        connector: Connector,
        *,
        open_posting: Callable[[PlannedRequest, float], Posting],
        pacing: Pacing,
        ledger: Ledger,
        creator: RecipientCreator | None = None,
        maximum_resends: int,
        observe_doubt: DoubtObserver,
        time_scale: float = 1.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._name = name
        self._open_posting = open_posting
        self._pacing = pacing
        self._ledger = ledger
        self._creator = creator
        self._maximum_resends = maximum_resends
        self._observe_doubt = observe_doubt
        self._time_scale = time_scale
        self._clock = clock
        self._missing_action = connector.missing_recipients.action
        self._known_events = set(connector.configured_events)
        self._unknown_events: dict[str, float] = {}

    def knows_event(self, event_name: str) -> bool:
        """Return whether the settings name an event, or Responsys took it from this environment before."""
        return event_name in self._known_events

    def begin_batch(self) -> None:
        """Forget the throttle of the batch before."""
        self._pacing.begin_batch()
        if self._creator:
            self._creator.begin_batch()

    @property
    def create(self) -> Callable[[PlannedRequest, float], CreationResult] | None:
        """Creates the recipients that messages miss; ``None`` where nobody is created."""
        return self._creator.create if self._creator else None

    def send(
        self, request: PlannedRequest, deadline: float, stopped: Callable[[], Outcome | None] = lambda: None
    ) -> RequestResult:
        """Send one planned request.

        Parameters
        ----------
        deadline : float
            Epoch seconds by which the last reply must be there.
        stopped : callable
            Gives the outcome that another result decided for this request, while it waited for its slot.
        """
        if self._clock() < self._unknown_events.get(request.event_name, 0.0):
            return RequestResult(self._name, request, [_NO_SUCH_EVENT] * len(request.items))
        posting = self._open_posting(request, deadline)
        failure: Failure | None = None
        unknown: Collection[int] = ()
        goes_on: Collection[int] = ()
        try:
            slot = posting.wait_for_slot()
        except FAILURES as exc:
            failure = exc
            outcomes = [outcome_of_error(exc, self._clock())] * len(request.items)
        else:
            if outcome := stopped():
                outcomes = [outcome] * len(request.items)
            else:
                outcomes, unknown, goes_on, failure = self._claim_and_post(request, posting, slot, deadline)
            if not posting.exchanges:
                self._pacing.hand_back(slot)
        sent = (posting.exchanges, posting.budget_wait, posting.budget_unavailable)
        return RequestResult(self._name, request, outcomes, failure, *sent, unknown, goes_on)

    def _claim_and_post(
        self, request: PlannedRequest, posting: Posting, slot: Slot, deadline: float
    ) -> tuple[list[Outcome], Collection[int], Collection[int], Failure | None]:
        """Send what nobody else sends or has sent, and record it.

        Returns
        -------
        outcomes, outcome_unknown, goes_on, failure
            As a :class:`~responsys_activation.delivery.result.RequestResult` has them.
        """
        claims = self._claim(request, deadline)
        ends: dict[int, End] = {
            position: outcome for position, claim in enumerate(claims) if (outcome := _unsent(claim))
        }
        to_send = [position for position, claim in enumerate(claims) if claim.state is ClaimState.CLAIMED]
        out_of_reach = [position for position, claim in enumerate(claims) if claim.state is ClaimState.OUT_OF_REACH]
        to_send += self._new(request, out_of_reach)
        failure: Failure | None = None
        goes_on: set[int] = set()
        if to_send:
            groups = [to_send[:1], to_send[1:]] if slot.one_recipient and len(to_send) > 1 else [to_send]
            returned = {
                position
                for position in to_send
                if request.items[position].message.came_back or claims[position].taken_over
            }
            posted, failure = post_isolating(groups, partial(posting.post, returned), self._clock)
            self._learn_event(request.event_name, posting, failure)
            missing = {position: self._outcome_of_missing(request.items[position]) for position in _missing(posted)}
            ends |= posted | missing
            goes_on = {position for position, outcome in missing.items() if outcome is BEING_CREATED}
        elif out_of_reach:
            failure = AwsCallError("delivery ledger out of reach")
        unknown = {position for position, end in ends.items() if isinstance(end, InDoubt)}
        outcomes = [
            self._doubted(item, claims[position], end) if isinstance(end := ends[position], InDoubt) else end
            for position, item in enumerate(request.items)
        ]
        # Nobody is created for the sake of a message that this table does not have as not taken.
        if not self._record(request, claims, outcomes, unknown):
            goes_on.clear()
        return outcomes, unknown, goes_on, failure

    def _outcome_of_missing(self, item: Outgoing) -> Outcome:
        return outcome_of_missing(self._missing_action, may_create=item.change.call_type != CallType.REMOVE)

    def _claim(self, request: PlannedRequest, deadline: float) -> list[Claim]:
        """Claim messages, and count the doubts that this brings to light."""
        allowed = [self._allowed_doubts(item) for item in request.items]
        claims = self._ledger.claim([item.change for item in request.items], request.request_id, deadline, allowed)
        claimed = [claim for claim in claims if claim.state is ClaimState.CLAIMED]
        self._observe_doubt(
            outcomes_unknown=sum(claim.abandoned and claim.written for claim in claims),
            sent_in_doubt=sum(claim.doubts > self._maximum_resends for claim in claimed),
        )
        return claims

    def _allowed_doubts(self, item: Outgoing) -> int:
        return max(self._maximum_resends, item.message.mark.allowed_doubts)

    def _new(self, request: PlannedRequest, positions: Sequence[int]) -> list[int]:
        """Choose what cannot have been sent before, if the owner would rather send twice than not at all."""
        if not self._maximum_resends or not positions:
            return []
        new = [position for position in positions if not request.items[position].message.came_back]
        self._observe_doubt(sent_without_ledger=len(new))
        return new

    def _learn_event(self, event_name: str, posting: Posting, failure: Failure | None) -> None:
        """Remember that Responsys has an event; for a while, that it lacks one: each message would cost a request."""
        if any(exchange.reply for exchange in posting.exchanges):
            self._known_events.add(event_name)
        if isinstance(failure, RequestRefusedError) and failure.scope is RefusalScope.EVENT:
            self._known_events.discard(event_name)
            if len(self._unknown_events) >= _UNKNOWN_EVENTS_KEPT:
                self._unknown_events.clear()
            self._unknown_events[event_name] = self._clock() + _UNKNOWN_EVENT_SECONDS / self._time_scale

    def _doubted(self, item: Outgoing, claim: Claim, end: InDoubt) -> Outcome:
        """Return the outcome of a message that Responsys may have taken: once more, or never again."""
        doubts = 1 + (claim.doubts if claim.state is ClaimState.CLAIMED else 0)
        if doubts > self._allowed_doubts(item):
            return Rejected(ErrorCode.OUTCOME_UNKNOWN, end.title, doubts=doubts)
        return Retried(end.error_code)

    def _record(
        self,
        request: PlannedRequest,
        claims: Sequence[Claim],
        outcomes: Sequence[Outcome],
        unknown: Collection[int],
    ) -> bool:
        """Write the result into the ledger, and tell whether it stands there.

        Where that fails, the claims stand as those of a killed sender.

        It names whatever was not delivered, claimed or not: a claim whose call got no reply may stand too.
        """
        if not any(claim.written or claim.state in _PERHAPS_WRITTEN for claim in claims):
            return False
        undelivered = [
            position
            for position, outcome in enumerate(outcomes)
            if position not in unknown and not isinstance(outcome, Delivered | Duplicate)
        ]
        try:
            self._ledger.record(request.request_id, undelivered=undelivered, unknown=unknown)
        except AwsCallError as exc:
            logger.error("answer not recorded", extra={"connector": self._name, "fault": str(exc)})
            return False
        return True


def _missing(ends: Mapping[int, End]) -> list[int]:
    """Return the positions whose recipients the list does not have; Responsys may say so of a whole request."""
    return [
        position for position, end in ends.items() if isinstance(end, Rejected) and end.error_code == NO_RECIPIENT_FOUND
    ]


def _unsent(claim: Claim) -> Outcome | None:
    """Return the outcome of a message that its claim keeps from being sent."""
    if claim.state is ClaimState.CLAIMED:  # nearly all; a look into the table costs ten times as much
        return None
    if claim.state is ClaimState.IN_DOUBT:
        return Rejected(ErrorCode.OUTCOME_UNKNOWN, doubts=claim.doubts)
    return _UNSENT.get(claim.state)
