"""What is a Responsys client made of, with its logins?

Put together here once, for the function that delivers and the one that checks: both must heed the same guard.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from responsys_activation.account import account_id
from responsys_activation.aws.clients import Clients
from responsys_activation.aws.credentials import SecretCredentials
from responsys_activation.aws.delivery_table import DeliveryTable
from responsys_activation.aws.login_guard import TableLoginGuard
from responsys_activation.aws.token_store import ParameterTokenStore
from responsys_activation.connector import Connector
from responsys_activation.login_report import LoginReport
from responsys_activation.observability import InvocationMetrics
from responsys_activation.responsys.client import ResponsysClient
from responsys_activation.responsys.endpoint import TrustedDomains
from responsys_activation.responsys.http import HttpSession
from responsys_activation.responsys.login import Credentials
from responsys_activation.responsys.token import CredentialsSource, TokenKeeper
from responsys_activation.settings import ConnectionSettings

__all__ = ["LoginComposition"]


class LoginComposition:
    """Opens connectors' clients: one account is one token, whichever of its connectors asks first.

    Parameters
    ----------
    service : str
        The dimension under which the function's logins are counted.
    clock, sleep : callable
        The time in epoch seconds, and waiting.
    """

    def __init__(
        self,
        settings: ConnectionSettings,
        clients: Clients,
        *,
        http: HttpSession,
        trusted: TrustedDomains,
        metrics: InvocationMetrics,
        service: str,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._settings = settings
        self._clients = clients
        self._http = http
        self._trusted = trusted
        self._metrics = metrics
        self._service = service
        self._clock = clock
        self._sleep = sleep
        self._tokens: dict[str, TokenKeeper] = {}  # by account

    def open_client(self, name: str, connector: Connector) -> ResponsysClient:
        """Open a connector's client."""
        account = account_id(connector)
        if account not in self._tokens:
            self._tokens[account] = self._open_tokens(connector, self.open_credentials(connector.credentials_secret_id))
        return self._open_client(name, self._tokens[account])

    def open_proving_client(self, name: str, connector: Connector, credentials: Credentials) -> ResponsysClient:
        """Open a client that logs in once, to prove these credentials; its token is shared like any other."""
        tokens = self._open_tokens(connector, lambda: credentials, since=self._clock())
        return self._open_client(name, tokens, renews_token=False)

    def open_credentials(self, secret_id: str) -> SecretCredentials:
        """Open a secret."""
        return SecretCredentials(secret_id, self._clients.secrets_manager)

    def open_guard(self, host: str, user: str) -> TableLoginGuard:
        """Open what all environments know of a user's logins at a host."""
        table = DeliveryTable(self._settings.delivery_table_name, self._clients.dynamodb)
        return TableLoginGuard(table, host, user, clock=self._clock)

    def _open_client(self, name: str, tokens: TokenKeeper, *, renews_token: bool = True) -> ResponsysClient:
        report = LoginReport(self._metrics, service=self._service, connector=name)
        return ResponsysClient(self._http, tokens, observer=report, renews_token=renews_token, clock=self._clock)

    def _open_tokens(self, connector: Connector, credentials: CredentialsSource, since: float = 0.0) -> TokenKeeper:
        settings = self._settings
        return TokenKeeper(
            connector.auth_endpoint,
            http=self._http,
            trusted=self._trusted,
            token_store=ParameterTokenStore(
                settings.token_parameter_prefix,
                account_id(connector),
                self._clients.ssm,
                kms_key_id=settings.token_kms_key_id,
            ),
            credentials=credentials,
            open_guard=self.open_guard,
            since=since,
            time_scale=settings.time_scale,
            clock=self._clock,
            sleep=self._sleep,
        )
