"""How much of its limit does an account give us, where it refused what its limit allows? Pure.

Others use the account, or Responsys counts by a new limit sooner than it announces it. So one refusal halves the pace,
and it rises again by itself: slowly at first, in case that was right, then faster. Where it meets the next refusal it
goes back to the step before, and waits twice as long until it tries again.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

__all__ = ["Lowering", "lowered"]

_AFTER_REFUSAL = 0.5
_LEAST = 1 / 64
_HOLD = 2  # minutes: the first is the throttle's own
_LONGEST_HOLD = 16
_FIRST_STEP = 0.05  # of the limit; each further one is twice as high
_MINUTES_OF_A_STEP = 2  # by then what a step is too high by has been refused, behind slots that were given before it
_MOST_STEPS = 5  # from nothing to the limit
_FORGOTTEN = 8  # steps after the last one, from which on a refusal has nothing to do with the one before


@dataclass(frozen=True, slots=True)
class Lowering:
    """What a refusal came to.

    Attributes
    ----------
    share : float
        Of the limit; all of it, if the limit turned out to be another.
    since : float
        Epoch seconds of the refusal.
    hold : int
        Minutes until the first step up.
    """

    share: float
    since: float
    hold: int

    def share_at(self, now: float, minute: float) -> float:
        """Return the share of the limit that is used at a time, where a minute has so many seconds on our clock."""
        return self._share_after(self._steps(now, minute))

    def next(self, now: float, minute: float) -> Lowering:
        """Return what another refusal comes to."""
        steps = self._steps(now, minute)
        top = next(step for step in itertools.count() if self._share_after(step) == 1)
        if top == 0 or steps > top + _FORGOTTEN:
            return lowered(now)
        if steps == 0:
            return Lowering(max(_LEAST, self.share * _AFTER_REFUSAL), now, _HOLD)
        return Lowering(self._share_after(min(steps, top) - 1), now, min(self.hold * 2, _LONGEST_HOLD))

    def _steps(self, now: float, minute: float) -> int:
        rising = (now - self.since) / minute - self.hold
        return 0 if rising < 0 else 1 + int(rising / _MINUTES_OF_A_STEP)

    def _share_after(self, steps: int) -> float:
        return min(1.0, self.share + _FIRST_STEP * ((1 << min(steps, _MOST_STEPS)) - 1))


def lowered(now: float) -> Lowering:
    """Return what the first refusal comes to."""
    return Lowering(_AFTER_REFUSAL, now, _HOLD)
