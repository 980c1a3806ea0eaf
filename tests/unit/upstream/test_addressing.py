"""Does a connector get a membership with the identifier, the variables and the event that its settings choose?"""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import pytest

from responsys_activation.json_text import JsonNumber, Repeated
from responsys_activation.upstream.addressing import addressed, event_name, is_mapped
from tests.fakes.memberships import connector, document
from tests.unit.upstream.reading import MD5, SHA256, part_of, recipient

CALL = {
    "type": "track",
    "messageId": "m",
    "userId": "cust-1",
    "context": {"personas": {"computation_id": "aud_1", "computation_key": "carts"}},
    "properties": {
        "carts": True,
        "loyalty_id": "L-8",
        "crm": {"id": "nested", "ids": [{"v": "first"}, {"v": "second"}], "plain": ["p-0", "p-1"]},
        "blank": " ",
        "flag": True,
        "hash": SHA256.upper(),
        "md5": MD5,
        "mail": " Ann@Example.org ",
    },
}
OWN = document(
    identifiers={"27": "1", "crm": {"id": "nested"}},
    variables={"email": "ann@example.org", "cart": {"total": 9}, "tier": "gold"},
)


def test_our_own_membership_is_not_touched_where_nothing_is_configured() -> None:
    part = part_of(OWN)

    assert addressed(part, "other", connector()) is part.membership


def test_a_platforms_membership_is_the_connectors() -> None:
    part = part_of(CALL)

    assert part.membership.connector == "default"
    assert addressed(part, "brand_2", connector()).connector == "brand_2"


@pytest.mark.parametrize(
    ("paths", "identifier"),
    [
        (["properties.loyalty_id", "userId"], "L-8"),
        (["properties.nothing", "userId"], "cust-1"),
        (["properties.blank", "properties.flag", "properties.crm", "nothing", "userId.x"], "cust-1"),
        (["properties.crm.id"], "nested"),
        (["properties.crm.ids.v"], "first"),
        (["properties.crm.ids.1.v"], "second"),
        (["properties.crm.ids.7.v", "properties.crm.plain.1"], "p-1"),
        (["properties.crm.plain"], "p-0"),
        (["properties.crm.id.x", "properties.", ".", "properties..crm"], "cust-1"),
        (["properties.crm.ids." + "9" * 5000], "cust-1"),
    ],
)
def test_the_first_path_that_leads_to_something_wins_and_then_the_usual_places(
    paths: list[str], identifier: str
) -> None:
    assert recipient(CALL, "CRM_ID", identifierFrom=paths) == identifier


def test_a_name_with_dots_comes_before_the_way_they_would_tell() -> None:
    call = CALL | {"properties": {"carts": True, "a.b": "dotted", "a": {"b": "nested"}}}

    assert recipient(call, "CRM_ID", identifierFrom=["properties.a.b"]) == "dotted"


@pytest.mark.parametrize(
    ("path", "kind", "identifier"),
    [
        ("properties.mail", "EMAIL", "Ann@Example.org"),
        ("properties.mail", "HASHED_EMAIL", sha256(b"ann@example.org").hexdigest()),
        ("properties.hash", "HASHED_EMAIL", SHA256),
        ("properties.hash", "EMAIL_MD5", None),
        ("properties.hash", "EMAIL", None),
        ("properties.md5", "EMAIL_MD5", MD5),
        ("properties.md5", "HASHED_EMAIL", None),
        ("properties.loyalty_id", "HASHED_EMAIL", None),
    ],
)
def test_what_a_path_leads_to_is_hashed_once_or_not_used(path: str, kind: str, identifier: str | None) -> None:
    assert recipient(CALL, kind, identifierFrom=[path]) == identifier


@pytest.mark.parametrize(
    ("path", "identifier"),
    [("profileId", "profile-1"), ("variables.tier", "gold"), ("identifiers.crm.id", "nested"), ("userId", None)],
)
def test_a_path_leads_into_our_own_message_too(path: str, identifier: str | None) -> None:
    assert recipient(OWN, "CRM_ID", identifierFrom=[path]) == identifier


def variables(body: dict[str, Any], **rules: Any) -> dict[str, Any]:
    return addressed(part_of(body), "c", connector(variables=rules)).variables


FLAT = CALL | {
    "properties": {"carts": True, "address": {"city": "Graz", "geo": {"lat": 1}}, "address2": "x", "tier": "g"}
}


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        ({}, {"address.city": "Graz", "address.geo.lat": JsonNumber("1"), "address2": "x", "tier": "g"}),
        ({"only": ["tier", "nothing"]}, {"tier": "g"}),
        ({"only": []}, {}),
        ({"only": ["address.geo"]}, {"address.geo.lat": JsonNumber("1")}),
        ({"omit": ["address"]}, {"address2": "x", "tier": "g"}),
        ({"only": ["address", "tier"], "omit": ["address.geo"]}, {"address.city": "Graz", "tier": "g"}),
        ({"only": ["tier"], "rename": {"tier": "TIER", "nothing": "X"}}, {"TIER": "g"}),
        (
            {"only": ["tier", "address2"], "rename": {"tier": "address2", "address2": "tier"}},
            {"address2": "g", "tier": "x"},
        ),
        ({"only": ["tier", "address2"], "rename": {"tier": "address2"}}, {"address2": Repeated(("x", "g"))}),
    ],
)
def test_variables_are_chosen_and_renamed(rules: dict[str, Any], expected: dict[str, Any]) -> None:
    assert variables(FLAT, **rules) == expected


def test_our_own_variables_are_shaped_as_they_are_written() -> None:
    assert variables(OWN, omit=["email"], rename={"cart": "CART"}) == {
        "CART": {"total": JsonNumber("9")},
        "tier": "gold",
    }


def test_settings_change_nothing_that_tells_a_change_from_another() -> None:
    part = part_of(FLAT)
    settings = connector(identifierFrom=["userId"], variables={"omit": ["tier"]}, eventNames={"aud_1": "X"})

    before, after = addressed(part, "c", connector()), addressed(part, "c", settings)

    assert before.message_id == after.message_id
    assert (after.profile_id, after.segment, after.event_name) == (before.profile_id, before.segment, None)


@pytest.mark.parametrize(
    ("mapping", "default", "name", "mapped"),
    [
        ({"aud_1": "BY_ID", "carts": "BY_KEY"}, "D", "BY_ID", True),
        ({"carts": "BY_KEY"}, "D", "BY_KEY", True),
        ({"other": "X"}, "D", "D", False),
        ({}, None, None, False),
    ],
)
def test_a_platforms_segment_is_mapped_by_id_key_or_name(
    mapping: dict[str, str], default: str | None, name: str | None, mapped: bool
) -> None:
    settings = connector(eventNames=mapping, defaultEventName=default)

    assert event_name(part_of(CALL), "default", settings) == name
    assert is_mapped(part_of(CALL), settings) is mapped


def test_our_own_message_names_its_event_or_is_mapped_by_its_id() -> None:
    settings = connector(eventNames={"aud-42": "MAPPED"})

    assert event_name(part_of(OWN), "default", settings) == "MAPPED"
    assert event_name(part_of(OWN | {"eventName": "OWN"}), "default", settings) == "OWN"
