"""Does Responsys get exactly what section 2.3 of the contract says?"""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from responsys_activation.delivery.custom_event import UnmappableError, custom_event
from responsys_activation.error_code import ErrorCode
from responsys_activation.responsys.events import request_body
from responsys_activation.upstream.memberships import Part, read
from tests.fakes.memberships import ABSENT, connector, document, event_of, membership, read_membership

SHA256 = "b4c9a289323b21a01c3e940f150eb9b8c542587f1abfd8f0e1cc1ffc5e475514"
MD5 = "23463b99b62a72f26ed677cc556c44e8"


def recipient(**changes: Any) -> Any:
    return json.loads(event_of(membership(**changes), connector()).recipient_json)


def properties(variables: str | dict[str, Any]) -> dict[str, str]:
    """Map variables, given as JSON text or values, to what is sent: name → value, each name once."""
    text = variables if isinstance(variables, str) else json.dumps(variables)
    body = json.dumps(document(variables="@")).replace('"@"', text)
    sent = json.loads(event_of(read_membership(body), connector()).recipient_json)["optionalData"]
    names = [pair["name"] for pair in sent]
    assert len({name.lower() for name in names}) == len(names)
    assert all(set(pair) == {"name", "value"} and isinstance(pair["value"], str) for pair in sent)
    return {pair["name"]: pair["value"] for pair in sent}


# --- identifier ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("identifier_type", "key", "value", "field", "sent"),
    [
        ("RIID", "27", "364470825", "recipientId", 364470825),
        ("RIID", "RIID", "364470825", "recipientId", 364470825),
        ("RIID", "27", "000364470825", "recipientId", 364470825),
        ("RIID", "27", "999999999999999999", "recipientId", 999999999999999999),
        ("HASHED_EMAIL", "7001", SHA256, "emailSHA256Hash", SHA256),
        ("HASHED_EMAIL", "HASHED_EMAIL", SHA256.upper(), "emailSHA256Hash", SHA256),
        ("CRM_ID", "2001", "C-001", "customerId", "C-001"),
        ("CRM_ID", "CRM_ID", "x" * 255, "customerId", "x" * 255),
        ("CRM_ID", "2001", "00042", "customerId", "00042"),
        ("EMAIL", "EMAIL", "Ann@Example.com", "emailAddress", "Ann@Example.com"),
        ("EMAIL_MD5", "EMAIL_MD5", MD5, "emailMD5Hash", MD5),
        ("MOBILE_NUMBER", "MOBILE_NUMBER", "+49 151 2345678", "mobileNumber", "+49 151 2345678"),
    ],
)
def test_the_recipient_carries_the_connectors_identifier_and_the_list_and_nothing_else(
    identifier_type: str, key: str, value: str, field: str, sent: Any
) -> None:
    others = {"27": "1", "7001": "a" * 64, "2001": "other", "EMAIL": "other@example.com", "EMAIL_MD5": "b" * 32}
    keys_of_type = {"RIID": "27", "HASHED_EMAIL": "7001", "CRM_ID": "2001"}
    others.pop(keys_of_type.get(identifier_type, identifier_type), None)
    read = membership(identifiers={**others, key: value})

    mapped = event_of(read, connector(identifierType=identifier_type))

    expected = {field: sent, "listName": {"objectName": "CONTACTS_LIST", "folderName": "!MasterData"}}
    assert json.loads(mapped.recipient_json)["recipient"] == expected


def test_what_flattening_makes_too_large_for_a_request_is_refused() -> None:
    # Given a long name in front of so many short ones that a body of a megabyte takes more than Responsys's ten
    inner = ",".join(f'"{number:x}":1' for number in range(80_000))
    body = f'''{{"type": "identify", "messageId": "m", "userId": "u", "context": {{"personas": {{"computation_id": "a",
        "computation_key": "k"}}}}, "traits": {{"k": true, "riid": "1", "{"k" * 200}": {{{inner}}}}}}}'''
    assert len(body) < 1_048_576
    (part,) = read(body, 0.0).parts
    assert isinstance(part, Part)

    # When it is mapped
    with pytest.raises(UnmappableError) as refused:
        custom_event(part, "default", connector())

    # Then the message says so, and is not sent for Responsys to cut the connection
    assert refused.value.error_code == ErrorCode.INVALID_MESSAGE
    assert "10 MB" in str(refused.value)


def test_without_a_folder_the_list_has_a_name_only() -> None:
    mapped = event_of(membership(), connector(profileList={"name": "L"}))

    assert json.loads(mapped.recipient_json)["recipient"]["listName"] == {"objectName": "L"}


@pytest.mark.parametrize(
    ("identifier_type", "identifiers"),
    [
        ("RIID", {}),
        ("RIID", {"2001": "C-001", "EMAIL": "a@b.c"}),
        ("RIID", {"27": "4711-4712"}),
        ("RIID", {"27": ["4711-4712"]}),
        ("HASHED_EMAIL", {"EMAIL": "ann at example.com"}),
        ("EMAIL", {"EMAIL": "\ud800@example.com"}),
    ],
)
def test_without_a_usable_identifier_of_the_connectors_type_there_is_no_event(
    identifier_type: str, identifiers: dict[str, Any]
) -> None:
    with pytest.raises(UnmappableError) as refused:
        event_of(membership(identifiers=identifiers), connector(identifierType=identifier_type))

    assert refused.value.error_code is ErrorCode.NO_IDENTIFIER
    assert refused.value.__cause__ is None
    assert str(refused.value).startswith("identifiers: connector default needs ")
    for value in identifiers.values():
        assert str(value) not in str(refused.value)


@pytest.mark.parametrize(
    "others", [{"7001": ["x", "y"]}, {"EMAIL": {"to": 1}}, {"2001": False, "\ud800": None, "": []}]
)
def test_identifiers_that_the_connector_does_not_use_spoil_nothing(others: dict[str, Any]) -> None:
    assert recipient(identifiers={"27": "5", **others})["recipient"]["recipientId"] == 5


def test_events_of_the_same_recipient_can_be_told_however_it_is_written() -> None:
    one, other = (event_of(membership(identifiers={"27": riid}), connector()) for riid in ("364470825", "0364470825"))

    assert one.recipient == other.recipient


# --- event name ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("in_message", "settings", "expected"),
    [
        ("OWN", {"eventNames": {"aud-42": "SEGMENTS"}}, "OWN"),
        (ABSENT, {"eventNames": {"aud-42": "SEGMENTS"}}, "SEGMENTS"),
        (ABSENT, {"eventNames": {"aud-1": "SEGMENTS"}}, "SEGMENT_CHANGED"),
        (ABSENT, {}, "SEGMENT_CHANGED"),
    ],
)
def test_the_messages_event_name_comes_first_then_the_segments_then_the_default(
    in_message: Any, settings: dict[str, Any], expected: str
) -> None:
    assert event_of(membership(eventName=in_message), connector(**settings)).event_name == expected


def test_without_any_event_name_there_is_no_event() -> None:
    with pytest.raises(UnmappableError) as refused:
        event_of(membership(), connector(defaultEventName=ABSENT))

    assert refused.value.error_code is ErrorCode.NO_EVENT_NAME
    assert str(refused.value).startswith("eventName: ")


# --- properties ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("call_type", ["ADD", "UPDATE", "REMOVE"])
def test_profile_id_and_call_type_are_always_sent(call_type: str) -> None:
    sent = recipient(profileId="p-7", callType=call_type)["optionalData"]

    assert sent == [{"name": "profileId", "value": "p-7"}, {"name": "callType", "value": call_type}]


@pytest.mark.parametrize(
    ("written", "sent"),
    [
        ('"text"', "text"),
        ('""', ""),
        ('" padded "', " padded "),
        ('"1.10"', "1.10"),
        ("1.10", "1.10"),
        ("1E400", "1E400"),
        ("-0", "-0"),
        ("123456789012345678901234567890", "123456789012345678901234567890"),
        ("0.1000000000000000055511151231257827", "0.1000000000000000055511151231257827"),
        ("true", "true"),
        ("false", "false"),
        ("[]", "[]"),
        ("{}", "{}"),
        ('[ 1.10 , "a b" , null , true ]', '[1.10,"a b",null,true]'),
        ('{ "b" : { "c" : 1E2 } , "a" : [ ] }', '{"b":{"c":1E2},"a":[]}'),
        ('["é", "\\u20ac"]', '["é","€"]'),
        ('["quote \\" backslash \\\\ tab \\t"]', '["quote \\" backslash \\\\ tab \\t"]'),
        ('"Grüße \\ud83d\\uded2"', "Grüße \N{SHOPPING TROLLEY}"),
    ],
)
def test_a_value_is_sent_as_text(written: str, sent: str) -> None:
    assert properties(f'{{"x": {written}}}')["x"] == sent


def test_null_is_left_out_and_the_empty_text_is_sent() -> None:
    assert set(properties({"gone": None, "empty": ""})) == {"empty", "profileId", "callType"}


@pytest.mark.parametrize("name", ["cartValue", "with space", "ümlaut", "[x]%", "EMAIL_ADDRESS_", "a" * 500])
def test_a_variable_keeps_its_exact_name(name: str) -> None:
    assert properties({name: "v"})[name] == "v"


@pytest.mark.parametrize("name", ["profileId", "PROFILEID", "profileid", "callType", "CALLTYPE", "CallType"])
def test_profile_id_and_call_type_win_over_a_variable_of_their_name_in_any_letter_case(name: str) -> None:
    mapped = event_of(membership(variables={name: "forged", "other": "kept"}), connector())

    sent = {pair["name"]: pair["value"] for pair in json.loads(mapped.recipient_json)["optionalData"]}
    assert sent == {"other": "kept", "profileId": "profile-1", "callType": "ADD"}
    assert mapped.variables_overridden == 1


def test_of_two_variables_that_differ_in_letter_case_the_first_is_sent_and_the_other_counted() -> None:
    mapped = event_of(membership(variables={"Colour": "red", "colour": "blue", "COLOUR": "green"}), connector())

    sent = {pair["name"]: pair["value"] for pair in json.loads(mapped.recipient_json)["optionalData"]}
    assert sent["Colour"] == "red"
    assert set(sent) == {"Colour", "profileId", "callType"}
    assert mapped.variables_overridden == 2


def test_a_null_variable_overrides_nothing_and_is_not_counted() -> None:
    mapped = event_of(membership(variables={"profileId": None, "A": None, "a": "kept"}), connector())

    sent = {pair["name"]: pair["value"] for pair in json.loads(mapped.recipient_json)["optionalData"]}
    assert sent["a"] == "kept"
    assert mapped.variables_overridden == 0


@pytest.mark.parametrize(
    ("variables", "sent", "overridden"),
    [
        ('{"A": "1", "A": "2"}', {"A": "1"}, 1),
        ('{"A": "1", "B": "x", "A": "1", "A": 3}', {"A": "1", "B": "x"}, 2),
        ('{"A": null, "A": 2.50, "A": 3}', {"A": "2.50"}, 1),
        ('{"A": null, "A": null}', {}, 0),
        ('{"profileId": "x", "profileId": "y"}', {}, 2),
        ('{"A": "1", "a": "2", "a": "3"}', {"A": "1"}, 2),
        ('{"A": {"x": 1, "x": 2}, "B": [{"y": null, "y": 1}]}', {"A": '{"x":1}', "B": '[{"y":null}]'}, 0),
    ],
)
def test_of_a_variable_that_comes_twice_the_first_present_is_sent_and_the_others_are_counted(
    variables: str, sent: dict[str, str], overridden: int
) -> None:
    body = json.dumps(document(variables="@")).replace('"@"', variables)

    assert properties(variables) == sent | {"profileId": "profile-1", "callType": "ADD"}
    assert event_of(read_membership(body), connector()).variables_overridden == overridden


@pytest.mark.parametrize(
    ("variables", "system_columns"),
    [
        ({}, 0),
        ({"cartValue": "1", "_x": "2", "EMAIL_ADDRESS": "3"}, 0),
        ({"EMAIL_ADDRESS_": "ann@example.com"}, 1),
        ({"email_address_": "ann@example.com", "Riid_": 5, "x": 1}, 2),
        ({"RIID_": 5, "riid_": 6}, 1),
        ({"RIID_": None}, 0),
        ({"x": 'RIID_","value":"'}, 0),
    ],
)
def test_variables_named_like_system_columns_are_sent_as_they_are_and_counted(
    variables: dict[str, Any], system_columns: int
) -> None:
    mapped = event_of(membership(variables=variables), connector())

    assert mapped.system_columns == system_columns
    sent = {pair["name"] for pair in json.loads(mapped.recipient_json)["optionalData"]}
    assert sent - {"profileId", "callType"} <= variables.keys()


# --- the time as a property ------------------------------------------------------------------------------------

SENDING_TIME = connector(sendOccurredAt=True)


def sent_time(happened_at: float | None, **changes: Any) -> list[str]:
    mapped = event_of(membership(**changes), SENDING_TIME, happened_at)
    names = [pair["name"] for pair in json.loads(mapped.recipient_json)["optionalData"]]
    assert names[-2:] == ["profileId", "callType"]
    assert len({name.lower() for name in names}) == len(names)
    return [pair["value"] for pair in json.loads(mapped.recipient_json)["optionalData"] if pair["name"] == "occurredAt"]


@pytest.mark.parametrize(
    ("happened_at", "occurred_at", "sent"),
    [
        (None, "2026-03-01 11:00:00.1239+01", ["2026-03-01T10:00:00.123Z"]),
        (1772359200.5, ABSENT, ["2026-03-01T10:00:00.500Z"]),
        (1772359200.0, "2026-03-01T09:00:00Z", ["2026-03-01T10:00:00.000Z"]),
        (None, ABSENT, []),
    ],
)
def test_the_time_is_sent_in_utc_where_there_is_one(
    happened_at: float | None, occurred_at: Any, sent: list[str]
) -> None:
    assert sent_time(happened_at, occurredAt=occurred_at) == sent


def test_the_time_wins_over_a_variable_of_its_name() -> None:
    variables = {"occurredAt": "forged", "OCCURREDAT": "forged", "x": 1}

    assert sent_time(1772359200.0, variables=variables) == ["2026-03-01T10:00:00.000Z"]
    assert event_of(membership(variables=variables), SENDING_TIME, 1772359200.0).variables_overridden == 2
    # And it does not where there is no time
    assert sent_time(None, variables=variables) == ["forged"]


def test_without_the_setting_no_time_is_sent_and_a_variable_of_that_name_is() -> None:
    mapped = event_of(
        membership(occurredAt="2026-03-01T10:00:00Z", variables={"occurredAt": "mine"}), connector(), 1772359200.0
    )

    sent = {pair["name"]: pair["value"] for pair in json.loads(mapped.recipient_json)["optionalData"]}
    assert sent == {"occurredAt": "mine", "profileId": "profile-1", "callType": "ADD"}


@pytest.mark.parametrize("name", ["", " ", "\t\n"])
def test_a_blank_variable_name_makes_the_message_invalid(name: str) -> None:
    with pytest.raises(UnmappableError) as refused:
        event_of(membership(variables={name: "v"}), connector())

    assert refused.value.error_code is ErrorCode.INVALID_MESSAGE


@pytest.mark.parametrize("kind", [list, dict])
def test_a_value_nested_deeper_than_we_can_write_makes_the_message_invalid(kind: type) -> None:
    nested: Any = "1"
    for _ in range(5_000):  # newer interpreters parse such depths
        nested = [nested] if kind is list else {"a": nested}
    deep = membership().model_copy(update={"variables": {"x": nested}})

    with pytest.raises(UnmappableError, match="variables: nested too deeply") as refused:
        event_of(deep, connector())

    assert refused.value.error_code is ErrorCode.INVALID_MESSAGE


@pytest.mark.parametrize("depth", [400, 900])
def test_deep_nesting_that_the_parser_takes_is_sent_whole_or_refused(depth: int) -> None:
    nested = '{"a":' * depth + "1" + "}" * depth
    body = json.dumps(document(variables={"x": "@"})).replace('"@"', nested)

    with contextlib.suppress(UnmappableError):
        sent = json.loads(event_of(read_membership(body), connector()).recipient_json)
        assert sent["optionalData"][0]["value"] == nested


def test_a_value_nested_moderately_is_sent_whole() -> None:
    nested = '{"a":[' * 50 + "1.0" + "]}" * 50

    assert properties(f'{{"x": {nested}}}')["x"] == nested


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(st.text(st.characters(exclude_categories=["Z", "C"]), min_size=1, max_size=12), JSON_VALUES))
def test_every_variable_is_sent_once_left_out_as_null_or_counted_as_overridden(variables: dict[str, Any]) -> None:
    mapped = event_of(membership(variables=variables), connector())

    sent = json.loads(mapped.recipient_json)["optionalData"]
    present = [name for name, value in variables.items() if value is not None]
    assert len(sent) - 2 + mapped.variables_overridden == len(present)
    assert [(pair["name"], pair["value"]) for pair in sent[-2:]] == [("profileId", "profile-1"), ("callType", "ADD")]
    for pair in sent[:-2]:
        value = variables[pair["name"]]
        assert pair["value"] == value if isinstance(value, str) else json.loads(pair["value"]) == value


@pytest.mark.parametrize(
    "variables", [{"\ud800": "x"}, {"x": "\udc00"}, {"x": ["\ud800"]}, {"x": {"\ud800": 1}}, {"x": "\ude00\ud83d"}]
)
def test_half_a_surrogate_pair_makes_the_message_invalid(variables: dict[str, Any]) -> None:
    with pytest.raises(UnmappableError) as refused:
        event_of(membership(variables=variables), connector())

    assert refused.value.error_code is ErrorCode.INVALID_MESSAGE
    assert str(refused.value).startswith("variables: ")


@given(st.text(min_size=1).filter(str.strip), st.text())
def test_what_is_sent_is_ascii_whatever_the_text(name: str, value: str) -> None:
    mapped = event_of(membership(variables={name: value, "in a list": [value]}), connector())

    assert mapped.recipient_json.isascii()
    if name.lower() not in {"profileid", "calltype", "in a list"}:
        assert {"name": name, "value": value} in json.loads(mapped.recipient_json)["optionalData"]


# --- request ---------------------------------------------------------------------------------------------------


def test_a_request_holds_its_recipients_in_order_and_no_value_mappings() -> None:
    events = [event_of(membership(identifiers={"27": str(riid)}), connector()) for riid in (3, 1, 2)]

    body = request_body(event.recipient_json for event in events)

    document_sent = json.loads(body)
    assert set(document_sent) == {"customEvent", "recipientData"}
    assert set(document_sent["customEvent"].values()) == {None}
    assert [element["recipient"]["recipientId"] for element in document_sent["recipientData"]] == [3, 1, 2]
    assert body.isascii()
