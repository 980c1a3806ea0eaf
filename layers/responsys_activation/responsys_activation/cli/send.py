"""How does one membership go through the stack, and how does it end?

The delivery ledger tells whether it was delivered, the function's log everything else. No queue is read: to look at
a message on a queue hides it, and counts towards its end on another.
"""

from __future__ import annotations

import time
import uuid
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from responsys_activation.aws.claims import ClaimState
from responsys_activation.aws.connectors import ConnectorParameter
from responsys_activation.aws.deployed_stack import DeployedStack
from responsys_activation.change import Change
from responsys_activation.cli.advice import advice
from responsys_activation.cli.exit_code import CommandError, ExitCode
from responsys_activation.cli.explain import terms_of
from responsys_activation.cli.log_line import last_settled
from responsys_activation.cli.message_file import read_text, record_of
from responsys_activation.cli.options import json_object, number
from responsys_activation.cli.terminal import Terminal
from responsys_activation.connector import InvalidConnectorError, read_connector
from responsys_activation.delivery.outcome import Rejected
from responsys_activation.delivery.rehearsal import Rehearsal, rehearse
from responsys_activation.delivery.settling import reason_of
from responsys_activation.json_text import compact_json

__all__ = ["DESCRIPTION", "EXAMPLES", "HELP", "NAME", "Sighting", "add_options", "membership_body", "run"]

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

_SECONDS_BETWEEN_LOOKS = 0.5
_CLOCK_SKEW = 60.0  # seconds, between here and CloudWatch Logs
_PARTS = ("profile_id", "segment", "id")
_OPTIONAL_PARTS = ("call_type", "segment_type", "connector", "event", "variables", "message_id")


def add_options(parser: ArgumentParser) -> None:
    """Add the command's options."""
    message = parser.add_argument_group("membership")
    message.add_argument("--profile-id", metavar="ID", help="the platform's id of the profile")
    message.add_argument("--segment", metavar="ID", help="id of the audience or journey")
    message.add_argument("--id", metavar="ID", help="identifier of the recipient, of the connector's type")
    message.add_argument("--call-type", choices=("ADD", "UPDATE", "REMOVE"), help="(default: ADD)")
    message.add_argument("--segment-type", choices=("AUDIENCE", "JOURNEY"), help="(default: AUDIENCE)")
    message.add_argument("--connector", metavar="NAME", help="(default: default)")
    message.add_argument("--event", metavar="NAME", help="custom event (default: what the connector's settings say)")
    message.add_argument("--variables", type=json_object, metavar="JSON", help="""such as '{"CITY": "Lyon"}'""")
    message.add_argument("--message-id", metavar="ID", help="key of the delivery ledger (default: a new one)")
    message.add_argument("--message", metavar="FILE", help="the whole message, in place of the above; - for stdin")
    parser.add_argument(
        "--timeout", type=number, default=120.0, metavar="SECONDS", help="follow it for so long (default: 120)"
    )


class _Sent(NamedTuple):
    """A membership on its way.

    Attributes
    ----------
    message_id : str
        SQS's, by which the log names it.
    at : float
        Epoch seconds.
    changes : tuple of Change
        By which the ledger knows it; none when it cannot get that far.
    """

    message_id: str
    at: float
    changes: tuple[Change, ...]


@dataclass(frozen=True)
class Sighting:
    """Where a membership was seen.

    Attributes
    ----------
    text : str
        For a person.
    outcome, error_code, reason : str or None
        How it ended; ``None`` on the way.
    is_last : bool
        It is the end.
    """

    text: str
    outcome: str | None = None
    error_code: str | None = None
    reason: str | None = None
    is_last: bool = False


def run(options: Namespace, terminal: Terminal, open_stack: Callable[[], DeployedStack]) -> ExitCode:
    """Send and follow; done only if it was delivered."""
    _require_one_message(options)
    stack = open_stack()
    connectors = stack.connector_parameters.read_all()
    body = read_text(options.message) if options.message else membership_body(options, connectors)
    expected = _rehearsed(stack, connectors, body, "message 1")
    for ending in expected.endings:
        if isinstance(ending.outcome, Rejected):
            code, reason = ending.outcome.error_code, reason_of(ending.outcome)
            terminal.say(f"It will be rejected, {code}: {reason}.", style="yellow")
    if _changes(expected) and all(stack.ledger.look_up(each) is ClaimState.DELIVERED for each in _changes(expected)):
        raise CommandError("a membership with this messageId was delivered before: give another --message-id.")
    sent_at = time.time()
    message_id = stack.send(body)
    # What has no id of its own is known to the ledger by SQS's.
    sent = _Sent(message_id, sent_at, tuple(_changes(_rehearsed(stack, connectors, body, message_id))))
    for request in expected.requests:
        terminal.say(f"connector {request.connector}, event {request.event_name}")
    terminal.say(f"sent to {stack.title}: SQS message {message_id}")
    started = time.monotonic()
    try:
        end = _follow(stack, sent, options.timeout, terminal)
    except KeyboardInterrupt:
        terminal.note("It goes on by itself.")
        raise
    terminal.document(
        {
            "stack": stack.name,
            "sqsMessageId": message_id,
            "events": [{"connector": each.connector, "eventName": each.event_name} for each in expected.requests],
            "outcome": end.outcome,
            "errorCode": end.error_code,
            "reason": end.reason,
            "whatToDo": advice(end.error_code) if end.error_code else None,
            "ended": end.is_last,
            "seconds": round(time.monotonic() - started, 1),
        }
    )
    return ExitCode.DONE if end.outcome == "delivered" else ExitCode.NOT_DONE


def membership_body(options: Namespace, connectors: Mapping[str, ConnectorParameter]) -> str:
    """Make the message of the options.

    Raises
    ------
    CommandError
        There is no such connector, or its settings cannot be used, so its identifier type is not known.
    """
    name = options.connector or "default"
    if name not in connectors:
        raise CommandError(f"--connector {name}: the stack has {', '.join(connectors) or 'no connector'}.")
    try:
        identifier_type = read_connector(connectors[name].text).identifier_type
    except InvalidConnectorError as exc:
        raise CommandError(f"--connector {name}: {exc}.") from None
    message: dict[str, Any] = {
        "messageId": options.message_id or f"send-{uuid.uuid4()}",
        "profileId": options.profile_id,
        "callType": options.call_type or "ADD",
        "segment": {"type": options.segment_type or "AUDIENCE", "id": options.segment},
        "connector": name,
        "identifiers": {identifier_type.value: options.id},
    }
    optional = {"eventName": options.event, "variables": options.variables}
    return compact_json(message | {field: value for field, value in optional.items() if value is not None})


def _require_one_message(options: Namespace) -> None:
    given = [
        f"--{name.replace('_', '-')}" for name in (*_PARTS, *_OPTIONAL_PARTS) if getattr(options, name) is not None
    ]
    missing = [f"--{name.replace('_', '-')}" for name in _PARTS if not getattr(options, name)]
    if options.message and given:
        raise CommandError(f"--message has the whole message: leave out {', '.join(given)}.")
    if not options.message and missing:
        raise CommandError(f"{', '.join(missing)} must be given, or --message FILE with the whole message.")


def _rehearsed(
    stack: DeployedStack, connectors: Mapping[str, ConnectorParameter], body: str, message_id: str
) -> Rehearsal:
    return rehearse([record_of(body, message_id)], connectors, terms_of(stack))


def _changes(rehearsal: Rehearsal) -> list[Change]:
    return [item.change for request in rehearsal.requests for item in request.items]


def _follow(stack: DeployedStack, sent: _Sent, patience: float, terminal: Terminal) -> Sighting:
    """Print each place where the membership is seen, until its end or until the time is over."""
    started = time.monotonic()
    seen = Sighting("")
    with terminal.progress("Following it"):
        while time.monotonic() - started < patience:
            sighting = _look(stack, sent)
            if sighting.text != seen.text:
                terminal.say(f"{time.monotonic() - started:6.1f} s  {sighting.text}")
            seen = sighting
            if seen.is_last:
                return seen
            time.sleep(_SECONDS_BETWEEN_LOOKS)
    terminal.say(f"Not at its end after {patience:.0f} s; it goes on by itself. Longer: --timeout SECONDS.")
    return seen


def _look(stack: DeployedStack, sent: _Sent) -> Sighting:
    states = {stack.ledger.look_up(change) for change in sent.changes}
    if states == {ClaimState.DELIVERED}:
        return Sighting("delivered: Responsys took the event.", "delivered", is_last=True)
    if ClaimState.IN_FLIGHT in states:
        return Sighting("the function is sending it to Responsys.")
    if line := last_settled(list(stack.log_events(sent.at - _CLOCK_SKEW, sent.message_id)), sent.message_id):
        return _settled(line["outcome"], line.get("errorCode"), line.get("reason"))
    if ClaimState.IN_DOUBT in states:
        return Sighting("it was sent, and no trustworthy reply came.")
    if ClaimState.FREE in states:
        return Sighting("Responsys did not take it.")
    return Sighting("waits on SegmentEventsQueue, or the function just received it.")


def _settled(outcome: str, code: str | None, reason: str | None) -> Sighting:
    why = f"{outcome}, {code}{f' ({reason})' if reason else ''}"
    what_to_do = f"\n          What to do: {advice(code)}." if code else ""
    match outcome:
        case "throttled":
            text = f"{why}: waits on ThrottledDLQ, comes back by itself.{what_to_do}"
        case "retried":
            text = f"{why}: stays on its queue and comes back by itself.{what_to_do}"
        case "rejected":
            return Sighting(f"{why}: waits on RejectedDLQ.{what_to_do}", outcome, code, reason, is_last=True)
        case "ignored":
            return Sighting(f"{why}: nothing is sent for it any more.{what_to_do}", outcome, code, reason, is_last=True)
        case _:
            text = "duplicate: it had been delivered before, and is not sent again."
            return Sighting(text, outcome, is_last=True)
    return Sighting(text, outcome, code, reason)
