"""What is the connector check made of?

Put together here once, for the function and the tests alike, so that what is tested is what ships.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from responsys_activation.aws.clients import Clients
from responsys_activation.aws.connectors import ConnectorParameters
from responsys_activation.connector_check.check import ConnectorCheck
from responsys_activation.login_composition import LoginComposition
from responsys_activation.observability import InvocationMetrics
from responsys_activation.responsys.endpoint import TrustedDomains
from responsys_activation.responsys.http import HttpSession
from responsys_activation.settings import ConnectionSettings

__all__ = ["compose_connector_check"]

_SERVICE = "connector_check"


def compose_connector_check(
    settings: ConnectionSettings,
    clients: Clients,
    *,
    metrics: InvocationMetrics | None = None,
    http: HttpSession | None = None,
    clock: Callable[[], float] = time.time,
    sleep: Callable[[float], None] = time.sleep,
) -> ConnectorCheck:
    """Put the real parts together.

    Parameters
    ----------
    metrics : InvocationMetrics or None
        Where everything is counted; ``None``: in new ones.
    http : HttpSession or None
        The connections to Responsys; ``None``: new ones.
    clock, sleep : callable
        The time in epoch seconds, and waiting; a test has its own.
    """
    http = http or HttpSession(settings.reply_seconds)
    trusted = TrustedDomains(settings.trusted_endpoint_domains)
    metrics = metrics or InvocationMetrics()
    logins = LoginComposition(
        settings,
        clients,
        http=http,
        trusted=trusted,
        metrics=metrics,
        service=_SERVICE,
        clock=clock,
        sleep=sleep,
    )
    return ConnectorCheck(
        parameters=ConnectorParameters(settings.connector_parameter_prefix, clients.ssm),
        read_credentials=logins.open_credentials,
        open_client=logins.open_proving_client,
        forget_refused_login=lambda host, user: logins.open_guard(host, user).forget(),
        trusted=trusted,
        metrics=metrics,
        service=_SERVICE,
        clock=clock,
    )
