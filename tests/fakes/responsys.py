"""What does Responsys do with custom events? An account in memory behind a transport for ``requests``.

It keeps what it accepted, so that a test can count what arrived twice, and fails where it is told to, before or after
accepting.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from urllib.parse import unquote, urlsplit

import requests
import urllib3.exceptions as urllib3_errors
from requests.adapters import BaseAdapter

from responsys_activation.outcome import ErrorCode
from responsys_activation.responsys.errors import UnavailableError
from responsys_activation.responsys.http import open_http_session

END_POINT = "https://api5-009.responsys.net"
UNKNOWN_RECIPIENT = 404  # the recipientId that no list has
SPOILING = "spoiling"  # a property of this name makes Responsys refuse the whole request


class Fault(StrEnum):
    """How a request can go wrong."""

    CONNECTION_REFUSED = "connection refused"
    CONNECT_TIMEOUT = "connect timeout"
    RESET_BEFORE = "reset before it was accepted"
    RESET_AFTER = "reset after it was accepted"
    TIMEOUT_BEFORE = "no reply, not accepted"
    TIMEOUT_AFTER = "no reply, accepted"
    TRUNCATED = "reply truncated"
    WRONG_LENGTH = "reply of wrong length"
    HTML_503 = "HTML 503"
    EXCEPTION_BEFORE = "500, not accepted"
    EXCEPTION_AFTER = "500, accepted"
    TOKEN_EXPIRED = "all tokens expired"
    TOKEN_NOT_VALID = "all tokens expired, told with status 500"
    API_LIMIT = "minute throttle"
    CAPACITY = "capacity throttle"
    LOGIN_REFUSED = "login refused"


@dataclass(frozen=True)
class Accepted:
    """One recipient's custom event as accepted."""

    event_name: str
    recipient: int | str
    properties: dict[str, str]
    at: float


@dataclass(frozen=True)
class Seen:
    """One event request as it arrived."""

    at: float
    event_name: str
    recipients: tuple[int | str, ...]
    request_id: str


@dataclass
class Reply:
    """What goes back."""

    status: int
    content: bytes


def _json(status: int, document: object) -> Reply:
    return Reply(status, json.dumps(document).encode())


def refusal(status: int, code: str, detail: str = "") -> Reply:
    """Give Responsys's error envelope."""
    return _json(status, {"type": "", "title": code, "errorCode": code, "detail": detail, "errorDetails": []})


_INSTEAD = {
    Fault.RESET_BEFORE: Reply(0, b""),
    Fault.TIMEOUT_BEFORE: Reply(0, b""),
    Fault.HTML_503: Reply(503, b"<html><body>Service Unavailable</body></html>"),
    Fault.API_LIMIT: refusal(429, "API_LIMIT_EXCEEDED"),
    Fault.CAPACITY: refusal(400, "INTERNAL_CAPACITY_LIMIT_EXCEEDED"),
    Fault.LOGIN_REFUSED: refusal(400, "INVALID_USER_NAME_PASSWORD"),
    Fault.EXCEPTION_BEFORE: refusal(500, "UNEXPECTED_EXCEPTION"),
}


class FakeResponsys(BaseAdapter):
    """One account.

    Attributes
    ----------
    fault : callable
        Asked at each request, with ``login``, ``event`` or ``ratelimit``, how it goes wrong.
    latency : callable
        Gives the seconds that a request takes.
    record_named_from : int or None
        Where a refusal of the whole request counts records from; ``None``: it names none.
    maximum_recipients : int
        More are refused.
    known_events : set of str or None
        Others are refused; ``None``: all are known.
    """

    def __init__(self, clock: Callable[[], float], sleep: Callable[[float], None]) -> None:
        super().__init__()
        self._clock = clock
        self._sleep = sleep
        self.fault: Callable[[str], Fault | None] = lambda kind: None
        self.latency: Callable[[], float] = lambda: 0.1
        self.record_named_from: int | None = None
        self.maximum_recipients = 200
        self.requests_per_minute: int | None = 200
        self.known_events: set[str] | None = None
        self.token_lifetime = 7200.0
        self.accepted: list[Accepted] = []
        self.seen: list[Seen] = []
        self.calls: Counter[str] = Counter()
        self._tokens: dict[str, float] = {}

    def session(self) -> requests.Session:
        """Open the session of the package over this account."""
        session = open_http_session()
        session.mount("https://", self)
        return session

    def expire_tokens(self) -> None:
        """End the life of every token."""
        self._tokens.clear()

    def send(  # type: ignore[override]
        self, request: requests.PreparedRequest, *, timeout: Any = None, **_options: Any
    ) -> requests.Response:
        path = urlsplit(request.url or "").path
        kind = {"token": "login", "ratelimit": "ratelimit"}.get(path.rpartition("/")[2], "event")
        self.calls[kind] += 1
        fault = self.fault(kind)
        if fault in {Fault.TOKEN_EXPIRED, Fault.TOKEN_NOT_VALID}:
            self.expire_tokens()
        latency = self.latency()
        self._sleep(latency / 2)
        _raise_unsent(fault, timeout, self._sleep)
        reply = self._reply(kind, path, request, fault)
        self._sleep(latency / 2)
        if fault in {Fault.RESET_BEFORE, Fault.RESET_AFTER}:
            raise requests.ConnectionError(urllib3_errors.ProtocolError("Connection aborted."))
        if fault in {Fault.TIMEOUT_BEFORE, Fault.TIMEOUT_AFTER}:
            self._sleep(timeout[1])
            raise requests.ReadTimeout
        return _response(request, reply)

    def close(self) -> None:
        """Nothing is open."""

    def _reply(self, kind: str, path: str, request: requests.PreparedRequest, fault: Fault | None) -> Reply:
        if fault in _INSTEAD:
            return _INSTEAD[fault]
        if kind == "login":
            return self._log_in()
        if self._tokens.get(str(request.headers.get("Authorization")), 0.0) <= self._clock():
            if fault is Fault.TOKEN_NOT_VALID:
                return refusal(500, "UNEXPECTED_EXCEPTION", "Not a valid authentication token")
            return refusal(401, "TOKEN_EXPIRED", "Token expired")
        if kind == "ratelimit":
            return self._limits()
        reply = self._trigger(unquote(path.rpartition("/")[2]), request)
        if reply.status != 200:
            return reply
        match fault:
            case Fault.TRUNCATED:
                return Reply(200, reply.content[:-2])
            case Fault.WRONG_LENGTH:
                return Reply(200, json.dumps(json.loads(reply.content)[1:]).encode())
            case Fault.EXCEPTION_AFTER:
                return refusal(500, "UNEXPECTED_EXCEPTION")
            case _:
                return reply

    def _log_in(self) -> Reply:
        token = f"E{self.calls['login']:028d}"
        self._tokens[token] = self._clock() + self.token_lifetime
        return _json(200, {"authToken": token, "issuedAt": int(self._clock() * 1000), "endPoint": END_POINT})

    def _limits(self) -> Reply:
        if self.requests_per_minute is None:
            return _json(200, [])
        limit = {
            "api": "triggerCustomEvent",
            "resource_path": "/events/{eventName}",
            "verb": "POST",
            "limit": self.requests_per_minute,
        }
        return _json(200, [limit])

    def _trigger(self, event_name: str, request: requests.PreparedRequest) -> Reply:
        recipients = json.loads(request.body or b"")["recipientData"]
        ids = tuple(_identifier(each["recipient"]) for each in recipients)
        self.seen.append(Seen(self._clock(), event_name, ids, str(request.headers["X-Request-Id"])))
        if self.known_events is not None and event_name not in self.known_events:
            return refusal(404, "CUSTOM_EVENT_NOT_FOUND")
        if len(recipients) > self.maximum_recipients:
            return refusal(400, "RECIPIENT_LIMIT_EXCEEDED", "Recipient limit exceeded")
        properties = [{each["name"]: each["value"] for each in one["optionalData"]} for one in recipients]
        spoilers = [position for position, each in enumerate(properties) if SPOILING in each]
        if spoilers:
            named = self.record_named_from
            who = "" if named is None else f"Record {spoilers[0] + named} = "
            detail = f"{who}{ids[spoilers[0]]}"  # a detail may quote the recipient
            return refusal(400, "INVALID_PARAMETER", detail)
        results = []
        for recipient, values in zip(ids, properties, strict=True):
            known = str(recipient) != str(UNKNOWN_RECIPIENT)
            if known:
                self.accepted.append(Accepted(event_name, recipient, values, self._clock()))
            error = None if known else f"NO_RECIPIENT_FOUND: Recipient Not Found {recipient}"
            results.append({"errorMessage": error, "success": known, "recipientId": recipient if known else -1})
        return _json(200, results)


def _identifier(recipient: dict[str, Any]) -> int | str:
    ((_, value),) = ((name, value) for name, value in recipient.items() if name != "listName")
    return value  # type: ignore[no-any-return]


def _raise_unsent(fault: Fault | None, timeout: Any, sleep: Callable[[float], None]) -> None:
    """Raise what the package's own connections raise when they do not come about."""
    if fault is Fault.CONNECTION_REFUSED:
        raise UnavailableError(ErrorCode.OTHER_ERROR, title="no connection")
    if fault is Fault.CONNECT_TIMEOUT:
        sleep(timeout[0])
        raise UnavailableError(ErrorCode.TIMEOUT, title="no connection")


def _response(request: requests.PreparedRequest, reply: Reply) -> requests.Response:
    response = requests.Response()
    response.status_code = reply.status
    response._content = reply.content
    response.headers["X-CorrelationID"] = "Id-1 0"
    response.request = request
    response.url = request.url or ""
    return response
