"""What do the connectors' parameters say at this moment? Read past every cache."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from responsys_activation.aws.faults import aws_call, error_code

if TYPE_CHECKING:
    from mypy_boto3_ssm import SSMClient
    from mypy_boto3_ssm.type_defs import ParameterTypeDef

__all__ = ["ConnectorParameter", "ConnectorParameters"]


@dataclass(frozen=True, slots=True)
class ConnectorParameter:
    """One connector's SSM parameter.

    Attributes
    ----------
    text : str
        Its value as stored: the ciphertext of a ``SecureString``.
    """

    text: str
    encrypted: bool


class ConnectorParameters:
    """The SSM parameters below a prefix.

    Parameters
    ----------
    prefix : str
        What stands before the connector's name in the name of its parameter; ends in a slash.
    """

    def __init__(self, prefix: str, client: SSMClient) -> None:
        self._prefix = prefix
        self._client = client

    def name_of(self, connector: str) -> str:
        """Give the name of a connector's parameter."""
        return f"{self._prefix}{connector}"

    def read(self, connector: str) -> ConnectorParameter | None:
        """Read one connector's parameter; ``None`` when there is none.

        Raises
        ------
        AwsCallError
            SSM refused or did not answer.
        """
        name = self.name_of(connector)
        with aws_call(f"SSM get {name}"):
            try:
                return _parameter(self._client.get_parameter(Name=name)["Parameter"])
            except ClientError as exc:
                if error_code(exc) == "ParameterNotFound":
                    return None
                raise

    def read_all(self) -> dict[str, ConnectorParameter]:
        """Read every connector's parameter, by the connector's name.

        Raises
        ------
        AwsCallError
            SSM refused or did not answer.
        """
        path = self._prefix.rstrip("/")
        found: dict[str, ConnectorParameter] = {}
        with aws_call(f"SSM list {path}"):
            page = self._client.get_parameters_by_path(Path=path)
            while True:
                for parameter in page["Parameters"]:
                    found[parameter["Name"].removeprefix(self._prefix)] = _parameter(parameter)
                if not (token := page.get("NextToken")):
                    return dict(sorted(found.items()))
                page = self._client.get_parameters_by_path(Path=path, NextToken=token)


def _parameter(parameter: ParameterTypeDef) -> ConnectorParameter:
    return ConnectorParameter(parameter["Value"], encrypted=parameter["Type"] == "SecureString")
