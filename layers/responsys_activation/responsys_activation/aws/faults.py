"""When is an AWS call a fault that a retry may cure?"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

__all__ = ["CLIENT_CONFIG", "AwsRefusedError", "AwsUnavailableError", "aws_call", "error_code"]

CLIENT_CONFIG = Config(
    # Short limits: an AWS call that hangs must not eat the time that settling the batch needs.
    connect_timeout=2,
    read_timeout=5,
    retries={"mode": "standard", "total_max_attempts": 3},
    # As many connections are kept as requests may be in flight: one more would be opened for a call and thrown away.
    max_pool_connections=50,
    # Our calls are typed, and AWS checks them: for a hundred claims botocore's own check costs a third of the call.
    parameter_validation=False,
)

# Client errors by their status that pass by themselves: the codes that botocore tries again for, and DynamoDB's for an
# item in somebody else's transaction. Codes with "throttl" in them need no mention.
_PASSING_CODES = frozenset(
    {
        "BandwidthLimitExceeded",
        "LimitExceededException",
        "PriorRequestNotComplete",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "RequestTimeout",
        "RequestTimeoutException",
        "SlowDown",
        "TooManyRequestsException",
        "TransactionConflictException",
        "TransactionInProgressException",
    }
)


class AwsUnavailableError(Exception):
    """An AWS service did not do what was asked; the same call may go through later."""


class AwsRefusedError(AwsUnavailableError):
    """An AWS service is in reach and denies the call: a person must change a role, a key, a name or the code."""


@contextmanager
def aws_call(what: str) -> Iterator[None]:
    """Turn boto3's errors into two.

    Raises
    ------
    AwsRefusedError
        AWS answered with a client error that is no throttle.
    AwsUnavailableError
        Anything else. Both name what was tried and AWS's error code; never a value.
    """
    try:
        yield
    except (ClientError, BotoCoreError) as exc:
        kind = AwsRefusedError if _denies(exc) else AwsUnavailableError
        raise kind(f"{what}: {error_code(exc)}") from exc


def _denies(exc: ClientError | BotoCoreError) -> bool:
    if not isinstance(exc, ClientError):
        return False
    status = exc.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    code = error_code(exc)
    return (
        400 <= status < 500
        and status not in {408, 429}
        and code not in _PASSING_CODES
        and "throttl" not in code.lower()
    )


def error_code(exc: BaseException | None) -> str:
    """Give AWS's error code, else the error's type."""
    if isinstance(exc, ClientError):
        return exc.response.get("Error", {}).get("Code", "")
    return type(exc).__name__
