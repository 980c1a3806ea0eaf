"""Which settings does a connector have? One SSM parameter each, all of them listed together.

A listing also tells that a name has no parameter, so that messages which name thousands of connectors cost no more
calls than those that name one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from responsys_activation.account import account_id
from responsys_activation.aws.faults import AwsCallError, aws_call, error_code
from responsys_activation.connector import Connector, InvalidConnectorError, read_connector
from responsys_activation.membership import is_connector_name
from responsys_activation.observability import logger

if TYPE_CHECKING:
    from mypy_boto3_ssm import SSMClient
    from mypy_boto3_ssm.type_defs import ParameterTypeDef

__all__ = ["ConnectorParameter", "ConnectorParameters", "ConnectorSettings", "UnknownConnectorError"]

_MAXIMUM_AGE = 270.0  # seconds; the contract says that a change takes effect within five minutes
_UNKNOWN_AGE = 30.0  # seconds until a name without a parameter may have got one
_FAULT_MEMORY = 5.0  # seconds until SSM is asked again after a fault


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
    """What the SSM parameters below a prefix say at this moment: read past every memory.

    Parameters
    ----------
    prefix : str
        What stands before the connector's name in the name of its parameter; ends in a slash.
    """

    def __init__(self, prefix: str, client: SSMClient) -> None:
        self._prefix = prefix
        self._client = client

    def name_of(self, connector: str) -> str:
        """Return the name of a connector's parameter."""
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


class UnknownConnectorError(LookupError):
    """No parameter of that name."""


class ConnectorSettings:
    """Reads connectors, and remembers them for some minutes.

    Parameters
    ----------
    time_scale : float
        Divides how long they are remembered; 1 but on the local stack.
    """

    def __init__(
        self, parameters: ConnectorParameters, *, time_scale: float = 1.0, clock: Callable[[], float] = time.time
    ) -> None:
        self._parameters = parameters
        self._time_scale = time_scale
        self._clock = clock
        self._listed: dict[str, Connector | InvalidConnectorError] = {}
        self._accounts: set[str] = set()
        self._listed_at = float("-inf")
        self._fault: AwsCallError | None = None
        self._fault_until = 0.0

    def read(self, name: str) -> Connector:
        """Read one connector.

        Raises
        ------
        UnknownConnectorError
            There is no such parameter.
        InvalidConnectorError
            Its JSON cannot be used.
        AwsCallError
            SSM refused or did not answer.
        """
        if self._age >= _MAXIMUM_AGE or (name not in self._listed and self._age >= _UNKNOWN_AGE):
            self._list()
        found = self._listed.get(name)
        if found is None:
            raise UnknownConnectorError(f"connector {name}: no SSM parameter {self._parameters.name_of(name)}")
        if isinstance(found, InvalidConnectorError):
            raise found
        return found

    def read_all(self) -> Mapping[str, Connector | InvalidConnectorError]:
        """Read all connectors there are.

        Raises
        ------
        AwsCallError
            SSM refused or did not answer.
        """
        if self._age >= _MAXIMUM_AGE:
            self._list()
        return self._listed

    @property
    def _age(self) -> float:
        return (self._clock() - self._listed_at) * self._time_scale

    def several_accounts(self) -> bool:
        """Return whether the connectors last listed are of more than one account."""
        return len(self._accounts) > 1

    def _list(self) -> None:
        now = self._clock()
        if self._fault and now < self._fault_until:
            raise self._fault
        try:
            parameters = self._parameters.read_all()
        except AwsCallError as exc:
            logger.warning("connectors not listed", extra={"fault": str(exc)})
            self._fault, self._fault_until = exc, now + _FAULT_MEMORY / self._time_scale
            raise
        # A name that no message can have is no connector's; the connector check tells of it.
        self._listed = {
            name: _connector(parameter) for name, parameter in parameters.items() if is_connector_name(name)
        }
        self._accounts = {account_id(found) for found in self._listed.values() if isinstance(found, Connector)}
        self._listed_at, self._fault = now, None


def _connector(parameter: ConnectorParameter) -> Connector | InvalidConnectorError:
    if parameter.encrypted:
        return InvalidConnectorError("settings: the parameter is a SecureString; put it again as a String")
    try:
        return read_connector(parameter.text)
    except InvalidConnectorError as exc:
        return exc


def _parameter(parameter: ParameterTypeDef) -> ConnectorParameter:
    return ConnectorParameter(parameter["Value"], encrypted=parameter["Type"] == "SecureString")
