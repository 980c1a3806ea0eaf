"""Are the credentials right at this moment?

A real login proves it, under the guard that all environments share, and at most one for the same credentials.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from responsys_activation.connector import Connector
from responsys_activation.responsys.client import ResponsysClient
from responsys_activation.responsys.errors import ResponsysError
from responsys_activation.responsys.login import Credentials

__all__ = ["ClientOpener", "Logins"]


class ClientOpener(Protocol):
    """Who knows how a connector logs in."""

    def __call__(self, name: str, connector: Connector, credentials: Credentials) -> ResponsysClient:
        """Open a client that has no token yet, and logs in once."""


class Logins:
    """At most one login for the same credentials: a wrong password that many connectors share is tried once.

    Parameters
    ----------
    forget : callable or None
        Clears what is remembered of a login host and user, where a person asked for that; done once for each.
    """

    def __init__(self, open_client: ClientOpener, forget: Callable[[str, str], None] | None = None) -> None:
        self._open_client = open_client
        self._forget = forget
        self._forgotten: set[tuple[str, str]] = set()
        self._ended: dict[tuple[str, str, str], ResponsysClient | ResponsysError] = {}

    def logged_in(
        self, name: str, connector: Connector, host: str, credentials: Credentials, deadline: float
    ) -> ResponsysClient:
        """Return a client that has logged in with these credentials, or raise what became of that.

        Raises
        ------
        ResponsysError
            The login failed, now or for a connector before this one.
        AwsCallError
            What all environments know about logins could not be read, or not be cleared.
        """
        key = (host, credentials.username, credentials.password)
        if key not in self._ended:
            self._forget_once(host, credentials.user)
            client = self._open_client(name, connector, credentials)
            try:
                client.log_in(deadline)
                self._ended[key] = client
            except ResponsysError as exc:
                self._ended[key] = exc
        ended = self._ended[key]
        if isinstance(ended, ResponsysError):
            raise ended
        return ended

    def _forget_once(self, host: str, user: str) -> None:
        if self._forget is not None and (host, user) not in self._forgotten:
            self._forget(host, user)
            self._forgotten.add((host, user))
