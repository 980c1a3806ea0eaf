"""What does an error reply mean?

One table, for replies and for single recipients' results. Oracle contradicts itself about HTTP statuses, so
``errorCode`` decides first and the status only where no known code came. Sources: Oracle's REST and SOAP error tables,
and recordings of real accounts.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from responsys_activation.error_code import ErrorCode

__all__ = ["RETRY_AFTER", "ErrorClass", "class_of_code", "classify", "known_code"]

_CODE = re.compile(r"[A-Z][A-Z0-9_]{2,63}")


class ErrorClass(StrEnum):
    """What an error reply, or a recipient's error, asks of us."""

    TOKEN = "token"  # noqa: S105 - log in once and send again
    THROTTLED_MINUTE = "throttled for a minute"
    THROTTLED_CAPACITY = "throttled for ten minutes"
    CREDENTIALS = "login refused"
    CONFIGURATION = "wrong for the whole connector until a person changes something"
    EVENT = "wrong for this event name until a person changes something"
    REQUEST = "this request is wrong"
    CONTENT = "this request is wrong because of some of its recipients"
    FAILED = "not processed, and no reason given: once more at most"
    UNAVAILABLE = "not processed, try later"
    UNKNOWN = "perhaps processed"


# Seconds after which a throttle has certainly ended.
RETRY_AFTER: Mapping[ErrorClass, float] = {ErrorClass.THROTTLED_MINUTE: 60.0, ErrorClass.THROTTLED_CAPACITY: 600.0}

_TABLE: Mapping[str, ErrorClass] = {
    "TOKEN_EXPIRED": ErrorClass.TOKEN,
    "INVALID_TOKEN": ErrorClass.TOKEN,
    # UNEXPECTED_EXCEPTION is TOKEN when its detail says so: see classify.
    "UNEXPECTED_EXCEPTION": ErrorClass.UNKNOWN,
    "UNRECOVERABLE_EXCEPTION": ErrorClass.UNKNOWN,
    "SERVICE_UNAVAILABLE": ErrorClass.UNAVAILABLE,
    "API_LIMIT_EXCEEDED": ErrorClass.THROTTLED_MINUTE,
    "REQUEST_LIMIT_EXCEEDED": ErrorClass.THROTTLED_MINUTE,
    "UNABLE_TO_SUBMIT_ASYNC_REQUEST": ErrorClass.THROTTLED_MINUTE,
    "INTERNAL_CAPACITY_LIMIT_EXCEEDED": ErrorClass.THROTTLED_CAPACITY,
    "WS_ARG_DISABLED": ErrorClass.THROTTLED_CAPACITY,  # Oracle: retry later, then open a service request
    "LOGIN_BLOCKED_TEMPORARILY": ErrorClass.CREDENTIALS,
    "LOGIN_BLOCKED_TEMPORARY": ErrorClass.CREDENTIALS,
    "LOGIN_BLOCKED_INVALID_IPRANGE": ErrorClass.CREDENTIALS,
    "INVALID_USER_NAME_PASSWORD": ErrorClass.CREDENTIALS,
    "INVALID_USER_NAME": ErrorClass.CREDENTIALS,
    "INVALID_PASSWORD": ErrorClass.CREDENTIALS,
    "AUTHENTICATION_FAILED": ErrorClass.CREDENTIALS,
    "INVALID_AUTHENTICATION_OPTION": ErrorClass.CREDENTIALS,
    "PASSWORD_LOCKOUT": ErrorClass.CREDENTIALS,
    "PASSWORD_EXPIRED": ErrorClass.CREDENTIALS,
    "MAX_LOGIN_FAILURES_EXCEEDED": ErrorClass.CREDENTIALS,
    "LOGINS_DISABLED": ErrorClass.CREDENTIALS,
    "INACTIVE_ACCOUNT": ErrorClass.CREDENTIALS,
    "ACCOUNT_SUSPENDED": ErrorClass.CREDENTIALS,
    "USER_BLOCKED": ErrorClass.CREDENTIALS,
    "CLIENT_CERTIFICATE_EXPIRED": ErrorClass.CREDENTIALS,
    "CLIENT_CERTIFICATE_NOT_YET_VALID": ErrorClass.CREDENTIALS,
    "CLIENT_CERTIFICATE_NOT_FOUND": ErrorClass.CREDENTIALS,
    "SERVER_CERTIFICATE_EXPIRED": ErrorClass.CREDENTIALS,
    "SERVER_CERTIFICATE_NOT_YET_VALID": ErrorClass.CREDENTIALS,
    "SERVER_CERTIFICATE_NOT_FOUND": ErrorClass.CREDENTIALS,
    "PRIVATE_KEY_NOT_FOUND": ErrorClass.CREDENTIALS,
    "SERVER_CHALLENGES_DO_NOT_MATCH": ErrorClass.CREDENTIALS,
    "API_DISABLED_FOR_USER": ErrorClass.CONFIGURATION,
    "ASYNC_API_DISABLED_FOR_USER": ErrorClass.CONFIGURATION,
    "INSUFFICIENT_ACCESS": ErrorClass.CONFIGURATION,
    "API_BLOCKED": ErrorClass.CONFIGURATION,  # reads like a throttle, but only Oracle's support lifts it
    "LIST_NOT_FOUND": ErrorClass.CONFIGURATION,
    "FOLDER_NOT_FOUND": ErrorClass.CONFIGURATION,
    "PROFILE_LIST_NOT_FOUND": ErrorClass.CONFIGURATION,
    "PROFILE_LIST_NOT_FOUND_IN_FOLDER": ErrorClass.CONFIGURATION,
    "METHOD_NOT_SUPPORTED": ErrorClass.CONFIGURATION,
    "OPERATION_NOT_SUPPORTED": ErrorClass.CONFIGURATION,
    "RESOURCE_NOT_FOUND": ErrorClass.CONFIGURATION,
    "CUSTOM_EVENT_NOT_FOUND": ErrorClass.EVENT,
    "RECIPIENT_LIMIT_EXCEEDED": ErrorClass.CONTENT,
    "RECORD_LIMIT_EXCEEDED": ErrorClass.CONTENT,
    "INVALID_REQUEST_CONTENT": ErrorClass.CONTENT,
    "INVALID_PARAMETER": ErrorClass.CONTENT,
    "INVALID_FIELD_NAME": ErrorClass.CONTENT,
    "INVALID_OBJECT": ErrorClass.CONTENT,
    "INVALID_NUMBER": ErrorClass.CONTENT,
    "INVALID_DATE": ErrorClass.CONTENT,
    "NO_RECIPIENT_FOUND": ErrorClass.CONTENT,
    "MULTIPLE_RECIPIENTS_FOUND": ErrorClass.CONTENT,
    "RECIPIENT_STATUS_UNDELIVERABLE": ErrorClass.CONTENT,
    "FAILURE": ErrorClass.FAILED,
    # It may say that an identical request was taken: sending again blindly could double it, so a person decides.
    "DUPLICATE_API_REQUEST": ErrorClass.REQUEST,
}


def class_of_code(code: str) -> ErrorClass | None:
    """Give what a code means by itself, of a reply or of one recipient; ``None`` for a code that the table lacks."""
    return _TABLE.get(code)


def known_code(error: Mapping[str, Any]) -> str:
    """Give the reply's ``errorCode`` if it has the form of one, else ``OTHER_ERROR``."""
    code = error.get("errorCode")
    return code if isinstance(code, str) and _CODE.fullmatch(code) else ErrorCode.OTHER_ERROR


def classify(status: int, error: Mapping[str, Any]) -> ErrorClass:
    """Classify a reply that is not a list of recipient results.

    Parameters
    ----------
    status : int
        HTTP status.
    error : Mapping
        The error object of the reply; empty when the reply was not one.
    """
    code = known_code(error)
    if code == "UNEXPECTED_EXCEPTION" and "authentication token" in str(error.get("detail", "")).lower():
        return ErrorClass.TOKEN
    if code in _TABLE:
        return _TABLE[code]
    match status:
        case 429:
            return ErrorClass.THROTTLED_MINUTE
        case 408 | 502 | 504:
            return ErrorClass.UNKNOWN  # a gateway gave up waiting
        case 503:
            return ErrorClass.UNAVAILABLE
        case _ if status >= 500:
            return ErrorClass.UNKNOWN
        case 413:
            return ErrorClass.CONTENT
        case _ if status >= 300 and code == ErrorCode.OTHER_ERROR:
            return ErrorClass.UNAVAILABLE  # not Responsys's own words, but those of something in its way
        case _ if status >= 300:
            return ErrorClass.CONTENT  # if it is about one recipient, the others must not go down with it
        case _:
            return ErrorClass.UNKNOWN  # 2xx without the expected results
