"""How does Lytics say that a membership changed?

In a list of segment events beside the fields of a user, which are bare or under ``data``.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple

from responsys_activation.connector import IdentifierType
from responsys_activation.envelope import InvalidMessageError
from responsys_activation.membership import CallType
from responsys_activation.upstream.identity import RIID_NAMES, Candidate, identifiers_of, riids_of
from responsys_activation.upstream.part import Around, Document, Ignored, Reading, Said, Unit, told
from responsys_activation.upstream.platform import Platform
from responsys_activation.upstream.variables import flattened
from responsys_activation.upstream.words import first_text, list_of, moment_of, needed_text, object_of, text_of

__all__ = ["read"]

_CALL_TYPES = {"enter": CallType.ADD, "exit": CallType.REMOVE}
_EVENTS = "segment_events"
_SYSTEM = frozenset({"id", "meta", _EVENTS, *RIID_NAMES})
_SYSTEM_PREFIXES = ("_", "score_")


class _Person(NamedTuple):
    profile_id: str | None
    identifiers: dict[str, Any]
    variables: dict[str, Any]
    modified: object
    places: tuple[Mapping[str, Any], ...]


def read(document: Document, around: Around) -> Ignored | list[Reading]:
    """Read a user with the segments that were entered or left.

    Raises
    ------
    InvalidMessageError
        The segment events cannot be told apart.
    """
    is_bare = _EVENTS in document
    user = document if is_bare else document["data"]
    field = _EVENTS if is_bare else f"data.{_EVENTS}"
    events = list_of(user[_EVENTS], field)
    if not events:
        return Ignored(Platform.LYTICS, "no segment events")
    person = _person(document, user)
    readings: list[Reading] = []
    for number, event in enumerate(events):
        alone = partial(_alone, document, event, is_bare=is_bare)
        readings.append((alone, partial(_of_event, person, event, f"{field}[{number}]", around)))
    return readings


def _alone(document: Document, event: Any, *, is_bare: bool) -> Document:
    if is_bare:
        return {**document, _EVENTS: [event]}
    return {**document, "data": {**document["data"], _EVENTS: [event]}}


def _person(document: Document, user: Mapping[str, Any]) -> _Person:
    customer_ids = [user.get("user_id"), user.get("customer_id")]
    candidates: list[Candidate] = [
        (IdentifierType.EMAIL, user.get("email")),
        *((IdentifierType.CRM_ID, customer_id) for customer_id in customer_ids),
        *riids_of(user),
    ]
    system = _SYSTEM.union(name for name in user if name.startswith(_SYSTEM_PREFIXES))
    return _Person(
        first_text(document.get("id"), user.get("id"), user.get("_id"), *customer_ids, user.get("email")),
        identifiers_of(candidates),
        flattened(user, without=system),
        user.get("_modified"),
        (user, document),
    )


def _of_event(person: _Person, given: object, field: str, around: Around) -> Said:
    event = object_of(given, field)
    word = needed_text(event.get("event"), f"{field}.event").lower()
    call_type = _CALL_TYPES.get(word)
    if call_type is None:
        raise InvalidMessageError(f"{field}.event: must be enter or exit")
    slug = text_of(event.get("slug"))
    # An event without a time is as old as the user's last change, which it is one of.
    occurred_at = moment_of(event.get(word), f"{field}.{word}") or moment_of(person.modified, "_modified")
    return told(
        Platform.LYTICS,
        Unit(first_text(event.get("id"), slug) or needed_text(None, f"{field}.id"), slug),
        profile_id=needed_text(person.profile_id, "id"),
        call_type=call_type,
        operation=[word],
        message_id=None,
        occurred_at=occurred_at,
        identifiers=person.identifiers,
        variables=person.variables,
        places=person.places,
        around=around,
    )
