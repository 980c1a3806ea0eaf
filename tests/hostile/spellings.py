"""In how many ways can one thing be written, and which others only look like it?

Unlike :mod:`tests.hostile.bodies` these tell what they mean, so that more than the law can be asked for: read right, or
refused with a reason that names the field.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import datetime
from hashlib import md5, sha256
from typing import Any

from hypothesis import strategies as st

from responsys_activation.connector import IdentifierType
from responsys_activation.delivery.custom_event import UnmappableError
from responsys_activation.membership import InvalidMessageError, Membership
from tests.fakes.memberships import connector, event_of, read_membership
from tests.hostile.bodies import Pairs, Raw, values, written
from tests.hostile.moments import no_moments, written_moments

# ---- identifiers


@dataclass(frozen=True)
class Spelling:
    """A message body that is right but for the way in which one thing is written.

    Attributes
    ----------
    recipient, occurred_at, properties
        What it means: the identifier of the request, the time, and how many variables.
    refused
        The field for which it is to be refused, if it is.
    """

    body: str
    kind: IdentifierType
    recipient: Any
    occurred_at: datetime | None = None
    properties: int = 0
    refused: str | None = None


NAMES = {
    IdentifierType.RIID: ("27", "RIID"),
    IdentifierType.HASHED_EMAIL: ("7001", "HASHED_EMAIL"),
    IdentifierType.CRM_ID: ("2001", "CRM_ID"),
    IdentifierType.EMAIL: ("EMAIL",),
    IdentifierType.EMAIL_MD5: ("EMAIL_MD5",),
    IdentifierType.MOBILE_NUMBER: ("MOBILE_NUMBER",),
}
_HASHES = {IdentifierType.HASHED_EMAIL: sha256, IdentifierType.EMAIL_MD5: md5}
_blanks = st.sampled_from(["", "", " ", "\n", "\t ", "\r\n", "\u00a0"])


def _riids() -> st.SearchStrategy[tuple[Any, Any]]:
    """Draw ways to write a RIID, and the RIID."""

    def ways(riid: int) -> st.SearchStrategy[Any]:
        digits = str(riid)
        exponent = f"{digits[0]}.{digits[1:]}0E{len(digits) - 1}"
        texts = st.sampled_from([digits, f"00{digits}", f"{digits}.0", f"{digits}.", exponent, exponent.lower()])
        numbers = st.sampled_from([digits, f"{digits}.0", f"{digits}e0", exponent, exponent.replace("E", "e+")])
        return texts.flatmap(_padded) | numbers.map(Raw)

    return st.integers(1, 2**53).flatmap(lambda riid: st.tuples(ways(riid), st.just(riid)))


def _padded(text: str) -> st.SearchStrategy[str]:
    return st.tuples(_blanks, _blanks).map(lambda blanks: blanks[0] + text + blanks[1])


def _texts(*texts: str) -> st.SearchStrategy[tuple[Any, Any]]:
    return st.sampled_from(texts).flatmap(lambda text: st.tuples(_padded(text), st.just(text)))


def _hashes(kind: IdentifierType) -> st.SearchStrategy[tuple[Any, Any]]:
    def ways(address: str) -> st.SearchStrategy[tuple[Any, Any]]:
        digest = _HASHES[kind](address.encode()).hexdigest()
        return st.tuples(st.sampled_from([digest, digest.upper()]).flatmap(_padded), st.just(digest))

    return st.sampled_from(["ann@example.com", "bob@example.com"]).flatmap(ways)


def _right(kind: IdentifierType) -> st.SearchStrategy[tuple[Any, Any]]:
    match kind:
        case IdentifierType.RIID:
            return _riids()
        case IdentifierType.HASHED_EMAIL | IdentifierType.EMAIL_MD5:
            return _hashes(kind)
        case IdentifierType.CRM_ID:
            return _texts("C-001", "00042", "日本", "Ada L") | st.just((Raw("42"), "42"))
        case IdentifierType.EMAIL:
            return _texts("Ann@Example.com", "ann+x@example.com", "ünal@example.com")
        case IdentifierType.MOBILE_NUMBER:
            return _texts("(415) 555-2671", "+1 415 555 2671", "0151/234567", "(+49) 151.234") | st.just(
                (Raw("14155552671"), "14155552671")
            )


def _wrong(kind: IdentifierType) -> st.SearchStrategy[Any]:
    """Draw what cannot be an identifier of the type, or not for certain."""
    shapes = st.sampled_from([[], ["5"], {}, {"id": "5"}, True, False, [None]])
    match kind:
        case IdentifierType.RIID:
            return shapes | st.sampled_from(
                [
                    "0",
                    "-5",
                    "+5",
                    "5.5",
                    "1e3",
                    "3.6447E8",
                    "1" * 19,
                    "4 2",
                    "0x1F",
                    "٣",
                    "9007199254740993.0",
                    Raw("-1"),
                ]
            )
        case IdentifierType.HASHED_EMAIL | IdentifierType.EMAIL_MD5:
            empty = _HASHES[kind](b"").hexdigest()
            return shapes | st.sampled_from([empty, empty.upper(), empty[1:], "g" + empty[1:], "ann@example.com"])
        case IdentifierType.CRM_ID:
            return shapes | st.sampled_from(["x" * 256, "\ud800"])
        case IdentifierType.EMAIL:
            return shapes | st.sampled_from(
                ["ann", "ann@@example.com", "ann @example.com", "a" * 500 + "@b", "\ud800@b.c"]
            )
        case IdentifierType.MOBILE_NUMBER:
            return shapes | st.sampled_from(["call me", "+" + "1" * 50, "1", "٣٤٥"])


@st.composite
def _identifiers(draw: st.DrawFn, kind: IdentifierType) -> tuple[Any, Any, bool]:
    """Draw identifiers, the one that is to be sent, and whether there is none to send."""
    names = NAMES[kind]
    others = [name for each, every in NAMES.items() if each is not kind for name in every if name != "EMAIL"]
    pairs = draw(st.lists(st.tuples(st.sampled_from([*others, "", "\ud800", "x"]), values), max_size=3))
    match draw(st.sampled_from(["right", "right", "both", "clear", "any case", "wrong", "two", "none"])):
        case "both":
            ways = _right(kind)
            way, meant = draw(ways)
            pairs += [(name, way) for name in names] + [(names[0], way)]
        case "clear" if kind in _HASHES:
            address = draw(st.sampled_from(["ann@example.com", " Ann@Example.COM\n"]))
            pairs += [("EMAIL", address), (names[0], draw(st.sampled_from(["", " ", None])))]
            meant = _HASHES[kind](b"ann@example.com").hexdigest()
        case "any case":
            way, meant = draw(_right(kind))
            pairs.append((names[-1].lower(), way))
        case "wrong":
            pairs.append((draw(st.sampled_from(names)), draw(_wrong(kind))))
            return Pairs(tuple(pairs)), None, True
        case "two":
            one, other = draw(
                st.lists(
                    _right(kind),
                    min_size=2,
                    max_size=2,
                    unique_by=lambda each: re.sub("[^0-9@a-zA-Z]", "", str(each[1])),
                )
            )
            pairs += [(names[0], one[0]), (names[-1], other[0])]
            return Pairs(tuple(pairs)), None, True
        case "none":
            pairs += draw(st.sampled_from([[], [(names[0], None)], [(names[0], " ")]]))
            return Pairs(tuple(pairs)) if pairs else draw(st.sampled_from([{}, [], None])), None, True
        case _:
            way, meant = draw(_right(kind))
            pairs.append((draw(st.sampled_from(names)), way))
    return Pairs(tuple(draw(st.permutations(pairs)))), meant, False


# ---- whole messages


@st.composite
def spellings(draw: st.DrawFn) -> Spelling:
    """Draw a message whose identifiers, time and variables are written in one of many ways, or only look right."""
    kind = draw(st.sampled_from(IdentifierType))
    identifiers, recipient, is_refused = draw(_identifiers(kind))
    message: dict[str, Any] = {
        "profileId": "p-1",
        "callType": "ADD",
        "segment": {"type": "AUDIENCE", "id": "aud-1"},
        "connector": kind.value.lower(),
        "identifiers": identifiers,
    }
    properties = 0
    match draw(st.sampled_from(["absent", "none", "some", "twice"])):
        case "none":
            message["variables"] = draw(st.sampled_from([{}, [], None, Pairs((("A", None), ("A", None)))]))
        case "some":
            message["variables"], properties = (
                {"A": draw(st.sampled_from(["", "x", 0, False, [], {"B": None}, Raw("1.10")]))},
                1,
            )
        case "twice":
            message["variables"], properties = Pairs((("A", None), ("A", "1"), ("B", "2"), ("A", "3"))), 2
    occurred_at, refused = None, "identifiers" if is_refused else None
    match draw(st.sampled_from(["absent", "blank", "right", "wrong"])):
        case "blank":
            message["occurredAt"] = draw(st.sampled_from([None, "", " \n"]))
        case "right":
            message["occurredAt"], occurred_at = draw(written_moments())
        case "wrong":
            message["occurredAt"] = draw(
                no_moments() | st.sampled_from([Raw("1706689800"), Raw("1706689800.5"), True, [], {}])
            )
            refused = "occurredAt"
    return Spelling(written(message), kind, recipient, occurred_at, properties, refused)


_FIELDS = {
    IdentifierType.RIID: "recipientId",
    IdentifierType.HASHED_EMAIL: "emailSHA256Hash",
    IdentifierType.CRM_ID: "customerId",
    IdentifierType.EMAIL: "emailAddress",
    IdentifierType.EMAIL_MD5: "emailMD5Hash",
    IdentifierType.MOBILE_NUMBER: "mobileNumber",
}


def look_at_reading(spelling: Spelling) -> None:
    """Assert that a body is read as it means, or refused with a reason that names the field."""
    read = _read(spelling)
    if isinstance(read, str):
        assert read.startswith(f"{spelling.refused}: "), spelling
        return
    membership, sent = read
    assert spelling.refused is None, spelling
    assert sent["recipient"][_FIELDS[spelling.kind]] == spelling.recipient, spelling
    assert membership.occurred_at == spelling.occurred_at, spelling
    assert len(sent["optionalData"]) == spelling.properties + 2, spelling


def _read(spelling: Spelling) -> tuple[Membership, Any] | str:
    """Return what is read and sent, or why not."""
    try:
        membership = read_membership(spelling.body)
        event = event_of(membership, connector(identifierType=spelling.kind.value))
    except (InvalidMessageError, UnmappableError) as refused:
        return str(refused)
    return membership, json.loads(event.recipient_json)
