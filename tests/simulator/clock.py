"""What time is it for Responsys?

Throttles and token lifetimes run on this clock, which can run faster than the wall clock and be moved forward.
"""

import time


class SimulatedClock:
    """Seconds since the simulator started, multiplied by a scale.

    Parameters
    ----------
    time_scale : float
        How many simulated seconds pass in one real second; 60 makes a minute last a second.
    """

    def __init__(self, time_scale: float) -> None:
        self._time_scale = time_scale
        self._simulated = 0.0
        self._measured_at = time.monotonic()

    def now(self) -> float:
        """Return the simulated seconds since the start."""
        return self._simulated + (time.monotonic() - self._measured_at) * self._time_scale

    def run_at(self, time_scale: float) -> None:
        """Change the speed from now on, without a jump."""
        self._simulated = self.now()
        self._measured_at = time.monotonic()
        self._time_scale = time_scale

    def advance(self, seconds: float) -> None:
        """Let `seconds` of simulated time pass at once."""
        self._simulated += seconds
