"""Is each call of Segment read as what it says, and as nothing that it does not say?"""

from __future__ import annotations

from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

import pytest

from responsys_activation.json_text import JsonNumber
from responsys_activation.membership import CallType, Segment
from tests.unit.upstream.reading import ABSENT, MD5, SHA256, changed, ignored, part_of, parts_of, recipient, refusal

PERSONAS = {"computation_class": "audience", "computation_id": "aud_1", "computation_key": "carts", "space_id": "spa_1"}


def track(**changes: Any) -> dict[str, Any]:
    call = {
        "type": "track",
        "event": "Audience Entered",
        "messageId": "personas_1",
        "userId": "cust-1",
        "timestamp": "2026-11-20T08:15:02.120Z",
        "context": {"personas": PERSONAS, "traits": {"email": "ann@example.org"}},
        "properties": {"audience_key": "carts", "carts": True, "total": 9, "currency": "EUR"},
    }
    return changed(call, **changes)


def identify(**changes: Any) -> dict[str, Any]:
    call = {
        "type": "identify",
        "messageId": "personas_2",
        "userId": "cust-1",
        "timestamp": "2026-11-20T08:15:02.120Z",
        "context": {"personas": PERSONAS},
        "traits": {"carts": False, "email": "ann@example.org", "address": {"city": "Graz", "geo": {"lat": 47}}},
    }
    return changed(call, **changes)


def personas(**changes: Any) -> dict[str, Any]:
    return {"personas": changed(PERSONAS, **changes)}


STEP = {
    "context": personas(computation_class="journey_step", computation_id="step_9", computation_key="carts__remind"),
    "event": "Cart reminder due",
}


def test_a_track_call_is_read_whole() -> None:
    part = part_of(track())

    assert part.platform == "Segment"
    assert part.names == ("aud_1", "carts")
    assert part.membership.profile_id == "cust-1"
    assert part.membership.call_type is CallType.ADD
    assert part.membership.segment == Segment(type="AUDIENCE", id="aud_1", name="carts")
    assert part.membership.message_id == '["Segment","personas_1","true"]'
    assert part.membership.occurred_at == datetime(2026, 11, 20, 8, 15, 2, 120_000, tzinfo=UTC)
    assert part.membership.identifiers == {"EMAIL": "ann@example.org", "CRM_ID": "cust-1"}
    assert part.membership.variables == {"total": JsonNumber("9"), "currency": "EUR"}


def test_an_identify_call_is_read_from_its_traits() -> None:
    part = part_of(identify())

    assert part.membership.call_type is CallType.REMOVE
    assert part.membership.variables == {
        "email": "ann@example.org",
        "address.city": "Graz",
        "address.geo.lat": JsonNumber("47"),
    }


@pytest.mark.parametrize(
    ("value", "call_type"), [(True, "ADD"), (False, "REMOVE"), ("true", "ADD"), ("false", "REMOVE")]
)
def test_a_boolean_says_what_happened(value: Any, call_type: str) -> None:
    assert part_of(track(properties={"carts": value})).membership.call_type == call_type
    assert part_of(identify(traits={"carts": value})).membership.call_type == call_type
    assert part_of(track(properties={}, traits={"carts": value})).membership.call_type == call_type
    assert part_of(track(properties={"carts__remind": value}, **STEP)).membership.call_type == call_type


@pytest.mark.parametrize("value", ["yes", "", "True", 1, 0, None, [True], {"value": True}])
def test_what_is_no_boolean_is_never_guessed(value: Any) -> None:
    for call in (track(properties={"carts": value}), track(properties={"carts__remind": value}, **STEP)):
        assert refusal(call) == "Segment: properties: the value of the audience's key: must be true or false"


def test_a_journey_step_without_a_boolean_was_reached() -> None:
    properties = {
        "journey_context": {"Cart_Modified": {"total": 9}},
        "journey_metadata": {"journey_id": "jn_5", "epoch_id": "ep_1"},
        "first_name": "Ann",
    }

    part = part_of(track(properties=properties, **STEP))

    assert part.membership.call_type is CallType.ADD
    assert part.membership.segment == Segment(type="JOURNEY", id="carts__remind", name="jn_5")
    assert part.names == ("carts__remind", "step_9", "jn_5")
    assert part.membership.variables == {"journey_context.Cart_Modified.total": JsonNumber("9"), "first_name": "Ann"}


def test_a_class_that_is_missing_is_an_audience() -> None:
    call = track(context=personas(computation_class=ABSENT))

    assert part_of(call).membership.segment.type == "AUDIENCE"


@pytest.mark.parametrize("value", [True, "true"])
def test_an_audience_key_names_its_boolean_where_personas_is_missing(value: Any) -> None:
    part = part_of(track(context={}, properties={"audience_key": "carts", "carts": value}))

    assert part.names == ("carts",)
    assert part.membership.call_type is CallType.ADD


def test_the_computation_key_comes_before_the_audience_key() -> None:
    assert part_of(track(properties={"audience_key": "other", "other": True, "carts": False})).membership.call_type == (
        "REMOVE"
    )
    call = track(context=personas(computation_key=ABSENT))
    assert part_of(call).names == ("aud_1", "carts")


@pytest.mark.parametrize("event", ["Audience Entered", "Audience Exited"])
@pytest.mark.parametrize("context", [{"personas": PERSONAS}, {}])
def test_an_audience_event_without_its_boolean_is_refused(event: str, context: dict[str, Any]) -> None:
    for properties in ({"total": 9}, {"audience_key": "carts"}):
        call = track(event=event, context=context, properties=properties)

        assert refusal(call) == "Segment: properties: has no boolean under the audience's key"


@pytest.mark.parametrize(
    ("call", "kind"),
    [
        *((track(type=kind), kind) for kind in ("page", "screen", "group", "alias", "delete")),
        (track(context={}, event="Order Completed", properties={"total": 9}), "track"),
        (track(context={}, event="Order Completed", properties={"audience_key": "carts", "carts": "yes"}), "track"),
        (track(event="Order Completed", properties={"total": 9}), "track"),
        (identify(traits={"email": "ann@example.org"}), "identify"),
        (identify(context={}), "identify"),
        (identify(context=ABSENT, messageId=ABSENT), "identify"),
        (track(context=personas(computation_class="trait")), "trait"),
        (track(context=personas(computation_class="prediction")), "other computation"),
        (track(context=personas(computation_class={"a": 1})), "other computation"),
    ],
)
def test_what_is_about_no_membership_is_ignored(call: dict[str, Any], kind: str) -> None:
    assert ignored(call) == ("Segment", kind)


@pytest.mark.parametrize(
    ("call", "reason"),
    [
        (track(userId=ABSENT), "userId: is missing"),
        (track(userId=["x"]), "userId: is missing"),
        (track(timestamp="yesterday"), "timestamp: must be a time"),
        (track(timestamp=True), "timestamp: must be a time"),
        (track(context=personas(computation_id=ABSENT, computation_key=ABSENT)), None),
        (
            track(context=personas(computation_class="journey_step", computation_id=" ", computation_key=ABSENT))
            | {"properties": {}},
            "context.personas.computation_key: is missing",
        ),
    ],
)
def test_a_refusal_names_platform_and_field(call: dict[str, Any], reason: str | None) -> None:
    if reason is None:  # the audience's key stands for its id
        assert part_of(call).membership.segment.id == "carts"
    else:
        assert refusal(call).startswith(f"Segment: {reason}")


def test_an_anonymous_profile_is_one() -> None:
    assert part_of(track(userId=ABSENT, anonymousId="anon-1")).membership.profile_id == "anon-1"


def test_the_same_message_id_for_another_word_is_another_message() -> None:
    ids = {part_of(track(properties={"carts": value})).membership.message_id for value in (True, False)}

    assert len(ids) == 2


def test_without_an_id_the_time_stands_for_it() -> None:
    assert part_of(track(messageId=ABSENT)).membership.message_id == (
        '["Segment","2026-11-20T08:15:02.120000+00:00","true"]'
    )


# --- who it is --------------------------------------------------------------------------------------------------

EMAILS = [("traits", "a@x.org"), ("context", "b@x.org"), ("properties", "c@x.org")]


@pytest.mark.parametrize("first", range(3))
def test_an_address_is_looked_for_in_traits_context_and_properties(first: int) -> None:
    there = dict(EMAILS[first:])
    call = track(
        traits={"email": there.get("traits")},
        context={"personas": PERSONAS, "traits": {"email": there.get("context")}},
        properties={"carts": True, "email": there.get("properties")},
    )

    assert recipient(call, "EMAIL") == EMAILS[first][1]


@pytest.mark.parametrize(
    ("call", "kind", "identifier"),
    [
        (track(), "CRM_ID", "cust-1"),
        (track(userId=4711), "CRM_ID", "4711"),
        (track(), "HASHED_EMAIL", sha256(b"ann@example.org").hexdigest()),
        (track(), "RIID", None),
        (identify(traits={"carts": True, "riid": 364470825}), "RIID", 364470825),
        (track(properties={"carts": True, "RIID_": "364470825"}), "RIID", 364470825),
        (identify(traits={"carts": True, "email": SHA256.upper()}), "HASHED_EMAIL", SHA256),
        (identify(traits={"carts": True, "email": SHA256.upper()}), "EMAIL", None),
        (identify(traits={"carts": True, "email": SHA256}), "EMAIL_MD5", None),
        (identify(traits={"carts": True, "email": MD5}), "EMAIL_MD5", MD5),
        (identify(traits={"carts": True, "email": MD5}), "HASHED_EMAIL", None),
        (track(userId=SHA256), "CRM_ID", None),
        (track(userId=MD5), "CRM_ID", None),
        (track(userId=SHA256, context=personas()), "HASHED_EMAIL", None),
        (track(context=personas(), anonymousId="ann@example.org"), "EMAIL", "ann@example.org"),
        (track(context=personas(), anonymousId="anon-1"), "EMAIL", None),
        (track(context=personas(), anonymousId=SHA256), "HASHED_EMAIL", None),
        (track(context=personas(), userId="ann@example.org"), "EMAIL", "ann@example.org"),
        (track(context=personas(), userId="ann@example.org"), "CRM_ID", None),
        (track(userId="bob@example.org"), "EMAIL", "ann@example.org"),
        (track(userId="bob@example.org"), "CRM_ID", "bob@example.org"),
    ],
)
def test_the_connectors_type_decides_which_identifier_is_used(
    call: dict[str, Any], kind: str, identifier: object
) -> None:
    assert recipient(call, kind) == identifier


def test_what_identifies_is_no_variable() -> None:
    call = track(properties={"carts": True, "audience_key": "carts", "riid": "7", "RIID_": "7", "size": "L"})

    assert part_of(call).membership.variables == {"size": "L"}


def test_one_event_for_each_of_a_profiles_addresses_is_several_messages() -> None:
    first, second = parts_of([track(), track(messageId="personas_2")])

    assert first != second


def test_a_call_of_an_unknown_type_has_its_key_where_a_track_has_it() -> None:
    assert part_of(track(type="audience")).membership.call_type is CallType.ADD
