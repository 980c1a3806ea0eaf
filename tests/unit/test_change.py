"""Is a change the same only where everything is the same that makes it one, and which of two is the newer?"""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from responsys_activation.change import Change, membership_change
from tests.fakes.clock import NOW
from tests.fakes.memberships import membership

SAME: dict[str, Any] = {"profileId": "p", "segment": {"type": "AUDIENCE", "id": "s"}, "eventName": "E"}


def change(connector: str = "default", message_id: str = "m", **fields: Any) -> Change:
    return membership_change(connector, membership(**SAME | fields), message_id, NOW, NOW)


@pytest.mark.parametrize(
    "other",
    [
        change(connector="second"),
        change(profileId="q"),
        change(segment={"type": "JOURNEY", "id": "s"}),
        change(segment={"type": "AUDIENCE", "id": "t"}),
    ],
    ids=["connector", "profile", "segment type", "segment id"],
)
def test_connector_profile_and_segment_make_a_membership(other: Change) -> None:
    assert other.membership != change().membership
    assert other.key == change().key


@pytest.mark.parametrize(
    "other",
    [
        change(message_id="n"),
        change(callType="REMOVE"),
        change(callType="UPDATE"),
        change(eventName="F"),
        change(eventName=None),
    ],
    ids=["message id", "REMOVE", "UPDATE", "event name", "no event name"],
)
def test_call_type_the_messages_own_event_name_and_its_id_make_a_key(other: Change) -> None:
    assert other.key != change().key
    assert other.membership == change().membership


@pytest.mark.parametrize(
    "fields",
    [
        {"segment": {"type": "audience", "id": "s", "name": "another"}},
        {"identifiers": {"27": "7"}},
        {"variables": {"a": "b"}},
        {"occurredAt": "2026-01-01T00:00:00Z"},
        {"messageId": "the caller says which id counts"},
    ],
    ids=["segment name and letter case", "identifiers", "variables", "time", "the field messageId"],
)
def test_nothing_else_makes_a_change_another_one(fields: dict[str, Any]) -> None:
    assert (change(**fields).membership, change(**fields).key) == (change().membership, change().key)


@given(
    st.sampled_from(["", "#", ":", "|", ",", "1:", "3:"]),
    st.lists(st.text(alphabet="12:#ab", min_size=1, max_size=4), min_size=3, max_size=3),
)
def test_no_part_can_be_written_so_that_it_reads_as_two(separator: str, pieces: list[str]) -> None:
    # Given pieces of text / When two of them make one part, the first two or the last two
    first, middle, last = pieces

    def ways(between: str) -> list[tuple[str, str]]:
        return [(first, f"{middle}{between}{last}"), (f"{first}{between}{middle}", last)]

    keys = {change(eventName=event_name, message_id=message_id).key for event_name, message_id in ways(separator)}
    memberships = {
        change(profileId=profile, segment={"type": "AUDIENCE", "id": segment}).membership
        for profile, segment in ways(f"{separator}AUDIENCE{separator}")
    }
    # Then the names differ
    assert (len(keys), len(memberships)) == (2, 2)


@pytest.mark.parametrize(
    ("one", "other"),
    [("\ud800", "\ud801"), ("\ud83d\ude00", "\N{GRINNING FACE}"), ("é", "e\N{COMBINING ACUTE ACCENT}")],
)
def test_any_id_that_json_can_write_is_one_of_its_own(one: str, other: str) -> None:
    # Halves of surrogate pairs cannot be encoded, and JSON has them all the same.
    assert change(message_id=one).key != change(message_id=other).key


def test_what_may_be_personal_is_hashed() -> None:
    jane = change(message_id="jane@example.com", profileId="jane", segment={"type": "AUDIENCE", "id": "janes"})

    assert "jane" not in json.dumps(jane)


@pytest.mark.parametrize(
    ("newer", "older"),
    [((NOW + 1, NOW), (NOW, NOW + 9)), ((NOW, NOW + 1), (NOW, NOW))],
    ids=["by what happened", "by what arrived"],
)
def test_the_newer_change_happened_later_and_at_the_same_time_arrived_later(
    newer: tuple[float, float], older: tuple[float, float]
) -> None:
    orders = [membership_change("default", membership(), "m", *times).order for times in (newer, older)]

    assert orders[0] > orders[1]
