"""Who is added to the profile list, and whose messages go on?

Look who has left again, take the newcomers for this environment, merge them, and say which of their messages are to be
sent. Until then each message is recorded as not taken, so whatever happens on the way, it comes back and is sent as
ever: nobody is merged for the sake of a message that was.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

from responsys_activation.account import account_id
from responsys_activation.aws.delivery_table import Key, newcomer_key
from responsys_activation.aws.faults import AwsCallError
from responsys_activation.aws.ledger import Ledger
from responsys_activation.aws.newcomers import Newcomers
from responsys_activation.connector import Connector
from responsys_activation.delivery.isolating import End, InDoubt, post_isolating
from responsys_activation.delivery.merging import MATCH_COLUMNS, Merging
from responsys_activation.delivery.missing import BEING_CREATED, NO_RECIPIENT_FOUND, match_value
from responsys_activation.delivery.order import withdrawn
from responsys_activation.delivery.outcome import Outcome, Rejected, Retried, Throttled
from responsys_activation.delivery.pacing import Pacing
from responsys_activation.delivery.planning import Outgoing, PlannedRequest
from responsys_activation.delivery.result import FAILURES, CreationResult, Failure, outcome_of_error
from responsys_activation.error_code import ErrorCode
from responsys_activation.observability import logger
from responsys_activation.recipient import NoIdentifierError
from responsys_activation.responsys.classification import RETRY_AFTER, ErrorClass, class_of_code
from responsys_activation.responsys.errors import RefusalScope, RequestRefusedError
from responsys_activation.responsys.list_merge import MergeResult

__all__ = ["RecipientCreator"]

_REFUSED_SECONDS = 300.0  # for which nobody is created where the user has no right to, or the list is not there
# By then an event finds who was merged without an answer. They are not merged again before nobody works at it any more.
_RETRY_AFTER_DOUBT = 300.0


class Newcomer(NamedTuple):
    """Somebody who may be added.

    Attributes
    ----------
    value : str
        Of the match column.
    key : Key
        Of their item in the delivery table.
    positions : list of int
        The messages for whose sake; they share a recipient.
    """

    value: str
    key: Key
    positions: list[int]


class RecipientCreator:
    """Creates one connector's missing recipients; safe to use from several threads.

    Parameters
    ----------
    open_merging : callable
        Begins the list merges of a batch, given their request id and by when the last is to end.
    shortest_merge : float
        Seconds that must be left for a merge to start.
    """

    def __init__(
        self,
        name: str,
        connector: Connector,
        *,
        open_merging: Callable[[str, float], Merging],
        pacing: Pacing,
        ledger: Ledger,
        newcomers: Newcomers,
        shortest_merge: float,
        time_scale: float = 1.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._name = name
        self._connector = connector
        self._open_merging = open_merging
        self._pacing = pacing
        self._ledger = ledger
        self._newcomers = newcomers
        self._shortest_merge = shortest_merge
        self._time_scale = time_scale
        self._clock = clock
        self._refusal: RequestRefusedError | None = None
        self._refused_until = 0.0

    def begin_batch(self) -> None:
        """Forget the throttle of the batch before."""
        self._pacing.begin_batch()

    def create(self, request: PlannedRequest, deadline: float) -> CreationResult:
        """Create the recipients of these messages.

        Parameters
        ----------
        request : PlannedRequest
            At most 200 messages whose recipients the list does not have.
        deadline : float
            Epoch seconds by which the last reply must be there.
        """
        outcomes: dict[int, Outcome] = self._withdrawn(request.items)
        newcomers, unusable = self._newcomers_of(request.items, outcomes)
        outcomes |= unusable
        merging = self._open_merging(request.request_id, deadline)
        riids: dict[str, int] = {}
        found: set[int] = set()
        created, not_created = 0, len(unusable)
        ends = self._merge(newcomers, merging, request.request_id, deadline) if newcomers else []
        for newcomer, end in zip(newcomers, ends, strict=True):
            if isinstance(end, MergeResult):
                created += 1
                found.update(newcomer.positions)
                if end.riid is not None:
                    riids[request.items[newcomer.positions[0]].event.recipient] = end.riid
            else:
                not_created += isinstance(end, Rejected)
                outcomes |= dict.fromkeys(newcomer.positions, end)
        return CreationResult(
            self._name,
            request,
            [outcomes.get(position, BEING_CREATED) for position in range(len(request.items))],
            exchanges=merging.exchanges,
            budget_wait=merging.budget_wait,
            budget_unavailable=merging.budget_unavailable,
            goes_on=found,
            riids=riids,
            created=created,
            not_created=not_created,
        )

    def _withdrawn(self, items: Sequence[Outgoing]) -> dict[int, Outcome]:
        """Find whose membership has ended meanwhile: nobody is created for them."""
        changes = [item.change for item in items]
        try:
            newer = self._ledger.newer(changes)
        except AwsCallError as exc:
            logger.warning("newer changes not read", extra={"connector": self._name, "fault": str(exc)})
            return dict.fromkeys(range(len(items)), Retried(ErrorCode.AWS_UNAVAILABLE))
        found = (withdrawn(change.call_type, others) for change, others in zip(changes, newer, strict=True))
        return {position: outcome for position, outcome in enumerate(found) if outcome}

    def _newcomers_of(
        self, items: Sequence[Outgoing], ended: dict[int, Outcome]
    ) -> tuple[list[Newcomer], dict[int, Outcome]]:
        """Return each newcomer once, and how messages end that do not say by what theirs could be created."""
        found: dict[str, Newcomer] = {}
        unusable: dict[int, Outcome] = {}
        account, connector = account_id(self._connector), self._connector
        for position, item in enumerate(items):
            if position in ended:
                continue
            try:
                value, same = match_value(item.part, self._name, connector)
            except NoIdentifierError as exc:
                reason = f"identifiers: connector {self._name} {exc}"
                unusable[position] = Rejected(ErrorCode.RECIPIENT_NOT_CREATED, reason, NO_RECIPIENT_FOUND)
                continue
            if same not in found:
                column = MATCH_COLUMNS[connector.identifier_type]
                found[same] = Newcomer(value, newcomer_key(account, connector.profile_list.name, column, same), [])
            found[same].positions.append(position)
        return list(found.values()), unusable

    def _merge(
        self, newcomers: Sequence[Newcomer], merging: Merging, owner: str, deadline: float
    ) -> list[MergeResult | Outcome]:
        """Add newcomers whom nobody else is adding; give what became of each."""
        if self._clock() < self._refused_until and self._refusal:
            return [_not_created(self._refusal.code, self._refusal.title)] * len(newcomers)
        if self._clock() + self._shortest_merge > deadline:
            return [BEING_CREATED] * len(newcomers)
        keys = [newcomer.key for newcomer in newcomers]
        try:
            slot = merging.wait_for_slot()
            ours = self._newcomers.take(keys, owner)
        except FAILURES as exc:
            return [outcome_of_error(exc, self._clock())] * len(newcomers)
        group = [position for position, taken in enumerate(ours) if taken]
        ends: dict[int, MergeResult | End] = {}
        if group:
            groups = [group[:1], group[1:]] if slot.one_recipient and len(group) > 1 else [group]
            values = [newcomer.value for newcomer in newcomers]
            ends, failure = post_isolating(groups, partial(merging.post, values), self._clock)
            self._learn(failure)
            self._release([keys[position] for position in group if _certainly_not_added(ends[position])], owner)
        if not merging.exchanges:
            self._pacing.hand_back(slot)
        return [self._what_became(ends.get(position, BEING_CREATED)) for position in range(len(newcomers))]

    def _learn(self, failure: Failure | None) -> None:
        """Remember for a while that nobody may be created: each attempt would cost a request."""
        if isinstance(failure, RequestRefusedError) and failure.scope is RefusalScope.CONNECTOR:
            self._refusal = failure
            self._refused_until = self._clock() + _REFUSED_SECONDS / self._time_scale

    def _release(self, keys: Sequence[Key], owner: str) -> None:
        try:
            self._newcomers.release(keys, owner)
        except AwsCallError as exc:
            logger.warning("newcomers not released", extra={"connector": self._name, "fault": str(exc)})

    @staticmethod
    def _what_became(end: MergeResult | End) -> MergeResult | Outcome:
        match end:
            case MergeResult(error_code=str(code)):
                return _outcome_of_record(code)
            case InDoubt(error_code=code):
                return Throttled(code, _RETRY_AFTER_DOUBT)
            case Rejected(error_code=code, reason=reason):
                return _not_created(code, reason)
            case _:
                return end


def _certainly_not_added(end: MergeResult | End) -> bool:
    return not isinstance(end, InDoubt) and not (isinstance(end, MergeResult) and end.error_code is None)


def _outcome_of_record(code: str) -> Outcome:
    """Return the outcome of messages whose recipient's record was not merged, by the one table of codes."""
    match class_of_code(code):
        case ErrorClass.THROTTLED_MINUTE | ErrorClass.THROTTLED_CAPACITY as throttle:
            return Throttled(code, RETRY_AFTER[throttle])
        case ErrorClass.TOKEN | ErrorClass.UNAVAILABLE | ErrorClass.UNKNOWN:
            return Retried(code)
        case _:
            return _not_created(code)


def _not_created(code: str, reason: str = "") -> Rejected:
    return Rejected(
        ErrorCode.RECIPIENT_NOT_CREATED, f"Responsys did not add the recipient: {code} {reason}".rstrip(), code
    )
