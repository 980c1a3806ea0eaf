"""Is a login what Responsys expects, and is each of its answers, as recorded from real accounts, understood?"""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs

import pytest
import requests

from responsys_activation.error_code import ErrorCode
from responsys_activation.responsys.endpoint import TrustedDomains, UntrustedEndpointError
from responsys_activation.responsys.errors import (
    LoginRefusedError,
    OutcomeUnknownError,
    ResponsysError,
    ThrottledError,
    UnavailableError,
)
from responsys_activation.responsys.login import Credentials, SecretVersion, Token, WrongPasswordError, log_in
from tests.fakes.clock import NOW, Clock
from tests.fakes.responsys_transport import Answer, ResponsysTransport, refusing, replying

CREDENTIALS = Credentials("api user", "p&ss=wörd+ %", SecretVersion("secret", "v1", NOW))
RECORDED = {"authToken": "E" * 54, "issuedAt": 1545918187627, "endPoint": "https://api5-009.responsys.net"}


def login(transport: ResponsysTransport, auth_endpoint: str = "https://login5.responsys.net") -> Token:
    return log_in(
        transport.session(),
        auth_endpoint,
        CREDENTIALS,
        trusted=TrustedDomains(("responsys.net",)),
        clock=Clock(),
        timeout=30,
    )


def test_credentials_go_form_encoded_in_the_body_and_nowhere_else() -> None:
    transport = ResponsysTransport(replying(RECORDED))

    login(transport)

    request = transport.requests[0]
    assert request.method == "POST"
    assert request.url == "https://login5.responsys.net/rest/api/v1.3/auth/token"
    assert request.headers["Content-Type"] == "application/x-www-form-urlencoded"
    assert request.body == "user_name=api+user&password=p%26ss%3Dw%C3%B6rd%2B+%25&auth_type=password"
    assert parse_qs(str(request.body)) == {
        "user_name": ["api user"],
        "password": ["p&ss=wörd+ %"],
        "auth_type": ["password"],
    }
    assert "Authorization" not in request.headers


def test_the_recorded_reply_gives_the_token_its_endpoint_and_our_own_time() -> None:
    assert login(ResponsysTransport(replying(RECORDED))) == Token("E" * 54, "https://api5-009.responsys.net", NOW)


@pytest.mark.parametrize(
    "end_point",
    [
        "https://api5-009.responsys.net",
        "https://api5-009.responsys.net/",
        "api5-009.responsys.net",
        "api5-009.responsys.net/",
    ],
)
def test_an_endpoint_is_taken_with_and_without_scheme(end_point: str) -> None:
    token = login(ResponsysTransport(replying(RECORDED | {"endPoint": end_point})))

    assert token.end_point == "https://api5-009.responsys.net"


@pytest.mark.parametrize(
    "end_point", ["https://evil.com", "http://api5-009.responsys.net", "https://responsys.net@evil.com", "", None, 7]
)
def test_an_untrusted_endpoint_gets_no_token_and_counts_as_a_refused_login(end_point: Any) -> None:
    transport = ResponsysTransport(replying(RECORDED | {"endPoint": end_point}))

    with pytest.raises(LoginRefusedError) as refused:
        login(transport)

    assert refused.value.code == ErrorCode.UNTRUSTED_ENDPOINT
    assert refused.value.retry_after == 600
    assert "E" * 54 not in str(refused.value)


def test_an_untrusted_login_host_gets_no_password() -> None:
    transport = ResponsysTransport(replying(RECORDED))

    with pytest.raises(UntrustedEndpointError):
        login(transport, "https://login5.responsys.net.evil.com")

    assert transport.requests == []


@pytest.mark.parametrize(
    "token",
    [None, "", 7, "with\r\nX-Evil: 1", "with\N{NO-BREAK SPACE}space", "nöt ascii", "tab\t"],
)
def test_a_reply_without_a_token_that_fits_a_header_is_no_login(token: Any) -> None:
    with pytest.raises(UnavailableError):
        login(ResponsysTransport(replying(RECORDED | {"authToken": token})))


WRONG_PASSWORD = refusing(400, "INVALID_USER_NAME_PASSWORD", title="Invalid username or password")


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (WRONG_PASSWORD, "INVALID_USER_NAME_PASSWORD"),
        (refusing(400, "INVALID_USER_NAME_PASSWORD", detail="Login failed"), "INVALID_USER_NAME_PASSWORD"),
        (refusing(200, "INVALID_USER_NAME_PASSWORD"), "INVALID_USER_NAME_PASSWORD"),
        (refusing(500, "INVALID_PASSWORD"), "INVALID_PASSWORD"),
        (refusing(401, "INVALID_USER_NAME"), "INVALID_USER_NAME"),
        (refusing(401, "AUTHENTICATION_FAILED"), "AUTHENTICATION_FAILED"),
        (refusing(400, "A_CODE_OF_TOMORROW"), "A_CODE_OF_TOMORROW"),
        (refusing(200, "A_CODE_OF_TOMORROW"), "A_CODE_OF_TOMORROW"),
        (refusing(401, "no code"), ErrorCode.OTHER_ERROR),
        (refusing(404, "CUSTOM_EVENT_NOT_FOUND"), "CUSTOM_EVENT_NOT_FOUND"),
        (refusing(413, "A_CODE_OF_TOMORROW"), "A_CODE_OF_TOMORROW"),
    ],
)
def test_a_refusal_in_responsyss_words_is_a_wrong_password_unless_they_say_otherwise(answer: Answer, code: str) -> None:
    with pytest.raises(WrongPasswordError) as refused:
        login(ResponsysTransport(answer))

    assert refused.value.code == code
    assert refused.value.retry_after == 600


@pytest.mark.parametrize(
    "code",
    [
        "PASSWORD_LOCKOUT",
        "PASSWORD_EXPIRED",
        "MAX_LOGIN_FAILURES_EXCEEDED",
        "LOGIN_BLOCKED_TEMPORARILY",
        "LOGIN_BLOCKED_INVALID_IPRANGE",
        "LOGINS_DISABLED",
        "ACCOUNT_SUSPENDED",
        "API_DISABLED_FOR_USER",
        "INSUFFICIENT_ACCESS",
        "API_BLOCKED",
    ],
)
def test_a_refusal_that_is_not_about_the_password_is_no_wrong_password(code: str) -> None:
    with pytest.raises(LoginRefusedError) as refused:
        login(ResponsysTransport(refusing(401, code)))

    assert not isinstance(refused.value, WrongPasswordError)
    assert (refused.value.code, refused.value.retry_after) == (code, 600)


@pytest.mark.parametrize(
    "answer",
    [
        Answer(200, b"<html>Welcome</html>"),
        Answer(200, b""),
        replying([]),
        replying({}),
        replying({"message": "Forbidden"}, 403),
        Answer(302, b"", {"Location": "https://evil.com"}),
        Answer(401, b""),
        Answer(403, b"<html>Forbidden</html>"),
        Answer(404, b"<html>Not found</html>"),
        Answer(405, b""),
        Answer(413, b""),
    ],
)
def test_an_answer_in_another_language_says_that_no_login_lives_there(answer: Answer) -> None:
    with pytest.raises(LoginRefusedError) as refused:
        login(ResponsysTransport(answer))

    assert not isinstance(refused.value, WrongPasswordError)
    assert (refused.value.code, refused.value.status) == (ErrorCode.NO_LOGIN_AT_ENDPOINT, answer.status)
    assert refused.value.retry_after == 600


@pytest.mark.parametrize("answer", [refusing(401, "API_LIMIT_EXCEEDED"), Answer(429, b"slow down")])
def test_too_many_logins_are_a_throttle_and_no_refusal(answer: Answer) -> None:
    with pytest.raises(ThrottledError) as throttled:
        login(ResponsysTransport(answer))

    assert throttled.value.retry_after == 60


@pytest.mark.parametrize(
    "step",
    [
        Answer(503, b"maintenance"),
        Answer(502, b""),
        Answer(408, b""),
        refusing(503, "SERVICE_UNAVAILABLE"),
        refusing(400, "SERVICE_UNAVAILABLE"),
        refusing(200, "UNEXPECTED_EXCEPTION"),
        refusing(500, "A_CODE_OF_TOMORROW"),
        refusing(500, "UNEXPECTED_EXCEPTION"),
        refusing(500, "UNEXPECTED_EXCEPTION", detail="Not a valid authentication token"),
        refusing(401, "INVALID_TOKEN"),
        requests.ConnectTimeout(),
        requests.ReadTimeout(),
        requests.ConnectionError("reset"),
    ],
)
def test_a_login_without_a_clear_answer_sent_no_event_and_leaves_none_in_doubt(step: Answer | Exception) -> None:
    with pytest.raises(UnavailableError) as raised:
        login(ResponsysTransport(step))

    assert not isinstance(raised.value, OutcomeUnknownError)


@pytest.mark.parametrize(
    "step", [WRONG_PASSWORD, Answer(401, b""), requests.ReadTimeout(), replying({"authToken": "T" * 30})]
)
def test_no_failure_shows_a_password_or_token(step: Answer | Exception) -> None:
    with pytest.raises(ResponsysError) as raised:
        login(ResponsysTransport(step))

    assert CREDENTIALS.password not in repr(raised.value) + str(raised.value)
    assert "T" * 30 not in repr(raised.value) + str(raised.value)


def test_neither_password_nor_token_is_in_a_representation() -> None:
    shown = repr(CREDENTIALS) + repr(Token("secret-token", "https://api5-009.responsys.net", NOW))

    assert CREDENTIALS.password not in shown
    assert "secret-token" not in shown
