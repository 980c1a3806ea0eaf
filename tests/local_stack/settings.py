"""What does the environment ask of the local stack?"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from tests.local_stack.processes import LocalStackError

DEFAULT_AWS_PORT = 4566
DEFAULT_PAGE_PORT = 4567

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
    page_port
        Port of the page.
    time_scale
        Divides every wait of ours.
    """

    parameters: Mapping[str, str] = field(default_factory=dict)
    aws_port: int = DEFAULT_AWS_PORT
    page_port: int = DEFAULT_PAGE_PORT
    time_scale: float = 1.0


def read_settings(environment: Mapping[str, str]) -> LocalSettings:
    """Read the settings of `make local`.

    Raises
    ------
    LocalStackError
        AWS_PORT or PAGE_PORT is no port, or TIME_SCALE no positive number.
    """
    scale = environment.get("TIME_SCALE") or "1"
    return LocalSettings(
        parameters={name: environment[variable] for variable, name in _PARAMETERS.items() if variable in environment},
        aws_port=_port("AWS_PORT", environment, DEFAULT_AWS_PORT),
        page_port=_port("PAGE_PORT", environment, DEFAULT_PAGE_PORT),
        time_scale=_positive_number("TIME_SCALE", scale),
    )


def _port(variable: str, environment: Mapping[str, str], default: int) -> int:
    value = environment.get(variable) or str(default)
    if not value.isdecimal() or not 0 < int(value) < 65536:
        raise LocalStackError(f"{variable} must be a port from 1 to 65535, not {value}.")
    return int(value)


def _positive_number(variable: str, value: str) -> float:
    try:
        number = float(value)
    except ValueError:
        number = 0.0
    if not 0 < number < float("inf"):
        raise LocalStackError(f"{variable} must be a number greater than 0, not {value}.")
    return number
