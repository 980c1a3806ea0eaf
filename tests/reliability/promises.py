"""Is nothing doubled uncounted when replies are slow, and is the last state right after an outage?

``python -m tests.reliability.promises`` lets the real delivery code run for hours of virtual time with the template's
defaults, and writes two tables into the reliability page.
"""

from __future__ import annotations

import gc
import logging
import sys
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from rich.console import Console

from responsys_activation.observability import logger
from tests.benchmarks.stack_defaults import read_stack_defaults
from tests.benchmarks.virtual_stack import VirtualStack, membership_body
from tests.fakes.responsys import Accepted, Fault
from tests.fakes.told_metrics import ToldMetrics
from tests.generated_part import markdown_table, write_part
from tests.property.simulation import Place
from tests.reliability.trial import DOCUMENT

_ADDS_A_MINUTE = 900
_MINUTES = 20
_OUTAGE_BEGINS = 2  # minutes
_ORDER_LIMIT = 60  # requests per minute


@dataclass(frozen=True)
class SlowReplies:
    """Replies that take their time.

    Attributes
    ----------
    limit : int
        Requests per minute of the account.
    in_a_row : int
        Changes that each profile has at once, so that they go in as many waves.
    seconds : float or None
        From a request to its reply; ``None``: it is taken, and no reply ever comes.
    """

    limit: int
    in_a_row: int
    seconds: float | None
    messages: int

    def run(self) -> dict[str, Any]:
        """Send a minute's burst, and count."""
        told: Counter[str] = Counter()
        stack = VirtualStack(
            read_stack_defaults(),
            {"default": self.limit},
            latency=self.seconds or 0.3,
            new_metrics=lambda: ToldMetrics(told),
            body=self._body,
        )
        if self.seconds is None:
            stack.accounts["default"].fault = lambda kind: Fault.TIMEOUT_AFTER if kind == "event" else None
        stack.send_steadily("default", self.messages, 1.0)
        stack.run()
        journeys = stack.journeys["default"]
        return {
            "limit": self.limit,
            "changes in a row": self.in_a_row,
            "reply after": "never" if self.seconds is None else f"{self.seconds:.0f} s",
            "messages": f"{self.messages:,}",
            "lost": max(0, journeys.lost - len(stack.rejected.messages)),
            "accepted twice": f"{journeys.twice:,}",
            "told in `OutcomesUnknown`": f"{told['OutcomesUnknown']:,}",
            "uncounted": max(0, journeys.twice - told["OutcomesUnknown"]),
            "waiting for a person": f"{len(stack.rejected.messages):,}",
        }

    def _body(self, connector: str, number: int, occurred_at: str) -> str:
        return membership_body(connector, number, occurred_at, recipient=number - number % self.in_a_row)


@dataclass(frozen=True)
class Outage:
    """Profiles that enter, and leave some seconds later, through an outage.

    Attributes
    ----------
    minutes : int
        How long it lasts.
    seconds : int
        After which each profile leaves.
    """

    fault: Fault | None
    minutes: int
    seconds: int

    def run(self) -> dict[str, Any]:
        """Let them enter and leave, and compare what Responsys accepted last with what happened last."""
        told: Counter[str] = Counter()
        stack = VirtualStack(read_stack_defaults(), {"default": _ORDER_LIMIT}, new_metrics=lambda: ToldMetrics(told))
        account = stack.accounts["default"]
        began, ends = _OUTAGE_BEGINS, _OUTAGE_BEGINS + self.minutes
        account.fault = lambda kind: self.fault if kind == "event" and began <= stack.minute() < ends else None
        last: dict[int, str] = {}  # by profile

        def accept(event: Accepted) -> None:
            last[int(event.properties["profileId"].rpartition("-")[2])] = event.properties["callType"]

        account.on_accepted = accept
        stack.throttled.sent = lambda message: None
        entered_at: list[float] = []
        stack.simulation.spawn(lambda: self._send(stack, entered_at), Place())
        stack.expect_upstream()
        stack.run()
        hit = [
            profile
            for profile, at in enumerate(entered_at)
            if not self.minutes or began * 60 <= at - stack.began_at < ends * 60
        ]
        return {
            "outage": f"{self.minutes} min of {self.fault.value}" if self.fault else "none",
            "leaves after": f"{self.seconds} s",
            "profiles hit": f"{len(hit):,}",
            "last state wrong": sum(last.get(profile) != "REMOVE" for profile in hit),
            "last state wrong, all": sum(last.get(profile) != "REMOVE" for profile in range(len(entered_at))),
        }

    def _send(self, stack: VirtualStack, entered_at: list[float]) -> None:
        leaving: list[tuple[float, int]] = []
        began = stack.now()
        while (now := stack.now()) - began < _MINUTES * 60 or leaving:
            at = datetime.fromtimestamp(now, UTC).isoformat(timespec="milliseconds")
            if now - began < _MINUTES * 60:
                for _ in range(_ADDS_A_MINUTE // 60):
                    profile = len(entered_at)
                    entered_at.append(now)
                    leaving.append((now + self.seconds, profile))
                    stack.source.send(membership_body("default", profile, at))
            while leaving and leaving[0][0] <= now:
                stack.source.send(membership_body("default", leaving.pop(0)[1], at, call_type="REMOVE"))
            stack.simulation.sleep(1.0)
        stack.upstream_ends()


SLOW = (
    SlowReplies(20, 1, 10, 20_000),
    SlowReplies(20, 1, 20, 20_000),
    SlowReplies(20, 1, 40, 20_000),
    SlowReplies(20, 1, 59, 20_000),
    SlowReplies(30, 1, 20, 20_000),
    SlowReplies(200, 6, 10, 30_000),
    SlowReplies(200, 6, 20, 30_000),
    SlowReplies(200, 10, 10, 30_000),
    SlowReplies(200, 3, 40, 30_000),
    SlowReplies(200, 1, None, 5_000),
)
OUTAGES = (
    Outage(None, 0, 30),
    Outage(Fault.HTML_503, 3, 30),
    Outage(Fault.HTML_503, 10, 300),
    Outage(Fault.CAPACITY, 10, 30),
    Outage(Fault.CAPACITY, 10, 120),
    Outage(Fault.CAPACITY, 10, 300),
    Outage(Fault.CONNECTION_REFUSED, 5, 60),
)


def main() -> int:
    """Write both tables; the exit status is 1 where a promise is broken."""
    console = Console(width=140, highlight=False)
    logger.setLevel(logging.CRITICAL)
    gc.disable()
    slow, order = [], []
    for world in SLOW:
        slow.append(world.run())
        console.print(slow[-1])
    for outage in OUTAGES:
        order.append(outage.run())
        console.print(order[-1])
    for name, rows in (("slow replies", slow), ("last states", order)):
        write_part(DOCUMENT, name, "make promises", markdown_table([*rows[0]], [[*row.values()] for row in rows]))
    broken = any(row["uncounted"] or row["lost"] for row in slow) or any(row["last state wrong, all"] for row in order)
    return int(broken)


if __name__ == "__main__":
    sys.exit(main())
