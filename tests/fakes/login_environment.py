"""What surrounds an environment's logins? A scripted login host, and in memory what all environments share."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, cast

import requests

from responsys_activation.aws.delivery_table import DeliveryTable
from responsys_activation.aws.login_guard import TableLoginGuard
from responsys_activation.responsys.client import ResponsysClient
from responsys_activation.responsys.endpoint import TrustedDomains
from responsys_activation.responsys.login import Credentials, SecretVersion, Token
from responsys_activation.responsys.token import LoginGuard, TokenKeeper
from tests.fakes.clock import NOW, Clock
from tests.fakes.dynamodb import InMemoryDynamoDb
from tests.fakes.login_state import Secret, SeenLogins, SharedToken
from tests.fakes.responsys_transport import Answer, ResponsysTransport, replying

HOST = "https://login-default.responsys.net"
END_POINT = "https://api5-009.responsys.net"
HOUR = 3600.0
V1 = SecretVersion("secret", "v1", NOW - HOUR)


class CountingLogins:
    """Every login gives another token, after a while."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.count = 0
        self._seconds = seconds
        self._lock = threading.Lock()

    def __call__(self, _request: requests.PreparedRequest) -> Answer:
        time.sleep(self._seconds)
        with self._lock:
            self.count += 1
            return replying({"authToken": f"token-{self.count}", "issuedAt": 1, "endPoint": END_POINT})


@dataclass
class Environment:
    """One Lambda environment's token and all that surrounds it."""

    transport: ResponsysTransport
    clock: Clock = field(default_factory=Clock)
    store: SharedToken = field(default_factory=SharedToken)
    table: InMemoryDynamoDb = field(default_factory=InMemoryDynamoDb)
    secret: Secret = field(default_factory=lambda: Secret(Credentials("api_user", "password", V1)))
    seen: SeenLogins = field(default_factory=SeenLogins)
    time_scale: float = 1.0
    sleep: Callable[[float], None] | None = None
    host: str = HOST
    trusted: tuple[str, ...] = ("responsys.net",)

    def __post_init__(self) -> None:
        self.tokens = self.keeper()

    def keeper(self, open_guard: Callable[[str, str], LoginGuard] | None = None) -> TokenKeeper:
        return TokenKeeper(
            self.host,
            http=self.transport.session(),
            trusted=TrustedDomains(self.trusted),
            token_store=self.store,
            credentials=self.secret,
            open_guard=open_guard or self.guard,
            time_scale=self.time_scale,
            clock=self.clock,
            sleep=self.sleep or self.clock.sleep,
        )

    def guard(self, host: str = HOST, username: str = "api_user") -> TableLoginGuard:
        """Open the guard as another environment would."""
        return TableLoginGuard(
            DeliveryTable(self.table.table, cast("Any", self.table)), host, username, clock=self.clock
        )

    @property
    def logins(self) -> int:
        return len(self.transport.requests)

    def token(self) -> str:
        return self.tokens.token(self.seen, self.clock.now + 60).auth_token

    def client(self, transport: ResponsysTransport, **options: Any) -> ResponsysClient:
        """Open a client whose requests other than logins go over a transport of their own."""
        return ResponsysClient(transport.session(), self.tokens, observer=self.seen, clock=self.clock, **options)

    def another(self, transport: ResponsysTransport | None = None, **changes: Any) -> Environment:
        """Start another environment of the same connector, with nothing in memory."""
        return replace(self, transport=transport or self.transport, seen=SeenLogins(), **changes)

    def wait(self, seconds: float) -> None:
        self.clock.now += seconds

    def rotate(self, version: str) -> None:
        """Write the secret anew."""
        written = SecretVersion(self.secret.credentials.version.secret, version, self.clock.now)
        self.secret.credentials = replace(self.secret.credentials, version=written)

    def lease_is_free(self) -> bool:
        guard = self.guard()
        if free := guard.acquire():
            guard.end()
        return free


def stored(age: float = 0.0, called: str = "stored", end_point: str = END_POINT) -> SharedToken:
    return SharedToken(Token(called, end_point, NOW - age))
