"""Is the request budget out of reach, and when is it tried again?

Nobody goes without it: an environment cannot know whether the others reach the table, and use all of the account's
limit.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from responsys_activation.aws.slots import BudgetOutOfReachError, Timing, Wait
from responsys_activation.error_code import ErrorCode
from responsys_activation.observability import logger

__all__ = ["BudgetReach"]


class BudgetReach:
    """What one environment knows of it, for all connectors of an account together."""

    def __init__(
        self,
        *,
        timing: Timing,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._timing = timing
        self._clock = clock
        self._sleep = sleep
        self._lock = threading.Lock()
        self._until = 0.0

    @property
    def is_lost(self) -> bool:
        """Whether the table was out of reach a moment ago."""
        return self._clock() < self._until

    def lose(self, fault: str) -> None:
        """Note that the table is out of reach."""
        logger.warning("request budget out of reach", extra={"fault": fault})
        with self._lock:
            self._until = self._clock() + self._timing.fault_memory

    def wait(self, latest: float, *, patient: bool) -> None:
        """Wait until the table is tried again.

        Parameters
        ----------
        latest : float
            Epoch seconds; a later slot is of no use.
        patient : bool
            Whether to wait at all; the invocation is held meanwhile.

        Raises
        ------
        BudgetOutOfReachError
            That is too late, or was waited for before.
        """
        now = self._clock()
        left = max(0.0, self._until - now)
        if not patient or now + left > latest:
            raise BudgetOutOfReachError(Wait(ErrorCode.BUDGET_EXHAUSTED, self._timing.there(left)))
        self._sleep(left)
