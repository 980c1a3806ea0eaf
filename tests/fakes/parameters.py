"""What would Systems Manager and Secrets Manager answer? Parameters and secrets in memory."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from tests.fakes.dynamodb import client_error

Around = Callable[[str, Callable[[], dict[str, Any]]], dict[str, Any]]


def at_once(_service: str, effect: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Make a call that cannot fail."""
    return effect()


class InMemoryParameters:
    """The two calls of Systems Manager that the package makes.

    Parameters
    ----------
    around : callable
        Makes a call with its service's name and effect; what fails, fails there.
    """

    def __init__(self, values: dict[str, str], around: Around = at_once) -> None:
        self.values = values
        self._around = around

    def get_parameter(self, *, Name: str, WithDecryption: bool = False) -> dict[str, Any]:  # noqa: N803
        def get() -> dict[str, Any]:
            if Name not in self.values:
                raise client_error("ParameterNotFound", "GetParameter", ResponseMetadata={"HTTPStatusCode": 400})
            return {"Parameter": {"Name": Name, "Value": self.values[Name], "Type": "String"}}

        return self._around("ssm", get)

    def put_parameter(self, *, Name: str, Value: str, Type: str, Overwrite: bool) -> dict[str, Any]:  # noqa: N803
        def put() -> dict[str, Any]:
            if Type != "SecureString" or not Overwrite:
                raise client_error("ValidationException", "PutParameter")
            self.values[Name] = Value
            return {"Version": 1}

        return self._around("ssm", put)


class InMemorySecrets:
    """The one call of Secrets Manager that the package makes.

    Parameters
    ----------
    values : dict of str to str
        What the secrets hold, written long ago.
    """

    def __init__(self, values: dict[str, str], around: Around = at_once) -> None:
        self.values = values
        self._around = around
        self._written: defaultdict[str, list[float]] = defaultdict(lambda: [0.0])

    def put(self, name: str, value: str, written_at: float) -> None:
        """Write a secret anew, at epoch seconds."""
        self.values[name] = value
        self._written[name].append(written_at)

    def get_secret_value(self, *, SecretId: str) -> dict[str, Any]:  # noqa: N803
        def get() -> dict[str, Any]:
            if SecretId not in self.values:
                raise client_error(
                    "ResourceNotFoundException", "GetSecretValue", ResponseMetadata={"HTTPStatusCode": 400}
                )
            written = self._written[SecretId]
            return {
                "ARN": f"arn:aws:secretsmanager:eu-west-1:123456789012:secret:{SecretId}-AbCdEf",
                "SecretString": self.values[SecretId],
                "VersionId": f"version-{len(written)}",
                "CreatedDate": datetime.fromtimestamp(written[-1], UTC),
            }

        return self._around("secrets", get)
