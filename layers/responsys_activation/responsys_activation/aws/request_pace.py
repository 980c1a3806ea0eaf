"""When may a connector's next request go? As fast as it wants to, and all connectors of an account as fast as that may.

Limit, budget and pause are the account's. A connector that is to be slower than its account has a budget of its own
beside it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

from responsys_activation.aws.account_limit import AccountLimit
from responsys_activation.aws.budget_reach import BudgetReach
from responsys_activation.aws.faults import AwsCallError
from responsys_activation.aws.request_budget import RequestBudget
from responsys_activation.aws.slots import Slot, Wait
from responsys_activation.error_code import ErrorCode
from responsys_activation.responsys.classification import ErrorClass, class_of_code
from responsys_activation.responsys.errors import ThrottledError, UnavailableError

__all__ = ["RequestPace"]


class RequestPace:
    """One connector's pace.

    Parameters
    ----------
    requests_per_minute : int or None
        What the connector wants; ``None``: as much as the account's limit leaves us.
    limit, account, reach
        The account's: its limit, its budget, and whether that is in this environment's reach.
    own : RequestBudget
        The connector's.
    """

    def __init__(
        self,
        requests_per_minute: int | None,
        *,
        limit: AccountLimit,
        account: RequestBudget,
        own: RequestBudget,
        reach: BudgetReach,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._requests_per_minute = requests_per_minute
        self._limit = limit
        self._account = account
        self._own = own
        self._reach = reach
        self._clock = clock
        self._sleep = sleep

    def reserve(
        self,
        read_limit: Callable[[], int | None],
        latest: float,
        *,
        returned: bool | None = None,
        full: float = 1.0,
        patient: bool = False,
    ) -> Slot:
        """Reserve the next slot.

        The connector's own is waited for first, so that a slot of the account is only taken by who may use it. If
        other connectors of the account then hold it up, some of its requests may follow each other faster.

        Parameters
        ----------
        read_limit : callable
            Asks the account for its limit.
        latest : float
            Epoch seconds; a later slot is of no use.
        returned, full, patient
            As :meth:`RequestBudget.reserve` takes them.

        Raises
        ------
        NoSlotError
            The account is paused, or the next slot is later than ``latest``, or the table stays out of reach.
        UnavailableError
            It is already later.
        """
        of_account = self._limit.requests_per_minute(partial(self._read, read_limit), self._requests_per_minute)
        if self._clock() > latest:
            raise UnavailableError(ErrorCode.OUT_OF_TIME, title="too late for a request")
        of_budget = partial(RequestBudget.reserve, latest=latest, returned=returned, full=full, patient=patient)
        may_wait = True
        while True:
            try:
                return self._next_slot(of_account, of_budget)
            except AwsCallError:
                self._reach.wait(latest, patient=may_wait)
                may_wait = False

    def _next_slot(self, of_account: float, of_budget: Callable[[RequestBudget, float], Slot]) -> Slot:
        self._account.heed_pause()
        # The account's budget alone is enough for who wants as much; who does not know the limit yet asks both, so that
        # no connector is too fast where only some environments know it.
        wanted = self._requests_per_minute
        if wanted and (wanted < of_account or not self._limit.is_known):
            own = of_budget(self._own, wanted)
            self._sleep(max(0.0, own.at - self._clock()))
        return of_budget(self._account, of_account)

    def _read(self, read_limit: Callable[[], int | None]) -> int | None:
        """Ask for the limit, unless the account is paused for another reason: it would refuse that, too."""
        wait = self._account.pause_found()
        if wait and not _is_for_limit(wait.code):
            raise ThrottledError(wait.code, retry_after=wait.retry_after)
        return read_limit()

    def is_paused(self) -> bool:
        """Return whether the account was paused meanwhile, for a request that waits for its slot."""
        return self._account.pause_found() is not None

    def pause(self, code: str, retry_after: float, *, in_doubt: bool = False) -> Wait:
        """Hold up all connectors of the account; see :meth:`RequestBudget.pause`.

        Where it refused requests because of its limit, the limit is not what we took it for.
        """
        told = self._account.pause(code, retry_after, in_doubt=in_doubt)
        if not in_doubt and _is_for_limit(code):
            self._limit.refused()
        return told

    def lift(self, probe: float) -> None:
        """End the pause that a probe found over."""
        self._account.lift(probe)

    def hand_back(self, probe: float, *, tried: bool = False) -> None:
        """Leave it to another request to be the probe; see :meth:`RequestBudget.hand_back`."""
        self._account.hand_back(probe, tried=tried)


def _is_for_limit(code: str) -> bool:
    """Return whether a throttle is the account's limit of requests; a status of 429 may come without its code."""
    return code == ErrorCode.OTHER_ERROR or class_of_code(code) is ErrorClass.THROTTLED_MINUTE
