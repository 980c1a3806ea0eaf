"""Are queues read as Lambda's documentation says, where that is asked for?"""

from __future__ import annotations

import io
import json
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack
from types import SimpleNamespace
from typing import Any, Protocol, cast

import pytest

from tests.local_stack.aws_endpoint import AwsEndpoint
from tests.local_stack.event_source import EventSource, Mapping
from tests.local_stack.polling import DOCUMENTED, MOST_EVENT_BYTES, Batch, Polling, Readers
from tests.local_stack.repeating import eventually
from tests.local_stack.settings import read_settings

_QUEUE = "arn:aws:sqs:eu-west-1:000000000000:memberships"


# ---- the rules -------------------------------------------------------------------------------------------


def _bytes_of(message: int) -> int:
    return message


@pytest.mark.parametrize(
    ("began", "first_at", "closes_at"),
    [
        (None, 3.0, 8.0),  # without an invocation before: from the first message
        (0.0, 0.0, 5.0),
        (0.0, 3.0, 5.0),
        (0.0, 5.5, 10.0),  # nothing came in the window before
    ],
)
def test_a_window_begins_when_the_invocation_before_has_ended(
    began: float | None, first_at: float, closes_at: float
) -> None:
    # Given a batch with a window of five seconds
    batch = Batch(100, 5, _bytes_of, began=began)
    assert not batch.is_closed(1_000)

    # When its first message comes
    batch.take(deque([1]), first_at)

    # Then it closes with the window
    assert (batch.is_closed(closes_at - 0.1), batch.is_closed(closes_at)) == (False, True)


@pytest.mark.parametrize(("sizes", "taken"), [([1] * 9, 5), ([MOST_EVENT_BYTES // 2] * 3, 1), ([MOST_EVENT_BYTES], 1)])
def test_a_batch_is_full_by_number_or_by_bytes(sizes: list[int], taken: int) -> None:
    # Given more messages than a batch of five takes, or more bytes than an invocation carries
    waiting = deque(sizes)

    # When it takes what fits
    batch = Batch(5, 60, _bytes_of, began=0.0)
    batch.take(waiting, 0.0)

    # Then the rest is left; a single message is always taken
    assert (len(batch.messages), len(waiting)) == (taken, len(sizes) - taken)
    assert batch.is_closed(0.0) == (len(sizes) > taken)


def test_five_batches_gather_at_first_and_more_as_long_as_messages_wait() -> None:
    # Given a queue that no more than eight may read
    readers = Readers(DOCUMENTED, 8)
    assert readers.allowed(0.0) == 5

    # When receives come back full
    readers.learn(0.0, more_wait=True)
    readers.learn(0.3, more_wait=True)

    # Then it is five more each second, up to those eight
    assert [readers.allowed(now) for now in (0.0, 0.5, 60.0)] == [5, 7, 8]

    # And five again where messages are few
    readers.learn(60.0, more_wait=False)
    assert readers.allowed(60.0) == 5


def test_the_local_stack_polls_fast_unless_asked() -> None:
    assert read_settings({}).polling is None
    assert read_settings({"POLLING": "documented"}).polling == DOCUMENTED


# ---- in real time ----------------------------------------------------------------------------------------


class _Aws:
    """A queue and a function."""

    def __init__(self) -> None:
        self._waiting: deque[str] = deque()
        self._lock = threading.Lock()
        self.given: list[tuple[float, int]] = []  # when, and how many messages
        self.receives_at: list[float] = []
        self.receivers: set[int] = set()
        self.sqs = SimpleNamespace(
            get_queue_url=lambda QueueName: {"QueueUrl": QueueName},  # noqa: N803
            receive_message=self._receive,
            delete_message_batch=lambda **_: {},
        )
        self.lambda_ = SimpleNamespace(invoke=self._invoke)
        self.region = "eu-west-1"

    def send(self, count: int) -> float:
        self._waiting.extend(["body"] * count)
        return time.monotonic()

    def _receive(self, *, MaxNumberOfMessages: int, **_: Any) -> dict[str, Any]:  # noqa: N803
        with self._lock:
            self.receives_at.append(time.monotonic())
            self.receivers.add(threading.get_ident())
            bodies = [self._waiting.popleft() for _ in range(min(MaxNumberOfMessages, len(self._waiting)))]
        return {
            "Messages": [
                {
                    "MessageId": f"{id(self)}-{number}",
                    "ReceiptHandle": "handle",
                    "Body": body,
                    "MD5OfBody": "",
                    "Attributes": {"SentTimestamp": "0"},
                }
                for number, body in enumerate(bodies)
            ]
        }

    def _invoke(self, *, Payload: bytes, **_: Any) -> dict[str, Any]:  # noqa: N803
        self.given.append((time.monotonic(), len(json.loads(Payload)["Records"])))
        return {"Payload": io.BytesIO(b'{"batchItemFailures": []}')}


class _Serve(Protocol):
    def __call__(self, polling: Polling | None, concurrency: int, window: float = 0.4) -> tuple[_Aws, EventSource]: ...


@pytest.fixture
def serve() -> Iterator[_Serve]:
    with ExitStack() as stopping:

        def start(polling: Polling | None, concurrency: int, window: float = 0.4) -> tuple[_Aws, EventSource]:
            aws = _Aws()
            mapping = Mapping(_QUEUE, "function", 1_000, window, concurrency, reports_item_failures=True)
            source = EventSource(cast("AwsEndpoint", aws), mapping, polling)
            source.start()
            stopping.callback(source.stop)
            return aws, source

        yield start


@pytest.mark.parametrize(("polling", "least", "most"), [(None, 0.4, 0.9), (Polling(longest_poll=1.2), 1.2, 2.0)])
def test_a_lone_message_waits_for_the_window_or_for_the_long_poll(
    serve: _Serve,
    polling: Polling | None,
    least: float,
    most: float,
) -> None:
    # Given a queue that was empty for a moment
    aws, _ = serve(polling, 1)
    time.sleep(0.1)

    # When one message comes
    sent_at = aws.send(1)

    # Then the function gets it after the window, or as Lambda: when the poll after it has ended
    assert eventually(lambda: bool(aws.given))
    given_at, count = aws.given[0]
    assert count == 1
    assert least <= given_at - sent_at + 0.05 <= most


def test_a_message_late_in_a_window_waits_for_the_rest_of_it_only(serve: _Serve) -> None:
    # Given a window of two seconds that began a while ago, as the function had nothing to do
    aws, _ = serve(Polling(longest_poll=0.1), 1, window=2.0)
    time.sleep(1.2)

    # When a message comes
    sent_at = aws.send(1)

    # Then it does not begin a window of its own
    assert eventually(lambda: bool(aws.given))
    assert aws.given[0][0] - sent_at < 1.7


def test_five_gather_at_first_however_many_may(serve: _Serve) -> None:
    # Given a queue that is empty / When eight may read it
    aws, _ = serve(DOCUMENTED, 8, window=30.0)
    assert eventually(lambda: len(aws.receivers) == 5)
    time.sleep(0.2)

    # Then five do
    assert len(aws.receivers) == 5


def test_a_slot_gathers_at_its_rate_beside_the_others(
    serve: _Serve,
) -> None:
    # Given two slots with twenty receives a second each
    aws, source = serve(Polling(receives_a_second=20, longest_poll=0.1), 2)

    # When many messages wait
    with_all = aws.send(2_000)
    assert eventually(lambda: len(aws.given) >= 2)
    source.pause()

    # Then both gathered a window's worth at the same time, and no more
    (first_at, first), (second_at, second) = aws.given[:2]
    assert 10 <= min(first, second) <= max(first, second) <= 100
    assert max(first_at, second_at) - with_all < 0.8


def test_nothing_is_received_after_a_pause(
    serve: _Serve,
) -> None:
    # Given slots that wait for messages
    aws, source = serve(Polling(longest_poll=30), 2)
    assert eventually(lambda: bool(aws.receives_at))

    # When the source is paused, and a message comes
    source.pause()
    receives = len(aws.receives_at)
    aws.send(1)
    time.sleep(0.2)

    # Then nobody asks for it before the source goes on
    assert (len(aws.receives_at), aws.given) == (receives, [])
    source.resume()
    assert eventually(lambda: len(aws.receives_at) > receives)
