"""What are a connector's user name and password? A Secrets Manager secret each."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from responsys_activation.aws.faults import AwsRefusedError, aws_call, error_code
from responsys_activation.error_code import ErrorCode
from responsys_activation.responsys.errors import LoginRefusedError
from responsys_activation.responsys.login import LOOK_AGAIN_AFTER, Credentials, SecretVersion

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient

__all__ = ["SecretCredentials"]


class SecretCredentials:
    """Reads one secret, anew at each call: logins are rare, and a rotated secret must count at once."""

    def __init__(self, secret_id: str, client: SecretsManagerClient) -> None:
        self._secret_id = secret_id
        self._client = client

    def __call__(self) -> Credentials:
        """Read user name and password, as they stand: a blank at an end may be part of them.

        Raises
        ------
        LoginRefusedError
            There is no such secret, it may not be read, or it does not hold the two: a person must mend it.
        AwsCallError
            Secrets Manager refused or did not answer.
        """
        try:
            with aws_call(f"Secrets Manager get {self._secret_id}"):
                secret = self._client.get_secret_value(SecretId=self._secret_id)
        except AwsRefusedError as exc:
            code = error_code(exc.__cause__)
            if code == "ResourceNotFoundException":
                raise _unusable(f"no secret {self._secret_id}") from exc
            raise _unusable(f"secret {self._secret_id} may not be read ({code})") from exc
        try:
            document = json.loads(secret.get("SecretString", ""))
            username, password = document["username"], document["password"]
        except (ValueError, TypeError, KeyError):
            raise _unusable(f"secret {self._secret_id} must hold JSON with username and password") from None
        if not (isinstance(username, str) and username and isinstance(password, str) and password):
            raise _unusable(f"secret {self._secret_id}: username and password must be texts, not empty")
        # Its ARN, for connectors may name one secret in several ways. The date is the version's, not the secret's.
        version = SecretVersion(secret["ARN"], secret["VersionId"], secret["CreatedDate"].timestamp())
        return Credentials(username, password, version)


def _unusable(reason: str) -> LoginRefusedError:
    return LoginRefusedError(ErrorCode.INVALID_CREDENTIALS, clock=LOOK_AGAIN_AFTER, title=reason)
