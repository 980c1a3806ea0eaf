"""Do the committed JSON Schemas say what the readers take?"""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from responsys_activation.connector import read_connector
from tests.fakes.memberships import ABSENT, connector_document, document, read_membership
from tests.unit.json_schemas import DOCS, MODELS, render


@pytest.mark.parametrize(("name", "model"), MODELS.items())
def test_the_committed_schema_is_the_models(name: str, model: type) -> None:
    assert (DOCS / name).read_text() == render(model), "run: python -m tests.unit.json_schemas"


@cache
def validator(name: str) -> Draft202012Validator:
    schema = json.loads((DOCS / name).read_text())
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


FULL_MESSAGE = {
    "messageId": "m-1",
    "segment": {"type": "journey", "id": "j", "name": "Welcome"},
    "connector": "eu",
    "eventName": "CART",
    "identifiers": {"7001": "x"},
    "variables": {"a": 1, "b": [None, {"c": True}]},
    "occurredAt": "2026-03-01T10:00:00Z",
}


@pytest.mark.parametrize(
    "changes",
    [
        {},
        FULL_MESSAGE,
        {"extra": 1},
        {"messageId": None},
        {"occurredAt": None},
        {"occurredAt": "2026-03-01 10:00:00+00"},
        {"identifiers": {"7001": [1]}},
    ],
)
def test_a_message_that_the_schema_takes_is_read(changes: dict[str, Any]) -> None:
    message = document(**changes)

    validator("membership.schema.json").validate(message)
    read_membership(json.dumps(message))


@pytest.mark.parametrize(
    "changes",
    [
        {"profileId": ABSENT},
        {"profileId": ""},
        {"callType": "add"},
        {"segment": ABSENT},
        {"segment": {"type": "LIST", "id": "a"}},
        {"segment": {"type": "AUDIENCE"}},
        {"connector": "a/b"},
        {"eventName": "a/b"},
        {"eventName": "a\ufffe"},
        {"identifiers": "x"},
        {"variables": "x"},
        {"occurredAt": 1706689800},
    ],
)
def test_the_schema_refuses_what_the_reader_refuses(changes: dict[str, Any]) -> None:
    message = document(**changes)

    assert not validator("membership.schema.json").is_valid(message)
    with pytest.raises(ValueError, match=": "):
        read_membership(json.dumps(message))


@pytest.mark.parametrize(
    ("changes", "valid"),
    [
        ({}, True),
        ({"eventNames": {"a": "B"}, "requestsPerMinute": 200}, True),
        ({"defaultEventName": ABSENT, "profileList": {"name": "L"}}, True),
        ({"authEndpoint": ABSENT}, False),
        ({"identifierType": "riid"}, False),
        ({"profileList": {}}, False),
        ({"requestsPerMinute": 0}, False),
        ({"requestPerMinute": 5}, False),
        ({"sendOccurredAt": True}, True),
        ({"sendOccurredAt": "true"}, False),
        ({"identifierFrom": ["userId"], "variables": {"only": ["a"], "omit": [], "rename": {"a": "A"}}}, True),
        ({"identifierFrom": [""]}, False),
        ({"identifierFrom": "userId"}, False),
        ({"variables": {"only": [" "]}}, False),
        ({"variables": {"drop": ["a"]}}, False),
        ({"auth_endpoint": "x"}, False),
        ({"missingRecipients": {}}, True),
        ({"missingRecipients": {"action": "WAIT"}}, True),
        ({"missingRecipients": {"action": "REJECT", "permission": "OPTIN"}}, True),
        ({"missingRecipients": {"action": "CREATE", "permission": "OPTIN"}, "identifierType": "CRM_ID"}, True),
        ({"missingRecipients": {"action": "CREATE", "permission": "OPTIN"}}, False),  # the identifier is a RIID
        ({"missingRecipients": {"action": "CREATE"}, "identifierType": "EMAIL"}, False),
        ({"missingRecipients": {"action": "CREATE", "permission": None}, "identifierType": "EMAIL"}, False),
        ({"missingRecipients": {"action": "create"}}, False),
        ({"missingRecipients": "WAIT"}, False),
        ({"missingRecipients": None}, False),
    ],
)
def test_schema_and_reader_agree_on_connectors(changes: dict[str, Any], valid: bool) -> None:
    settings = connector_document(**changes)

    assert validator("connector.schema.json").is_valid(settings) is valid
    if valid:
        read_connector(json.dumps(settings))
    else:
        with pytest.raises(ValueError, match=": "):
            read_connector(json.dumps(settings))
