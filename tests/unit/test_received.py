"""Is an SQS record read with the history that earlier lives left in its attributes?"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from responsys_activation.received import ReceivedMessage, read_record
from tests.fakes.clock import NOW

FIRST_RECEIVED = NOW - 5
FIRST_LIFE = NOW - 3600


def record(attributes: dict[str, str] | None = None, **system: Any) -> dict[str, Any]:
    times = {
        "ApproximateReceiveCount": "2",
        "SentTimestamp": str(int((NOW - 10) * 1000)),
        "ApproximateFirstReceiveTimestamp": str(int(FIRST_RECEIVED * 1000)),
    }
    return {
        "messageId": "sqs-2",
        "receiptHandle": "handle",
        "body": "{}",
        "attributes": times | system,
        "messageAttributes": {
            name: {"stringValue": value, "dataType": "String"} for name, value in (attributes or {}).items()
        },
        "eventSourceARN": "arn:aws:sqs:eu-west-1:123456789012:stack-SegmentEventsQueue",
    }


def earlier_life(**changes: str) -> dict[str, str]:
    return {
        "outcome": "throttled",
        "errorCode": "API_LIMIT_EXCEEDED",
        "originalMessageId": "sqs-1",
        "attempts": "3",
        "firstReceivedAt": datetime.fromtimestamp(FIRST_LIFE, UTC).isoformat(timespec="milliseconds"),
    } | changes


def test_a_first_life_has_no_history() -> None:
    read = read_record(record(), NOW)

    assert read == ReceivedMessage(
        message_id="sqs-2",
        original_message_id="sqs-2",
        receipt_handle="handle",
        body="{}",
        queue_name="stack-SegmentEventsQueue",
        receive_count=2,
        attempts=2,
        sent_at=NOW - 10,
        first_received_at=FIRST_RECEIVED,
        last_error_code="",
    )
    assert read.arrived_at == NOW - 10


def test_a_deferred_message_goes_on_counting_where_its_earlier_life_ended() -> None:
    read = read_record(record(earlier_life()), NOW)

    assert read.message_id == "sqs-2"
    assert read.original_message_id == "sqs-1"
    assert read.receive_count == 2
    assert read.attempts == 5
    assert read.first_received_at == FIRST_LIFE
    assert read.last_error_code == "API_LIMIT_EXCEEDED"
    assert read.arrived_at == FIRST_LIFE


def test_a_rejected_message_that_a_person_sends_back_starts_anew_under_its_old_id() -> None:
    read = read_record(record(earlier_life(outcome="rejected")), NOW)

    assert read.original_message_id == "sqs-1"
    assert read.attempts == 2
    assert read.first_received_at == FIRST_RECEIVED
    assert read.last_error_code == ""


def test_attributes_that_upstream_set_for_itself_are_no_history() -> None:
    read = read_record(record({"attempts": "99", "firstReceivedAt": "2020-01-01T00:00:00Z", "errorCode": "X"}), NOW)

    assert (read.attempts, read.first_received_at, read.last_error_code) == (2, FIRST_RECEIVED, "")


@pytest.mark.parametrize("attempts", ["", "-1", "many", "1.5", "9" * 16, "0x10", "\N{SUPERSCRIPT TWO}"])
def test_a_garbage_attempt_count_counts_as_none(attempts: str) -> None:
    assert read_record(record(earlier_life(attempts=attempts)), NOW).attempts == 2


@pytest.mark.parametrize(
    "first_received_at",
    ["", "yesterday", "2099-01-01T00:00:00+00:00", "1969-12-31T00:00:00+00:00", "0001-01-01T00:00:00+23:59", "12"],
)
def test_a_first_receive_that_cannot_be_is_this_lifes(first_received_at: str) -> None:
    read = read_record(record(earlier_life(firstReceivedAt=first_received_at)), NOW)

    assert read.first_received_at == FIRST_RECEIVED


def test_a_first_receive_without_zone_is_utc() -> None:
    written = datetime.fromtimestamp(FIRST_LIFE, UTC).replace(tzinfo=None).isoformat()

    assert read_record(record(earlier_life(firstReceivedAt=written)), NOW).first_received_at == FIRST_LIFE


def test_an_attribute_of_another_type_is_no_text() -> None:
    with_bytes = record() | {"messageAttributes": {"originalMessageId": {"binaryValue": "AA==", "dataType": "Binary"}}}

    assert read_record(with_bytes, NOW).original_message_id == "sqs-2"


def test_a_record_without_times_was_received_now_for_the_first_time() -> None:
    bare = record() | {"attributes": {}, "messageAttributes": {}}

    read = read_record(bare, NOW)

    assert (read.receive_count, read.attempts) == (1, 1)
    assert (read.sent_at, read.first_received_at) == (NOW, NOW)


@given(
    st.dictionaries(
        st.sampled_from(["outcome", "errorCode", "originalMessageId", "attempts", "firstReceivedAt"]),
        st.text() | st.sampled_from(["throttled", "7"]) | st.datetimes().map(datetime.isoformat),
    )
)
def test_no_attribute_ever_stops_a_message_or_gives_it_a_time_that_cannot_be_written(
    attributes: dict[str, str],
) -> None:
    read = read_record(record(attributes), NOW)

    assert datetime.fromtimestamp(read.first_received_at, UTC) <= datetime.fromtimestamp(FIRST_RECEIVED, UTC)
    assert read.attempts >= read.receive_count
    assert read.original_message_id
