"""When may the next list merge of an account go? In a budget of its own, for Responsys counts merges for themselves."""

from __future__ import annotations

import time
from collections.abc import Callable

from responsys_activation.aws.account_limit import AccountLimit
from responsys_activation.aws.budget_reach import BudgetReach
from responsys_activation.aws.request_budget import RequestBudget
from responsys_activation.aws.request_pace import RequestPace
from responsys_activation.aws.slots import Slot, Wait
from responsys_activation.responsys.classification import ErrorClass, class_of_code

__all__ = ["MergePace"]


class MergePace(RequestPace):
    """The pace of an account's list merges.

    Parameters
    ----------
    limit, merges, reach
        As a :class:`RequestPace` has them of events.
    events : RequestBudget
        The account's, of events. Its pause counts for merges as well, and so does a merge's for it where Responsys has
        no capacity left.
    """

    def __init__(
        self,
        *,
        limit: AccountLimit,
        merges: RequestBudget,
        events: RequestBudget,
        reach: BudgetReach,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        super().__init__(None, limit=limit, account=merges, own=merges, reach=reach, clock=clock, sleep=sleep)
        self._events = events

    def _next_slot(self, of_account: float, of_budget: Callable[[RequestBudget, float], Slot]) -> Slot:
        self._events.look_for_pause()
        return super()._next_slot(of_account, of_budget)

    def is_paused(self) -> bool:
        """Return whether the account's merges were paused meanwhile, or its events."""
        return super().is_paused() or self._events.pause_found() is not None

    def pause(self, code: str, retry_after: float, *, in_doubt: bool = False) -> Wait:
        """Hold up the account's merges, and its events too where Responsys has no capacity left."""
        if class_of_code(code) is ErrorClass.THROTTLED_CAPACITY:
            self._events.pause(code, retry_after)
        return super().pause(code, retry_after, in_doubt=in_doubt)
