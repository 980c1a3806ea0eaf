"""Where do messages wait? Sending to the dead-letter queues, and putting off the return of a received message."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from responsys_activation.aws.faults import AwsCallError, aws_call
from responsys_activation.observability import logger

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sqs.type_defs import ChangeMessageVisibilityBatchRequestEntryTypeDef as VisibilityEntry
    from mypy_boto3_sqs.type_defs import SendMessageBatchRequestEntryTypeDef as SendEntry

__all__ = ["DeadLetter", "DeadLetterQueue", "SourceQueue", "send_batches"]

_MAXIMUM_ENTRIES = 10
_MAXIMUM_BATCH_BYTES = 1_048_576
_PARALLEL_CALLS = 16


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message on its way to a dead-letter queue.

    Attributes
    ----------
    attributes : Mapping of str to str
        Message attributes; no value is empty, SQS takes none.
    delay : int
        Seconds, 0 to 900.
    group : str
        Whose it is: SQS lets nobody's messages wait behind a neighbour's. Empty: nobody knows.
    """

    body: str
    attributes: Mapping[str, str]
    delay: int = 0
    group: str = ""

    def size(self) -> int:
        """Give the bytes that SQS counts."""
        attributes = sum(len(name) + len("String") + len(value.encode()) for name, value in self.attributes.items())
        return len(self.body.encode("utf-8", "surrogatepass")) + attributes


class DeadLetterQueue:
    """A queue that messages are moved to."""

    def __init__(self, url: str, client: SQSClient, *, clock: Callable[[], float] = time.time) -> None:
        self._url = url
        self._client = client
        self._clock = clock

    def send(self, letters: Sequence[DeadLetter], until: float = math.inf) -> list[bool]:
        """Send them all, in as few calls as SQS allows.

        Parameters
        ----------
        until : float
            Epoch seconds after which no call begins.

        Returns
        -------
        list of bool
            By position: SQS has it. Where false, the message must not be deleted from where it came.
        """
        if not letters:
            return []
        safe = [False] * len(letters)
        with ThreadPoolExecutor(_PARALLEL_CALLS) as pool:
            batches = send_batches([letter.size() for letter in letters])
            for accepted in pool.map(lambda positions: self._send_batch(letters, positions, until), batches):
                for position in accepted:
                    safe[position] = True
        return safe

    def _send_batch(self, letters: Sequence[DeadLetter], positions: Sequence[int], until: float) -> list[int]:
        if self._clock() >= until:
            return []
        entries = [_entry(position, letters[position]) for position in positions]
        try:
            with aws_call(f"SQS send to {self._url}"):
                answer = self._client.send_message_batch(QueueUrl=self._url, Entries=entries)
        except AwsCallError as exc:
            logger.error("dead-letter queue did not take messages", extra={"fault": str(exc), "messages": len(entries)})
            return []
        if failed := answer.get("Failed"):
            codes = sorted({failure["Code"] for failure in failed})
            logger.error("dead-letter queue refused messages", extra={"fault": codes, "messages": len(failed)})
        return [int(entry["Id"]) for entry in answer.get("Successful", [])]


class SourceQueue:
    """A queue that messages were received from."""

    def __init__(self, url: str, client: SQSClient, *, clock: Callable[[], float] = time.time) -> None:
        self._url = url
        self._client = client
        self._clock = clock

    @property
    def name(self) -> str:
        """The queue's name, as the last part of its ARN says it."""
        return self._url.rpartition("/")[2]

    def put_off(self, delays: Sequence[tuple[str, int]], until: float = math.inf) -> None:
        """Let received messages come back after their delay instead of the queue's visibility timeout.

        A failure is only logged: the message comes back all the same, later.

        Parameters
        ----------
        delays : sequence of (receipt handle, seconds)
        until : float
            Epoch seconds after which no call begins.
        """
        chunks = [delays[start : start + _MAXIMUM_ENTRIES] for start in range(0, len(delays), _MAXIMUM_ENTRIES)]
        if chunks:
            with ThreadPoolExecutor(_PARALLEL_CALLS) as pool:
                list(pool.map(lambda chunk: self._put_off_batch(chunk, until), chunks))

    def _put_off_batch(self, delays: Sequence[tuple[str, int]], until: float) -> None:
        if self._clock() >= until:
            return
        entries: list[VisibilityEntry] = [
            {"Id": str(position), "ReceiptHandle": handle, "VisibilityTimeout": seconds}
            for position, (handle, seconds) in enumerate(delays)
        ]
        try:
            with aws_call(f"SQS change visibility on {self._url}"):
                failed = self._client.change_message_visibility_batch(QueueUrl=self._url, Entries=entries).get("Failed")
        except AwsCallError as exc:
            logger.warning("back-off not set", extra={"fault": str(exc), "messages": len(entries)})
            return
        if failed:
            codes = sorted({failure["Code"] for failure in failed})
            logger.warning("back-off not set", extra={"fault": codes, "messages": len(failed)})


def _entry(position: int, letter: DeadLetter) -> SendEntry:
    entry: SendEntry = {
        "Id": str(position),
        "MessageBody": letter.body,
        "DelaySeconds": letter.delay,
        "MessageAttributes": {
            name: {"DataType": "String", "StringValue": value} for name, value in letter.attributes.items()
        },
    }
    if letter.group:
        entry["MessageGroupId"] = letter.group
    return entry


def send_batches(sizes: Iterable[int]) -> Iterator[list[int]]:
    """Cut messages of these sizes into what one SendMessageBatch takes: 10 entries, 1 MiB; yield their positions."""
    batch: list[int] = []
    size = 0
    for position, message_size in enumerate(sizes):
        if batch and (len(batch) == _MAXIMUM_ENTRIES or size + message_size > _MAXIMUM_BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(position)
        size += message_size
    if batch:
        yield batch
