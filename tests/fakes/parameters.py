"""What would Systems Manager and Secrets Manager answer? Parameters and secrets in memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from tests.fakes.clock import NOW
from tests.fakes.dynamodb import client_error

_PAGE = 10  # parameters that one call lists

Around = Callable[[str, Callable[[], dict[str, Any]]], dict[str, Any]]


def at_once(_service: str, effect: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Make a call that cannot fail."""
    return effect()


class InMemoryParameters:
    """The calls of Systems Manager that the package makes.

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

    def get_parameters_by_path(self, *, Path: str, NextToken: str = "0") -> dict[str, Any]:  # noqa: N803
        def get() -> dict[str, Any]:
            names = sorted(name for name in self.values if name.rpartition("/")[0] == Path)
            first, last = int(NextToken), int(NextToken) + _PAGE
            found = [{"Name": name, "Value": self.values[name], "Type": "String"} for name in names[first:last]]
            return {"Parameters": found} | ({"NextToken": str(last)} if names[last:] else {})

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

    Attributes
    ----------
    values : dict of str to str
        By the secret's name; :meth:`put` makes another version.
    """

    def __init__(
        self, values: dict[str, str], around: Around = at_once, clock: Callable[[], float] = lambda: NOW
    ) -> None:
        self.values = values
        self._around = around
        self._clock = clock
        self._versions: Counter[str] = Counter()
        self._created: dict[str, float] = {}

    def put(self, secret_id: str, value: str, written_at: float | None = None) -> None:
        """Give a secret a new version, written now or at epoch seconds."""
        self.values[secret_id] = value
        self._versions[secret_id] += 1
        self._created[secret_id] = self._clock() if written_at is None else written_at

    def get_secret_value(self, *, SecretId: str) -> dict[str, Any]:  # noqa: N803
        def get() -> dict[str, Any]:
            if SecretId not in self.values:
                raise client_error(
                    "ResourceNotFoundException", "GetSecretValue", ResponseMetadata={"HTTPStatusCode": 400}
                )
            return {
                "ARN": f"arn:aws:secretsmanager:eu-west-1:123456789012:secret:{SecretId}-AbCdEf",
                "SecretString": self.values[SecretId],
                "VersionId": f"version-{1 + self._versions[SecretId]}",
                "CreatedDate": datetime.fromtimestamp(self._created.get(SecretId, 0.0), UTC),
            }

        return self._around("secrets", get)
