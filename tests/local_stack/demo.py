"""`make demo`: does a burst of memberships end as it should, through a throttle, on the deployed stack?

Publishes 2,000 memberships, shows where they are, prints a report, and compares what arrived with what should have.
"""

import argparse
import sys
import time
from pathlib import Path

from rich.console import Console

from tests.local_stack.demo_memberships import (
    SECOND_CONNECTOR,
    demo_memberships,
    demo_simulator,
    second_connector,
)
from tests.local_stack.demo_progress import Flow, follow
from tests.local_stack.demo_report import print_report
from tests.local_stack.demo_results import differences, read_results
from tests.local_stack.processes import LocalStackError, ending_on_signals
from tests.local_stack.queues import send_all
from tests.local_stack.stack import LocalStack
from tests.simulator.client import SimulatorClient

_TIME_SCALE = 60.0
# Of Responsys' time, after it was noticed: less than the ten minutes for which the connector then holds back.
_OUTAGE_SECONDS = 480.0
_SECONDS_TO_SETTLE = 90.0
_WIDTH = 100


def main() -> int:
    """Run the demo; the exit status is 0 only if everything is as it should be."""
    parser = argparse.ArgumentParser(description="Everything from an SQS message to a Responsys event, with a report.")
    parser.add_argument(
        "--release", type=Path, help="archive of a release for this machine's Python, in place of the source"
    )
    options = parser.parse_args()
    console = Console(width=None if sys.stdout.isatty() else _WIDTH, highlight=False)
    try:
        with ending_on_signals():
            return _run(console, options.release)
    except LocalStackError as exc:
        print(f"error: {exc}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        console.print("Stopped.")
        return 130


def _run(console: Console, release: Path | None) -> int:
    started = time.monotonic()
    console.print("Building, and starting AWS and Responsys on this machine (the first time takes longer) ...")
    with LocalStack(time_scale=_TIME_SCALE, simulator=demo_simulator(), release=release, say=lambda _: None) as stack:
        assert stack.simulator is not None
        console.print(f"The template is deployed, after {time.monotonic() - started:.0f} s.")
        account = second_connector()
        stack.add_connector(SECOND_CONNECTOR, account)
        console.print(f"Connector {SECOND_CONNECTOR} is added beside default: a secret and a parameter, no deployment.")
        outage = _CapacityOutage(stack.simulator, account.username, console)
        memberships = demo_memberships()
        with stack.paused_event_sources():
            bodies = [membership.body for membership in memberships]
            send_all(stack.endpoint.sqs, stack.outputs["SegmentEventsQueueUrl"], bodies)
        console.print(
            f"{len(memberships):,} memberships are published. Responsys has no capacity for {SECOND_CONNECTOR} now;"
            f"\na minute of its throttles lasts {60 / _TIME_SCALE:.0f} s here.\n"
        )
        follow(stack, console, len(memberships), _SECONDS_TO_SETTLE, outage.observe)
        results = read_results(stack)
        print_report(console, stack, memberships, results)
        found = differences(memberships, results)
    for difference in found:
        console.print(f"not as it should be: {difference}", style="red", markup=False)
    seconds = time.monotonic() - started
    if found:
        console.print(f"Differences: {len(found)} ({seconds:.0f} s).", style="bold red")
    else:
        console.print(f"All is as it should be: the sum holds, and what arrived is what should have ({seconds:.0f} s).")
    return 1 if found else 0


class _CapacityOutage:
    """INTERNAL_CAPACITY_LIMIT_EXCEEDED for one account, from now until some time after it was noticed."""

    def __init__(self, simulator: SimulatorClient, username: str, console: Console) -> None:
        self._simulator = simulator
        self._username = username
        self._console = console
        self._noticed_at: float | None = None
        self._is_over = False
        simulator.start_capacity_outage(username)

    def observe(self, flow: Flow) -> None:
        """End the outage when it is time."""
        now = time.monotonic()
        if self._noticed_at is None and flow.waiting:
            self._noticed_at = now
        if not self._is_over and self._noticed_at and now - self._noticed_at >= _OUTAGE_SECONDS / _TIME_SCALE:
            self._simulator.end_capacity_outage(self._username)
            self._is_over = True
            self._console.print("Responsys has capacity again.")


if __name__ == "__main__":
    sys.exit(main())
