"""How does Lambda read a queue, as far as AWS tells? Pure: whoever polls, in real or in virtual time, asks here.

What AWS tells, of event source mappings and of SQS: the next batching window begins when the invocation before has
ended. Five batches are read at once from the start, up to 300 more each minute while messages wait, and no fewer than
five where ``MaximumConcurrency`` is set. With few messages an invocation may come 20 s late, whatever the window, as
long polls take 20 s. Ten receives a second are the stated measure of a provisioned poller; of others none is stated.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

__all__ = ["DOCUMENTED", "MESSAGES_A_RECEIVE", "MOST_EVENT_BYTES", "Batch", "Polling", "Readers"]

MESSAGES_A_RECEIVE = 10
# The most that Lambda puts into one invocation.
MOST_EVENT_BYTES = 6 * 1024 * 1024
_EVENT_ENVELOPE = len('{"Records": []}')

_Message = TypeVar("_Message")


@dataclass(frozen=True)
class Polling:
    """How batches are gathered; as AWS tells, unless told otherwise.

    Attributes
    ----------
    receives_a_second : float
        For one batch, one after the other.
    longest_poll : float
        Seconds that a receive waits for its first message. A batch is given to the function when a receive has ended,
        so that a lone message waits as long, whatever the window.
    first, more_a_minute : float
        How many batches are gathered at once from the start, and how many more each minute while messages wait.
    """

    receives_a_second: float = 10.0
    longest_poll: float = 20.0
    first: float = 5
    more_a_minute: float = 300.0

    @property
    def messages_a_second(self) -> float:
        """The most that one batch gathers."""
        return self.receives_a_second * MESSAGES_A_RECEIVE


DOCUMENTED = Polling()


class Batch(Generic[_Message]):
    """Messages that one invocation will get, and when gathering ends.

    Parameters
    ----------
    size : callable
        Bytes that a message takes in the event.
    began : float or None
        When the invocation before ended, and so a window began; ``None``: it begins with the first message.
    """

    def __init__(
        self, batch_size: int, window_seconds: float, size: Callable[[_Message], int], *, began: float | None = None
    ) -> None:
        self.messages: list[_Message] = []
        self.bytes = _EVENT_ENVELOPE
        self.closes_at = math.inf
        self.is_full = False
        self._batch_size = batch_size
        self._window_seconds = window_seconds
        self._size = size
        self._began = began

    def take(self, waiting: deque[_Message], now: float) -> None:
        """Take messages while they fit, and leave the others."""
        while waiting and not self.is_full:
            size = self._size(waiting[0])
            if self.bytes + size > MOST_EVENT_BYTES and self.messages:
                self.is_full = True
                return
            if not self.messages:
                self.closes_at = self._end_of_window(now)
            self.messages.append(waiting.popleft())
            self.bytes += size
            self.is_full = len(self.messages) >= self._batch_size

    @property
    def room(self) -> int:
        """How many more messages it may take."""
        return self._batch_size - len(self.messages)

    def is_closed(self, now: float) -> bool:
        """Tell whether it is to be given to the function."""
        return self.is_full or now >= self.closes_at

    def _end_of_window(self, now: float) -> float:
        """A window in which nothing came is followed by the next."""
        if self._began is None or not self._window_seconds:
            return now + self._window_seconds
        return self._began + self._window_seconds * max(1, math.ceil((now - self._began) / self._window_seconds))


class Readers:
    """How many batches of a queue may be gathered now: more while messages wait, and as at first when none do.

    Parameters
    ----------
    most : int
        ``MaximumConcurrency``.
    """

    def __init__(self, polling: Polling, most: int) -> None:
        self._polling = polling
        self._most = most
        self._busy_since: float | None = None

    def allowed(self, now: float) -> int:
        """Give their number."""
        busy = now - self._busy_since if self._busy_since is not None else 0.0
        return min(self._most, int(self._polling.first + busy / 60 * self._polling.more_a_minute))

    def learn(self, now: float, *, more_wait: bool) -> None:
        """Learn from a receive whether messages wait."""
        if not more_wait:
            self._busy_since = None
        elif self._busy_since is None:
            self._busy_since = now
