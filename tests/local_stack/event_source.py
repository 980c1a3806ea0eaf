"""How does a function get the messages of a queue, in batches as AWS gathers them?

The emulator's own mapping hands over 10 messages at most, knows no window, and takes a malformed answer for
success; real Lambda hands over up to 10,000 within the window and 6 MB, and this project lives from full
batches. So the deployed mapping is switched off locally and served here, over public APIs alone: receive,
invoke, delete. Batch size, window, concurrency and response type are read from the deployed mapping.

Standard queues only. A batch gathers only while an invocation may start, as messages that wait here would
use up their visibility time-out.
"""

import json
import logging
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from tests.local_stack.aws_endpoint import AwsEndpoint
from tests.local_stack.batch_response import failed_message_ids
from tests.local_stack.sqs_record import ReceivedMessage

if TYPE_CHECKING:
    from mypy_boto3_lambda.type_defs import EventSourceMappingConfigurationTypeDef

_logger = logging.getLogger(__name__)

# The most that Lambda puts into one invocation.
_LARGEST_EVENT = 6 * 1024 * 1024
_EVENT_ENVELOPE = len('{"Records": []}')
# Without MaximumConcurrency, AWS begins with five.
_DEFAULT_CONCURRENCY = 5
_MOST_A_RECEIVE = 10
_RECEIVES_AT_ONCE = 8
# The long poll bounds how long stopping and pausing take.
_LONGEST_POLL = 1.0
_SHORTEST_WAIT = 0.05


@dataclass(frozen=True)
class Mapping:
    """An event source mapping as it is deployed."""

    queue_arn: str
    function_arn: str
    batch_size: int
    window_seconds: float
    maximum_concurrency: int
    reports_item_failures: bool

    @classmethod
    def from_configuration(cls, configuration: "EventSourceMappingConfigurationTypeDef") -> "Mapping":
        """Read what ListEventSourceMappings tells."""
        scaling = configuration.get("ScalingConfig", {})
        return cls(
            queue_arn=configuration["EventSourceArn"],
            function_arn=configuration["FunctionArn"],
            batch_size=configuration["BatchSize"],
            window_seconds=configuration.get("MaximumBatchingWindowInSeconds", 0),
            maximum_concurrency=scaling.get("MaximumConcurrency", _DEFAULT_CONCURRENCY),
            reports_item_failures="ReportBatchItemFailures" in configuration.get("FunctionResponseTypes", []),
        )


def deployed_mappings(endpoint: AwsEndpoint) -> list[Mapping]:
    """Return the event source mappings of every queue."""
    pages = endpoint.lambda_.get_paginator("list_event_source_mappings").paginate()
    return [
        Mapping.from_configuration(configuration)
        for page in pages
        for configuration in page["EventSourceMappings"]
        if ":sqs:" in configuration["EventSourceArn"]
    ]


@dataclass
class _Batch:
    """Messages that one invocation will get, and when gathering ends."""

    mapping: Mapping
    messages: list[ReceivedMessage] = field(default_factory=list)
    size: int = _EVENT_ENVELOPE
    closes_at: float = float("inf")
    is_closed: bool = False

    def take(self, waiting: deque[ReceivedMessage]) -> None:
        """Take messages while they fit; the window begins with the first."""
        while waiting and not self.is_closed:
            if self.size + waiting[0].size > _LARGEST_EVENT and self.messages:
                self.is_closed = True
                return
            message = waiting.popleft()
            if not self.messages:
                self.closes_at = time.monotonic() + self.mapping.window_seconds
            self.messages.append(message)
            self.size += message.size
            self.is_closed = len(self.messages) >= self.mapping.batch_size

    @property
    def room(self) -> int:
        """How many more messages it may take."""
        return self.mapping.batch_size - len(self.messages)

    @property
    def seconds_left(self) -> float:
        """Time until its window closes."""
        return self.closes_at - time.monotonic()


class EventSource:
    """Serves one mapping in threads of its own, from `start` until `stop`.

    Parameters
    ----------
    endpoint
        The emulated AWS.
    mapping
        The deployed mapping.
    """

    def __init__(self, endpoint: AwsEndpoint, mapping: Mapping) -> None:
        self.mapping = mapping
        self._endpoint = endpoint
        queue_name = mapping.queue_arn.rpartition(":")[2]
        self._queue_url = endpoint.sqs.get_queue_url(QueueName=queue_name)["QueueUrl"]
        self._stopping = threading.Event()
        self._running = threading.Event()
        self._running.set()
        self._gathering = threading.Lock()
        self._slots = threading.Semaphore(mapping.maximum_concurrency)
        self._receivers = ThreadPoolExecutor(_RECEIVES_AT_ONCE, thread_name_prefix="receive")
        self._invokers = ThreadPoolExecutor(mapping.maximum_concurrency, thread_name_prefix="invoke")
        # Received for a batch that had no room for their size left: the next batch begins with them.
        self._left_over: deque[ReceivedMessage] = deque()
        self._unsettled: dict[str, int] = {}
        self._thread = threading.Thread(target=self._run, name=f"event-source-{queue_name}")

    def start(self) -> None:
        """Begin to poll."""
        self._thread.start()

    def begin_to_stop(self) -> None:
        """Receive no more."""
        self._stopping.set()
        self._running.set()

    def stop(self) -> None:
        """End polling, and wait for the invocations that run."""
        self.begin_to_stop()
        self._thread.join()
        self._receivers.shutdown()
        self._invokers.shutdown()

    def begin_to_pause(self) -> None:
        """Receive nothing until `resume`, once what gathers now is given to the function."""
        self._running.clear()

    def pause(self) -> None:
        """Receive nothing until `resume`; a batch that gathers now is still given to the function."""
        self.begin_to_pause()
        with self._gathering:
            pass

    def resume(self) -> None:
        """Poll again."""
        self._running.set()

    @property
    def oldest_sent_ms(self) -> int | None:
        """When the oldest message that was received and is not yet deleted was sent."""
        return min(list(self._unsettled.values()), default=None)

    def forget_unsettled(self) -> None:
        """Drop what is known of received messages, because the queue holds none any more."""
        self._unsettled.clear()

    def _run(self) -> None:
        while not self._stopping.is_set():
            if not self._slots.acquire(timeout=_LONGEST_POLL):
                continue
            self._running.wait()
            batch = self._gathered()
            if batch.messages:
                self._invokers.submit(self._invoke_and_settle, batch).add_done_callback(self._finished)
            else:
                self._slots.release()

    def _finished(self, settled: Future[None]) -> None:
        self._slots.release()
        if (exc := settled.exception()) is not None:
            # What was not deleted becomes visible again, as on AWS.
            _logger.error("a batch was not settled", exc_info=exc)

    def _gathered(self) -> _Batch:
        batch = _Batch(self.mapping)
        with self._gathering:
            batch.take(self._left_over)
            while not (batch.is_closed or batch.seconds_left <= 0 or self._stopping.is_set()):
                if not batch.messages and not self._running.is_set():
                    break
                waiting = deque(self._received(batch))
                batch.take(waiting)
                self._left_over.extend(waiting)
        return batch

    def _received(self, batch: _Batch) -> Iterator[ReceivedMessage]:
        """Receive once, patiently; and while that was a full answer, with many at once."""
        patience = min(batch.seconds_left, _LONGEST_POLL)
        first = self._receive(min(batch.room, _MOST_A_RECEIVE), patience)
        yield from first
        if not first and patience < _LONGEST_POLL:
            # SQS waits whole seconds only.
            self._stopping.wait(min(patience, _SHORTEST_WAIT))
        if len(first) < _MOST_A_RECEIVE or self.mapping.window_seconds == 0:
            return
        rest = batch.room - len(first)
        counts = [min(_MOST_A_RECEIVE, rest - start) for start in range(0, rest, _MOST_A_RECEIVE)]
        for messages in self._receivers.map(lambda count: self._receive(count, 0), counts[:_RECEIVES_AT_ONCE]):
            yield from messages

    def _receive(self, count: int, wait_seconds: float) -> list[ReceivedMessage]:
        try:
            answer = self._endpoint.sqs.receive_message(
                QueueUrl=self._queue_url,
                MaxNumberOfMessages=count,
                WaitTimeSeconds=max(0, int(wait_seconds)),
                MessageSystemAttributeNames=["All"],
                MessageAttributeNames=["All"],
            )
        except (BotoCoreError, ClientError):
            _logger.exception("receiving failed")
            self._stopping.wait(_LONGEST_POLL)
            return []
        received = [
            ReceivedMessage(message, self.mapping.queue_arn, self._endpoint.region)
            for message in answer.get("Messages", [])
        ]
        self._unsettled.update({message.message_id: message.sent_timestamp_ms for message in received})
        return received

    def _invoke_and_settle(self, batch: _Batch) -> None:
        failed = self._failed(batch)
        self._delete([message for message in batch.messages if message.message_id not in failed])

    def _failed(self, batch: _Batch) -> set[str]:
        ids = {message.message_id for message in batch.messages}
        event = {"Records": [message.record for message in batch.messages]}
        answer = self._endpoint.lambda_.invoke(
            FunctionName=self.mapping.function_arn, Payload=json.dumps(event, ensure_ascii=False).encode()
        )
        payload = answer["Payload"].read()
        if "FunctionError" in answer:
            return ids
        return failed_message_ids(payload, ids) if self.mapping.reports_item_failures else set()

    def _delete(self, messages: Sequence[ReceivedMessage]) -> None:
        for start in range(0, len(messages), _MOST_A_RECEIVE):
            chunk = messages[start : start + _MOST_A_RECEIVE]
            self._endpoint.sqs.delete_message_batch(
                QueueUrl=self._queue_url,
                Entries=[
                    {"Id": str(index), "ReceiptHandle": message.receipt_handle} for index, message in enumerate(chunk)
                ],
            )
            for message in chunk:
                self._unsettled.pop(message.message_id, None)
