"""What does each error code mean, how do its messages end, and what should a person do?

The only table of that: what the client does with a code, the reasons on dead letters, the advice of the connector check
and of the commands, and the documentation's tables are made from it. Sources: Oracle's REST and SOAP error tables, and
recordings of real accounts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Literal, NamedTuple

__all__ = ["ERROR_CODES", "CodeMeaning", "ErrorClass", "ErrorCode", "Family", "OutcomeName", "advice", "plain"]

OutcomeName = Literal["rejected", "throttled", "retried", "ignored"]


class ErrorCode(StrEnum):
    """Our own codes; everywhere else Responsys's code is reported as it came."""

    INVALID_MESSAGE = "INVALID_MESSAGE"
    NO_IDENTIFIER = "NO_IDENTIFIER"
    NO_EVENT_NAME = "NO_EVENT_NAME"
    UNKNOWN_CONNECTOR = "UNKNOWN_CONNECTOR"
    INVALID_CONNECTOR = "INVALID_CONNECTOR"
    UNTRUSTED_ENDPOINT = "UNTRUSTED_ENDPOINT"
    NO_LOGIN_AT_ENDPOINT = "NO_LOGIN_AT_ENDPOINT"
    INVALID_CREDENTIALS = "INVALID_CREDENTIALS"
    EXPIRED = "EXPIRED"
    SUPERSEDED = "SUPERSEDED"
    OUTCOME_UNKNOWN = "OUTCOME_UNKNOWN"
    RECIPIENT_NOT_CREATED = "RECIPIENT_NOT_CREATED"
    BUDGET_EXHAUSTED = "BUDGET_EXHAUSTED"
    IN_FLIGHT = "IN_FLIGHT"
    OUT_OF_TIME = "OUT_OF_TIME"
    TIMEOUT = "TIMEOUT"
    AWS_UNAVAILABLE = "AWS_UNAVAILABLE"
    OTHER_ERROR = "OTHER_ERROR"


class ErrorClass(StrEnum):
    """What an error reply of Responsys, or a recipient's error, asks of us."""

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


class Family(NamedTuple):
    """Codes that ask for the same.

    Attributes
    ----------
    see : str
        Page and section below ``docs/`` that says more.
    """

    title: str
    advice: str
    see: str


class CodeMeaning(NamedTuple):
    """What some codes mean. The texts are Markdown, each the rest of a sentence.

    Attributes
    ----------
    outcomes : tuple of str
        How messages with these codes end.
    see : str
        Page and section below ``docs/`` that says more.
    error_class : ErrorClass or None
        What a code of Responsys's asks of us; ``None`` for our own.
    """

    codes: tuple[str, ...]
    family: Family
    outcomes: tuple[OutcomeName, ...]
    meaning: str
    advice: str
    see: str
    error_class: ErrorClass | None


class _Row(NamedTuple):
    """What is written down of some codes, separated by blanks; ``see`` is empty where the family's will do.

    ``or_else`` is how messages end besides, where a connector's settings ask for it.
    """

    codes: str
    end: ErrorClass | tuple[OutcomeName, ...]
    meaning: str
    advice: str
    see: str = ""
    or_else: tuple[OutcomeName, ...] = ()


# A login's refusals leave messages throttled as INVALID_CREDENTIALS.
_OUTCOMES: Mapping[ErrorClass, tuple[OutcomeName, ...]] = {
    ErrorClass.TOKEN: ("retried",),
    ErrorClass.THROTTLED_MINUTE: ("throttled",),
    ErrorClass.THROTTLED_CAPACITY: ("throttled",),
    ErrorClass.CREDENTIALS: ("throttled",),
    ErrorClass.CONFIGURATION: ("rejected",),
    ErrorClass.EVENT: ("rejected",),
    ErrorClass.REQUEST: ("rejected",),
    ErrorClass.CONTENT: ("rejected",),
    ErrorClass.FAILED: ("retried", "rejected"),
    ErrorClass.UNAVAILABLE: ("retried",),
    ErrorClass.UNKNOWN: ("retried",),
}

_WAIT = "wait: it comes back by itself"
_ASK_ADMINISTRATOR = "ask the administrator of the Responsys account"
_ASK_ORACLE = "ask Oracle's support, with the `correlationId`"

_ROWS: Mapping[Family, Sequence[_Row]] = {
    Family(
        "the message",
        "fix the producer or the list load, then replay what is still wanted",
        "runbook.md#replaying-dead-letters",
    ): (
        _Row(
            "INVALID_MESSAGE",
            ("rejected",),
            "not JSON, or a field is missing or wrong",
            "fix the producer; `reason` on the message and `reasons` in the log line *batch settled* name the field",
        ),
        _Row(
            "NO_IDENTIFIER",
            ("rejected",),
            "no usable identifier of the connector's type",
            "fix the producer, or the connector's `identifierType`; `reason` says what is needed",
        ),
        _Row(
            "EXPIRED",
            ("rejected",),
            "not sent within `MaximumEventAgeHours` after SQS first had it, or after it was replayed",
            "`lastErrorCode` says what held it up; replay what is still wanted",
        ),
        _Row(
            "OUTCOME_UNKNOWN",
            ("rejected",),
            "sent, and no trustworthy answer came: Responsys may have taken it",
            "find out from Oracle's support, with the `requestId`, or from the Program whether the event arrived; then "
            "replay it with `inDoubt`, or delete it",
            "runbook.md#rejected-messages",
        ),
        _Row(
            "NO_RECIPIENT_FOUND",
            ErrorClass.CONTENT,
            "the profile list has no such recipient",
            "usually a list load is late: replay when it is done, or set the connector's `missingRecipients`",
            "missing-recipients.md#what-you-can-choose",
            or_else=("throttled",),
        ),
        _Row(
            "RECIPIENT_NOT_CREATED",
            ("rejected",),
            "the profile list has no such recipient, and it could not be created",
            "`reason` and `lastErrorCode` say why: fix the message or the API user's rights, then replay it",
            "missing-recipients.md#who-is-not-created",
        ),
        _Row(
            "MERGEFAILED",
            ErrorClass.CONTENT,
            "Responsys did not merge the recipient into the list, and gave no code",
            "look at the identifier that the producer sends",
        ),
        _Row(
            "MULTIPLE_RECIPIENTS_FOUND",
            ErrorClass.CONTENT,
            "the profile list has several recipients with this identifier",
            "merge them in Responsys, or send an identifier that only one has",
        ),
        _Row(
            "RECIPIENT_STATUS_UNDELIVERABLE",
            ErrorClass.CONTENT,
            "Responsys has marked the recipient as undeliverable",
            "correct the recipient in Responsys and replay, or delete the message",
        ),
        _Row(
            "INVALID_PARAMETER INVALID_REQUEST_CONTENT INVALID_FIELD_NAME INVALID_OBJECT INVALID_NUMBER INVALID_DATE",
            ErrorClass.CONTENT,
            "Responsys does not accept the identifier or a variable",
            "fix what the producer sends",
        ),
        _Row(
            "RECIPIENT_LIMIT_EXCEEDED RECORD_LIMIT_EXCEEDED",
            ErrorClass.CONTENT,
            "too many recipients for Responsys, even one at a time",
            _ASK_ORACLE,
        ),
        _Row(
            "FAILURE",
            ErrorClass.FAILED,
            "Responsys did not process the recipient, and gave no reason",
            f"replay it; if it fails again, {_ASK_ORACLE}",
        ),
        # It may say that an identical request was taken: sending again blindly could double it, so a person decides.
        _Row(
            "DUPLICATE_API_REQUEST",
            ErrorClass.REQUEST,
            "Responsys takes the request for a repetition, and may have taken the first one",
            "find out in Responsys whether the event arrived; if not, replay it",
        ),
    ),
    Family(
        "the settings",
        "change the connector or Responsys, run the connector check, then replay",
        "runbook.md#connector-check",
    ): (
        _Row(
            "UNKNOWN_CONNECTOR",
            ("rejected",),
            "the stack has no such connector",
            "create the connector's parameter (it counts within half a minute), or correct `connector` in the message",
        ),
        _Row(
            "INVALID_CONNECTOR",
            ("rejected", "throttled"),
            "the connector's settings cannot be used; throttled: they may name a segment that no others name",
            "correct the connector's parameter; `reason` names the field",
        ),
        _Row(
            "NO_EVENT_NAME",
            ("rejected",),
            "neither the message nor the connector names a custom event",
            "name it in the message, in the connector's `eventNames` or as its `defaultEventName`",
        ),
        _Row(
            "CUSTOM_EVENT_NOT_FOUND",
            ErrorClass.EVENT,
            "Responsys has no custom event of this name",
            "correct the name in the connector or the message, or define the custom event in Responsys",
        ),
        _Row(
            "PROFILE_LIST_NOT_FOUND PROFILE_LIST_NOT_FOUND_IN_FOLDER LIST_NOT_FOUND FOLDER_NOT_FOUND",
            ErrorClass.CONFIGURATION,
            "Responsys has no such profile list, or not in this folder",
            "correct the connector's `profileList`",
        ),
        _Row(
            "RESOURCE_NOT_FOUND METHOD_NOT_SUPPORTED OPERATION_NOT_SUPPORTED",
            ErrorClass.CONFIGURATION,
            "the account's host does not know this call",
            f"check the connector's `authEndpoint`; if it is right, {_ASK_ORACLE}",
        ),
    ),
    Family(
        "the login or the API user",
        "do what the code of the refusal asks for",
        "runbook.md#refused-logins",
    ): (
        _Row(
            "INVALID_CREDENTIALS",
            ("throttled",),
            "Responsys refuses the login, or the secret is missing, may not be read, or lacks `username` or `password`",
            "do what the code in the log line *login refused* asks for; *login held back* says why none was tried",
        ),
        _Row(
            "UNTRUSTED_ENDPOINT",
            ("rejected", "throttled"),
            "`authEndpoint` (rejected), or the host that a login named (throttled), is outside "
            "`TrustedEndpointDomains`",
            "check that `authEndpoint` is the account's *WS End Point*; if the host is Oracle's, add its domain to the "
            "stack parameter `TrustedEndpointDomains`",
        ),
        _Row(
            "NO_LOGIN_AT_ENDPOINT",
            ("throttled",),
            "something other than Responsys answers at `authEndpoint`; the password is not to blame",
            "correct `authEndpoint` to the *WS End Point* under *Account > Global settings > Account configuration*; "
            "if it is right, a maintenance page or a gateway answers: wait",
        ),
        _Row(
            "INVALID_USER_NAME_PASSWORD INVALID_USER_NAME INVALID_PASSWORD AUTHENTICATION_FAILED",
            ErrorClass.CREDENTIALS,
            "the user name or the password is wrong",
            "put the API user's current user name and password into the secret",
            "runbook.md#rotating-the-secret",
        ),
        _Row(
            "PASSWORD_EXPIRED",
            ErrorClass.CREDENTIALS,
            "the password has expired",
            "give the API user a new password in Responsys, and put it into the secret",
            "runbook.md#rotating-the-secret",
        ),
        _Row(
            "PASSWORD_LOCKOUT MAX_LOGIN_FAILURES_EXCEEDED LOGIN_BLOCKED_TEMPORARILY LOGIN_BLOCKED_TEMPORARY",
            ErrorClass.CREDENTIALS,
            "the API user is locked after too many wrong passwords",
            "unlock the API user in Responsys, and look for another program that logs in with an old password",
        ),
        _Row(
            "LOGIN_BLOCKED_INVALID_IPRANGE",
            ErrorClass.CREDENTIALS,
            "the account does not allow logins from this address",
            "give the account's administrator this stack's fixed address",
            "runbook.md#ip-allow-listing",
        ),
        _Row(
            "ACCOUNT_SUSPENDED INACTIVE_ACCOUNT USER_BLOCKED LOGINS_DISABLED",
            ErrorClass.CREDENTIALS,
            "the account or the API user is blocked, suspended or inactive",
            f"{_ASK_ADMINISTRATOR}, or Oracle",
        ),
        _Row(
            "INVALID_AUTHENTICATION_OPTION CLIENT_CERTIFICATE_EXPIRED CLIENT_CERTIFICATE_NOT_YET_VALID "
            "CLIENT_CERTIFICATE_NOT_FOUND SERVER_CERTIFICATE_EXPIRED SERVER_CERTIFICATE_NOT_YET_VALID "
            "SERVER_CERTIFICATE_NOT_FOUND PRIVATE_KEY_NOT_FOUND SERVER_CHALLENGES_DO_NOT_MATCH",
            ErrorClass.CREDENTIALS,
            "Responsys wants another kind of login than by password",
            f"{_ASK_ADMINISTRATOR} for an API user that may log in with user name and password",
        ),
        _Row(
            "API_DISABLED_FOR_USER ASYNC_API_DISABLED_FOR_USER INSUFFICIENT_ACCESS",
            ErrorClass.CONFIGURATION,
            "the API user lacks the right to use the API for this",
            f"{_ASK_ADMINISTRATOR}, or Oracle, to give it to the user",
        ),
        # Reads like a throttle, but only Oracle's support lifts it.
        _Row(
            "API_BLOCKED",
            ErrorClass.CONFIGURATION,
            "Oracle has blocked the API for this account; that does not end by itself",
            f"{_ASK_ADMINISTRATOR}, or Oracle",
        ),
    ),
    Family("a limit", "wait; if it lasts, find out who uses up the account", "runbook.md#responsys-throttling"): (
        _Row(
            "BUDGET_EXHAUSTED",
            ("throttled",),
            "more events than the request budget allows, or the delivery table is out of reach",
            _WAIT,
            "runbook.md#throttled-backlog",
        ),
        _Row(
            "API_LIMIT_EXCEEDED REQUEST_LIMIT_EXCEEDED",
            ErrorClass.THROTTLED_MINUTE,
            "the account's requests per minute are used up",
            f"{_WAIT}; if it lasts, find out who else uses the account",
        ),
        _Row(
            "UNABLE_TO_SUBMIT_ASYNC_REQUEST",
            ErrorClass.THROTTLED_MINUTE,
            "Responsys's own queue is full",
            _WAIT,
        ),
        # Of WS_ARG_DISABLED Oracle says: retry later, then open a service request.
        _Row(
            "INTERNAL_CAPACITY_LIMIT_EXCEEDED WS_ARG_DISABLED",
            ErrorClass.THROTTLED_CAPACITY,
            "Responsys has no capacity left for the account at the moment",
            f"{_WAIT}; if it lasts, {_ASK_ORACLE}",
        ),
    ),
    Family("out of reach", "wait; if it lasts, find out what is down", "runbook.md#a-responsys-maintenance-window"): (
        _Row("TIMEOUT", ("retried",), "Responsys did not answer in time", _WAIT),
        _Row(
            "OTHER_ERROR",
            ("retried", "throttled", "rejected"),
            "the connection broke, or the answer has no code",
            "look at `status` and `errorTitle` in the log line *request failed*: a 4xx without a code comes from a "
            "gateway, not from Responsys",
        ),
        _Row("SERVICE_UNAVAILABLE", ErrorClass.UNAVAILABLE, "Responsys is under maintenance or overloaded", _WAIT),
        # UNEXPECTED_EXCEPTION is of class TOKEN where its detail says so.
        _Row(
            "UNEXPECTED_EXCEPTION UNRECOVERABLE_EXCEPTION",
            ErrorClass.UNKNOWN,
            "Responsys failed while it had the request, and may have taken it",
            f"{_WAIT}, at most `MaximumResends` times; then it is rejected as `OUTCOME_UNKNOWN`",
        ),
        _Row(
            "TOKEN_EXPIRED INVALID_TOKEN",
            ErrorClass.TOKEN,
            "Responsys refused the token, and the next one too",
            f"{_WAIT}; if it lasts, {_ASK_ORACLE}",
        ),
        _Row(
            "AWS_UNAVAILABLE",
            ("retried",),
            "SSM, Secrets Manager, SQS or DynamoDB did not answer, or refused the call",
            f"{_WAIT}; if it lasts, look for `fault` in the log, and at the AWS Health Dashboard",
            "runbook.md#oldest-message",
        ),
        _Row("OUT_OF_TIME", ("retried",), "the invocation ended before its turn", _WAIT, "runbook.md#oldest-message"),
    ),
    Family("another change of the same profile", "nothing", "reference.md#order"): (
        _Row("SUPERSEDED", ("ignored",), "a newer change of the same profile and segment went out", "nothing"),
        _Row(
            "IN_FLIGHT",
            ("retried", "throttled"),
            "this change, or a newer one of the same profile and segment, is being sent elsewhere",
            _WAIT,
        ),
    ),
}


def _meaning(family: Family, row: _Row) -> CodeMeaning:
    error_class, outcomes = (row.end, _OUTCOMES[row.end]) if isinstance(row.end, ErrorClass) else (None, row.end)
    codes, outcomes = tuple(row.codes.split()), (*outcomes, *row.or_else)
    return CodeMeaning(codes, family, outcomes, row.meaning, row.advice, row.see or family.see, error_class)


ERROR_CODES: Mapping[str, CodeMeaning] = {
    code: meaning
    for family, rows in _ROWS.items()
    for meaning in (_meaning(family, row) for row in rows)
    for code in meaning.codes
}


def advice(code: str) -> str | None:
    """Say as plain text what to do about a code and where to read on; ``None`` for a code that the table lacks."""
    meaning = ERROR_CODES.get(code)
    return meaning and f"{plain(meaning.advice)} (docs/{meaning.see})"


def plain(text: str) -> str:
    """Take the Markdown out of one of the table's texts."""
    return text.translate(_NO_MARKDOWN)


_NO_MARKDOWN = str.maketrans("", "", "`*")
