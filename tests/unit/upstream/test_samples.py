"""Does each sample of a platform's message say what its story says?"""

from __future__ import annotations

import pytest

from responsys_activation.upstream.memberships import Part, read
from tests.fakes.memberships import bodies_of
from tests.hostile.platforms import ARRIVED_AT, SAMPLES, look_at_reading

CARTS, WINBACK, OLD = (
    "3b0f2c9e-1f0d-4a7e-9d53-6c5a0f1b2c3d",
    "77aa10d4-8e11-4c5b-8f43-0a9b8c7d6e5f",
    "9c22e7b1-4b6a-4d1f-a2c8-1e2d3c4b5a69",
)
ENTERED, LEFT = "a1b2c3d4e5f60718293a4b5c6d7e8f90", "b2c3d4e5f60718293a4b5c6d7e8f90a1"

# By file: what happened to whom in which segment, or `None` for what is refused; and what is ignored.
STORIES: dict[str, tuple[list[tuple[str, str, str] | None], list[str]]] = {
    "adobe_changed": ([("UPDATE", "cust-4711", OLD)], []),
    "adobe_entered": ([("ADD", "cust-4711", CARTS)], []),
    "adobe_left": ([("REMOVE", "cust-4711", WINBACK)], []),
    "adobe_many": (
        [
            ("ADD", "cust-4711", CARTS),
            ("REMOVE", "cust-4711", WINBACK),
            ("UPDATE", "cust-4711", OLD),
            ("UPDATE", "cust-4711", "ext-17"),
        ],
        [],
    ),
    "adobe_no_segments": ([], ["no segments"]),
    "adobe_several_identifiers": ([("ADD", "cust-4711", CARTS)], []),
    "adobe_unknown": ([None, ("REMOVE", "cust-4711", WINBACK)], []),
    "amplitude_entered": ([("ADD", "cust-4711", "7kq2")], []),
    "amplitude_left": ([("REMOVE", "cust-4711", "7kq2")], []),
    "amplitude_many": ([("ADD", "nora@example.org", "7kq2"), ("ADD", "cust-4712", "7kq2")], []),
    "amplitude_no_users": ([], ["no users"]),
    "amplitude_several_identifiers": ([("ADD", "cust-4711", "7kq2")], []),
    "amplitude_unknown": ([None], []),
    "lytics_bare": ([("ADD", "9912007", ENTERED)], []),
    "lytics_entered": ([("ADD", "9912007", ENTERED)], []),
    "lytics_left": ([("REMOVE", "9912007", LEFT)], []),
    "lytics_many": ([("ADD", "9912007", ENTERED), ("REMOVE", "9912007", LEFT)], []),
    "lytics_no_events": ([], ["no segment events"]),
    "lytics_several_identifiers": ([("ADD", "9912007", ENTERED)], []),
    "lytics_unknown": ([None], []),
    "mparticle_changed": ([("UPDATE", "-812345", "51023")], []),
    "mparticle_entered": ([("ADD", "-812345", "51022")], []),
    "mparticle_identity_change": ([("REMOVE", "-812345", "51022"), ("ADD", "-812345", "51022")], []),
    "mparticle_keep_alive": ([], ["keep-alive"]),
    "mparticle_left": ([("REMOVE", "-812345", "51024")], []),
    "mparticle_many": (
        [
            ("ADD", "-812345", "51022"),
            ("UPDATE", "-812345", "51023"),
            ("REMOVE", "-812345", "51024"),
            ("ADD", "5512", "51022"),
        ],
        [],
    ),
    "mparticle_record": ([("ADD", "cust-4711", "51022")], []),
    "mparticle_several_identifiers": ([("ADD", "-812345", "51022")], []),
    "mparticle_subscription": ([], ["audience_subscription_request"]),
    "mparticle_unknown": ([None], []),
    "own_cloud_events": ([("ADD", "p-2021", "aud-42"), ("ADD", "p-2022", "aud-42")], []),
    "own_firehose": ([("ADD", "p-2031", "aud-42"), ("ADD", "p-2032", "aud-42")], []),
    "own_many": (
        [("ADD", "p-2011", "aud-42"), ("ADD", "p-2012", "aud-42"), ("REMOVE", "p-2012", "aud-42"), None],
        [],
    ),
    "segment_entered": ([("ADD", "cust-4711", "aud_3Fh0a")], []),
    "segment_journey_step": ([("ADD", "cust-4711", "carts__remind_8k2")], []),
    "segment_left": ([("REMOVE", "cust-4711", "aud_3Fh0a")], []),
    "segment_many": ([("ADD", "cust-4711", "aud_3Fh0a"), ("ADD", "cust-4712", "aud_3Fh0a")], ["page"]),
    "segment_page": ([], ["page"]),
    "segment_several_identifiers": ([("ADD", "cust-4711", "aud_3Fh0a")], []),
    "segment_trait": ([], ["trait"]),
    "segment_unknown": ([None], []),
}


def test_each_sample_has_its_story_here() -> None:
    assert SAMPLES.keys() == STORIES.keys()


@pytest.mark.parametrize("story", STORIES)
def test_a_sample_says_what_its_story_says(story: str) -> None:
    parts, ignored, _ = read(SAMPLES[story], ARRIVED_AT)

    said = [
        (part.membership.call_type.value, part.membership.profile_id, part.membership.segment.id)
        if isinstance(part, Part)
        else None
        for part in parts
    ]
    assert (said, [one.kind for one in ignored]) == STORIES[story]


@pytest.mark.parametrize("story", STORIES)
def test_each_part_of_a_sample_says_the_same_alone(story: str) -> None:
    look_at_reading(SAMPLES[story])


def test_a_part_of_a_request_is_a_request_with_one_audience() -> None:
    bodies = bodies_of(SAMPLES["mparticle_many"], ARRIVED_AT)

    assert [body.count('"audience_id"') for body in bodies] == [1, 1, 1, 1]
    assert [body.count('"mpid"') for body in bodies] == [1, 1, 1, 1]
