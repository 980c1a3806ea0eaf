"""Does the producer that a recipe shows put on the queue what the stack delivers?"""

import runpy
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws

from tests.unit.recipes import PAGES, arrives, blocks, connectors

(PAGE,) = (page for page in PAGES if page.stem == "python")


@pytest.fixture
def queue(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Any, str]]:
    """Return SQS and the queue that the producer is told of."""
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    with mock_aws():
        sqs = boto3.client("sqs")
        url = sqs.create_queue(QueueName="crm-segment-events")["QueueUrl"]
        monkeypatch.setenv("SEGMENT_EVENTS_QUEUE_URL", url)
        yield sqs, url


@pytest.fixture
def run_producer(tmp_path: Path) -> Callable[[], dict[str, Any]]:
    """Return what runs the page's code as it is printed, and gives its names."""
    (code,) = [block.text for block in blocks(PAGE) if block.kind == "producer"]
    (tmp_path / "producer.py").write_text(code)
    return lambda: runpy.run_path(str(tmp_path / "producer.py"))


def received(sqs: Any, url: str) -> list[Any]:
    messages: list[Any] = []
    while taken := sqs.receive_message(
        QueueUrl=url, MaxNumberOfMessages=10, MessageSystemAttributeNames=["MessageGroupId"]
    ).get("Messages"):
        messages += taken
    return messages


def test_the_producer_sends_each_change_once_and_each_becomes_an_event(
    queue: tuple[Any, str], run_producer: Callable[[], dict[str, Any]]
) -> None:
    # Given the code of the page / When it runs
    run_producer()
    # Then each of its changes is on the queue once, in the group of its connector
    messages = received(*queue)
    lines = sorted(arrives(message["Body"], connectors(PAGE)) for message in messages)
    assert {message["Attributes"]["MessageGroupId"] for message in messages} == {"carts"}
    # And becomes an event
    assert lines == [
        f"CART_ABANDONED for customerId cust-{number}, ADD of cust-{number}: CART_VALUE=99.9\n"
        for number in range(4711, 4736)
    ]


def test_the_producer_gives_back_what_the_queue_did_not_take(
    queue: tuple[Any, str], run_producer: Callable[[], dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given an SQS that takes all but the second message of a call
    names = run_producer()
    failed = {"Id": "1", "SenderFault": False, "Code": "InternalError"}
    monkeypatch.setattr(names["sqs"], "send_message_batch", lambda **_: {"Successful": [], "Failed": [failed]})
    # When twelve are sent
    changes = names["changes"][:12]
    left = names["send"](changes)
    # Then those two come back, as they were
    assert left == [changes[1], changes[11]]
