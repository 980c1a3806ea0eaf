"""What do platforms send, and what could become of it on the way? And the law that reading keeps whatever it is.

``python -m tests.hostile.platforms --bodies 100000`` looks for a body that breaks it.
"""

from __future__ import annotations

import argparse
import random
import secrets
import sys
from collections import Counter
from collections.abc import Collection, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from responsys_activation.envelope import read_body
from responsys_activation.json_text import JsonNumber, Repeated, read_json, write_json
from responsys_activation.upstream.addressing import addressed
from responsys_activation.upstream.memberships import Part, Refused, in_groups, read
from tests.fakes.memberships import bodies_of, connector

_EVENTS = Path(__file__).parents[2] / "events/upstream"
SAMPLES = {path.stem: path.read_text() for path in sorted(_EVENTS.glob("*.json"))}
ARRIVED_AT = datetime(2026, 11, 20, 8, 20, tzinfo=UTC).timestamp()
# Of everybody in the samples; no reason may quote one.
PERSONAL = ("nora", "olav", "cust-47", "-812345", "9912007", "3644708", "p-20")

# Members that say what a document is, or hold what it says.
_TELLING = [
    *("callType", "segment", "type", "context", "personas", "properties", "traits", "audience_key", "event", "body"),
    *("segment_events", "data", "detail", "Message", "MessageId", "cohort_id", "in_cohort", "AudienceId", "IsMember"),
    *("user_profiles", "audiences", "users", "identityMap", "messageId", "userId", "id", "timestamp", "records", ""),
    *("Records", "requestId", "specversion", "kinesis", "variables", "identifiers", "profileId", "segmentMembership"),
]
_TEXTS = ["", " ", "true", "false", "x", "\ud800", "\uffff", "1795162502", "2026-11-20", "{}", "[]", "W10=", "track"]
_TEXTS += ["ADD", "enter", "exit", "add", "delete", "realized", "exited", "audience", "journey_step", "trait"]
_NUMBERS = [JsonNumber(text) for text in ("0", "-1", "1795162502", "1795162502065", "1e999", "9" * 40)]
_OBJECTS = [{}, {"a": {"b": [JsonNumber("1")]}}, {"": ""}, {"type": "AUDIENCE", "id": "aud-42"}, {"personas": {}}]
_ARRAYS: list[Any] = [[], [None], [[]], [{"id": "x"}], ["x"]]
_REPEATED = [Repeated(("a", "b")), Repeated((JsonNumber("1"), {}))]
_VALUES: list[Any] = [None, True, False, *_TEXTS, *_NUMBERS, *_OBJECTS, *_ARRAYS, *_REPEATED]
_CONNECTORS = [
    connector(),
    connector(identifierType="CRM_ID", identifierFrom=["userId", "user_identities.customer", "identityMap.crmid.id"]),
    connector(identifierType="HASHED_EMAIL", identifierFrom=["traits.email", "data.email", "personalEmail.address"]),
    connector(identifierType="EMAIL", variables={"omit": ["email"], "rename": {"tier": "currency"}}),
]


def mutated(seed: int, sample: str | None = None, keep: Collection[str] = ()) -> str:
    """Change a sample in up to four places, and perhaps put it beside others or into something.

    Parameters
    ----------
    sample : str or None
        Its name; then it stays alone.
    keep : collection of str
        Members that are left as they are, and that no other platform's join.
    """
    dice = random.Random(seed)  # noqa: S311 - the same seed, the same body
    root = [read_json(SAMPLES[sample or dice.choice(list(SAMPLES))])]
    for _ in range(dice.randint(1, 4)):
        _change(dice, root, keep)
    content: Any = root[0]
    if sample:
        return write_json(content)
    if dice.random() < 0.15:
        others = [read_json(SAMPLES[dice.choice(list(SAMPLES))]) for _ in range(dice.randint(0, 2))]
        content = [*others, content]
    if dice.random() < 0.15:
        content = dice.choice(
            [
                {"Type": "Notification", "MessageId": "sns-1", "Message": write_json(content)},
                {"specversion": "1.0", "source": "/x", "id": "1", "data": content},
                {"detail-type": "x", "id": "bus-1", "time": "2026-11-20T08:15:03Z", "detail": content},
                {"event": {"detail": content}},
            ]
        )
    return write_json(content)


def _change(dice: random.Random, root: list[Any], keep: Collection[str]) -> None:
    """Change one place: one of those that can be reached by walking down at random."""
    here: Any = root
    while True:
        keys = [key for key in here if key not in keep] if isinstance(here, dict) else list(range(len(here)))
        if not keys:
            return
        key = dice.choice(keys)
        below = here[key]
        if not isinstance(below, dict | list) or dice.random() < (0.02 if here is root else 0.25):
            break
        here = below
    match dice.randrange(6):
        case 0 if here is not root:
            del here[key]
        case 1 if isinstance(here, dict):
            here[_name(dice, keep)] = here.pop(key)
        case 2 if isinstance(here, dict):
            here[_name(dice, keep)] = _value(dice)
        case 3 if isinstance(here, list) and here is not root:
            here.insert(dice.randint(0, len(here)), json_copy(here[key]))
        case 4 if isinstance(here, dict):
            here[key] = Repeated((here[key], dice.choice([here[key], _value(dice)])))
        case _:
            here[key] = _value(dice)


def _name(dice: random.Random, keep: Collection[str]) -> str:
    return "renamed" if keep else dice.choice(_TELLING)


def _value(dice: random.Random) -> Any:
    return json_copy(dice.choice(_VALUES))


def json_copy(value: Any) -> Any:
    return read_json(write_json(value)) if isinstance(value, dict | list) else value


def look_at_reading(body: str) -> Counter[str]:
    """Look whether each part of a body says the same alone; give what the parts came to."""
    found = read(body, ARRIVED_AT)
    alone = bodies_of(body, ARRIVED_AT)
    assert found.parts or found.ignored
    assert len(alone) == max(1, len(found.parts))
    if len(found.parts) <= 1:
        assert alone == [body]
        return _came_to(found.parts, found.ignored)
    for part, one in zip(found.parts, alone, strict=True):
        again = read(one, ARRIVED_AT)
        assert len(again.parts) == 1
        assert not again.ignored
        assert bodies_of(one, ARRIVED_AT) == [one]
        assert len(one.encode()) <= len(body.encode()) + 200
        _assert_the_same(part, again.parts[0])
    _look_at_groups(body, found.parts, alone)
    return _came_to(found.parts, found.ignored)


def _look_at_groups(body: str, parts: list[Part | Refused], alone: list[str]) -> None:
    """Look whether the parts say the same in smaller bodies: as small as can be, twice that, and all in one."""
    longest = max(len(one.encode()) for one in alone) + 1
    for most in (longest, 2 * longest, 1_000_000):
        groups = list(in_groups(read_body(body), ARRIVED_AT, most))
        assert max(len(group.encode()) for group in groups) <= most
        grouped = [read(group, ARRIVED_AT) for group in groups]
        assert not any(found.ignored for found in grouped)
        for part, again in zip(parts, (each for found in grouped for each in found.parts), strict=True):
            _assert_the_same(part, again)


def _assert_the_same(part: Part | Refused, alone: Part | Refused) -> None:
    if isinstance(part, Refused):
        assert isinstance(alone, Refused)
        return
    assert isinstance(alone, Part)
    assert alone.membership == part.membership
    assert (alone.platform, alone.names) == (part.platform, part.names)
    if part.membership.message_id or not part.position:
        assert alone.message_id("sqs-1") == part.message_id("sqs-1")
    for settings in _CONNECTORS:
        assert addressed(alone, "one", settings) == addressed(part, "one", settings)


def _came_to(parts: list[Part | Refused], ignored: list[Any]) -> Counter[str]:
    came_to: Counter[str] = Counter()
    for part in parts:
        if isinstance(part, Refused):
            assert part.reason
            assert not [word for word in PERSONAL if word in part.reason.lower()]
            came_to["refused"] += 1
        else:
            assert part.membership.profile_id.strip()
            assert part.membership.segment.id.strip()
            came_to[part.platform or "own"] += 1
    came_to["ignored"] += len(ignored)
    return came_to


def soak(bodies: int) -> Iterator[Counter[str]]:
    """Look at so many bodies, each of its own seed."""
    for _ in range(bodies):
        seed = secrets.randbits(64)
        try:
            yield look_at_reading(mutated(seed))
        except Exception as exc:
            exc.add_note(f"the body of seed {seed}: {mutated(seed)[:4000]}")
            raise


def main() -> int:
    """Look at as many bodies as the command line says, and tell what became of them."""
    parser = argparse.ArgumentParser(prog="python -m tests.hostile.platforms", description=__doc__)
    parser.add_argument("--bodies", type=int, default=100_000, help="number of bodies (default 100,000)")
    bodies = parser.parse_args().bodies
    came_to = sum(soak(bodies), Counter[str]())
    print(f"Each part of {bodies:,} bodies says the same alone. They held:")
    for name, count in came_to.most_common():
        print(f"  {name:<10} {count:>9,}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
