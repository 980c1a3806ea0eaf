"""What is the connector check made of?

Put together here once, for the function and the tests alike, so that what is tested is what ships.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import requests

from responsys_activation.aws.clients import Clients
from responsys_activation.aws.connectors import ConnectorParameters
from responsys_activation.connector_check.check import ConnectorCheck
from responsys_activation.login_composition import LoginComposition
from responsys_activation.responsys.endpoint import TrustedDomains
from responsys_activation.responsys.http import open_http_session
from responsys_activation.responsys.session import LoginObserver
from responsys_activation.settings import ConnectionSettings

__all__ = ["compose_connector_check"]


def compose_connector_check(
    settings: ConnectionSettings,
    clients: Clients,
    *,
    observer: LoginObserver,
    http: requests.Session | None = None,
    clock: Callable[[], float] = time.time,
    sleep: Callable[[float], None] = time.sleep,
) -> ConnectorCheck:
    """Put the real parts together.

    Parameters
    ----------
    http : requests.Session or None
        What speaks to Responsys; ``None``: one is opened.
    clock, sleep : callable
        The time in epoch seconds, and waiting; a test has its own.
    """
    http = http or open_http_session(settings.reply_seconds)
    trusted = TrustedDomains(settings.trusted_endpoint_domains)
    logins = LoginComposition(
        settings, clients, http=http, trusted=trusted, observer=observer, clock=clock, sleep=sleep
    )
    return ConnectorCheck(
        parameters=ConnectorParameters(settings.connector_parameter_prefix, clients.ssm),
        read_credentials=logins.open_credentials,
        open_session=logins.open_proving_session,
        forget_refused_login=lambda host, user: logins.open_guard(host, user).forget(),
        http=http,
        trusted=trusted,
        clock=clock,
    )
