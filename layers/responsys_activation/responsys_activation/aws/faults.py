"""How does an AWS call fail, and may a retry cure it?"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

__all__ = [
    "CLIENT_CONFIG",
    "FEED_CONFIG",
    "SETTLING_CONFIG",
    "SLOWEST_SETTLING_CALL",
    "AwsCallError",
    "AwsOutOfReachError",
    "AwsRefusedError",
    "aws_call",
    "error_code",
]

CLIENT_CONFIG = Config(
    # Short limits: an AWS call that hangs must not eat the time that settling the batch needs.
    connect_timeout=2,
    read_timeout=5,
    retries={"mode": "standard", "total_max_attempts": 3},
    # As many connections are kept as requests may be in flight: one more would be opened for a call and thrown away.
    max_pool_connections=50,
    # Our calls are typed, and AWS checks them: for a hundred claims botocore's own check costs a third of the call.
    parameter_validation=False,
    # Given one, botocore does not put its own together anew for each call: a fifth of the CPU of a small one.
    user_agent="responsys-activation",
    # DynamoDB's endpoint by account would be looked for at each call; requests of a few kilobytes are not compressed.
    account_id_endpoint_mode="disabled",
    disable_request_compression=True,
)

# What a batch does at its end, where no more time is left than was kept back for it.
SETTLING_CONFIG = CLIENT_CONFIG.merge(
    Config(connect_timeout=1, read_timeout=2.5, retries={"mode": "standard", "total_max_attempts": 2})
)
SLOWEST_SETTLING_CALL = 8.0  # seconds, with both attempts and the pause between them

# What nothing waits for: whoever writes the feed tries again by himself, as long as he has time.
FEED_CONFIG = CLIENT_CONFIG.merge(
    Config(connect_timeout=1, read_timeout=2, retries={"mode": "standard", "total_max_attempts": 1})
)

# Client errors by their status that pass by themselves: the codes that botocore tries again for, and DynamoDB's for an
# item in somebody else's transaction. Codes with "throttl" in them need no mention.
_PASSING = frozenset(
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
_FAILURES = frozenset({"InternalServerError", "InternalFailure", "InternalError", "ServiceUnavailable"})


class AwsCallError(Exception):
    """An AWS service refused or did not answer; the text names the call and the AWS error code."""


class AwsOutOfReachError(AwsCallError):
    """No answer, or one of 5xx: the service is down, or there is no way to it. What was asked may have been done."""


class AwsRefusedError(AwsCallError):
    """The service answered that it will not: denied, not found, a key that may not be used. A person must help."""


@contextmanager
def aws_call(what: str) -> Iterator[None]:
    """Turn boto3's errors into ours.

    Raises
    ------
    AwsOutOfReachError, AwsRefusedError, AwsCallError
        The last where the service is only asked too often. Names the call and the AWS error code; never a value.
    """
    try:
        yield
    except (ClientError, BotoCoreError) as exc:
        raise _kind(exc)(f"{what}: {error_code(exc)}") from exc


def error_code(exc: BaseException | None) -> str:
    """Return AWS's error code, else the error's type."""
    if isinstance(exc, ClientError):
        return exc.response.get("Error", {}).get("Code", "")
    return type(exc).__name__


def _kind(exc: ClientError | BotoCoreError) -> type[AwsCallError]:
    if not isinstance(exc, ClientError):
        return AwsOutOfReachError
    code = error_code(exc)
    status = exc.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    if code in _PASSING or "throttl" in code.lower() or status in {408, 429}:
        return AwsCallError
    if status >= 500 or code in _FAILURES:
        return AwsOutOfReachError
    return AwsRefusedError if 400 <= status < 500 else AwsCallError
