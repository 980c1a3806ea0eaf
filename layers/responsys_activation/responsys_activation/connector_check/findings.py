"""What was found about a connector, and what should a person change? Each finding is a sentence or two that says both.

Messages quote settings and names of the account, never a secret or a token.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from difflib import get_close_matches
from enum import StrEnum

from responsys_activation.error_code import ErrorCode, advice
from responsys_activation.responsys.catalogue import Limits
from responsys_activation.responsys.errors import (
    LoginRefusedError,
    RequestRefusedError,
    ResponsysError,
    ThrottledError,
    UnavailableError,
)
from responsys_activation.responsys.login_memory import LoginHeldBackError

__all__ = [
    "Check",
    "CheckedConnector",
    "Finding",
    "Level",
    "suggestion",
    "why_not_logged_in",
    "why_not_merged",
    "why_not_read",
]

_NAMES_SHOWN = 5
_MAYBE_ADDRESS = (
    "If the host is right, Responsys may be down, or may not allow this stack's address "
    "(docs/runbook.md#ip-allow-listing)"
)
_UNKNOWN_REFUSAL = "ask the administrator of the Responsys account, or Oracle, what the code means for this API user"


class Level(StrEnum):
    """How bad it is."""

    ERROR = "error"
    WARNING = "warning"


class Check(StrEnum):
    """What was checked."""

    SETTINGS = "settings"
    SECRET = "secret"  # noqa: S105
    LOGIN = "login"
    END_POINT = "endPoint"
    PROFILE_LIST = "profileList"
    EVENTS = "events"
    LIMITS = "limits"
    MISSING_RECIPIENTS = "missingRecipients"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that a person should change or know."""

    level: Level
    check: Check
    message: str


@dataclass(slots=True)
class CheckedConnector:
    """What was found about one connector.

    Attributes
    ----------
    exists : bool
        It has a parameter.
    user : tuple of str or None
        Login host and user, by which connectors of one user are known; never told to anybody.
    secret : str or None
        The secret that holds the user's name and password.
    account : str or None
        Of login host and secret: what shares limit, budget and pause.
    limits : Limits
        The account's; ``None`` each where it was not read or Responsys names none.
    requests_per_minute : int or None
        What no minute of the connector exceeds.
    audiences : dict of str to str
        The event of each audience or journey that its settings name.
    other_audiences : str or None
        The event of all others that our own messages send here, and to the connector ``default`` of a platform's.
    """

    name: str
    exists: bool = True
    findings: list[Finding] = field(default_factory=list)
    user: tuple[str, str] | None = field(default=None, repr=False)
    secret: str | None = None
    account: str | None = None
    limits: Limits = field(default_factory=Limits)
    requests_per_minute: int | None = None
    audiences: dict[str, str] = field(default_factory=dict)
    other_audiences: str | None = None

    @property
    def account_requests_per_minute(self) -> int | None:
        """The account's limit for custom events."""
        return self.limits.events

    @property
    def ok(self) -> bool:
        """Whether the connector would deliver."""
        return not any(finding.level is Level.ERROR for finding in self.findings)

    def failed(self, check: Check) -> bool:
        """Return whether a check found what keeps events from being delivered."""
        return any(finding.check is check and finding.level is Level.ERROR for finding in self.findings)

    def error(self, check: Check, setting: str, text: str) -> None:
        """Note what keeps events from being delivered."""
        self._add(Level.ERROR, check, setting, text)

    def warn(self, check: Check, setting: str, text: str) -> None:
        """Note what a person should know."""
        self._add(Level.WARNING, check, setting, text)

    def _add(self, level: Level, check: Check, setting: str, text: str) -> None:
        self.findings.append(Finding(level, check, f"Connector {self.name}, {setting}: {text}"))


def why_not_logged_in(error: ResponsysError) -> str:
    """Say why a login failed and what to do, in words that follow the name of a field.

    For ``NO_LOGIN_AT_ENDPOINT`` they follow the host.
    """
    match error:
        case LoginRefusedError(code=ErrorCode.NO_LOGIN_AT_ENDPOINT):
            return f"is not a Responsys login ({_reason(error)}): {_cure(error.code)}. {_again_in(error.retry_after)}"
        case LoginHeldBackError():
            return _why_held_back(error)
        case LoginRefusedError():
            return f"Responsys refuses the login ({_reason(error)}): {_cure(error.code)}"
        case _:
            return _why_no_answer(error, "log in")


def _why_held_back(error: LoginHeldBackError) -> str:
    if error.by_another_secret:
        return (
            f"no login was tried: another secret of the same user was refused ({error.code}), and one more wrong "
            "password could lock the user. Correct that secret first; if this one is right, save its value in it again"
        )
    if error.wait is None:
        return (
            f"the login was refused before ({error.code}) and is not tried again unless the secret changes, because "
            f"that could lock the user: {_cure(error.code)}. If the secret is right, run the check with "
            "forgetRefusedLogin (docs/runbook.md#refused-logins)"
        )
    return (
        f"the login was refused before ({error.code}) and is not tried again for {_minutes(error.wait)} unless the "
        f"secret changes, because that could lock the user: {_cure(error.code)}"
    )


def _cure(code: str) -> str:
    return advice(code) or _UNKNOWN_REFUSAL


def why_not_read(error: ResponsysError, what: str) -> str:
    """Say why something of the account could not be read and what to do, in words that follow the name of a field."""
    match error:
        case RequestRefusedError() | LoginRefusedError():
            return (
                f"the API user may not read {what} ({_reason(error)}): give it the web-service role for that in "
                "Responsys, and run the check again"
            )
        case _:
            return _why_no_answer(error, f"read {what}")


def why_not_merged(error: ResponsysError, list_name: str) -> str:
    """Say why nobody could be created in a list and what to do, in words that follow the name of a field."""
    match error:
        case RequestRefusedError() | LoginRefusedError():
            return (
                f"Responsys refuses to merge members into the profile list {list_name} ({_reason(error)}): "
                f"{_cure(error.code)}. The API user needs the web-service role for lists. Until then set the action to "
                "REJECT or WAIT"
            )
        case _:
            return _why_no_answer(error, f"find out whether members may be merged into the profile list {list_name}")


def _why_no_answer(error: ResponsysError, wish: str) -> str:
    match error:
        case ThrottledError(retry_after=retry_after):
            return f"could not {wish}: Responsys is throttling ({error.code}). {_again_in(retry_after)}"
        case UnavailableError(status=None):
            return f"could not {wish}: Responsys did not answer ({_reason(error)}). {_MAYBE_ADDRESS}"
        case _:
            return (
                f"could not {wish}: Responsys gave no usable answer ({_reason(error)}). It may be under maintenance: "
                "run the check again in a few minutes"
            )


def _again_in(seconds: float) -> str:
    return f"Run the check again in {_minutes(seconds)}"


def _minutes(seconds: float) -> str:
    minutes = max(1, round(seconds / 60))
    return f"{minutes} minute{'s' * (minutes > 1)}"


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
