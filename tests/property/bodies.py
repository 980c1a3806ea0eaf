"""What does upstream write into one body, and which pairs of membership and connector are in it?"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from tests.fakes.clock import NOW
from tests.fakes.memberships import bodies_of
from tests.fakes.responsys import SPOILING
from tests.property.scenario import CONNECTORS, Kind, Upstream

ACTIONS = {"ADD": "add", "REMOVE": "delete", "UPDATE": "attribute_update"}  # as mParticle says them
_CORRECTED = 1000  # added to a profile's number: who it really is, as `identifierFrom` may find out


@dataclass(frozen=True)
class Sent:
    """One membership for one connector, as upstream sent it.

    Attributes
    ----------
    connector : str
        To which it goes, or may go: of a platform's membership the settings decide.
    alone : str
        Its body when it stands alone.
    number : str
        What no other has.
    mark : str
        What makes it the same as another; two of one mark are to be accepted once.
    group : tuple of str
        Connector, profile and segment: changes of one group have an order.
    order : tuple of float
        Greater for the newer of two changes of a group.
    message_ids : tuple of str
        SQS's, of each copy.
    """

    message: Upstream
    connector: str
    alone: str
    number: str
    mark: str
    group: tuple[str, ...]
    order: tuple[float, float]
    message_ids: tuple[str, ...]

    @property
    def key(self) -> str:
        """What names it among all."""
        return f"{self.connector} {self.alone}"


def body_of(messages: Sequence[tuple[int, Upstream]]) -> str:
    """Write messages as one body, several as an array."""
    (number, first), *others = messages
    if first.kind is Kind.NOT_JSON and not others:
        return _not_json(number)
    documents = list(_documents(messages))
    if len(documents) > 1:
        return f"[{','.join(documents)}]"
    return documents[0]


def pairs_of(
    messages: Sequence[tuple[int, Upstream]], body: str, arrived: float, message_ids: tuple[str, ...]
) -> Iterator[Sent]:
    """Return what is in the body of these messages, each for each connector that it may go to."""
    alone = bodies_of(body, arrived)
    assert len(alone) == len(messages)
    for position, (number, message) in enumerate(messages):
        happened = arrived if message.occurred is None else NOW + message.occurred
        for connector in CONNECTORS if message.of_platform else (message.connector,):
            yield Sent(
                message,
                connector,
                alone[position],
                str(number),
                mark_of(number, message, connector, messages[0][0]),
                (connector, f"profile-{message.profile}", _segment_type(message), message.segment),
                (happened, arrived + position / 1e6),
                message_ids,
            )


def mark_of(number: int, message: Upstream, connector: str, body: int) -> str:
    """Write what makes a message the same as another.

    Parameters
    ----------
    body : int
        The number of the first message in its body: what a platform says twice there without an id is the same.
    """
    which = f"own-{number}"
    if message.message_id is not None:
        which = f"id-{message.message_id}"
    elif message.of_platform:
        which = f"in-{body}" if message.occurred is None else f"at-{message.occurred}"  # which stands for an id
    platform = "mParticle" if message.of_platform else "-"
    what = (connector, f"profile-{message.profile}", _segment_type(message), message.segment)
    return " ".join((*what, message.call_type, message.event_name or "-", platform, which))


def may_come_twice(message: Upstream) -> bool:
    """Return whether a copy of a message is the same message."""
    return message.message_id is not None or (message.of_platform and message.occurred is not None)


def _segment_type(message: Upstream) -> str:
    return "AUDIENCE" if message.of_platform or message.segment.startswith("aud") else "JOURNEY"


def _documents(messages: Sequence[tuple[int, Upstream]]) -> Iterator[str]:
    """Write each of ours, and those of the platform that may share a request as one."""
    request: dict[str, Any] | None = None
    around: tuple[Any, ...] = ()
    body = messages[0][0]
    for number, message in messages:
        if not message.of_platform:
            if request:
                yield json.dumps(request)
                request = None
            yield _own(number, message)
            continue
        if request and around == (message.message_id, message.occurred):
            request["user_profiles"].append(_profile(number, message, body))
            continue
        if request:
            yield json.dumps(request)
        around = (message.message_id, message.occurred)
        request = {
            "type": "audience_membership_change_request",
            "user_profiles": [_profile(number, message, body)],
        }
        if message.message_id is not None:
            request["id"] = f"id-{message.message_id}"
        if message.occurred is not None:
            request["timestamp_ms"] = round((NOW + message.occurred) * 1000)
    if request:
        yield json.dumps(request)


def _profile(number: int, message: Upstream, body: int) -> dict[str, Any]:
    variables = {f"mark-{connector}": mark_of(number, message, connector, body) for connector in CONNECTORS}
    variables |= {"number": str(number)} | ({SPOILING: "yes"} if message.kind is Kind.SPOILING else {})
    attributes = [{"key": name, "value": value, "action": "upsert"} for name, value in variables.items()]
    audience = {"audience_id": message.segment, "action": ACTIONS[message.call_type], "user_attributes": attributes}
    identifiers = {
        "riid": str(message.profile),
        "user_identities": [{"type": "customer", "encoding": "raw", "value": str(message.profile)}],
        "corrected": str(_CORRECTED + message.profile),
    }
    return {
        "mpid": f"profile-{message.profile}",
        **({} if message.kind is Kind.NO_IDENTIFIER else identifiers),
        "audiences": [audience],
    }


def _not_json(number: int) -> str:
    return f"not JSON {number}"


def _own(number: int, message: Upstream) -> str:
    if message.kind is Kind.NOT_JSON:
        return json.dumps(_not_json(number))
    mark = mark_of(number, message, message.connector, number)
    nobody = message.kind is Kind.NO_IDENTIFIER
    document: dict[str, Any] = {
        "number": number,  # no field of ours: it makes each body one of a kind
        "profileId": f"profile-{message.profile}",
        "callType": message.call_type,
        "segment": {"type": _segment_type(message), "id": message.segment},
        "connector": "nowhere" if message.kind is Kind.NO_CONNECTOR else message.connector,
        "identifiers": {} if nobody else {"27": str(message.profile), "2001": str(message.profile)},
        "variables": {"mark": mark, "number": number}
        | ({SPOILING: "yes"} if message.kind is Kind.SPOILING else {})
        | ({} if nobody else {"corrected": str(_CORRECTED + message.profile)}),
    }
    if message.event_name is not None:
        document["eventName"] = message.event_name
    if message.message_id is not None:
        document["messageId"] = f"id-{message.message_id}"
    if message.occurred is not None:
        document["occurredAt"] = datetime.fromtimestamp(NOW + message.occurred, UTC).isoformat()
    return json.dumps(document)
