"""By which identifiers does a platform know the person?

Under the names of our own format, so that what a connector needs is found in it as in a message of ours: see
:mod:`responsys_activation.recipient`. A hash serves the type of its algorithm alone, and is never taken for an address
or a customer's id.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from responsys_activation.connector import IdentifierType
from responsys_activation.recipient import hash_type, is_email_address
from responsys_activation.upstream.words import members, text_of

__all__ = ["RIID_NAMES", "Candidate", "identifier_at", "identifiers_of", "riids_of"]

RIID_NAMES = ("riid", "RIID_")
_OF_EMAIL = (IdentifierType.EMAIL, IdentifierType.HASHED_EMAIL, IdentifierType.EMAIL_MD5)

Candidate = tuple[IdentifierType, object]


def identifiers_of(candidates: Iterable[Candidate]) -> dict[str, Any]:
    """Return the first usable identifier of each type.

    Parameters
    ----------
    candidates : iterable of (IdentifierType, object)
        What may be one, in the order of preference. Under ``EMAIL`` a hash may stand, which is told by its digits; what
        is declared as a hash comes under its own type.
    """
    found: dict[IdentifierType, str] = {}
    for kind, value in candidates:
        text = (text_of(value) or "").strip()
        if text and (usable := _usable(kind, text)):
            found.setdefault(usable, text.lower() if usable is hash_type(text) else text)
    customer_id = found.get(IdentifierType.CRM_ID)
    if customer_id and is_email_address(customer_id) and not any(kind in found for kind in _OF_EMAIL):
        found[IdentifierType.EMAIL] = found.pop(IdentifierType.CRM_ID)  # the only id there is
    return {kind.value: text for kind, text in found.items()}


def _usable(kind: IdentifierType, text: str) -> IdentifierType | None:
    """Return of which type a text is that was found where those of ``kind`` are; ``None``: of none."""
    hashed = hash_type(text)
    match kind:
        case IdentifierType.EMAIL:
            return hashed or (kind if is_email_address(text) else None)
        case IdentifierType.HASHED_EMAIL | IdentifierType.EMAIL_MD5:
            return kind if hashed is kind else None
        case IdentifierType.CRM_ID:
            return None if hashed else kind
        case _:
            return kind


def riids_of(*holders: Mapping[str, Any]) -> list[Candidate]:
    """Return what stands where Responsys's own id would."""
    return [(IdentifierType.RIID, holder.get(name)) for holder in holders for name in RIID_NAMES]


def identifier_at(
    paths: Iterable[str], places: Iterable[Mapping[str, Any]], kind: IdentifierType
) -> dict[str, Any] | None:
    """Return the identifier that the first path leads to where something is; ``None`` where nothing is.

    Parameters
    ----------
    paths : iterable of str
        Dotted: ``traits.crm.id``. A number is a position in a list; of a list that is passed by name, the first counts.
    places : iterable of Mapping
        Where a path may begin.
    kind : IdentifierType
        The connector's: what stands there is of this type because its owner says so, but for a clear address or another
        hash where a hash is wanted.
    """
    places = tuple(places)
    found = (text for path in paths for place in places if (text := text_of(_at(place, path))))
    text = next(found, "").strip()
    if not text:
        return None
    if kind in {IdentifierType.HASHED_EMAIL, IdentifierType.EMAIL_MD5}:
        kind = hash_type(text) or IdentifierType.EMAIL
    return {kind.value: text}


def _at(value: object, path: str) -> object:
    """Follow a path; a name that has dots itself comes before the way that they would tell."""
    if isinstance(value, list):
        first, _, rest = path.partition(".")
        if first.isdecimal():
            entry = value[int(first)] if len(first) < 6 and int(first) < len(value) else None
            return _at(entry, rest) if rest else entry
        return _at(value[0], path) if value else None
    here = members(value)
    if path in here:
        return _single(here[path])
    name, _, rest = path.partition(".")
    return _at(here.get(name), rest) if rest else None


def _single(value: object) -> object:
    return value[0] if isinstance(value, list) and value else value
