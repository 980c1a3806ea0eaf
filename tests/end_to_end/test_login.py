"""Does the deployed function log in as rarely as it can, and never lock the account?"""

import json
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from responsys_activation.account import account_id
from responsys_activation.connector import read_connector
from tests.end_to_end.connector_under_test import ConnectorUnderTest, message_ids
from tests.end_to_end.observing import attributes, held_on_throttled_queue, invoke, on_their_way, settle, sqs_event
from tests.local_stack.repeating import eventually
from tests.local_stack.stack import LocalStack


def restart_workers(stack: LocalStack) -> None:
    """End all warm environments, so that the next invocations are cold starts."""
    stack.set_function_environment({})
    assert eventually(lambda: stack.worker_counts()["warm"] == 0)


def stored_token(connector: ConnectorUnderTest) -> dict[str, str]:
    """Return the token parameter of the connector's account as SSM has it."""
    ssm = connector.stack.endpoint.client("ssm")
    prefix = connector.stack.outputs["ConnectorParameterPrefix"]
    settings = read_connector(ssm.get_parameter(Name=f"{prefix}{connector.name}")["Parameter"]["Value"])
    name = prefix.replace("connectors", "tokens") + account_id(settings)
    parameter: dict[str, str] = ssm.get_parameter(Name=name, WithDecryption=True)["Parameter"]
    return parameter


def test_a_cold_start_with_a_live_token_makes_no_login(stack: LocalStack, connector: ConnectorUnderTest) -> None:
    # Given a token that an earlier environment got
    connector.publish(connector.bodies(1))
    settle(stack)
    assert connector.simulator.summary(connector.name).logins == 1

    # When other environments start
    restart_workers(stack)
    before = stack.worker_counts()["coldStarts"]
    bodies = connector.bodies(4)
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda half: invoke(stack, sqs_event(stack, half)), (bodies[:2], bodies[2:])))

    # Then they deliver with that token
    assert stack.worker_counts()["coldStarts"] == before + 2
    assert connector.accepted().keys() >= set(message_ids(bodies))
    summary = connector.simulator.summary(connector.name)
    assert (summary.logins, summary.refreshes, summary.refused_logins) == (1, 0, 0)


def test_twenty_cold_starts_at_once_without_a_token_make_at_most_four_logins(
    stack: LocalStack, connector: ConnectorUnderTest
) -> None:
    # Given no token, and twenty environments that start at once
    restart_workers(stack)
    before = stack.worker_counts()["coldStarts"]
    bodies = connector.bodies(20)

    # When each is given a message
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda body: invoke(stack, sqs_event(stack, [body])), bodies))

    # Then all deliver, some of them when their slots come, and share what few logins brought
    assert stack.worker_counts()["coldStarts"] >= before + 20  # one more where what was put off came back meanwhile
    assert answers == [{"batchItemFailures": []}] * 20
    assert eventually(lambda: connector.accepted() == Counter(message_ids(bodies)))
    assert 1 <= connector.simulator.summary(connector.name).logins <= 4


@pytest.fixture
def refused(stack: LocalStack) -> Iterator[ConnectorUnderTest]:
    """Return a connector whose secret holds a wrong password."""
    connector = ConnectorUnderTest(stack)
    connector.put(password="wrong-word-of-the-secret")
    yield connector
    connector.put()


def test_a_refused_login_is_not_tried_again_before_the_secret_changes_and_other_connectors_go_on(
    stack: LocalStack, connector: ConnectorUnderTest, refused: ConnectorUnderTest
) -> None:
    # Given messages for a connector with a wrong password, and for another
    first, other = refused.bodies(3), connector.bodies(3)

    # When they are published, and then more of them, and other environments get some as well
    refused.publish([*first, *other])
    assert eventually(lambda: on_their_way(stack) == 3 and len(connector.inbox()) == 3)
    restart_workers(stack)
    second = refused.bodies(3)
    refused.publish(second)

    # Then Responsys saw one login, the other connector's messages are there, and these wait
    with held_on_throttled_queue(stack, 6) as messages:
        assert Counter(message["Body"] for message in messages) == Counter([*first, *second])
        assert {attributes(message)["errorCode"] for message in messages} == {"INVALID_CREDENTIALS"}
        assert {attributes(message)["outcome"] for message in messages} == {"throttled"}
        summary = refused.simulator.summary(refused.name)
        assert (summary.refused_logins, summary.logins, summary.event_requests) == (1, 0, 0)

        # And when the secret is right, they are delivered with the next login
        refused.put()
    settle(stack)
    assert refused.accepted() == Counter(message_ids([*first, *second]))
    summary = refused.simulator.summary(refused.name)
    assert (summary.refused_logins, summary.logins) == (1, 1)
    assert eventually(lambda: refused.metric("TokenLoginFailures") == 1)
    # And those who watch were told that no login was tried, when there was no failure to see
    assert eventually(lambda: refused.metric("LoginsHeldBack") >= 1)


def test_the_token_is_kept_as_a_secure_string(stack: LocalStack, connector: ConnectorUnderTest) -> None:
    # Given a connector that has logged in
    connector.publish(connector.bodies(1))
    settle(stack)

    # When its token is looked at / Then it is kept encrypted; that no log has it, test_personal_data.py shows
    parameter = stored_token(connector)
    assert parameter["Type"] == "SecureString"
    assert len(json.loads(parameter["Value"])["authToken"]) > 20
