"""What is the connector check made of? Put together here once, so that what is tested is what ships."""

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
    """Put the parts together; a test has metrics, connections to Responsys and a clock of its own."""
    trusted = TrustedDomains(settings.trusted_endpoint_domains)
    metrics = metrics or InvocationMetrics(settings.stack_name)
    logins = LoginComposition(
        settings,
        clients,
        http=http or HttpSession(settings.reply_seconds),
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
