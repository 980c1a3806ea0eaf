"""What does upstream send, and what does an operator configure? The least that is valid, with changes."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from responsys_activation.connector import Connector
from responsys_activation.delivery.custom_event import CustomEvent, custom_event
from responsys_activation.envelope import InvalidMessageError, Opened, Unopened, messages_in, read_body
from responsys_activation.membership import Membership, membership_of
from responsys_activation.upstream.memberships import Part, read

ABSENT = object()


def document(**changes: Any) -> dict[str, Any]:
    """Return a membership message as JSON object; ``ABSENT`` takes a field away."""
    fields = {
        "profileId": "profile-1",
        "callType": "ADD",
        "segment": {"type": "AUDIENCE", "id": "aud-42"},
        "identifiers": {"27": "364470825"},
    } | changes
    return {name: value for name, value in fields.items() if value is not ABSENT}


def bodies_of(body: str, arrived_at: float) -> list[str]:
    """Take a body apart, as the delivery does for dead letters; one that holds a single part is left as it is."""
    return [written() for written in read(body, arrived_at).bodies] or [body]


def membership(**changes: Any) -> Membership:
    """Read such a message."""
    return read_membership(json.dumps(document(**changes)))


def open_messages(
    body: str, is_message: Callable[[Mapping[str, Any]], bool] = lambda _: False
) -> list[Opened | Unopened]:
    """Find the messages of a body, in whatever is around them."""
    return list(messages_in(read_body(body), is_message))


def read_membership(body: str) -> Membership:
    """Read a body that holds one message of ours, as the delivery does."""
    messages = open_messages(body)
    if len(messages) != 1 or messages[0].position:
        raise InvalidMessageError("body: an array where one message is expected")
    found = messages[0]
    if isinstance(found, Unopened):
        raise InvalidMessageError(found.reason)
    return membership_of(*found)


def event_of(given: Membership, settings: Connector, happened_at: float | None = None) -> CustomEvent:
    """Map one of our own messages to the custom event of the connector that it names."""
    return custom_event(Part(given), given.connector, settings, happened_at)


def connector(**changes: Any) -> Connector:
    """Return a connector's settings."""
    return Connector.model_validate(connector_document(**changes))


def connector_document(**changes: Any) -> dict[str, Any]:
    """Return a connector's settings as JSON object; ``ABSENT`` takes a field away."""
    fields = {
        "authEndpoint": "https://login-default.responsys.net",
        "credentialsSecretId": "stack/default",
        "profileList": {"name": "CONTACTS_LIST", "folder": "!MasterData"},
        "identifierType": "RIID",
        "defaultEventName": "SEGMENT_CHANGED",
    } | changes
    return {name: value for name, value in fields.items() if value is not ABSENT}
