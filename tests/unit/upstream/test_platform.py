"""Is a platform told by its shape alone, and never taken for another or for our own format?"""

from __future__ import annotations

import json
from typing import Any

import pytest

from responsys_activation.json_text import JsonNumber, Repeated, read_json
from responsys_activation.upstream.memberships import Memberships, Part, Refused, read
from responsys_activation.upstream.platform import Platform, platform_of
from tests.fakes.memberships import ABSENT, document
from tests.hostile.platforms import ARRIVED_AT, SAMPLES, mutated

# What each platform's documents are known by; without it they are nobody's.
TELLING = {
    Platform.ADOBE: {"segmentMembership"},
    Platform.LYTICS: {"segment_events"},
    Platform.AMPLITUDE: {"cohort_id", "in_cohort"},
    Platform.MPARTICLE: {"AudienceId", "IsMember", "type"},
    Platform.SEGMENT: {"context", "properties", "type"},
}


@pytest.mark.parametrize(
    ("shape", "platform"),
    [
        ({"segmentMembership": {}}, "Adobe"),
        ({"segmentMembership": None}, "Adobe"),
        ({"segment_events": []}, "Lytics"),
        ({"data": {"segment_events": []}, "id": "x"}, "Lytics"),
        ({"cohort_id": "x", "in_cohort": True}, "Amplitude"),
        ({"cohort_id": "x"}, None),
        ({"in_cohort": True}, None),
        ({"AudienceId": 1, "IsMember": True}, "mParticle"),
        ({"AudienceId": 1}, None),
        ({"IsMember": True}, None),
        ({"type": "audience_membership_change_request"}, "mParticle"),
        ({"type": "event_processing_request"}, "mParticle"),
        ({"type": "a_new_request", "firehose_version": "3"}, "mParticle"),
        ({"type": "a_new_request"}, None),
        ({"context": {"personas": {}}}, "Segment"),
        ({"context": {"personas": "x"}}, None),
        ({"properties": {"audience_key": "a", "a": False}}, "Segment"),
        ({"properties": {"audience_key": "a", "a": "x"}}, None),
        ({"properties": {"audience_key": "a"}}, None),
        ({"type": "track", "messageId": "m"}, "Segment"),
        ({"type": "page", "userId": JsonNumber("7")}, "Segment"),
        ({"type": "page", "anonymousId": "a"}, None),
        ({"type": "record", "messageId": "m", "action": "insert"}, None),
        ({"type": "Track", "messageId": "m"}, None),
        ({"type": ["track"], "messageId": "m"}, None),
        ({"type": Repeated(("track", "page")), "messageId": "m"}, None),
        ({"type": "track", "messageId": " "}, None),
        ({}, None),
    ],
)
def test_a_document_is_known_by_what_only_its_platform_writes(shape: dict[str, Any], platform: str | None) -> None:
    assert platform_of(shape) == platform


def platforms_in(body: str) -> set[Platform | None]:
    found = read(body, ARRIVED_AT)
    refused = [part.reason.partition(":")[0] for part in found.parts if not isinstance(part, Part)]
    known = {platform for platform in Platform if platform in refused}
    own = {None} if len(refused) > sum(each in list(Platform) for each in refused) else set()
    parts = {part.platform for part in found.parts if isinstance(part, Part)}
    return known | own | parts | {one.platform for one in found.ignored}


WRITERS = {name: next((p for p in Platform if p.lower() == name.partition("_")[0]), None) for name in SAMPLES}


@pytest.mark.parametrize("name", SAMPLES)
def test_a_sample_is_its_platforms(name: str) -> None:
    assert platforms_in(SAMPLES[name]) == {WRITERS[name]}


@pytest.mark.parametrize("name", [name for name in SAMPLES if WRITERS[name] and "many" not in name])
def test_a_mutated_sample_is_its_platforms_or_nobodys(name: str) -> None:
    # Given a platform's sample, changed where it does not say whose it is
    original = read_json(SAMPLES[name])
    platform = WRITERS[name]
    assert platform
    for seed in range(40):
        body = mutated(seed, sample=name, keep=TELLING[platform])

        # When it is read / Then it is nobody else's
        assert platforms_in(body) <= {platform, None}, body
    # And as one with what says that it is our own, it is our own
    bare = original["detail"] if "detail-type" in original else original
    if isinstance(bare, dict):
        assert platforms_in(json.dumps({**json.loads(json.dumps(bare, default=str)), **document()})) == {None}


@pytest.mark.parametrize(
    ("incomplete", "reason"),
    [
        (document(callType=ABSENT), "callType: is missing"),
        (document(segment="aud-42"), "segment: must be a JSON object with type and id"),
        (document(segment=ABSENT, callType=ABSENT, calltype="ADD"), "callType: is missing; segment: is missing"),
    ],
)
@pytest.mark.parametrize("call", ["track", "identify", "delete"])
def test_our_own_message_that_lacks_something_is_never_ignored_as_a_call_of_segment(
    call: str, incomplete: dict[str, Any], reason: str
) -> None:
    found = read(json.dumps(incomplete | {"type": call, "messageId": "m", "userId": "u"}), ARRIVED_AT)

    assert found == Memberships([Refused(reason)], [])


@pytest.mark.parametrize("shape", [{"segmentMembership": {}}, {"segment_events": []}, {"type": "track", "userId": "x"}])
def test_what_has_call_type_and_segment_is_our_own_format(shape: dict[str, Any]) -> None:
    (part,) = read(json.dumps(document(**shape)), ARRIVED_AT).parts

    assert isinstance(part, Part)
    assert part.platform is None
    assert part.membership.profile_id == "profile-1"
