"""Does each row of Responsys's error tables mean what we do about it?

The table below is copied from Oracle's pages and from recordings of real accounts, not from the code: (errorCode, the
HTTP statuses under which it was seen or documented, meaning). Where Oracle contradicts itself all statuses stand here.
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from responsys_activation.error_code import ErrorCode
from responsys_activation.responsys.classification import ErrorClass, class_of_code, classify, known_code

ANY_STATUS = (200, 400, 401, 403, 404, 405, 429, 500, 503)

TABLE: list[tuple[str, tuple[int, ...], ErrorClass]] = [
    ("TOKEN_EXPIRED", (401,), ErrorClass.TOKEN),
    ("INVALID_TOKEN", (401,), ErrorClass.TOKEN),
    ("UNEXPECTED_EXCEPTION", (500, 400), ErrorClass.UNKNOWN),
    ("UNRECOVERABLE_EXCEPTION", (500, 400), ErrorClass.UNKNOWN),
    ("SERVICE_UNAVAILABLE", (503, 500), ErrorClass.UNAVAILABLE),
    ("API_LIMIT_EXCEEDED", (400, 401, 403, 429, 500), ErrorClass.THROTTLED_MINUTE),
    ("REQUEST_LIMIT_EXCEEDED", (400, 401, 429), ErrorClass.THROTTLED_MINUTE),
    ("UNABLE_TO_SUBMIT_ASYNC_REQUEST", (500,), ErrorClass.THROTTLED_MINUTE),
    ("INTERNAL_CAPACITY_LIMIT_EXCEEDED", (400, 401, 403, 429, 500, 503), ErrorClass.THROTTLED_CAPACITY),
    ("WS_ARG_DISABLED", (401,), ErrorClass.THROTTLED_CAPACITY),
    ("LOGIN_BLOCKED_TEMPORARILY", (401,), ErrorClass.CREDENTIALS),
    ("LOGIN_BLOCKED_INVALID_IPRANGE", (401,), ErrorClass.CREDENTIALS),
    ("INVALID_USER_NAME_PASSWORD", (400, 401), ErrorClass.CREDENTIALS),
    ("INVALID_USER_NAME", (400, 401), ErrorClass.CREDENTIALS),
    ("INVALID_PASSWORD", (400, 401), ErrorClass.CREDENTIALS),
    ("AUTHENTICATION_FAILED", (400, 401), ErrorClass.CREDENTIALS),
    ("INVALID_AUTHENTICATION_OPTION", (400, 401), ErrorClass.CREDENTIALS),
    ("PASSWORD_LOCKOUT", (401,), ErrorClass.CREDENTIALS),
    ("PASSWORD_EXPIRED", (401,), ErrorClass.CREDENTIALS),
    ("MAX_LOGIN_FAILURES_EXCEEDED", (401,), ErrorClass.CREDENTIALS),
    ("LOGINS_DISABLED", (401,), ErrorClass.CREDENTIALS),
    ("INACTIVE_ACCOUNT", (401,), ErrorClass.CREDENTIALS),
    ("ACCOUNT_SUSPENDED", (401,), ErrorClass.CREDENTIALS),
    ("USER_BLOCKED", (401,), ErrorClass.CREDENTIALS),
    ("CLIENT_CERTIFICATE_EXPIRED", (401,), ErrorClass.CREDENTIALS),
    ("CLIENT_CERTIFICATE_NOT_YET_VALID", (401,), ErrorClass.CREDENTIALS),
    ("CLIENT_CERTIFICATE_NOT_FOUND", (401,), ErrorClass.CREDENTIALS),
    ("SERVER_CERTIFICATE_EXPIRED", (401,), ErrorClass.CREDENTIALS),
    ("SERVER_CERTIFICATE_NOT_YET_VALID", (401,), ErrorClass.CREDENTIALS),
    ("SERVER_CERTIFICATE_NOT_FOUND", (401,), ErrorClass.CREDENTIALS),
    ("PRIVATE_KEY_NOT_FOUND", (401,), ErrorClass.CREDENTIALS),
    ("SERVER_CHALLENGES_DO_NOT_MATCH", (401,), ErrorClass.CREDENTIALS),
    ("API_DISABLED_FOR_USER", (401,), ErrorClass.CONFIGURATION),
    ("ASYNC_API_DISABLED_FOR_USER", (401, 400), ErrorClass.CONFIGURATION),
    ("INSUFFICIENT_ACCESS", (401,), ErrorClass.CONFIGURATION),
    ("API_BLOCKED", (400,), ErrorClass.CONFIGURATION),
    ("CUSTOM_EVENT_NOT_FOUND", (404, 400, 200), ErrorClass.EVENT),
    ("LIST_NOT_FOUND", (404,), ErrorClass.CONFIGURATION),
    ("FOLDER_NOT_FOUND", (404,), ErrorClass.CONFIGURATION),
    ("PROFILE_LIST_NOT_FOUND", (404,), ErrorClass.CONFIGURATION),
    ("PROFILE_LIST_NOT_FOUND_IN_FOLDER", (404,), ErrorClass.CONFIGURATION),
    ("RESOURCE_NOT_FOUND", (404,), ErrorClass.CONFIGURATION),
    ("METHOD_NOT_SUPPORTED", (405,), ErrorClass.CONFIGURATION),
    ("OPERATION_NOT_SUPPORTED", (400, 404), ErrorClass.CONFIGURATION),
    ("RECIPIENT_LIMIT_EXCEEDED", (400,), ErrorClass.CONTENT),
    ("RECORD_LIMIT_EXCEEDED", (400,), ErrorClass.CONTENT),
    ("INVALID_REQUEST_CONTENT", (400,), ErrorClass.CONTENT),
    ("INVALID_PARAMETER", (400,), ErrorClass.CONTENT),
    ("INVALID_FIELD_NAME", (400,), ErrorClass.CONTENT),
    ("INVALID_OBJECT", (400,), ErrorClass.CONTENT),
    ("INVALID_NUMBER", (400,), ErrorClass.CONTENT),
    ("INVALID_DATE", (400,), ErrorClass.CONTENT),
    ("DUPLICATE_API_REQUEST", (400,), ErrorClass.REQUEST),
    ("NO_RECIPIENT_FOUND", (404,), ErrorClass.CONTENT),
    ("MULTIPLE_RECIPIENTS_FOUND", (400,), ErrorClass.CONTENT),
    ("RECIPIENT_STATUS_UNDELIVERABLE", (400, 404), ErrorClass.CONTENT),
    ("FAILURE", (200, 400), ErrorClass.FAILED),
]

STATUS_ALONE: list[tuple[int, ErrorClass]] = [
    (429, ErrorClass.THROTTLED_MINUTE),
    (503, ErrorClass.UNAVAILABLE),
    (500, ErrorClass.UNKNOWN),
    (501, ErrorClass.UNKNOWN),
    (502, ErrorClass.UNKNOWN),
    (504, ErrorClass.UNKNOWN),
    (520, ErrorClass.UNKNOWN),
    (408, ErrorClass.UNKNOWN),
    (400, ErrorClass.UNAVAILABLE),
    (413, ErrorClass.CONTENT),
    (415, ErrorClass.UNAVAILABLE),
    (401, ErrorClass.UNAVAILABLE),
    (403, ErrorClass.UNAVAILABLE),
    (404, ErrorClass.UNAVAILABLE),
    (405, ErrorClass.UNAVAILABLE),
    (301, ErrorClass.UNAVAILABLE),
    (302, ErrorClass.UNAVAILABLE),
    (307, ErrorClass.UNAVAILABLE),
    (200, ErrorClass.UNKNOWN),
    (202, ErrorClass.UNKNOWN),
    (204, ErrorClass.UNKNOWN),
]


def envelope(code: str, detail: Any = "") -> dict[str, Any]:
    return {"type": "", "title": "a title", "errorCode": code, "detail": detail, "errorDetails": []}


@pytest.mark.parametrize(
    ("code", "status", "meaning"), [(code, status, meaning) for code, statuses, meaning in TABLE for status in statuses]
)
def test_a_documented_code_means_what_oracle_says(code: str, status: int, meaning: ErrorClass) -> None:
    assert classify(status, envelope(code)) is meaning
    assert known_code(envelope(code)) == code


@pytest.mark.parametrize(("code", "_statuses", "meaning"), TABLE)
def test_a_known_code_decides_whatever_the_status(code: str, _statuses: tuple[int, ...], meaning: ErrorClass) -> None:
    assert {status: classify(status, envelope(code)) for status in ANY_STATUS} == dict.fromkeys(ANY_STATUS, meaning)


@pytest.mark.parametrize(("code", "_statuses", "meaning"), TABLE)
def test_a_code_means_the_same_of_one_recipient(code: str, _statuses: tuple[int, ...], meaning: ErrorClass) -> None:
    assert class_of_code(code) is meaning


@pytest.mark.parametrize("code", ["A_CODE_OF_TOMORROW", ErrorCode.OTHER_ERROR, ""])
def test_a_code_that_no_source_has_means_nothing_by_itself(code: str) -> None:
    assert class_of_code(code) is None


@pytest.mark.parametrize(("status", "meaning"), STATUS_ALONE)
@pytest.mark.parametrize("error", [{}, {"message": "no envelope"}, {"errorCode": None}, {"errorCode": "not a code"}])
def test_without_a_code_the_status_decides(status: int, meaning: ErrorClass, error: dict[str, Any]) -> None:
    assert classify(status, error) is meaning
    assert known_code(error) == ErrorCode.OTHER_ERROR


@pytest.mark.parametrize(
    ("status", "meaning"),
    [
        (302, ErrorClass.CONTENT),
        (400, ErrorClass.CONTENT),
        (401, ErrorClass.CONTENT),
        (404, ErrorClass.CONTENT),
        (429, ErrorClass.THROTTLED_MINUTE),
        (500, ErrorClass.UNKNOWN),
        (503, ErrorClass.UNAVAILABLE),
    ],
)
def test_an_unknown_code_may_be_about_one_recipient_below_500_and_is_to_be_retried_from_500(
    status: int, meaning: ErrorClass
) -> None:
    assert classify(status, envelope("A_CODE_OF_TOMORROW")) is meaning
    assert known_code(envelope("A_CODE_OF_TOMORROW")) == "A_CODE_OF_TOMORROW"


@pytest.mark.parametrize(
    "detail",
    ["Not a valid authentication token", "not a valid AUTHENTICATION TOKEN.", "Authentication token expired"],
)
def test_an_unexpected_exception_about_the_token_asks_for_a_login(detail: str) -> None:
    assert classify(500, envelope("UNEXPECTED_EXCEPTION", detail)) is ErrorClass.TOKEN


@pytest.mark.parametrize("detail", ["", "Something else", None, 7, {"authentication": "token"}])
def test_any_other_unexpected_exception_may_have_been_processed(detail: Any) -> None:
    assert classify(500, envelope("UNEXPECTED_EXCEPTION", detail)) is ErrorClass.UNKNOWN


def test_a_401_alone_never_asks_for_a_login() -> None:
    assert classify(401, {}) is not ErrorClass.TOKEN
    logins = {code for code, _, meaning in TABLE if meaning is ErrorClass.TOKEN}
    assert logins == {"TOKEN_EXPIRED", "INVALID_TOKEN"}


@given(
    st.integers(100, 599),
    st.dictionaries(st.sampled_from(["errorCode", "detail", "title"]), st.none() | st.integers() | st.text()),
)
def test_every_reply_has_a_class_and_a_code_that_can_be_a_metric(status: int, error: dict[str, Any]) -> None:
    assert classify(status, error) in ErrorClass
    assert 3 <= len(known_code(error)) <= 64
    assert known_code(error).isascii()
