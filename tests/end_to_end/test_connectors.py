"""Can connectors be added and changed without a deployment?"""

import hashlib
import json
import uuid
from collections import Counter

import pytest

from tests.end_to_end.connector_under_test import EVENT, OTHER_EVENT, ConnectorUnderTest, message_ids
from tests.end_to_end.observing import attributes, rejected, settle
from tests.local_stack.stack import LocalStack


def test_a_connector_is_used_as_soon_as_its_parameter_and_secret_are_there(stack: LocalStack) -> None:
    # Given a connector that does not exist yet, and a warm function that has been asked for it
    name = f"new-{uuid.uuid4().hex[:8]}"
    account = ConnectorUnderTest(stack)
    body = json.dumps(account.message(connector=name))
    account.publish([body])
    settle(stack)
    (message,) = rejected(stack, name)
    assert attributes(message)["errorCode"] == "UNKNOWN_CONNECTOR"
    deployed = stack.endpoint.lambda_.get_function_configuration(FunctionName=stack.function_name)["RevisionId"]

    # When it is added as the README says
    secret_id = stack.outputs["ConnectorParameterPrefix"].strip("/").replace("connectors", "credentials") + f"/{name}"
    stack.endpoint.client("secretsmanager").create_secret(
        Name=secret_id, SecretString=json.dumps({"username": account.name, "password": account.password})
    )
    settings = {
        "authEndpoint": stack.parameters["ResponsysAuthEndpoint"],
        "credentialsSecretId": secret_id,
        "profileList": account.profile_list,
        "identifierType": "CRM_ID",
        "eventNames": {"jrn-7": OTHER_EVENT},
        "defaultEventName": EVENT,
    }
    stack.endpoint.client("ssm").put_parameter(
        Name=f"{stack.outputs['ConnectorParameterPrefix']}{name}", Type="String", Value=json.dumps(settings)
    )
    identified = {"connector": name, "identifiers": {"2001": "CRM-1", "27": "1"}}
    journey = {"type": "JOURNEY", "id": "jrn-7"}
    bodies = [json.dumps(account.message(**identified)), json.dumps(account.message(**identified, segment=journey))]
    account.publish(bodies)
    settle(stack)

    # Then its messages arrive under its own event names and identifier, and nothing was deployed
    assert account.accepted() == Counter(message_ids(bodies))
    events = account.inbox()
    assert {event.event_name for event in events} == {EVENT, OTHER_EVENT}
    assert {(event.identifier_kind, event.identifier) for event in events} == {("customerId", "CRM-1")}
    now = stack.endpoint.lambda_.get_function_configuration(FunctionName=stack.function_name)["RevisionId"]
    assert now == deployed


@pytest.mark.parametrize(
    ("identifier_type", "key", "value", "kind"),
    [
        ("HASHED_EMAIL", "7001", hashlib.sha256(b"ada@example.com").hexdigest(), "emailSHA256Hash"),
        ("CRM_ID", "2001", "CRM 7/ü", "customerId"),
        ("EMAIL", "EMAIL", "ada@example.com", "emailAddress"),
        ("EMAIL_MD5", "EMAIL_MD5", hashlib.md5(b"ada@example.com", usedforsecurity=False).hexdigest(), "emailMD5Hash"),
        ("MOBILE_NUMBER", "MOBILE_NUMBER", "+49 170 1234567", "mobileNumber"),
    ],
)
def test_each_identifier_type_reaches_responsys_alone_and_under_its_name(
    stack: LocalStack, identifier_type: str, key: str, value: str, kind: str
) -> None:
    # Given a connector of that type, and a profile that has other identifiers as well
    connector = ConnectorUnderTest(stack)
    connector.put(identifier_type=identifier_type)

    # When a message is published
    connector.publish([json.dumps(connector.message(identifiers={"27": "1", key: value}))])
    settle(stack)

    # Then exactly that identifier arrived
    (event,) = connector.inbox()
    assert (event.identifier_kind, event.identifier) == (kind, value)
    assert connector.simulator.summary(connector.name).warnings == {}
