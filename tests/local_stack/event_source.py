"""How does a function get the messages of a queue, in batches as AWS gathers them?

The emulator's own mapping hands over 10 messages at most, knows no window, and takes a malformed answer for
success; real Lambda hands over up to 10,000 within the window and 6 MB, and this project lives from full
batches. So the deployed mapping is switched off locally and served here, over public APIs alone: receive,
invoke, delete. Batch size, window, concurrency and response type are read from the deployed mapping.

Standard queues only. A batch gathers only while an invocation may start, as messages that wait here would
use up their visibility time-out. Unless told to poll as Lambda does, batches gather one after the other and as
fast as the emulated SQS can: it hands over so few messages that batches gathered at once would be small.
"""

import json
import logging
import threading
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain
from operator import attrgetter
from typing import TYPE_CHECKING, TypeAlias

from botocore.exceptions import BotoCoreError, ClientError

from tests.local_stack.aws_endpoint import AwsEndpoint
from tests.local_stack.batch_response import failed_message_ids
from tests.local_stack.polling import MESSAGES_A_RECEIVE, Batch, Polling, Readers
from tests.local_stack.sqs_record import ReceivedMessage

if TYPE_CHECKING:
    from mypy_boto3_lambda.type_defs import EventSourceMappingConfigurationTypeDef

_logger = logging.getLogger(__name__)

# Without MaximumConcurrency, AWS begins with five.
_DEFAULT_CONCURRENCY = 5
_RECEIVES_AT_ONCE = 8
# The long poll bounds how long stopping and pausing take.
_LONGEST_POLL = 1.0
_SHORTEST_WAIT = 0.05

_Batch: TypeAlias = Batch[ReceivedMessage]


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


class EventSource:
    """Serves one mapping in threads of its own, from `start` until `stop`.

    Parameters
    ----------
    endpoint
        The emulated AWS.
    mapping
        The deployed mapping.
    polling
        How Lambda polls; when absent, as fast as can be, one batch after the other.
    """

    def __init__(self, endpoint: AwsEndpoint, mapping: Mapping, polling: Polling | None = None) -> None:
        self.mapping = mapping
        self._endpoint = endpoint
        self._polling = polling
        queue_name = mapping.queue_arn.rpartition(":")[2]
        self._queue_url = endpoint.sqs.get_queue_url(QueueName=queue_name)["QueueUrl"]
        self._stopping = threading.Event()
        self._running = threading.Event()
        self._running.set()
        most = mapping.maximum_concurrency
        self._readers = Readers(polling or Polling(first=most), most)
        # Guards the numbers of batches that gather, and that gather or are given to the function.
        self._changed = threading.Condition()
        self._gathering = 0
        self._at_work = 0
        self._receivers = ThreadPoolExecutor(_RECEIVES_AT_ONCE, thread_name_prefix="receive")
        self._invokers = ThreadPoolExecutor(most, thread_name_prefix="invoke")
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
        with self._changed:
            self._changed.wait_for(lambda: not self._gathering)

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
            if self._begin():
                self._running.wait()
                self._invokers.submit(self._serve, None if self._polling else self._gathered())

    def _begin(self) -> bool:
        """Wait a moment until one more batch may gather."""
        with self._changed:
            may = self._changed.wait_for(
                lambda: self._at_work < self._readers.allowed(time.monotonic()), timeout=_SHORTEST_WAIT
            )
            self._at_work += may
        return may

    def _serve(self, batch: _Batch | None) -> None:
        """Gather a batch, unless that is done, and give it to the function."""
        try:
            batch = batch or self._gathered()
            if batch.messages:
                self._invoke_and_settle(batch)
        except Exception:
            # What was not deleted becomes visible again, as on AWS.
            _logger.exception("a batch was not settled")
        finally:
            with self._changed:
                self._at_work -= 1
                self._changed.notify_all()

    def _gathered(self) -> _Batch:
        waiting: deque[ReceivedMessage] = deque()
        with self._changed:
            self._gathering += 1
            waiting, self._left_over = self._left_over, waiting
        began = time.monotonic() if self._polling else None
        batch = _Batch(self.mapping.batch_size, self.mapping.window_seconds, attrgetter("size"), began=began)
        try:
            batch.take(waiting, time.monotonic())
            while not (batch.is_closed(time.monotonic()) or self._stopping.is_set()):
                if not batch.messages and not self._running.is_set():
                    break
                waiting.extend(self._received(batch))
                batch.take(waiting, time.monotonic())
        finally:
            with self._changed:
                self._left_over.extend(waiting)
                self._gathering -= 1
                self._changed.notify_all()
        return batch

    def _received(self, batch: _Batch) -> Sequence[ReceivedMessage]:
        if self._polling:
            return self._received_as_lambda(self._polling, batch)
        return self._received_fast(batch)

    def _received_as_lambda(self, polling: Polling, batch: _Batch) -> Sequence[ReceivedMessage]:
        """Receive once, as patiently as Lambda even where the window closes, and no more often."""
        began = time.monotonic()
        asked = min(batch.room, MESSAGES_A_RECEIVE)
        received: Sequence[ReceivedMessage] = []
        while not received and (patience := began + polling.longest_poll - time.monotonic()) > 0:
            if self._stopping.is_set() or not (batch.messages or self._running.is_set()):
                break
            received = self._poll(asked, min(patience, _LONGEST_POLL))
        self._readers.learn(time.monotonic(), more_wait=len(received) == asked)
        self._stopping.wait(max(0.0, began + 1 / polling.receives_a_second - time.monotonic()))
        return received

    def _received_fast(self, batch: _Batch) -> Sequence[ReceivedMessage]:
        """Receive once, patiently; and while that was a full answer, with many at once."""
        received = self._poll(
            min(batch.room, MESSAGES_A_RECEIVE), min(batch.closes_at - time.monotonic(), _LONGEST_POLL)
        )
        if len(received) < MESSAGES_A_RECEIVE or self.mapping.window_seconds == 0:
            return received
        rest = batch.room - len(received)
        counts = [min(MESSAGES_A_RECEIVE, rest - start) for start in range(0, rest, MESSAGES_A_RECEIVE)]
        more = self._receivers.map(lambda count: self._receive(count, 0), counts[:_RECEIVES_AT_ONCE])
        return [*received, *chain.from_iterable(more)]

    def _poll(self, count: int, patience: float) -> list[ReceivedMessage]:
        received = self._receive(count, patience)
        if not received and patience < _LONGEST_POLL:
            # SQS waits whole seconds only.
            self._stopping.wait(min(patience, _SHORTEST_WAIT))
        return received

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
        for start in range(0, len(messages), MESSAGES_A_RECEIVE):
            chunk = messages[start : start + MESSAGES_A_RECEIVE]
            self._endpoint.sqs.delete_message_batch(
                QueueUrl=self._queue_url,
                Entries=[
                    {"Id": str(index), "ReceiptHandle": message.receipt_handle} for index, message in enumerate(chunk)
                ],
            )
            for message in chunk:
                self._unsettled.pop(message.message_id, None)
