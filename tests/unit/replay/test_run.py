"""Does a replay move exactly what was chosen, whatever happens on the way?"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from responsys_activation.aws.faults import AwsCallError
from responsys_activation.aws.queues import ParkedMessage
from responsys_activation.received import MARK, Mark, ReceivedMessage, read_mark, read_record
from responsys_activation.replay.request import read_replay_request
from responsys_activation.replay.run import Replay
from tests.fakes.clock import NOW, Clock
from tests.fakes.memberships import document
from tests.fakes.parked import ANSWERED, EMPTY, FIRST_SENT, HOUR, FakeParkedMessages, attributes, parked

FIFTEEN_MINUTES = 900.0
BEGUN = "2027-01-15T08:00:00+00:00"  # NOW


class Dlq:
    """A dead-letter queue and a replay that reads it."""

    def __init__(self, messages: Sequence[ParkedMessage]) -> None:
        self.clock = Clock()
        self.parked = FakeParkedMessages(messages, self.clock)
        self.replay = Replay(
            sources={"rejected": self.parked, "throttled": self.parked},  # type: ignore[dict-item]
            destination_url="https://queue",
            clock=self.clock,
            sleep=self.clock.sleep,
        )

    def run(self, seconds: float = FIFTEEN_MINUTES, **event: Any) -> dict[str, Any]:
        return self.replay.run(read_replay_request({"arrivedBefore": BEGUN, **event}), seconds)


def two_codes(each: int = 30) -> list[ParkedMessage]:
    return [parked(n, code) for n in range(2 * each) for code in [("MENDED", "OTHER")[n % 2]]]


def untouched(messages: Sequence[ParkedMessage]) -> list[tuple[str, str, Any]]:
    """What SQS may not change: receives aside, everything."""
    return [(message.message_id, message.body, message.attributes) for message in messages]


def test_a_dry_run_counts_and_leaves_every_message_as_it_was() -> None:
    # Given messages of two codes
    dlq = Dlq(two_codes())
    # When a replay of one is tried
    report = dlq.run(errorCode="MENDED")
    # Then it says what would move, and all are there and can be received at once
    assert report == {
        "source": "rejected",
        "dryRun": True,
        "examined": 60,
        "moved": 0,
        "wouldMove": 30,
        "refused": 0,
        "left": 60,
        "arrivedSince": 0,
        "byErrorCode": {"MENDED": 30},
        "leftByErrorCode": {"OTHER": 30},
        "end": "QUEUE_SEEN",
        "complete": True,
    }
    assert dlq.parked.moved == []
    assert untouched(dlq.parked.visible) == untouched(two_codes())


def test_exactly_the_chosen_ones_move_and_as_many_as_the_dry_run_said() -> None:
    # Given messages of two codes, and a dry run
    dlq = Dlq(two_codes())
    predicted = dlq.run(errorCode="MENDED")
    # When the same is moved
    report = dlq.run(errorCode="MENDED", dryRun=False)
    # Then the prediction holds, and the others can be received at once, as they were
    assert (report["moved"], report["byErrorCode"]) == (predicted["wouldMove"], predicted["byErrorCode"])
    assert [message.attribute("errorCode") for message in dlq.parked.moved] == ["MENDED"] * 30
    assert untouched(dlq.parked.visible) == untouched([m for m in two_codes() if m.attribute("errorCode") == "OTHER"])


# ---- what a moved message carries ------------------------------------------------------------------------------


def received(message: ParkedMessage) -> ReceivedMessage:
    """Read a moved message as the function receives it: a new SQS message."""
    record = {
        "messageId": "new-id",
        "receiptHandle": "",
        "body": message.body,
        "eventSourceARN": "arn:aws:sqs:eu-west-1:123456789012:segment-events",
        "attributes": {"ApproximateReceiveCount": "1", "SentTimestamp": str(int((NOW + HOUR) * 1000))},
        "messageAttributes": {
            name: {"stringValue": value.get("StringValue")} for name, value in message.attributes.items()
        },
    }
    return read_record(record, NOW + HOUR, "throttled")


@pytest.mark.parametrize(
    ("message", "original", "first_sent"),
    [
        (parked(1), "original-1", FIRST_SENT),
        (parked(1, None), "message-1", NOW - HOUR),
        (
            parked(1, attributes=attributes("API_LIMIT_EXCEEDED", "original-1", outcome="throttled", attempts="9")),
            "original-1",
            FIRST_SENT,
        ),
        (parked(1, attributes=attributes("X", "original-1", Mark())), "original-1", NOW - HOUR),
    ],
    ids=["rejected", "moved by SQS", "moved by SQS from ThrottledDLQ", "with a mark that says nothing"],
)
def test_a_moved_message_keeps_body_id_and_place_and_begins_a_new_life(
    message: ParkedMessage, original: str, first_sent: float
) -> None:
    # Given a message on RejectedDLQ
    dlq = Dlq([message])
    # When it is moved, and the function receives it
    dlq.run(dryRun=False)
    (moved,) = dlq.parked.moved
    back = received(moved)
    # Then it is known by its first id and by when SQS first had it
    assert (back.body, back.original_message_id, back.arrived_at) == (message.body, original, first_sent)
    assert back.came_back
    # And neither its age nor its attempts count any more
    assert (back.attempts, back.age_from, back.first_received_at) == (1, NOW, NOW + HOUR)
    # And whatever else it carried is there
    changed = {name: moved.attributes[name] for name in ("outcome", "originalMessageId", MARK)}
    assert moved.attributes == {**message.attributes, **changed}


def test_an_age_counts_from_when_a_message_is_moved() -> None:
    # Given two batches / When one is moved ten seconds after the other
    dlq = Dlq([parked(n) for n in range(20)])
    dlq.run(dryRun=False, messagesPerSecond=1)
    # Then each has its own time
    assert [received(moved).age_from for moved in dlq.parked.moved] == [NOW] * 10 + [NOW + 10] * 10


def test_a_message_that_is_throttled_goes_on_with_its_life() -> None:
    # Given a message on ThrottledDLQ that a person had sent back in spite of its doubts
    mark = Mark(FIRST_SENT, NOW - 1.5 * HOUR, "", 3, in_doubt_allowed=True)
    throttled = attributes("TIMEOUT", "original-1", mark, outcome="throttled", attempts="9")
    dlq = Dlq([parked(1, attributes=throttled)])
    # When it is moved
    dlq.run(source="throttled", dryRun=False)
    # Then its attempts and its age go on counting, and what was allowed still is
    back = received(dlq.parked.moved[0])
    assert (back.original_message_id, back.attempts, back.mark) == ("original-1", 10, mark)
    assert (back.arrived_at, back.age_from) == (FIRST_SENT, NOW - 1.5 * HOUR)


def test_a_message_without_mark_on_throttled_dlq_is_moved_as_one_of_ours() -> None:
    # Given a message that nobody knows how it came there
    dlq = Dlq([parked(1, None)])
    # When it is moved / Then it is known by its id there
    dlq.run(source="throttled", dryRun=False)
    back = received(dlq.parked.moved[0])
    assert (back.original_message_id, back.arrived_at, back.attempts) == ("message-1", NOW - HOUR, 1)


def test_ten_attributes_of_a_producer_give_way_to_ours() -> None:
    # Given a message that SQS moved, with as many attributes of its producer's as SQS takes, of bytes
    own = {f"own-{n}": {"DataType": "Binary", "BinaryValue": b"\x00"} for n in range(10)}
    dlq = Dlq([parked(1, None, attributes=own)])
    # When it is moved
    dlq.run(dryRun=False)
    (moved,) = dlq.parked.moved
    # Then it is known by the id that it was sent under, and has no more attributes than SQS takes
    assert received(moved).original_message_id == "message-1"
    assert len(moved.attributes) == 10
    assert len(moved.attributes.keys() & own.keys()) == 7


def test_a_producers_attributes_under_our_names_are_not_ours_and_where_it_counts_give_way() -> None:
    # Given a message that SQS moved, whose producer uses our names for its own
    names = {
        "originalMessageId": "import-7",
        "outcome": "throttled",
        "attempts": "9",
        "firstReceivedAt": "2020-01-01T00:00:00Z",
        "errorCode": "OUTCOME_UNKNOWN",
        "connector": "theirs",
        "eventName": "THEIRS",
    }
    own = {name: {"DataType": "String", "StringValue": value} for name, value in names.items()}
    body = json.dumps(document(connector="loyalty"))
    dlq = Dlq([parked(1, None, attributes=own, body=body)])
    # When it is looked for by what they say / Then it is not found
    assert dlq.run(connector="theirs")["wouldMove"] == 0
    # When it is moved / Then what it carries is read as a new life of this message
    assert dlq.run(errorCode="NONE", connector="loyalty", dryRun=False)["byErrorCode"] == {"NONE": 1}
    back = received(dlq.parked.moved[0])
    assert (back.original_message_id, back.attempts, back.first_received_at) == ("message-1", 1, NOW + HOUR)
    assert (back.last_error_code, back.mark) == ("", Mark(NOW - HOUR, NOW))


@pytest.mark.parametrize("source", ["rejected", "throttled"])
@pytest.mark.parametrize("field", ["firstSentAt", "replayedAt"])
def test_a_mark_that_somebody_forged_stops_no_replay(source: str, field: str) -> None:
    # Given a time that no text can hold in another zone
    forged = {"DataType": "String", "StringValue": json.dumps({field: "9999-12-31T23:59:59-23:59"})}
    dlq = Dlq([parked(1, attributes=attributes("X", "original-1") | {MARK: forged}), parked(2)])
    # When all are moved / Then all are
    assert dlq.run(source=source, dryRun=False)["moved"] == 2


# ---- what may have been taken ----------------------------------------------------------------------------------


def in_doubt(number: int, doubts: int = 3) -> ParkedMessage:
    mark = Mark(FIRST_SENT, doubts=doubts)
    return parked(number, attributes=attributes("OUTCOME_UNKNOWN", f"original-{number}", mark))


@pytest.mark.parametrize("filters", [{}, {"errorCode": "OUTCOME_UNKNOWN"}])
def test_what_may_have_been_taken_is_left_unless_a_person_says_so(filters: dict[str, Any]) -> None:
    # Given messages in doubt beside others
    dlq = Dlq([in_doubt(1), in_doubt(2), parked(3)])
    # When all are moved, or those / Then they stay, and are told
    report = dlq.run(dryRun=False, **filters)
    assert report["byErrorCode"] == ({} if filters else {"NO_RECIPIENT_FOUND": 1})
    assert report["leftByErrorCode"]["OUTCOME_UNKNOWN"] == 2


def test_a_person_allows_what_is_in_doubt_once_more_with_its_doubts_and_nothing_else() -> None:
    # Given messages in doubt beside others
    dlq = Dlq([in_doubt(1), in_doubt(2, doubts=5), parked(3)])
    # When a person says so
    dlq.run(dryRun=False, inDoubt=True)
    # Then each of them may be sent with the doubts that it has, and the other as ever
    marks = [received(moved).mark for moved in dlq.parked.moved]
    assert [mark.allowed_doubts for mark in marks] == [3, 5, 0]
    assert [mark.in_doubt_allowed for mark in marks] == [True, True, False]


def test_a_permission_that_nobody_renews_is_not_carried_on() -> None:
    # Given a message that a person had allowed, and that SQS moved, after crashes, with what it said before
    allowed = Mark(FIRST_SENT, NOW - HOUR, "", 3, in_doubt_allowed=True)
    dlq = Dlq([parked(1, attributes=attributes("NO_RECIPIENT_FOUND", "original-1", allowed))])
    # When it is moved as one among others / Then it has no permission left
    dlq.run(dryRun=False)
    mark = read_mark(dlq.parked.moved[0].attribute(MARK))
    assert mark == Mark(FIRST_SENT, NOW, "", 3)


# ---- how a run goes --------------------------------------------------------------------------------------------


def test_a_message_that_fails_again_does_not_go_round() -> None:
    # Given that each moved message is rejected again at once
    dlq = Dlq([parked(n) for n in range(25)])

    def reject(moved: Sequence[ParkedMessage]) -> None:
        for message in moved:
            again = f"{message.message_id}-again"
            dlq.parked.add(replace(message, message_id=again, sent_at=dlq.clock() + 1))

    dlq.parked.on_move = reject
    # When all are replayed / Then each moves once
    report = dlq.run(dryRun=False)
    assert (report["moved"], report["left"], report["arrivedSince"], report["complete"]) == (25, 0, 25, True)
    assert len(dlq.parked.visible) == 25


def test_messages_move_no_faster_than_asked() -> None:
    # Given 100 messages / When 20 a second may move
    dlq = Dlq([parked(n) for n in range(100)])
    dlq.run(dryRun=False, messagesPerSecond=20)
    # Then no second has more than 20 and a batch
    moved_at = dlq.parked.moved_at
    assert all(sum(start <= at < start + 1 for at in moved_at) <= 30 for start in moved_at)
    assert moved_at[-1] - moved_at[0] == pytest.approx(4.5)


def test_a_run_that_has_no_time_left_ends_in_time_and_its_continuation_moves_the_rest() -> None:
    # Given more than a minute can move
    dlq = Dlq(two_codes(each=200))
    ends_at = dlq.clock() + 60
    # When it runs
    first = dlq.run(seconds=60, errorCode="MENDED", dryRun=False, messagesPerSecond=5)
    # Then it ends before Lambda would end it, and what is left can be received at once
    assert dlq.clock() <= ends_at - 20
    assert (first["complete"], first["end"]) == (False, "OUT_OF_TIME")
    assert 0 < first["moved"] < 200
    assert len(dlq.parked.visible) == 400 - first["moved"]
    # And going on moves all the others, once
    reports = [first]
    while not reports[-1]["complete"]:
        reports.append(dlq.replay.run(read_replay_request(reports[-1]["continuation"]), 60))
    assert sum(report["moved"] for report in reports) == 200
    assert len({message.message_id for message in dlq.parked.moved}) == 200


def test_a_limit_is_kept_by_the_run_its_dry_run_and_its_continuation() -> None:
    # Given a limit that one run does not reach
    dlq = Dlq(two_codes(each=100))
    event: dict[str, Any] = {"errorCode": "MENDED", "limit": 93, "messagesPerSecond": 5}
    assert dlq.run(**event)["wouldMove"] == 93
    # When it is moved in several runs
    first = dlq.run(seconds=40, dryRun=False, **event)
    assert first["end"] == "OUT_OF_TIME"
    rest = dlq.replay.run(read_replay_request(first["continuation"]), FIFTEEN_MINUTES)
    # Then they move as many together
    assert (rest["end"], rest["complete"]) == ("LIMIT_REACHED", True)
    assert first["moved"] + rest["moved"] == len(dlq.parked.moved) == 93


def test_what_the_queue_does_not_take_stays() -> None:
    # Given that SQS refuses some of the messages
    dlq = Dlq([parked(n) for n in range(20)])
    dlq.parked.refuses = lambda message: message.message_id in {"message-3", "message-12"}
    # When all are moved
    report = dlq.run(dryRun=False)
    # Then they wait where they were, and the report does not say that all is done
    assert (report["moved"], report["refused"], report["left"], report["complete"]) == (18, 2, 2, False)
    assert {message.message_id for message in dlq.parked.visible} == {"message-3", "message-12"}


def test_a_queue_that_takes_nothing_ends_the_run() -> None:
    # Given that SQS takes no message
    dlq = Dlq([parked(n) for n in range(50)])
    dlq.parked.refuses = lambda _message: True
    # When all are to move / Then the first batch is enough to know
    report = dlq.run(dryRun=False)
    assert (report["end"], report["examined"], report["moved"]) == ("AWS_UNAVAILABLE", 10, 0)
    assert len(dlq.parked.visible) == 50


def test_a_fault_while_reading_puts_back_what_was_seen() -> None:
    # Given that SQS fails at the third receive
    dlq = Dlq(two_codes())
    dlq.parked.answers = iter([ANSWERED, ANSWERED, AwsCallError("SQS receive: ServiceUnavailable")])
    # When messages are moved
    report = dlq.run(errorCode="MENDED", dryRun=False)
    # Then it tells how far it came, how to go on, and hides nothing
    assert (report["end"], report["complete"], report["moved"]) == ("AWS_UNAVAILABLE", False, 10)
    assert report["continuation"]["errorCode"] == ["MENDED"]
    assert len(dlq.parked.visible) == 50


def test_one_empty_answer_is_not_the_end() -> None:
    # Given that SQS answers once as if there were nothing
    dlq = Dlq(two_codes())
    dlq.parked.answers = iter([ANSWERED, EMPTY, ANSWERED, EMPTY, ANSWERED])
    # When they are counted / Then all are
    assert dlq.run()["examined"] == 60


def test_no_more_are_hidden_than_sqs_can_hide(monkeypatch: pytest.MonkeyPatch) -> None:
    # Given more messages than may be hidden at once
    monkeypatch.setattr("responsys_activation.replay.run._MOST_HIDDEN", 40)
    dlq = Dlq([parked(n) for n in range(100)])
    # When they are counted / Then the run ends there and says that it has not seen all
    report = dlq.run()
    assert (report["end"], report["examined"], report["complete"]) == ("TOO_MANY_HIDDEN", 40, False)


def test_looking_at_throttled_messages_never_drives_them_to_the_rejected_ones() -> None:
    # Given ThrottledDLQ, whose messages SQS moves at their sixth receive
    dlq = Dlq([parked(n, "TIMEOUT") for n in range(10)])
    # When somebody looks again and again
    reports = [dlq.run(source="throttled") for _ in range(4)]
    # Then the fourth look says that it is enough, and two receives are left
    assert [report["end"] for report in reports] == ["QUEUE_SEEN"] * 3 + ["RECEIVED_TOO_OFTEN"]
    assert {message.receive_count for message in dlq.parked.waiting} == {4}
    # And moving them is still possible, which begins a new count
    assert dlq.run(source="throttled", dryRun=False)["moved"] == 10


def test_two_replays_at_once_move_each_message_once() -> None:
    # Given 200 messages, and a second replay that begins while the first moves its first batch
    dlq = Dlq([parked(n) for n in range(200)])
    second: list[dict[str, Any]] = []

    def begin_second(_moved: Sequence[ParkedMessage]) -> None:
        dlq.parked.on_move = lambda _moved: None
        second.append(dlq.run(dryRun=False, limit=95))

    dlq.parked.on_move = begin_second
    # When both are done
    first = dlq.run(dryRun=False)
    # Then they moved them all together, none twice
    assert first["moved"] + second[0]["moved"] == 200
    assert len({message.message_id for message in dlq.parked.moved}) == len(dlq.parked.moved) == 200
