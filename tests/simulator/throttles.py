"""May this request pass now?

Two throttles with two clocks: a sliding minute per account and function, and fixed ten minutes per account.
"""

from collections import defaultdict, deque

from tests.simulator import refusals
from tests.simulator.clock import SimulatedClock
from tests.simulator.functions import ApiFunction
from tests.simulator.settings import AccountSettings

MINUTE = 60.0
TEN_MINUTES = 600.0


class Throttles:
    """Counts each account's requests and refuses those over the limit."""

    def __init__(self, clock: SimulatedClock) -> None:
        self._clock = clock
        self._last_minute: defaultdict[tuple[str, ApiFunction], deque[float]] = defaultdict(deque)
        self._ten_minutes: dict[str, tuple[int, int]] = {}
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
        window = int(now // TEN_MINUTES)
        counted_window, counted = self._ten_minutes.get(account.username, (window, 0))
        if counted_window != window:
            counted = 0
        calls = self._last_minute[account.username, function]
        while calls and calls[0] <= now - MINUTE:
            calls.popleft()

        over_limit = len(calls) >= function.limit(limits)
        over_capacity = self._in_outage(account.username, now) or (
            limits.requests_per_ten_minutes is not None and counted >= limits.requests_per_ten_minutes
        )
        if not (over_limit or over_capacity) or limits.refused_requests_count:
            calls.append(now)
            self._ten_minutes[account.username] = (window, counted + 1)
        if over_limit:
            raise refusals.api_limit_exceeded(
                limits.api_limit_status, function.title, as_plain_text=limits.api_limit_as_plain_text
            )
        if over_capacity:
            raise refusals.capacity_limit_exceeded(limits.capacity_limit_status)

    def start_outage(self, username: str | None, seconds: float | None) -> None:
        """Take the capacity away from one account, or from all, for simulated `seconds` or until ended."""
        self._outages[username] = float("inf") if seconds is None else self._clock.now() + seconds

    def end_outage(self, username: str | None) -> None:
        """Give the capacity back."""
        self._outages.pop(username, None)

    def _in_outage(self, username: str, now: float) -> bool:
        return any(now < self._outages.get(name, now) for name in (username, None))
