"""Is an SQS record read with the history that its earlier lives left, and with no other?"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from responsys_activation.received import (
    LIFE_ATTRIBUTES,
    MARK,
    Mark,
    ReceivedMessage,
    read_mark,
    read_record,
)
from tests.fakes.clock import NOW

SEGMENT_EVENTS, THROTTLED = "stack-SegmentEventsQueue", "stack-ThrottledDLQ"
SENT = NOW - 10
FIRST_RECEIVED = NOW - 5
FIRST_LIFE_SENT = NOW - 3630
FIRST_LIFE_RECEIVED = NOW - 3600
REPLAYED = NOW - 60


def iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")


def record(attributes: dict[str, str] | None = None, queue: str = SEGMENT_EVENTS, **system: Any) -> dict[str, Any]:
    times = {
        "ApproximateReceiveCount": "2",
        "SentTimestamp": str(int(SENT * 1000)),
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
        "eventSourceARN": f"arn:aws:sqs:eu-west-1:123456789012:{queue}",
    }


def read(attributes: dict[str, str] | None = None, queue: str = SEGMENT_EVENTS, **system: Any) -> ReceivedMessage:
    return read_record(record(attributes, queue, **system), NOW, THROTTLED)


def earlier_life(**changes: str) -> dict[str, str]:
    return {
        "outcome": "throttled",
        "errorCode": "API_LIMIT_EXCEEDED",
        "originalMessageId": "sqs-1",
        "attempts": "3",
        "firstReceivedAt": iso(FIRST_LIFE_RECEIVED),
        MARK: Mark(first_sent_at=FIRST_LIFE_SENT).text(),
    } | changes


def without_mark(**changes: str) -> dict[str, str]:
    return {name: text for name, text in earlier_life(**changes).items() if name != MARK}


FIRST_LIFE = ReceivedMessage(
    message_id="sqs-2",
    original_message_id="sqs-2",
    receipt_handle="handle",
    body="{}",
    queue_name=SEGMENT_EVENTS,
    receive_count=2,
    attempts=2,
    arrived_at=SENT,
    age_from=SENT,
    first_received_at=FIRST_RECEIVED,
    came_back=True,
    last_error_code="",
    mark=Mark(),
)


# ---- lives -----------------------------------------------------------------------------------------------------


def test_a_first_life_has_no_history() -> None:
    assert read() == FIRST_LIFE


def test_what_is_received_for_the_first_time_did_not_come_back() -> None:
    assert read(ApproximateReceiveCount="1") == FIRST_LIFE._replace(receive_count=1, attempts=1, came_back=False)


@pytest.mark.parametrize("queue", [THROTTLED, SEGMENT_EVENTS], ids=["on ThrottledDLQ", "moved back by a person"])
def test_a_deferred_message_goes_on_where_its_earlier_life_ended(queue: str) -> None:
    # Given a message that was put off / When it is received for the first time since
    back = read(earlier_life(), queue, ApproximateReceiveCount="1")

    # Then it counts on under its first id, and from when SQS first had it
    assert (back.message_id, back.original_message_id) == ("sqs-2", "sqs-1")
    assert (back.receive_count, back.attempts) == (1, 4)
    assert (back.first_received_at, back.last_error_code) == (FIRST_LIFE_RECEIVED, "API_LIMIT_EXCEEDED")
    assert (back.arrived_at, back.age_from) == (FIRST_LIFE_SENT, FIRST_LIFE_SENT)
    assert back.came_back


def test_a_message_that_a_person_sends_back_starts_anew_under_its_old_id_and_keeps_its_place() -> None:
    # Given a rejected message / When it comes from a replay
    mark = Mark(first_sent_at=FIRST_LIFE_SENT, replayed_at=REPLAYED, doubts=3, in_doubt_allowed=True)
    back = read(earlier_life(outcome="rejected", **{MARK: mark.text()}), ApproximateReceiveCount="1")

    # Then its age, its attempts and its receives count from the replay, and its order from when SQS first had it
    assert back.original_message_id == "sqs-1"
    assert (back.attempts, back.first_received_at, back.last_error_code) == (1, FIRST_RECEIVED, "")
    assert (back.arrived_at, back.age_from) == (FIRST_LIFE_SENT, REPLAYED)
    assert back.came_back
    assert back.mark == mark


def test_a_message_put_off_after_a_replay_has_the_age_that_it_has_since_the_replay() -> None:
    # Given a replayed message / When it comes back from ThrottledDLQ
    mark = Mark(first_sent_at=FIRST_LIFE_SENT, replayed_at=REPLAYED)
    back = read(earlier_life(**{MARK: mark.text()}), THROTTLED, ApproximateReceiveCount="1")

    # Then the replay is not forgotten, and the deferral counts
    assert (back.arrived_at, back.age_from, back.attempts) == (FIRST_LIFE_SENT, REPLAYED, 4)


def test_what_waited_long_before_its_first_receive_is_as_old_as_it_is() -> None:
    three_days_ago = NOW - 3 * 86_400

    assert read(SentTimestamp=str(int(three_days_ago * 1000))).age_from == three_days_ago


def test_a_record_without_times_was_received_now_for_the_first_time() -> None:
    bare = read_record(record() | {"attributes": {}, "messageAttributes": {}}, NOW, THROTTLED)

    assert (bare.receive_count, bare.attempts, bare.came_back) == (1, 1, False)
    assert (bare.arrived_at, bare.age_from, bare.first_received_at) == (NOW, NOW, NOW)


# ---- whose attributes they are ---------------------------------------------------------------------------------


@pytest.mark.parametrize("queue", [SEGMENT_EVENTS, f"other-{THROTTLED}"])
def test_attributes_that_upstream_set_for_itself_are_no_history(queue: str) -> None:
    # Given a message of a producer that uses every name of ours but the mark's
    names = dict.fromkeys(LIFE_ATTRIBUTES - {MARK}, "import-7") | without_mark(attempts="99")

    # When it is read / Then it is one of its own
    assert read(names, queue) == FIRST_LIFE._replace(queue_name=queue)


@pytest.mark.parametrize("mark", ["", "yes", "[]", "null", "7", '"{}"', "{", "[" * 100_000, '{"a":' * 100_000])
def test_what_is_no_mark_makes_no_message_ours(mark: str) -> None:
    assert read(earlier_life(**{MARK: mark})) == FIRST_LIFE


def test_on_throttled_dlq_only_the_function_sends() -> None:
    # Given a letter of ours without a mark / When it comes back / Then its other attributes count
    back = read(without_mark(), THROTTLED, ApproximateReceiveCount="1")

    assert (back.original_message_id, back.attempts, back.last_error_code) == ("sqs-1", 4, "API_LIMIT_EXCEEDED")
    assert back.came_back
    assert back.mark == Mark()


def test_an_attribute_of_another_type_is_no_text() -> None:
    with_bytes = record({MARK: "{}"})
    with_bytes["messageAttributes"]["originalMessageId"] = {"binaryValue": "AA==", "dataType": "Binary"}

    assert read_record(with_bytes, NOW, THROTTLED).original_message_id == "sqs-2"


# ---- what nobody of us wrote -----------------------------------------------------------------------------------


@pytest.mark.parametrize("attempts", ["", "-1", "many", "1.5", "9" * 16, "0x10", "\N{SUPERSCRIPT TWO}"])
def test_a_garbage_attempt_count_counts_as_none(attempts: str) -> None:
    assert read(earlier_life(attempts=attempts)).attempts == 2


STRANGE_TIMES = [
    "",
    "yesterday",
    "12",
    "1969-12-31T00:00:00+00:00",
    "0001-01-01T00:00:00+23:59",
    "2099-01-01T00:00:00+00:00",
    "9999-12-31T23:59:59.999999+00:00",
    "9999-12-31T23:59:59-23:59",
]


@pytest.mark.parametrize("time", STRANGE_TIMES)
def test_a_first_receive_that_cannot_be_is_this_lifes(time: str) -> None:
    assert read(earlier_life(firstReceivedAt=time)).first_received_at == FIRST_RECEIVED


@pytest.mark.parametrize("field", ["firstSentAt", "replayedAt"])
@pytest.mark.parametrize("time", [*STRANGE_TIMES, None, 7, 1e300, True, [], {}])
def test_a_time_in_the_mark_that_cannot_be_is_when_sqs_had_it_and_can_be_written_again(field: str, time: Any) -> None:
    # Given a mark that somebody forged / When it is read
    back = read(earlier_life(**{MARK: json.dumps({field: time})}))

    # Then the message has a time that it can have, and what it carries on stops nobody
    assert (back.arrived_at, back.age_from) == (SENT, SENT)
    assert read_mark(back.mark.text()) == back.mark


def test_a_time_without_zone_is_utc() -> None:
    written = datetime.fromtimestamp(FIRST_LIFE_RECEIVED, UTC).replace(tzinfo=None).isoformat()

    back = read(earlier_life(firstReceivedAt=written, **{MARK: json.dumps({"firstSentAt": written})}))

    assert (back.first_received_at, back.arrived_at) == (FIRST_LIFE_RECEIVED, FIRST_LIFE_RECEIVED)


@pytest.mark.parametrize("doubts", ["3", None, -1, 1_000, 10**300, 1.5, [], {}])
def test_doubts_that_cannot_be_are_none(doubts: Any) -> None:
    mark = read_mark(json.dumps({"doubts": doubts, "inDoubtAllowed": True}))

    assert mark is not None
    assert mark.allowed_doubts == 0


@pytest.mark.parametrize(
    "mark",
    [
        '{"doubts":' + "9" * 5_000 + "}",
        '{"doubts":1e999}',
        '{"doubts":NaN}',
        '{"lastErrorCode":' + "[" * 900 + "]" * 900 + "}",
    ],
    ids=["5,000 digits", "infinite", "no number", "deep"],
)
def test_a_mark_with_monstrous_values_harms_nothing(mark: str) -> None:
    back = read(earlier_life(**{MARK: mark}))

    assert (back.arrived_at, back.mark.text()) == (SENT, "{}")


@pytest.mark.parametrize("allowed", [1, "true", "yes", None, [True]])
def test_only_true_allows_what_is_in_doubt(allowed: Any) -> None:
    mark = read_mark(json.dumps({"doubts": 3, "inDoubtAllowed": allowed}))

    assert mark == Mark(doubts=3)


@given(
    st.dictionaries(
        st.sampled_from(["outcome", "errorCode", "originalMessageId", "attempts", "firstReceivedAt"]),
        st.text() | st.sampled_from(["throttled", "7"]) | st.datetimes().map(datetime.isoformat),
    ),
    st.dictionaries(
        st.sampled_from(
            ["firstSentAt", "replayedAt", "lastErrorCode", "doubts", "inDoubtAllowed", "connector", "key", "position"]
        ),
        st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.datetimes().map(datetime.isoformat),
    ),
    st.sampled_from([SEGMENT_EVENTS, THROTTLED]),
)
def test_no_attribute_ever_stops_a_message_or_gives_it_a_time_that_cannot_be_written(
    attributes: dict[str, str], mark: dict[str, Any], queue: str
) -> None:
    back = read(attributes | {MARK: json.dumps(mark)}, queue)

    for moment, latest in (
        (back.first_received_at, FIRST_RECEIVED),
        (back.arrived_at, SENT),
        (back.age_from, SENT),
    ):
        assert datetime.fromtimestamp(moment, UTC) <= datetime.fromtimestamp(latest, UTC)
    assert back.attempts >= back.receive_count
    assert back.original_message_id
    assert read_mark(back.mark._replace(first_sent_at=back.arrived_at).text()) is not None


# ---- the mark --------------------------------------------------------------------------------------------------

MOMENTS = st.none() | st.integers(1, 4_000_000_000_000).map(lambda milliseconds: milliseconds / 1000)


@given(
    st.builds(
        Mark,
        MOMENTS,
        MOMENTS,
        st.text(),
        st.integers(0, 999),
        st.booleans(),
        connector=st.just("") | st.from_regex(r"\A[A-Za-z0-9][A-Za-z0-9_.-]{0,99}\Z"),
        key=st.sampled_from(["", "0123456789abcdef" * 2]),
        position=st.integers(0, 999_999),
    )
)
def test_a_mark_is_read_as_it_was_written(mark: Mark) -> None:
    assert read_mark(mark.text()) == mark


def test_a_mark_says_only_what_there_is() -> None:
    assert Mark().text() == "{}"
    assert json.loads(Mark(NOW, NOW + 1.5, "API_LIMIT_EXCEEDED", 3, in_doubt_allowed=True).text()) == {
        "firstSentAt": "2027-01-15T08:00:00.000+00:00",
        "replayedAt": "2027-01-15T08:00:01.500+00:00",
        "lastErrorCode": "API_LIMIT_EXCEEDED",
        "doubts": 3,
        "inDoubtAllowed": True,
    }


@pytest.mark.parametrize(("mark", "allowed"), [(Mark(doubts=3), 0), (Mark(doubts=3, in_doubt_allowed=True), 3)])
def test_doubts_are_allowed_by_a_person_alone(mark: Mark, allowed: int) -> None:
    assert mark.allowed_doubts == allowed
