"""Has a newer change of its membership overtaken one that was away? Pure."""

from __future__ import annotations

from collections.abc import Iterable

from responsys_activation.aws.claims import ClaimState, NewerChange
from responsys_activation.delivery.outcome import Ignored, Outcome, Throttled
from responsys_activation.error_code import ErrorCode
from responsys_activation.membership import CallType

__all__ = ["overtaken", "withdrawn"]

_RETRY_AFTER_NEWER = 60.0  # seconds after which a newer change that is being sent has an outcome
_SUPERSEDED = Ignored(ErrorCode.SUPERSEDED)


def overtaken(call_type: str, newer: Iterable[NewerChange]) -> Outcome | None:
    """Decide on a change that comes back, by what is known of newer ones of its membership.

    What Responsys did not take overtakes nothing. Whoever was added and updated meanwhile must still be added.
    """
    states = {other.state for other in newer if not (call_type == CallType.ADD and other.call_type == CallType.UPDATE)}
    if states - {ClaimState.IN_FLIGHT, ClaimState.FREE}:
        return _SUPERSEDED
    return Throttled(ErrorCode.IN_FLIGHT, _RETRY_AFTER_NEWER) if ClaimState.IN_FLIGHT in states else None


def withdrawn(call_type: str, newer: Iterable[NewerChange]) -> Outcome | None:
    """Decide on a change for whose sake somebody would be created: not for who has left meanwhile.

    Also a newer REMOVE counts that Responsys did not take, for it found nobody to leave.
    """
    newer = list(newer)
    has_left = any(other.call_type == CallType.REMOVE and other.state is ClaimState.FREE for other in newer)
    return _SUPERSEDED if has_left else overtaken(call_type, newer)
