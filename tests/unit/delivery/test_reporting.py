"""Does the log tell each message's way where it was not straight, and the metrics what alarms look at?"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from responsys_activation.change import Change
from responsys_activation.delivery.custom_event import CustomEvent
from responsys_activation.delivery.outcome import (
    Delivered,
    Duplicate,
    Ending,
    Ignored,
    Outcome,
    Rejected,
    Retried,
    Throttled,
)
from responsys_activation.delivery.planning import Outgoing, PlannedRequest
from responsys_activation.delivery.reporting import Reporting
from responsys_activation.delivery.result import Exchange, RequestResult
from responsys_activation.error_code import ErrorCode
from responsys_activation.observability import InvocationMetrics
from responsys_activation.received import Mark, ReceivedMessage
from responsys_activation.responsys.errors import RefusalScope, RequestRefusedError, ResponsysError, ThrottledError
from responsys_activation.upstream.memberships import Part
from tests.fakes.clock import NOW, Clock
from tests.fakes.function_output import FunctionOutput, captured_output
from tests.fakes.memberships import membership

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
    event = CustomEvent("POINTS", "recipient", "{}", 0)
    return Outgoing(message, Part(membership()), event, Change("membership", "key", "ADD", NOW, NOW))


def ending(outcome: Outcome, *, dead_letter_failed: bool = False, number: int = 1, **changes: Any) -> Ending:
    return Ending(message(number, **changes), outcome, "loyalty", "POINTS", "request-1", dead_letter_failed)


def result(**changes: Any) -> RequestResult:
    return RequestResult("loyalty", PlannedRequest("POINTS", wave=0), [], **changes)


def report(
    *endings: Ending, connectors: tuple[str, ...] = ("loyalty",), events: Iterable[str] = ("POINTS",)
) -> FunctionOutput:
    """Return what is written about a batch; the events are those that the connectors' settings name."""
    reporting = Reporting(InvocationMetrics("stack"), service="segment_events")
    for connector in connectors:
        reporting.connector_used(connector, events, [])
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


@pytest.mark.parametrize("outcome", [each for each in EACH_OUTCOME.values() if not isinstance(each, Delivered)])
@pytest.mark.parametrize("name", ["WELCOME", "BÜCHER"])
def test_an_event_that_nobody_configured_and_that_was_not_delivered_has_no_counter_of_its_own(
    name: str, outcome: Outcome
) -> None:
    # Given messages that name events at will / When they are reported
    written = report(ending(outcome)._replace(event_name=name), events={"POINTS"})
    # Then they count under no name, for the function, and by their code
    of_events = {under["eventName"] for _, _, under, _ in written.metrics() if "eventName" in under}
    assert of_events == {"-"}
    assert written.total("MessagesReceived", connector="loyalty", eventName="-") == 1
    assert written.total("MessagesReceived", service="segment_events") == 1


def test_an_event_that_was_delivered_has_a_counter_of_its_own_up_to_a_bound() -> None:
    # Given a producer whose every message names another event that Responsys has, and one that CloudWatch cannot
    names = ["BÜCHER", *(f"WELCOME_{number}" for number in range(100))]
    # When they are reported
    written = report(*(ending(Delivered())._replace(event_name=name) for name in names))
    # Then no more than a bounded number has one, and all count
    delivered = {
        under["eventName"]: value
        for _, name, under, value in written.metrics()
        if name == "EventsDelivered" and "eventName" in under
    }
    assert len(delivered) == 50
    assert all(name.isascii() for name in delivered)
    assert sum(delivered.values()) == 101


@pytest.mark.parametrize(("connector", "event_name"), [("of-a-producer", "POINTS"), ("loyalty", "-")])
def test_what_goes_to_no_connector_or_event_of_ours_counts_for_the_function_alone(
    connector: str, event_name: str
) -> None:
    # Given a message that names a connector that does not exist, or one for which there is no event
    lost = ending(Rejected(ErrorCode.NO_EVENT_NAME))._replace(connector=connector, event_name=event_name)
    # When it is reported
    written = report(lost)
    # Then nothing of it is a dimension but its code
    assert not [under for _, _, under, _ in written.metrics() if "eventName" in under]
    assert "of-a-producer" not in written.text()
    of_ours = connector if connector == "loyalty" else "-"
    assert written.total("Errors", connector=of_ours, errorCode="NO_EVENT_NAME") == 1
    assert written.total("EventsRejected", service="segment_events") == 1


def test_an_empty_batch_has_zeros_too() -> None:
    written = report()

    assert [written.total(name, service="segment_events") for name in EACH_OUTCOME] == [0] * 6


# ---- doubts


def test_a_doubt_is_told_before_the_batch_has_ended_by_connector_and_service_and_once() -> None:
    # Given a sender that learns of three messages that may have been taken
    reporting = Reporting(InvocationMetrics("stack"), service="segment_events")
    with captured_output() as written:
        # When it tells
        reporting.doubted("loyalty", outcomes_unknown=3)
        # Then it is told: the invocation may not live to its end
        assert written.total("OutcomesUnknown", connector="loyalty") == 3
        assert written.total("OutcomesUnknown", service="segment_events") == 3
        assert [line["messages"] for line in written.lines("outcome unknown")] == [3]
        # And when the request and the batch end, it is not told again
        reporting.request_ended(result(outcome_unknown={0, 1, 2}))
        reporting.batch_ended(0, [], 0.1)
    assert written.total("OutcomesUnknown", connector="loyalty") == 3
    assert written.total("OutcomesUnknown", service="segment_events") == 3


def test_what_a_person_let_go_in_doubt_is_counted_and_logged() -> None:
    # Given messages that a person allowed to be sent in spite of their doubts
    reporting = Reporting(InvocationMetrics("stack"), service="segment_events")
    # When two of them are sent
    with captured_output() as written:
        reporting.doubted("loyalty", sent_in_doubt=2)
    # Then that is told at once, and is no new doubt
    assert written.total("SentInDoubt", connector="loyalty") == 2
    assert written.total("SentInDoubt", service="segment_events") == 2
    assert [line["messages"] for line in written.lines("sent again in doubt, as allowed")] == [2]
    assert "OutcomesUnknown" not in written.text()


def test_what_is_sent_without_a_claim_is_told_at_once_and_once() -> None:
    # Given messages that are sent although the ledger is out of reach
    reporting = Reporting(InvocationMetrics("stack"), service="segment_events")
    with captured_output() as written:
        # When their sender tells
        reporting.doubted("loyalty", sent_without_ledger=7)
        # Then it is told, as neither doubt nor permission, and not again at the end
        assert written.total("SentWithoutLedger", connector="loyalty") == 7
        assert written.total("SentWithoutLedger", service="segment_events") == 7
        assert {name for _, name, _, _ in written.metrics()} == {"SentWithoutLedger"}
        reporting.request_ended(result())
        reporting.batch_ended(0, [], 0.1)
    assert written.total("SentWithoutLedger", connector="loyalty") == 7


def test_where_nothing_is_in_doubt_nothing_is_told_but_a_zero() -> None:
    # Given a request without doubts
    reporting = Reporting(InvocationMetrics("stack"), service="segment_events")
    with captured_output() as written:
        # When its sender tells of none / Then nothing is written
        reporting.doubted("loyalty")
        assert written.text() == ""
        # And at the end there is a zero, so that the alarm has data
        reporting.request_ended(result())
        reporting.batch_ended(0, [], 0.1)
    for name in ("OutcomesUnknown", "SentWithoutLedger"):
        assert written.total(name, connector="loyalty") == 0
        assert written.total(name, service="segment_events") == 0


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
    reporting = Reporting(InvocationMetrics("stack"), service="segment_events", clock=Clock())
    # When it is reported
    with captured_output() as written:
        reporting.request_ended(RequestResult("loyalty", PlannedRequest("POINTS", wave=0, items=items), outcomes))
        reporting.batch_ended(len(items), [], 0.1)
    # Then its lag is from when SQS first had the oldest, or from its replay
    assert written.total("DeliveryLag", connector="loyalty") == lag


@pytest.mark.parametrize("unavailable", [False, True])
def test_requests_without_the_shared_budget_are_counted_for_connector_and_service(*, unavailable: bool) -> None:
    reporting = Reporting(InvocationMetrics("stack"), service="segment_events")
    with captured_output() as written:
        reporting.request_ended(result(budget_unavailable=unavailable))
        reporting.batch_ended(0, [], 0.1)

    assert written.total("BudgetUnavailable", connector="loyalty") == unavailable
    assert written.total("BudgetUnavailable", service="segment_events") == unavailable


def test_messages_that_a_dead_letter_queue_did_not_take_are_counted() -> None:
    # Given a batch of which one message could not be moved, and one without such a message
    failed = ending(Retried(ErrorCode.AWS_UNAVAILABLE), dead_letter_failed=True)
    batches = {1: [failed, ending(Retried(ErrorCode.TIMEOUT))], 0: [ending(Delivered())]}
    for expected, endings in batches.items():
        # When it is reported / Then the failure is counted, and a zero otherwise
        assert report(*endings).total("DeadLetterSendFailures", service="segment_events") == expected


@pytest.mark.parametrize(
    ("failure", "throttles"),
    [
        (ThrottledError("API_LIMIT_EXCEEDED", retry_after=60), 1),
        (RequestRefusedError("CUSTOM_EVENT_NOT_FOUND", scope=RefusalScope.EVENT), 0),
    ],
)
def test_requests_that_responsys_throttled_are_counted(failure: ResponsysError, throttles: int) -> None:
    # Given a request that failed
    reporting = Reporting(InvocationMetrics("stack"), service="segment_events")
    exchanges = [Exchange("request-1", 1, 0.2, failure=failure)]
    # When it is reported
    with captured_output() as written:
        reporting.request_ended(result(exchanges=exchanges))
        reporting.batch_ended(0, [], 0.1)
    # Then it counts as throttled only if Responsys said so, for the connector and for the whole function
    assert written.total("ApiThrottles", connector="loyalty") == throttles
    assert written.total("ApiThrottles", service="segment_events") == throttles
