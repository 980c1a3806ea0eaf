"""Would CloudFormation take these deployment parameters, and does the login endpoint lie in a trusted domain?

Checked before anything starts, so that a mistake gets one line with the parameter's name. The template's
`Rules` are left to the emulator, which evaluates them as CloudFormation does.
"""

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from tests.local_stack.processes import LocalStackError

_LOOPBACK_HOSTS = ("127.0.0.1", "localhost", "::1")


class ParameterError(LocalStackError):
    """A deployment parameter is missing or refused; the message begins with its name."""


def resolved_parameters(template: Mapping[str, Any], given: Mapping[str, str]) -> dict[str, str]:
    """Return the value of every parameter of a template, as CloudFormation would take them.

    Raises
    ------
    ParameterError
        A value is missing, breaks a constraint, or is for a parameter that the template does not have.
    """
    declared: Mapping[str, Mapping[str, Any]] = template.get("Parameters", {})
    for name in given:
        if name not in declared:
            raise ParameterError(f"{name} is not a parameter of the template.")
    values = {}
    for name, declaration in declared.items():
        if name not in given and "Default" not in declaration:
            raise ParameterError(f"{name} must have a value: {declaration.get('Description', 'it is required.')}")
        value = str(given.get(name, declaration.get("Default")))
        if not _satisfies(declaration, value):
            fallback = f"{name} must satisfy the constraints of the template."
            raise ParameterError(declaration.get("ConstraintDescription", fallback))
        values[name] = value
    return values


def _satisfies(declaration: Mapping[str, Any], value: str) -> bool:
    if declaration.get("Type") == "Number":
        # CloudFormation takes fractions here, and then fails to create the resource: what is counted is whole.
        if not value.isdecimal():
            return False
        number = int(value)
        if not declaration.get("MinValue", number) <= number <= declaration.get("MaxValue", number):
            return False
    allowed = declaration.get("AllowedValues")
    # The pattern of a list is for each of its members.
    members = value.split(",") if declaration.get("Type") == "CommaDelimitedList" else [value]
    return (
        int(declaration.get("MinLength", 0)) <= len(value) <= int(declaration.get("MaxLength", len(value)))
        and (allowed is None or value in map(str, allowed))
        and all(re.fullmatch(declaration.get("AllowedPattern", ".*"), member, re.DOTALL) for member in members)
    )


def require_trusted_endpoint(values: Mapping[str, str]) -> None:
    """Refuse a login endpoint that credentials must not be sent to.

    Raises
    ------
    ParameterError
        It is neither `https` nor a loopback address, or its host is in none of the trusted domains.
    """
    endpoint = urlsplit(values["ResponsysAuthEndpoint"])
    host = endpoint.hostname or ""
    if endpoint.scheme != "https" and host not in _LOOPBACK_HOSTS:
        raise ParameterError("ResponsysAuthEndpoint must begin with https://, but for a loopback address.")
    domains = [domain.strip("[]").lower() for domain in values["TrustedEndpointDomains"].split(",")]
    if not any(host == domain or host.endswith(f".{domain}") for domain in domains):
        raise ParameterError(
            f"ResponsysAuthEndpoint names the host {host}, which is in none of the TrustedEndpointDomains "
            f"({', '.join(domains)})."
        )
