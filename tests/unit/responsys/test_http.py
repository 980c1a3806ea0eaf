"""Is it always known whether Responsys can have processed a request, and does nothing leak or follow on the way?"""

from __future__ import annotations

import time
from email.utils import formatdate
from http.client import IncompleteRead
from typing import Any

import pytest
import requests
import urllib3.exceptions as urllib3_errors
from annotated_types import Le
from hypothesis import given
from hypothesis import strategies as st

from responsys_activation import __version__
from responsys_activation.aws.faults import CLIENT_CONFIG
from responsys_activation.error_code import ErrorCode
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
from responsys_activation.responsys.http import HttpSession, Reply, exchange, raise_error
from responsys_activation.settings import Settings
from tests.fakes.responsys_transport import Answer, ResponsysTransport, refusing, replying

URL = "https://api5-009.responsys.net/rest/api/v1.3/events/E"


def send(transport: ResponsysTransport, *, timeout: float = 60.0) -> Reply:
    return exchange(transport.session(), "POST", URL, data=b"{}", headers={"Authorization": "token"}, timeout=timeout)


@pytest.mark.parametrize(
    ("failure", "code"),
    [
        (requests.ReadTimeout(), ErrorCode.TIMEOUT),
        (requests.ConnectionError("reset"), ErrorCode.OTHER_ERROR),
        (requests.exceptions.InvalidHeader("two lengths"), ErrorCode.OTHER_ERROR),
        (urllib3_errors.LocationParseError("a redirect"), ErrorCode.OTHER_ERROR),
        (UnicodeDecodeError("utf-8", b"\xf6", 0, 1, "invalid start byte"), ErrorCode.OTHER_ERROR),
        (RecursionError("parser"), ErrorCode.OTHER_ERROR),
        (IncompleteRead(b"", 100), ErrorCode.OTHER_ERROR),
    ],
    ids=lambda value: type(value).__name__,
)
def test_whatever_the_libraries_raise_leaves_the_outcome_unknown(failure: Exception, code: ErrorCode) -> None:
    with pytest.raises(OutcomeUnknownError) as raised:
        send(ResponsysTransport(failure))

    assert raised.value.code == code
    assert raised.value.status is None


def test_what_the_connection_says_itself_is_believed() -> None:
    refused = UnavailableError(ErrorCode.OTHER_ERROR, title="no connection")

    with pytest.raises(UnavailableError) as raised:
        send(ResponsysTransport(refused))

    assert raised.value is refused


@pytest.mark.parametrize(
    ("timeout", "connect", "whole"), [(600.0, 5.0, 60.0), (20.0, 5.0, 20.0), (3.0, 3.0, 3.0), (0.01, 0.01, 0.01)]
)
def test_no_limit_is_longer_than_the_time_left(timeout: float, connect: float, whole: float) -> None:
    transport = ResponsysTransport(replying([]))

    send(transport, timeout=timeout)

    assert transport.timeouts == [(connect, whole)]


def test_how_long_a_reply_may_take_is_a_setting() -> None:
    # Given a session that waits longer than by default
    transport = ResponsysTransport(replying([]))
    with HttpSession(reply_seconds=120.0) as session:
        session.mount("https://", transport)

        # When a request has more time than that
        exchange(session, "POST", URL, data=b"{}", headers={}, timeout=600.0)

    # Then the setting is its limit
    assert transport.timeouts == [(5.0, 120.0)]


def test_responsys_is_told_which_version_calls() -> None:
    transport = ResponsysTransport(replying([]))

    send(transport)

    assert transport.requests[0].headers["User-Agent"] == f"responsys-activation/{__version__}"


@pytest.mark.parametrize("timeout", [0.0, -3.0])
def test_without_time_left_nothing_is_sent(timeout: float) -> None:
    transport = ResponsysTransport(replying([]))

    with pytest.raises(UnavailableError) as raised:
        send(transport, timeout=timeout)

    assert raised.value.code == ErrorCode.OUT_OF_TIME
    assert not isinstance(raised.value, OutcomeUnknownError)
    assert transport.requests == []


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed_because_it_could_carry_the_token_elsewhere(status: int) -> None:
    transport = ResponsysTransport(Answer(status, b"", {"Location": "https://evil.com/"}), replying([]))

    reply = send(transport)

    assert reply.status == status
    assert len(transport.requests) == 1
    with pytest.raises(UnavailableError) as unavailable:
        raise_error(reply)
    assert not isinstance(unavailable.value, OutcomeUnknownError)


def test_each_request_in_flight_keeps_its_connections() -> None:
    # Given the most requests that may be in flight
    (most,) = (limit.le for limit in Settings.model_fields["requests_in_flight"].metadata if isinstance(limit, Le))
    # When connections are kept, to Responsys and to AWS / Then there is one for each
    adapters: Any = [HttpSession().get_adapter(f"{scheme}://api5-009.responsys.net") for scheme in ("https", "http")]
    assert all(adapter.poolmanager.connection_pool_kw["maxsize"] >= most for adapter in adapters)
    aws: Any = CLIENT_CONFIG
    assert aws.max_pool_connections >= most


def test_proxies_and_netrc_of_the_environment_get_no_token(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine api5-009.responsys.net login a password b")
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    transport = ResponsysTransport(replying([]))

    send(transport)

    assert transport.requests[0].headers["Authorization"] == "token"
    assert HttpSession().trust_env is False


@pytest.mark.parametrize(
    ("content", "document"),
    [
        (b"[]", []),
        (b'{"a": 1}', {"a": 1}),
        (b"null", None),
        (b"", None),
        (b"<html>502</html>", None),
        (b'[{"success": tru', None),
        (b"\xff\xfe\x00", None),
        ("[1]".encode("utf-8-sig"), [1]),
        ("[1]".encode("utf-16"), [1]),
        (b"[" * 200_000, None),
    ],
)
def test_a_reply_is_its_json_or_none(content: bytes, document: object) -> None:
    reply = send(ResponsysTransport(Answer(200, content, {"X-CorrelationID": "Id-1 0"})))

    assert reply == Reply(200, document, "Id-1 0")


@pytest.mark.parametrize(
    ("answer", "kind", "attributes"),
    [
        (refusing(401, "TOKEN_EXPIRED"), TokenRefusedError, {}),
        (refusing(401, "API_LIMIT_EXCEEDED"), ThrottledError, {"retry_after": 60.0}),
        (Answer(429, b"Too many requests"), ThrottledError, {"retry_after": 60.0, "code": ErrorCode.OTHER_ERROR}),
        (refusing(400, "INTERNAL_CAPACITY_LIMIT_EXCEEDED"), ThrottledError, {"retry_after": 600.0}),
        (refusing(401, "PASSWORD_LOCKOUT"), LoginRefusedError, {"retry_after": 600.0}),
        (refusing(400, "API_BLOCKED"), RequestRefusedError, {"scope": RefusalScope.CONNECTOR}),
        (refusing(404, "CUSTOM_EVENT_NOT_FOUND"), RequestRefusedError, {"scope": RefusalScope.EVENT}),
        (refusing(400, "DUPLICATE_API_REQUEST"), RequestRefusedError, {"scope": RefusalScope.REQUEST}),
        (refusing(400, "INVALID_PARAMETER"), RequestRefusedError, {"scope": RefusalScope.RECIPIENTS}),
        (Answer(404, b"<html>Not found</html>"), UnavailableError, {"code": ErrorCode.OTHER_ERROR}),
        (Answer(403, b"<html>Forbidden</html>"), UnavailableError, {"code": ErrorCode.OTHER_ERROR}),
        (Answer(400, b"Bad Request"), UnavailableError, {"code": ErrorCode.OTHER_ERROR}),
        (Answer(302, b"", {"Location": "https://login.example.com"}), UnavailableError, {}),
        (refusing(400, "A_CODE_OF_TOMORROW"), RequestRefusedError, {"scope": RefusalScope.RECIPIENTS}),
        (refusing(400, "FAILURE"), RequestRefusedError, {"scope": RefusalScope.RECIPIENTS}),
        (Answer(413, b""), RequestRefusedError, {"scope": RefusalScope.RECIPIENTS, "code": ErrorCode.OTHER_ERROR}),
        (Answer(401, b"<html>"), UnavailableError, {"code": ErrorCode.OTHER_ERROR, "status": 401}),
        (refusing(503, "SERVICE_UNAVAILABLE"), UnavailableError, {}),
        (Answer(503, b"Service Unavailable"), UnavailableError, {"code": ErrorCode.OTHER_ERROR}),
        (refusing(500, "UNEXPECTED_EXCEPTION"), OutcomeUnknownError, {}),
        (Answer(502, b"<html>Bad gateway</html>"), OutcomeUnknownError, {}),
        (Answer(504, b""), OutcomeUnknownError, {}),
    ],
)
def test_an_error_reply_raises_what_the_caller_does_next(
    answer: Answer, kind: type[ResponsysError], attributes: dict[str, Any]
) -> None:
    with pytest.raises(ResponsysError) as raised:
        raise_error(send(ResponsysTransport(answer)))

    assert type(raised.value) is kind
    assert raised.value.status == answer.status
    for name, value in attributes.items():
        assert getattr(raised.value, name) == value


def test_an_error_carries_the_code_and_the_correlation_id_but_none_of_responsys_texts() -> None:
    answer = refusing(
        400,
        "INVALID_PARAMETER",
        title="No member ann@example.com",
        detail="ann@example.com",
        **{"X-CorrelationID": "Id-5c 0"},
    )

    with pytest.raises(ResponsysError) as raised:
        raise_error(send(ResponsysTransport(answer)))

    assert raised.value.code == "INVALID_PARAMETER"
    assert raised.value.correlation_id == "Id-5c 0"
    assert "ann@example.com" not in repr(raised.value) + str(raised.value) + str(vars(raised.value))


@pytest.mark.parametrize(
    ("answer", "documented"),
    [
        (refusing(400, "INVALID_PARAMETER"), True),
        (refusing(400, "API_BLOCKED"), True),
        (Answer(413, b""), True),
        (refusing(400, "A_CODE_OF_TOMORROW"), False),
        (refusing(401, "A_CODE_OF_TOMORROW"), False),
        (refusing(400, "FAILURE"), False),
    ],
)
def test_a_refusal_tells_whether_its_meaning_is_documented_or_a_guess(answer: Answer, *, documented: bool) -> None:
    with pytest.raises(RequestRefusedError) as raised:
        raise_error(send(ResponsysTransport(answer)))

    assert raised.value.documented is documented


NOW = 1_800_000_000.0


@pytest.mark.parametrize(
    ("code", "header", "retry_after"),
    [
        ("API_LIMIT_EXCEEDED", "300", 300.0),
        ("API_LIMIT_EXCEEDED", "5", 60.0),
        ("API_LIMIT_EXCEEDED", "-300", 60.0),
        ("API_LIMIT_EXCEEDED", "7200", 3600.0),
        ("API_LIMIT_EXCEEDED", "9" * 5000, 3600.0),
        ("API_LIMIT_EXCEEDED", "soon", 60.0),
        ("API_LIMIT_EXCEEDED", "nan", 60.0),
        ("API_LIMIT_EXCEEDED", formatdate(NOW + 300, usegmt=True), 300.0),
        ("API_LIMIT_EXCEEDED", formatdate(NOW - 300, usegmt=True), 60.0),
        ("API_LIMIT_EXCEEDED", "Fri, 31 Dec 9999 23:59:59 GMT", 3600.0),
        ("API_LIMIT_EXCEEDED", "Mon, 01 Jan 0001 00:00:00 -0000", 60.0),
        ("API_LIMIT_EXCEEDED", f"Mon, 01 Jan 2024 00:00:00 +{'9' * 20}", 60.0),
        ("INTERNAL_CAPACITY_LIMIT_EXCEEDED", "300", 600.0),
        ("INTERNAL_CAPACITY_LIMIT_EXCEEDED", "900", 900.0),
    ],
)
def test_the_header_makes_a_throttle_longer_up_to_an_hour(
    monkeypatch: pytest.MonkeyPatch, code: str, header: str, retry_after: float
) -> None:
    monkeypatch.setattr(time, "time", lambda: NOW)

    with pytest.raises(ThrottledError) as raised:
        raise_error(send(ResponsysTransport(refusing(429, code, **{"Retry-After": header}))))

    assert raised.value.retry_after == pytest.approx(retry_after)


@given(st.text() | st.from_regex(r"[A-Z][a-z]{2}, \d{1,3} [A-Z][a-z]{2} \d{1,6} \d{1,3}:\d{1,3} [+-]?\w{1,9}"))
def test_no_retry_after_is_taken_for_anything_but_seconds(header: str) -> None:
    with pytest.raises(ThrottledError) as raised:
        raise_error(Reply(429, None, "", header))

    assert 60.0 <= raised.value.retry_after <= 3600.0
