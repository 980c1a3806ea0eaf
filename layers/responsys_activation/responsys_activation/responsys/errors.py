"""What can go wrong at Responsys, grouped by what the caller does next.

::

    ResponsysError
    ├── ThrottledError            wait as long as the throttle lasts
    ├── LoginRefusedError         do not log in again until the secret changes or its memory ends
    ├── TokenRefusedError         log in once, send the same body again
    ├── RequestRefusedError       no retry cures it: a person must change something
    └── UnavailableError          try again later; Responsys cannot have processed the request
        └── OutcomeUnknownError   try again later, knowing that it may have processed the request
"""

from __future__ import annotations

from enum import StrEnum
from typing import TypedDict, TypeVar, Unpack

__all__ = [
    "LOOK_AGAIN_AFTER",
    "LoginRefusedError",
    "OutcomeUnknownError",
    "RefusalScope",
    "RequestRefusedError",
    "ResponsysError",
    "ThrottledError",
    "TokenRefusedError",
    "UnavailableError",
]


LOOK_AGAIN_AFTER = 600.0  # seconds that messages wait for a login: by then a person may have changed something


class _Seen(TypedDict, total=False):
    title: str
    status: int | None
    correlation_id: str


class ResponsysError(Exception):
    """A call to Responsys that did not succeed as a whole.

    Attributes
    ----------
    code : str
        Responsys's ``errorCode``, else one of ours.
    title : str
        What we saw, in words of ours. Responsys's own texts are left out: they may quote a recipient.
    status : int or None
        HTTP status; ``None`` when no reply came.
    correlation_id : str
        ``X-CorrelationID`` of the reply, for Oracle's support.
    """

    def __init__(self, code: str, *, title: str = "", status: int | None = None, correlation_id: str = "") -> None:
        super().__init__(f"{code} (HTTP {status}) {title}".strip())
        self.code = code
        self.title = title
        self.status = status
        self.correlation_id = correlation_id

    def read_as(self, kind: type[AnyError]) -> AnyError:
        """Return another kind of error that tells the same, for a caller to whom it means something else."""
        return kind(self.code, title=self.title, status=self.status, correlation_id=self.correlation_id)


AnyError = TypeVar("AnyError", bound=ResponsysError)


class ThrottledError(ResponsysError):
    """The account has used up an allowance.

    Attributes
    ----------
    retry_after : float
        Seconds after which the allowance has certainly been renewed.
    """

    def __init__(self, code: str, *, retry_after: float, **seen: Unpack[_Seen]) -> None:
        super().__init__(code, **seen)
        self.retry_after = retry_after


class LoginRefusedError(ResponsysError):
    """User name, password or the account itself was refused; trying again may lock the account.

    Attributes
    ----------
    retry_after : float
        Seconds until a login may be tried again.
    """

    def __init__(self, code: str, *, retry_after: float = LOOK_AGAIN_AFTER, **seen: Unpack[_Seen]) -> None:
        super().__init__(code, **seen)
        self.retry_after = retry_after


class TokenRefusedError(ResponsysError):
    """The token has expired or is not valid."""


class RefusalScope(StrEnum):
    """What else the refusal stops."""

    RECIPIENTS = "some recipients of the request"
    REQUEST = "request"
    EVENT = "event"
    CONNECTOR = "connector"


class RequestRefusedError(ResponsysError):
    """The request as a whole was refused for good.

    Attributes
    ----------
    scope : RefusalScope
        What is to blame, and so which other requests would meet the same refusal.
    record : int or None
        The position that Responsys names, counted from 0 or from 1.
    documented : bool
        Whether a source says what the refusal means. Else the scope is a guess: if all parts of the request are refused
        alike, it is not about some recipients.
    """

    def __init__(
        self,
        code: str,
        *,
        scope: RefusalScope,
        record: int | None = None,
        documented: bool = True,
        **seen: Unpack[_Seen],
    ) -> None:
        super().__init__(code, **seen)
        self.scope = scope
        self.record = record
        self.documented = documented


class UnavailableError(ResponsysError):
    """Responsys could not be reached or could not serve; it has processed nothing."""


class OutcomeUnknownError(UnavailableError):
    """The request was sent, and no trustworthy reply came: it may have been processed."""
