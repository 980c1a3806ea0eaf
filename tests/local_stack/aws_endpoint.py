"""How do the parts of the local stack reach the emulated AWS?"""

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import boto3
from botocore.config import Config

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient
    from mypy_boto3_cloudwatch import CloudWatchClient
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_logs import CloudWatchLogsClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sqs import SQSClient

# The function may run up to 15 minutes, and an invocation must never be repeated by the SDK.
_CONFIG = Config(
    max_pool_connections=64,
    retries={"total_max_attempts": 1},
    connect_timeout=5,
    read_timeout=930,
    s3={"addressing_style": "path"},
)


@dataclass(frozen=True)
class AwsEndpoint:
    """The one address that serves all of the emulated AWS.

    Examples
    --------
    >>> AwsEndpoint("http://127.0.0.1:4566").client("sqs").list_queues()
    """

    url: str
    region: str = "us-east-1"

    @property
    def environment(self) -> Mapping[str, str]:
        """The variables by which any AWS SDK or CLI finds this endpoint."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_REGION": self.region,
            "AWS_DEFAULT_REGION": self.region,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
        }

    def client(self, service: str) -> Any:
        """Return a boto3 client of any service."""
        return _client(self, service)

    @property
    def cloudformation(self) -> "CloudFormationClient":
        return cast("CloudFormationClient", self.client("cloudformation"))

    @property
    def cloudwatch(self) -> "CloudWatchClient":
        return cast("CloudWatchClient", self.client("cloudwatch"))

    @property
    def lambda_(self) -> "LambdaClient":
        return cast("LambdaClient", self.client("lambda"))

    @property
    def logs(self) -> "CloudWatchLogsClient":
        return cast("CloudWatchLogsClient", self.client("logs"))

    @property
    def s3(self) -> "S3Client":
        return cast("S3Client", self.client("s3"))

    @property
    def sqs(self) -> "SQSClient":
        return cast("SQSClient", self.client("sqs"))


@functools.cache
def _client(endpoint: AwsEndpoint, service: str) -> Any:
    # A session of its own: making clients from the default session is not safe between threads, and the
    # developer's own profile must never be consulted.
    session = boto3.session.Session(aws_access_key_id="test", aws_secret_access_key="test", region_name=endpoint.region)
    create: Any = session.client
    return create(service, endpoint_url=endpoint.url, config=_CONFIG)
