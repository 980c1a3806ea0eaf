"""Which AWS clients does a function have? Made once per process."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import boto3

from responsys_activation.aws.faults import CLIENT_CONFIG, SETTLING_CONFIG

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_secretsmanager import SecretsManagerClient
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_ssm import SSMClient

__all__ = ["Clients", "open_clients", "open_sqs"]


@dataclass(frozen=True)
class Clients:
    """The clients that deliver, check and keep."""

    sqs: SQSClient
    ssm: SSMClient
    secrets_manager: SecretsManagerClient
    dynamodb: DynamoDBClient


def open_sqs() -> SQSClient:
    """Open the client of a function that only moves messages."""
    return boto3.client("sqs", config=CLIENT_CONFIG)


def open_clients() -> Clients:
    """Open them with the limits and retries of this project."""
    return Clients(
        sqs=boto3.client("sqs", config=SETTLING_CONFIG),
        ssm=boto3.client("ssm", config=CLIENT_CONFIG),
        secrets_manager=boto3.client("secretsmanager", config=CLIENT_CONFIG),
        dynamodb=boto3.client("dynamodb", config=CLIENT_CONFIG),
    )
