"""How do the tests read what a platform sends?"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from responsys_activation.connector import IdentifierType
from responsys_activation.recipient import NoIdentifierError, find_recipient
from responsys_activation.upstream.addressing import addressed
from responsys_activation.upstream.memberships import Part, Refused, read
from responsys_activation.upstream.part import Ignored
from tests.fakes.memberships import connector

ARRIVED_AT = datetime(2026, 11, 20, 8, 20, tzinfo=UTC).timestamp()
SHA256 = "6cc7ed1c4b5f5e6f0f3d5e8b9a7c6d5e4f3a2b1c0d9e8f7a6b5c4d3e2f1a0b9c"
MD5 = "9e107d9d372bb6826bd81d3542a419d6"
ABSENT = object()


def changed(document: Mapping[str, Any], **changes: Any) -> dict[str, Any]:
    """Return a document with other members; ``ABSENT`` takes one away."""
    return {name: value for name, value in {**document, **changes}.items() if value is not ABSENT}


def parts_of(document: Any, arrived_at: float = ARRIVED_AT) -> Sequence[Part | Refused]:
    """Read a body that is about memberships alone."""
    found = read(json.dumps(document), arrived_at)
    assert not found.ignored
    return found.parts


def part_of(document: Any, arrived_at: float = ARRIVED_AT) -> Part:
    """Read a body that holds one membership."""
    (part,) = parts_of(document, arrived_at)
    assert isinstance(part, Part), part
    return part


def refusal(document: Any) -> str:
    """Return the reason why a body's only membership cannot be read."""
    (part,) = parts_of(document)
    assert isinstance(part, Refused), part
    return part.reason


def ignored(document: Any) -> tuple[str | None, str]:
    """Return platform and kind of a body that is about no membership."""
    found = read(json.dumps(document), ARRIVED_AT)
    assert not found.parts
    (one,) = found.ignored
    assert isinstance(one, Ignored)
    return one.platform, one.kind


def recipient(document: Any, kind: str, **settings: Any) -> Any:
    """Return the identifier that a connector of a type sends for a body's only membership; ``None`` if it has none."""
    membership = addressed(part_of(document), "c", connector(identifierType=kind, **settings))
    try:
        member, _ = find_recipient(membership.identifiers, IdentifierType(kind))
    except NoIdentifierError:
        return None
    (value,) = json.loads(f"{{{member}}}").values()
    return value
