"""Does a deployed stack work, as far as a program can tell?"""

from __future__ import annotations

import time
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import NamedTuple

from rich.table import Table
from rich.text import Text

from responsys_activation import __version__
from responsys_activation.aws.deployed_stack import DeployedStack
from responsys_activation.aws.faults import AwsCallError
from responsys_activation.aws.stack_call import StackError
from responsys_activation.cli import trial
from responsys_activation.cli.exit_code import CommandError, ExitCode
from responsys_activation.cli.gathering import TERM, gathering, read_settled_batches
from responsys_activation.cli.one_membership import add_membership_options, given_parts, missing_parts
from responsys_activation.cli.options import number
from responsys_activation.cli.terminal import Terminal, counted
from responsys_activation.cli.verification import (
    Result,
    Step,
    alarm_steps,
    connector_steps,
    dead_letter_step,
    event_source_step,
    function_step,
    metrics_step,
    not_looked_at,
    skipped,
    stack_step,
    subscriber_step,
    throttled_step,
    traffic_step,
    version_step,
)

__all__ = ["DESCRIPTION", "EXAMPLES", "HELP", "NAME", "add_options", "run"]

NAME = "verify"
HELP = "does a deployed stack work? Looks at all of it; sends messages only if told to"
DESCRIPTION = """\
Looks at what was deployed and at the last hour: version, functions, event sources, connectors, batches, metrics, alarms
and dead letters. The connector check makes a login. Nothing is sent without --send. With it, the membership of the
options is a real event, so use a recipient of your own. It is sent once by SQS, and once more by each of SNS and
EventBridge for which a temporary topic or rule is allowed."""
EXAMPLES = """\
  responsys-activation verify --stack prod    # look only
  responsys-activation verify --stack prod --send --profile-id p1 --segment aud-42 --id 364470825
  responsys-activation verify --send --profile-id p1 --segment aud-42 --id 364470825 --temporary-topic --temporary-rule
  responsys-activation verify --stack prod --json | jq '.steps[] | select(.result == "wrong")'
"""

_FUNCTIONS = ("SegmentEventsFunctionName", "ConnectorCheckFunctionName", "ReplayFunctionName")
_PACE = ("BatchSize", "BatchingWindowSeconds")
_EVENT_SOURCES = {  # by the queue: the output that has its URL, and the parameters that are settings
    "SegmentEventsQueue": ("SegmentEventsQueueUrl", (*_PACE, "MaximumConcurrency")),
    "ThrottledDLQ": ("ThrottledDeadLetterQueueUrl", _PACE),
}
_TEMPORARY = ("temporary_topic", "temporary_rule")
_SERVICE = "segment_events"
_LOOKED_BACK = timedelta(hours=1)
_METRICS_ARE_THERE = 300.0  # seconds after their log line
_STYLES = {Result.OK: "green", Result.NOTE: "yellow", Result.WRONG: "red", Result.UNKNOWN: "red", Result.SKIPPED: "dim"}


class _Look(NamedTuple):
    """Something to look at; the name is for a step that AWS refused."""

    name: str
    take: Callable[[], Iterable[Step]]


def add_options(parser: ArgumentParser) -> None:
    """Add the command's options."""
    sending = parser.add_argument_group("sending")
    sending.add_argument("--send", action="store_true", help="send the membership, which is a real event")
    sending.add_argument(
        "--temporary-topic", action="store_true", help="send it by SNS too: makes a topic, and removes it"
    )
    sending.add_argument(
        "--temporary-rule",
        action="store_true",
        help="send it by EventBridge too: makes a rule on the default event bus, and removes it",
    )
    sending.add_argument(
        "--timeout", type=number, default=120.0, metavar="SECONDS", help="follow each for so long (default: 120)"
    )
    add_membership_options(parser)


def run(options: Namespace, terminal: Terminal, open_stack: Callable[[], DeployedStack]) -> ExitCode:
    """Look at everything, print the table, and tell whether nothing is wrong."""
    _require_what_is_sent(options)
    stack = open_stack()
    looks = [*_at_deployment(stack), *_at_messages(stack, options), *_at_last_hour(stack)]
    steps: list[Step] = []
    with terminal.progress(f"Verifying {stack.title}") as update:
        for look in looks:
            if update:
                update(f"Verifying {stack.title}: {look.name}")
            steps += _taken(look)
    good = all(step.result.is_good for step in steps)
    terminal.document({"stack": stack.name, "ok": good, "steps": [step.document() for step in steps]})
    _show(steps, stack, terminal)
    return ExitCode.DONE if good else ExitCode.NOT_DONE


def _require_what_is_sent(options: Namespace) -> None:
    temporary = [f"--{each.replace('_', '-')}" for each in _TEMPORARY if getattr(options, each)]
    if not options.send and (given := given_parts(options) + temporary):
        raise CommandError(f"{', '.join(given)}: nothing is sent without --send.")
    if options.send and (missing := missing_parts(options)):
        raise CommandError(f"--send: {', '.join(missing)} must be given too, of a recipient of your own.")


def _taken(look: _Look) -> list[Step]:
    try:
        return list(look.take())
    except (StackError, AwsCallError) as exc:
        return [not_looked_at(look.name, exc)]


def _at_deployment(stack: DeployedStack) -> Iterator[_Look]:
    # Read before anything is looked at: without the stack there is nothing.
    status, version, functions = stack.status, stack.outputs.get("Version"), [stack.output(each) for each in _FUNCTIONS]
    yield _Look("stack", lambda: [stack_step(status), version_step(version, __version__)])
    for function in functions:
        name = f"function {function.partition(':')[0].removeprefix(f'{stack.name}-')}"
        yield _Look(name, partial(_function_steps, stack, name, function))
    for queue in _EVENT_SOURCES:
        yield _Look(f"event source {queue}", partial(_event_source_steps, stack, queue))
    yield _Look("connectors", lambda: connector_steps(stack.invoke("ConnectorCheckFunctionName", {})))


def _function_steps(stack: DeployedStack, name: str, function: str) -> list[Step]:
    return [function_step(name, stack.deployment.function(function))]


def _event_source_steps(stack: DeployedStack, queue: str) -> list[Step]:
    url, settings = _EVENT_SOURCES[queue]
    deployed_with = {name: stack.parameters[name] for name in settings if name in stack.parameters}
    sources = stack.deployment.event_sources(stack.queue_arn(url))
    if stack.is_local:  # it reads as they say, and keeps the emulator's own switched off
        sources = [replace(each, state="Enabled") for each in sources]
    return [event_source_step(queue, sources, stack.output("SegmentEventsFunctionName"), deployed_with)]


def _at_messages(stack: DeployedStack, options: Namespace) -> Iterator[_Look]:
    if not options.send:
        yield _Look("messages", lambda: [skipped("messages", "none is sent without --send")])
        return
    tried = trial.Trial(stack, options, stack.connector_parameters.read_all())
    yield _Look(f"message by {trial.SQS}", partial(tried.by_queue, _command(stack, "tail", "--since 10m")))
    for forwarder, make, allowed in (
        (trial.SNS, stack.temporary_topic, options.temporary_topic),
        (trial.EVENTBRIDGE, stack.temporary_rule, options.temporary_rule),
    ):
        yield _Look(f"message by {forwarder.way}", partial(tried.by_forwarder, forwarder, make, allowed=allowed))


def _at_last_hour(stack: DeployedStack) -> Iterator[_Look]:
    yield _Look("batches and metrics, last hour", partial(_hour_steps, stack))
    yield _Look("alarms", lambda: alarm_steps(stack.deployment.alarms(), stack.name, _runbook(stack)))
    yield _Look("who hears of alarms", partial(_subscriber_steps, stack))
    count = _command(stack, "replay")
    yield _Look("RejectedDLQ", lambda: [dead_letter_step(stack.depth("RejectedDeadLetterQueueUrl"), count)])
    yield _Look("ThrottledDLQ", lambda: [throttled_step(stack.depth("ThrottledDeadLetterQueueUrl"))])


def _hour_steps(stack: DeployedStack) -> Iterator[Step]:
    since = datetime.now(UTC) - _LOOKED_BACK
    batches = read_settled_batches(stack.log_events(since.timestamp(), TERM))
    window = float(stack.parameters.get("BatchingWindowSeconds", 0))
    yield traffic_step(gathering(batches, window) if batches else None)
    received, unknown = (
        stack.deployment.total(metric, since, service=_SERVICE) for metric in ("MessagesReceived", "OutcomesUnknown")
    )
    settled_long_ago = any(batch.ended < time.time() - _METRICS_ARE_THERE for batch in batches)
    yield metrics_step(stack.name, received, unknown, settled_long_ago=settled_long_ago)


def _subscriber_steps(stack: DeployedStack) -> list[Step]:
    return [subscriber_step(*stack.deployment.subscribers(stack.output("AlarmTopicArn")))]


def _runbook(stack: DeployedStack) -> str:
    return stack.parameters.get("RunbookUrl", "docs/runbook.md")


def _command(stack: DeployedStack, *words: str) -> str:
    """Return a command line for the same stack."""
    name, *options = words
    return " ".join(["responsys-activation", name, *([] if stack.is_local else ["--stack", stack.name]), *options])


def _show(steps: list[Step], stack: DeployedStack, terminal: Terminal) -> None:
    """Print the steps for a person; below what was seen stands what to do."""
    terminal.say(f"Deployment of {stack.title}", style="bold")
    table = Table()
    table.add_column("looked at", overflow="fold")
    table.add_column("result")
    table.add_column("seen, and what to do", overflow="fold")
    for step in steps:
        seen = Text(step.seen)
        if step.what_to_do:
            seen.append(f"\n→ {step.what_to_do}", style="" if step.result.is_good else "bold")
        table.add_row(Text(step.name), Text(step.result, style=_STYLES[step.result]), seen)
    terminal.say(table)
    to_do = sum(not step.result.is_good for step in steps)
    left_out = sum(step.result is Result.SKIPPED for step in steps)
    terminal.say(f"{counted(to_do, 'step')} with something to do." if to_do else "Nothing is wrong.")
    if left_out:
        terminal.say(f"{counted(left_out, 'step')} skipped, as the table says.")
