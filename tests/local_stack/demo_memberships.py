"""Which memberships does the demo publish, and what must become of each?

The expectation is written down together with each message and knows nothing of the code under test. All people
are made up.
"""

import hashlib
import json
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import KW_ONLY, dataclass
from typing import Any

from tests.local_stack.stack import ConnectorSettings
from tests.simulator.settings import (
    AccountSettings,
    CustomEvent,
    IdentifierSet,
    ProfileList,
    Recipients,
)

RECIPIENTS_A_REQUEST = 200
SECOND_CONNECTOR = "loyalty"

_UNKNOWN = frozenset({3, 57, 111, 190, 640, 731})
_UNDELIVERABLE = frozenset({8, 73, 702})
_CITIES = ("Zürich", "São Paulo", "Łódź", "東京", "Lyon", '"Old" Town')


@dataclass(frozen=True)
class Arrival:
    """A custom event as Responsys must have it."""

    account: str
    event_name: str
    identifier_kind: str
    identifier: str
    properties: frozenset[tuple[str, str]]


@dataclass(frozen=True)
class Repetition:
    """A membership that was published before under the same messageId: nothing may arrive."""


@dataclass(frozen=True)
class Rejection:
    """A membership that must wait on RejectedDLQ with this code."""

    error_code: str


@dataclass(frozen=True)
class Nothing:
    """What a platform sends that is about no membership: it is ignored, and counted."""


@dataclass(frozen=True)
class PublishedMembership:
    """A message and its fate.

    Attributes
    ----------
    group
        Connector and event name when Responsys must be asked; None when the message cannot get that far.
    """

    body: str
    fate: Arrival | Repetition | Rejection | Nothing
    group: tuple[str, str] | None = None


@dataclass(frozen=True)
class _Segment:
    """An audience or journey of the demo, who is in it, and where its memberships go.

    Attributes
    ----------
    second_changes
        How many profiles change once more.
    is_event_in_message
        Whether the message names the event, or leaves that to the connector.
    """

    connector: str
    account: str
    type: str
    id: str
    name: str
    profiles: range
    event_name: str
    _: KW_ONLY
    second_changes: int = 0
    is_event_in_message: bool = False


_SHOP, _LOYALTY = ("default", "shop_api"), ("loyalty", "loyalty_api")
_SEGMENTS = (
    _Segment(*_SHOP, "AUDIENCE", "aud-newsletter", "Newsletter", range(590), "SEGMENT_CHANGED"),
    _Segment(
        *(*_SHOP, "journey", "jrn-cart", "Abandoned carts", range(600, 960), "CART_ABANDONED"),
        second_changes=30,
        is_event_in_message=True,
    ),
    _Segment(*_LOYALTY, "JOURNEY", "jrn-points", "Points expire", range(590), "POINTS_EXPIRING"),
    _Segment(*_LOYALTY, "AUDIENCE", "aud-gold", "Gold members", range(600, 990), "SEGMENT_CHANGED"),
)


def demo_accounts() -> tuple[AccountSettings, AccountSettings]:
    """Return two accounts in which some recipients are unknown and some undeliverable."""
    return (
        _account("shop_api", "CONTACTS_LIST", ("SEGMENT_CHANGED", "CART_ABANDONED"), _riid),
        _account("loyalty_api", "LOYALTY_LIST", ("SEGMENT_CHANGED", "POINTS_EXPIRING"), _hashed_email),
    )


def second_connector() -> ConnectorSettings:
    """Return the connector that is added beside `default` without a deployment."""
    _, account = demo_accounts()
    profile_list = account.lists[0]
    return ConnectorSettings(
        username=account.username,
        password=account.password,
        profile_list={"name": profile_list.name, "folder": profile_list.folder},
        identifier_type="HASHED_EMAIL",
        optional={"eventNames": {"jrn-points": "POINTS_EXPIRING", "aud-gold": "SEGMENT_CHANGED"}},
    )


def demo_memberships() -> list[PublishedMembership]:
    """Return the 2,000 memberships, in the order in which they are published; the same at every run."""
    chance = random.Random(20)  # noqa: S311 - repeatable, not secret
    sendable = [membership for segment in _SEGMENTS for membership in _memberships(segment, chance)]
    arriving = [membership for membership in sendable if isinstance(membership.fate, Arrival)]
    repeated = [PublishedMembership(m.body, Repetition(), m.group) for m in chance.sample(arriving, 10)]
    memberships = [*sendable, *repeated, *_unsendable()]
    chance.shuffle(memberships)
    return memberships


def least_requests(memberships: list[PublishedMembership]) -> Counter[tuple[str, str]]:
    """Return the fewest requests that can carry what Responsys must be asked, by connector and event name."""
    recipients = Counter(m.group for m in memberships if m.group and not isinstance(m.fate, Repetition))
    return Counter({group: -(-count // RECIPIENTS_A_REQUEST) for group, count in recipients.items() if group})


def _memberships(segment: _Segment, chance: random.Random) -> Iterator[PublishedMembership]:
    """Yield a segment's memberships, some of them two of the same profile."""
    profiles = [*segment.profiles, *chance.sample(segment.profiles, segment.second_changes)]
    for number, profile in enumerate(profiles):
        call_type = "UPDATE" if number >= len(segment.profiles) else chance.choice(["ADD", "ADD", "UPDATE", "REMOVE"])
        variables = {
            "MESSAGE_ID": f"{segment.id}-{number}",
            "CITY": chance.choice(_CITIES),
            "AMOUNT": chance.randrange(100, 99_999) / 100,
            "NEWSLETTER": chance.random() < 0.5,
            "LAST_VISIT": None,
        }
        message = {
            "messageId": f"{segment.id}-{number}",
            "profileId": f"{segment.account}-{profile}",
            "callType": call_type,
            "segment": {"type": segment.type, "id": segment.id, "name": segment.name},
            "identifiers": chance.choice([_identifiers_by_number, _identifiers_by_name])(segment.account, profile),
            "variables": variables,
            "occurredAt": f"2026-11-23T{8 + number // 60:02}:{number % 60:02}:00Z",
        }
        if segment.connector != "default":
            message["connector"] = segment.connector
        if segment.is_event_in_message:
            message["eventName"] = segment.event_name
        fate = _fate(segment, profile, message)
        yield PublishedMembership(_enveloped(message, number), fate, (segment.connector, segment.event_name))


def _fate(segment: _Segment, profile: int, message: dict[str, Any]) -> Arrival | Rejection:
    if profile in _UNKNOWN:
        return Rejection("NO_RECIPIENT_FOUND")
    if profile in _UNDELIVERABLE:
        return Rejection("RECIPIENT_STATUS_UNDELIVERABLE")
    variables = message["variables"]
    properties = {
        "MESSAGE_ID": variables["MESSAGE_ID"],
        "CITY": variables["CITY"],
        "AMOUNT": json.dumps(variables["AMOUNT"]),
        "NEWSLETTER": "true" if variables["NEWSLETTER"] else "false",
        "profileId": message["profileId"],
        "callType": message["callType"],
    }
    is_default = segment.connector == "default"
    return Arrival(
        segment.account,
        segment.event_name,
        "recipientId" if is_default else "emailSHA256Hash",
        (_riid if is_default else _hashed_email)(segment.account, profile),
        frozenset(properties.items()),
    )


def _unsendable() -> Iterator[PublishedMembership]:
    """Yield the memberships that never get as far as Responsys."""
    valid = {
        "profileId": "shop_api-1",
        "callType": "ADD",
        "segment": {"type": "AUDIENCE", "id": "aud-newsletter"},
        "identifiers": {"27": _riid("shop_api", 1)},
    }
    for number in range(4):
        identified = {**valid, "messageId": f"unsendable-{number}"}
        no_profile = {name: value for name, value in identified.items() if name != "profileId"}
        yield PublishedMembership(json.dumps(no_profile), Rejection("INVALID_MESSAGE"))
        yield PublishedMembership(json.dumps({**identified, "callType": "JOIN"}), Rejection("INVALID_MESSAGE"))
        yield PublishedMembership(json.dumps(identified)[:-1], Rejection("INVALID_MESSAGE"))
    for number in range(6):
        identified = {**valid, "messageId": f"unaddressed-{number}"}
        other_identifier = {"2001": f"CRM-{number}"}
        yield PublishedMembership(
            json.dumps({**identified, "identifiers": other_identifier}), Rejection("NO_IDENTIFIER")
        )
        yield PublishedMembership(json.dumps({**identified, "connector": "outlet"}), Rejection("UNKNOWN_CONNECTOR"))
        no_event = {**identified, "connector": SECOND_CONNECTOR, "segment": {"type": "AUDIENCE", "id": "aud-silver"}}
        yield PublishedMembership(json.dumps(no_event), Rejection("NO_EVENT_NAME"))


def _enveloped(message: dict[str, Any], number: int) -> str:
    """Return the message as its producer's way to the queue leaves it: bare, through SNS, or through EventBridge."""
    match number % 20:
        case 7:
            return json.dumps({"Type": "Notification", "MessageId": f"sns-{number}", "Message": json.dumps(message)})
        case 13:
            return json.dumps({"version": "0", "id": f"bus-{number}", "source": "cdp", "detail": message})
        case _:
            return json.dumps(message, ensure_ascii=number % 2 == 0)


def _account(username: str, list_name: str, events: tuple[str, ...], identifier: Any) -> AccountSettings:
    return AccountSettings(
        username=username,
        password=f"{username}-of-the-demo",
        lists=(ProfileList(name=list_name),),
        events=tuple(CustomEvent(name=name) for name in events),
        recipients=Recipients(
            unknown=IdentifierSet(identifiers=frozenset(identifier(username, number) for number in _UNKNOWN)),
            undeliverable=IdentifierSet(
                identifiers=frozenset(identifier(username, number) for number in _UNDELIVERABLE)
            ),
        ),
    )


def _riid(account: str, profile: int) -> str:
    return str(364_000_000 + len(account) * 100_000 + profile)


def _hashed_email(account: str, profile: int) -> str:
    return hashlib.sha256(f"{account}-{profile}@example.com".encode()).hexdigest()


def _identifiers_by_number(account: str, profile: int) -> dict[str, str]:
    return {"27": _riid(account, profile), "7001": _hashed_email(account, profile)}


def _identifiers_by_name(account: str, profile: int) -> dict[str, str]:
    return {
        "CRM_ID": f"CRM-{profile}",
        "RIID": _riid(account, profile),
        "HASHED_EMAIL": _hashed_email(account, profile),
    }
