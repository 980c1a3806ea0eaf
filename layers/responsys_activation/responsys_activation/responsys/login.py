"""How is a password exchanged for a token?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NoReturn

import requests

from responsys_activation.error_code import ErrorCode
from responsys_activation.responsys.endpoint import TrustedDomains, UntrustedEndpointError
from responsys_activation.responsys.errors import (
    LoginRefusedError,
    OutcomeUnknownError,
    ResponsysError,
    ThrottledError,
    TokenRefusedError,
    UnavailableError,
)
from responsys_activation.responsys.http import API_PATH, Reply, exchange, raise_error

__all__ = ["Credentials", "SecretVersion", "Token", "WrongPasswordError", "log_in"]

_NO_VERDICT_STATUSES = frozenset({408, 429})  # a gateway gave up waiting, or throttles: that is no other place


# Refusals of a login in Responsys's own words that say nothing about the password. Any other counts as a wrong one, and
# so does one that no source names: that is the safe side.
_NOT_THE_PASSWORD = frozenset(
    {
        "ACCOUNT_SUSPENDED",
        "API_BLOCKED",
        "API_DISABLED_FOR_USER",
        "ASYNC_API_DISABLED_FOR_USER",
        "CLIENT_CERTIFICATE_EXPIRED",
        "CLIENT_CERTIFICATE_NOT_FOUND",
        "CLIENT_CERTIFICATE_NOT_YET_VALID",
        "INACTIVE_ACCOUNT",
        "INSUFFICIENT_ACCESS",
        "INVALID_AUTHENTICATION_OPTION",
        "LOGINS_DISABLED",
        "LOGIN_BLOCKED_INVALID_IPRANGE",
        "LOGIN_BLOCKED_TEMPORARILY",
        "LOGIN_BLOCKED_TEMPORARY",
        "MAX_LOGIN_FAILURES_EXCEEDED",
        "METHOD_NOT_SUPPORTED",
        "OPERATION_NOT_SUPPORTED",
        "PASSWORD_EXPIRED",
        "PASSWORD_LOCKOUT",
        "PRIVATE_KEY_NOT_FOUND",
        "RESOURCE_NOT_FOUND",
        "SERVER_CERTIFICATE_EXPIRED",
        "SERVER_CERTIFICATE_NOT_FOUND",
        "SERVER_CERTIFICATE_NOT_YET_VALID",
        "SERVER_CHALLENGES_DO_NOT_MATCH",
        "USER_BLOCKED",
    }
)
# Responsys's own words, but none about this login: it could not look.
_NO_VERDICT = frozenset({"SERVICE_UNAVAILABLE", "UNEXPECTED_EXCEPTION", "UNRECOVERABLE_EXCEPTION"})


class WrongPasswordError(LoginRefusedError):
    """User name and password do not fit, as far as Responsys says; some of these in a row lock the user."""


@dataclass(frozen=True, slots=True)
class SecretVersion:
    """One version of one secret.

    Attributes
    ----------
    secret : str
        What names the secret unambiguously.
    version : str
        What names its version.
    written_at : float
        Epoch seconds.
    """

    secret: str
    version: str
    written_at: float


@dataclass(frozen=True, slots=True)
class Credentials:
    """User name and password of the API user, and where they stand."""

    username: str
    password: str
    version: SecretVersion

    @property
    def user(self) -> str:
        """What tells one user from another.

        Whether Responsys tells names apart by letter case is not known: to take two users for one locks nobody.
        """
        return self.username.strip().casefold()

    def __repr__(self) -> str:
        return f"Credentials(version={self.version!r})"


@dataclass(frozen=True, slots=True)
class Token:
    """What a login gives: the token and the host that takes it.

    Attributes
    ----------
    end_point : str
        Base URL of every later call, checked against the trusted domains.
    obtained_at : float
        Epoch seconds by our own clock: Responsys's ``issuedAt`` follows another.
    renewed_in_doubt : bool
        It replaced one that nothing but a 401 in another language than Responsys's spoke against.
    """

    auth_token: str
    end_point: str
    obtained_at: float
    renewed_in_doubt: bool = False

    def __repr__(self) -> str:
        return f"Token(end_point={self.end_point!r}, obtained_at={self.obtained_at!r})"


def log_in(
    http: requests.Session,
    auth_endpoint: str,
    credentials: Credentials,
    *,
    trusted: TrustedDomains,
    clock: Callable[[], float],
    timeout: float,
) -> Token:
    """Log in with user name and password.

    They go in the body, form-encoded; Responsys forbids them in the URL.

    Raises
    ------
    WrongPasswordError
        Responsys does not take user name and password.
    LoginRefusedError
        It refuses for another reason, or the reply names an ``endPoint`` outside the trusted domains, or is not
        Responsys's language: no login lives at this address, or something stands in its place.
    ThrottledError
        Too many logins (10 per minute in Oracle's example).
    UnavailableError
        No usable reply.
    """
    try:
        reply = exchange(
            http,
            "POST",
            f"{trusted.base_url(auth_endpoint)}{API_PATH}/auth/token",
            data={"user_name": credentials.username, "password": credentials.password, "auth_type": "password"},
            headers={"Accept": "application/json"},
            timeout=timeout,
        )
    except OutcomeUnknownError as exc:
        raise exc.read_as(UnavailableError) from exc
    document = reply.document if isinstance(reply.document, dict) else {}
    if reply.status != requests.codes.ok or "errorCode" in document or "authToken" not in document:
        _raise_refusal(reply, in_envelope=isinstance(document.get("errorCode"), str))
    auth_token, end_point = document.get("authToken"), document.get("endPoint")
    if not (isinstance(auth_token, str) and auth_token.isascii() and auth_token.isprintable() and auth_token):
        raise UnavailableError(ErrorCode.OTHER_ERROR, title="login reply without a token", status=reply.status)
    try:
        trusted_end_point = trusted.base_url(end_point if isinstance(end_point, str) else "")
    except UntrustedEndpointError as exc:
        raise LoginRefusedError(ErrorCode.UNTRUSTED_ENDPOINT, title=f"endPoint: {exc}", status=reply.status) from exc
    return Token(auth_token, trusted_end_point, clock())


def _raise_refusal(reply: Reply, *, in_envelope: bool) -> NoReturn:
    """Raise what a reply without a token means for a login, which leaves no event in doubt and no token to renew."""
    if not in_envelope and reply.status < 500 and reply.status not in _NO_VERDICT_STATUSES:
        raise LoginRefusedError(
            ErrorCode.NO_LOGIN_AT_ENDPOINT,
            title="the reply is not Responsys's language",
            status=reply.status,
            correlation_id=reply.correlation_id,
        )
    try:
        raise_error(reply)
    except ThrottledError:
        raise
    except TokenRefusedError as exc:
        raise exc.read_as(UnavailableError) from exc
    except ResponsysError as exc:
        no_verdict = exc.code in _NO_VERDICT or (reply.status >= 500 and isinstance(exc, UnavailableError))
        if no_verdict or not in_envelope:
            raise exc.read_as(UnavailableError) from exc
        raise exc.read_as(LoginRefusedError if exc.code in _NOT_THE_PASSWORD else WrongPasswordError) from exc
