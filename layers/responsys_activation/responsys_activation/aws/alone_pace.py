"""How fast may an environment go that cannot reach the table?

It cannot know whether the others can: so slowly that it is within the account's limit beside them.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from responsys_activation.aws.slots import NoSlotError, Slot, Timing, Wait
from responsys_activation.error_code import ErrorCode
from responsys_activation.observability import logger

__all__ = ["AlonePace"]


class AlonePace:
    """One environment's pace in one account, for all its connectors together, while the table is out of reach.

    Parameters
    ----------
    environments : int
        Most environments at once.
    """

    def __init__(
        self,
        *,
        environments: int,
        timing: Timing,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._environments = environments
        self._timing = timing
        self._clock = clock
        self._sleep = sleep
        self._lock = threading.Lock()
        self._until = 0.0
        self._last_shared = 0.0
        self._next = 0.0

    @property
    def is_on(self) -> bool:
        """Whether the table was out of reach a moment ago."""
        return self._clock() < self._until

    def begin(self, fault: str) -> None:
        """Note that the table is out of reach."""
        logger.warning("request budget out of reach, keeping a pace alone", extra={"fault": fault})
        with self._lock:
            self._until = self._clock() + self._timing.fault_memory

    def follow(self, shared: Slot) -> None:
        """Keep the distance to a slot of the shared budget."""
        with self._lock:
            self._last_shared = max(self._last_shared, shared.at)

    def next_slot(self, requests_per_minute: float, latest: float, *, patient: bool = True) -> Slot | None:
        """Return a slot, or none after waiting until the table is tried again.

        Parameters
        ----------
        patient : bool
            Whether to wait for the table where no slot alone is early enough; the invocation is held meanwhile.

        Raises
        ------
        NoSlotError
            Neither is before ``latest``.
        """
        apart = self._timing.spacing_alone(requests_per_minute, self._environments)
        with self._lock:
            now = self._clock()
            at = max(now, self._next, self._last_shared + apart)
            tried_again = max(now, self._until)
            if at <= min(tried_again, latest):
                self._next = at + apart
                return Slot(at, until=at + self._timing.lateness, shared=False)
        if tried_again > latest or (at > latest and not patient):
            raise NoSlotError(Wait(ErrorCode.BUDGET_EXHAUSTED, self._timing.there(tried_again - now)))
        self._sleep(tried_again - now)
        return None
