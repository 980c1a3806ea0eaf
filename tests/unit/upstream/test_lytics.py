"""Is each segment event of a Lytics user read as a membership?"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from responsys_activation.membership import CallType, Segment
from responsys_activation.upstream.memberships import Part, Refused
from tests.unit.upstream.reading import ABSENT, MD5, SHA256, changed, ignored, part_of, parts_of, recipient, refusal


def event(**changes: Any) -> dict[str, Any]:
    given = {"id": "a1b2", "event": "enter", "slug": "carts", "enter": "2026-11-20T01:15:02.1-07:00"}
    return changed(given, **changes)


def user(*events: Any, **changes: Any) -> dict[str, Any]:
    given = {
        "email": "ann@example.org",
        "user_id": "cust-1",
        "first_name": "Ann",
        "_modified": "2026-11-20T01:15:01.9-07:00",
        "score_quantity": 41,
        "segment_events": list(events) or [event()],
    }
    return changed(given, **changes)


def message(*events: Any, **changes: Any) -> dict[str, Any]:
    return {"id": "9912", "data": user(*events, **changes), "meta": {"x": 1}}


def test_a_user_is_read_whole() -> None:
    part = part_of(message())

    assert part.platform == "Lytics"
    assert part.names == ("a1b2", "carts")
    assert part.membership.profile_id == "9912"
    assert part.membership.call_type is CallType.ADD
    assert part.membership.segment == Segment(type="AUDIENCE", id="a1b2", name="carts")
    assert part.membership.message_id == '["Lytics","2026-11-20T08:15:02.100000+00:00","enter"]'
    assert part.membership.occurred_at == datetime(2026, 11, 20, 8, 15, 2, 100_000, tzinfo=UTC)
    assert part.membership.identifiers == {"EMAIL": "ann@example.org", "CRM_ID": "cust-1"}
    assert part.membership.variables == {"email": "ann@example.org", "user_id": "cust-1", "first_name": "Ann"}


def test_a_bare_user_reads_as_one_under_data() -> None:
    bare = part_of(user() | {"id": "9912", "meta": {}})

    assert bare.membership == part_of(message()).membership


def test_each_event_is_a_membership() -> None:
    parts = parts_of(message(event(), event(id="b2", event="exit", exit="2026-11-20T08:00:00Z")))

    assert [(part.membership.segment.id, part.membership.call_type) for part in parts if isinstance(part, Part)] == [
        ("a1b2", "ADD"),
        ("b2", "REMOVE"),
    ]


def test_an_event_without_a_time_has_the_users() -> None:
    exit_event = event(event="exit")

    assert part_of(message(exit_event)).membership.occurred_at == datetime(2026, 11, 20, 8, 15, 1, 900_000, tzinfo=UTC)


def test_the_slug_stands_for_an_id() -> None:
    assert part_of(message(event(id=ABSENT))).names == ("carts",)


@pytest.mark.parametrize("events", [[], None])
def test_a_user_without_events_is_ignored(events: Any) -> None:
    assert ignored(message() | {"data": user(segment_events=events)}) == ("Lytics", "no segment events")


def test_an_event_that_cannot_be_read_leaves_the_others_alone() -> None:
    events = [event(event="moved"), event(event=ABSENT), "x", event(id=None, slug=None), event(enter="soon"), event()]

    assert [
        part.reason if isinstance(part, Refused) else part.membership.segment.id for part in parts_of(message(*events))
    ] == [
        "Lytics: data.segment_events[0].event: must be enter or exit",
        "Lytics: data.segment_events[1].event: is missing",
        "Lytics: data.segment_events[2]: must be a JSON object",
        "Lytics: data.segment_events[3].id: is missing",
        "Lytics: data.segment_events[4].enter: must be a time, in ISO 8601 or as seconds or milliseconds since 1970",
        "a1b2",
    ]


def test_events_of_another_shape_are_refused_where_they_are() -> None:
    assert refusal({"id": "9", "segment_events": {"event": "enter"}}) == "Lytics: segment_events: must be a list"
    assert refusal({"data": {"segment_events": "x"}}) == "Lytics: data.segment_events: must be a list"
    assert refusal({"data": {"segment_events": [event()]}}) == "Lytics: id: is missing"


@pytest.mark.parametrize(
    ("changes", "kind", "identifier"),
    [
        ({}, "EMAIL", "ann@example.org"),
        ({}, "CRM_ID", "cust-1"),
        ({"user_id": ABSENT, "customer_id": "cust-2"}, "CRM_ID", "cust-2"),
        ({"customer_id": "cust-2"}, "CRM_ID", "cust-1"),
        ({"user_id": MD5, "customer_id": "cust-2"}, "CRM_ID", "cust-2"),
        ({"email": ABSENT, "user_id": "bob@example.org"}, "EMAIL", "bob@example.org"),
        ({"email": SHA256}, "HASHED_EMAIL", SHA256),
        ({"email": ["ann@example.org"]}, "EMAIL", None),
        ({"RIID_": "364470825"}, "RIID", 364470825),
    ],
)
def test_the_connectors_type_decides_which_field_is_used(
    changes: dict[str, Any], kind: str, identifier: object
) -> None:
    assert recipient(message(**changes), kind) == identifier


def test_a_path_begins_at_the_user_or_at_the_message() -> None:
    assert recipient(message(loyalty={"id": "l-1"}), "CRM_ID", identifierFrom=["loyalty.id"]) == "l-1"
    assert recipient(message(loyalty={"id": "l-1"}), "CRM_ID", identifierFrom=["data.loyalty.id"]) == "l-1"


@pytest.mark.parametrize("word", ["Enter", "ENTER"])
def test_a_word_may_be_in_any_letter_case(word: str) -> None:
    same = part_of(message(event(event=word))).membership

    assert same == part_of(message()).membership
