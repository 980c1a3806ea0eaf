"""How does Segment say that a membership changed?

In an ``identify`` or ``track`` call of Engage, as a boolean under the audience's key; a journey's step may come without
one, for it is only ever entered. A source of Segment sends a site's other calls as well.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple

from responsys_activation.connector import IdentifierType
from responsys_activation.envelope import InvalidMessageError
from responsys_activation.membership import CallType
from responsys_activation.recipient import is_email_address
from responsys_activation.upstream.identity import RIID_NAMES, Candidate, identifiers_of, riids_of
from responsys_activation.upstream.part import Around, Document, Ignored, Reading, Said, Unit, told
from responsys_activation.upstream.platform import SEGMENT_CALLS, Platform
from responsys_activation.upstream.variables import flattened
from responsys_activation.upstream.words import boolean_of, first_text, members, moment_of, needed_text, text_of

__all__ = ["read"]

_AUDIENCE, _JOURNEY_STEP, _TRAIT = "audience", "journey_step", "trait"
_AUDIENCE_EVENTS = frozenset({"Audience Entered", "Audience Exited"})
_BOOLEANS = (True, False, "true", "false")
_SYSTEM = frozenset({"audience_key", "journey_metadata", *RIID_NAMES})


class _Call(NamedTuple):
    """One call, and where it may have the audience's key."""

    document: Document
    personas: Mapping[str, Any]
    holders: Mapping[str, Mapping[str, Any]]
    key: str | None

    @property
    def is_journey_step(self) -> bool:
        return self.personas.get("computation_class") == _JOURNEY_STEP

    @property
    def holder(self) -> str | None:
        """Where the key is; nowhere if nothing but a property of any meaning says that it is one."""
        for name, holder in self.holders.items():
            if self.key and self.key in holder:
                return name if self.personas or holder[self.key] in _BOOLEANS else None
        return None


def read(document: Document, _around: Around) -> Ignored | list[Reading]:
    """Read a call: one membership, or none."""
    kind = text_of(document.get("type"))
    kind = kind if kind in SEGMENT_CALLS else "call"
    personas = members(members(document.get("context")).get("personas"))
    computation = personas.get("computation_class")
    if computation not in (None, _AUDIENCE, _JOURNEY_STEP):
        return Ignored(Platform.SEGMENT, _TRAIT if computation == _TRAIT else "other computation")
    if kind not in {"call", "identify", "track"}:
        return Ignored(Platform.SEGMENT, kind)
    call = _call(document, personas, kind)
    if call.holder is None and not call.is_journey_step and not _is_audience_event(document):
        return Ignored(Platform.SEGMENT, kind)
    return [(lambda: document, partial(_said, call, _around))]


def _call(document: Document, personas: Mapping[str, Any], kind: str) -> _Call:
    properties = members(document.get("properties"))
    holders = {"traits": members(document.get("traits"))}
    if kind != "identify":
        holders = {"properties": properties, **holders}
    key = first_text(personas.get("computation_key"), properties.get("audience_key"))
    return _Call(document, personas, holders, key)


def _is_audience_event(document: Document) -> bool:
    event = document.get("event")
    return type(event) is str and event in _AUDIENCE_EVENTS


def _said(call: _Call, around: Around) -> Said:
    document = call.document
    call_type, word = _change(call)
    traits = [members(document.get("traits")), members(members(document.get("context")).get("traits"))]
    properties = members(document.get("properties"))
    user_id, anonymous_id = document.get("userId"), text_of(document.get("anonymousId"))
    candidates: list[Candidate] = [
        *((IdentifierType.EMAIL, holder.get("email")) for holder in (*traits, properties)),
        (IdentifierType.CRM_ID, user_id),
        *riids_of(*traits, properties, document),
    ]
    if anonymous_id and is_email_address(anonymous_id.strip()):
        candidates.append((IdentifierType.EMAIL, anonymous_id))
    return told(
        Platform.SEGMENT,
        _unit(call),
        profile_id=needed_text(first_text(user_id, anonymous_id), "userId"),
        call_type=call_type,
        operation=[word],
        message_id=text_of(document.get("messageId")),
        occurred_at=moment_of(document.get("timestamp"), "timestamp"),
        identifiers=identifiers_of(candidates),
        variables=flattened(*call.holders.values(), without=_SYSTEM | ({call.key} if call.key else set())),
        places=(document,),
        around=around,
    )


def _change(call: _Call) -> tuple[CallType, str]:
    """Return what happened, and Segment's word for it."""
    holder = call.holder
    if holder is None:
        if call.is_journey_step:
            return CallType.ADD, "reached"
        raise InvalidMessageError(f"{next(iter(call.holders))}: has no boolean under the audience's key")
    is_member = boolean_of(call.holders[holder][call.key or ""], f"{holder}: the value of the audience's key")
    return (CallType.ADD, "true") if is_member else (CallType.REMOVE, "false")


def _unit(call: _Call) -> Unit:
    computation_id = text_of(call.personas.get("computation_id"))
    if call.is_journey_step:
        metadata = members(members(call.document.get("properties")).get("journey_metadata"))
        step = first_text(call.key, computation_id) or needed_text(None, "context.personas.computation_key")
        return Unit(step, text_of(metadata.get("journey_id")), (computation_id,), type="JOURNEY")
    unit_id = first_text(computation_id, call.key) or needed_text(None, "context.personas.computation_id")
    return Unit(unit_id, call.key)
