"""May this request pass now?

Two throttles: a sliding minute per account and function, and outages in which an account has no capacity.
"""

from collections import defaultdict, deque

from tests.simulator import refusals
from tests.simulator.clock import SimulatedClock
from tests.simulator.functions import ApiFunction
from tests.simulator.settings import AccountSettings

MINUTE = 60.0


class Throttles:
    """Counts each account's requests and refuses those over the limit."""

    def __init__(self, clock: SimulatedClock) -> None:
        self._clock = clock
        self._last_minute: defaultdict[tuple[str, ApiFunction], deque[float]] = defaultdict(deque)
        self._outages: dict[str | None, float] = {}

    def admit(self, account: AccountSettings, function: ApiFunction) -> None:
        """Count one request.

        Raises
        ------
        RequestRefusedError
            The account is over one of its limits, or has no capacity at the moment.
        """
        now = self._clock.now()
        limits = account.limits
        calls = self._last_minute[account.username, function]
        while calls and calls[0] <= now - MINUTE:
            calls.popleft()

        over_limit = len(calls) >= function.limit(limits)
        over_capacity = self._in_outage(account.username, now)
        if not (over_limit or over_capacity) or limits.refused_requests_count:
            calls.append(now)
        if over_limit:
            raise refusals.api_limit_exceeded(function.title)
        if over_capacity:
            raise refusals.capacity_limit_exceeded()

    def start_outage(self, username: str | None, seconds: float | None) -> None:
        """Take the capacity away from one account, or from all, for simulated `seconds` or until ended."""
        self._outages[username] = float("inf") if seconds is None else self._clock.now() + seconds

    def end_outage(self, username: str | None) -> None:
        """Give the capacity back."""
        self._outages.pop(username, None)

    def _in_outage(self, username: str, now: float) -> bool:
        return any(now < self._outages.get(name, now) for name in (username, None))
