"""What would be sent for a message, and if nothing, why not?

The delivery itself is asked (:mod:`responsys_activation.delivery.rehearsal`), so that no mapping is copied.
"""

from __future__ import annotations

import json
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from responsys_activation.aws.connectors import ConnectorParameter
from responsys_activation.aws.deployed_stack import DeployedStack
from responsys_activation.cli.advice import advice
from responsys_activation.cli.connector_files import read_connector_files
from responsys_activation.cli.exit_code import CommandError, ExitCode
from responsys_activation.cli.masking import masked, without_personal_data
from responsys_activation.cli.message_file import read_records, read_text
from responsys_activation.cli.terminal import Terminal, counted
from responsys_activation.connector import MissingAction
from responsys_activation.delivery.merging import MATCH_COLUMNS
from responsys_activation.delivery.missing import match_value
from responsys_activation.delivery.outcome import (
    NOT_KNOWN,
    Ending,
    Ignored,
    Rejected,
    Retried,
    Throttled,
    reason_of,
)
from responsys_activation.delivery.planning import Outgoing
from responsys_activation.delivery.rehearsal import Rehearsal, RehearsedRequest, Terms, rehearse
from responsys_activation.error_code import ErrorCode
from responsys_activation.membership import CallType
from responsys_activation.received import ReceivedMessage
from responsys_activation.recipient import NoIdentifierError
from responsys_activation.responsys.events import request_body
from responsys_activation.responsys.http import API_PATH
from responsys_activation.upstream.memberships import Part, Refused, read

__all__ = ["DESCRIPTION", "EXAMPLES", "HELP", "NAME", "UNDEPLOYED", "add_options", "explained", "run", "terms_of"]

NAME = "explain"
HELP = "what would be sent for the messages of a file, or why not? Nothing is sent"
DESCRIPTION = """\
Reads messages, in our own format or as a platform writes them, and says for each membership what would be sent to
Responsys: connector, custom event, recipient, properties and the request; or why it is not sent, and what to do.
Nothing is sent, and with --connector-settings no stack is needed. What only the delivery table and Responsys know is
not told: whether it was delivered before, or the recipient exists. Identifiers, profile ids and e-mail addresses are
masked."""
EXAMPLES = """\
  responsys-activation explain events/mixed_batch.json --connector-settings events/connectors
  responsys-activation explain body.json --connector-settings default=settings.json
  responsys-activation explain events/upstream/segment_entered.json --connector-settings events/connectors
  responsys-activation explain body.json --stack prod    # with the settings of a stack
  aws sqs receive-message --queue-url ... | jq '[.Messages[].Body]' | responsys-activation explain - --stack prod
"""

# As in template.yaml, for settings that are not deployed yet.
UNDEPLOYED = Terms(
    connector_parameter_prefix="/STACK/connectors/",
    trusted_endpoint_domains="responsys.net,rsys8.net,rsys9.net,responsys.ocs.oraclecloud.com",
    maximum_event_age_hours="24",
)
_SHOWN_RECIPIENTS = 2  # of a request


def add_options(parser: ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument(
        "files", nargs="+", metavar="FILE", help="an SQS event, a message body or an array; - for stdin"
    )
    parser.add_argument(
        "--connector-settings",
        action="append",
        metavar="NAME=FILE|FOLDER",
        help="a connector's settings from a file, or from each NAME.json of a folder (default: those of the stack)",
    )


def run(options: Namespace, terminal: Terminal, open_stack: Callable[[], DeployedStack]) -> ExitCode:
    """Explain each file as one batch, and tell whether every message would be sent."""
    if options.connector_settings and options.stack:
        raise CommandError("--connector-settings and --stack: give one of them, settings from disk or from a stack.")
    batches = {path: read_records(read_text(path)) for path in options.files}
    connectors, terms = _settings(options.connector_settings, open_stack)
    documents = []
    for path, records in batches.items():
        document = {"file": path, **explained(records, rehearse(records, connectors, terms))}
        documents.append(document)
        _show(document, terminal)
    terminal.document(documents)
    all_sent = all(message["wouldBeSent"] for document in documents for message in document["messages"])
    return ExitCode.DONE if all_sent else ExitCode.NOT_DONE


def terms_of(stack: DeployedStack) -> Terms:
    """Return what of a stack's parameters decides on a message.

    Raises
    ------
    StackError
        The stack could not be looked at.
    """
    return Terms(
        connector_parameter_prefix=stack.output("ConnectorParameterPrefix"),
        trusted_endpoint_domains=stack.parameters.get("TrustedEndpointDomains", UNDEPLOYED.trusted_endpoint_domains),
        maximum_event_age_hours=stack.parameters.get("MaximumEventAgeHours", UNDEPLOYED.maximum_event_age_hours),
    )


def explained(records: Sequence[Mapping[str, Any]], rehearsal: Rehearsal) -> dict[str, Any]:
    """Return the explanation of one batch, as JSON; without personal data.

    Returns
    -------
    dict
        ``messages``: each with ``parts``, one for each membership and connector; ``requests``.
    """
    parts: dict[str, list[tuple[int, dict[str, Any]]]] = {record["messageId"]: [] for record in records}
    memberships = _Memberships()
    for number, request in enumerate(rehearsal.requests, 1):
        for item in request.items:
            told = memberships.told(item.message) | _sent(number, request, item, memberships.personal)
            parts[item.message.message_id].append((item.message.part or 0, told))
    for ending in rehearsal.endings:
        told = memberships.told(ending.message) | _not_sent(ending)
        parts[ending.message.message_id].append((ending.message.part or 0, told))
    return {
        "messages": [
            _message(message_id, [told for _, told in sorted(of_message, key=lambda part: part[0])])
            for message_id, of_message in parts.items()
        ],
        "requests": [
            _request(number, request, memberships.personal) for number, request in enumerate(rehearsal.requests, 1)
        ],
    }


def _settings(
    sources: Sequence[str] | None, open_stack: Callable[[], DeployedStack]
) -> tuple[dict[str, ConnectorParameter], Terms]:
    if sources:
        return read_connector_files(sources), UNDEPLOYED
    try:
        stack = open_stack()
    except CommandError as exc:
        raise CommandError(f"{exc} Or give settings from disk with --connector-settings.") from None
    return stack.connector_parameters.read_all(), terms_of(stack)


# ---- as JSON


class _Memberships:
    """Says what upstream says of each part of a message.

    Attributes
    ----------
    personal : set of str
        The identifiers and profile ids of all parts told of: a platform repeats them among its variables.
    """

    def __init__(self) -> None:
        self.personal: set[str] = set()
        self._read: dict[str, Sequence[Part | Refused]] = {}

    def told(self, message: ReceivedMessage) -> dict[str, Any]:
        if message.message_id not in self._read:
            self._read[message.message_id] = read(message.body, message.arrived_at).parts
        parts = self._read[message.message_id]
        # A message of several that ends as a whole is about none of them.
        part = parts[message.part or 0] if message.part is not None or len(parts) == 1 else None
        if not isinstance(part, Part):
            return {}
        membership, segment = part.membership, part.membership.segment
        self.personal |= {membership.profile_id, *(str(value) for value in membership.identifiers.values())}
        return {
            **({"platform": str(part.platform)} if part.platform else {}),
            "membership": {
                "callType": str(membership.call_type),
                "segmentType": segment.type,
                "segmentNames": list(part.names or (segment.id,)),
                "profileId": masked(membership.profile_id),
            },
        }


def _message(message_id: str, parts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return what is told of a message; what is ignored keeps nothing else from being sent."""
    outcomes = {part.get("outcome", "sent") for part in parts}
    return {"messageId": message_id, "wouldBeSent": "sent" in outcomes <= {"sent", "ignored"}, "parts": parts}


def _sent(number: int, request: RehearsedRequest, item: Outgoing, personal: Collection[str]) -> dict[str, Any]:
    recipient = json.loads(item.event.recipient_json)
    return {
        "connector": request.connector,
        "eventName": request.event_name,
        **_without_identifiers(recipient, personal),
        "variablesLeftOut": item.event.variables_overridden,
        "systemColumns": item.event.system_columns,
        **({"ifMissing": if_missing} if (if_missing := _if_missing(request, item)) else {}),
        "request": number,
    }


def _if_missing(request: RehearsedRequest, item: Outgoing) -> str | None:
    """Tell what becomes of a message whose recipient is not in the list, where the settings say more than rejected."""
    missing = request.settings.missing_recipients
    if missing.action is MissingAction.REJECT:
        return None
    if missing.action is MissingAction.WAIT:
        return "tried again every 15 minutes"
    if item.change.call_type == CallType.REMOVE:
        return "rejected: a REMOVE creates nobody"
    try:
        match_value(item.part, request.connector, request.settings)
    except NoIdentifierError as exc:
        return f"rejected, {ErrorCode.RECIPIENT_NOT_CREATED}: {exc}"
    return f"created by {MATCH_COLUMNS[request.settings.identifier_type]}, {missing.permission}"


def _not_sent(ending: Ending) -> dict[str, Any]:
    outcome = ending.outcome
    told: dict[str, Any] = {"outcome": type(outcome).__name__.lower()}
    match outcome:
        case Rejected() | Throttled():
            told |= {"errorCode": str(outcome.error_code), "reason": without_personal_data(reason_of(outcome))}
        case Ignored(error_code, reason):
            told |= {"errorCode": str(error_code), "reason": reason}
        case Retried(error_code):
            told |= {"errorCode": str(error_code)}
    if "errorCode" in told and not isinstance(outcome, Ignored):
        told["whatToDo"] = advice(told["errorCode"])
    known = {"connector": ending.connector, "eventName": ending.event_name}
    return told | {name: value for name, value in known.items() if value != NOT_KNOWN}


def _request(number: int, request: RehearsedRequest, personal: Collection[str]) -> dict[str, Any]:
    body = request_body(item.event.recipient_json for item in request.items)
    document = json.loads(body)
    document["recipientData"] = [_without_identifiers(each, personal) for each in document["recipientData"]]
    return {
        "request": number,
        "connector": request.connector,
        "method": "POST",
        "path": f"{API_PATH}/events/{quote(request.event_name, safe='')}",
        "recipients": len(request.items),
        "bytes": len(body),
        "body": document,
    }


def _without_identifiers(recipient_data: Mapping[str, Any], others: Collection[str]) -> dict[str, Any]:
    """Mask the recipient's identifier and profile id, and wherever else they stand."""
    recipient, properties = recipient_data["recipient"], recipient_data["optionalData"]
    identifiers = {name: str(value) for name, value in recipient.items() if name != "listName"}
    personal = {*others, *identifiers.values(), *(each["value"] for each in properties if each["name"] == "profileId")}
    masked_identifiers = {name: masked(value) for name, value in identifiers.items()}
    return {
        "recipient": recipient | masked_identifiers,
        "optionalData": without_personal_data(properties, personal),
    }


# ---- for a person


def _show(document: Mapping[str, Any], terminal: Terminal) -> None:
    messages = document["messages"]
    sent = sum(message["wouldBeSent"] for message in messages)
    sent_of_all = f"{sent} of {counted(len(messages), 'message')} would be sent"
    terminal.say(f"{document['file']}: {sent_of_all}, in {counted(len(document['requests']), 'request')}", style="bold")
    for number, message in enumerate(messages, 1):
        for part in message["parts"]:
            _show_part(f"{number}  {message['messageId']}", part, terminal)
    for request in document["requests"]:
        _show_request(request, terminal)
    terminal.say("")


def _show_part(title: str, part: Mapping[str, Any], terminal: Terminal) -> None:
    is_sent = "request" in part
    code = f", {part['errorCode']}" if "errorCode" in part else ""
    verdict = "would be sent" if is_sent else f"{part['outcome']}{code}"
    terminal.say(f"\n{title}: {verdict}", style="green" if is_sent else "red")
    rows = _rows_of_sent(part) if is_sent else _rows_of_not_sent(part)
    for name, text in rows:
        terminal.say(f"   {name:<11} {text}".rstrip())


def _rows_of_sent(part: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield from _rows_of_membership(part)
    recipient = part["recipient"]
    in_folder = f" in {recipient['listName']['folderName']}" if "folderName" in recipient["listName"] else ""
    yield "connector", part["connector"]
    yield "event", part["eventName"]
    for name, value in recipient.items():
        if name != "listName":
            yield "recipient", f"{name} {value}, list {recipient['listName']['objectName']}{in_folder}"
    width = max(len(each["name"]) for each in part["optionalData"])
    for row, each in enumerate(part["optionalData"]):
        value = each["value"] or '""'
        yield "" if row else "properties", f"{each['name']:<{width}}  {value}"
    if part["variablesLeftOut"]:
        yield "left out", f"{counted(part['variablesLeftOut'], 'variable')} whose name is taken"
    if part["systemColumns"]:
        yield "beware", f"{counted(part['systemColumns'], 'variable')} named like a system column of Responsys"
    if "ifMissing" in part:
        yield "if missing", part["ifMissing"]
    yield "request", str(part["request"])


def _rows_of_not_sent(part: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield from _rows_of_membership(part)
    for name, field in (("connector", "connector"), ("event", "eventName"), ("reason", "reason")):
        if part.get(field):
            yield name, part[field]
    if "whatToDo" in part:
        yield "what to do", part["whatToDo"]


def _rows_of_membership(part: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if "platform" in part:
        yield "platform", part["platform"]
    if membership := part.get("membership"):
        of = f"{membership['segmentType'].lower()} {', '.join(membership['segmentNames'])}"
        yield "membership", f"{membership['callType']} of profile {membership['profileId']}, {of}"


def _show_request(request: Mapping[str, Any], terminal: Terminal) -> None:
    body = request["body"]
    terminal.say(
        f"\nRequest {request['request']}, connector {request['connector']}: "
        f"{counted(request['recipients'], 'recipient')}, {request['bytes']:,} bytes",
        style="bold",
    )
    terminal.say(f"   {request['method']} {{endPoint}}{request['path']}")
    terminal.say(f'   {{"customEvent": {_line(body["customEvent"])},')
    terminal.say('    "recipientData": [')
    for recipient in body["recipientData"][:_SHOWN_RECIPIENTS]:
        terminal.say(f"      {_line(recipient)}")
    if request["recipients"] > _SHOWN_RECIPIENTS:
        terminal.say(f"      and {counted(request['recipients'] - _SHOWN_RECIPIENTS, 'recipient')} more")
    terminal.say("    ]}")


def _line(document: Any) -> str:
    return json.dumps(document, ensure_ascii=False)
