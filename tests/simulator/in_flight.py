"""Which requests are being worked on at this moment, and do two of them hold the same recipient?"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager


class InFlight:
    """Counts event requests and their recipients between arrival and answer."""

    def __init__(self) -> None:
        self._requests: Counter[str] = Counter()
        self._recipients: Counter[tuple[str, str]] = Counter()

    @contextmanager
    def request(self, account: str) -> Iterator["RequestInFlight"]:
        """Count a request for as long as the context lasts."""
        self._requests[account] += 1
        flight = RequestInFlight(account, self._requests[account], self._recipients)
        try:
            yield flight
        finally:
            self._requests[account] -= 1
            flight.release()


class RequestInFlight:
    """One request that is being worked on.

    Attributes
    ----------
    concurrent_requests : int
        Requests of the account in flight when this one came, itself included.
    """

    def __init__(self, account: str, concurrent_requests: int, held: Counter[tuple[str, str]]) -> None:
        self.concurrent_requests = concurrent_requests
        self._account = account
        self._held = held
        self._own: frozenset[tuple[str, str]] = frozenset()

    def hold(self, recipients: set[str]) -> tuple[str, ...]:
        """Hold the recipients until the answer, and return those that another request holds, too."""
        self._own = frozenset((self._account, recipient) for recipient in recipients)
        self._held.update(self._own)
        return tuple(sorted(held[1] for held in self._own if self._held[held] > 1))

    def release(self) -> None:
        """Let the recipients go."""
        for recipient in self._own:
            self._held[recipient] -= 1
            if not self._held[recipient]:
                del self._held[recipient]
