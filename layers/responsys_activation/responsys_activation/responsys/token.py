"""Which token goes with the next request to an account?

Memory first, then the shared store, then a login. A login is rare, and guarded across all environments: by a lease, so
that many cold starts make one login, and by what is remembered of earlier logins, so that wrong passwords never lock
the user.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

from responsys_activation.error_code import ErrorCode
from responsys_activation.responsys.endpoint import TrustedDomains
from responsys_activation.responsys.errors import (
    LOOK_AGAIN_AFTER,
    LoginRefusedError,
    ThrottledError,
    UnavailableError,
)
from responsys_activation.responsys.http import HttpSession
from responsys_activation.responsys.login import Credentials, SecretVersion, Token, WrongPasswordError, log_in
from responsys_activation.responsys.login_memory import ANOTHER_TRY_AFTER, Hold, LoginHeldBackError, LoginMemory

__all__ = ["CredentialsSource", "Lesson", "LoginGuard", "LoginObserver", "TokenKeeper", "TokenStore"]

TOKEN_LIFETIME = 90 * 60.0  # seconds; Oracle's pages say two hours and three hours
LONGEST_LOGIN = 60.0  # seconds for the reply; a lease is longer
_POLL_SECONDS = 0.25
_SHORTEST_LOGIN = 1.0  # seconds; less than this is no chance at all

CredentialsSource = Callable[[], Credentials]
"""Gives an account's user name and password, never from a cache."""

Lesson = Callable[[LoginMemory, bool], LoginMemory]
"""What a login adds to what is remembered, given whether nobody else may have logged in meanwhile."""


class TokenStore(Protocol):
    """Where an account's token is shared between environments."""

    def read(self) -> Token | None:
        """Return the stored token."""

    def write(self, token: Token) -> None:
        """Replace the stored token."""


class LoginGuard(Protocol):
    """What all environments know about the logins of one user at one host."""

    def memory(self) -> LoginMemory:
        """Return what is remembered."""

    def acquire(self) -> bool:
        """Take the lease to log in; false while another environment holds it."""

    def end(self, lesson: Lesson | None = None) -> None:
        """Remember what the login came to, and give the lease back if it is still ours."""


class LoginObserver(Protocol):
    """Who counts logins."""

    def login_ended(self, *, refused_code: str | None) -> None:
        """Count one login that got an answer."""

    def login_held_back(self, *, code: str, reason: str) -> None:
        """Count a need for a login that may not be tried."""


class TokenKeeper:
    """One account's token, shared by the clients and threads of a process.

    Parameters
    ----------
    open_guard : callable
        Gives the guard of a login host and user.
    since : float
        Epoch seconds before which nobody got the token: who asks first then must log in, for a token that lives proves
        nothing about a password that was changed since.
    time_scale : float
        Divides the memory of a refused login; 1 but on the local stack.
    """

    def __init__(
        self,
        auth_endpoint: str,
        *,
        http: HttpSession,
        trusted: TrustedDomains,
        token_store: TokenStore,
        credentials: CredentialsSource,
        open_guard: Callable[[str, str], LoginGuard],
        since: float = 0.0,
        time_scale: float = 1.0,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._auth_endpoint = auth_endpoint
        self._http = http
        self._trusted = trusted
        self._token_store = token_store
        self._credentials = credentials
        self._open_guard = open_guard
        self._since = since
        self._time_scale = time_scale
        self._clock = clock
        self._sleep = sleep
        self._lock = threading.Lock()
        self._token: Token | None = None

    def token(
        self, observer: LoginObserver, deadline: float, *, refused: Token | None = None, in_doubt: bool = False
    ) -> Token:
        """Return a live token.

        Parameters
        ----------
        observer : LoginObserver
            Who counts a login, or that none may be tried.
        deadline : float
            Epoch seconds by which a login must have ended.
        refused : Token or None
            Any but this one.
        in_doubt : bool
            Whether it is not certain that the token was at fault.

        Raises
        ------
        ResponsysError
            Of the login.
        AwsCallError
            What all environments share could not be read.
        """
        with self._lock:
            if self._token is None or not self._usable(self._token, refused):
                self._token = self._stored(refused) or self._new(observer, deadline, refused, in_doubt=in_doubt)
            return self._token

    def _usable(self, token: Token, refused: Token | None) -> bool:
        young = token.obtained_at >= self._since and self._clock() - token.obtained_at < TOKEN_LIFETIME
        return young and (refused is None or token.auth_token != refused.auth_token)

    def _stored(self, refused: Token | None) -> Token | None:
        token = self._token_store.read()
        return token if token and self._usable(token, refused) and self._trusted.trusts(token.end_point) else None

    def _new(self, observer: LoginObserver, deadline: float, refused: Token | None, *, in_doubt: bool) -> Token:
        """Log in, or wait for the environment that is logging in."""
        try:
            credentials = self._credentials()
        except LoginRefusedError as exc:
            observer.login_held_back(code=exc.code, reason=exc.title)
            raise
        guard = self._open_guard(self._trusted.base_url(self._auth_endpoint), credentials.user)
        try:
            while True:
                guard.memory().heed(credentials.version, self._clock(), time_scale=self._time_scale)
                if guard.acquire():
                    return self._log_in(observer, guard, credentials, deadline, refused, in_doubt=in_doubt)
                if self._clock() >= deadline:
                    raise UnavailableError(ErrorCode.OUT_OF_TIME, title="another environment is logging in")
                self._sleep(_POLL_SECONDS * (1 + random.random()))  # noqa: S311 - spreads polls, hides nothing
                if token := self._stored(refused):
                    return token
        except LoginHeldBackError as exc:
            observer.login_held_back(code=exc.code, reason=exc.title)
            raise

    def _log_in(
        self,
        observer: LoginObserver,
        guard: LoginGuard,
        credentials: Credentials,
        deadline: float,
        refused: Token | None,
        *,
        in_doubt: bool,
    ) -> Token:
        """Log in under the lease, unless whoever held it before has left a token or a refusal."""
        lesson: Lesson | None = None
        version = credentials.version
        try:
            guard.memory().heed(version, self._clock(), time_scale=self._time_scale)
            if token := self._stored(refused):
                return token
            try:
                token = log_in(
                    self._http,
                    self._auth_endpoint,
                    credentials,
                    trusted=self._trusted,
                    clock=self._clock,
                    timeout=min(LONGEST_LOGIN, max(_SHORTEST_LOGIN, deadline - self._clock())),
                )
            except (LoginRefusedError, ThrottledError) as exc:
                lesson = self._lesson(exc, version)
                if isinstance(exc, LoginRefusedError):
                    observer.login_ended(refused_code=exc.code)
                raise
            lesson = _success(version)
            observer.login_ended(refused_code=None)
            token = replace(token, renewed_in_doubt=in_doubt)
            self._token_store.write(token)  # before the lease ends, so that who waits finds it
            return token
        finally:
            guard.end(lesson)

    def _lesson(self, error: LoginRefusedError | ThrottledError, version: SecretVersion) -> Lesson:
        now = self._clock()
        if isinstance(error, WrongPasswordError):
            return lambda memory, _alone: memory.after_wrong_password(version, error.code, now)
        if isinstance(error, ThrottledError):
            seconds = error.retry_after
        elif error.code == ErrorCode.NO_LOGIN_AT_ENDPOINT:
            seconds = LOOK_AGAIN_AFTER  # a maintenance page looks the same, and nobody counts the attempts
        else:
            seconds = ANOTHER_TRY_AFTER
        until = now + seconds / self._time_scale
        hold = Hold(error.code, since=now, until=until, throttle=isinstance(error, ThrottledError))
        return lambda memory, _alone: memory.after_refusal(hold)


def _success(version: SecretVersion) -> Lesson:
    return lambda memory, alone: memory.after_success(version, alone=alone)
