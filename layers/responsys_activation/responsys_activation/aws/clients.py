"""Which AWS clients does a function have? Made once per process."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import boto3
import botocore.session
from botocore.httpsession import where
from botocore.utils import get_environ_proxies

from responsys_activation.aws.faults import CLIENT_CONFIG, FEED_CONFIG, SETTLING_CONFIG
from responsys_activation.aws.quick_dynamodb import QuickDynamoDb

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_secretsmanager import SecretsManagerClient
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_ssm import SSMClient

__all__ = ["Clients", "WebhookClients", "open_clients", "open_sqs", "open_webhook_clients"]


@dataclass(frozen=True)
class Clients:
    """The clients that deliver, check and keep.

    Attributes
    ----------
    events : Any
        EventBridge's; ``None`` where nobody is told of the outcomes.
    """

    sqs: SQSClient
    ssm: SSMClient
    secrets_manager: SecretsManagerClient
    dynamodb: DynamoDBClient
    events: Any = None


@dataclass(frozen=True)
class WebhookClients:
    """The clients of the function that answers the webhook."""

    sqs: SQSClient
    secrets_manager: SecretsManagerClient


def open_sqs() -> SQSClient:
    """Open the client of a function that only moves messages."""
    return boto3.client("sqs", config=CLIENT_CONFIG)


def open_clients(*, outcome_feed: bool = False) -> Clients:
    """Open them with the limits and retries of this project.

    Parameters
    ----------
    outcome_feed : bool
        Whether EventBridge is told of the outcomes.
    """
    return Clients(
        sqs=boto3.client("sqs", config=SETTLING_CONFIG),
        ssm=boto3.client("ssm", config=CLIENT_CONFIG),
        secrets_manager=boto3.client("secretsmanager", config=CLIENT_CONFIG),
        dynamodb=_open_dynamodb(),
        events=boto3.client("events", config=FEED_CONFIG) if outcome_feed else None,
    )


def _open_dynamodb() -> DynamoDBClient:
    """Open the client of the table's calls; where a proxy is in the way, botocore alone knows how to pass it."""
    session = botocore.session.get_session()
    client = boto3.Session(botocore_session=session).client("dynamodb", config=CLIENT_CONFIG)
    credentials = session.get_credentials()
    if credentials is None or get_environ_proxies(client.meta.endpoint_url):
        return client
    ca_certs = session.get_config_variable("ca_bundle") or where()
    return cast("DynamoDBClient", QuickDynamoDb(client, credentials, ca_certs=ca_certs))


def open_webhook_clients() -> WebhookClients:
    """Open them with short limits: the caller waits for the answer."""
    return WebhookClients(
        sqs=boto3.client("sqs", config=SETTLING_CONFIG),
        secrets_manager=boto3.client("secretsmanager", config=SETTLING_CONFIG),
    )
