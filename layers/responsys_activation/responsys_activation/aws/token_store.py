"""Where is a connector's token shared? An SSM SecureString each, written by the function itself.

Plain boto3: Powertools's parameter cache is not refreshed by a write and hides which error it was.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from responsys_activation.aws.faults import AwsUnavailableError, aws_call, error_code
from responsys_activation.connector import Connector
from responsys_activation.observability import logger
from responsys_activation.responsys.login import Token

if TYPE_CHECKING:
    from mypy_boto3_ssm import SSMClient
    from mypy_boto3_ssm.type_defs import PutParameterRequestTypeDef

__all__ = ["ParameterTokenStore"]


class ParameterTokenStore:
    """One connector's token.

    The parameter also names the account that the token is for, so that a connector moved to another account does
    not go on with the old one's token.

    Parameters
    ----------
    kms_key_id : str
        The key that encrypts the parameter; empty for the account's ``aws/ssm``.
    """

    def __init__(self, parameter: str, connector: Connector, client: SSMClient, *, kms_key_id: str = "") -> None:
        self._parameter = parameter
        self._kms_key_id = kms_key_id
        self._account = {
            "authEndpoint": connector.auth_endpoint,
            "credentialsSecretId": connector.credentials_secret_id,
        }
        self._client = client

    def read(self) -> Token | None:
        """Read the token; ``None`` when there is none for this account.

        Raises
        ------
        AwsUnavailableError
            SSM did not answer.
        """
        with aws_call(f"SSM get {self._parameter}"):
            try:
                parameter = self._client.get_parameter(Name=self._parameter, WithDecryption=True)["Parameter"]
            except ClientError as exc:
                if error_code(exc) == "ParameterNotFound":
                    return None
                raise
        try:
            stored = json.loads(parameter["Value"])
            if {name: stored[name] for name in self._account} != self._account:
                return None
            return Token(str(stored["authToken"]), str(stored["endPoint"]), float(stored["obtainedAt"]))
        except (ValueError, TypeError, KeyError):
            return None  # written by hand or by another version: a login replaces it

    def write(self, token: Token) -> None:
        """Share the token. A failure costs other environments a login, not this one its work."""
        value = self._account | {
            "authToken": token.auth_token,
            "endPoint": token.end_point,
            "obtainedAt": token.obtained_at,
        }
        request: PutParameterRequestTypeDef = {
            "Name": self._parameter,
            "Value": json.dumps(value),
            "Type": "SecureString",
            "Overwrite": True,
        }
        if self._kms_key_id:
            request["KeyId"] = self._kms_key_id
        try:
            with aws_call(f"SSM put {self._parameter}"):
                self._client.put_parameter(**request)
        except AwsUnavailableError as exc:
            logger.warning("token not shared", extra={"fault": str(exc)})
