"""Which membership do the options of a command line make?"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from responsys_activation.aws.connectors import ConnectorParameter
from responsys_activation.cli.exit_code import CommandError
from responsys_activation.cli.options import json_object
from responsys_activation.connector import InvalidConnectorError, read_connector
from responsys_activation.json_text import compact_json

if TYPE_CHECKING:
    from argparse import _ArgumentGroup

__all__ = ["add_membership_options", "given_parts", "membership_body", "missing_parts"]

_PARTS = ("profile_id", "segment", "id")
_OPTIONAL_PARTS = ("call_type", "segment_type", "connector", "event", "variables")


def add_membership_options(parser: ArgumentParser) -> _ArgumentGroup:
    """Add an option for each part of a membership, and return their group."""
    membership = parser.add_argument_group("membership")
    membership.add_argument("--profile-id", metavar="ID", help="the platform's id of the profile")
    membership.add_argument("--segment", metavar="ID", help="id of the audience or journey")
    membership.add_argument("--id", metavar="ID", help="identifier of the recipient, of the connector's type")
    membership.add_argument("--call-type", choices=("ADD", "UPDATE", "REMOVE"), help="(default: ADD)")
    membership.add_argument("--segment-type", choices=("AUDIENCE", "JOURNEY"), help="(default: AUDIENCE)")
    membership.add_argument("--connector", metavar="NAME", help="(default: default)")
    membership.add_argument("--event", metavar="NAME", help="custom event (default: what the connector's settings say)")
    membership.add_argument("--variables", type=json_object, metavar="JSON", help="""such as '{"CITY": "Lyon"}'""")
    return membership


def given_parts(options: Namespace) -> list[str]:
    """Return those of the options that were given."""
    return [_flag(part) for part in (*_PARTS, *_OPTIONAL_PARTS) if getattr(options, part) is not None]


def missing_parts(options: Namespace) -> list[str]:
    """Return those of the options that a membership lacks; an empty value is none."""
    return [_flag(part) for part in _PARTS if not getattr(options, part)]


def membership_body(options: Namespace, connectors: Mapping[str, ConnectorParameter], message_id: str) -> str:
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
        "messageId": message_id,
        "profileId": options.profile_id,
        "callType": options.call_type or "ADD",
        "segment": {"type": options.segment_type or "AUDIENCE", "id": options.segment},
        "connector": name,
        "identifiers": {identifier_type.value: options.id},
    }
    optional = {"eventName": options.event, "variables": options.variables}
    return compact_json(message | {field: value for field, value in optional.items() if value is not None})


def _flag(part: str) -> str:
    return f"--{part.replace('_', '-')}"
