"""How does one HTTP exchange with Responsys go?

No retries here: who calls knows whether sending again could send twice.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from http.cookiejar import DefaultCookiePolicy
from typing import Any, Literal, NoReturn, assert_never

import requests

from responsys_activation import __version__
from responsys_activation.error_code import ErrorCode
from responsys_activation.responsys.classification import RETRY_AFTER, ErrorClass, class_of_code, classify, known_code
from responsys_activation.responsys.connections import ConnectionAdapter, is_timeout
from responsys_activation.responsys.errors import (
    LoginRefusedError,
    OutcomeUnknownError,
    RefusalScope,
    RequestRefusedError,
    ResponsysError,
    ThrottledError,
    TokenRefusedError,
    UnavailableError,
)

__all__ = ["API_PATH", "HttpSession", "Reply", "exchange", "raise_error", "raise_for_error"]

API_PATH = "/rest/api/v1.3"
CONNECT_SECONDS = 5.0

# How a detail names the offender: "Record 7 = …"; whether the count starts at 0 or 1, no source says.
_RECORD = re.compile(r"\brecord\s+(\d{1,6})\b", re.IGNORECASE)
_LONGEST_RETRY_AFTER = 3600.0


@dataclass(frozen=True, slots=True)
class Reply:
    """A reply of any status.

    Attributes
    ----------
    document : Any
        The parsed JSON; ``None`` when the body is not JSON.
    retry_after : str
        The header ``Retry-After`` as it came, or nothing.
    """

    status: int
    document: Any
    correlation_id: str
    retry_after: str = ""


class HttpSession(requests.Session):
    """The connections of a process to Responsys.

    It keeps nothing of one exchange for another but connections: no cookies, which would mix accounts. A redirect is a
    reply like others, whose target is not even looked at.

    Parameters
    ----------
    reply_seconds : float
        The longest that an exchange may take, from connecting to the last byte of the reply. Integrators of Responsys
        had to raise theirs to 60 s and to 120 s.
    """

    def __init__(self, reply_seconds: float = 60.0) -> None:
        super().__init__()
        self.reply_seconds = reply_seconds
        self.headers["User-Agent"] = f"responsys-activation/{__version__}"  # Oracle's support asks who called
        self.trust_env = False  # a proxy or .netrc of the environment must neither see nor replace a token
        self.cookies.set_policy(DefaultCookiePolicy(allowed_domains=()))
        for scheme in ("https://", "http://"):
            self.mount(scheme, ConnectionAdapter())

    def get_redirect_target(self, resp: requests.Response) -> None:
        """Find none, also for a reply that has one."""

    def send(  # type: ignore[override]
        self, request: requests.PreparedRequest, *, timeout: float, **options: Any
    ) -> requests.Response:
        """Send a request within ``timeout`` seconds and within the session's own limits."""
        limits = (min(CONNECT_SECONDS, timeout), min(self.reply_seconds, timeout))
        return super().send(request, timeout=limits, **options)


def exchange(
    session: requests.Session,
    method: Literal["GET", "POST"],
    url: str,
    *,
    headers: Mapping[str, str],
    timeout: float,
    data: bytes | Mapping[str, str] | None = None,
) -> Reply:
    """Send a request and read the whole reply.

    Parameters
    ----------
    timeout : float
        The caller's own limit in seconds; the session's limits count where they are shorter.

    Raises
    ------
    UnavailableError
        Nothing was sent: the request cannot be written, no connection was made, or no time was left for one.
    OutcomeUnknownError
        The connection stood, and no whole reply came in time.
    """
    if timeout <= 0:
        raise UnavailableError(ErrorCode.OUT_OF_TIME, title="no time left for a request")
    request = _prepare(session, method, url, headers=headers, data=data)
    try:
        response = session.send(request, timeout=timeout, allow_redirects=False)
        headers = response.headers
        return Reply(
            status=response.status_code,
            document=_parse(response.content),
            correlation_id=headers.get("X-CorrelationID", ""),
            retry_after=headers.get("Retry-After", ""),
        )
    except ResponsysError:
        raise
    except Exception as exc:  # of whatever kind: the libraries trip over odd replies in many ways
        if is_timeout(exc):
            raise OutcomeUnknownError(ErrorCode.TIMEOUT, title="no reply in time") from exc
        raise OutcomeUnknownError(ErrorCode.OTHER_ERROR, title="connection broke") from exc


def _prepare(
    session: requests.Session, method: str, url: str, *, headers: Mapping[str, str], data: Any
) -> requests.PreparedRequest:
    try:
        for value in headers.values():
            value.encode("latin-1")  # as the connection does, but when the request is under way already
        request = session.prepare_request(requests.Request(method, url, headers=headers, data=data))
        session.get_adapter(url)  # which there is for http and https alone
    except (requests.RequestException, ValueError):
        title = "the request cannot be written"
        raise UnavailableError(ErrorCode.OTHER_ERROR, title=title) from None  # the cause would quote the token
    return request


def raise_for_error(reply: Reply) -> Reply:
    """Return a reply that is no error, whatever its status; else raise as :func:`raise_error`."""
    if reply.status != requests.codes.ok or (isinstance(reply.document, dict) and "errorCode" in reply.document):
        raise_error(reply)
    return reply


def raise_error(reply: Reply) -> NoReturn:
    """Raise what a reply other than the expected one means.

    Raises
    ------
    ResponsysError
        Always; the class says what to do next. A 401 without Responsys's own words about the token is an
        :class:`UnavailableError` of status 401 and code ``OTHER_ERROR``: a gateway in Responsys's way may mean the
        token by it, or anything else.
    """
    error = reply.document if isinstance(reply.document, dict) else {}
    code = known_code(error)
    # Its texts stay here: not only the detail, a title may quote somebody, too, under a code that we do not know.
    context: dict[str, Any] = {"status": reply.status, "correlation_id": reply.correlation_id}
    match classify(reply.status, error):
        case ErrorClass.TOKEN:
            raise TokenRefusedError(code, **context)
        case ErrorClass.THROTTLED_MINUTE | ErrorClass.THROTTLED_CAPACITY as throttle:
            raise ThrottledError(code, retry_after=_retry_after(RETRY_AFTER[throttle], reply.retry_after), **context)
        case ErrorClass.CREDENTIALS:
            raise LoginRefusedError(code, **context)
        case ErrorClass.CONFIGURATION:
            raise RequestRefusedError(code, scope=RefusalScope.CONNECTOR, **context)
        case ErrorClass.EVENT:
            raise RequestRefusedError(code, scope=RefusalScope.EVENT, **context)
        case ErrorClass.REQUEST:
            raise RequestRefusedError(code, scope=RefusalScope.REQUEST, **context)
        case ErrorClass.CONTENT | ErrorClass.FAILED:
            record = _RECORD.search(str(error.get("detail", "")))
            named = int(record[1]) if record else None
            known = reply.status == 413 or class_of_code(code) is ErrorClass.CONTENT
            raise RequestRefusedError(code, scope=RefusalScope.RECIPIENTS, record=named, documented=known, **context)
        case ErrorClass.UNAVAILABLE:
            raise UnavailableError(code, **context)
        case ErrorClass.UNKNOWN:
            raise OutcomeUnknownError(code, **context)
        case never:
            assert_never(never)


def _retry_after(own: float, header: str) -> float:
    """Return the longer of a throttle's own time and what ``Retry-After`` asks for, in seconds.

    No source mentions that header in a reply of Responsys.
    """
    try:
        asked = float(header)
    except ValueError:
        try:
            asked = parsedate_to_datetime(header).timestamp() - time.time()
        except (ValueError, OverflowError):
            return own
    return max(own, min(asked, _LONGEST_RETRY_AFTER))


def _parse(content: bytes) -> Any:
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return None
