"""When may the next request go? Decided from a budget's item and the time; pure.

``nextSlot`` is when the next request may go; ``nextReturn``, when the next one comes back that gave its place up for
other accounts' messages. A throttle, or three answers in doubt, set ``pausedUntil``; when it is past, the first
environment to come becomes the probe and the others wait for what it learns.

An environment takes slots unseen, of a budget that is in use or idle as it remembers. Only where that fails is the item
looked at, and tells the next step.
"""

from __future__ import annotations

from dataclasses import dataclass

from responsys_activation.aws.delivery_table import Item
from responsys_activation.aws.slots import Timing, Wait
from responsys_activation.error_code import ErrorCode

__all__ = [
    "BeProbe",
    "BudgetItem",
    "MoveOn",
    "Pause",
    "StartAnew",
    "WaitForProbe",
    "Wish",
    "exhausted",
    "furthest_slot",
    "next_step",
    "read_budget_item",
    "start_of_row",
]

# Further ahead than anybody reserves, or pauses, is what a wrong clock wrote.
_FURTHEST_SLOT = 2 * 900.0  # seconds: two of the longest invocations
_LONGEST_PAUSE = 3600.0  # seconds: the longest that a throttle lasts
_CLOCKS_DIFFER = 600.0  # seconds: one five minutes fast, the other five minutes slow


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

    def is_over(self, now: float, timing: Timing) -> bool:
        """Return whether it is time for a probe: it has run out, or whoever wrote it has a wrong clock."""
        return not now < self.until <= now + _LONGEST_PAUSE + timing.probe + _CLOCKS_DIFFER

    def wait(self, now: float, timing: Timing) -> Wait:
        """Return what a request is told that comes meanwhile."""
        return Wait(self.code, timing.there(self.until - now), self.since, timing.age_share(self.since, self.until))


def exhausted(seconds: float, timing: Timing, *, one_request: bool = False) -> Wait:
    """Return what a request is told whose slot is too late, or which gave its place up for so many seconds."""
    return Wait(ErrorCode.BUDGET_EXHAUSTED, timing.there(max(0.0, seconds)), one_request=one_request)


@dataclass(frozen=True, slots=True)
class BudgetItem:
    """The item as it stands."""

    next_slot: float | None = None
    pause: Pause | None = None
    next_return: float | None = None

    def is_in_use(self, now: float, timing: Timing) -> bool:
        """Return whether its next slot is of use: neither missed for too long nor written by a wrong clock."""
        return self.next_slot is not None and now - timing.late_already <= self.next_slot <= furthest_slot(now)

    def first_return(self, now: float, timing: Timing) -> float | None:
        """Return the slot for which the first of a new row comes back; ``None``: others are away for too long.

        After a wrong clock the row begins anew.
        """
        longest = now + timing.longest_away
        if self.next_return is not None and longest < self.next_return <= furthest_slot(now):
            return None
        slot = self.next_slot if self.next_slot is not None and self.next_slot <= longest else now
        return max(slot, now + timing.near)


def read_budget_item(item: Item) -> BudgetItem:
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


def _seconds(item: Item, name: str) -> float | None:
    return float(item[name]["N"]) if name in item else None


@dataclass(frozen=True, slots=True)
class Wish:
    """What is asked of a budget.

    Attributes
    ----------
    apart : float
        Seconds between two slots.
    latest : float
        Epoch seconds; a later slot is of no use.
    count : int
        Requests that wait together, for slots in a row.
    nobody_away_after : float or None
        They go behind those that gave their place up and come back after this time; ``None``: behind nobody.
    """

    apart: float
    latest: float
    count: int = 1
    nobody_away_after: float | None = None


@dataclass(frozen=True, slots=True)
class MoveOn:
    """Take the next slots of a budget that is in use."""

    count: int


@dataclass(frozen=True, slots=True)
class StartAnew:
    """Take the first slot after idleness, or after a wrong clock."""


@dataclass(frozen=True, slots=True)
class BeProbe:
    """Send the first request after a pause, unless another just did."""

    pause: Pause


@dataclass(frozen=True, slots=True)
class WaitForProbe:
    """Look again in a moment whether another's probe has ended."""


def next_step(
    item: BudgetItem, now: float, wish: Wish, tried: MoveOn | StartAnew, timing: Timing
) -> MoveOn | StartAnew | BeProbe | WaitForProbe | Wait:
    """Decide what to do where slots could not be taken as ``tried``, because the item stood like this.

    Returns
    -------
    step
        A wait, if the request is to be sent away.
    """
    if item.pause:
        if item.pause.is_over(now, timing):
            return BeProbe(item.pause)
        if item.pause.probing and now + timing.poll <= wish.latest:
            return WaitForProbe()
        return item.pause.wait(now, timing)
    if item.next_slot is None or not item.is_in_use(now, timing):
        return StartAnew()
    if item.next_slot > wish.latest:
        return exhausted(item.next_slot - now, timing)
    if wish.nobody_away_after is not None and (item.next_return or 0.0) > wish.nobody_away_after:
        return exhausted(0.0, timing)
    most = tried.count - 1 if isinstance(tried, MoveOn) else wish.count
    return MoveOn(max(1, min(most, 1 + int((wish.latest - item.next_slot) / wish.apart))))


def start_of_row(after_last: float, now: float) -> float:
    """Return the first slot of a budget that starts anew.

    If a wrong clock goes on, it and the others start anew all the time; so each keeps the distance to its own last
    slot, after which ``after_last`` comes.
    """
    return after_last if now < after_last <= furthest_slot(now) else now


def furthest_slot(now: float) -> float:
    """Return the latest time that a slot can have: epoch seconds."""
    return now + _FURTHEST_SLOT
