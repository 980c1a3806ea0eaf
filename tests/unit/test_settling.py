"""Does each outcome do to its SQS message what section 2.4 of the contract says, and nothing before it is safe?"""

from __future__ import annotations

from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from responsys_activation.aws.queues import DeadLetterQueue, SourceQueue
from responsys_activation.outcome import Delivered, Duplicate, ErrorCode, Outcome, Rejected, Retried, Throttled
from responsys_activation.received import ReceivedMessage, read_record
from responsys_activation.settling import Ending, Settling
from tests.fakes.clock import NOW
from tests.fakes.recording_sqs import Entry, RecordingSqs

SEGMENT_EVENTS = "https://sqs.eu-west-1.amazonaws.com/123456789012/segment-events"
THROTTLED = "https://sqs.eu-west-1.amazonaws.com/123456789012/throttled"
REJECTED = "https://sqs.eu-west-1.amazonaws.com/123456789012/rejected"
BODY = '{ "profileId" : "p\\u00e9",\n\t"x": 1.10, "smile": "\N{GRINNING FACE}" }'


def settling(sqs: RecordingSqs, *, time_scale: float = 1.0, jitter: float = 0.0) -> Settling:
    client = cast("Any", sqs)
    return Settling(
        source_queues=[SourceQueue(SEGMENT_EVENTS, client), SourceQueue(THROTTLED, client)],
        throttled=DeadLetterQueue(THROTTLED, client),
        rejected=DeadLetterQueue(REJECTED, client),
        time_scale=time_scale,
        clock=lambda: NOW,
        jitter=lambda: jitter,
    )


def message(number: int = 1, **changes: Any) -> ReceivedMessage:
    received = ReceivedMessage(
        message_id=f"sqs-{number}",
        original_message_id=f"first-{number}",
        receipt_handle=f"handle-{number}",
        body=BODY,
        queue_name="segment-events",
        receive_count=1,
        attempts=3,
        sent_at=NOW - 10,
        first_received_at=NOW,
        last_error_code="",
    )
    return received._replace(**changes)


def ending(outcome: Outcome, number: int = 1, **changes: Any) -> Ending:
    return Ending(message(number, **changes), outcome, "default", "SEGMENT_CHANGED")


def attributes(entry: Entry) -> dict[str, str]:
    assert all(value["DataType"] == "String" for value in entry["MessageAttributes"].values())
    return {name: value["StringValue"] for name, value in entry["MessageAttributes"].items()}


@pytest.mark.parametrize("outcome", [Delivered(), Duplicate()])
def test_what_is_done_is_left_for_sqs_to_delete(outcome: Outcome) -> None:
    sqs = RecordingSqs()

    settled = settling(sqs).settle([ending(outcome)])

    assert settled == [ending(outcome)]
    assert (sqs.sent, sqs.visibility) == ({}, {})


def test_a_throttled_message_moves_to_its_queue_with_the_throttles_own_delay() -> None:
    sqs = RecordingSqs()

    settled = settling(sqs).settle([ending(Throttled("API_LIMIT_EXCEEDED", 60.0))])

    assert settled == [ending(Throttled("API_LIMIT_EXCEEDED", 60.0))]
    assert list(sqs.sent) == [THROTTLED]
    (entry,) = sqs.sent[THROTTLED]
    assert entry["DelaySeconds"] == 60
    assert entry["MessageBody"] == BODY
    assert attributes(entry) == {
        "outcome": "throttled",
        "errorCode": "API_LIMIT_EXCEEDED",
        "connector": "default",
        "eventName": "SEGMENT_CHANGED",
        "originalMessageId": "first-1",
        "attempts": "3",
        "firstReceivedAt": "2027-01-15T08:00:00.000+00:00",
    }


def test_a_rejected_message_moves_to_its_queue_at_once_and_names_no_reason_there() -> None:
    sqs = RecordingSqs()

    settling(sqs).settle([ending(Rejected("NO_IDENTIFIER", "identifiers: connector default needs RIID"))])

    assert list(sqs.sent) == [REJECTED]
    (entry,) = sqs.sent[REJECTED]
    assert entry["DelaySeconds"] == 0
    assert entry["MessageBody"] == BODY
    assert attributes(entry) == {
        "outcome": "rejected",
        "errorCode": "NO_IDENTIFIER",
        "connector": "default",
        "eventName": "SEGMENT_CHANGED",
        "originalMessageId": "first-1",
        "attempts": "3",
        "firstReceivedAt": "2027-01-15T08:00:00.000+00:00",
    }


def test_an_expired_message_keeps_the_last_error_code() -> None:
    sqs = RecordingSqs()

    settling(sqs).settle([ending(Rejected(ErrorCode.EXPIRED, last_error_code="API_LIMIT_EXCEEDED"))])

    (entry,) = sqs.sent[REJECTED]
    assert attributes(entry)["errorCode"] == "EXPIRED"
    assert attributes(entry)["lastErrorCode"] == "API_LIMIT_EXCEEDED"


def test_a_message_that_names_no_connector_or_event_has_no_empty_attribute() -> None:
    sqs = RecordingSqs()

    settling(sqs).settle([Ending(message(), Rejected(ErrorCode.INVALID_MESSAGE, "body: not valid JSON"))])

    (entry,) = sqs.sent[REJECTED]
    assert all(attributes(entry).values())
    assert attributes(entry)["connector"] == attributes(entry)["eventName"] == "-"


@pytest.mark.parametrize("receive_count", [1, 2, 3])
def test_a_retried_message_stays_on_its_queue_for_a_time_that_doubles(receive_count: int) -> None:
    sqs = RecordingSqs()
    retried = ending(Retried("TIMEOUT"), receive_count=receive_count)

    assert settling(sqs).settle([retried]) == [retried]

    assert sqs.sent == {}
    (entry,) = sqs.visibility[SEGMENT_EVENTS]
    assert entry["ReceiptHandle"] == "handle-1"
    assert entry["VisibilityTimeout"] == {1: 30, 2: 60, 3: 120}[receive_count]


def test_a_retried_message_from_throttled_dlq_is_put_off_there() -> None:
    sqs = RecordingSqs()

    settling(sqs).settle([ending(Retried("TIMEOUT"), 1), ending(Retried("TIMEOUT"), 2, queue_name="throttled")])

    assert [entry["ReceiptHandle"] for entry in sqs.visibility[SEGMENT_EVENTS]] == ["handle-1"]
    assert [entry["ReceiptHandle"] for entry in sqs.visibility[THROTTLED]] == ["handle-2"]


@pytest.mark.parametrize("receive_count", [4, 5])
def test_an_outage_that_outlives_the_retries_ends_where_it_replays_itself(receive_count: int) -> None:
    sqs = RecordingSqs()

    settled = settling(sqs).settle([ending(Retried("TIMEOUT"), receive_count=receive_count)])

    assert settled[0].outcome == Throttled("TIMEOUT", 300.0)
    assert sqs.visibility == {}
    (entry,) = sqs.sent[THROTTLED]
    assert entry["DelaySeconds"] == 300
    assert attributes(entry)["outcome"] == "throttled"
    assert attributes(entry)["errorCode"] == "TIMEOUT"


@pytest.mark.parametrize(
    ("delay", "time_scale", "seconds"),
    [
        (60.0, 1.0, 60),
        (600.0, 1.0, 600),
        (60.0, 60.0, 1),
        (600.0, 60.0, 10),
        (60.0, 1000.0, 1),
        (59.2, 1.0, 60),
        (86_400.0, 1.0, 900),
        (86_400.0, 60.0, 900),
    ],
)
def test_a_delay_has_its_time_scale_and_sqs_limit(delay: float, time_scale: float, seconds: int) -> None:
    sqs = RecordingSqs()

    settling(sqs, jitter=1.0, time_scale=time_scale).settle([ending(Throttled("X", delay))])

    assert sqs.sent[THROTTLED][0]["DelaySeconds"] == seconds


@pytest.mark.parametrize(("decided_before", "seconds"), [(0, 60), (45, 15), (60, 0), (110, 0)])
def test_a_delay_counts_from_when_it_was_decided(decided_before: float, seconds: int) -> None:
    # Given a message that is settled long after it was decided to put it off, as in a batch that waits for slots
    sqs = RecordingSqs()
    throttled = Throttled("BUDGET_EXHAUSTED", 60.0, decided_at=NOW - decided_before)

    settling(sqs).settle([ending(throttled)])

    # Then it is back when it was said to be
    assert sqs.sent[THROTTLED][0]["DelaySeconds"] == seconds


@pytest.mark.parametrize(("came_after", "seconds"), [(-3600, 60), (0, 60), (100, 70), (600, 120), (86_400, 900)])
def test_after_a_throttle_what_came_first_comes_back_first(came_after: float, seconds: int) -> None:
    # Given a throttle that began at a time
    throttled = Throttled("INTERNAL_CAPACITY_LIMIT_EXCEEDED", 60.0, since=NOW, age_share=0.1)
    sqs = RecordingSqs()

    # When a message of before or after it is put off
    settling(sqs).settle([ending(throttled, first_received_at=NOW + came_after)])

    # Then it waits longer the later it came
    assert sqs.sent[THROTTLED][0]["DelaySeconds"] == seconds


def test_a_back_off_has_its_jitter_and_its_time_scale() -> None:
    sqs = RecordingSqs()

    settling(sqs, jitter=1.0, time_scale=2.0).settle([ending(Retried("TIMEOUT"), receive_count=3)])

    assert sqs.visibility[SEGMENT_EVENTS][0]["VisibilityTimeout"] == 66


@pytest.mark.parametrize(
    ("outcome", "queue"), [(Throttled("API_LIMIT_EXCEEDED", 60.0), THROTTLED), (Rejected("NO_IDENTIFIER"), REJECTED)]
)
def test_a_message_whose_dead_letter_queue_is_down_stays_where_it_is(outcome: Outcome, queue: str) -> None:
    sqs = RecordingSqs(down={queue})

    settled = settling(sqs).settle([ending(outcome)])

    assert settled == [ending(Retried(ErrorCode.AWS_UNAVAILABLE))._replace(dead_letter_failed=True)]
    assert [entry["ReceiptHandle"] for entry in sqs.visibility[SEGMENT_EVENTS]] == ["handle-1"]


def test_of_a_batch_that_sqs_takes_in_part_only_the_refused_messages_stay() -> None:
    sqs = RecordingSqs(refuses=lambda entry: "sqs-refused" in str(entry.get("MessageAttributes")))
    endings = [
        ending(Rejected("A"), 1),
        ending(Rejected("A"), 2, original_message_id="sqs-refused"),
        ending(Rejected("A"), 3),
    ]

    settled = settling(sqs).settle(endings)

    assert [type(end.outcome) for end in settled] == [Rejected, Retried, Rejected]
    assert [end.dead_letter_failed for end in settled] == [False, True, False]
    assert len(sqs.sent[REJECTED]) == 2
    assert [entry["ReceiptHandle"] for entry in sqs.visibility[SEGMENT_EVENTS]] == ["handle-2"]


def test_an_outage_of_responsys_and_of_throttled_dlq_at_once_loses_nothing() -> None:
    sqs = RecordingSqs(down={THROTTLED})

    settled = settling(sqs).settle([ending(Retried("TIMEOUT"), receive_count=4)])

    assert settled[0].outcome == Retried(ErrorCode.AWS_UNAVAILABLE)


def test_a_back_off_that_cannot_be_set_changes_no_outcome() -> None:
    sqs = RecordingSqs(down={SEGMENT_EVENTS})

    assert settling(sqs).settle([ending(Retried("TIMEOUT"))]) == [ending(Retried("TIMEOUT"))]


def test_what_settling_writes_is_what_the_next_life_reads() -> None:
    sqs = RecordingSqs()
    settling(sqs).settle([ending(Throttled("API_LIMIT_EXCEEDED", 60.0))])
    (entry,) = sqs.sent[THROTTLED]

    next_life = read_record(
        {
            "messageId": "sqs-of-next-life",
            "receiptHandle": "h",
            "body": entry["MessageBody"],
            "attributes": {
                "ApproximateReceiveCount": "1",
                "SentTimestamp": str(int((NOW + 1) * 1000)),
                "ApproximateFirstReceiveTimestamp": str(int((NOW + 61) * 1000)),
            },
            "messageAttributes": {
                name: {"stringValue": value["StringValue"], "dataType": value["DataType"]}
                for name, value in entry["MessageAttributes"].items()
            },
            "eventSourceARN": "arn:aws:sqs:eu-west-1:123456789012:throttled",
        },
        NOW + 61,
    )

    assert next_life.body == BODY
    assert next_life.original_message_id == "first-1"
    assert next_life.attempts == 4
    assert next_life.first_received_at == NOW
    assert next_life.last_error_code == "API_LIMIT_EXCEEDED"


OUTCOMES = st.one_of(
    st.just(Delivered()),
    st.just(Duplicate()),
    st.builds(Throttled, st.sampled_from(["A", "B"]), st.floats(0, 10_000)),
    st.builds(Rejected, st.sampled_from(["A", "B"])),
    st.builds(Retried, st.sampled_from(["A", "B"])),
)


@given(
    st.lists(st.tuples(OUTCOMES, st.integers(1, 5), st.booleans(), st.sampled_from(["segment-events", "throttled"]))),
    st.sets(st.sampled_from([SEGMENT_EVENTS, THROTTLED, REJECTED])),
)
def test_every_message_is_deleted_only_when_delivered_or_safe_elsewhere(
    rows: list[tuple[Outcome, int, bool, str]], down: set[str]
) -> None:
    refused = {f"first-{number}" for number, row in enumerate(rows) if row[2]}
    sqs = RecordingSqs(
        refuses=lambda entry: (
            entry.get("MessageAttributes", {}).get("originalMessageId", {}).get("StringValue") in refused
        ),
        down=down,
    )
    endings = [
        ending(outcome, number, receive_count=count, queue_name=queue)
        for number, (outcome, count, _, queue) in enumerate(rows)
    ]

    settled = settling(sqs).settle(endings)

    assert [end.message for end in settled] == [end.message for end in endings]
    safe = {attributes(entry)["originalMessageId"]: url for url, sent in sqs.sent.items() for entry in sent}
    for before, after in zip(endings, settled, strict=True):
        match after.outcome:
            case Delivered() | Duplicate():
                assert after == before
                assert before.message.original_message_id not in safe
            case Throttled():
                assert safe[before.message.original_message_id] == THROTTLED
            case Rejected():
                assert safe[before.message.original_message_id] == REJECTED
            case Retried():
                assert before.message.original_message_id not in safe
    assert len(safe) == sum(len(sent) for sent in sqs.sent.values()), "no message is moved twice"
