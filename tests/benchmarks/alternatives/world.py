"""Which memberships does every subject get? Made from a seed, so that each gets the same ones in the same order."""

import json
import random
from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

__all__ = ["CONNECTORS", "EVENTS", "UNKNOWN_PREFIX", "Membership", "World", "make_world", "warming_up"]

CONNECTORS = ("default", "second")
EVENTS = ("CART_ABANDONED", "LAPSED", "LOYALTY_CHANGED", "PRICE_DROPPED", "SEGMENT_CHANGED")
UNKNOWN_PREFIX = "99"
_SEGMENTS = 20
_WARMING_UP = 900_000  # their numbers begin here
_UNKNOWN_SHARE = _INVALID_SHARE = 0.01
_REPEATED_SHARE = 0.03
_FOLLOWING_SHARE = 0.4
# Distances between a change and its follower, or a message and its repetition: 1 to about 3,000 messages, so that some
# fall into the same request and others minutes later.
_MOST_MAGNITUDES = 3.5
_BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
_NEXT = {"ADD": ("UPDATE", "UPDATE", "REMOVE"), "UPDATE": ("UPDATE", "REMOVE"), "REMOVE": ("ADD",)}

Kind = Literal["known", "unknown", "invalid"]


@dataclass(frozen=True)
class Membership:
    """One message, and what it is about.

    Attributes
    ----------
    order
        Greater for a newer change.
    kind
        Of a recipient whom the profile list has or does not have, or a message that nobody can read.
    """

    message_id: str
    connector: str
    profile_id: str
    segment_id: str
    call_type: str
    order: int
    kind: Kind
    body: str

    @property
    def subject(self) -> tuple[str, str, str]:
        """Whose membership of what: changes of the same have an order."""
        return self.connector, self.profile_id, self.segment_id


@dataclass(frozen=True)
class World:
    """All memberships, and the messages in the order in which they are sent: a repetition is there once more."""

    memberships: tuple[Membership, ...]
    sent: tuple[Membership, ...]


def make_world(memberships: int, seed: int = 15) -> World:
    """Make that many memberships, 1 % of people unknown, 1 % invalid, 3 % of the others sent twice."""
    chance = random.Random(seed)  # noqa: S311 - repeatable, not secret
    odd = chance.sample(range(memberships), round(memberships * (_UNKNOWN_SHARE + _INVALID_SHARE)))
    unknown, invalid = set(odd[::2]), set(odd[1::2])
    made: list[Membership] = []
    newest: dict[tuple[str, str, str], str] = {}
    for number in range(memberships):
        before = number - _distance(chance)
        if number in unknown or number in invalid:
            kind: Kind = "unknown" if number in unknown else "invalid"
            made.append(_membership(number, _someone_new(chance, number), "ADD", kind))
        elif before >= 0 and made[before].kind == "known" and chance.random() < _FOLLOWING_SHARE:
            subject = made[before].subject
            newest[subject] = chance.choice(_NEXT[newest[subject]])
            made.append(_membership(number, subject, newest[subject], "known"))
        else:
            subject = _someone_new(chance, number)
            newest[subject] = "ADD"
            made.append(_membership(number, subject, "ADD", "known"))
    return World(tuple(made), tuple(_with_repetitions(chance, made)))


def warming_up(memberships: int) -> list[Membership]:
    """Make memberships of other people, for processes, connections and tokens to be there before it counts."""
    return [
        _membership(
            number, (CONNECTORS[number % 2], f"profile-{number}", f"aud-{number % _SEGMENTS}-0"), "ADD", "known"
        )
        for number in range(_WARMING_UP, _WARMING_UP + memberships)
    ]


def _distance(chance: random.Random) -> int:
    return int(10 ** chance.uniform(0, _MOST_MAGNITUDES))


def _someone_new(chance: random.Random, number: int) -> tuple[str, str, str]:
    # Every fifth is known already, from another segment.
    profile = number - number % 5 if chance.random() < 0.2 else number
    return CONNECTORS[profile // 5 % 2], f"profile-{profile}", f"aud-{chance.randrange(_SEGMENTS)}-{number % 97}"


def _membership(number: int, subject: tuple[str, str, str], call_type: str, kind: Kind) -> Membership:
    connector, profile_id, segment_id = subject
    message_id = f"m-{number:06d}"
    riid = 10_000_000 + int(profile_id.partition("-")[2])
    document: dict[str, object] = {
        "messageId": message_id,
        "profileId": profile_id,
        "callType": call_type,
        "segment": {"type": "AUDIENCE", "id": segment_id, "name": "Cart abandoners"},
        "connector": connector,
        "eventName": EVENTS[int(segment_id.split("-")[1]) % len(EVENTS)],
        "identifiers": {"27": f"{UNKNOWN_PREFIX}{riid}" if kind == "unknown" else f"{riid}"},
        "variables": {
            "MESSAGE_ID": message_id,
            "CART_VALUE": number % 500 + 0.9,
            "LAST_PRODUCT": f"SKU-{number % 977}",
        },
        "occurredAt": (_BEGAN + timedelta(seconds=number)).isoformat(),
    }
    body = json.dumps(document)
    if kind == "invalid":
        body = _spoiled(number, document)
    return Membership(message_id, connector, profile_id, segment_id, call_type, number, kind, body)


def _spoiled(number: int, document: dict[str, object]) -> str:
    """Write it so that nobody could send it; its id can still be read."""
    match number % 3:
        case 0:
            return json.dumps(document)[:-40]
        case 1:
            return json.dumps(document | {"callType": "ENTERED"})
        case _:
            return json.dumps(document | {"identifiers": {}})


def _with_repetitions(chance: random.Random, made: list[Membership]) -> list[Membership]:
    known = [membership for membership in made if membership.kind == "known"]
    after: defaultdict[int, list[Membership]] = defaultdict(list)
    for membership in chance.sample(known, round(len(made) * _REPEATED_SHARE)):
        after[min(membership.order + _distance(chance), len(made) - 1)].append(membership)
    return [each for membership in made for each in (membership, *after[membership.order])]
