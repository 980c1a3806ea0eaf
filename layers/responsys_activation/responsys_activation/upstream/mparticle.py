"""How does mParticle say that a membership changed?

In two ways: a request to partners, with many profiles and several audiences of each, and the record of its output to
Kinesis Firehose, with one. A request without profiles only asks whether somebody listens.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any, NamedTuple

from responsys_activation.connector import IdentifierType
from responsys_activation.envelope import InvalidMessageError
from responsys_activation.membership import CallType
from responsys_activation.upstream.identity import Candidate, identifiers_of, riids_of
from responsys_activation.upstream.part import Around, Document, Ignored, Reading, Said, Unit, told
from responsys_activation.upstream.platform import Platform
from responsys_activation.upstream.variables import flattened
from responsys_activation.upstream.words import (
    boolean_of,
    first_text,
    list_of,
    members,
    moment_of,
    needed_text,
    object_of,
    text_of,
)

__all__ = ["read"]

_CHANGE_REQUEST = "audience_membership_change_request"
_CALL_TYPES = {"add": CallType.ADD, "attribute_update": CallType.UPDATE, "delete": CallType.REMOVE}
_RAW = "raw"
# By the type of an identity, of which identifier type it is by its encoding. What is hashed serves e-mail alone.
_IDENTITIES = {
    ("email", _RAW): IdentifierType.EMAIL,
    ("email", "sha256"): IdentifierType.HASHED_EMAIL,
    ("email", "md5"): IdentifierType.EMAIL_MD5,
    ("customer", _RAW): IdentifierType.CRM_ID,
    ("mobile_number", _RAW): IdentifierType.MOBILE_NUMBER,
}


def read(document: Document, around: Around) -> Ignored | list[Reading]:
    """Read a request or a record.

    Raises
    ------
    InvalidMessageError
        Its profiles cannot be told apart.
    """
    if "AudienceId" in document and "IsMember" in document:
        return [(lambda: document, partial(_of_record, document, around))]
    kind = document.get("type")
    if kind != _CHANGE_REQUEST:
        return Ignored(Platform.MPARTICLE, kind if kind in _OTHER_REQUESTS else "other request")
    profiles = list_of(document.get("user_profiles"), "user_profiles")
    readings = list(_of_request(document, profiles, around))
    return readings or Ignored(Platform.MPARTICLE, "audiences of nobody" if profiles else "keep-alive")


_OTHER_REQUESTS = frozenset({"audience_subscription_request", "event_processing_request"}) | {
    "dsr_processing_request",
    "module_registration_request",
}


# ---- a request to partners


class _Person(NamedTuple):
    field: str
    profile_id: str | None
    identifiers: dict[str, Any]
    places: tuple[Mapping[str, Any], ...]


def _of_request(document: Document, profiles: list[Any], around: Around) -> Iterator[Reading]:
    for number, profile in enumerate(profiles):
        field = f"user_profiles[{number}]"
        try:
            audiences = list_of(object_of(profile, field).get("audiences"), f"{field}.audiences")
        except InvalidMessageError as exc:
            yield partial(_alone, document, profile), partial(_refuse, exc)
            continue
        person = _person(profile, field)
        for position, audience in enumerate(audiences):
            alone = partial(_alone, document, profile, [audience])
            yield alone, partial(_of_audience, document, person, audience, position, around)


def _alone(document: Document, profile: Any, audiences: list[Any] | None = None) -> Document:
    one = profile if audiences is None else {**profile, "audiences": audiences}
    return {**document, "user_profiles": [one]}


def _refuse(exc: InvalidMessageError) -> Said:
    raise exc


def _person(profile: Mapping[str, Any], field: str) -> _Person:
    identities = profile.get("user_identities")
    known = [members(identity) for identity in identities] if type(identities) is list else []
    candidates: list[Candidate] = []
    in_clear: dict[str, Any] = {}
    for identity in known:
        name, encoding = text_of(identity.get("type")), _encoding(identity.get("encoding"))
        kind = _IDENTITIES.get((name or "", encoding))
        if kind:
            candidates.append((kind, identity.get("value")))
        if name and encoding == _RAW:
            in_clear.setdefault(name, identity.get("value"))
    profile_id = first_text(profile.get("mpid"), in_clear.get("customer"), in_clear.get("email"))
    # A path names an identity by its type, for its position means nothing.
    place = {**profile, "user_identities": in_clear}
    return _Person(field, profile_id, identifiers_of([*candidates, *riids_of(in_clear, profile)]), (place,))


def _encoding(value: object) -> str:
    """Read an encoding, which comes as ``sha256``, ``sha-256``, or in quotes; ``raw`` where there is none."""
    return (text_of(value) or _RAW).strip("\"' ").replace("-", "").lower()


def _of_audience(document: Document, person: _Person, given: object, position: int, around: Around) -> Said:
    here = f"{person.field}.audiences[{position}]"
    audience = object_of(given, here)
    action = needed_text(audience.get("action"), f"{here}.action")
    call_type = _CALL_TYPES.get(action.lower())
    if call_type is None:
        raise InvalidMessageError(f"{here}.action: must be add, delete or attribute_update")
    name = text_of(audience.get("audience_name"))
    attributes = _attributes(audience.get("user_attributes"))
    return told(
        Platform.MPARTICLE,
        Unit(needed_text(audience.get("audience_id"), f"{here}.audience_id"), name),
        profile_id=needed_text(person.profile_id, f"{person.field}.mpid"),
        call_type=call_type,
        operation=[action.lower()],
        message_id=text_of(document.get("id")),
        occurred_at=moment_of(document.get("timestamp_ms"), "timestamp_ms"),
        identifiers=person.identifiers,
        variables=flattened(attributes),
        places=({"user_attributes": attributes}, *person.places, audience, document),
        around=around,
    )


def _attributes(given: object) -> dict[str, Any]:
    """Return the attributes that are set; one that is deleted is there no longer."""
    attributes: dict[str, Any] = {}
    for entry in given if type(given) is list else []:
        attribute = members(entry)
        key, action = text_of(attribute.get("key")), attribute.get("action")
        if key and action != "delete":
            value = attribute.get("value")
            attributes[key] = attribute.get("list_value") if value is None else value
    return attributes


# ---- a record of Kinesis Firehose


def _of_record(document: Document, around: Around) -> Said:
    identities = {**members(document.get("Identities")), **members(document.get("UserIdentities"))}
    is_member = boolean_of(document.get("IsMember"), "IsMember")
    mpid = first_text(document.get("MPID"), identities.get("MPID"))
    profile_id = first_text(mpid, identities.get("CustomerId"), identities.get("Email"))
    candidates: list[Candidate] = [
        (IdentifierType.EMAIL, identities.get("Email")),
        (IdentifierType.CRM_ID, identities.get("CustomerId")),
        (IdentifierType.MOBILE_NUMBER, identities.get("MobileNumber")),
    ]
    return told(
        Platform.MPARTICLE,
        Unit(needed_text(document.get("AudienceId"), "AudienceId"), text_of(document.get("AudienceName"))),
        profile_id=needed_text(profile_id, "UserIdentities.MPID, CustomerId or Email"),
        call_type=CallType.ADD if is_member else CallType.REMOVE,
        operation=["true" if is_member else "false"],
        message_id=None,
        occurred_at=moment_of(document.get("MembershipChangedTimestamp"), "MembershipChangedTimestamp"),
        identifiers=identifiers_of([*candidates, *riids_of(identities, document)]),
        variables={},
        places=(document, identities),
        around=around,
    )
