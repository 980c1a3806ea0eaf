"""Where is an account's token shared? One SSM SecureString each, written by the function itself."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from responsys_activation.aws.faults import AwsCallError, AwsRefusedError, aws_call, error_code
from responsys_activation.observability import logger
from responsys_activation.responsys.login import Token

if TYPE_CHECKING:
    from mypy_boto3_ssm import SSMClient

__all__ = ["ParameterTokenStore"]


class ParameterTokenStore:
    """One account's token.

    The parameter names the account in its value too, so that one that was copied or renamed is not taken for another
    account's.

    Parameters
    ----------
    prefix : str
        What stands before the account's id in the parameter's name.
    account : str
        The account's id.
    kms_key_id : str
        The key that encrypts the parameter; empty for the account's ``aws/ssm``.
    """

    def __init__(self, prefix: str, account: str, client: SSMClient, *, kms_key_id: str = "") -> None:
        self._parameter = f"{prefix}{account}"
        self._account = account
        self._kms_key_id = kms_key_id
        self._client = client

    def read(self) -> Token | None:
        """Read the token; ``None`` when there is none for this account, or none that may be read.

        Raises
        ------
        AwsCallError
            SSM refused or did not answer.
        """
        try:
            with aws_call(f"SSM get {self._parameter}"):
                parameter = self._client.get_parameter(Name=self._parameter, WithDecryption=True)["Parameter"]
        except AwsRefusedError as exc:
            # Encrypted with a key of before, say: a login replaces it, where waiting for it would never end.
            if error_code(exc.__cause__) != "ParameterNotFound":
                logger.error("token not readable", extra={"fault": str(exc)})
            return None
        try:
            stored = json.loads(parameter["Value"])
            if stored["account"] != self._account:
                return None
            return Token(
                str(stored["authToken"]),
                str(stored["endPoint"]),
                float(stored["obtainedAt"]),
                bool(stored.get("renewedInDoubt")),
            )
        except (ValueError, TypeError, KeyError):
            return None  # written by hand or by another version: a login replaces it

    def write(self, token: Token) -> None:
        """Share the token. A failure costs other environments a login, not this one its work."""
        value = {
            "account": self._account,
            "authToken": token.auth_token,
            "endPoint": token.end_point,
            "obtainedAt": token.obtained_at,
            "renewedInDoubt": token.renewed_in_doubt,
        }
        key: Any = {"KeyId": self._kms_key_id} if self._kms_key_id else {}
        try:
            with aws_call(f"SSM put {self._parameter}"):
                self._client.put_parameter(
                    Name=self._parameter, Value=json.dumps(value), Type="SecureString", Overwrite=True, **key
                )
        except AwsCallError as exc:
            logger.warning("token not shared", extra={"fault": str(exc)})
