"""How do tests make hours pass? A clock that moves only when told, or slept on."""

from __future__ import annotations

import threading

NOW = 1_800_000_000.0


class Clock:
    """Stands where ``time.time`` and ``time.sleep`` are injected; of several threads, too."""

    def __init__(self, now: float = NOW) -> None:
        self.now = now
        self._lock = threading.Lock()

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        with self._lock:
            self.now += seconds
