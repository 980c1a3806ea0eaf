"""Does a replay move exactly what was chosen, whatever happens on the way?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from responsys_activation.aws.faults import AwsUnavailableError
from responsys_activation.aws.parked_messages import ParkedMessage
from responsys_activation.received import read_record
from responsys_activation.replay import Replay
from responsys_activation.replay_request import read_replay_request
from tests.fakes.clock import NOW, Clock
from tests.fakes.parked import ANSWERED, EMPTY, FakeParkedMessages, attributes, parked

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


def record(message: ParkedMessage) -> dict[str, Any]:
    """Give a moved message as the function receives it: a new SQS message."""
    return {
        "messageId": "new-id",
        "receiptHandle": "",
        "body": message.body,
        "eventSourceARN": "arn:aws:sqs:eu-west-1:123456789012:segment-events",
        "attributes": {"ApproximateReceiveCount": "1", "SentTimestamp": str(int(NOW * 1000))},
        "messageAttributes": {
            name: {"stringValue": value["StringValue"]} for name, value in message.attributes.items()
        },
    }


@pytest.mark.parametrize(
    ("message", "original"),
    [
        (parked(1), "original-1"),
        (parked(1, None), "message-1"),
        (
            parked(1, attributes=attributes("API_LIMIT_EXCEEDED", "original-1", outcome="throttled", attempts="9")),
            "original-1",
        ),
    ],
    ids=["rejected", "moved by SQS", "moved by SQS from ThrottledDLQ"],
)
def test_a_moved_message_keeps_body_and_ledger_key_and_begins_a_new_life(message: ParkedMessage, original: str) -> None:
    # Given a message on RejectedDLQ
    dlq = Dlq([message])
    # When it is moved, and the function receives it
    dlq.run(dryRun=False)
    (moved,) = dlq.parked.moved
    received = read_record(record(moved), NOW)
    # Then it is known by its first id, and neither its age nor its attempts count any more
    assert (received.body, received.original_message_id) == (message.body, original)
    assert (received.attempts, received.first_received_at) == (1, NOW)
    assert {**moved.attributes, **message.attributes, "outcome": moved.attributes["outcome"]} == moved.attributes


def test_a_message_that_is_throttled_goes_on_with_its_life() -> None:
    # Given a message on ThrottledDLQ
    dlq = Dlq([parked(1, attributes=attributes("TIMEOUT", "original-1", outcome="throttled", attempts="9"))])
    # When it is moved / Then its attempts go on counting
    dlq.run(source="throttled", dryRun=False)
    (moved,) = dlq.parked.moved
    assert read_record(record(moved), NOW).attempts == 10


def test_attributes_of_a_producer_are_kept_even_where_there_is_no_room_for_ours() -> None:
    # Given a message that SQS moved, with ten attributes of its producer's, one of bytes
    own = {f"own-{n}": {"DataType": "Binary", "BinaryValue": b"\x00"} for n in range(10)}
    dlq = Dlq([parked(1, None, attributes=own)])
    # When it is moved / Then it has them all, and no more, which SQS would refuse
    dlq.run(dryRun=False)
    assert dlq.parked.moved[0].attributes == own


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
    dlq.parked.answers = iter([ANSWERED, ANSWERED, AwsUnavailableError("SQS receive: ServiceUnavailable")])
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
    monkeypatch.setattr("responsys_activation.replay._MOST_HIDDEN", 40)
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
