"""`make demo`: does a burst of memberships end as it should, through a throttle, on the deployed stack?

Publishes 2,000 memberships, then sends 600 more as three platforms do; shows where they are, prints a report, and
compares what arrived with what should have.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from tests.local_stack.demo_memberships import (
    SECOND_CONNECTOR,
    Arrival,
    demo_accounts,
    demo_memberships,
    second_connector,
)
from tests.local_stack.demo_platforms import (
    PLATFORMS_CONNECTOR,
    PlatformBody,
    memberships_of,
    platform_bodies,
    platforms_account,
    platforms_connector,
    send_as_platforms_do,
)
from tests.local_stack.demo_progress import Flow, follow
from tests.local_stack.demo_report import print_report
from tests.local_stack.demo_results import differences, read_results
from tests.local_stack.processes import LocalStackError, ending_on_signals
from tests.local_stack.queues import send_all
from tests.local_stack.stack import LocalStack
from tests.simulator.client import SimulatorClient
from tests.simulator.settings import SimulatorSettings

_TIME_SCALE = 60.0
# Of Responsys' time, after it was noticed: less than the ten minutes for which the connector then holds back.
_OUTAGE_SECONDS = 480.0
_SECONDS_TO_SETTLE = 90.0
_WIDTH = 100
_PARAMETERS = {"BatchingWindowSeconds": "5"}  # whoever watches does not want to wait for the template's


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
    simulator = SimulatorSettings(accounts=(*demo_accounts(), platforms_account()))
    with LocalStack(
        _PARAMETERS, time_scale=_TIME_SCALE, simulator=simulator, release=release, say=lambda _: None
    ) as stack:
        assert stack.simulator is not None
        console.print(f"The template is deployed, after {time.monotonic() - started:.0f} s.")
        account = second_connector()
        stack.add_connector(SECOND_CONNECTOR, account)
        stack.add_connector(PLATFORMS_CONNECTOR, platforms_connector())
        console.print(
            f"Connectors {SECOND_CONNECTOR} and {PLATFORMS_CONNECTOR} are added beside default: "
            "a secret and a parameter each, no deployment."
        )
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
        platforms = platform_bodies()
        memberships += memberships_of(platforms)
        _send(stack, console, platforms)
        follow(stack, console, len(memberships), _SECONDS_TO_SETTLE, lambda _: None)
        results = read_results(stack)
        print_report(console, stack, memberships, platforms, results)
        found = differences(memberships, results)
    for difference in found:
        console.print(f"not as it should be: {difference}", style="red", markup=False)
    seconds = time.monotonic() - started
    if found:
        console.print(f"Differences: {len(found)} ({seconds:.0f} s).", style="bold red")
    else:
        console.print(f"All is as it should be: the sum holds, and what arrived is what should have ({seconds:.0f} s).")
    return 1 if found else 0


def _send(stack: LocalStack, console: Console, bodies: Sequence[PlatformBody]) -> None:
    posted = sum(each.is_posted for each in bodies)
    streamed = len(bodies) - posted
    memberships = sum(isinstance(fate, Arrival) for each in bodies for fate in each.fates)
    console.print(
        f"\nNow platforms send {memberships} memberships in their own words: Segment and mParticle post {posted} bodies"
        f"\nto the webhook, {streamed} of Adobe come through a stream. {PLATFORMS_CONNECTOR} maps their audiences."
    )
    started = time.monotonic()
    with stack.paused_event_sources():
        send_as_platforms_do(stack, bodies)
    console.print(f"The webhook and the queue have all of it, after {time.monotonic() - started:.0f} s.\n")


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
