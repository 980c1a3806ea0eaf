"""What becomes of a message whose recipient the profile list does not have? As its connector's settings say. Pure."""

from __future__ import annotations

from responsys_activation.connector import MissingAction
from responsys_activation.delivery.outcome import Outcome, Rejected, Throttled

__all__ = ["NO_RECIPIENT_FOUND", "outcome_of_missing"]

NO_RECIPIENT_FOUND = "NO_RECIPIENT_FOUND"
_LIST_LOAD_SECONDS = 900.0  # SQS's longest delay: a nightly load is hours away

_REJECTED = Rejected(NO_RECIPIENT_FOUND)
_WAITS = Throttled(
    NO_RECIPIENT_FOUND,
    _LIST_LOAD_SECONDS,
    reason="the profile list has no such recipient yet: it is tried again every 15 minutes, as missingRecipients says",
)


def outcome_of_missing(action: MissingAction) -> Outcome:
    """Return how a message ends whose recipient is not in the list."""
    return _WAITS if action is MissingAction.WAIT else _REJECTED
