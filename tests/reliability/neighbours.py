"""How long does an account with little to send wait while another account of the stack works off a burst?

``python -m tests.reliability.neighbours`` lets the real delivery code run in virtual time and writes the table into the
reliability page. ``--burst`` and ``--print`` are for a quick look.
"""

from __future__ import annotations

import argparse
import itertools
import sys
from dataclasses import dataclass
from typing import Any

from rich.console import Console

from responsys_activation.aws.slots import USED_SHARE
from tests.benchmarks.stack_defaults import read_stack_defaults
from tests.benchmarks.virtual_stack import Journeys, VirtualStack, only_the_numbers
from tests.fakes.told_metrics import ToldMetrics
from tests.generated_part import markdown_table, write_part
from tests.local_stack.polling import MESSAGES_A_RECEIVE, Polling
from tests.reliability.trial import DOCUMENT

_BUSY, _IDLE = "busy", "idle"
_REQUESTS_A_MINUTE = {_BUSY: 20, _IDLE: 200}
_OF_IDLE = 60  # messages a minute
_BEFORE = 3.0  # minutes until the burst
_BURST_MINUTES = 1.0
_MORE = 30.0  # seconds that the law allows


@dataclass(frozen=True)
class Neighbours:
    """A burst of one account beside a trickle of another.

    Attributes
    ----------
    gather_rate : int
        Messages a second and slot.
    groups : bool
        Whether producers set ``MessageGroupId``.
    """

    gather_rate: int
    concurrency: int
    groups: bool
    burst: int

    @only_the_numbers()
    def run(self) -> dict[str, Any]:
        """Send the burst, and let the trickle go on until it is worked off."""
        stack = VirtualStack(
            read_stack_defaults().with_concurrency(self.concurrency),
            _REQUESTS_A_MINUTE,
            polling=Polling(receives_a_second=self.gather_rate / MESSAGES_A_RECEIVE),
            message_groups=self.groups,
            new_metrics=ToldMetrics,
        )
        slots_needed = self.burst / 200 / (_REQUESTS_A_MINUTE[_BUSY] * USED_SHARE)
        stack.send_steadily(_IDLE, _OF_IDLE, _BEFORE + slots_needed)
        stack.send_steadily(_BUSY, self.burst / _BURST_MINUTES, _BURST_MINUTES, after=_BEFORE)
        stack.run()
        burst_at = stack.began_at + _BEFORE * 60
        idle, busy = stack.journeys[_IDLE], stack.journeys[_BUSY]
        before, beside = _lags(idle, 0.0, burst_at), _lags(idle, burst_at)
        return {
            "gathered per second and slot": self.gather_rate,
            "`MaximumConcurrency`": self.concurrency,
            "groups": "yes" if self.groups else "no",
            "idle account's lag before": f"{before[-1]:.0f} s",
            "beside the burst: p95": f"{beside[len(beside) * 95 // 100]:.0f} s",
            "max": f"{beside[-1]:.0f} s",
            "law": self._law(beside[-1] - before[-1]),
            "drained after": f"{(max(busy.accepted_at) - burst_at) / 60:.1f} min",
            "of its limit": f"{slots_needed / ((max(busy.accepted_at) - burst_at) / 60):.0%}",
            "times put off: mean": f"{sum(busy.deferrals) / len(busy.deferrals):.1f}",
            "most": max(busy.deferrals),
            "lost or twice": idle.lost + idle.twice + busy.lost + busy.twice,
        }

    def _law(self, more: float) -> str:
        """Return whether the idle account's messages are as early as promised, where it is."""
        if not self.groups and self.gather_rate * self.concurrency < self.burst / (_BURST_MINUTES * 60):
            return "not stated"
        return "holds" if more <= _MORE else "broken"


def _lags(journeys: Journeys, since: float, until: float = float("inf")) -> list[float]:
    """Return the seconds from sent to accepted of what was sent meanwhile, the shortest first."""
    return sorted(
        accepted_at - sent_at
        for sent_at, accepted_at in zip(journeys.sent_at, journeys.accepted_at, strict=True)
        if since <= sent_at < until
    )


def main() -> int:
    """Write the table; the exit status is 1 where the law is broken, or something was lost or sent twice."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--burst", type=int, default=120_000)
    options.add_argument("--rates", type=int, nargs="+", default=[100, 500, 1_000])
    options.add_argument("--concurrency", type=int, nargs="+", default=[2, 8])
    options.add_argument("--print", action="store_true", dest="only_print")
    chosen = options.parse_args()
    console = Console(width=200, highlight=False)
    rows: list[dict[str, Any]] = []
    for rate, concurrency, groups in itertools.product(chosen.rates, chosen.concurrency, (False, True)):
        rows.append(Neighbours(rate, concurrency, groups, chosen.burst).run())
        console.print(" | ".join(map(str, rows[-1].values())))
    if not chosen.only_print:
        write_part(
            DOCUMENT, "neighbours", "make neighbours", markdown_table([*rows[0]], [[*row.values()] for row in rows])
        )
    return int(any(row["lost or twice"] or row["law"] == "broken" for row in rows))


if __name__ == "__main__":
    sys.exit(main())
