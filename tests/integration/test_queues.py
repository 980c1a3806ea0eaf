"""Do dead letters leave their queue whole and once, against an SQS that answers, refuses and fails?"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from responsys_activation.aws.faults import CLIENT_CONFIG, AwsCallError
from responsys_activation.aws.queues import ParkedMessage, ParkedMessages

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

ATTRIBUTES: dict[str, Any] = {
    "errorCode": {"DataType": "String", "StringValue": "NO_RECIPIENT_FOUND"},
    "bytes": {"DataType": "Binary", "BinaryValue": b"\x00\xff"},
    "number": {"DataType": "Number.int", "StringValue": "7"},
}
BODY = '{"name": "Zoë \\u0000", "spaces":   1}\n'


@pytest.fixture
def sqs() -> Iterator[SQSClient]:
    with mock_aws():
        yield boto3.client("sqs", config=CLIENT_CONFIG)


@pytest.fixture
def destination(sqs: SQSClient) -> str:
    return sqs.create_queue(QueueName="segment-events")["QueueUrl"]


@pytest.fixture
def dlq(sqs: SQSClient) -> str:
    url = sqs.create_queue(QueueName="rejected-dlq")["QueueUrl"]
    for number in range(3):
        sqs.send_message(QueueUrl=url, MessageBody=f"{number}{BODY}", MessageAttributes=ATTRIBUTES)
    return url


def on_queue(sqs: SQSClient, url: str) -> list[tuple[str, Any]]:
    messages = sqs.receive_message(
        QueueUrl=url, MaxNumberOfMessages=10, MessageAttributeNames=["All"], VisibilityTimeout=0
    ).get("Messages", [])
    return sorted((message["Body"], message.get("MessageAttributes", {})) for message in messages)


def replace_answer(
    sqs: SQSClient, operation: str, answer: Callable[[dict[str, Any]], dict[str, Any]]
) -> list[dict[str, Any]]:
    """Let SQS answer an operation so, without doing it; return the list of calls that it gets."""
    calls: list[dict[str, Any]] = []

    def call(**parameters: Any) -> dict[str, Any]:
        calls.append(parameters)
        return answer(parameters)

    setattr(sqs, operation, call)
    return calls


def unavailable(_parameters: dict[str, Any]) -> dict[str, Any]:
    raise ClientError({"Error": {"Code": "ServiceUnavailable", "Message": ""}}, "Operation")


def refusing(entry_id: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
    def answer(parameters: dict[str, Any]) -> dict[str, Any]:
        entries = [entry["Id"] for entry in parameters["Entries"]]
        return {
            "Successful": [{"Id": each} for each in entries if each != entry_id],
            "Failed": [{"Id": each, "Code": "InternalError"} for each in entries if each == entry_id],
        }

    return answer


def test_a_message_is_received_with_all_that_is_kept_of_it_and_hidden(sqs: SQSClient, dlq: str) -> None:
    # Given three messages / When they are received
    messages = ParkedMessages(dlq, sqs).receive(60)
    # Then they are complete, and nobody else gets them
    assert {(message.body, message.receive_count) for message in messages} == {(f"{n}{BODY}", 1) for n in range(3)}
    assert messages[0].attribute("errorCode") == "NO_RECIPIENT_FOUND"
    assert messages[0].attribute("absent") == ""
    assert messages[0].sent_at > 0
    assert on_queue(sqs, dlq) == []


def test_put_back_messages_are_seen_at_once(sqs: SQSClient, dlq: str) -> None:
    # Given received messages
    before = on_queue(sqs, dlq)
    parked = ParkedMessages(dlq, sqs)
    messages = parked.receive(60)
    # When they are put back / Then they are there, unchanged
    parked.put_back([message.receipt_handle for message in messages])
    assert on_queue(sqs, dlq) == before


def test_a_moved_message_is_the_same_byte_for_byte(sqs: SQSClient, dlq: str, destination: str) -> None:
    # Given three messages with attributes of each type
    before = on_queue(sqs, dlq)
    parked = ParkedMessages(dlq, sqs)
    # When they are moved / Then the other queue has them so, and this one no more
    assert parked.move(parked.receive(60), destination) == [True] * 3
    assert on_queue(sqs, destination) == before
    assert parked.receive(0) == []


def text(value: str) -> dict[str, Any]:
    return {"DataType": "String", "StringValue": value}


def test_attributes_of_ours_replace_those_of_their_name_and_leave_the_others(sqs: SQSClient, dlq: str) -> None:
    # Given a received message / When it gets attributes, one of which it has
    message = ParkedMessages(dlq, sqs).receive(60)[0]
    changed = message.with_texts({"errorCode": "X", "outcome": "rejected"})
    # Then it has them, and is the same message otherwise
    assert changed.attributes == ATTRIBUTES | {"errorCode": text("X"), "outcome": text("rejected")}
    assert (changed.body, changed.receipt_handle) == (message.body, message.receipt_handle)


def test_where_sqs_takes_no_more_attributes_the_producers_give_way(sqs: SQSClient, dlq: str, destination: str) -> None:
    # Given a message with as many attributes as SQS takes, those of an earlier life last
    own = {f"own-{n}": text("x") for n in range(7)}
    earlier = {"errorCode": text("X"), "attempts": text("2"), "originalMessageId": text("1")}
    parked = ParkedMessages(dlq, sqs)
    message = replace(parked.receive(60)[0], attributes=own | earlier)
    # When it gets three, one of which it has, and is moved
    changed = message.with_texts({"originalMessageId": "2", "outcome": "rejected", "responsysActivation": "{}"})
    assert parked.move([changed], destination) == [True]
    # Then ours are all there, and of the others as many as there is room for
    ((_, moved),) = on_queue(sqs, destination)
    assert len(moved) == 10
    assert {name: value["StringValue"] for name, value in moved.items() if name not in own} == {
        "errorCode": "X",
        "attempts": "2",
        "originalMessageId": "2",
        "outcome": "rejected",
        "responsysActivation": "{}",
    }


def received(sqs: SQSClient, dlq: str) -> tuple[ParkedMessages, list[ParkedMessage]]:
    parked = ParkedMessages(dlq, sqs)
    return parked, parked.receive(0)


def test_what_is_refused_alone_is_not_deleted(sqs: SQSClient, dlq: str, destination: str) -> None:
    # Given that SQS refuses the second of a batch
    parked, messages = received(sqs, dlq)
    replace_answer(sqs, "send_message_batch", refusing("1"))
    # When they are moved / Then only the others are gone
    assert parked.move(messages, destination) == [True, False, True]
    assert [body for body, _ in on_queue(sqs, dlq)] == [messages[1].body]


def test_nothing_is_deleted_when_sending_fails(sqs: SQSClient, dlq: str, destination: str) -> None:
    # Given a queue that does not answer
    parked, messages = received(sqs, dlq)
    replace_answer(sqs, "send_message_batch", unavailable)
    # When messages are moved / Then all stay
    assert parked.move(messages, destination) == [False] * 3
    assert len(on_queue(sqs, dlq)) == 3


def test_a_deletion_that_fails_alone_is_tried_again_alone(sqs: SQSClient, dlq: str, destination: str) -> None:
    # Given that SQS deletes all but the second
    parked, messages = received(sqs, dlq)
    calls = replace_answer(sqs, "delete_message_batch", refusing("1"))
    # When they are moved / Then that one alone is tried again
    assert parked.move(messages, destination) == [True] * 3
    handles = [[entry["ReceiptHandle"] for entry in call["Entries"]] for call in calls]
    assert handles == [[message.receipt_handle for message in messages], [messages[1].receipt_handle]]


def test_a_deletion_that_fails_for_good_is_told(
    sqs: SQSClient, dlq: str, destination: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given that SQS deletes nothing
    told: list[dict[str, Any]] = []
    monkeypatch.setattr("responsys_activation.aws.queues.logger.error", lambda _text, extra: told.append(extra))
    parked, messages = received(sqs, dlq)
    calls = replace_answer(sqs, "delete_message_batch", unavailable)
    # When messages are moved / Then they have moved all the same; three attempts were made, and the log has the number
    assert parked.move(messages, destination) == [True] * 3
    assert len(calls) == 3
    assert told == [{"messages": 3}]


def test_large_messages_are_sent_in_calls_that_sqs_takes(sqs: SQSClient, dlq: str, destination: str) -> None:
    # Given messages of which only two fit a call
    parked, messages = received(sqs, dlq)
    large = [
        ParkedMessage(str(n), f"handle-{n}", "x" * 500_000, ATTRIBUTES, message.sent_at, 1)
        for n, message in enumerate(messages)
    ]
    calls = replace_answer(sqs, "send_message_batch", refusing("none"))
    # When they are moved / Then two calls are made
    parked.move(large, destination)
    assert [len(call["Entries"]) for call in calls] == [2, 1]


def test_a_queue_that_does_not_answer_is_a_fault(sqs: SQSClient, dlq: str) -> None:
    # Given a queue that does not answer / When it is read / Then the fault names it
    replace_answer(sqs, "receive_message", unavailable)
    with pytest.raises(AwsCallError, match="rejected-dlq"):
        ParkedMessages(dlq, sqs).receive(60)
