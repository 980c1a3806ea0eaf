"""How does one membership go through the stack, and how does it end?"""

from __future__ import annotations

import time
import uuid
from argparse import ArgumentParser, Namespace
from collections.abc import Callable

from responsys_activation.aws.claims import ClaimState
from responsys_activation.aws.deployed_stack import DeployedStack
from responsys_activation.cli.exit_code import CommandError, ExitCode
from responsys_activation.cli.following import Sent, Sighting, changes_of, follow, rehearsed
from responsys_activation.cli.message_file import read_text
from responsys_activation.cli.one_membership import (
    add_membership_options,
    given_parts,
    membership_body,
    missing_parts,
)
from responsys_activation.cli.options import number
from responsys_activation.cli.terminal import Terminal
from responsys_activation.delivery.outcome import Rejected, reason_of

__all__ = ["DESCRIPTION", "EXAMPLES", "HELP", "NAME", "add_options", "run"]

NAME = "send"
HELP = "send one membership through the queue, and follow it to its end"
DESCRIPTION = """\
Puts one membership on SegmentEventsQueue and says where it is until its end. It is a real event: use a recipient of
your own."""
EXAMPLES = """\
  responsys-activation send --profile-id p1 --segment aud-42 --id 364470825
  responsys-activation send --profile-id p1 --segment aud-42 --id 364470825 --call-type REMOVE --stack prod
  responsys-activation send --profile-id p1 --segment jrn-7 --segment-type JOURNEY --id C-1001 --connector loyalty
  responsys-activation send --message membership.json    # a whole message, as a producer would send it
"""


def add_options(parser: ArgumentParser) -> None:
    """Add the command's options."""
    membership = add_membership_options(parser)
    membership.add_argument("--message-id", metavar="ID", help="key of the delivery ledger (default: a new one)")
    membership.add_argument("--message", metavar="FILE", help="the whole message, in place of the above; - for stdin")
    parser.add_argument(
        "--timeout", type=number, default=120.0, metavar="SECONDS", help="follow it for so long (default: 120)"
    )


def run(options: Namespace, terminal: Terminal, open_stack: Callable[[], DeployedStack]) -> ExitCode:
    """Send and follow; done only if it was delivered."""
    _require_one_message(options)
    stack = open_stack()
    connectors = stack.connector_parameters.read_all()
    body = (
        read_text(options.message)
        if options.message
        else membership_body(options, connectors, options.message_id or f"send-{uuid.uuid4()}")
    )
    expected = rehearsed(stack, connectors, body, "message 1")
    for ending in expected.endings:
        if isinstance(ending.outcome, Rejected):
            code, reason = ending.outcome.error_code, reason_of(ending.outcome)
            terminal.say(f"It will be rejected, {code}: {reason}.", style="yellow")
    changes = changes_of(expected)
    if changes and all(stack.ledger.look_up(each) is ClaimState.DELIVERED for each in changes):
        raise CommandError("a membership with this messageId was delivered before: give another --message-id.")
    sent_at = time.time()
    message_id = stack.send(body)
    # What has no id of its own is known to the ledger by SQS's.
    sent = Sent(sent_at, changes_of(rehearsed(stack, connectors, body, message_id)), message_id)
    for request in expected.requests:
        terminal.say(f"connector {request.connector}, event {request.event_name}")
    terminal.say(f"sent to {stack.title}: SQS message {message_id}")
    started = time.monotonic()
    end = _follow(stack, sent, options.timeout, terminal)
    terminal.document(
        {
            "stack": stack.name,
            "sqsMessageId": message_id,
            "events": [{"connector": each.connector, "eventName": each.event_name} for each in expected.requests],
            "outcome": end.outcome,
            "errorCode": end.error_code,
            "reason": end.reason,
            "whatToDo": end.what_to_do,
            "ended": end.is_last,
            "seconds": round(time.monotonic() - started, 1),
        }
    )
    return ExitCode.DONE if end.outcome == "delivered" else ExitCode.NOT_DONE


def _require_one_message(options: Namespace) -> None:
    given = given_parts(options) + ["--message-id"] * (options.message_id is not None)
    missing = missing_parts(options)
    if options.message and given:
        raise CommandError(f"--message has the whole message: leave out {', '.join(given)}.")
    if not options.message and missing:
        raise CommandError(f"{', '.join(missing)} must be given, or --message FILE with the whole message.")


def _follow(stack: DeployedStack, sent: Sent, patience: float, terminal: Terminal) -> Sighting:
    """Print each place where the membership is seen."""

    def tell(sighting: Sighting, seconds: float) -> None:
        terminal.say(f"{seconds:6.1f} s  {sighting.text}")
        if sighting.what_to_do:
            terminal.say(f"          What to do: {sighting.what_to_do}.")

    try:
        with terminal.progress("Following it"):
            end = follow(stack, sent, patience, tell)
    except KeyboardInterrupt:
        terminal.note("It goes on by itself.")
        raise
    if not end.is_last:
        terminal.say(f"Not at its end after {patience:.0f} s; it goes on by itself. Longer: --timeout SECONDS.")
    return end
