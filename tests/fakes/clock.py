"""How do tests make hours pass? A clock that moves only when told, or slept on."""

from __future__ import annotations

NOW = 1_800_000_000.0


class Clock:
    """Stands where ``time.time`` and ``time.sleep`` are injected."""

    def __init__(self, now: float = NOW) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
