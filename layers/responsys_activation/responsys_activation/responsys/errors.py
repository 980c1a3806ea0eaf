"""What can go wrong at Responsys, grouped by what the caller does next.

::

    ResponsysError
    ├── ThrottledError            wait for the throttle's own clock
    ├── LoginRefusedError         do not log in again until the secret changes or its memory ends
    ├── TokenRefusedError         log in once, send the same body again
    ├── RequestRefusedError       no retry cures it: a person must change something
    └── UnavailableError          try again later; Responsys cannot have processed the request
        └── OutcomeUnknownError   try again later, knowing that it may have processed the request
"""

from __future__ import annotations

from enum import StrEnum

__all__ = [
    "LoginRefusedError",
    "OutcomeUnknownError",
    "RefusalScope",
    "RequestRefusedError",
    "ResponsysError",
    "ThrottledError",
    "TokenRefusedError",
    "UnavailableError",
]


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


class ThrottledError(ResponsysError):
    """The account has used up an allowance.

    Attributes
    ----------
    clock : float
        Seconds until the allowance is certainly new.
    since, age_share : float
        Who came later than ``since`` waits longer by this share of the difference: what came first comes back first.
    one_request : bool
        The clock is this request's alone; others of the account have clocks of their own.
    """

    def __init__(
        self,
        code: str,
        *,
        clock: float,
        since: float = 0.0,
        age_share: float = 0.0,
        one_request: bool = False,
        title: str = "",
        status: int | None = None,
        correlation_id: str = "",
    ) -> None:
        super().__init__(code, title=title, status=status, correlation_id=correlation_id)
        self.clock = clock
        self.since = since
        self.age_share = age_share
        self.one_request = one_request


class LoginRefusedError(ResponsysError):
    """User name, password or the account itself was refused; trying again may lock the account.

    Attributes
    ----------
    clock : float
        Seconds until a login may be tried again.
    """

    def __init__(
        self, code: str, *, clock: float, title: str = "", status: int | None = None, correlation_id: str = ""
    ) -> None:
        super().__init__(code, title=title, status=status, correlation_id=correlation_id)
        self.clock = clock


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
        title: str = "",
        status: int | None = None,
        correlation_id: str = "",
    ) -> None:
        super().__init__(code, title=title, status=status, correlation_id=correlation_id)
        self.scope = scope
        self.record = record
        self.documented = documented


class UnavailableError(ResponsysError):
    """Responsys could not be reached or could not serve; it has processed nothing."""


class OutcomeUnknownError(UnavailableError):
    """The request was sent, and no trustworthy reply came: it may have been processed."""
