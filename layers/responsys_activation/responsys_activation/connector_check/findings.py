"""What is wrong with a connector, and what should a person change? Each finding is a sentence or two that says both.

Messages quote settings and names of the account, never a secret or a token.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from difflib import get_close_matches
from enum import StrEnum

from responsys_activation.error_code import ErrorCode
from responsys_activation.responsys.errors import (
    LoginRefusedError,
    RequestRefusedError,
    ResponsysError,
    ThrottledError,
    UnavailableError,
)
from responsys_activation.responsys.login_memory import LoginHeldBackError

__all__ = ["Check", "Finding", "Level", "suggestion", "why_not_logged_in", "why_not_read"]

_NAMES_SHOWN = 5
_MAYBE_ADDRESS = (
    "if the host is right, Responsys may not let this stack's address in (IP allow-listing, "
    "docs/runbook.md#ip-allow-listing), or be down"
)
_ASK_ADMINISTRATOR = "ask the administrator of the Responsys account, or Oracle, what the code means for this API user"
_UNLOCK = "unlock the API user in Responsys, and look for another program that logs in with an old password"
_CORRECT_SECRET = "put the API user's present username and password into the secret"  # noqa: S105
_RENEW_PASSWORD = "give the API user a new password in Responsys, and put it into the secret"  # noqa: S105
_WHAT_CURES_A_REFUSED_LOGIN = {
    "INVALID_USER_NAME_PASSWORD": _CORRECT_SECRET,
    "INVALID_USER_NAME": _CORRECT_SECRET,
    "INVALID_PASSWORD": _CORRECT_SECRET,
    "AUTHENTICATION_FAILED": _CORRECT_SECRET,
    "PASSWORD_EXPIRED": _RENEW_PASSWORD,
    "PASSWORD_LOCKOUT": _UNLOCK,
    "LOGIN_BLOCKED_TEMPORARILY": _UNLOCK,
    "LOGIN_BLOCKED_TEMPORARY": _UNLOCK,
    "MAX_LOGIN_FAILURES_EXCEEDED": _UNLOCK,
    "LOGIN_BLOCKED_INVALID_IPRANGE": (
        "give the account's administrator this stack's fixed address (docs/runbook.md#ip-allow-listing)"
    ),
    ErrorCode.UNTRUSTED_ENDPOINT: (
        "check that authEndpoint is your account's; if the host that it names is Oracle's, add its domain to the stack "
        "parameter TrustedEndpointDomains"
    ),
}


class Level(StrEnum):
    """How bad it is."""

    ERROR = "error"
    WARNING = "warning"


class Check(StrEnum):
    """What was looked at."""

    SETTINGS = "settings"
    SECRET = "secret"  # noqa: S105
    LOGIN = "login"
    END_POINT = "endPoint"
    PROFILE_LIST = "profileList"
    EVENTS = "events"
    LIMITS = "limits"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that a person should change or know."""

    level: Level
    check: Check
    message: str


def why_not_logged_in(error: ResponsysError) -> str:
    """Say why a login failed and what to do, in words that follow the name of a field.

    For ``NO_LOGIN_AT_ENDPOINT`` they follow the host.
    """
    match error:
        case LoginRefusedError(code=ErrorCode.NO_LOGIN_AT_ENDPOINT):
            minutes = max(1, round(error.retry_after / 60))
            return (
                f"is not a Responsys login ({_reason(error)}): correct it to the WS End Point that Responsys shows; if "
                f"it is right, Responsys may be under maintenance: run the check again in {minutes} min"
            )
        case LoginHeldBackError():
            return _why_held_back(error)
        case LoginRefusedError():
            return f"Responsys refuses the login ({_reason(error)}): {_cure(error.code)}"
        case _:
            return _why_no_answer(error, "log in")


def _why_held_back(error: LoginHeldBackError) -> str:
    if error.by_another_secret:
        return (
            f"no login was tried, because another secret of the same user was refused ({error.code}), so that the user "
            "is not locked: correct that secret first; if this one is right, put its value into it once more"
        )
    if error.wait is None:
        return (
            f"the login was refused before ({error.code}) and is not tried again unless the secret changes, so that "
            f"the user is not locked: {_cure(error.code)}; if it is right, run the check with forgetRefusedLogin "
            "(docs/runbook.md#refused-logins)"
        )
    return (
        f"the login was refused before ({error.code}) and is not tried again for {max(1, round(error.wait / 60))} min "
        f"unless the secret changes, so that the user is not locked: {_cure(error.code)}"
    )


def _cure(code: str) -> str:
    return _WHAT_CURES_A_REFUSED_LOGIN.get(code, _ASK_ADMINISTRATOR)


def why_not_read(error: ResponsysError, what: str) -> str:
    """Say why something of the account could not be read and what to do, in words that follow the name of a field."""
    match error:
        case RequestRefusedError() | LoginRefusedError():
            return (
                f"the API user may not read {what} ({_reason(error)}): give it the web-service role for it in "
                "Responsys, then run the check again"
            )
        case _:
            return _why_no_answer(error, f"read {what}")


def _why_no_answer(error: ResponsysError, wish: str) -> str:
    match error:
        case ThrottledError(retry_after=retry_after):
            minutes = max(1, round(retry_after / 60))
            return f"Responsys is throttling ({error.code}), could not {wish}: run the check again in {minutes} min"
        case UnavailableError(status=None):
            return f"Responsys did not answer ({_reason(error)}), could not {wish}: {_MAYBE_ADDRESS}"
        case _:
            return (
                f"Responsys gave no usable answer ({_reason(error)}), could not {wish}: run the check again in some "
                "minutes; it may be under maintenance"
            )


def suggestion(name: str, known: Collection[str]) -> str:
    """Suggest what a wrong name may have meant, as a sentence of its own."""
    folded = {each.casefold(): each for each in sorted(known)}
    close = [folded[each] for each in get_close_matches(name.casefold(), folded, n=3)]
    if close:
        return f"Did you mean {' or '.join(close)}?"
    if not known:
        return "It has none."
    shown = ", ".join(sorted(known)[:_NAMES_SHOWN])
    return f"It has {shown}{' and others' if len(known) > _NAMES_SHOWN else ''}."


def _reason(error: ResponsysError) -> str:
    parts = [error.code, f"HTTP {error.status}" if error.status else "", error.title]
    return ", ".join(part for part in parts if part)
