"""Is every body read as the contract's section 2.1 says, or refused with a reason that gives nothing away?"""

from __future__ import annotations

import base64
import contextlib
import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from responsys_activation.membership import (
    CallType,
    InvalidMessageError,
    JsonNumber,
    Membership,
    Segment,
    read_membership,
)
from tests.fakes.memberships import ABSENT, document

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
        ("segment.name", {"segment": {"type": "AUDIENCE", "id": "a", "name": 42}}),
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
        ("identifiers", {"identifiers": {"27": True}}),
        ("identifiers", {"identifiers": {"27": {"id": SECRET}}}),
        ("variables", {"variables": [SECRET]}),
        ("variables", {"variables": SECRET}),
        ("occurredAt", {"occurredAt": "yesterday"}),
        ("occurredAt", {"occurredAt": ""}),
        ("occurredAt", {"occurredAt": 1_700_000_000}),
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


def test_a_time_without_zone_is_utc() -> None:
    read = read_membership(json.dumps(document(occurredAt="2026-03-01T10:00:00")))

    assert read.occurred_at == datetime(2026, 3, 1, 10, tzinfo=UTC)


OFFSETS = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))


@given(st.datetimes(timezones=OFFSETS))
def test_any_iso_8601_time_is_read_as_the_same_moment(moment: datetime) -> None:
    read = read_membership(json.dumps(document(occurredAt=moment.isoformat())))

    assert read.occurred_at == moment
    assert read.occurred_at.timestamp() == moment.timestamp()


@pytest.mark.parametrize("text", ["1.10", "1E400", "-0", "0.1e-5", "9" * 5000, "12345678901234567890123"])
def test_numbers_keep_the_text_they_were_written_with(text: str) -> None:
    body = json.dumps(document(variables={"n": "@", "deep": [{"n": "@"}]})).replace('"@"', text)

    assert read_membership(body).variables == {"n": JsonNumber(text), "deep": [{"n": JsonNumber(text)}]}


def test_an_identifier_written_as_a_number_is_its_text() -> None:
    body = json.dumps(document(identifiers={"27": "@"})).replace('"@"', "364470825")

    assert read_membership(body).identifiers == {"27": "364470825"}


# --- envelopes -------------------------------------------------------------------------------------------------


def sns(content: str) -> dict[str, Any]:
    return {
        "Type": "Notification",
        "MessageId": "22b80b92",
        "TopicArn": "arn:aws:sns:eu-west-1:123456789012:segments",
        "Message": content,
        "Timestamp": "2026-03-01T10:00:00.000Z",
    }


def event_bridge(content: Any) -> dict[str, Any]:
    return {
        "version": "0",
        "id": "6a7e8feb",
        "detail-type": "SegmentMembership",
        "source": "cdp",
        "time": "2026-03-01T10:00:00Z",
        "detail": content,
    }


def cloud_event(**content: Any) -> dict[str, Any]:
    return {"specversion": "1.0", "id": "1", "source": "/cdp", "type": "segment.membership"} | content


INNER = document(variables={"price": "@"})
INNER_TEXT = json.dumps(INNER).replace('"@"', "1.10")
BASE64_TEXT = base64.b64encode(INNER_TEXT.encode()).decode()


@pytest.mark.parametrize(
    "envelope",
    [
        pytest.param(sns(INNER_TEXT), id="SNS notification"),
        pytest.param(event_bridge(INNER), id="EventBridge event"),
        pytest.param(cloud_event(data=INNER), id="CloudEvents data as object"),
        pytest.param(cloud_event(data=INNER_TEXT), id="CloudEvents data as text"),
        pytest.param(cloud_event(data_base64=BASE64_TEXT), id="CloudEvents data_base64"),
        pytest.param(sns(json.dumps(event_bridge(INNER)).replace('"@"', "1.10")), id="EventBridge in SNS"),
        pytest.param(event_bridge(cloud_event(data_base64=BASE64_TEXT)), id="CloudEvents in EventBridge"),
        pytest.param(event_bridge(cloud_event(data=sns(INNER_TEXT))), id="three deep"),
    ],
)
def test_an_enveloped_message_reads_as_the_bare_one(envelope: dict[str, Any]) -> None:
    body = json.dumps(envelope).replace('"@"', "1.10")

    assert read_membership(body) == read_membership(INNER_TEXT)
    assert read_membership(body).variables == {"price": JsonNumber("1.10")}


def test_a_bare_message_with_an_extra_field_named_like_an_envelope_is_no_envelope() -> None:
    extras = {"data": {"callType": "REMOVE"}, "detail": "x", "Message": "x", "data_base64": "x"}

    assert read_membership(json.dumps(document(**extras))).call_type is CallType.ADD


@pytest.mark.parametrize(("layers", "accepted"), [(5, True), (6, False), (40, False)])
def test_five_envelopes_are_opened_and_no_more(layers: int, accepted: bool) -> None:
    envelope: dict[str, Any] = document()
    for _ in range(layers):
        envelope = event_bridge(envelope)

    if accepted:
        assert read_membership(json.dumps(envelope)) == read_membership(json.dumps(document()))
    else:
        assert refusal(json.dumps(envelope)) == "body: more than 5 envelopes"


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (json.dumps(event_bridge([1])), "detail: must hold the membership message"),
        (json.dumps(event_bridge(None)), "detail: must hold the membership message"),
        (json.dumps(sns(f"Hello {SECRET}")), "Message: not valid JSON at character 0"),
        (json.dumps(sns("[1]")), "Message: must be a JSON object"),
        (json.dumps(cloud_event(data=7)), "data: must hold the membership message"),
        (json.dumps(cloud_event(data_base64="%%%")), "data_base64: not base64 of UTF-8 text"),
        (json.dumps(cloud_event(data_base64="abc")), "data_base64: not base64 of UTF-8 text"),
        (json.dumps(cloud_event(data_base64="/w==")), "data_base64: not base64 of UTF-8 text"),
        (json.dumps(cloud_event(data_base64="é")), "data_base64: not base64 of UTF-8 text"),
        (json.dumps(cloud_event(data_base64="ICA=")), "data_base64: not valid JSON at character 2"),
    ],
)
def test_a_broken_envelope_is_refused_by_the_name_of_its_content(body: str, reason: str) -> None:
    assert refusal(body) == reason


# --- bodies that are no messages -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("", "body: not valid JSON at character 0"),
        ("not json", "body: not valid JSON at character 0"),
        ('{"profileId": p}', "body: not valid JSON at character 14"),
        ("[]", "body: must be a JSON object"),
        ('"text"', "body: must be a JSON object"),
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


def test_of_duplicate_names_the_last_one_counts() -> None:
    body = json.dumps(document())[:-1] + ', "callType": "REMOVE"}'

    assert read_membership(body).call_type is CallType.REMOVE


def test_a_message_of_one_mebibyte_is_read() -> None:
    body = json.dumps(document(variables={"text": "x" * 1_048_576}))

    assert read_membership(body).variables == {"text": "x" * 1_048_576}


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
        {"identifiers": {SECRET: [SECRET]}},
        {"identifiers": {f"{SECRET}\ud800": ["x"]}},
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
