"""Which settings does a connector have? An SSM parameter each."""

from __future__ import annotations

from aws_lambda_powertools.utilities.parameters import SSMProvider
from aws_lambda_powertools.utilities.parameters.exceptions import GetParameterError

from responsys_activation.aws.faults import AwsUnavailableError, error_code
from responsys_activation.connector import Connector, read_connector

__all__ = ["ConnectorSettings", "UnknownConnectorError"]

_MAXIMUM_AGE = 270  # seconds; the contract says that a change takes effect within five minutes


class UnknownConnectorError(LookupError):
    """No parameter of that name."""


class ConnectorSettings:
    """Reads connectors, each at most once in five minutes and environment.

    Parameters
    ----------
    prefix : str
        What stands before the connector's name in the name of its SSM parameter.
    """

    def __init__(self, prefix: str, provider: SSMProvider) -> None:
        self._prefix = prefix
        self._provider = provider

    def read(self, name: str) -> Connector:
        """Read one connector.

        Raises
        ------
        UnknownConnectorError
            There is no such parameter.
        InvalidConnectorError
            Its JSON cannot be used.
        AwsUnavailableError
            SSM did not answer.
        """
        parameter = f"{self._prefix}{name}"
        try:
            text = self._provider.get(parameter, max_age=_MAXIMUM_AGE)
        except GetParameterError as exc:  # Powertools wraps every error in this one
            if error_code(exc.__cause__ or exc.__context__) == "ParameterNotFound":
                raise UnknownConnectorError(f"connector {name}: no SSM parameter {parameter}") from exc
            raise AwsUnavailableError(f"SSM get {parameter}: {error_code(exc.__cause__ or exc.__context__)}") from exc
        return read_connector(str(text))
