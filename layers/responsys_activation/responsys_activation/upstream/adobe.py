"""How does Adobe Real-Time CDP say that a membership changed?

It does not: an export has the state of all segments of a profile, and no word for what is new. What is new follows from
the time of the qualification, and an export that changed nothing is known by the digest of what it says of the person.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from functools import partial
from hashlib import blake2b
from typing import Any, NamedTuple

from responsys_activation.connector import IdentifierType
from responsys_activation.envelope import InvalidMessageError
from responsys_activation.json_text import write_json
from responsys_activation.membership import CallType
from responsys_activation.upstream.identity import RIID_NAMES, Candidate, identifiers_of, riids_of
from responsys_activation.upstream.part import Around, Document, Ignored, Reading, Said, Unit, told
from responsys_activation.upstream.platform import Platform
from responsys_activation.upstream.variables import flattened
from responsys_activation.upstream.words import first_text, members, moment_of, needed_text, object_of, text_of

__all__ = ["read"]

_NEW_SECONDS = 3600.0  # Adobe exports within minutes; history is filled in within about an hour of a mapping
_REALIZED, _EXISTING, _EXITED = "realized", "existing", "exited"
# What an export has beside what it knows of the person.
_SYSTEM = frozenset({"_id", "_repo", "extSourceSystemAudit", "identityMap", "segmentMembership", *RIID_NAMES})
_NAMESPACES: dict[str, IdentifierType] = {
    "email": IdentifierType.EMAIL,
    "email_lc_sha256": IdentifierType.HASHED_EMAIL,
    "crmid": IdentifierType.CRM_ID,
    "crm_id": IdentifierType.CRM_ID,
    "customerid": IdentifierType.CRM_ID,
    "customer_id": IdentifierType.CRM_ID,
    "phone": IdentifierType.MOBILE_NUMBER,
    "riid": IdentifierType.RIID,
}
# Ids of devices and browsers: a person has several, and they come and go.
_DEVICES = frozenset({"aaid", "ecid", "gaid", "idfa", "waid"})


def read(document: Document, around: Around) -> Ignored | list[Reading]:
    """Read an export: one membership for each segment.

    Raises
    ------
    InvalidMessageError
        Its segments cannot be told apart.
    """
    maps = document["segmentMembership"]
    if maps is not None and type(maps) is not dict:
        raise InvalidMessageError("segmentMembership: must be a JSON object")
    readings = list(_readings(document, maps or {}, around))
    return readings or Ignored(Platform.ADOBE, "no segments")


class _Person(NamedTuple):
    document: Document
    profile_id: str | None
    identifiers: dict[str, Any]
    variables: dict[str, Any]
    digest: str


def _readings(document: Document, maps: Mapping[str, Any], around: Around) -> Iterator[Reading]:
    person = _person(document)
    for namespace, segments in maps.items():
        if type(segments) is not dict:
            yield partial(_alone, document, namespace, segments), partial(_refuse_map)
            continue
        for segment_id, state in segments.items():
            alone = partial(_alone, document, namespace, {segment_id: state})
            yield alone, partial(_of_segment, person, namespace, segment_id, state, around)


def _alone(document: Document, namespace: str, segments: Any) -> Document:
    return {**document, "segmentMembership": {namespace: segments}}


def _refuse_map() -> Said:
    raise InvalidMessageError("segmentMembership: each of its members must be a JSON object of segments")


def _of_segment(person: _Person, namespace: str, segment_id: str, given: object, around: Around) -> Said:
    here = "segmentMembership: a segment's"
    state = object_of(given, f"{here} value")
    status = needed_text(state.get("status"), f"{here} status").lower()
    since = moment_of(state.get("lastQualificationTime"), f"{here} lastQualificationTime")
    call_type = _call_type(status, since, around.arrived_at)
    # The same change comes once, however often it is exported; a standing member's as often as the person changes.
    digest = [person.digest] if call_type is CallType.UPDATE else []
    return told(
        Platform.ADOBE,
        Unit(needed_text(segment_id, f"{here} id"), text_of(state.get("name"))),
        profile_id=needed_text(person.profile_id, "identityMap"),
        call_type=call_type,
        operation=[namespace, status, *digest],
        message_id=None,
        occurred_at=since,
        identifiers=person.identifiers,
        variables=person.variables,
        places=(person.document,),
        around=around,
    )


def _call_type(status: str, since: datetime | None, arrived_at: float) -> CallType:
    if status == _EXITED:
        return CallType.REMOVE
    if status == _EXISTING:
        return CallType.UPDATE
    if status != _REALIZED:
        raise InvalidMessageError("segmentMembership: a segment's status must be realized, existing or exited")
    if since is None:
        raise InvalidMessageError("segmentMembership: a segment's lastQualificationTime is missing")
    return CallType.ADD if arrived_at - since.timestamp() < _NEW_SECONDS else CallType.UPDATE


# ---- the person


def _person(document: Document) -> _Person:
    variables = flattened(document, without=_SYSTEM)
    said = write_json(dict(sorted(variables.items())))
    digest = blake2b(said.encode(), digest_size=16).hexdigest()
    identities = _identities(document.get("identityMap"))
    addresses = [
        members(document.get("personalEmail")).get("address"),
        members(document.get("person")).get("email"),
    ]
    candidates: list[Candidate] = [
        *((kind, identities.get(namespace)) for namespace, kind in _NAMESPACES.items()),
        *((IdentifierType.EMAIL, address) for address in addresses),
        *riids_of(document),
    ]
    profile_id = _profile_id(identities) or first_text(*addresses)
    return _Person(document, profile_id, identifiers_of(candidates), variables, digest)


def _identities(given: object) -> dict[str, str]:
    """Return the first id of each namespace, whose letter case nobody keeps to."""
    identities: dict[str, str] = {}
    for namespace, entries in members(given).items():
        ids = (members(entry).get("id") for entry in entries) if type(entries) is list else ()
        if first := first_text(*ids):
            identities.setdefault(namespace.lower(), first)
    return identities


def _profile_id(identities: Mapping[str, str]) -> str | None:
    """Choose the id that is most likely to stay: a profile has no other than those in its identity map."""
    namespaces = [*(name for name in _NAMESPACES if _NAMESPACES[name] is IdentifierType.CRM_ID), "email_lc_sha256"]
    namespaces += ["email", *sorted(identities.keys() - _DEVICES), *sorted(identities.keys() & _DEVICES)]
    return next((identities[name] for name in namespaces if name in identities), None)
