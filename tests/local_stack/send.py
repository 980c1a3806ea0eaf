"""`make send`: one membership goes through the deployed queue. Where is it now, and how does it end?

The delivery ledger tells whether it was delivered, the function's log everything else. No queue is read: to look at
a message on a queue hides it, and counts towards its end on another.
"""

import json
import os
import sys
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console

from responsys_activation.aws.connector_parameters import ConnectorParameters
from responsys_activation.aws.connector_settings import ConnectorSettings, UnknownConnectorError
from responsys_activation.aws.faults import AwsUnavailableError
from responsys_activation.aws.ledger import ClaimState, Ledger
from responsys_activation.change import Change, membership_change
from responsys_activation.connector import Connector, InvalidConnectorError
from responsys_activation.error_code import advice
from responsys_activation.membership import InvalidMessageError, Membership, read_membership
from tests.local_stack.processes import LocalStackError
from tests.local_stack.stack_in_use import StackInUse, stack_in_use

_SECONDS_BETWEEN_LOOKS = 0.5
_DEFAULT_SECONDS = 120.0
_CLOCK_SKEW_MS = 60_000  # between here and CloudWatch Logs


@dataclass(frozen=True)
class Sending:
    """A membership on its way.

    Parameters
    ----------
    sqs_message_id
        Under which the log names it.
    change
        Under which the ledger knows it; None when it cannot get that far.
    """

    sqs_message_id: str
    change: Change | None
    sent_at_ms: int


@dataclass(frozen=True)
class Sighting:
    """Where a membership was seen.

    Parameters
    ----------
    text
        For a person.
    delivered
        Whether that is the end, and which; None on the way.
    """

    text: str
    delivered: bool | None = None


def main() -> int:
    """Send and follow; return 0 only if it was delivered."""
    console = Console(highlight=False, soft_wrap=True)
    try:
        stack = stack_in_use()
        parameters = ConnectorParameters(stack.outputs["ConnectorParameterPrefix"], stack.client("ssm"))
        settings = ConnectorSettings(parameters)
        body = membership_body(os.environ, settings)
        return follow(stack, send(stack, settings, body, console), _patience(os.environ), console)
    except (LocalStackError, AwsUnavailableError, BotoCoreError, ClientError) as exc:
        print(f"error: {exc}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        console.print("It goes on by itself.")
        return 130


def membership_body(environment: Mapping[str, str], settings: ConnectorSettings) -> str:
    """Give the message of the file MESSAGE, or make one of PROFILE, CALL_TYPE, SEGMENT, ID and so on.

    Raises
    ------
    LocalStackError
        Names the variable that is missing or wrong.
    """
    if path := environment.get("MESSAGE"):
        try:
            return Path(path).read_text()
        except (OSError, UnicodeDecodeError) as exc:
            raise LocalStackError(f"MESSAGE={path}: {exc}") from None
    missing = [name for name in ("PROFILE", "SEGMENT", "ID") if not environment.get(name)]
    if missing:
        raise LocalStackError(f"{' and '.join(missing)} must be given, or MESSAGE=file with the whole message.")
    name = environment.get("CONNECTOR") or "default"
    message: dict[str, Any] = {
        "messageId": environment.get("MESSAGE_ID") or f"send-{uuid.uuid4()}",
        "profileId": environment["PROFILE"],
        "callType": environment.get("CALL_TYPE") or "ADD",
        "segment": {"type": environment.get("SEGMENT_TYPE") or "AUDIENCE", "id": environment["SEGMENT"]},
        "connector": name,
        "identifiers": {_connector(settings, name).identifier_type.value: environment["ID"]},
    }
    if event_name := environment.get("EVENT"):
        message["eventName"] = event_name
    if variables := environment.get("VARIABLES"):
        try:
            message["variables"] = json.loads(variables)
        except ValueError as exc:
            raise LocalStackError(f"VARIABLES must be a JSON object: {exc}") from None
    return json.dumps(message)


def send(stack: StackInUse, settings: ConnectorSettings, body: str, console: Console) -> Sending:
    """Put the membership on SegmentEventsQueue, unless it was delivered before.

    Raises
    ------
    LocalStackError
        It was.
    """
    membership = _membership(settings, body, console)
    if membership and membership.message_id:
        change = _change(membership, membership.message_id)
        if _ledger(stack).look_up(change) is ClaimState.DELIVERED:
            raise LocalStackError("a membership with this messageId was delivered before: give another MESSAGE_ID.")
    sent_at_ms = int(time.time() * 1000)
    answer = stack.client("sqs").send_message(QueueUrl=stack.outputs["SegmentEventsQueueUrl"], MessageBody=body)
    message_id: str = answer["MessageId"]
    known: Change | None = None
    if membership:
        event_name = membership.event_name or settings.read(membership.connector).event_name_for(membership.segment.id)
        ledger_id = membership.message_id or message_id
        console.print(f"connector {membership.connector}, event {event_name}, messageId {ledger_id}")
        known = _change(membership, ledger_id)
    console.print(f"sent to {stack.name}: SQS message {message_id}")
    return Sending(message_id, known, sent_at_ms)


def follow(stack: StackInUse, sending: Sending, seconds: float, console: Console) -> int:
    """Print each place where the membership is seen, until its end or until the time is over."""
    started = time.monotonic()
    seen = ""
    while time.monotonic() - started < seconds:
        sighting = _look(stack, sending)
        if sighting.text != seen:
            console.print(f"{time.monotonic() - started:6.1f} s  {sighting.text}")
            seen = sighting.text
        if sighting.delivered is not None:
            return 0 if sighting.delivered else 1
        time.sleep(_SECONDS_BETWEEN_LOOKS)
    console.print(f"Not at its end after {seconds:.0f} s; it goes on by itself. Longer: TIMEOUT=seconds.")
    return 1


def _look(stack: StackInUse, sending: Sending) -> Sighting:
    state = _ledger(stack).look_up(sending.change) if sending.change else None
    if state is ClaimState.DELIVERED:
        return Sighting("delivered: Responsys took the event.", delivered=True)
    if state is ClaimState.IN_FLIGHT:
        return Sighting("the function is sending it to Responsys.")
    if settled := _last_settled(stack, sending):
        return _settled(settled["outcome"], settled["errorCode"], settled["reason"])
    match state:
        case ClaimState.IN_DOUBT:
            return Sighting("it was sent, and no trustworthy reply came.")
        case ClaimState.FREE:
            return Sighting("Responsys did not take it.")
        case _:
            return Sighting("waits on SegmentEventsQueue, or the function just received it.")


def _settled(outcome: str, code: str, reason: str) -> Sighting:
    match outcome:
        case "throttled":
            return Sighting(
                f"throttled, {code} ({reason}): waits on ThrottledDLQ, comes back by itself.{_advice(code)}"
            )
        case "retried":
            return Sighting(f"retried, {code}: stays on its queue and comes back by itself.{_advice(code)}")
        case "rejected":
            return Sighting(f"rejected, {code} ({reason}): waits on RejectedDLQ.{_advice(code)}", delivered=False)
        case "ignored":
            return Sighting(f"ignored, {code}: nothing is sent for it any more.{_advice(code)}", delivered=False)
        case _:
            return Sighting("duplicate: it had been delivered before, and is not sent again.", delivered=False)


def _last_settled(stack: StackInUse, sending: Sending) -> dict[str, Any] | None:
    """Read the function's last line about the message; one that is simply delivered has none."""
    pages = (
        stack.client("logs")
        .get_paginator("filter_log_events")
        .paginate(
            logGroupName=f"/aws/lambda/{stack.outputs['SegmentEventsFunctionName']}",
            startTime=sending.sent_at_ms - _CLOCK_SKEW_MS,
            filterPattern=f'"{sending.sqs_message_id}"',
        )
    )
    events = sorted((event for page in pages for event in page["events"]), key=lambda event: event["timestamp"])
    line: dict[str, Any]
    for line in reversed(list(_json_lines(events))):
        if line.get("message") == "message settled" and line.get("originalMessageId") == sending.sqs_message_id:
            return line
    return None


def _json_lines(events: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for event in events:
        try:
            yield json.loads(event["message"])
        except ValueError:
            continue  # the runtime's own


def _advice(code: str) -> str:
    return f"\n          What to do: {advice(code) or 'see docs/runbook.md#error-codes'}."


def _ledger(stack: StackInUse) -> Ledger:
    return Ledger(stack.delivery_table, stack.client("dynamodb"))


def _membership(settings: ConnectorSettings, body: str, console: Console) -> Membership | None:
    """Read the membership; None, and a line that says why, if it cannot be sent."""
    try:
        membership = read_membership(body)
        connector = _connector(settings, membership.connector)
    except (InvalidMessageError, LocalStackError) as exc:
        console.print(f"It will be rejected: {exc}")
        return None
    return membership if membership.event_name or connector.event_name_for(membership.segment.id) else None


def _change(membership: Membership, message_id: str) -> Change:
    return membership_change(membership.connector, membership, message_id, happened_at=0.0, arrived_at=0.0)


def _connector(settings: ConnectorSettings, name: str) -> Connector:
    try:
        return settings.read(name)
    except UnknownConnectorError as exc:
        raise LocalStackError(str(exc)) from None
    except InvalidConnectorError as exc:
        raise LocalStackError(f"connector {name}: {exc}") from None


def _patience(environment: Mapping[str, str]) -> float:
    text = environment.get("TIMEOUT") or str(_DEFAULT_SECONDS)
    try:
        return float(text)
    except ValueError:
        raise LocalStackError(f"TIMEOUT must be a number of seconds, not {text}.") from None


if __name__ == "__main__":
    sys.exit(main())
