"""Does the log tell each message's way where it was not straight, and the metrics what alarms look at?"""

from __future__ import annotations

from typing import Any

import pytest

from responsys_activation.change import Change
from responsys_activation.custom_event import CustomEvent
from responsys_activation.observability import InvocationMetrics
from responsys_activation.outcome import Delivered, Duplicate, ErrorCode, Ignored, Outcome, Rejected, Retried, Throttled
from responsys_activation.planning import Outgoing, PlannedRequest
from responsys_activation.received import Mark, ReceivedMessage
from responsys_activation.reporting import Reporting
from responsys_activation.responsys.errors import RefusalScope, RequestRefusedError, ResponsysError, ThrottledError
from responsys_activation.sending import Answer, Exchange
from responsys_activation.settling import Ending
from tests.fakes.clock import NOW, Clock
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
        "arrived_at": NOW,
        "age_from": NOW,
        "first_received_at": NOW,
        "came_back": False,
        "last_error_code": "",
        "mark": Mark(),
    }
    return ReceivedMessage(**fields | changes)


def outgoing(message: ReceivedMessage) -> Outgoing:
    return Outgoing(message, CustomEvent("POINTS", "recipient", "{}", 0), Change("membership", "key", "ADD", NOW, NOW))


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
        (Ignored(ErrorCode.SUPERSEDED), "ignored", "SUPERSEDED"),
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


# ---- what it came to

EACH_OUTCOME: dict[str, Outcome] = {
    "EventsDelivered": Delivered(),
    "EventsDuplicate": Duplicate(),
    "EventsThrottled": Throttled("API_LIMIT_EXCEEDED", 60),
    "EventsRejected": Rejected("NO_RECIPIENT_FOUND"),
    "EventsRetried": Retried(ErrorCode.TIMEOUT),
    "EventsIgnored": Ignored(ErrorCode.SUPERSEDED),
}


def test_each_outcome_has_a_counter_and_a_field_in_the_batchs_line() -> None:
    # Given a batch with one message of the first outcome, two of the second, and so on
    numbers = {counter: number for number, counter in enumerate(EACH_OUTCOME, 1)}
    endings = [ending(EACH_OUTCOME[counter]) for counter, number in numbers.items() for _ in range(number)]
    # When it is reported
    written = report(*endings)
    # Then their sum is what was received, for the function and for the event
    for dimensions in ({"service": "segment_events"}, {"connector": "loyalty", "eventName": "POINTS"}):
        assert {counter: written.total(counter, **dimensions) for counter in numbers} == numbers
        assert written.total("MessagesReceived", **dimensions) == sum(numbers.values())
    (line,) = written.lines("batch settled")
    assert {counter: line[counter.removeprefix("Events").lower()] for counter in numbers} == numbers
    # And each code is counted, that of ignored ones too
    assert written.total("Errors", connector="loyalty", errorCode="SUPERSEDED") == numbers["EventsIgnored"]
    assert line["errorCodes"]["SUPERSEDED"] == numbers["EventsIgnored"]


@pytest.mark.parametrize(("counter", "outcome"), EACH_OUTCOME.items())
def test_the_other_counters_are_there_as_zeros(counter: str, outcome: Outcome) -> None:
    # Given a batch of one outcome / When it is reported
    written = report(ending(outcome))
    # Then the others are zero, so that ratios exist
    for dimensions in ({"service": "segment_events"}, {"connector": "loyalty", "eventName": "POINTS"}):
        assert {name: written.total(name, **dimensions) for name in EACH_OUTCOME} == {
            name: name == counter for name in EACH_OUTCOME
        }


def test_an_empty_batch_has_zeros_too() -> None:
    written = report()

    assert [written.total(name, service="segment_events") for name in EACH_OUTCOME] == [0] * 6


# ---- doubts


def test_a_doubt_is_told_before_the_batch_has_ended_by_connector_and_service_and_once() -> None:
    # Given a sender that learns of three messages that may have been taken
    reporting = Reporting(InvocationMetrics(), service="segment_events")
    with captured_output() as written:
        # When it tells
        reporting.doubted("loyalty", doubts=3)
        # Then it is told: the invocation may not live to its end
        assert written.total("OutcomesUnknown", connector="loyalty") == 3
        assert written.total("OutcomesUnknown", service="segment_events") == 3
        assert [line["messages"] for line in written.lines("outcome unknown")] == [3]
        # And when the request and the batch end, it is not told again
        reporting.request_ended(Answer("loyalty", PlannedRequest("POINTS", wave=0), [], doubtful={0, 1, 2}))
        reporting.batch_ended(0, [], 0.1)
    assert written.total("OutcomesUnknown", connector="loyalty") == 3
    assert written.total("OutcomesUnknown", service="segment_events") == 3


def test_what_a_person_let_go_in_doubt_is_counted_and_logged() -> None:
    # Given messages that a person allowed to be sent in spite of their doubts
    reporting = Reporting(InvocationMetrics(), service="segment_events")
    # When two of them are sent
    with captured_output() as written:
        reporting.doubted("loyalty", allowed=2)
    # Then that is told at once, and is no new doubt
    assert written.total("SentInDoubt", connector="loyalty") == 2
    assert written.total("SentInDoubt", service="segment_events") == 2
    assert [line["messages"] for line in written.lines("sent again in doubt, as allowed")] == [2]
    assert "OutcomesUnknown" not in written.text()


def test_where_nothing_is_in_doubt_nothing_is_told_but_a_zero() -> None:
    # Given a request without doubts
    reporting = Reporting(InvocationMetrics(), service="segment_events")
    with captured_output() as written:
        # When its sender tells of none / Then nothing is written
        reporting.doubted("loyalty")
        assert written.text() == ""
        # And at the end there is a zero, so that the alarm has data
        reporting.request_ended(Answer("loyalty", PlannedRequest("POINTS", wave=0), []))
        reporting.batch_ended(0, [], 0.1)
    assert written.total("OutcomesUnknown", connector="loyalty") == 0
    assert written.total("OutcomesUnknown", service="segment_events") == 0


# ---- metrics that alarms look at


@pytest.mark.parametrize(
    ("ages", "lag"),
    [([100.0], 100_000), ([5.0, 100.0, 30.0], 100_000)],
    ids=["one", "the oldest of a request"],
)
def test_the_lag_is_the_age_of_the_oldest_message_that_a_request_delivered(ages: list[float], lag: float) -> None:
    # Given a request with messages of these ages, and an older one that was not delivered
    items = [outgoing(message(age_from=NOW - age)) for age in (*ages, 9_000.0)]
    outcomes: list[Outcome] = [*[Delivered()] * len(ages), Rejected("NO_RECIPIENT_FOUND")]
    reporting = Reporting(InvocationMetrics(), service="segment_events", clock=Clock())
    # When it is reported
    with captured_output() as written:
        reporting.request_ended(Answer("loyalty", PlannedRequest("POINTS", wave=0, items=items), outcomes))
        reporting.batch_ended(len(items), [], 0.1)
    # Then its lag is from when SQS first had the oldest, or from its replay
    assert written.total("DeliveryLag", connector="loyalty") == lag


@pytest.mark.parametrize(("unrecorded", "alone"), [(0, False), (7, True)])
def test_what_was_sent_without_ledger_or_shared_budget_is_counted_for_both(unrecorded: int, *, alone: bool) -> None:
    reporting = Reporting(InvocationMetrics(), service="segment_events")
    answer = Answer("loyalty", PlannedRequest("POINTS", wave=0), [], unrecorded=unrecorded, alone=alone)
    with captured_output() as written:
        reporting.request_ended(answer)
        reporting.batch_ended(0, [], 0.1)

    for dimensions in ({"connector": "loyalty"}, {"service": "segment_events"}):
        assert written.total("SentWithoutLedger", **dimensions) == unrecorded
        assert written.total("BudgetUnavailable", **dimensions) == alone


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
