"""How is a password exchanged for a token?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import requests

from responsys_activation.endpoint import TrustedDomains, UntrustedEndpointError
from responsys_activation.outcome import ErrorCode
from responsys_activation.responsys.errors import (
    LoginRefusedError,
    OutcomeUnknownError,
    RequestRefusedError,
    ResponsysError,
    TokenRefusedError,
    UnavailableError,
)
from responsys_activation.responsys.http import API_PATH, REFUSAL_MEMORY, post, raise_error

__all__ = ["Credentials", "Token", "log_in"]


@dataclass(frozen=True, slots=True)
class Credentials:
    """User name and password of the API user.

    Attributes
    ----------
    version : str
        The version of the secret, to tell whether refused credentials have been replaced.
    """

    username: str
    password: str
    version: str

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
    """

    auth_token: str
    end_point: str
    obtained_at: float

    def __repr__(self) -> str:
        return f"Token(end_point={self.end_point!r}, obtained_at={self.obtained_at!r})"


def log_in(
    http: requests.Session,
    auth_endpoint: str,
    credentials: Credentials,
    *,
    trusted: TrustedDomains,
    clock: Callable[[], float],
    seconds_left: float,
) -> Token:
    """Log in with user name and password.

    They go in the body, form-encoded; Responsys forbids them in the URL.

    Raises
    ------
    LoginRefusedError
        Refused for good, or the reply names an ``endPoint`` outside the trusted domains.
    ThrottledError
        Too many logins (10 a minute in Oracle's example).
    UnavailableError
        No usable reply.
    """
    try:
        reply = post(
            http,
            f"{trusted.base_url(auth_endpoint)}{API_PATH}/auth/token",
            data={"user_name": credentials.username, "password": credentials.password, "auth_type": "password"},
            headers={"Accept": "application/json"},
            seconds_left=seconds_left,
        )
        document = reply.document if isinstance(reply.document, dict) else {}
        if reply.status != requests.codes.ok or "errorCode" in document:
            raise_error(reply)
    except RequestRefusedError as exc:
        raise _refused(exc) from exc
    except (OutcomeUnknownError, TokenRefusedError) as exc:  # no event was sent, and there is no token to renew
        raise UnavailableError(exc.code, title=exc.title, status=exc.status, correlation_id=exc.correlation_id) from exc
    except UnavailableError as exc:
        if exc.status is not None and exc.status < 500:
            raise _refused(exc) from exc
        raise
    auth_token, end_point = document.get("authToken"), document.get("endPoint")
    if not (isinstance(auth_token, str) and auth_token.isascii() and auth_token.isprintable() and auth_token):
        raise UnavailableError(ErrorCode.OTHER_ERROR, title="login reply without a token", status=reply.status)
    try:
        trusted_end_point = trusted.base_url(end_point if isinstance(end_point, str) else "")
    except UntrustedEndpointError as exc:
        raise LoginRefusedError(
            ErrorCode.UNTRUSTED_ENDPOINT, clock=REFUSAL_MEMORY, title=f"endPoint: {exc}", status=reply.status
        ) from exc
    return Token(auth_token, trusted_end_point, clock())


def _refused(exc: ResponsysError) -> LoginRefusedError:
    """Whatever refuses a login must not be tried again and again, be it Responsys or what guards it."""
    return LoginRefusedError(
        exc.code, clock=REFUSAL_MEMORY, title=exc.title, status=exc.status, correlation_id=exc.correlation_id
    )
