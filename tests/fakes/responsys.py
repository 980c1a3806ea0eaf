"""What does Responsys do with custom events and list merges? An account in memory behind a transport for ``requests``.

It reads a request as strictly as the simulator does. It keeps what it accepted, so that a test can count what arrived
twice, and fails where it is told to, before or after accepting. A reply later than the read limit is no reply, and the
request is taken all the same.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit

import requests
import urllib3.exceptions as urllib3_errors
from requests.adapters import BaseAdapter

from responsys_activation.error_code import ErrorCode
from responsys_activation.responsys.errors import UnavailableError
from tests.simulator.event_request import RecipientData, parse_event_request
from tests.simulator.functions import ApiFunction
from tests.simulator.list_members import ListMembers
from tests.simulator.merge_request import parse_merge_request
from tests.simulator.merge_results import Merging
from tests.simulator.refusals import RequestRefusedError
from tests.simulator.settings import AccountSettings, IdentifierSet, Limits, Replies

UNKNOWN_RECIPIENT = 404  # the recipientId that no list has from the beginning
SPOILING = "spoiling"  # a property of this name makes Responsys refuse the whole request
_REPLIES = Replies()
_LIST_FIELDS = ("EMAIL_ADDRESS_", "CUSTOMER_ID_", "MOBILE_NUMBER_")
_WRONG_PASSWORDS_BEFORE_LOCKOUT = 5  # in a row


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
    REVERSED = "results in reverse order"
    OTHER_RECIPIENT = "a result with another's recipientId"
    SUCCESS_AS_TEXT = "success as text"
    EMPTY_ARRAY = "200 with an empty array, accepted"
    OBJECT = "200 with an object, accepted"
    HTML_200 = "HTML 200, accepted"
    NO_CONTENT = "204, accepted"
    REDIRECT = "redirect"
    UNREADABLE_REDIRECT = "redirect whose Location is no UTF-8"
    HTML_503 = "HTML 503"
    EXCEPTION_BEFORE = "500, not accepted"
    EXCEPTION_AFTER = "500, accepted"
    EXCEPTION_MIDWAY = "500, half of the recipients accepted"
    THROTTLED_RECIPIENT = "minute throttle in the result of every second recipient"
    TOKEN_EXPIRED = "all tokens expired"
    TOKEN_NOT_VALID = "all tokens expired, told with status 500"
    API_LIMIT = "minute throttle"
    CAPACITY = "capacity throttle"
    LOGIN_REFUSED = "login refused"


@dataclass(frozen=True)
class Accepted:
    """One recipient's custom event as accepted.

    Attributes
    ----------
    began_at : float
        When its request set out.
    errand : Any
        What its request was sent for; see :class:`FakeResponsys`.
    """

    event_name: str
    recipient: int | str
    properties: dict[str, str]
    at: float
    began_at: float = 0.0
    errand: Any = None


@dataclass(frozen=True)
class Seen:
    """One event request as it arrived."""

    at: float
    event_name: str
    recipients: tuple[int | str, ...]
    request_id: str


class Merge(NamedTuple):
    """One list merge that was made.

    Attributes
    ----------
    began_at, at : float
        When its request set out, and when it was made.
    values : tuple of str
        Of the match column.
    """

    began_at: float
    at: float
    values: tuple[str, ...]


class Login(NamedTuple):
    """One login that was tried.

    Attributes
    ----------
    right : bool
        Whether user name and password were.
    told : bool
        Whether who tried it learns that.
    """

    at: float
    user: str
    right: bool
    told: bool


class _Request(NamedTuple):
    """One request on its way; the attributes as in :class:`Accepted` and :class:`FakeResponsys`."""

    kind: str
    path: str
    content: requests.PreparedRequest
    fault: Fault | None
    began_at: float
    errand: Any


class _Now(NamedTuple):
    """The clock as what is shared with the simulator asks it."""

    now: Callable[[], float]


@dataclass
class Reply:
    """What goes back."""

    status: int
    content: bytes
    location: str = ""


def _json(status: int, document: object) -> Reply:
    return Reply(status, json.dumps(document).encode())


def refusal(status: int, code: str, detail: str = "") -> Reply:
    """Return Responsys's error envelope."""
    return _json(status, {"type": "", "title": code, "errorCode": code, "detail": detail, "errorDetails": []})


# A host puts its own bytes into a header; whoever reads it takes them for Latin-1.
_INSTEAD = {
    Fault.RESET_BEFORE: Reply(0, b""),
    Fault.TIMEOUT_BEFORE: Reply(0, b""),
    Fault.REDIRECT: Reply(302, b"", "https://www.oracle.com/maintenance.html"),
    Fault.UNREADABLE_REDIRECT: Reply(302, b"", "/wartung/st\xf6rung.html"),
    Fault.HTML_503: Reply(503, b"<html><body>Service Unavailable</body></html>"),
    Fault.API_LIMIT: refusal(429, "API_LIMIT_EXCEEDED"),
    Fault.CAPACITY: refusal(400, "INTERNAL_CAPACITY_LIMIT_EXCEEDED"),
    Fault.LOGIN_REFUSED: refusal(400, "INVALID_USER_NAME_PASSWORD"),
    Fault.EXCEPTION_BEFORE: refusal(500, "UNEXPECTED_EXCEPTION"),
}
# What becomes of the reply to a request that was processed.
_AFTERWARDS = {
    Fault.EMPTY_ARRAY: Reply(200, b"[]"),
    Fault.OBJECT: Reply(200, b"{}"),
    Fault.HTML_200: Reply(200, b"<html><body>Welcome</body></html>"),
    Fault.NO_CONTENT: Reply(204, b""),
    Fault.EXCEPTION_AFTER: refusal(500, "UNEXPECTED_EXCEPTION"),
    Fault.EXCEPTION_MIDWAY: refusal(500, "UNEXPECTED_EXCEPTION"),
}


class FakeResponsys(BaseAdapter):
    """One account.

    Parameters
    ----------
    name : str
        Becomes part of its hosts, so that several accounts can share a session.

    Attributes
    ----------
    login_host, end_point : str
        Where it takes logins and requests.
    fault : callable
        Asked at each request, with ``login``, ``event``, ``merge`` or ``ratelimit``, how it goes wrong.
    instead : dict of str to Reply
        By the same kinds: what a request is answered with, whatever it says.
    latency : callable
        Gives the seconds that a request takes; it is processed after half of them.
    errand : callable
        Asked at each event request what it is sent for.
    passwords : dict of str to str or None
        By user name; ``None``: every login is right. The fifth wrong one in a row locks the user out.
    logins : list of Login
        Those that were checked.
    on_accepted : callable
        Told of each recipient's event that it accepts; keeps it in ``accepted``, unless replaced.
    record_named_from : int or None
        Where a refusal of the whole request counts records from; ``None``: it names none.
    maximum_recipients : int
        More are refused.
    known_events : set of str or None
        Others are refused; ``None``: all are known.
    unknown : set of str
        Identifiers of those that the list did not have from the beginning.
    settings : AccountSettings
        How it merges, and when events find who was added.
    members : ListMembers
        Who was added by merges.
    merges : list of Merge
        Those that were made.
    """

    def __init__(self, clock: Callable[[], float], sleep: Callable[[float], None], name: str = "default") -> None:
        super().__init__()
        self.login_host = f"https://login-{name}.responsys.net"
        self.end_point = f"https://api-{name}.responsys.net"
        self._clock = clock
        self._sleep = sleep
        self.fault: Callable[[str], Fault | None] = lambda kind: None
        self.instead: dict[str, Reply] = {}
        self.latency: Callable[[], float] = lambda: 0.1
        self.errand: Callable[[], Any] = lambda: None
        self.passwords: dict[str, str] | None = None
        self.logins: list[Login] = []
        self.record_named_from: int | None = None
        self.maximum_recipients = 200
        self.requests_per_minute: int | None = 200
        self.known_events: set[str] | None = None
        self.unknown = {str(UNKNOWN_RECIPIENT)}
        self.settings = AccountSettings()
        self.merges: list[Merge] = []
        self.members = ListMembers(_Now(clock))  # type: ignore[arg-type]
        self.token_lifetime = 7200.0
        self.accepted: list[Accepted] = []
        self.on_accepted: Callable[[Accepted], None] = self.accepted.append
        self.seen: list[Seen] = []
        self.calls: Counter[str] = Counter()
        self._tokens: dict[str, float] = {}
        self._wrong_in_a_row: Counter[str] = Counter()

    def expire_tokens(self) -> None:
        """End the life of every token."""
        self._tokens.clear()

    def send(  # type: ignore[override]
        self, request: requests.PreparedRequest, *, timeout: Any = None, **_options: Any
    ) -> requests.Response:
        path = urlsplit(request.url or "").path
        kind = {"token": "login", "ratelimit": "ratelimit", "members": "merge"}.get(path.rpartition("/")[2], "event")
        self.calls[kind] += 1
        fault = self.fault(kind)
        if fault in {Fault.TOKEN_EXPIRED, Fault.TOKEN_NOT_VALID}:
            self.expire_tokens()
        seconds = self._seconds(kind)
        if fault in {Fault.CONNECTION_REFUSED, Fault.CONNECT_TIMEOUT}:
            self._sleep(timeout[0] if fault is Fault.CONNECT_TIMEOUT else seconds / 2)
            raise _unsent(fault)
        if fault in {Fault.TIMEOUT_BEFORE, Fault.TIMEOUT_AFTER}:
            seconds += timeout[1]
        on_its_way = _Request(kind, path, request, fault, self._clock(), self.errand())
        reply = self._exchange(seconds, timeout[1], lambda: self._reply(on_its_way))
        if reply is None:
            raise requests.ReadTimeout
        if fault in {Fault.RESET_BEFORE, Fault.RESET_AFTER}:
            raise requests.ConnectionError(urllib3_errors.ProtocolError("Connection aborted."))
        return _response(request, reply)

    def close(self) -> None:
        """Nothing is open."""

    def _seconds(self, _kind: str) -> float:
        return self.latency()

    def _exchange(self, seconds: float, limit: float, process: Callable[[], Reply]) -> Reply | None:
        """Let a request travel, be processed after half of the time, and its reply travel back.

        Returns
        -------
        Reply or None
            ``None`` if it is not there within the limit.
        """
        there = min(seconds / 2, limit)
        self._sleep(there)
        reply = process()
        self._sleep(min(seconds, limit) - there)
        return reply if seconds <= limit else None

    def _reply(self, request: _Request) -> Reply:
        fault = request.fault
        if fault in _INSTEAD:
            return _INSTEAD[fault]
        if request.kind in self.instead:
            return self.instead[request.kind]
        if request.kind == "login":
            reply = self._log_in(str(request.content.body), told=fault is None)
        elif self._tokens.get(str(request.content.headers.get("Authorization")), 0.0) <= self._clock():
            if fault is Fault.TOKEN_NOT_VALID:
                return refusal(500, "UNEXPECTED_EXCEPTION", "Not a valid authentication token")
            return refusal(401, "TOKEN_EXPIRED", "Token expired")
        elif request.kind == "ratelimit":
            reply = self._limits()
        elif request.kind == "merge":
            reply = self._merge(request)
        else:
            reply = self._trigger(request)
        if reply.status != 200 or fault is None:
            return reply
        return _AFTERWARDS.get(fault) or Reply(200, _spoiled(reply.content, fault))

    def _log_in(self, body: str, *, told: bool) -> Reply:
        if self.passwords is not None:
            form = parse_qs(body)
            user, password = form["user_name"][0], form["password"][0]
            if self._wrong_in_a_row[user] >= _WRONG_PASSWORDS_BEFORE_LOCKOUT:
                return refusal(401, "PASSWORD_LOCKOUT")
            right = self.passwords.get(user) == password
            self.logins.append(Login(self._clock(), user, right, told))
            if not right:
                self._wrong_in_a_row[user] += 1
                return refusal(400, "INVALID_USER_NAME_PASSWORD")
            del self._wrong_in_a_row[user]
        token = f"E{self.calls['login']:028d}"
        self._tokens[token] = self._clock() + self.token_lifetime
        return _json(200, {"authToken": token, "issuedAt": int(self._clock() * 1000), "endPoint": self.end_point})

    def _limits(self) -> Reply:
        if self.requests_per_minute is None:
            return _json(200, [])
        limits = Limits(requests_per_minute=self.requests_per_minute)
        return _json(200, [function.row(limits) for function in ApiFunction])

    def _merge(self, request: _Request) -> Reply:
        settings = self.settings
        unknown = {"unknown": IdentifierSet(identifiers=tuple(self.unknown))}
        account = settings.model_copy(update={"recipients": settings.recipients.model_copy(update=unknown)})
        list_name = unquote(request.path.split("/")[-2])
        try:
            merge = parse_merge_request(
                request.content.body or b"",  # type: ignore[arg-type]
                str(request.content.headers["Content-Type"]),
                list_fields=_LIST_FIELDS,
                replies=settings.replies,
            )
            merging = Merging(merge, account, list_name, self.members, str(request.content.headers["X-Request-Id"]))
            merged = merging.run()
            values = tuple(str(value) for record in merge.records for value in record.values())
            self.merges.append(Merge(request.began_at, self._clock(), values))
        except RequestRefusedError as refused:
            return _json(refused.status, refused.envelope())
        data = {"fieldNames": ["RIID_"], "records": [[each.cell] for each in merged], "mapTemplateName": None}
        return _json(200, {"recordData": data, "mergeRule": {}, "links": []})

    def _finds(self, record: RecipientData) -> bool:
        """Return whether events find a recipient."""
        (identifier,) = record.recipient.identifiers()
        member = self.members.find(self.settings.username, "CONTACTS_LIST", identifier)
        if member is None:
            return identifier.value not in self.unknown
        return not self.members.hidden(member, identifier, self.settings.newcomers)

    def _trigger(self, request: _Request) -> Reply:
        event_name, fault = unquote(request.path.rpartition("/")[2]), request.fault
        content_type = str(request.content.headers["Content-Type"])
        try:
            records = parse_event_request(request.content.body or b"", content_type, _REPLIES)  # type: ignore[arg-type]
        except RequestRefusedError as refused:
            return _json(refused.status, refused.envelope())
        ids = tuple(record.recipient.recipient_id or record.recipient.identifiers()[0].value for record in records)
        self.seen.append(Seen(self._clock(), event_name, ids, str(request.content.headers["X-Request-Id"])))
        if self.known_events is not None and event_name not in self.known_events:
            return refusal(404, "CUSTOM_EVENT_NOT_FOUND")
        if len(records) > self.maximum_recipients:
            return refusal(400, "RECIPIENT_LIMIT_EXCEEDED", "Recipient limit exceeded")
        properties = [{each["name"]: each["value"] for each in record.properties} for record in records]
        spoilers = [position for position, each in enumerate(properties) if SPOILING in each]
        if spoilers:
            named = self.record_named_from
            who = "" if named is None else f"Record {spoilers[0] + named} = "
            detail = f"{who}{ids[spoilers[0]]}"  # a detail may quote the recipient
            return refusal(400, "INVALID_PARAMETER", detail)
        results = []
        for position, (record, recipient, values) in enumerate(zip(records, ids, properties, strict=True)):
            error = None
            if fault is Fault.EXCEPTION_MIDWAY and position >= len(ids) / 2:
                break
            if fault is Fault.THROTTLED_RECIPIENT and position % 2:
                error = "API_LIMIT_EXCEEDED: too many"
            elif not self._finds(record):
                error = f"NO_RECIPIENT_FOUND: Recipient Not Found {recipient}"
            else:
                self.on_accepted(
                    Accepted(event_name, recipient, values, self._clock(), request.began_at, request.errand)
                )
            recipient_id = -1 if error else recipient
            results.append({"errorMessage": error, "success": error is None, "recipientId": recipient_id})
        return _json(200, results)


def _spoiled(content: bytes, fault: Fault) -> bytes:
    """Return what a fault makes of the bytes of a good reply."""
    results = json.loads(content)
    if fault is Fault.TRUNCATED:
        return content[:-2]
    if not isinstance(results, list) or not results:
        return content
    match fault:
        case Fault.WRONG_LENGTH:
            results.pop()
        case Fault.REVERSED:
            results.reverse()
        case Fault.OTHER_RECIPIENT:
            results[0]["recipientId"] = results[-1]["recipientId"] if len(results) > 1 else 987654
        case Fault.SUCCESS_AS_TEXT:
            results[-1]["success"] = "true"
        case _:
            return content
    return json.dumps(results).encode()


def _unsent(fault: Fault) -> UnavailableError:
    """Return what the package's own connections raise when they do not come about."""
    code = ErrorCode.OTHER_ERROR if fault is Fault.CONNECTION_REFUSED else ErrorCode.TIMEOUT
    return UnavailableError(code, title="no connection")


def _response(request: requests.PreparedRequest, reply: Reply) -> requests.Response:
    response = requests.Response()
    response.status_code = reply.status
    response._content = reply.content
    response.headers["X-CorrelationID"] = "Id-1 0"
    if reply.location:
        response.headers["Location"] = reply.location
    response.request = request
    response.url = request.url or ""
    return response
