"""Which platform wrote a document?

Told by its shape alone, and only of what is not our own format: what has ``callType`` and an object ``segment`` never
comes here.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from responsys_activation.upstream.words import members, text_of

__all__ = ["SEGMENT_CALLS", "Platform", "platform_of"]

# Every type of call that Segment's sources make; a deletion is one, too.
SEGMENT_CALLS = frozenset({"alias", "delete", "group", "identify", "page", "screen", "track"})
# Members of our own format that no call of Segment has: a message of ours that lacks something, and has a `type` of its
# own, is to be refused by the name of what it lacks, and not to be ignored as a call.
_OURS = frozenset({"callType", "profileId", "segment"})
# The requests of mParticle's SDK for partners; the other ones end in the same way and say which version wrote them.
_MPARTICLE_REQUESTS = frozenset(
    {
        "audience_membership_change_request",
        "audience_subscription_request",
        "dsr_processing_request",
        "event_processing_request",
        "module_registration_request",
    }
)


class Platform(StrEnum):
    """Who wrote a message in words of its own."""

    SEGMENT = "Segment"
    MPARTICLE = "mParticle"
    ADOBE = "Adobe"
    LYTICS = "Lytics"
    AMPLITUDE = "Amplitude"

    @property
    def sends_all_segments(self) -> bool:
        """Whether its messages hold segments that nobody asked for."""
        return self in {Platform.ADOBE, Platform.LYTICS}


def platform_of(document: Mapping[str, Any]) -> Platform | None:
    """Return the platform of a document, by what only its documents have; ``None`` for what none of them wrote."""
    if "segmentMembership" in document:
        return Platform.ADOBE
    if "segment_events" in document or "segment_events" in members(document.get("data")):
        return Platform.LYTICS
    if "cohort_id" in document and "in_cohort" in document:
        return Platform.AMPLITUDE
    if ("AudienceId" in document and "IsMember" in document) or _is_mparticle_request(document):
        return Platform.MPARTICLE
    return Platform.SEGMENT if _is_segment_call(document) else None


def _is_mparticle_request(document: Mapping[str, Any]) -> bool:
    kind = document.get("type")
    if type(kind) is not str:
        return False
    return kind in _MPARTICLE_REQUESTS or (kind.endswith("_request") and "firehose_version" in document)


def _is_segment_call(document: Mapping[str, Any]) -> bool:
    if type(members(document.get("context")).get("personas")) is dict:
        return True
    properties = members(document.get("properties"))
    key = properties.get("audience_key")
    if type(key) is str and type(properties.get(key)) is bool:
        return True
    kind = document.get("type")
    is_call = type(kind) is str and kind in SEGMENT_CALLS and _OURS.isdisjoint(document)
    return is_call and any(text_of(document.get(name)) for name in ("messageId", "userId"))
