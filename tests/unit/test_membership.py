"""Is every body read as the contract's section 2.1 says, or refused with a reason that gives nothing away?"""

from __future__ import annotations

import contextlib
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from responsys_activation.json_text import JsonNumber, Repeated
from responsys_activation.membership import CallType, InvalidMessageError, Membership, Segment
from tests.fakes.memberships import ABSENT, document, read_membership

SECRET = "do-not-quote-me-4711"


def refusal(body: str) -> str:
    with pytest.raises(InvalidMessageError) as refused:
        read_membership(body)
    assert refused.value.__cause__ is None, "a cause would carry the values into a traceback"
    return str(refused.value)


def test_the_least_valid_message_gets_the_documented_defaults() -> None:
    body = json.dumps({"profileId": "p", "callType": "ADD", "segment": {"type": "JOURNEY", "id": "j"}})

    read = read_membership(body)

    assert read.message_id is None
    assert read.profile_id == "p"
    assert read.call_type is CallType.ADD
    assert read.segment == Segment(type="JOURNEY", id="j", name=None)
    assert read.connector == "default"
    assert read.event_name is None
    assert read.identifiers == {}
    assert read.variables == {}
    assert read.occurred_at is None


def test_every_documented_field_is_read() -> None:
    body = json.dumps(
        {
            "messageId": "m-1",
            "profileId": "p",
            "callType": "REMOVE",
            "segment": {"type": "AUDIENCE", "id": "aud-42", "name": "Carts"},
            "connector": "eu.brand_2",
            "eventName": "CART_ABANDONED",
            "identifiers": {"27": "364470825", "CRM_ID": "c"},
            "variables": {"cartValue": "10"},
            "occurredAt": "2026-03-01T10:00:00+02:00",
        }
    )

    read = read_membership(body)

    assert read.message_id == "m-1"
    assert read.call_type is CallType.REMOVE
    assert read.segment == Segment(type="AUDIENCE", id="aud-42", name="Carts")
    assert read.connector == "eu.brand_2"
    assert read.event_name == "CART_ABANDONED"
    assert read.identifiers == {"27": "364470825", "CRM_ID": "c"}
    assert read.variables == {"cartValue": "10"}
    assert read.occurred_at == datetime(2026, 3, 1, 8, tzinfo=UTC)


@pytest.mark.parametrize("call_type", ["ADD", "UPDATE", "REMOVE"])
def test_call_types_of_the_contract_are_taken(call_type: str) -> None:
    assert read_membership(json.dumps(document(callType=call_type))).call_type == call_type


@pytest.mark.parametrize("call_type", [ABSENT, None, "", "add", "Remove", "DELETE", " ADD", 1, True, ["ADD"]])
def test_any_other_call_type_is_refused_and_never_guessed(call_type: Any) -> None:
    assert refusal(json.dumps(document(callType=call_type))).startswith("callType: ")


@pytest.mark.parametrize("segment_type", ["AUDIENCE", "audience", "Journey", "jOURNEY"])
def test_segment_type_is_read_in_any_letter_case(segment_type: str) -> None:
    read = read_membership(json.dumps(document(segment={"type": segment_type, "id": "s"})))

    assert read.segment.type == segment_type.upper()


@pytest.mark.parametrize(
    ("field", "changes"),
    [
        ("profileId", {"profileId": ABSENT}),
        ("profileId", {"profileId": None}),
        ("profileId", {"profileId": ""}),
        ("profileId", {"profileId": " \t"}),
        ("profileId", {"profileId": 12}),
        ("profileId", {"profileId": "\ud800"}),
        ("messageId", {"messageId": ""}),
        ("messageId", {"messageId": 7}),
        ("segment", {"segment": ABSENT}),
        ("segment", {"segment": "aud-42"}),
        ("segment.type", {"segment": {"id": "a"}}),
        ("segment.type", {"segment": {"type": "LIST", "id": "a"}}),
        ("segment.type", {"segment": {"type": 1, "id": "a"}}),
        ("segment.id", {"segment": {"type": "AUDIENCE"}}),
        ("segment.id", {"segment": {"type": "AUDIENCE", "id": ""}}),
        ("segment.id", {"segment": {"type": "AUDIENCE", "id": 42}}),
        ("connector", {"connector": ""}),
        ("connector", {"connector": "../tokens/default"}),
        ("connector", {"connector": "a/b"}),
        ("connector", {"connector": "a\n"}),
        ("connector", {"connector": "x" * 101}),
        ("eventName", {"eventName": ""}),
        ("eventName", {"eventName": " "}),
        ("eventName", {"eventName": "\u3000"}),
        ("eventName", {"eventName": "."}),
        ("eventName", {"eventName": ".."}),
        ("eventName", {"eventName": "a/b"}),
        ("eventName", {"eventName": "a\\b"}),
        ("eventName", {"eventName": "a\r\nX-Evil: 1"}),
        ("eventName", {"eventName": "a\x7f"}),
        ("eventName", {"eventName": "a\ufffe"}),
        ("eventName", {"eventName": "x" * 201}),
        ("identifiers", {"identifiers": [SECRET]}),
        ("identifiers", {"identifiers": SECRET}),
        ("variables", {"variables": [SECRET]}),
        ("variables", {"variables": SECRET}),
        ("occurredAt", {"occurredAt": "yesterday"}),
        ("occurredAt", {"occurredAt": 1_700_000_000}),
        ("occurredAt", {"occurredAt": []}),
        ("occurredAt", {"occurredAt": "1700000000"}),
        ("occurredAt", {"occurredAt": "20240131"}),
        ("occurredAt", {"occurredAt": "2024-02-30T00:00:00Z"}),
    ],
)
def test_a_wrong_field_is_named_in_the_reason(field: str, changes: dict[str, Any]) -> None:
    assert refusal(json.dumps(document(**changes))).startswith(f"{field}: ")


@pytest.mark.parametrize(
    "event_name", ["A", "[TEST] 50% off", "Café", "x" * 200, "...", "a.b", "\N{SHOPPING TROLLEY}", "a?b#c&d"]
)
def test_event_names_that_fit_one_path_segment_are_taken(event_name: str) -> None:
    assert read_membership(json.dumps(document(eventName=event_name))).event_name == event_name


def test_null_stands_for_absent_in_optional_fields() -> None:
    optional = ["messageId", "connector", "eventName", "identifiers", "variables", "occurredAt"]

    read = read_membership(json.dumps(document(**dict.fromkeys(optional))))

    assert read == read_membership(json.dumps(document(identifiers=ABSENT)))


def test_unknown_extra_fields_are_ignored() -> None:
    plain = read_membership(json.dumps(document()))

    assert read_membership(json.dumps(document(tenant="x", version=[1]))) == plain


def test_extra_fields_named_like_our_attributes_are_no_fields_of_the_contract() -> None:
    extras = {"event_name": "OTHER", "message_id": "other", "occurred_at": "2020-01-01T00:00:00Z", "profile_id": "q"}

    assert read_membership(json.dumps(document(**extras))) == read_membership(json.dumps(document()))


def test_a_snake_case_field_does_not_stand_for_the_contracts() -> None:
    assert refusal(json.dumps(document(profileId=ABSENT, profile_id="p"))).startswith("profileId: ")


@pytest.mark.parametrize("empty", [{}, [], None])
def test_an_empty_map_is_one_however_it_is_written(empty: Any) -> None:
    # Given the empty list that PHP makes of an empty map, or null / When it is read / Then there is nothing in it
    read = read_membership(json.dumps(document(identifiers=empty, variables=empty)))

    assert read.identifiers == {}
    assert read.variables == {}


@pytest.mark.parametrize("empty", ["", " ", "\n"])
def test_a_blank_time_is_none(empty: str) -> None:
    assert read_membership(json.dumps(document(occurredAt=empty))).occurred_at is None


@pytest.mark.parametrize("name", [42, True, ["Carts"], {"en": "Carts"}, None])
def test_a_segments_name_that_is_no_text_spoils_nothing(name: Any) -> None:
    read = read_membership(json.dumps(document(segment={"type": "AUDIENCE", "id": "a", "name": name})))

    assert read.segment == Segment(type="AUDIENCE", id="a", name=None)


@pytest.mark.parametrize("value", [True, [SECRET], {"id": SECRET}, [], "\ud800"])
def test_an_identifier_of_any_shape_is_left_to_the_connector(value: Any) -> None:
    read = read_membership(json.dumps(document(identifiers={"7001": value, "27": "5", "\ud800": value})))

    assert read.identifiers == {"7001": value, "27": "5", "\ud800": value}


@pytest.mark.parametrize(
    ("written", "moment"),
    [
        ("2026-03-01T10:00:00", datetime(2026, 3, 1, 10, tzinfo=UTC)),
        ("2026-03-01 10:00:00.123+00", datetime(2026, 3, 1, 10, 0, 0, 123_000, tzinfo=UTC)),
        ("20260301T110000+0100", datetime(2026, 3, 1, 10, tzinfo=UTC)),
    ],
)
def test_a_time_is_read_in_utc(written: str, moment: datetime) -> None:
    read = read_membership(json.dumps(document(occurredAt=written)))

    assert read.occurred_at == moment
    assert read.occurred_at.tzinfo is UTC


def test_a_time_that_cannot_be_read_is_refused_with_one_that_can() -> None:
    assert refusal(json.dumps(document(occurredAt=1_700_000_000))) == (
        "occurredAt: must be an ISO 8601 time such as 2024-01-31T08:30:00Z"
    )


@pytest.mark.parametrize("text", ["1.10", "1E400", "-0", "0.1e-5", "9" * 5000, "12345678901234567890123"])
def test_numbers_keep_the_text_they_were_written_with(text: str) -> None:
    body = json.dumps(document(variables={"n": "@", "deep": [{"n": "@"}]})).replace('"@"', text)

    assert read_membership(body).variables == {"n": JsonNumber(text), "deep": [{"n": JsonNumber(text)}]}


# --- a name that comes twice -----------------------------------------------------------------------------------


def with_twice(name: str, value: Any, other: Any) -> str:
    """Return a message whose field of that name comes twice."""
    return f'{{"{name}": {json.dumps(value)}, {json.dumps(document(**{name: other}))[1:]}'


DIFFERENT: dict[str, tuple[Any, Any]] = {
    "callType": ("ADD", "REMOVE"),
    "profileId": ("p-1", "p-2"),
    "messageId": ("m-1", "m-2"),
    "segment": ({"type": "AUDIENCE", "id": "a"}, {"type": "AUDIENCE", "id": "b"}),
    "connector": ("eu", "us"),
    "eventName": ("A", "B"),
    "identifiers": ({"27": "1"}, {"27": "2"}),
    "variables": ({"A": "1"}, {"A": "2"}),
    "occurredAt": ("2026-03-01T10:00:00Z", "2026-03-01T11:00:00Z"),
}


@pytest.mark.parametrize("field", DIFFERENT)
def test_a_message_that_contradicts_itself_is_refused_and_never_guessed(field: str) -> None:
    value, other = DIFFERENT[field]

    assert refusal(with_twice(field, value, other)) == (
        f"{field}: given more than once, with different values; give it once"
    )


@pytest.mark.parametrize("field", DIFFERENT)
def test_a_field_that_says_the_same_twice_is_read(field: str) -> None:
    value = DIFFERENT[field][0]

    assert read_membership(with_twice(field, value, value)) == read_membership(json.dumps(document(**{field: value})))


@pytest.mark.parametrize("field", DIFFERENT)
def test_null_contradicts_nothing(field: str) -> None:
    value = DIFFERENT[field][0]

    assert read_membership(with_twice(field, None, value)) == read_membership(json.dumps(document(**{field: value})))


@pytest.mark.parametrize(("field", "other"), [("id", '"b"'), ("type", '"JOURNEY"')])
def test_a_segment_that_contradicts_itself_is_refused(field: str, other: str) -> None:
    body = json.dumps(document(segment={"type": "AUDIENCE", "id": "a", "@": 1})).replace(
        '"@": 1', f'"{field}": {other}'
    )

    assert refusal(body).startswith(f"segment.{field}: given more than once")


def test_a_segment_that_says_the_same_twice_is_read() -> None:
    body = json.dumps(document(segment={"type": "AUDIENCE", "id": "a", "@": 1})).replace(
        '"@": 1', '"id": null, "id": "a"'
    )

    assert read_membership(body).segment.id == "a"


@pytest.mark.parametrize("connector", [ABSENT, None])
def test_a_field_of_nobody_may_contradict_itself(connector: Any) -> None:
    # Given a message that is read as it is, and one with something to mend
    message = document(connector=connector, segment={"type": "AUDIENCE", "id": "a"})
    body = f'{{"tenant": 1, "tenant": 2, {json.dumps(message)[1:]}'.replace(
        '{"type"', '{"name": "x", "name": "y", "type"'
    )

    # When it is read / Then what is nobody's is not looked at
    read = read_membership(body)
    assert read.connector == "default"
    assert read.segment.id == "a"


def test_variables_keep_all_values_of_a_name_that_comes_twice() -> None:
    body = json.dumps(document(variables="@")).replace('"@"', '{"A": "1", "B": 2, "A": null, "A": "3"}')

    assert read_membership(body).variables == {"A": Repeated(("1", None, "3")), "B": JsonNumber("2")}


def test_repetition_deeper_than_python_compares_is_a_contradiction() -> None:
    nested = "1"
    for _ in range(300):
        nested = f'{{"a":[1],"a":[{nested}]}}'
    body = with_twice("variables", "@", "@").replace('"@"', f'{{"a":{nested}}}')

    read_or_refuse(body)


# --- bodies that are no messages -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("", "body: is empty; send the membership message as JSON"),
        (" \n", "body: is empty; send the membership message as JSON"),
        ('""', "body: is empty; send the membership message as JSON"),
        ("not json", "body: not valid JSON at character 0"),
        ('{"profileId": p}', "body: not valid JSON at character 14"),
        ("[]", "body: an array where one message is expected"),
        ('"text"', "body: not valid JSON at character 0"),
        ('"7"', "body: must be a JSON object"),
        ("null", "body: must be a JSON object"),
        ("7", "body: must be a JSON object"),
        ("NaN", "body: not valid JSON"),
        ('{"variables": {"x": NaN}}', "body: not valid JSON"),
        ('{"variables": {"x": -Infinity}}', "body: not valid JSON"),
        ("[" * 500_000, "body: nested too deeply"),
        ('{"a":' * 200_000, "body: nested too deeply"),
    ],
)
def test_a_body_that_is_no_json_object_is_refused(body: str, reason: str) -> None:
    assert refusal(body) == reason


def test_a_message_of_one_mebibyte_is_read() -> None:
    body = json.dumps(document(variables={"text": "x" * 1_048_576}))

    assert read_membership(body).variables == {"text": "x" * 1_048_576}


def test_a_reason_says_what_is_needed() -> None:
    changes = {"profileId": ABSENT, "callType": "add", "segment": "aud-42"}

    assert refusal(json.dumps(document(**changes))) == (
        "profileId: is missing; callType: must be ADD, UPDATE or REMOVE, in capitals; "
        "segment: must be a JSON object with type and id"
    )


def test_many_errors_are_reported_as_three_and_a_count() -> None:
    body = json.dumps({"profileId": 1, "callType": 1, "segment": 1, "eventName": 1, "connector": 1})

    reason = refusal(body)

    assert reason.count("; ") == 3
    assert reason.endswith("; 2 more")


@pytest.mark.parametrize(
    "changes",
    [
        {"profileId": {SECRET: SECRET}},
        {"callType": SECRET},
        {"segment": {"type": SECRET, "id": "a", SECRET: SECRET}},
        {"segment": {"type": "AUDIENCE", "id": [SECRET]}},
        {"connector": f"/{SECRET}"},
        {"eventName": f"/{SECRET}"},
        {"identifiers": [SECRET]},
        {"identifiers": SECRET},
        {"variables": SECRET},
        {"occurredAt": SECRET},
        {"messageId": [SECRET]},
    ],
)
def test_a_reason_quotes_neither_values_nor_names_that_upstream_chose(changes: dict[str, Any]) -> None:
    assert SECRET not in refusal(json.dumps(document(**changes)))


def read_or_refuse(body: str) -> None:
    """Any other exception than the one that rejects a message alone ends the test."""
    with contextlib.suppress(InvalidMessageError):
        assert isinstance(read_membership(body), Membership)


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
FIELDS = st.sampled_from(
    [
        *("messageId", "profileId", "callType", "segment", "connector", "eventName", "identifiers", "variables"),
        *("occurredAt", "detail", "data", "data_base64", "Message", "other"),
    ]
)


@given(st.dictionaries(FIELDS, JSON_VALUES), st.booleans())
def test_no_json_object_raises_anything_but_an_invalid_message(fields: dict[str, Any], complete: bool) -> None:
    read_or_refuse(json.dumps((document() if complete else {}) | fields))


@given(st.text(st.characters(exclude_categories=[])) | st.binary().map(lambda data: data.decode("latin-1")))
def test_no_text_raises_anything_but_an_invalid_message(body: str) -> None:
    with pytest.raises(InvalidMessageError):
        read_membership(body)


@given(st.text('[]{}":,\\ud80tfn1.eE-+ ', max_size=60))
def test_no_near_json_raises_anything_but_an_invalid_message(fragment: str) -> None:
    for body in (fragment, json.dumps(document())[:-1] + "," + fragment, f'{{"data": {fragment}}}'):
        read_or_refuse(body)
