"""`make replay`: which dead letters would go back to SegmentEventsQueue? With APPLY=1 they do.

The filters are the event's fields of the replay function, given as variables.
"""

import os
import sys
import threading
import time
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console
from rich.table import Table

from responsys_activation.error_code import ErrorCode
from responsys_activation.replay.request import InvalidReplayRequestError, read_replay_request
from tests.local_stack.processes import LocalStackError
from tests.local_stack.queues import depth
from tests.local_stack.stack_in_use import StackInUse, stack_in_use

_LISTS = {
    "ERROR_CODE": "errorCode",
    "CONNECTOR": "connector",
    "EVENT": "eventName",
    "CALL_TYPE": "callType",
    "SEGMENT": "segmentId",
}
_NUMBERS = {
    "OLDER_THAN_MINUTES": "olderThanMinutes",
    "NEWER_THAN_MINUTES": "newerThanMinutes",
    "MESSAGES_PER_SECOND": "messagesPerSecond",
    "LIMIT": "limit",
}
_QUEUES = {"rejected": "RejectedDeadLetterQueueUrl", "throttled": "ThrottledDeadLetterQueueUrl"}
_ENDS = {
    "QUEUE_SEEN": "the whole queue was looked through",
    "LIMIT_REACHED": "LIMIT is reached",
    "OUT_OF_TIME": "the function's time was over",
    "TOO_MANY_HIDDEN": "SQS hides no more messages at once, and behind those that were not chosen there may be others",
    "RECEIVED_TOO_OFTEN": "ThrottledDLQ was looked through too often: SQS would move its messages to RejectedDLQ",
    "AWS_UNAVAILABLE": "SQS did not answer, or refused",
}
_SECONDS_BETWEEN_LINES = 2.0


def main() -> int:
    """Replay, or try it; return 0 if everything that was chosen is done."""
    console = Console(highlight=False)
    try:
        stack = stack_in_use()
        event = replay_event(os.environ)
        read_replay_request(event)
        report = replay(stack, event, console)
    except (LocalStackError, InvalidReplayRequestError, BotoCoreError, ClientError) as exc:
        print(f"error: {exc}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        console.print("The function goes on by itself, and ends within 15 minutes.")
        return 130
    show(report, console)
    return 0 if report["complete"] else 1


def replay_event(environment: Mapping[str, str]) -> dict[str, Any]:
    """Make the function's event of the variables that are set; several values are separated by commas.

    Raises
    ------
    LocalStackError
        What should be a number is none.
    """
    event: dict[str, Any] = {
        "source": environment.get("SOURCE") or "rejected",
        "dryRun": environment.get("APPLY") != "1",
    }
    if environment.get("IN_DOUBT") == "1":
        event["inDoubt"] = True
    for variable, field in _LISTS.items():
        if text := environment.get(variable):
            event[field] = [value.strip() for value in text.split(",")]
    for variable, field in _NUMBERS.items():
        if text := environment.get(variable):
            try:
                event[field] = int(text) if text.isdecimal() else float(text)
            except ValueError:
                raise LocalStackError(f"{variable} must be a number, not {text}.") from None
    return event


def replay(stack: StackInUse, event: Mapping[str, Any], console: Console) -> dict[str, Any]:
    """Invoke the replay function until it is done or comes no further, and return the sum of its reports."""
    reports: list[dict[str, Any]] = []
    with ThreadPoolExecutor(1) as pool:
        while True:
            running = pool.submit(stack.invoke, stack.outputs["ReplayFunctionName"], event)
            _show_progress(stack, event["source"], running, console)
            reports.append(running.result())
            # A dry run moves nothing, and would see the same messages again.
            if not (reports[-1]["moved"] and reports[-1].get("continuation")):
                return _sum(reports)
            event = reports[-1]["continuation"]


def show(report: Mapping[str, Any], console: Console) -> None:
    """Print a report for a person."""
    verb = "would move" if report["dryRun"] else "moved"
    table = Table(title=f"Replay from {_queue_name(report['source'])}", title_justify="left")
    table.add_column("error code")
    table.add_column(verb, justify="right")
    table.add_column("not chosen" if report["dryRun"] else "left", justify="right")
    chosen, left = report["byErrorCode"], report["leftByErrorCode"]
    for code in sorted(chosen | left):
        table.add_row(code, f"{chosen.get(code, 0):,}", f"{left.get(code, 0):,}")
    table.add_section()
    table.add_row("all", f"{sum(chosen.values()):,}", f"{sum(left.values()):,}")
    console.print(table)
    if report["arrivedSince"]:
        console.print(
            f"{report['arrivedSince']:,} more arrived since it began; moved ones that failed again are among them."
        )
    if report["refused"]:
        console.print(f"{report['refused']:,} messages were refused by SegmentEventsQueue; the log says why.")
    if left.get(ErrorCode.OUTCOME_UNKNOWN):
        console.print("OUTCOME_UNKNOWN: Responsys may have these. They only go, once more, with IN_DOUBT=1.")
    console.print(f"{'Complete' if report['complete'] else 'Not complete'}: {_ENDS[report['end']]}.")
    if report["dryRun"]:
        console.print("Nothing was moved. To move them: the same with APPLY=1.")


def _sum(reports: list[dict[str, Any]]) -> dict[str, Any]:
    """Add up what several invocations moved; what is left is what the last one left."""
    moved = sum((Counter(report["byErrorCode"]) for report in reports), Counter())
    return reports[-1] | {"moved": moved.total(), "byErrorCode": dict(moved.most_common())}


def _show_progress(stack: StackInUse, source: str, running: "Future[dict[str, Any]]", console: Console) -> None:
    """Tell what the queues hold for as long as the function runs."""
    sqs = stack.client("sqs")
    done = threading.Event()
    running.add_done_callback(lambda _future: done.set())
    started = time.monotonic()
    while not done.wait(_SECONDS_BETWEEN_LINES):
        held = depth(sqs, stack.outputs[_QUEUES[source]])
        queued = depth(sqs, stack.outputs["SegmentEventsQueueUrl"])
        seconds = time.monotonic() - started
        console.print(f"{seconds:5.0f} s  {_queue_name(source)} holds {held:,}, SegmentEventsQueue {queued:,}")


def _queue_name(source: str) -> str:
    return {"rejected": "RejectedDLQ", "throttled": "ThrottledDLQ"}[source]


if __name__ == "__main__":
    sys.exit(main())
