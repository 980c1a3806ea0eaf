"""Does the stack as it is deployed, with its default parameters and no right beyond its role's, fill its requests?

IAM is enforced here, and the function has the credentials of its own role as on AWS; the other tests let every
call pass.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from tests.end_to_end.connector_under_test import ConnectorUnderTest, message_ids
from tests.end_to_end.observing import REJECTED, assert_outcomes_add_up, attributes, log_messages, rejected, settle
from tests.local_stack.repeating import eventually
from tests.local_stack.stack import LocalStack
from tests.simulator.faults import ErrorReply


@pytest.fixture(scope="module")
def role_credentials() -> dict[str, str]:
    """Credentials of the function's role, known once the stack is there."""
    return {}


@pytest.fixture(scope="module")
def stack(role_credentials: dict[str, str]) -> Iterator[LocalStack]:
    with LocalStack(time_scale=60, enforces_iam=True, say=lambda _: None) as stack:
        role_credentials |= _credentials_of_role(stack, stack.function_name)
        stack.set_function_environment(role_credentials)
        yield stack


def _credentials_of_role(stack: LocalStack, function_name: str) -> dict[str, str]:
    """Return what Lambda gives a function: credentials of its role."""
    iam = stack.endpoint.client("iam")
    arn = stack.endpoint.lambda_.get_function_configuration(FunctionName=function_name)["Role"]
    role_name = arn.rpartition("/")[2]
    _allow_what_the_emulator_asks_for(iam, role_name)
    # Only Lambda may assume the role; here the test does what Lambda does.
    anyone = {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}
    trust = {"Version": "2012-10-17", "Statement": [anyone]}
    iam.update_assume_role_policy(RoleName=role_name, PolicyDocument=json.dumps(trust))
    credentials = stack.endpoint.client("sts").assume_role(RoleArn=arn, RoleSessionName="function")["Credentials"]
    return {
        "AWS_ACCESS_KEY_ID": credentials["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": credentials["SecretAccessKey"],
        "AWS_SESSION_TOKEN": credentials["SessionToken"],
    }


def _allow_what_the_emulator_asks_for(iam: Any, role_name: str) -> None:
    """Allow what the emulator asks for in another form; on AWS the role's own policy covers it."""
    (policy_name,) = iam.list_role_policies(RoleName=role_name)["PolicyNames"]
    document = iam.get_role_policy(RoleName=role_name, PolicyName=policy_name)["PolicyDocument"]
    added = []
    for statement in document["Statement"]:
        actions = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
        batch_actions = [f"{action}Batch" for action in actions if action.startswith("sqs:")]
        if batch_actions:
            added.append({**statement, "Action": batch_actions})
        # It reads neither the statements, nor therefore which table they are for, nor a listing's path.
        if "dynamodb:PartiQLInsert" in actions:
            added.append({"Effect": "Allow", "Action": "dynamodb:BatchExecuteStatement", "Resource": "*"})
        if "ssm:GetParametersByPath" in actions:
            added.append({"Effect": "Allow", "Action": "ssm:GetParametersByPath", "Resource": "*"})
    policy = {"Version": "2012-10-17", "Statement": added}
    iam.put_role_policy(RoleName=role_name, PolicyName="EmulatedForms", PolicyDocument=json.dumps(policy))


def test_two_thousand_messages_for_one_event_take_exactly_ten_requests(stack: LocalStack) -> None:
    # Given 2,000 messages that arrive together
    connector = ConnectorUnderTest(stack)
    bodies = connector.bodies(2000)

    # When they are published
    connector.publish(bodies)
    settle(stack)

    # Then ten full requests carried them
    requests = connector.event_requests()
    assert [record.recipients for record in requests] == [200] * 10
    assert connector.accepted() == Counter(message_ids(bodies))
    summary = connector.simulator.summary(connector.name)
    assert (summary.logins, summary.throttled_requests, summary.overlaps) == (1, 0, 0)
    assert summary.most_concurrent_requests <= int(stack.parameters["RequestsInFlight"])


def test_the_role_suffices_for_every_outcome(stack: LocalStack) -> None:
    # Given a Responsys that throttles once and fails once, and a message that cannot be sent
    connector = ConnectorUnderTest(stack)
    failing = ConnectorUnderTest(stack)
    connector.simulator.add_fault(ErrorReply(account=connector.name, status=429, error_code="API_LIMIT_EXCEEDED"))
    failing.simulator.add_fault(ErrorReply(account=failing.name, status=503, text="busy"))
    good = [*connector.bodies(2), *failing.bodies(2)]
    bad = json.dumps(connector.message(identifiers={}))

    # When messages are delivered, throttled, retried and rejected, and one comes twice
    connector.publish([*good, bad])
    settle(stack)
    connector.publish(good[:1])
    settle(stack)

    # Then each ended as it should, and no call was denied
    assert connector.accepted() + failing.accepted() == Counter(message_ids(good))
    (message,) = rejected(stack, connector.name)
    assert attributes(message)["errorCode"] == "NO_IDENTIFIER"
    assert_outcomes_add_up(stack)
    assert eventually(lambda: connector.metric("EventsDuplicate", eventName="SEGMENT_CHANGED") == 1)
    denied = [line for line in log_messages(stack) if "AccessDenied" in line or "not authorized" in line]
    assert denied == []


def test_a_topic_of_the_account_may_send_without_further_ado(stack: LocalStack) -> None:
    # Given a topic that is subscribed to the queue
    connector = ConnectorUnderTest(stack)
    sns = stack.endpoint.client("sns")
    topic = sns.create_topic(Name=connector.name)["TopicArn"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=stack.outputs["SegmentEventsQueueArn"])
    # When a membership is published there
    (body,) = connector.bodies(1)
    sns.publish(TopicArn=topic, Message=body)
    # Then it arrives
    assert eventually(lambda: connector.accepted() == Counter(message_ids([body])))


def test_the_role_allows_no_more_than_that(stack: LocalStack, role_credentials: dict[str, str]) -> None:
    # Given the credentials that the function has
    session = boto3.session.Session(
        aws_access_key_id=role_credentials["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=role_credentials["AWS_SECRET_ACCESS_KEY"],
        aws_session_token=role_credentials["AWS_SESSION_TOKEN"],
        region_name=stack.endpoint.region,
    )
    create: Any = session.client
    ssm, secrets, sqs = (create(name, endpoint_url=stack.endpoint.url) for name in ("ssm", "secretsmanager", "sqs"))
    connectors, queues = stack.outputs["ConnectorParameterPrefix"], stack.outputs
    refused: dict[str, Callable[[], object]] = {
        "change a connector": lambda: ssm.put_parameter(
            Name=f"{connectors}default", Value="{}", Type="String", Overwrite=True
        ),
        "read another parameter": lambda: ssm.get_parameter(Name="/another/parameter"),
        "read another secret": lambda: secrets.get_secret_value(SecretId="another-secret"),
        "send to the queue that it reads": lambda: sqs.send_message(
            QueueUrl=queues["SegmentEventsQueueUrl"], MessageBody="{}"
        ),
        "take what waits for a person": lambda: sqs.receive_message(QueueUrl=queues[REJECTED]),
    }

    # When they are used for anything else
    for what, call in refused.items():
        with pytest.raises(ClientError) as refusal:
            call()

        # Then AWS refuses
        assert "AccessDenied" in refusal.value.response["Error"]["Code"], what
