"""Where do messages wait? Queues that they are received from, put off on, or moved to.

SQS can neither filter nor peek: what waits on a dead-letter queue is received, and so hidden from everybody else for a
while, then moved or put back.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, Any

from responsys_activation.aws.faults import AwsCallError, aws_call
from responsys_activation.observability import logger
from responsys_activation.received import LIFE_ATTRIBUTES

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sqs.type_defs import ChangeMessageVisibilityBatchRequestEntryTypeDef as VisibilityEntry
    from mypy_boto3_sqs.type_defs import MessageTypeDef
    from mypy_boto3_sqs.type_defs import SendMessageBatchRequestEntryTypeDef as SendEntry

__all__ = [
    "LARGEST_MESSAGE",
    "DeadLetter",
    "DeadLetterQueue",
    "ParkedMessage",
    "ParkedMessages",
    "SourceQueue",
    "UpstreamQueue",
]

# Bytes that SegmentEventsQueue takes, as the template says: a copy on a dead-letter queue has room for its attributes.
LARGEST_MESSAGE = 1_032_192

_MAXIMUM_ENTRIES = 10  # of one call
_MAXIMUM_BATCH_BYTES = 1_048_576
_PARALLEL_CALLS = 16
# A poll that waits asks all of SQS's servers; one that does not may miss the few messages that are left.
_POLL_SECONDS = 1
_DELETE_ATTEMPTS = 3
_MOST_ATTRIBUTES = 10


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

    def entry(self, position: int) -> SendEntry:
        """Write it as SQS takes it."""
        entry: SendEntry = {
            "Id": str(position),
            "MessageBody": self.body,
            "DelaySeconds": self.delay,
            "MessageAttributes": {
                name: {"DataType": "String", "StringValue": value} for name, value in self.attributes.items()
            },
        }
        if self.group:
            entry["MessageGroupId"] = self.group
        return entry


class DeadLetterQueue:
    """A queue that messages are moved to."""

    def __init__(self, url: str, client: SQSClient, *, clock: Callable[[], float] = time.time) -> None:
        self._url = url
        self._client = client
        self._clock = clock

    def send(self, letters: Iterable[DeadLetter], until: float = math.inf) -> set[int]:
        """Send them all, in as few calls as SQS allows.

        Parameters
        ----------
        letters : iterable of DeadLetter
            Asked for when there is a call to take them: no more are in memory than the calls under way hold.
        until : float
            Epoch seconds after which no call begins.

        Returns
        -------
        set of int
            Positions that SQS has. What is not among them must not be deleted from where it came.
        """
        entries = (letter.entry(position) for position, letter in enumerate(letters))
        return _send_all(
            self._client,
            self._url,
            entries,
            until=until,
            clock=self._clock,
            untaken="dead-letter queue did not take messages",
            refused="dead-letter queue refused messages",
        )


class UpstreamQueue:
    """The queue that new messages are put on."""

    def __init__(self, url: str, client: SQSClient, *, clock: Callable[[], float] = time.time) -> None:
        self._url = url
        self._client = client
        self._clock = clock

    def send(self, bodies: Iterable[str], until: float = math.inf) -> int:
        """Send them all, in as few calls as SQS allows, and return how many SQS has.

        Parameters
        ----------
        until : float
            Epoch seconds after which no call begins.
        """
        entries: Iterable[SendEntry] = (
            {"Id": str(position), "MessageBody": body} for position, body in enumerate(bodies)
        )
        untaken = "messages not put on the queue"
        return len(
            _send_all(
                self._client, self._url, entries, until=until, clock=self._clock, untaken=untaken, refused=untaken
            )
        )


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


@dataclass(frozen=True, slots=True)
class ParkedMessage:
    """One message of a dead-letter queue, received and hidden.

    Attributes
    ----------
    attributes : Mapping of str to Any
        Message attributes with their types, as SQS gives and takes them.
    sent_at : float
        Epoch seconds when it was put on the dead-letter queue; on its first queue, if SQS itself moved it.
    receive_count : int
        Receives of this SQS message, this one included.
    """

    message_id: str
    receipt_handle: str
    body: str
    attributes: Mapping[str, Any]
    sent_at: float
    receive_count: int

    def attribute(self, name: str) -> str:
        """Return an attribute's text; empty where there is none."""
        return str(self.attributes.get(name, {}).get("StringValue", ""))

    def with_texts(self, texts: Mapping[str, str]) -> ParkedMessage:
        """Return the message with these attributes; where SQS does not take so many, its producer's give way."""
        ours = {name: {"DataType": "String", "StringValue": value} for name, value in texts.items()}
        others = [(name, value) for name, value in self.attributes.items() if name not in ours]
        room = _MOST_ATTRIBUTES - len(ours)
        # Those of an earlier life first: they are ours as well.
        others.sort(key=lambda pair: pair[0] not in LIFE_ATTRIBUTES)
        return replace(self, attributes=dict(others[:room]) | ours)

    def entry(self, position: int) -> SendEntry:
        """Write it as SQS takes it."""
        return {"Id": str(position), "MessageBody": self.body, "MessageAttributes": self.attributes}


class ParkedMessages:
    """The messages of one dead-letter queue."""

    def __init__(self, url: str, client: SQSClient) -> None:
        self._url = url
        self._client = client

    def receive(self, hidden_seconds: int) -> list[ParkedMessage]:
        """Receive up to ten messages.

        Parameters
        ----------
        hidden_seconds : int
            For how long nobody else gets them, unless they are put back before.

        Returns
        -------
        list of ParkedMessage
            Empty when there were none just now.

        Raises
        ------
        AwsCallError
            SQS refused or did not answer, or too many messages are hidden.
        """
        with aws_call(f"SQS receive from {self._url}"):
            answer = self._client.receive_message(
                QueueUrl=self._url,
                MaxNumberOfMessages=_MAXIMUM_ENTRIES,
                WaitTimeSeconds=_POLL_SECONDS,
                VisibilityTimeout=hidden_seconds,
                MessageSystemAttributeNames=["SentTimestamp", "ApproximateReceiveCount"],
                MessageAttributeNames=["All"],
            )
        return [_parked(message) for message in answer.get("Messages", [])]

    def move(self, messages: Sequence[ParkedMessage], destination_url: str) -> list[bool]:
        """Send messages to another queue, then delete here those that the other queue has.

        A message whose deletion fails is on both queues; the delivery ledger tells the two for one.

        Returns
        -------
        list of bool
            By position: the other queue has it. The others are untouched, and still hidden.
        """
        sent: set[int] = set()
        for entries in _batches(message.entry(position) for position, message in enumerate(messages)):
            untaken = "messages not moved"
            sent |= _send(self._client, destination_url, entries, untaken=untaken, refused=untaken)
        self._delete([messages[position] for position in sorted(sent)])
        return [position in sent for position in range(len(messages))]

    def put_back(self, receipt_handles: Collection[str]) -> None:
        """Let others see messages again at once; where that fails they are seen when their time is over."""
        SourceQueue(self._url, self._client).put_off([(handle, 0) for handle in receipt_handles])

    def _delete(self, messages: Sequence[ParkedMessage]) -> None:
        handles = [message.receipt_handle for message in messages]
        for _ in range(_DELETE_ATTEMPTS):
            if not handles:
                return
            handles = self._still_there(handles)
        logger.error("moved messages not deleted: they come back, and are recognised", extra={"messages": len(handles)})

    def _still_there(self, handles: Sequence[str]) -> list[str]:
        """Delete messages, ten a call, and give the handles of those that could not be."""
        left: list[str] = []
        for start in range(0, len(handles), _MAXIMUM_ENTRIES):
            chunk = handles[start : start + _MAXIMUM_ENTRIES]
            try:
                with aws_call(f"SQS delete at {self._url}"):
                    answer = self._client.delete_message_batch(
                        QueueUrl=self._url,
                        Entries=[{"Id": str(number), "ReceiptHandle": handle} for number, handle in enumerate(chunk)],
                    )
            except AwsCallError:
                left.extend(chunk)
            else:
                left.extend(chunk[int(failure["Id"])] for failure in answer.get("Failed", []))
        return left


def _send_all(
    client: SQSClient,
    url: str,
    entries: Iterable[SendEntry],
    *,
    until: float,
    clock: Callable[[], float],
    untaken: str,
    refused: str,
) -> set[int]:
    """Send entries side by side while there is time, and give the positions of those that SQS has."""

    def send(batch: Sequence[SendEntry]) -> set[int]:
        return _send(client, url, batch, untaken=untaken, refused=refused) if clock() < until else set()

    batches = _batches(entries)
    first = list(islice(batches, _PARALLEL_CALLS))
    if len(first) <= 1:  # threads would only take time
        return send(first[0]) if first else set()
    accepted: set[int] = set()
    with ThreadPoolExecutor(_PARALLEL_CALLS) as pool:
        under_way = {pool.submit(send, batch) for batch in first}
        while under_way:
            done, under_way = wait(under_way, return_when=FIRST_COMPLETED)
            accepted.update(*(call.result() for call in done))
            further = islice(batches, len(done) if clock() < until else 0)
            under_way |= {pool.submit(send, batch) for batch in further}
    return accepted


def _batches(entries: Iterable[SendEntry]) -> Iterator[list[SendEntry]]:
    """Cut into what one call takes: 10 entries, 1 MiB."""
    batch: list[SendEntry] = []
    size = 0
    for entry in entries:
        entry_size = _size(entry)
        if batch and (len(batch) == _MAXIMUM_ENTRIES or size + entry_size > _MAXIMUM_BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(entry)
        size += entry_size
    if batch:
        yield batch


def _size(entry: SendEntry) -> int:
    """Return the bytes that SQS counts."""
    typed: Iterable[tuple[str, Any]] = entry.get("MessageAttributes", {}).items()
    attributes = sum(
        len(name)
        + len(value["DataType"])
        + len(value["StringValue"].encode() if "StringValue" in value else value["BinaryValue"])
        for name, value in typed
    )
    return len(entry["MessageBody"].encode("utf-8", "surrogatepass")) + attributes


def _send(client: SQSClient, url: str, entries: Sequence[SendEntry], *, untaken: str, refused: str) -> set[int]:
    """Send a batch, and give the positions of what SQS has; the log says why it has not the rest."""
    try:
        with aws_call(f"SQS send to {url}"):
            answer = client.send_message_batch(QueueUrl=url, Entries=entries)
    except AwsCallError as exc:
        logger.error(untaken, extra={"fault": str(exc), "messages": len(entries)})
        return set()
    if failed := answer.get("Failed"):
        codes = sorted({failure["Code"] for failure in failed})
        logger.error(refused, extra={"fault": codes, "messages": len(failed)})
    return {int(entry["Id"]) for entry in answer.get("Successful", [])}


def _parked(message: MessageTypeDef) -> ParkedMessage:
    system: Mapping[str, str] = message.get("Attributes", {})  # type: ignore[assignment]
    return ParkedMessage(
        message_id=message["MessageId"],
        receipt_handle=message["ReceiptHandle"],
        body=message["Body"],
        attributes=message.get("MessageAttributes", {}),
        sent_at=int(system["SentTimestamp"]) / 1000,
        receive_count=int(system["ApproximateReceiveCount"]),
    )
