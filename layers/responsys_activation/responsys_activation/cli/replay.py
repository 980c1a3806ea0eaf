"""Which dead letters go back to SegmentEventsQueue?

The filters are the fields of the replay function's event. It is the function that looks and moves; here it is asked,
again and again until everything chosen is moved.
"""

from __future__ import annotations

import threading
from argparse import ArgumentParser, Namespace
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import Any

from rich.table import Table

from responsys_activation.aws.deployed_stack import DeployedStack
from responsys_activation.cli.exit_code import CommandError, ExitCode
from responsys_activation.cli.options import names, number, whole_number
from responsys_activation.cli.terminal import Terminal
from responsys_activation.error_code import ErrorCode
from responsys_activation.replay.request import InvalidReplayRequestError, read_replay_request

__all__ = ["DESCRIPTION", "EXAMPLES", "HELP", "NAME", "add_options", "replay", "replay_event", "run", "show"]

NAME = "replay"
HELP = "count the dead letters that would go back, or move them with --apply"
DESCRIPTION = """\
Counts the dead letters that would go back to SegmentEventsQueue; with --apply they do. All filters must hold, each
takes several values with commas. What was delivered before is recognised, and not sent again."""
EXAMPLES = """\
  responsys-activation replay    # what is on RejectedDLQ of the local stack?
  responsys-activation replay --stack prod --error-code NO_RECIPIENT_FOUND    # how many would go back?
  responsys-activation replay --stack prod --error-code NO_RECIPIENT_FOUND --apply
  responsys-activation replay --stack prod --connector loyalty --newer-than-minutes 120 --limit 100 --apply
  responsys-activation replay --stack prod --error-code OUTCOME_UNKNOWN --in-doubt --apply    # perhaps twice
"""

_LISTS = {
    "error_code": ("errorCode", "CODE", "those with this error code; NONE: those that SQS itself moved"),
    "connector": ("connector", "NAME", "those of this connector"),
    "event": ("eventName", "NAME", "those of this custom event"),
    "call_type": ("callType", "TYPE", "ADD, UPDATE or REMOVE"),
    "segment": ("segmentId", "ID", "those of the audience or journey with this id"),
}
_AGES = {
    "older_than_minutes": ("olderThanMinutes", "those that have been on the queue for longer"),
    "newer_than_minutes": ("newerThanMinutes", "those that have not been on the queue for so long"),
}
_QUEUES = {"rejected": "RejectedDLQ", "throttled": "ThrottledDLQ"}
_QUEUE_URLS = {"rejected": "RejectedDeadLetterQueueUrl", "throttled": "ThrottledDeadLetterQueueUrl"}
_ENDS = {
    "QUEUE_SEEN": "the whole queue was looked through",
    "LIMIT_REACHED": "--limit is reached",
    "OUT_OF_TIME": "the function's time was over",
    "TOO_MANY_HIDDEN": "SQS hides no more messages at once, and behind those that were not chosen there may be others",
    "RECEIVED_TOO_OFTEN": "ThrottledDLQ was looked through too often: SQS would move its messages to RejectedDLQ",
    "AWS_UNAVAILABLE": "SQS did not answer, or refused",
}
_SECONDS_BETWEEN_LOOKS = 2.0


def add_options(parser: ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument("--apply", action="store_true", help="move them (default: count only)")
    parser.add_argument("--yes", action="store_true", help="do not ask before everything on AWS is moved")
    parser.add_argument(
        "--in-doubt",
        action="store_true",
        help="also OUTCOME_UNKNOWN: Responsys may have these, and each is sent once more, perhaps a second time",
    )
    parser.add_argument("--source", choices=sorted(_QUEUES), default="rejected", help="dead-letter queue (%(default)s)")
    parser.add_argument("--limit", type=whole_number, metavar="N", help="move so many at most")
    parser.add_argument("--messages-per-second", type=number, metavar="N", help="pace, 1 to 1,000 (default: 50)")
    filters = parser.add_argument_group("filters")
    for option, (_, metavar, text) in _LISTS.items():
        filters.add_argument(_flag(option), action="extend", type=names, metavar=metavar, help=text)
    for option, (_, text) in _AGES.items():
        filters.add_argument(_flag(option), type=number, metavar="N", help=text)


def run(options: Namespace, terminal: Terminal, open_stack: Callable[[], DeployedStack]) -> ExitCode:
    """Count or move, print the report, and tell whether everything chosen is done."""
    event = replay_event(options)
    stack = open_stack()
    if options.apply and not stack.is_local and not options.yes and not _is_filtered(options):
        queue = f"{_QUEUES[options.source]} of {stack.name}"
        question = f"{queue} holds about {stack.depth(_QUEUE_URLS[options.source]):,} messages, and no filter is given."
        if not terminal.ask(f"{question} Move them all?", otherwise="Give a filter, or --yes to move them all."):
            raise CommandError("nothing was moved.")
    try:
        report = replay(stack, event, terminal)
    except KeyboardInterrupt:
        terminal.note("The function goes on by itself, and ends within 15 minutes.")
        raise
    terminal.document(report)
    show(report, stack.title, terminal)
    return ExitCode.DONE if report["complete"] else ExitCode.NOT_DONE


def replay_event(options: Namespace) -> dict[str, Any]:
    """Make the function's event of the options.

    Raises
    ------
    CommandError
        The function would refuse it.
    """
    event: dict[str, Any] = {"source": options.source, "dryRun": not options.apply}
    if options.in_doubt:
        event["inDoubt"] = True
    fields = {option: field for option, (field, *_) in {**_LISTS, **_AGES}.items()}
    for option, field in {**fields, "limit": "limit", "messages_per_second": "messagesPerSecond"}.items():
        if (value := getattr(options, option)) is not None:
            event[field] = value
    try:
        read_replay_request(event)
    except InvalidReplayRequestError as exc:
        raise CommandError(str(exc)) from None
    return event


def replay(stack: DeployedStack, event: Mapping[str, Any], terminal: Terminal) -> dict[str, Any]:
    """Invoke the replay function until it is done or comes no further, and give the sum of its reports.

    Raises
    ------
    StackError
        The function could not be invoked, or failed.
    """
    reports: list[dict[str, Any]] = []
    while True:
        reports.append(_invoke(stack, event, terminal, sum(report["moved"] for report in reports)))
        # A dry run moves nothing, and would see the same messages again.
        if not (reports[-1]["moved"] and reports[-1].get("continuation")):
            return _sum(reports)
        event = reports[-1]["continuation"]


def show(report: Mapping[str, Any], stack: str, terminal: Terminal) -> None:
    """Print a report for a person."""
    verb = "would move" if report["dryRun"] else "moved"
    terminal.say(f"Replay from {_QUEUES[report['source']]} of {stack}", style="bold")
    table = Table()
    table.add_column("error code")
    table.add_column(verb, justify="right")
    table.add_column("not chosen" if report["dryRun"] else "left", justify="right")
    chosen, left = report["byErrorCode"], report["leftByErrorCode"]
    for code in sorted(chosen | left):
        table.add_row(code, f"{chosen.get(code, 0):,}", f"{left.get(code, 0):,}")
    table.add_section()
    table.add_row("all", f"{sum(chosen.values()):,}", f"{sum(left.values()):,}")
    terminal.say(table)
    if report["arrivedSince"]:
        terminal.say(
            f"{report['arrivedSince']:,} more arrived since it began; moved ones that failed again are among them."
        )
    if report["refused"]:
        terminal.say(f"{report['refused']:,} messages were refused by SegmentEventsQueue; the function's log says why.")
    if left.get(ErrorCode.OUTCOME_UNKNOWN):
        terminal.say("OUTCOME_UNKNOWN: Responsys may have these. They only go, once more, with --in-doubt.")
    terminal.say(f"{'Complete' if report['complete'] else 'Not complete'}: {_ENDS[report['end']]}.")
    if report["dryRun"]:
        terminal.say("Nothing was moved. To move them: the same with --apply." if chosen else "Nothing would move.")


def _flag(option: str) -> str:
    return f"--{option.replace('_', '-')}"


def _is_filtered(options: Namespace) -> bool:
    return any(getattr(options, option) for option in (*_LISTS, *_AGES))


def _invoke(stack: DeployedStack, event: Mapping[str, Any], terminal: Terminal, moved: int) -> dict[str, Any]:
    """Invoke the function once, and tell meanwhile what the queues hold."""
    answer: Future[dict[str, Any]] = Future()

    def invoke() -> None:
        try:
            answer.set_result(stack.invoke("ReplayFunctionName", event))
        except BaseException as exc:  # noqa: BLE001 - raised again where the answer is waited for
            answer.set_exception(exc)

    source = event["source"]
    doing = "Looking through" if event["dryRun"] else "Moving from"
    with terminal.progress(f"{doing} {_QUEUES[source]}") as update:
        # A daemon, so that Ctrl-C need not wait for a function that may take 15 minutes.
        threading.Thread(target=invoke, daemon=True).start()
        while True:
            try:
                return answer.result(_SECONDS_BETWEEN_LOOKS)
            except TimeoutError:
                if answer.done():
                    raise
            if update is None:  # nobody looks
                continue
            held, queued = stack.depth(_QUEUE_URLS[source]), stack.depth("SegmentEventsQueueUrl")
            so_far = f"; {moved:,} moved by earlier invocations" if moved else ""
            update(f"{doing} {_QUEUES[source]}, which holds {held:,}; SegmentEventsQueue holds {queued:,}{so_far}")


def _sum(reports: list[dict[str, Any]]) -> dict[str, Any]:
    """Add up what several invocations moved; what is left is what the last one left."""
    chosen = sum((Counter(report["byErrorCode"]) for report in reports), Counter[str]())
    moved = sum(report["moved"] for report in reports)
    return reports[-1] | {"moved": moved, "byErrorCode": dict(chosen.most_common())}
