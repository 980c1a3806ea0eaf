"""Are credentials, connector and table stored as the code reads them, whatever the parameters hold?"""

import itertools
import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from responsys_activation.connector import read_connector
from tests.template.cloudformation import Stack, refusals
from tests.template.conftest import REQUIRED

SECRET_ARN = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:elsewhere-AbC123"
OWN_SECRET_ARN = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:crm/credentials/default-AbC123"
BY_SECRET = {"ResponsysUsername": "", "ResponsysPassword": "", "CredentialsSecretArn": SECRET_ARN}

OPTIONAL: dict[str, tuple[str, Callable[[dict[str, Any]], str]]] = {
    "ProfileListFolder": ("!MasterData", lambda c: c["profileList"].pop("folder")),
    "EventNames": ('{"aud-42": "CART_ABANDONED"}', lambda c: json.dumps(c.pop("eventNames"))),
    "DefaultEventName": ("SEGMENT_CHANGED", lambda c: c.pop("defaultEventName")),
    "RequestsPerMinute": ("200", lambda c: str(c.pop("requestsPerMinute"))),
}
COMBINATIONS = [chosen for size in range(len(OPTIONAL) + 1) for chosen in itertools.combinations(OPTIONAL, size)]


def connector_of(stack: Stack) -> dict[str, Any]:
    (parameter,) = stack.of_type("AWS::SSM::Parameter").values()
    assert parameter["Type"] == "String"
    read_connector(parameter["Value"])  # the function's own reader takes it
    settings: dict[str, Any] = json.loads(parameter["Value"])
    return settings


# ---- connector


@pytest.mark.parametrize("credentials", [{}, BY_SECRET], ids=["own secret", "given secret"])
@pytest.mark.parametrize("chosen", COMBINATIONS, ids=lambda chosen: "+".join(chosen) or "none")
def test_connector_holds_what_was_given_and_leaves_out_what_was_not(
    stack_with: Callable[..., Stack], chosen: tuple[str, ...], credentials: dict[str, str]
) -> None:
    # Given some of the optional parameters
    stack = stack_with(**credentials, **{name: OPTIONAL[name][0] for name in chosen})
    # When the connector is read
    connector = connector_of(stack)
    # Then it holds each of them
    for name in chosen:
        value, take = OPTIONAL[name]
        assert take(connector) == value
    # And nothing else beside what is required
    assert connector == {
        "authEndpoint": "https://login5.responsys.net",
        "credentialsSecretId": SECRET_ARN if credentials else OWN_SECRET_ARN,
        "profileList": {"name": "CONTACTS_LIST"},
        "identifierType": "RIID",
    }


@given(data=st.data())
def test_no_accepted_value_breaks_the_connector(
    source: dict[str, Any], translated: dict[str, Any], data: st.DataObject
) -> None:
    # Given any names that the patterns accept
    def accepted(name: str) -> st.SearchStrategy[str]:
        pattern = re.compile(source["Parameters"][name]["AllowedPattern"])
        length = source["Parameters"][name]["MaxLength"]
        return st.from_regex(pattern, fullmatch=True).filter(lambda value: len(value) <= length)

    names = {name: data.draw(accepted(name), label=name) for name in ("ProfileListName", "ProfileListFolder")}
    for name in ("DefaultEventName", "EventNames"):
        names[name] = data.draw(accepted(name), label=name)
    assert refusals(source, {**REQUIRED, **names}) == []
    # When the connector is read
    connector = connector_of(Stack(translated, {**REQUIRED, **names}))
    # Then it holds them as they were given
    assert connector["profileList"]["name"] == names["ProfileListName"]
    assert connector["profileList"].get("folder", "") == names["ProfileListFolder"]
    assert connector.get("defaultEventName", "") == names["DefaultEventName"]
    assert connector.get("eventNames", {}) == json.loads(names["EventNames"] or "{}")


# ---- credentials


@given(
    username=st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1),
    password=st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1) | st.text('"\\{}$ua', min_size=1),
)
def test_secret_holds_any_user_name_and_password_unchanged(
    source: dict[str, Any], translated: dict[str, Any], username: str, password: str
) -> None:
    # Given a user name and a password of any printable characters
    credentials = {"ResponsysUsername": username, "ResponsysPassword": password}
    if len(username) <= 512 and len(password) <= 512:
        assert refusals(source, {**REQUIRED, **credentials}) == []
    # When the secret is read
    stack = Stack(translated, {**REQUIRED, **credentials})
    (secret,) = stack.of_type("AWS::SecretsManager::Secret").values()
    # Then it is JSON that holds both
    assert json.loads(secret["SecretString"]) == {"username": username, "password": password}


def test_secret_lies_where_the_role_may_read_it(stack: Stack) -> None:
    # Given the stack's own secret
    (secret,) = stack.of_type("AWS::SecretsManager::Secret").values()
    # When its name is read / Then it is below the stack's name, as the role and further connectors expect
    assert secret["Name"] == "crm/credentials/default"


@pytest.mark.parametrize("beside", [{}, {"ResponsysUsername": "x", "ResponsysPassword": "x"}], ids=["alone", "beside"])
def test_no_secret_is_made_when_one_is_given(stack_with: Callable[..., Stack], beside: dict[str, str]) -> None:
    # Given the ARN of a secret, perhaps beside a user name and a password
    stack = stack_with(**{**BY_SECRET, **beside})
    # When the stack's secrets are listed / Then there is none, and the connector has the one that was given
    assert stack.of_type("AWS::SecretsManager::Secret") == {}
    assert connector_of(stack)["credentialsSecretId"] == SECRET_ARN


def test_credentials_reach_the_secret_and_nothing_else(translated: dict[str, Any]) -> None:
    # Given credentials that can be found again, in the stack and in the template as it is stored
    marked = {**REQUIRED, "ResponsysUsername": "marked-user", "ResponsysPassword": "marked-password"}
    stack = Stack(translated, marked)
    # When everything that is made or put out is searched for them
    holding = [name for name, resource in stack.resources.items() if "marked-" in json.dumps(resource)]
    # Then only the secret holds them
    assert holding == ["DefaultCredentials"]
    assert "marked-" not in json.dumps(stack.outputs)


# ---- delivery table


def test_delivery_table_is_paid_by_use_forgets_in_time_and_can_be_restored(stack: Stack) -> None:
    # Given the table / When its settings are read / Then they are those that the ledger relies on
    assert stack.of_type("AWS::DynamoDB::Table") == {
        "DeliveryTable": {
            "BillingMode": "PAY_PER_REQUEST",
            "AttributeDefinitions": [
                {"AttributeName": "pk", "AttributeType": "S"},
                {"AttributeName": "sk", "AttributeType": "S"},
            ],
            "KeySchema": [
                {"AttributeName": "pk", "KeyType": "HASH"},
                {"AttributeName": "sk", "KeyType": "RANGE"},
            ],
            "TimeToLiveSpecification": {"AttributeName": "expiresAt", "Enabled": True},
            "PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": True},
            "SSESpecification": {"SSEEnabled": True},
        }
    }
