"""Is each user of an Amplitude cohort read as a membership?"""

from __future__ import annotations

from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

import pytest

from responsys_activation.json_text import JsonNumber, Repeated
from responsys_activation.membership import CallType, Segment
from responsys_activation.upstream.memberships import Part, Refused
from tests.unit.upstream.reading import ABSENT, SHA256, changed, ignored, part_of, parts_of, recipient, refusal

NO_TIME = "must be a time, in ISO 8601 or as seconds or milliseconds since 1970"


def cohort(*users: Any, **changes: Any) -> dict[str, Any]:
    given = {
        "cohort_name": "Carts",
        "cohort_id": "7kq2",
        "in_cohort": True,
        "computed_time": "1795162502",
        "message_id": "5d0e::enter::0",
        "users": list(users) or [{"user_id": "cust-1"}],
    }
    return changed(given, **changes)


def test_a_user_is_read_whole() -> None:
    part = part_of(cohort({"user_id": "cust-1", "user_properties": {"plan": "pro", "address": {"zip": 1}}, "age": 7}))

    assert part.platform == "Amplitude"
    assert part.names == ("7kq2", "Carts")
    assert part.membership.profile_id == "cust-1"
    assert part.membership.call_type is CallType.ADD
    assert part.membership.segment == Segment(type="AUDIENCE", id="7kq2", name="Carts")
    assert part.membership.message_id == '["Amplitude","5d0e::enter::0","true"]'
    assert part.membership.occurred_at == datetime(2026, 11, 20, 8, 15, 2, tzinfo=UTC)
    assert part.membership.identifiers == {"CRM_ID": "cust-1"}
    assert part.membership.variables == {"age": JsonNumber("7"), "plan": "pro", "address.zip": JsonNumber("1")}


@pytest.mark.parametrize(
    ("value", "call_type"), [(True, "ADD"), (False, "REMOVE"), ("true", "ADD"), ("false", "REMOVE")]
)
def test_a_boolean_says_what_happened(value: Any, call_type: str) -> None:
    assert part_of(cohort(in_cohort=value)).membership.call_type == call_type


@pytest.mark.parametrize("value", [None, "yes", 1, {}])
def test_what_is_no_boolean_is_never_guessed(value: Any) -> None:
    assert refusal(cohort(in_cohort=value)) == "Amplitude: in_cohort: must be true or false"


@pytest.mark.parametrize("users", [[], None])
def test_a_cohort_without_users_is_ignored(users: Any) -> None:
    assert ignored(cohort(users=users)) == ("Amplitude", "no users")


def test_a_user_who_cannot_be_read_leaves_the_others_alone() -> None:
    parts = parts_of(cohort("cust-0", {}, {"user_id": " "}, {"user_id": "cust-1"}, {"user_id": 2}))

    assert [part.reason if isinstance(part, Refused) else part.membership.profile_id for part in parts] == [
        "Amplitude: users[0]: must be a JSON object",
        "Amplitude: users[1].user_id: is missing",
        "Amplitude: users[2].user_id: is missing",
        "cust-1",
        "2",
    ]


def test_all_users_of_a_message_share_its_id() -> None:
    parts = parts_of(cohort({"user_id": "a"}, {"user_id": "b"}))

    assert len({part.membership.message_id for part in parts if isinstance(part, Part)}) == 1


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        (cohort(users={"user_id": "x"}), "users: must be a list"),
        (cohort(users=ABSENT, user_id="x"), "users: is missing"),
        (cohort(cohort_id=None), "cohort_id: is missing"),
        (
            cohort(computed_time={}),
            "computed_time: must be a time, in ISO 8601 or as seconds or milliseconds since 1970",
        ),
    ],
)
def test_a_refusal_names_platform_and_field(document: dict[str, Any], reason: str) -> None:
    assert refusal(document) == f"Amplitude: {reason}"


@pytest.mark.parametrize(
    ("user", "kind", "identifier"),
    [
        ({"user_id": "cust-1"}, "CRM_ID", "cust-1"),
        ({"user_id": "cust-1"}, "EMAIL", None),
        ({"user_id": "ann@example.org"}, "EMAIL", "ann@example.org"),
        ({"user_id": "ann@example.org"}, "HASHED_EMAIL", sha256(b"ann@example.org").hexdigest()),
        ({"user_id": "ann@example.org"}, "CRM_ID", None),
        ({"user_id": SHA256}, "CRM_ID", None),
        ({"user_id": "cust-1", "user_properties": {"riid": "364470825"}}, "RIID", 364470825),
    ],
)
def test_the_connectors_type_decides_what_a_user_id_is(user: dict[str, Any], kind: str, identifier: object) -> None:
    assert recipient(cohort(user), kind) == identifier


def test_a_path_begins_at_the_user() -> None:
    user = {"user_id": "cust-1", "user_properties": {"email": "ann@example.org"}}

    assert recipient(cohort(user), "EMAIL", identifierFrom=["user_properties.email"]) == "ann@example.org"
    assert recipient(cohort(user), "CRM_ID", identifierFrom=["users.0.user_properties.email"]) == "ann@example.org"


def test_a_field_of_the_user_comes_before_a_property_of_the_same_name() -> None:
    part = part_of(cohort({"user_id": "cust-1", "user_properties": {"plan": "pro"}, "plan": "free"}))

    assert part.membership.variables == {"plan": Repeated(("free", "pro"))}
