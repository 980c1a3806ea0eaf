"""Which token goes with a connector's next request, and what if Responsys refuses it?

Memory first, then the shared store, then a login. A login is rare, and guarded across all environments: by a lease,
so that many cold starts make one login, and by the memory of a refusal, so that wrong credentials never lock the
account.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeVar

import requests

from responsys_activation.connector import Connector
from responsys_activation.endpoint import TrustedDomains
from responsys_activation.outcome import ErrorCode
from responsys_activation.responsys.errors import LoginRefusedError, ThrottledError, TokenRefusedError, UnavailableError
from responsys_activation.responsys.login import Credentials, Token, log_in

__all__ = ["CredentialsSource", "LoginGuard", "LoginObserver", "RefusedLogin", "Session", "TokenStore"]

TOKEN_LIFETIME = 90 * 60.0  # seconds; Oracle's pages say two hours and three hours
_POLL_SECONDS = 0.25
_SHORTEST_LOGIN = 1.0  # seconds; less than this is no chance at all

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class RefusedLogin:
    """A login that Responsys refused, for what it was or for now.

    Attributes
    ----------
    secret_version : str
        The version of the secret that failed: another version may be tried at once.
    until : float
        Epoch seconds; after it the same version may be tried again.
    throttled : bool
        There were too many logins; nothing is wrong with the credentials.
    """

    code: str
    secret_version: str
    until: float
    throttled: bool = False


class TokenStore(Protocol):
    """Where a connector's token is shared between environments."""

    def read(self) -> Token | None:
        """Give the stored token."""

    def write(self, token: Token) -> None:
        """Replace the stored token."""


class CredentialsSource(Protocol):
    """Where a connector's user name and password are kept."""

    def __call__(self) -> Credentials:
        """Give them, never from a cache."""


class LoginGuard(Protocol):
    """What all environments know about a connector's logins."""

    def refused(self) -> RefusedLogin | None:
        """Give the last refused login."""

    def acquire(self) -> bool:
        """Take the lease to log in; false while another environment holds it."""

    def release(self, refused: RefusedLogin | None = None) -> None:
        """Give the lease back, and remember a refusal if there was one."""


class LoginObserver(Protocol):
    """Who counts logins."""

    def __call__(self, connector: str, *, refused_code: str | None) -> None:
        """Count one login that got an answer."""


class Session:
    """One connector's way to a token, shared by the threads of a process.

    Parameters
    ----------
    time_scale : float
        Divides the memory of a refused login; 1 but on the local stack.
    """

    def __init__(
        self,
        name: str,
        connector: Connector,
        *,
        http: requests.Session,
        trusted: TrustedDomains,
        token_store: TokenStore,
        credentials: CredentialsSource,
        guard: LoginGuard,
        observe_login: LoginObserver,
        time_scale: float = 1.0,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._name = name
        self._connector = connector
        self._http = http
        self._trusted = trusted
        self._token_store = token_store
        self._credentials = credentials
        self._guard = guard
        self._observe_login = observe_login
        self._time_scale = time_scale
        self._clock = clock
        self._sleep = sleep
        self._lock = threading.Lock()
        self._token: Token | None = None

    def call(self, request: Callable[[Token], Result], *, deadline: float) -> Result:
        """Make a request with the token; after one of the token errors log in and make the same request once more.

        Parameters
        ----------
        deadline : float
            Epoch seconds by which a login must have ended.

        Raises
        ------
        ResponsysError
            Of the request, or of the login before it.
        """
        token = self._current(deadline)
        try:
            return request(token)
        except TokenRefusedError:
            renewed = self._current(deadline, refused=token)
        try:
            return request(renewed)
        except TokenRefusedError as exc:
            raise UnavailableError(
                exc.code, title=exc.title, status=exc.status, correlation_id=exc.correlation_id
            ) from exc

    def _current(self, deadline: float, refused: Token | None = None) -> Token:
        with self._lock:
            if self._token is None or not self._usable(self._token, refused):
                self._token = self._stored(refused) or self._new(deadline, refused)
            return self._token

    def _usable(self, token: Token, refused: Token | None) -> bool:
        young = self._clock() - token.obtained_at < TOKEN_LIFETIME
        return young and (refused is None or token.auth_token != refused.auth_token)

    def _stored(self, refused: Token | None) -> Token | None:
        token = self._token_store.read()
        return token if token and self._usable(token, refused) and self._trusted.trusts(token.end_point) else None

    def _new(self, deadline: float, refused: Token | None) -> Token:
        """Log in, or wait for the environment that is logging in."""
        credentials = self._credentials()
        while True:
            self._heed_refusal(credentials)
            if self._guard.acquire():
                return self._log_in(credentials, deadline, refused)
            if self._clock() >= deadline:
                raise UnavailableError(ErrorCode.OUT_OF_TIME, title="another environment is logging in")
            self._sleep(_POLL_SECONDS * (1 + random.random()))  # noqa: S311 - spreads polls, hides nothing
            if token := self._stored(refused):
                return token

    def _heed_refusal(self, credentials: Credentials) -> None:
        before = self._guard.refused()
        if before and before.secret_version == credentials.version and (wait := before.until - self._clock()) > 0:
            title = "refused before; no login yet"
            kind = ThrottledError if before.throttled else LoginRefusedError
            raise kind(before.code, clock=wait * self._time_scale, title=title)

    def _log_in(self, credentials: Credentials, deadline: float, refused: Token | None) -> Token:
        """Log in under the lease, unless whoever held it before has left a token or a refusal."""
        refusal: RefusedLogin | None = None
        try:
            self._heed_refusal(credentials)
            if token := self._stored(refused):
                return token
            try:
                token = log_in(
                    self._http,
                    self._connector.auth_endpoint,
                    credentials,
                    trusted=self._trusted,
                    clock=self._clock,
                    seconds_left=max(_SHORTEST_LOGIN, deadline - self._clock()),
                )
            except (LoginRefusedError, ThrottledError) as exc:
                until = self._clock() + exc.clock / self._time_scale
                throttled = isinstance(exc, ThrottledError)
                refusal = RefusedLogin(exc.code, credentials.version, until, throttled)
                if not throttled:
                    self._observe_login(self._name, refused_code=exc.code)
                raise
            self._observe_login(self._name, refused_code=None)
            self._token_store.write(token)  # before the lease ends, so that who waits finds it
            return token
        finally:
            self._guard.release(refusal)
