"""What does the item of a budget say? Pure.

``nextSlot`` is when the next request may go; ``nextReturn``, when the next one comes back that gave its place up for
other accounts' messages. A throttle, or three answers in doubt, set ``pausedUntil``; when it is
past, the first environment to come becomes the probe and the others wait for what it learns.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = [
    "LONGEST_AWAY",
    "BudgetItem",
    "Pause",
    "age_share",
    "furthest_slot",
    "nearest",
    "number",
    "read_budget_item",
    "seconds_away",
]

# Further ahead than anybody reserves, or pauses, is what a wrong clock wrote.
_FURTHEST_SLOT = 2 * 900.0  # seconds: two of the longest invocations
# How long a request waits for its slot, and its invocation's place with it, where other accounts' messages wait behind
# it. What came back is not sent away again for little; what is new should not keep those behind it from being received.
_NEAR = 5.0  # seconds
_NEAR_RETURNED = 15.0  # seconds
LONGEST_AWAY = 900.0  # seconds; SQS's longest delay
_EARLY = 3.0  # seconds before its slot that a message returns: it has to be gathered and planned
_LONGEST_PAUSE = 3600.0  # seconds: the longest that a throttle lasts
_CLOCKS_DIFFER = 600.0  # seconds: one five minutes fast, the other five minutes slow
# What came first comes back first: messages return after a pause in the order in which they came since the account
# began to refuse, within this share of that time and at most so many seconds.
_AGE_SHARE = 0.1
_LONGEST_RETURN = 60.0


@dataclass(frozen=True, slots=True)
class Pause:
    """What holds up all of an account.

    Attributes
    ----------
    until : float
        Epoch seconds; while it is probed, when the probe is given up for killed.
    since : float
        Epoch seconds since when, over all probes that failed.
    in_doubt : bool
        Requests got no answer, so that the probe carries one recipient.
    """

    until: float
    since: float
    code: str
    probing: bool = False
    in_doubt: bool = False

    def is_over(self, now: float, probe_lease: float) -> bool:
        """Tell whether it is time for a probe: the pause has run out, or whoever wrote it has a wrong one.

        Parameters
        ----------
        probe_lease : float
            Seconds.
        """
        return not now < self.until <= now + _LONGEST_PAUSE + probe_lease + _CLOCKS_DIFFER


@dataclass(frozen=True, slots=True)
class BudgetItem:
    """The item as it stands."""

    next_slot: float | None = None
    pause: Pause | None = None
    next_return: float | None = None

    def first_return(self, now: float, time_scale: float = 1.0) -> float | None:
        """Give the slot for which the first of a new row comes back; ``None``: others are away, for longer than may be.

        After a wrong clock the row begins anew.
        """
        longest = now + LONGEST_AWAY / time_scale
        if self.next_return is not None and longest < self.next_return <= furthest_slot(now):
            return None
        slot = self.next_slot if self.next_slot is not None and self.next_slot <= longest else now
        return max(slot, now + _NEAR / time_scale)


def read_budget_item(item: Mapping[str, Any]) -> BudgetItem:
    """Read what DynamoDB returned."""
    pause = None
    if "pausedUntil" in item:
        until = float(item["pausedUntil"]["N"])
        pause = Pause(
            until,
            since=float(item["pausedSince"]["N"]) if "pausedSince" in item else until,
            code=item["pauseCode"]["S"],
            probing="probing" in item,
            in_doubt="inDoubt" in item,
        )
    return BudgetItem(_seconds(item, "nextSlot"), pause, _seconds(item, "nextReturn"))


def nearest(now: float, *, returned: bool, time_scale: float = 1.0) -> float:
    """Give the latest slot that a request waits for where it gives its place up: epoch seconds."""
    return now + (_NEAR_RETURNED if returned else _NEAR) / time_scale


def seconds_away(now: float, slot: float | None, time_scale: float = 1.0) -> float:
    """Give how long a request is away that comes back for a slot."""
    longest = LONGEST_AWAY / time_scale
    return longest if slot is None else min(longest, max(0.0, slot - now - _EARLY / time_scale))


def furthest_slot(now: float) -> float:
    """Give the latest time that a slot can have: epoch seconds."""
    return now + _FURTHEST_SLOT


def age_share(since: float, until: float, time_scale: float = 1.0) -> float:
    """Give what a :class:`~responsys_activation.aws.slots.Wait` carries.

    The share is for times on our clock, and waits that are unscaled.
    """
    lasted = max(1.0, until - since) * time_scale
    return min(_AGE_SHARE, _LONGEST_RETURN / lasted) * time_scale


def _seconds(item: Mapping[str, Any], name: str) -> float | None:
    return float(item[name]["N"]) if name in item else None


def number(value: float) -> dict[str, str]:
    """Write a number for DynamoDB."""
    # Microseconds: a slot of 2,000 requests a minute is 32 ms wide, and far less on a faster local clock.
    return {"N": f"{value:.6f}"}
