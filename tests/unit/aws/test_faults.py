"""Does a caller learn whether AWS is out of reach or says no?"""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import BotoCoreError, ClientError, ConnectTimeoutError, NoCredentialsError, ReadTimeoutError
from botocore.retries.standard import ThrottledRetryableChecker, TransientRetryableChecker

from responsys_activation.aws.faults import AwsCallError, AwsRefusedError, aws_call


def answered(code: str, status: int | None) -> ClientError:
    """Return what boto3 raises for an error reply; without a status for one that it made up itself."""
    response: Any = {"Error": {"Code": code, "Message": "secret"}}
    if status is not None:
        response["ResponseMetadata"] = {"HTTPStatusCode": status}
    return ClientError(response, "Operation")


def told(error: Exception) -> AwsCallError:
    with pytest.raises(AwsCallError) as raised, aws_call("SSM get x"):
        raise error
    return raised.value


@pytest.mark.parametrize(
    "code",
    [
        "AccessDeniedException",
        "ResourceNotFoundException",
        "ValidationException",
        "DecryptionFailure",
        "InvalidKeyId",
        "KMSInvalidStateException",
        "UnrecognizedClientException",
    ],
)
def test_a_denial_is_told_from_an_outage(code: str) -> None:
    # Given a client error of AWS / When it is raised in a call
    error = told(answered(code, 400))
    # Then it is a refusal that names call and code, and no value
    assert isinstance(error, AwsRefusedError)
    assert str(error) == f"SSM get x: {code}"


@pytest.mark.parametrize(
    "error",
    [
        answered("InternalServerError", 500),
        answered("ServiceUnavailable", 503),
        answered("ThrottlingException", 400),
        answered("KmsThrottled", 400),
        answered("TransactionConflictException", 400),
        answered("SomethingNew", 429),
        answered("SomethingNew", None),
        ConnectTimeoutError(endpoint_url="https://aws"),
        ReadTimeoutError(endpoint_url="https://aws"),
        NoCredentialsError(),
    ],
)
def test_what_passes_by_itself_is_no_denial(error: ClientError | BotoCoreError) -> None:
    # Given a throttle, a server error or no answer / When it is raised in a call / Then AWS is only out of reach
    assert not isinstance(told(error), AwsRefusedError)


THROTTLES: Any = ThrottledRetryableChecker
TRANSIENT: Any = TransientRetryableChecker


@pytest.mark.parametrize("code", [*THROTTLES._THROTTLED_ERROR_CODES, *TRANSIENT._TRANSIENT_ERROR_CODES])
def test_whatever_botocore_would_try_again_is_no_denial(code: str) -> None:
    # Given a code of botocore's own lists / When it is raised in a call / Then AWS is only out of reach
    assert not isinstance(told(answered(code, 400)), AwsRefusedError)


def test_another_error_is_left_alone() -> None:
    # Given a mistake of ours / When it is raised in a call / Then it is not taken for AWS's
    with pytest.raises(KeyError), aws_call("SSM get x"):
        raise KeyError("x")
