"""Does each outcome do to its SQS message what section 2.4 of the contract says, and nothing before it is safe?"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Callable, Sequence
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from responsys_activation.aws import queues
from responsys_activation.aws.queues import DeadLetterQueue, SourceQueue
from responsys_activation.delivery.custom_event import UnmappableError
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
from responsys_activation.delivery.settling import Settling
from responsys_activation.error_code import ErrorCode
from responsys_activation.membership import InvalidMessageError
from responsys_activation.received import LIFE_ATTRIBUTES, MARK, Mark, ReceivedMessage, read_record
from tests.fakes.clock import NOW, Clock
from tests.fakes.memberships import ABSENT, connector, document, event_of, read_membership
from tests.fakes.recording_sqs import Entry, RecordingSqs

SEGMENT_EVENTS = "https://sqs.eu-west-1.amazonaws.com/123456789012/segment-events"
THROTTLED = "https://sqs.eu-west-1.amazonaws.com/123456789012/throttled"
REJECTED = "https://sqs.eu-west-1.amazonaws.com/123456789012/rejected"
BODY = '{ "profileId" : "p\\u00e9",\n\t"x": 1.10, "smile": "\N{GRINNING FACE}" }'


def settle(
    sqs: RecordingSqs,
    endings: Sequence[Ending],
    *,
    until: float = math.inf,
    time_scale: float = 1.0,
    jitter: float = 0.0,
    clock: Callable[[], float] = lambda: NOW,
) -> list[Ending]:
    client = cast("Any", sqs)
    settling = Settling(
        source_queues=[SourceQueue(url, client, clock=clock) for url in (SEGMENT_EVENTS, THROTTLED)],
        throttled=DeadLetterQueue(THROTTLED, client, clock=clock),
        rejected=DeadLetterQueue(REJECTED, client, clock=clock),
        time_scale=time_scale,
        clock=clock,
        jitter=lambda: jitter,
    )
    return settling.settle(endings, until)


def message(number: int = 1, **changes: Any) -> ReceivedMessage:
    received = ReceivedMessage(
        message_id=f"sqs-{number}",
        original_message_id=f"first-{number}",
        receipt_handle=f"handle-{number}",
        body=BODY,
        queue_name="segment-events",
        receive_count=1,
        attempts=3,
        arrived_at=NOW - 10,
        age_from=NOW - 10,
        first_received_at=NOW,
        came_back=False,
        last_error_code="",
        mark=Mark(),
    )
    return received._replace(**changes)


def ending(outcome: Outcome, number: int = 1, **changes: Any) -> Ending:
    return Ending(message(number, **changes), outcome, "default", "SEGMENT_CHANGED")


def attributes(entry: Entry) -> dict[str, str]:
    assert all(value["DataType"] == "String" for value in entry["MessageAttributes"].values())
    return {name: value["StringValue"] for name, value in entry["MessageAttributes"].items()}


def mark(entry: Entry) -> dict[str, Any]:
    read: dict[str, Any] = json.loads(attributes(entry)[MARK])
    return read


def next_life(entry: Entry, queue: str) -> ReceivedMessage:
    """Read what was sent to a queue as the function receives it."""
    record = {
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
        "eventSourceARN": f"arn:aws:sqs:eu-west-1:123456789012:{queue}",
    }
    return read_record(record, NOW + 61, "throttled")


@pytest.mark.parametrize("outcome", [Delivered(), Duplicate(), Ignored(ErrorCode.SUPERSEDED)])
def test_what_is_done_is_left_for_sqs_to_delete(outcome: Outcome) -> None:
    sqs = RecordingSqs()

    settled = settle(sqs, [ending(outcome)])

    assert settled == [ending(outcome)]
    assert (sqs.sent, sqs.visibility) == ({}, {})


def test_a_throttled_message_moves_to_its_queue_with_the_throttles_own_delay() -> None:
    sqs = RecordingSqs()

    settled = settle(sqs, [ending(Throttled("API_LIMIT_EXCEEDED", 60.0))])

    assert settled == [ending(Throttled("API_LIMIT_EXCEEDED", 60.0))]
    assert list(sqs.sent) == [THROTTLED]
    (entry,) = sqs.sent[THROTTLED]
    assert entry["DelaySeconds"] == 60
    assert entry["MessageGroupId"] == "default"
    assert entry["MessageBody"] == BODY
    assert attributes(entry) == {
        "outcome": "throttled",
        "errorCode": "API_LIMIT_EXCEEDED",
        "connector": "default",
        "eventName": "SEGMENT_CHANGED",
        "originalMessageId": "first-1",
        "attempts": "3",
        "firstReceivedAt": "2027-01-15T08:00:00.000+00:00",
        "reason": "the account's requests per minute are used up",
        "responsysActivation": '{"firstSentAt":"2027-01-15T07:59:50.000+00:00"}',
    }


def test_a_rejected_message_moves_to_its_queue_at_once_and_says_why() -> None:
    sqs = RecordingSqs()

    settle(sqs, [ending(Rejected("NO_IDENTIFIER", "identifiers: connector default needs RIID"))])

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
        "reason": "identifiers: connector default needs RIID",
        "responsysActivation": '{"firstSentAt":"2027-01-15T07:59:50.000+00:00"}',
    }


@pytest.mark.parametrize("outcome", [Throttled("X", 60.0), Rejected("X")])
def test_a_letter_carries_what_the_next_life_reads_and_no_more_than_sqs_takes(outcome: Outcome) -> None:
    sqs = RecordingSqs()

    settle(sqs, [ending(outcome)])

    ((entry,),) = sqs.sent.values()
    assert attributes(entry).keys() == LIFE_ATTRIBUTES
    assert len(attributes(entry)) <= 10


# ---- why -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [*ErrorCode, "CUSTOM_EVENT_NOT_FOUND"])
@pytest.mark.parametrize("kind", [Throttled, Rejected])
def test_every_letter_says_why_in_words(kind: Any, code: str) -> None:
    sqs = RecordingSqs()

    settle(sqs, [ending(Throttled(code, 60.0) if kind is Throttled else Rejected(code))])

    ((entry,),) = sqs.sent.values()
    assert len(attributes(entry)["reason"].split()) >= 3


@pytest.mark.parametrize("length", [299, 300, 301, 5_000])
def test_a_reason_has_at_most_300_characters(length: int) -> None:
    sqs = RecordingSqs()

    settle(sqs, [ending(Rejected("X", "é" * length))])

    (entry,) = sqs.sent[REJECTED]
    reason = attributes(entry)["reason"]
    assert reason == ("é" * length if length <= 300 else "é" * 299 + "…")


def test_a_reason_has_no_character_that_sqs_refuses() -> None:
    sqs = RecordingSqs()

    settle(
        sqs, [ending(Throttled("INVALID_CONNECTOR", 300.0, reason="connector a: eventNames.\x01\ud800\uffff: wrong"))]
    )

    assert attributes(sqs.sent[THROTTLED][0])["reason"] == "connector a: eventNames.   : wrong"


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("EXPIRED", "not sent within MaximumEventAgeHours after SQS first had it, or after it was replayed"),
        ("NO_RECIPIENT_FOUND", "the profile list has no such recipient"),
        ("A_CODE_OF_TOMORROW", "Responsys answered A_CODE_OF_TOMORROW"),
    ],
)
def test_without_a_reason_of_its_own_a_message_tells_what_its_code_means(code: str, reason: str) -> None:
    sqs = RecordingSqs()

    settle(sqs, [ending(Rejected(code))])

    assert attributes(sqs.sent[REJECTED][0])["reason"] == reason


def test_the_reason_of_a_throttle_is_its_own_where_it_has_one() -> None:
    sqs = RecordingSqs()

    settle(sqs, [ending(Throttled("INVALID_CREDENTIALS", 600.0, reason="a person must change the password"))])

    assert attributes(sqs.sent[THROTTLED][0])["reason"] == "a person must change the password"


@pytest.mark.parametrize(
    ("body", "named"),
    [
        (document(callType="anna@example.com"), "callType"),
        (document(segment={"type": "anna@example.com", "id": "x"}), "segment.type"),
        (document(identifiers={"27": ["anna@example.com"]}), "identifiers"),
        (document(eventName="anna@example.com/x"), "eventName"),
        (document(connector="anna@example.com"), "connector"),
        (document(occurredAt="anna@example.com"), "occurredAt"),
        (document(profileId=ABSENT, **{"anna@example.com": 1}), "profileId"),
        (document(identifiers={"anna@example.com": "x"}), "identifiers"),
        (document(identifiers={"27": "anna@example.com"}), "identifiers"),
    ],
)
def test_a_reason_names_fields_and_never_values(body: dict[str, Any], named: str) -> None:
    # Given a message that cannot be read or mapped, full of what is nobody's business
    with pytest.raises((InvalidMessageError, UnmappableError)) as wrong:
        event_of(read_membership(json.dumps(body)), connector())
    sqs = RecordingSqs()

    # When it is rejected with that
    settle(sqs, [ending(Rejected(ErrorCode.INVALID_MESSAGE, str(wrong.value)))])

    # Then the letter names the field alone
    reason = attributes(sqs.sent[REJECTED][0])["reason"]
    assert named in reason
    assert "anna" not in reason


# ---- what a letter keeps ---------------------------------------------------------------------------------------

REPLAYED = Mark(first_sent_at=NOW - 86_400, replayed_at=NOW - 60, doubts=3, in_doubt_allowed=True)


def test_a_throttled_message_keeps_what_a_person_allowed() -> None:
    # Given a message in doubt that a person sent back / When it is throttled
    sqs = RecordingSqs()
    settle(sqs, [ending(Throttled("X", 60.0), mark=REPLAYED, arrived_at=NOW - 86_400)])

    # Then it comes back with that
    assert next_life(sqs.sent[THROTTLED][0], "throttled").mark == REPLAYED


def test_a_rejected_message_has_no_permission_left_and_says_how_often_it_was_in_doubt() -> None:
    # Given such a message / When it is in doubt once more
    sqs = RecordingSqs()
    settle(sqs, [ending(Rejected(ErrorCode.OUTCOME_UNKNOWN, doubts=4), mark=REPLAYED, arrived_at=NOW - 86_400)])

    # Then a person must decide anew
    assert mark(sqs.sent[REJECTED][0]) == {
        "firstSentAt": "2027-01-14T08:00:00.000+00:00",
        "replayedAt": "2027-01-15T07:59:00.000+00:00",
        "doubts": 4,
    }


def test_what_was_rejected_for_another_reason_is_not_in_doubt() -> None:
    sqs = RecordingSqs()

    settle(sqs, [ending(Rejected("NO_RECIPIENT_FOUND"), mark=REPLAYED)])

    assert mark(sqs.sent[REJECTED][0]).keys() == {"firstSentAt", "replayedAt"}


def test_an_expired_message_keeps_the_last_error_code() -> None:
    sqs = RecordingSqs()

    settle(sqs, [ending(Rejected(ErrorCode.EXPIRED, last_error_code="API_LIMIT_EXCEEDED"))])

    (entry,) = sqs.sent[REJECTED]
    assert attributes(entry)["errorCode"] == "EXPIRED"
    assert mark(entry)["lastErrorCode"] == "API_LIMIT_EXCEEDED"


def test_a_message_that_names_no_connector_or_event_has_no_empty_attribute() -> None:
    sqs = RecordingSqs()

    settle(sqs, [Ending(message(), Rejected(ErrorCode.INVALID_MESSAGE, "body: not valid JSON"))])

    (entry,) = sqs.sent[REJECTED]
    assert all(attributes(entry).values())
    assert attributes(entry)["connector"] == attributes(entry)["eventName"] == "-"
    assert "MessageGroupId" not in entry


def test_what_fails_once_stays_on_its_queue() -> None:
    sqs = RecordingSqs()

    assert settle(sqs, [ending(Retried("TIMEOUT"))]) == [ending(Retried("TIMEOUT"))]

    assert sqs.sent == {}
    (entry,) = sqs.visibility[SEGMENT_EVENTS]
    assert (entry["ReceiptHandle"], entry["VisibilityTimeout"]) == ("handle-1", 30)


@pytest.mark.parametrize(("receive_count", "seconds"), [(1, 30), (2, 60), (3, 120), (4, 240), (5, 480), (6, 900)])
def test_what_stays_on_its_queue_comes_back_after_a_time_that_doubles(receive_count: int, seconds: int) -> None:
    # Given that nothing can be moved
    sqs = RecordingSqs(down={THROTTLED})

    settle(sqs, [ending(Retried("TIMEOUT"), receive_count=receive_count)])

    assert [entry["VisibilityTimeout"] for entry in sqs.visibility[SEGMENT_EVENTS]] == [seconds]


def test_a_retried_message_from_throttled_dlq_is_put_off_there() -> None:
    sqs = RecordingSqs()

    settle(sqs, [ending(Retried("TIMEOUT"), 1), ending(Retried("TIMEOUT"), 2, queue_name="throttled")])

    assert [entry["ReceiptHandle"] for entry in sqs.visibility[SEGMENT_EVENTS]] == ["handle-1"]
    assert [entry["ReceiptHandle"] for entry in sqs.visibility[THROTTLED]] == ["handle-2"]


@pytest.mark.parametrize("receive_count", [2, 3, 4, 5])
def test_an_outage_that_outlives_the_retries_ends_where_it_replays_itself(receive_count: int) -> None:
    sqs = RecordingSqs()

    settled = settle(sqs, [ending(Retried("TIMEOUT"), receive_count=receive_count)])

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

    settle(sqs, [ending(Throttled("X", delay))], jitter=1.0, time_scale=time_scale)

    assert sqs.sent[THROTTLED][0]["DelaySeconds"] == seconds


@pytest.mark.parametrize(("decided_before", "seconds"), [(0, 60), (45, 15), (60, 0), (110, 0)])
def test_a_delay_counts_from_when_it_was_decided(decided_before: float, seconds: int) -> None:
    # Given a message that is settled long after it was decided to put it off, as in a batch that waits for slots
    sqs = RecordingSqs()
    throttled = Throttled("BUDGET_EXHAUSTED", 60.0, decided_at=NOW - decided_before)

    settle(sqs, [ending(throttled)])

    # Then it is back when it was said to be
    assert sqs.sent[THROTTLED][0]["DelaySeconds"] == seconds


@pytest.mark.parametrize(("came_after", "seconds"), [(-3600, 60), (0, 60), (100, 70), (600, 120), (86_400, 900)])
def test_after_a_throttle_what_came_first_comes_back_first(came_after: float, seconds: int) -> None:
    # Given a throttle that began at a time
    throttled = Throttled("INTERNAL_CAPACITY_LIMIT_EXCEEDED", 60.0, since=NOW, age_share=0.1)
    sqs = RecordingSqs()

    # When a message of before or after it is put off
    settle(sqs, [ending(throttled, first_received_at=NOW + came_after)])

    # Then it waits longer the later it came
    assert sqs.sent[THROTTLED][0]["DelaySeconds"] == seconds


def test_a_back_off_has_its_jitter_and_its_time_scale() -> None:
    sqs = RecordingSqs()

    settle(sqs, [ending(Retried("TIMEOUT"))], jitter=1.0, time_scale=0.5)

    assert sqs.visibility[SEGMENT_EVENTS][0]["VisibilityTimeout"] == 66


@pytest.mark.parametrize(
    ("outcome", "queue"), [(Throttled("API_LIMIT_EXCEEDED", 60.0), THROTTLED), (Rejected("NO_IDENTIFIER"), REJECTED)]
)
def test_a_message_whose_dead_letter_queue_is_down_stays_where_it_is(outcome: Outcome, queue: str) -> None:
    sqs = RecordingSqs(down={queue})

    settled = settle(sqs, [ending(outcome)])

    assert settled == [ending(Retried(ErrorCode.AWS_UNAVAILABLE))._replace(dead_letter_failed=True)]
    assert [entry["ReceiptHandle"] for entry in sqs.visibility[SEGMENT_EVENTS]] == ["handle-1"]


def test_of_a_batch_that_sqs_takes_in_part_only_the_refused_messages_stay() -> None:
    sqs = RecordingSqs(refuses=lambda entry: "sqs-refused" in str(entry.get("MessageAttributes")))
    endings = [
        ending(Rejected("A"), 1),
        ending(Rejected("A"), 2, original_message_id="sqs-refused"),
        ending(Rejected("A"), 3),
    ]

    settled = settle(sqs, endings)

    assert [type(end.outcome) for end in settled] == [Rejected, Retried, Rejected]
    assert [end.dead_letter_failed for end in settled] == [False, True, False]
    assert len(sqs.sent[REJECTED]) == 2
    assert [entry["ReceiptHandle"] for entry in sqs.visibility[SEGMENT_EVENTS]] == ["handle-2"]


def test_an_outage_of_responsys_and_of_throttled_dlq_at_once_loses_nothing() -> None:
    sqs = RecordingSqs(down={THROTTLED})

    settled = settle(sqs, [ending(Retried("TIMEOUT"), receive_count=4)])

    assert settled[0].outcome == Retried(ErrorCode.AWS_UNAVAILABLE)


def test_a_back_off_that_cannot_be_set_changes_no_outcome() -> None:
    sqs = RecordingSqs(down={SEGMENT_EVENTS})

    assert settle(sqs, [ending(Retried("TIMEOUT"))]) == [ending(Retried("TIMEOUT"))]


def test_what_settling_writes_is_what_the_next_life_reads() -> None:
    sqs = RecordingSqs()
    settle(sqs, [ending(Throttled("API_LIMIT_EXCEEDED", 60.0))])

    back = next_life(sqs.sent[THROTTLED][0], "throttled")

    assert back.body == BODY
    assert back.original_message_id == "first-1"
    assert back.attempts == 4
    assert (back.arrived_at, back.age_from, back.first_received_at) == (NOW - 10, NOW - 10, NOW)
    assert back.last_error_code == "API_LIMIT_EXCEEDED"


def test_a_message_is_the_one_that_it_was_over_any_number_of_lives() -> None:
    # Given a message that is put off, comes back and is put off again, and again
    sqs = RecordingSqs()
    living = message()
    for _ in range(3):
        settle(sqs, [Ending(living, Throttled("X", 60.0), "default", "E")])
        living = next_life(sqs.sent[THROTTLED][-1], "throttled")

    # Then its age and its place are those of its first life
    assert (living.original_message_id, living.arrived_at, living.age_from) == ("first-1", NOW - 10, NOW - 10)
    assert (living.attempts, living.first_received_at) == (6, NOW)


# ---- no time left ----------------------------------------------------------------------------------------------

EACH_KIND: list[Outcome] = [Throttled("X", 60.0), Rejected("X"), Retried("TIMEOUT"), Delivered()]


def test_when_there_is_no_time_left_nothing_is_asked_of_sqs_and_what_is_not_moved_stays() -> None:
    sqs = RecordingSqs()

    settled = settle(sqs, [ending(outcome, n) for n, outcome in enumerate(EACH_KIND)], until=NOW)

    assert (sqs.sent, sqs.visibility) == ({}, {})
    stays = Retried(ErrorCode.AWS_UNAVAILABLE)
    assert [end.outcome for end in settled] == [stays, stays, Retried("TIMEOUT"), Delivered()]
    assert [end.dead_letter_failed for end in settled] == [True, True, False, False]


@pytest.mark.parametrize(
    ("calls", "asked"),
    [(0, []), (1, [THROTTLED]), (2, [THROTTLED, REJECTED]), (3, [THROTTLED, REJECTED, SEGMENT_EVENTS])],
)
def test_no_call_begins_after_the_time_is_up(calls: int, asked: list[str]) -> None:
    # Given that a call takes a second
    clock = Clock()

    class Slow(RecordingSqs):
        def _batch(self, *request: Any) -> dict[str, Any]:
            clock.sleep(1)
            return super()._batch(*request)

    sqs = Slow()
    # When there is time for so many
    settle(sqs, [ending(outcome, n) for n, outcome in enumerate(EACH_KIND)], until=NOW + calls, clock=clock)

    # Then so many are made: first what moves, then what only comes back sooner
    assert [*sqs.sent, *sqs.visibility] == asked


def test_a_slow_queue_does_not_hold_up_the_end_of_the_invocation() -> None:
    # Given 3,000 messages, and an SQS each of whose calls takes its time
    calls = itertools.count(1)
    now = 0.0

    class Slow(RecordingSqs):
        def _batch(self, *request: Any) -> dict[str, Any]:
            nonlocal now
            now = next(calls) * 0.01
            return super()._batch(*request)

    sqs = Slow()
    endings = [ending(Throttled("X", 60.0), number) for number in range(3_000)]

    # When there is time for a hundred of the three hundred calls
    settled = settle(sqs, endings, until=1.0, clock=lambda: now)

    # Then none begins after it but those that had looked at the clock before
    assert 100 <= next(calls) - 1 <= 100 + queues._PARALLEL_CALLS
    # And exactly what SQS has is let go; the rest comes back by itself
    has = {attributes(entry)["originalMessageId"] for entry in sqs.sent[THROTTLED]}
    assert 1_000 <= len(has) < 3_000
    assert sqs.visibility == {}
    for end in settled:
        stays = end.message.original_message_id not in has
        assert end.outcome == (Retried(ErrorCode.AWS_UNAVAILABLE) if stays else Throttled("X", 60.0))
        assert end.dead_letter_failed is stays


# ---- the law ---------------------------------------------------------------------------------------------------

OUTCOMES = st.one_of(
    st.just(Delivered()),
    st.just(Duplicate()),
    st.just(Ignored("SUPERSEDED")),
    st.builds(Throttled, st.sampled_from(["A", "B"]), st.floats(0, 10_000)),
    st.builds(Rejected, st.sampled_from(["A", "B"])),
    st.builds(Retried, st.sampled_from(["A", "B"])),
)


@given(
    st.lists(st.tuples(OUTCOMES, st.integers(1, 5), st.booleans(), st.sampled_from(["segment-events", "throttled"]))),
    st.sets(st.sampled_from([SEGMENT_EVENTS, THROTTLED, REJECTED])),
    st.sampled_from([math.inf, NOW]),
)
def test_every_message_is_deleted_only_when_it_is_done_or_safe_elsewhere(
    rows: list[tuple[Outcome, int, bool, str]], down: set[str], until: float
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

    settled = settle(sqs, endings, until=until)

    assert [end.message for end in settled] == [end.message for end in endings]
    safe = {attributes(entry)["originalMessageId"]: url for url, sent in sqs.sent.items() for entry in sent}
    for before, after in zip(endings, settled, strict=True):
        match after.outcome:
            case Delivered() | Duplicate() | Ignored():
                assert after == before
                assert before.message.original_message_id not in safe
            case Throttled():
                assert safe[before.message.original_message_id] == THROTTLED
            case Rejected():
                assert safe[before.message.original_message_id] == REJECTED
            case Retried():
                assert before.message.original_message_id not in safe
    assert len(safe) == sum(len(sent) for sent in sqs.sent.values()), "no message is moved twice"
