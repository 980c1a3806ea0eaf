"""How does one HTTP exchange with Responsys go?

No retries here: who calls knows whether sending again could send twice.
"""

from __future__ import annotations

import json
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn, assert_never

import requests
from requests.adapters import HTTPAdapter
from urllib3.exceptions import NameResolutionError, NewConnectionError

from responsys_activation.outcome import ErrorCode
from responsys_activation.responsys.classification import ErrorClass, classify, known_code
from responsys_activation.responsys.errors import (
    LoginRefusedError,
    OutcomeUnknownError,
    RefusalScope,
    RequestRefusedError,
    ThrottledError,
    TokenRefusedError,
    UnavailableError,
)

__all__ = ["API_PATH", "REFUSAL_MEMORY", "Reply", "get", "open_http_session", "post", "raise_error"]

API_PATH = "/rest/api/v1.3"
CONNECT_SECONDS = 5.0
_CONNECTIONS = 50  # kept open: as many as requests may be in flight; one more would mean a TLS handshake each time
REPLY_SECONDS = 45.0  # integrators had to raise shorter limits; real replies to 200 recipients can take this long

REFUSAL_MEMORY = 600.0  # seconds without a login after a refused one; a wrong password tried often locks the account
# How a detail names the offender: "Record 7 = …"; whether the count starts at 0 or 1, no source says.
_RECORD = re.compile(r"\brecord\s+(\d{1,6})\b", re.IGNORECASE)
_MINUTE = 60.0
_CAPACITY_CLOCK = 600.0


@dataclass(frozen=True, slots=True)
class Reply:
    """A reply of any status.

    Attributes
    ----------
    document : Any
        The parsed JSON; ``None`` when the body is not JSON.
    """

    status: int
    document: Any
    correlation_id: str


def open_http_session() -> requests.Session:
    """Open the session that all calls of a process share."""
    session = requests.Session()
    for scheme in ("https://", "http://"):
        session.mount(scheme, HTTPAdapter(pool_maxsize=_CONNECTIONS))
    session.trust_env = False  # a proxy or .netrc of the environment must neither see nor replace a token
    return session


def post(
    session: requests.Session,
    url: str,
    *,
    data: bytes | Mapping[str, str],
    headers: Mapping[str, str],
    seconds_left: float,
) -> Reply:
    """Post and read the whole reply.

    Parameters
    ----------
    seconds_left : float
        The caller's own limit; connect and reply limits are never longer.

    Raises
    ------
    UnavailableError
        No connection was made, or no time was left for one, so nothing was processed.
    OutcomeUnknownError
        The connection broke or timed out after sending began.
    """
    return _exchange(session, "POST", url, seconds_left, data=data, headers=headers)


def get(session: requests.Session, url: str, *, headers: Mapping[str, str], seconds_left: float) -> Reply:
    """Get, with the limits and errors of :func:`post`."""
    return _exchange(session, "GET", url, seconds_left, headers=headers)


def _exchange(session: requests.Session, method: str, url: str, seconds_left: float, **content: Any) -> Reply:
    if seconds_left <= 0:
        raise UnavailableError(ErrorCode.OUT_OF_TIME, title="no time left for a request")
    timeout = (min(CONNECT_SECONDS, seconds_left), min(REPLY_SECONDS, seconds_left))
    try:
        response = session.request(method, url, timeout=timeout, allow_redirects=False, **content)
    except requests.ConnectTimeout as exc:
        raise UnavailableError(ErrorCode.TIMEOUT, title="no connection in time") from exc
    except requests.Timeout as exc:
        raise OutcomeUnknownError(ErrorCode.TIMEOUT, title="no reply in time") from exc
    except requests.RequestException as exc:
        if _never_connected(exc):
            raise UnavailableError(ErrorCode.OTHER_ERROR, title="no connection") from exc
        raise OutcomeUnknownError(ErrorCode.OTHER_ERROR, title="connection broke") from exc
    return Reply(response.status_code, _parse(response.content), response.headers.get("X-CorrelationID", ""))


def raise_error(reply: Reply) -> NoReturn:
    """Raise what a reply other than the expected one means.

    Raises
    ------
    ResponsysError
        Always; the class says what to do next.
    """
    error = reply.document if isinstance(reply.document, dict) else {}
    code = known_code(error)
    # Its texts stay here: not only the detail, a title may quote somebody, too, under a code that we do not know.
    context: dict[str, Any] = {"status": reply.status, "correlation_id": reply.correlation_id}
    match classify(reply.status, error):
        case ErrorClass.TOKEN:
            raise TokenRefusedError(code, **context)
        case ErrorClass.THROTTLED_MINUTE:
            raise ThrottledError(code, clock=_MINUTE, **context)
        case ErrorClass.THROTTLED_CAPACITY:
            raise ThrottledError(code, clock=_CAPACITY_CLOCK, **context)
        case ErrorClass.CREDENTIALS:
            raise LoginRefusedError(code, clock=REFUSAL_MEMORY, **context)
        case ErrorClass.CONFIGURATION:
            raise RequestRefusedError(code, scope=RefusalScope.CONNECTOR, **context)
        case ErrorClass.EVENT:
            raise RequestRefusedError(code, scope=RefusalScope.EVENT, **context)
        case ErrorClass.REQUEST:
            raise RequestRefusedError(code, scope=RefusalScope.REQUEST, **context)
        case ErrorClass.CONTENT:
            record = _RECORD.search(str(error.get("detail", "")))
            named = int(record[1]) if record else None
            raise RequestRefusedError(code, scope=RefusalScope.RECIPIENTS, record=named, **context)
        case ErrorClass.UNAVAILABLE | ErrorClass.NOT_NOW:
            raise UnavailableError(code, **context)
        case ErrorClass.UNKNOWN:
            raise OutcomeUnknownError(code, **context)
        case never:
            assert_never(never)


def _never_connected(exc: BaseException) -> bool:
    """Look for the cause that urllib3 and requests wrap: only these say that nothing was sent.

    Other TLS errors may come while the reply is read.
    """
    while exc is not None:
        if isinstance(exc, NewConnectionError | NameResolutionError | ssl.SSLCertVerificationError):
            return True
        reason = getattr(exc, "reason", None)
        inner = next((arg for arg in exc.args if isinstance(arg, BaseException)), None)
        exc = reason if isinstance(reason, BaseException) else inner  # type: ignore[assignment]
    return False


def _parse(content: bytes) -> Any:
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return None
