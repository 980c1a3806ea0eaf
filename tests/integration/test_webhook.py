"""Do SQS and Secrets Manager, as emulated from AWS's models, take what the webhook asks of them?"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import boto3
import pytest
from moto import mock_aws

from responsys_activation.aws.clients import WebhookClients, open_webhook_clients
from responsys_activation.aws.queues import LARGEST_MESSAGE
from responsys_activation.settings import WebhookSettings, read_settings
from responsys_activation.webhook.composition import compose_webhook
from tests.fakes.memberships import document
from tests.fakes.webhook import SECRET, Told, request_event

NEXT = "another-horse-another-battery"


@pytest.fixture
def clients() -> Iterator[WebhookClients]:
    with mock_aws():
        yield open_webhook_clients()


@pytest.fixture
def queue_url(clients: WebhookClients) -> str:
    created = clients.sqs.create_queue(
        QueueName="segment-events", Attributes={"MaximumMessageSize": str(LARGEST_MESSAGE)}
    )
    return created["QueueUrl"]


@pytest.fixture
def secret_arn(clients: WebhookClients) -> str:
    return clients.secrets_manager.create_secret(Name="stack-webhook", SecretString=SECRET)["ARN"]


def post(clients: WebhookClients, queue_url: str, secret_arn: str, body: str, secret: str = SECRET) -> Told:
    """Post to an environment that knows nothing yet."""
    settings = read_settings(
        WebhookSettings,
        {"STACK_NAME": "stack", "SEGMENT_EVENTS_QUEUE_URL": queue_url, "WEBHOOK_SECRET_ID": secret_arn},
    )
    event = request_event(body, authorization=f"Bearer {secret}")
    return Told(compose_webhook(settings, clients).answer(event, time.time() + 20))


def on_queue(queue_url: str) -> list[str]:
    received = boto3.client("sqs").receive_message(QueueUrl=queue_url, MaxNumberOfMessages=10)
    return [message["Body"] for message in received.get("Messages", [])]


@pytest.mark.parametrize("body", [json.dumps(document()), '{"name": "Zoë \U0001f40e", "ends": "\ufffe\uffff"}\n'])
def test_a_body_is_on_the_queue_and_reads_the_same(
    clients: WebhookClients, queue_url: str, secret_arn: str, body: str
) -> None:
    assert post(clients, queue_url, secret_arn, body).status == 202

    (message,) = on_queue(queue_url)
    assert json.loads(message) == json.loads(body)


def test_the_largest_body_is_one_message(clients: WebhookClients, queue_url: str, secret_arn: str) -> None:
    body = json.dumps(document())
    body += " " * (LARGEST_MESSAGE - len(body))

    assert post(clients, queue_url, secret_arn, body).status == 202
    assert on_queue(queue_url) == [body]


def test_a_changed_secret_counts_beside_the_one_before_until_it_is_written_once_more(
    clients: WebhookClients, queue_url: str, secret_arn: str
) -> None:
    def who_is_let_in() -> list[str]:
        return [each for each in (SECRET, NEXT) if post(clients, queue_url, secret_arn, "{}", each).status == 202]

    assert who_is_let_in() == [SECRET]
    clients.secrets_manager.put_secret_value(SecretId=secret_arn, SecretString=NEXT)
    assert who_is_let_in() == [SECRET, NEXT]
    clients.secrets_manager.put_secret_value(SecretId=secret_arn, SecretString=NEXT)
    assert who_is_let_in() == [NEXT]


def test_a_queue_that_is_gone_is_no_success(clients: WebhookClients, queue_url: str, secret_arn: str) -> None:
    clients.sqs.delete_queue(QueueUrl=queue_url)

    assert post(clients, queue_url, secret_arn, "{}").status == 503
