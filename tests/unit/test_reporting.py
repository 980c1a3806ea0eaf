"""Does the log tell each message's way where it was not straight, and the metrics what alarms look at?"""

from __future__ import annotations

from typing import Any

import pytest

from responsys_activation.observability import InvocationMetrics
from responsys_activation.outcome import Delivered, Duplicate, ErrorCode, Outcome, Rejected, Retried, Throttled
from responsys_activation.planning import PlannedRequest
from responsys_activation.received import ReceivedMessage
from responsys_activation.reporting import Reporting
from responsys_activation.responsys.errors import RefusalScope, RequestRefusedError, ResponsysError, ThrottledError
from responsys_activation.sending import Answer, Exchange
from responsys_activation.settling import Ending
from tests.fakes.clock import NOW
from tests.fakes.function_output import FunctionOutput, captured_output

SQS_ID = "0e1c1b58-7b7c-4c62-8c06-3d7c1d1b0001"


def message(number: int = 1, **changes: Any) -> ReceivedMessage:
    message_id = f"{SQS_ID[:-4]}{number:04}"
    fields: dict[str, Any] = {
        "message_id": message_id,
        "original_message_id": message_id,
        "receipt_handle": "handle",
        "body": "{}",
        "queue_name": "segment-events",
        "receive_count": 1,
        "attempts": 1,
        "sent_at": NOW,
        "first_received_at": NOW,
        "last_error_code": "",
    }
    return ReceivedMessage(**fields | changes)


def ending(outcome: Outcome, *, dead_letter_failed: bool = False, number: int = 1, **changes: Any) -> Ending:
    return Ending(message(number, **changes), outcome, "loyalty", "POINTS", "request-1", dead_letter_failed)


def report(*endings: Ending, connectors: tuple[str, ...] = ("loyalty",)) -> FunctionOutput:
    """Give what is written about a batch."""
    reporting = Reporting(InvocationMetrics(), service="segment_events")
    for connector in connectors:
        reporting.connector_used(connector, {"EVENT", "ENTERED", "LEFT"}, 0)
    with captured_output() as output:
        reporting.batch_ended(len(endings), endings, 0.1)
    return output


# ---- a line a message


@pytest.mark.parametrize(
    ("outcome", "word", "error_code"),
    [
        (Duplicate(), "duplicate", "-"),
        (Throttled("API_LIMIT_EXCEEDED", 60), "throttled", "API_LIMIT_EXCEEDED"),
        (Rejected("NO_RECIPIENT_FOUND"), "rejected", "NO_RECIPIENT_FOUND"),
        (Retried(ErrorCode.TIMEOUT), "retried", "TIMEOUT"),
    ],
)
def test_a_message_that_was_not_delivered_has_a_line(outcome: Outcome, word: str, error_code: str) -> None:
    # Given a message that ended without being delivered / When the batch is reported
    (line,) = report(ending(outcome)).lines("message settled")
    # Then its line tells how it ended and in which request
    told = ("originalMessageId", "outcome", "errorCode", "connector", "eventName", "requestId", "attempts")
    assert {name: line[name] for name in told} == {
        "originalMessageId": SQS_ID,
        "outcome": word,
        "errorCode": error_code,
        "connector": "loyalty",
        "eventName": "POINTS",
        "requestId": "request-1",
        "attempts": 1,
    }


def test_a_message_delivered_at_once_has_no_line() -> None:
    # Given a message whose way was straight / When the batch is reported / Then nothing is told of it
    assert report(ending(Delivered())).lines("message settled") == []


@pytest.mark.parametrize(
    "earlier", [{"attempts": 2}, {"message_id": "another-life"}], ids=["received before", "put off before"]
)
def test_a_message_delivered_in_the_end_has_a_line_too(earlier: dict[str, Any]) -> None:
    # Given a message that had lines before / When it is delivered at last
    (line,) = report(ending(Delivered(), **earlier)).lines("message settled")
    # Then its story has an end, under the same id
    assert (line["originalMessageId"], line["outcome"]) == (SQS_ID, "delivered")


def test_at_most_a_thousand_messages_of_a_batch_are_told_and_the_rest_counted() -> None:
    # Given a large batch that was rejected as a whole
    endings = [ending(Rejected("EXPIRED"), number=number) for number in range(1, 1_004)]
    # When it is reported
    written = report(*endings)
    # Then the log stays bounded and says what it leaves out, and the metric counts all
    assert len(written.lines("message settled")) == 1_000
    assert written.lines("batch settled")[0]["messagesNotLogged"] == 3
    assert written.total("Errors", connector="loyalty", errorCode="EXPIRED") == 1_003


def test_what_a_producer_chose_is_not_logged_as_id_connector_or_event() -> None:
    # Given a message that names no connector of ours, and carries an id that SQS never gave
    strange = ending(Rejected(ErrorCode.UNKNOWN_CONNECTOR), original_message_id="jane@example.com")
    # When it is reported
    (line,) = report(strange, connectors=()).lines("message settled")
    # Then none of it is repeated
    assert (line["originalMessageId"], line["connector"], line["eventName"]) == ("-", "-", "-")


# ---- metrics that alarms look at


def test_messages_that_a_dead_letter_queue_did_not_take_are_counted() -> None:
    # Given a batch of which one message could not be moved, and one without such a message
    failed = ending(Retried(ErrorCode.AWS_UNAVAILABLE), dead_letter_failed=True)
    batches = {1: [failed, ending(Retried(ErrorCode.TIMEOUT))], 0: [ending(Delivered())]}
    for expected, endings in batches.items():
        # When it is reported / Then the failure is counted, and a zero otherwise
        assert report(*endings).total("DeadLetterSendFailures", service="segment_events") == expected


def test_a_login_held_back_counts_once_an_invocation_and_connector() -> None:
    # Given two connectors, many requests of which need a login that may not be tried
    reporting = Reporting(InvocationMetrics(), service="segment_events")
    for _ in range(2):
        # When an invocation is reported, and the next one
        with captured_output() as written:
            for connector in ("loyalty", "loyalty", "travel", "loyalty"):
                reporting.login_held_back(connector, code="INVALID_PASSWORD", reason="refused before")
            reporting.batch_ended(0, [], 0.1)
        # Then each connector counts once, for itself and for the function, and has one line
        assert written.total("LoginsHeldBack", connector="loyalty") == 1
        assert written.total("LoginsHeldBack", connector="travel") == 1
        assert written.total("LoginsHeldBack", service="segment_events") == 2
        assert [line["connector"] for line in written.lines("login held back")] == ["loyalty", "travel"]


@pytest.mark.parametrize(
    ("failure", "throttles"),
    [
        (ThrottledError("API_LIMIT_EXCEEDED", clock=60), 1),
        (RequestRefusedError("CUSTOM_EVENT_NOT_FOUND", scope=RefusalScope.EVENT), 0),
    ],
)
def test_requests_that_responsys_throttled_are_counted(failure: ResponsysError, throttles: int) -> None:
    # Given a request that failed
    reporting = Reporting(InvocationMetrics(), service="segment_events")
    exchanges = [Exchange("request-1", 1, 0.2, failure=failure)]
    # When it is reported
    with captured_output() as written:
        reporting.request_ended(Answer("loyalty", PlannedRequest("POINTS", wave=0), [], exchanges=exchanges))
        reporting.batch_ended(0, [], 0.1)
    # Then it counts as throttled only if Responsys said so, for the connector and for the whole function
    assert written.total("ApiThrottles", connector="loyalty") == throttles
    assert written.total("ApiThrottles", service="segment_events") == throttles
