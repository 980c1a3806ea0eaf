"""Which codes of our own tell why a message was not delivered?"""

from __future__ import annotations

from enum import StrEnum

__all__ = ["ErrorCode"]


class ErrorCode(StrEnum):
    """Our own codes; everywhere else Responsys's code is reported as it came."""

    TIMEOUT = "TIMEOUT"
    INVALID_CREDENTIALS = "INVALID_CREDENTIALS"
    OTHER_ERROR = "OTHER_ERROR"
    INVALID_MESSAGE = "INVALID_MESSAGE"
    NO_IDENTIFIER = "NO_IDENTIFIER"
    UNKNOWN_CONNECTOR = "UNKNOWN_CONNECTOR"
    INVALID_CONNECTOR = "INVALID_CONNECTOR"
    UNTRUSTED_ENDPOINT = "UNTRUSTED_ENDPOINT"
    NO_LOGIN_AT_ENDPOINT = "NO_LOGIN_AT_ENDPOINT"
    NO_EVENT_NAME = "NO_EVENT_NAME"
    EXPIRED = "EXPIRED"
    SUPERSEDED = "SUPERSEDED"
    OUTCOME_UNKNOWN = "OUTCOME_UNKNOWN"
    BUDGET_EXHAUSTED = "BUDGET_EXHAUSTED"
    IN_FLIGHT = "IN_FLIGHT"
    OUT_OF_TIME = "OUT_OF_TIME"
    AWS_UNAVAILABLE = "AWS_UNAVAILABLE"
