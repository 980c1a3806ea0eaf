"""What is a login made of?

Put together here once, for the function that delivers and the one that checks: both must heed the same guard.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import requests

from responsys_activation.account import account_id
from responsys_activation.aws.clients import Clients
from responsys_activation.aws.credentials import SecretCredentials
from responsys_activation.aws.delivery_table import DeliveryTable
from responsys_activation.aws.login_guard import TableLoginGuard
from responsys_activation.aws.token_store import ParameterTokenStore
from responsys_activation.connector import Connector
from responsys_activation.responsys.endpoint import TrustedDomains
from responsys_activation.responsys.login import Credentials, Token
from responsys_activation.responsys.session import Account, CredentialsSource, LoginObserver, Session, TokenStore
from responsys_activation.settings import ConnectionSettings

__all__ = ["LoginComposition"]


class LoginComposition:
    """Opens connectors' sessions: one account is one token, whichever of its connectors asks first.

    Parameters
    ----------
    http : requests.Session
        What speaks to Responsys.
    clock, sleep : callable
        The time in epoch seconds, and waiting.
    """

    def __init__(
        self,
        settings: ConnectionSettings,
        clients: Clients,
        *,
        http: requests.Session,
        trusted: TrustedDomains,
        observer: LoginObserver,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._settings = settings
        self._clients = clients
        self._http = http
        self._trusted = trusted
        self._observer = observer
        self._clock = clock
        self._sleep = sleep
        self._accounts: dict[str, Account] = {}

    def open_session(self, name: str, connector: Connector) -> Session:
        """Open a connector's way to a token."""
        account = account_id(connector)
        if account not in self._accounts:
            self._accounts[account] = self._open_account(
                connector, self._open_store(account), self.open_credentials(connector.credentials_secret_id)
            )
        return Session(name, self._accounts[account])

    def open_proving_session(self, name: str, connector: Connector, credentials: Credentials) -> Session:
        """Open a session that knows no token yet, so that its first call proves these credentials."""
        store = NewTokensOnly(self._open_store(account_id(connector)), since=self._clock())
        return Session(name, self._open_account(connector, store, lambda: credentials))

    def open_credentials(self, secret_id: str) -> SecretCredentials:
        """Open a secret."""
        return SecretCredentials(secret_id, self._clients.secrets_manager)

    def open_guard(self, host: str, user: str) -> TableLoginGuard:
        """Open what all environments know of a user's logins at a host."""
        table = DeliveryTable(self._settings.delivery_table_name, self._clients.dynamodb)
        return TableLoginGuard(table, host, user, clock=self._clock)

    def _open_store(self, account: str) -> ParameterTokenStore:
        settings = self._settings
        return ParameterTokenStore(
            settings.token_parameter_prefix, account, self._clients.ssm, kms_key_id=settings.token_kms_key_id
        )

    def _open_account(self, connector: Connector, store: TokenStore, credentials: CredentialsSource) -> Account:
        return Account(
            connector.auth_endpoint,
            http=self._http,
            trusted=self._trusted,
            token_store=store,
            credentials=credentials,
            open_guard=self.open_guard,
            observer=self._observer,
            time_scale=self._settings.time_scale,
            clock=self._clock,
            sleep=self._sleep,
        )


class NewTokensOnly:
    """A token store that knows no token from before a moment: whoever asks it first must log in.

    A token that lives proves nothing about a password that was changed since, and a wrong password would show only
    when that token has run out. The new token is shared like any other.
    """

    def __init__(self, store: TokenStore, *, since: float) -> None:
        self._store = store
        self._since = since

    def read(self) -> Token | None:
        """Give the stored token if it is new, as when another environment logged in meanwhile."""
        token = self._store.read()
        return token if token and token.obtained_at >= self._since else None

    def write(self, token: Token) -> None:
        """Replace the stored token."""
        self._store.write(token)
