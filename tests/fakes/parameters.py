"""What would Systems Manager and Secrets Manager answer? Parameters and secrets in memory."""

from __future__ import annotations

from collections.abc import Callable
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
                raise client_error("ParameterNotFound", "GetParameter")
            return {"Parameter": {"Name": Name, "Value": self.values[Name]}}

        return self._around("ssm", get)

    def put_parameter(self, *, Name: str, Value: str, Type: str, Overwrite: bool) -> dict[str, Any]:  # noqa: N803
        def put() -> dict[str, Any]:
            if Type != "SecureString" or not Overwrite:
                raise client_error("ValidationException", "PutParameter")
            self.values[Name] = Value
            return {"Version": 1}

        return self._around("ssm", put)


class InMemorySecrets:
    """The one call of Secrets Manager that the package makes."""

    def __init__(self, values: dict[str, str], around: Around = at_once) -> None:
        self.values = values
        self._around = around

    def get_secret_value(self, *, SecretId: str) -> dict[str, Any]:  # noqa: N803
        def get() -> dict[str, Any]:
            if SecretId not in self.values:
                raise client_error("ResourceNotFoundException", "GetSecretValue")
            return {"SecretString": self.values[SecretId], "VersionId": "version-1"}

        return self._around("secrets", get)
