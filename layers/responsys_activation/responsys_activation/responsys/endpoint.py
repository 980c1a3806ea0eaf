"""Which hosts may get a password or a token?"""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import urlsplit

__all__ = ["TrustedDomains", "UntrustedEndpointError"]

# Nothing but scheme, host and port: no user part, path, query or character that two URL parsers read differently,
# and no empty or overlong label, at which the HTTP library fails in a way of its own.
_LABEL = r"[A-Za-z0-9-]{1,63}"
_HOST = rf"{_LABEL}(?:\.{_LABEL})*|\[[0-9A-Fa-f:]+\]"
_BASE_URL = re.compile(rf"(?P<scheme>https?)://(?P<authority>(?:{_HOST})(?::[0-9]{{1,5}})?)/?")


class UntrustedEndpointError(ValueError):
    """The address is not an ``https`` host under the trusted domains."""


@dataclass(frozen=True, slots=True)
class TrustedDomains:
    """The domains that may get credentials and tokens.

    Parameters
    ----------
    domains : tuple of str
        A host is trusted when it is one of them or ends in ``.`` and one of them.

    Examples
    --------
    >>> TrustedDomains(("responsys.net",)).base_url("login5.responsys.net/")
    'https://login5.responsys.net'
    """

    domains: tuple[str, ...]

    def base_url(self, address: str) -> str:
        """Return the address as scheme, host and port, without a trailing slash.

        Responsys writes ``endPoint`` with a scheme on the wire and without one in its documentation: both are read.

        Raises
        ------
        UntrustedEndpointError
            Not a plain ``https`` address, or a host outside the domains. Plain ``http`` is for a loopback address
            that is itself in the list.
        """
        match = _BASE_URL.fullmatch(address if "://" in address else f"https://{address}")
        if match is None:
            raise UntrustedEndpointError("must be https://, a host and nothing else")
        base_url = f"{match['scheme']}://{match['authority']}".lower()
        try:
            parts = urlsplit(base_url)
            host, _ = parts.hostname or "", parts.port
        except ValueError:
            raise UntrustedEndpointError("must be https://, a host and nothing else") from None
        if parts.scheme == "http" and not (_is_loopback(host) and host in self.domains):
            raise UntrustedEndpointError(f"host {host} must be reached over https")
        if not any(host == domain or host.endswith(f".{domain}") for domain in self.domains):
            raise UntrustedEndpointError(f"host {host} is not under the trusted domains {', '.join(self.domains)}")
        return base_url

    def trusts(self, base_url: str) -> bool:
        """Return whether an address is one that :meth:`base_url` accepts."""
        try:
            self.base_url(base_url)
        except UntrustedEndpointError:
            return False
        return True


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
