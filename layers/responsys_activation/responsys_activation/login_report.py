"""What is logged and counted of a connector's logins?"""

from __future__ import annotations

from responsys_activation.observability import InvocationMetrics, logger

__all__ = ["LoginReport"]


class LoginReport:
    """Logs and counts one connector's logins.

    Parameters
    ----------
    service : str
        The dimension under which the whole function's counters stand.
    """

    def __init__(self, metrics: InvocationMetrics, *, service: str, connector: str) -> None:
        self._metrics = metrics
        self._service = service
        self._connector = connector

    def login_ended(self, *, refused_code: str | None) -> None:
        """Report one login, taken or refused."""
        self._metrics.count("TokenLogins", connector=self._connector)
        self._metrics.count("TokenLoginFailures", int(refused_code is not None), connector=self._connector)
        self._metrics.count("TokenLoginFailures", int(refused_code is not None), service=self._service)
        if refused_code is None:
            logger.info("logged in", extra={"connector": self._connector})
        else:
            logger.error("login refused", extra={"connector": self._connector, "errorCode": refused_code})

    def login_held_back(self, *, code: str, reason: str) -> None:
        """Report a login that is needed and may not be tried: once per invocation, however many requests need it."""
        if self._metrics.count_once("LoginsHeldBack", connector=self._connector):
            self._metrics.count("LoginsHeldBack", service=self._service)
            fields = {"connector": self._connector, "errorCode": code, "errorTitle": reason}
            logger.error("login held back", extra=fields)
