"""When may a connector's next request go? As fast as it wants to, and all connectors of an account as fast as that may.

Limit, budget and pause are the account's. A connector that is to be slower than its account has a budget of its own
beside it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

from responsys_activation.aws.account_limit import AccountLimit
from responsys_activation.aws.alone_pace import AlonePace
from responsys_activation.aws.faults import AwsCallError
from responsys_activation.aws.request_budget import RequestBudget
from responsys_activation.aws.slots import Slot, Wait
from responsys_activation.error_code import ErrorCode
from responsys_activation.responsys.errors import UnavailableError

__all__ = ["RequestPace"]


class RequestPace:
    """One connector's pace.

    Parameters
    ----------
    requests_per_minute : int or None
        What the connector wants; ``None``: as much as the account's limit leaves us.
    limit, account, alone
        The account's: its limit, its budget, and what this environment does without the table.
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
        alone: AlonePace,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._requests_per_minute = requests_per_minute
        self._limit = limit
        self._account = account
        self._own = own
        self._alone = alone
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
            The account is paused, or the next slot is later than ``latest``.
        UnavailableError
            It is already later.
        """
        of_account = self._limit.requests_per_minute(read_limit, self._requests_per_minute)
        if self._clock() > latest:
            raise UnavailableError(ErrorCode.OUT_OF_TIME, title="too late for a request")
        of_budget = partial(RequestBudget.reserve, latest=latest, returned=returned, full=full, patient=patient)
        may_wait = True
        while True:
            try:
                slot = self._shared_slot(of_account, of_budget)
            except AwsCallError:
                alone = self._alone.next_slot(of_account, latest, patient=may_wait)
                if alone:
                    return alone
                may_wait = False
            else:
                self._alone.follow(slot)
                return slot

    def _shared_slot(self, of_account: float, of_budget: Callable[[RequestBudget, float], Slot]) -> Slot:
        self._account.heed_pause()
        # The account's budget alone is enough for who wants as much; who does not know the limit yet asks both, so that
        # no connector is too fast where only some environments know it.
        wanted = self._requests_per_minute
        if wanted and (wanted < of_account or not self._limit.is_known):
            own = of_budget(self._own, wanted)
            self._sleep(max(0.0, own.at - self._clock()))
        return of_budget(self._account, of_account)

    def pause(self, code: str, retry_after: float, *, in_doubt: bool = False) -> Wait:
        """Hold up all connectors of the account; see :meth:`RequestBudget.pause`."""
        return self._account.pause(code, retry_after, in_doubt=in_doubt)

    def lift(self, probe: float) -> None:
        """End the pause that a probe found over."""
        self._account.lift(probe)

    def hand_back(self, probe: float, *, tried: bool = False) -> None:
        """Leave it to another request to be the probe; see :meth:`RequestBudget.hand_back`."""
        self._account.hand_back(probe, tried=tried)
