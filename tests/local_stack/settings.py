"""What does the environment ask of the local stack?"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from tests.local_stack.processes import LocalStackError

DEFAULT_AWS_PORT = 4566

_PARAMETERS = {
    "RESPONSYS_AUTH_ENDPOINT": "ResponsysAuthEndpoint",
    "RESPONSYS_USERNAME": "ResponsysUsername",
    "RESPONSYS_PASSWORD": "ResponsysPassword",
    "PROFILE_LIST_NAME": "ProfileListName",
    "PROFILE_LIST_FOLDER": "ProfileListFolder",
    "IDENTIFIER_TYPE": "IdentifierType",
    "DEFAULT_EVENT_NAME": "DefaultEventName",
    "REQUESTS_PER_MINUTE": "RequestsPerMinute",
    "BATCHING_WINDOW_SECONDS": "BatchingWindowSeconds",
}


@dataclass(frozen=True)
class LocalSettings:
    """The settings of `make local`.

    Parameters
    ----------
    parameters
        Deployment parameters that were given.
    aws_port
        Port of the emulated AWS.
    time_scale
        Divides every wait of ours.
    """

    parameters: Mapping[str, str] = field(default_factory=dict)
    aws_port: int = DEFAULT_AWS_PORT
    time_scale: float = 1.0


def read_settings(environment: Mapping[str, str]) -> LocalSettings:
    """Read the settings of `make local`.

    Raises
    ------
    LocalStackError
        AWS_PORT is no port or TIME_SCALE no positive number.
    """
    port = environment.get("AWS_PORT") or str(DEFAULT_AWS_PORT)
    scale = environment.get("TIME_SCALE") or "1"
    if not port.isdecimal() or not 0 < int(port) < 65536:
        raise LocalStackError(f"AWS_PORT must be a port from 1 to 65535, not {port}.")
    return LocalSettings(
        parameters={name: environment[variable] for variable, name in _PARAMETERS.items() if variable in environment},
        aws_port=int(port),
        time_scale=_positive_number("TIME_SCALE", scale),
    )


def _positive_number(variable: str, value: str) -> float:
    try:
        number = float(value)
    except ValueError:
        number = 0.0
    if not 0 < number < float("inf"):
        raise LocalStackError(f"{variable} must be a number greater than 0, not {value}.")
    return number
