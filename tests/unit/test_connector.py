"""Is a connector's JSON read as section 2.2 says, and does a refusal name the field?"""

from __future__ import annotations

import json
from typing import Any

import pytest

from responsys_activation.connector import (
    IdentifierType,
    InvalidConnectorError,
    MissingAction,
    MissingRecipients,
    ProfileList,
    VariableRules,
    read_connector,
)
from tests.fakes.memberships import ABSENT, connector, connector_document

SECRET = "do-not-quote-me-4711"


def refusal(text: str) -> str:
    with pytest.raises(InvalidConnectorError) as refused:
        read_connector(text)
    assert refused.value.__cause__ is None
    return str(refused.value)


def test_every_documented_field_is_read() -> None:
    read = read_connector(
        json.dumps(
            {
                "authEndpoint": "https://login5.responsys.net",
                "credentialsSecretId": "stack/default",
                "profileList": {"name": "CONTACTS_LIST", "folder": "!MasterData"},
                "identifierType": "HASHED_EMAIL",
                "defaultEventName": "SEGMENT_CHANGED",
                "eventNames": {"aud-42": "CART_ABANDONED"},
                "requestsPerMinute": 200,
                "sendOccurredAt": True,
                "missingRecipients": {"action": "CREATE", "permission": "OPTOUT"},
                "identifierFrom": ["properties.loyalty_id", "userId"],
                "variables": {"only": ["a", "b"], "omit": ["b"], "rename": {"a": "A"}},
            }
        )
    )

    assert read.auth_endpoint == "https://login5.responsys.net"
    assert read.credentials_secret_id == "stack/default"
    assert read.profile_list == ProfileList(name="CONTACTS_LIST", folder="!MasterData")
    assert read.identifier_type is IdentifierType.HASHED_EMAIL
    assert read.default_event_name == "SEGMENT_CHANGED"
    assert read.event_names == {"aud-42": "CART_ABANDONED"}
    assert read.requests_per_minute == 200
    assert read.send_occurred_at is True
    assert read.missing_recipients == MissingRecipients(action=MissingAction.CREATE, permission="OPTOUT")
    assert read.identifier_from == ("properties.loyalty_id", "userId")
    assert read.variables == VariableRules(only=("a", "b"), omit=("b",), rename={"a": "A"})


def test_optional_fields_may_be_left_out() -> None:
    read = read_connector(json.dumps(connector_document(defaultEventName=ABSENT, profileList={"name": "L"})))

    assert read.profile_list.folder is None
    assert read.default_event_name is None
    assert read.event_names == {}
    assert read.requests_per_minute is None
    assert read.send_occurred_at is False
    assert read.missing_recipients.action is MissingAction.REJECT
    assert read.identifier_from == ()
    assert read.variables is None


@pytest.mark.parametrize("identifier_type", ["RIID", "HASHED_EMAIL", "CRM_ID", "EMAIL", "EMAIL_MD5", "MOBILE_NUMBER"])
def test_every_documented_identifier_type_is_taken(identifier_type: str) -> None:
    read = read_connector(json.dumps(connector_document(identifierType=identifier_type)))

    assert read.identifier_type == identifier_type


@pytest.mark.parametrize(
    ("field", "changes"),
    [
        ("authEndpoint", {"authEndpoint": ABSENT}),
        ("authEndpoint", {"authEndpoint": " "}),
        ("credentialsSecretId", {"credentialsSecretId": ABSENT}),
        ("credentialsSecretId", {"credentialsSecretId": ""}),
        ("profileList", {"profileList": ABSENT}),
        ("profileList", {"profileList": SECRET}),
        ("profileList.name", {"profileList": {}}),
        ("profileList.name", {"profileList": {"name": ""}}),
        ("profileList.folder", {"profileList": {"name": "L", "folder": ""}}),
        ("profileList.colour", {"profileList": {"name": "L", "colour": SECRET}}),
        ("identifierType", {"identifierType": ABSENT}),
        ("identifierType", {"identifierType": "riid"}),
        ("identifierType", {"identifierType": SECRET}),
        ("defaultEventName", {"defaultEventName": ""}),
        ("defaultEventName", {"defaultEventName": f"a/{SECRET}"}),
        ("eventNames", {"eventNames": ["A"]}),
        ("eventNames.aud-42", {"eventNames": {"aud-42": ""}}),
        ("requestsPerMinute", {"requestsPerMinute": 0}),
        ("requestsPerMinute", {"requestsPerMinute": "many"}),
        ("requestPerMinute", {"requestPerMinute": 5}),
        ("sendOccurredAt", {"sendOccurredAt": "true"}),
        ("sendOccurredAt", {"sendOccurredAt": 1}),
        ("sendOccurredAt", {"sendOccurredAt": None}),
        ("missingRecipients", {"missingRecipients": "CREATE"}),
        ("missingRecipients", {"missingRecipients": None}),
        ("missingRecipients.action", {"missingRecipients": {"action": "create"}}),
        ("missingRecipients.action", {"missingRecipients": {"action": SECRET, "permission": "OPTIN"}}),
        ("missingRecipients.permission", {"missingRecipients": {"action": "WAIT", "permission": SECRET}}),
        ("missingRecipients.permission", {"missingRecipients": {"permission": "optin"}}),
        ("missingRecipients.colour", {"missingRecipients": {"colour": SECRET}}),
        ("identifierFrom", {"identifierFrom": "userId"}),
        ("identifierFrom.1", {"identifierFrom": ["userId", " "]}),
        ("identifierFrom.0", {"identifierFrom": [7]}),
        ("variables", {"variables": ["a"]}),
        ("variables.only", {"variables": {"only": "a"}}),
        ("variables.omit.0", {"variables": {"omit": [""]}}),
        ("variables.rename.a", {"variables": {"rename": {"a": " "}}}),
        ("variables.keep", {"variables": {"keep": [SECRET]}}),
        ("auth_endpoint", {"auth_endpoint": SECRET}),
    ],
)
def test_a_wrong_or_unknown_field_is_named_and_its_value_is_not_quoted(field: str, changes: dict[str, Any]) -> None:
    reason = refusal(json.dumps(connector_document(**changes)))

    assert reason.startswith(f"{field}: ")
    assert SECRET not in reason


def test_every_wrong_field_is_named_at_once() -> None:
    reason = refusal("{}")

    for field in ("authEndpoint", "credentialsSecretId", "profileList", "identifierType"):
        assert f"{field}: " in reason


@pytest.mark.parametrize("text", ["", "not json", "[]", '"x"', "null", "{", "[" * 100_000])
def test_a_text_that_is_no_json_object_is_refused(text: str) -> None:
    assert refusal(text).startswith("settings: ")


@pytest.mark.parametrize(
    ("segment_id", "changes", "event_name"),
    [
        ("aud-42", {"eventNames": {"aud-42": "CART"}}, "CART"),
        ("aud-43", {"eventNames": {"aud-42": "CART"}}, "SEGMENT_CHANGED"),
        ("aud-42", {"eventNames": {"aud-42": "CART"}, "defaultEventName": ABSENT}, "CART"),
        ("aud-43", {"eventNames": {"aud-42": "CART"}, "defaultEventName": ABSENT}, None),
        ("AUD-42", {"eventNames": {"aud-42": "CART"}, "defaultEventName": ABSENT}, None),
    ],
)
def test_a_segments_event_comes_before_the_default_event(
    segment_id: str, changes: dict[str, Any], event_name: str | None
) -> None:
    assert connector(**changes).event_name_for(segment_id) == event_name


# --- recipients that the list does not have -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "action"),
    [
        ({}, "REJECT"),
        ({"action": "REJECT"}, "REJECT"),
        ({"action": "WAIT"}, "WAIT"),
        ({"action": "REJECT", "permission": "OPTIN"}, "REJECT"),
        ({"permission": None}, "REJECT"),
    ],
)
@pytest.mark.parametrize("kind", IdentifierType)
def test_to_reject_or_to_wait_needs_no_permission_and_may_keep_one(
    kind: IdentifierType, given: dict[str, Any], action: str
) -> None:
    read = read_connector(json.dumps(connector_document(identifierType=kind, missingRecipients=given)))

    assert read.missing_recipients.action == action


@pytest.mark.parametrize("permission", ["OPTIN", "OPTOUT"])
@pytest.mark.parametrize("kind", [kind for kind in IdentifierType if kind is not IdentifierType.RIID])
def test_somebody_is_created_by_any_identifier_but_a_riid(kind: IdentifierType, permission: str) -> None:
    create = {"action": "CREATE", "permission": permission}

    read = read_connector(json.dumps(connector_document(identifierType=kind, missingRecipients=create)))

    assert read.missing_recipients.permission == permission


@pytest.mark.parametrize("given", [{"action": "CREATE"}, {"action": "CREATE", "permission": None}])
def test_nobody_is_created_before_somebody_decides_on_permission(given: dict[str, Any]) -> None:
    reason = refusal(json.dumps(connector_document(identifierType="CRM_ID", missingRecipients=given)))

    assert reason.startswith("missingRecipients.permission: must be 'OPTIN' or 'OPTOUT' with action CREATE")


def test_nobody_is_created_by_a_riid_wherever_the_identifier_type_stands() -> None:
    create = {"action": "CREATE", "permission": "OPTIN"}
    settings = {"missingRecipients": create} | connector_document(identifierType="RIID")

    reason = refusal(json.dumps(settings))

    assert reason.startswith("missingRecipients: must have action REJECT or WAIT with identifierType RIID")


@pytest.mark.parametrize(
    ("names", "event_name"),
    [
        (("aud_1", "carts", "Cart abandoners"), "BY_ID"),
        (("aud_2", "carts", "Cart abandoners"), "BY_KEY"),
        (("aud_2", "other", "Cart abandoners"), "BY_NAME"),
        (("aud_2", "CARTS"), None),
        ((), None),
    ],
)
def test_a_segment_is_mapped_by_the_first_of_its_names_that_is_known(
    names: tuple[str, ...], event_name: str | None
) -> None:
    mapping = {"Cart abandoners": "BY_NAME", "carts": "BY_KEY", "aud_1": "BY_ID"}

    assert connector(eventNames=mapping).mapped_event(names) == event_name


@pytest.mark.parametrize(
    ("variables", "changes", "colliding"),
    [
        (None, {}, []),
        ({"rename": {"a": "A", "b": "B"}}, {}, []),
        ({"rename": {"a": "X", "b": "x"}}, {}, ["X", "x"]),
        ({"rename": {"a": "ProfileID", "b": "CALLTYPE"}}, {}, ["CALLTYPE", "ProfileID"]),
        ({"rename": {"a": "occurredAt"}}, {}, []),
        ({"rename": {"a": "occurredAt"}}, {"sendOccurredAt": True}, ["occurredAt"]),
        ({"only": ["a", "b"], "rename": {"a": "B"}}, {}, ["B"]),
        ({"only": ["a", "b"], "rename": {"a": "b", "b": "a"}}, {}, []),
    ],
)
def test_a_rename_is_found_that_takes_another_variables_name(
    variables: dict[str, Any] | None, changes: dict[str, Any], colliding: list[str]
) -> None:
    settings = connector(**changes, **({"variables": variables} if variables else {}))

    assert settings.colliding_renames == colliding


def test_settings_are_refused_in_words_of_json() -> None:
    reason = refusal(json.dumps(connector_document(identifierFrom="userId", variables={"only": "a", "omit": [""]})))

    assert reason.split("; ") == [
        "identifierFrom: must be a list",
        "variables.only: must be a list",
        "variables.omit.0: must be a text that is not blank",
    ]
