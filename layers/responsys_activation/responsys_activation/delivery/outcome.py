"""How can a message end?

Each of its memberships, for each connector that it goes to, ends in exactly one outcome; a message that holds none ends
as ignored or rejected itself. ``received = delivered + duplicate + throttled + rejected + retried + ignored``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from responsys_activation.error_code import ERROR_CODES, plain
from responsys_activation.received import ReceivedMessage
from responsys_activation.upstream.memberships import Part

__all__ = [
    "NOT_KNOWN",
    "Delivered",
    "Duplicate",
    "Ending",
    "Ignored",
    "Outcome",
    "Rejected",
    "Retried",
    "Throttled",
    "reason_of",
]

_LONGEST_REASON = 300  # characters
NOT_KNOWN = "-"  # SQS takes no empty attribute


@dataclass(frozen=True, slots=True)
class Delivered:
    """Responsys answered ``success: true`` for this recipient."""


@dataclass(frozen=True, slots=True)
class Duplicate:
    """It had been delivered before."""


@dataclass(frozen=True, slots=True)
class Throttled:
    """It cannot be sent now; it replays itself from ThrottledDLQ after ``delay`` seconds.

    Attributes
    ----------
    decided_at : float or None
        Epoch seconds from which ``delay`` counts; ``None``: from when the batch is settled, which may be much later.
    since, age_share : float
        A message that was first received after ``since`` waits longer by this share of the difference.
    """

    error_code: str
    delay: float
    decided_at: float | None = None
    since: float = 0.0
    age_share: float = 0.0
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Rejected:
    """It can never be sent as it is; it waits for a person in RejectedDLQ.

    Attributes
    ----------
    doubts : int
        How many times it was sent without a trustworthy answer, where that is why.
    """

    error_code: str
    reason: str = ""
    last_error_code: str = ""
    doubts: int = 0


@dataclass(frozen=True, slots=True)
class Retried:
    """It stays on its queue and becomes visible again after a back-off."""

    error_code: str


@dataclass(frozen=True, slots=True)
class Ignored:
    """Nothing in it is to be sent, or no longer."""

    error_code: str
    reason: str = ""


Outcome = Delivered | Duplicate | Throttled | Rejected | Retried | Ignored


class Ending(NamedTuple):
    """A message and its outcome; of one that holds several memberships, or goes to several connectors, one of them.

    Attributes
    ----------
    connector, event_name : str
        ``-`` if the message names none that exists.
    request_id : str
        Of the planned request that held the message; ``-`` if none did.
    dead_letter_failed : bool
        Its dead-letter queue did not take it, so it stays on its queue.
    part : Part or None
        The membership; ``None`` where none could be read.
    """

    message: ReceivedMessage
    outcome: Outcome
    connector: str = NOT_KNOWN
    event_name: str = NOT_KNOWN
    request_id: str = NOT_KNOWN
    dead_letter_failed: bool = False
    part: Part | None = None


def reason_of(outcome: Throttled | Rejected | Ignored) -> str:
    """Say to a person who looks at the message why it is there."""
    text = outcome.reason or _meaning(outcome.error_code)
    # It may name a setting as its owner wrote it, and SQS refuses a control character, with all letters of that call.
    text = "".join(each if each.isprintable() else " " for each in text)
    return text if len(text) <= _LONGEST_REASON else f"{text[: _LONGEST_REASON - 1]}…"


def _meaning(code: str) -> str:
    return plain(ERROR_CODES[code].meaning) if code in ERROR_CODES else f"Responsys answered {code}"
