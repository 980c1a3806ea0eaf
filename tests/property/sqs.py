"""What do SQS queues do with messages that nobody deletes?"""

from __future__ import annotations

import heapq
import itertools
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

MAXIMUM_RECEIVES = 5
_MOST_ATTRIBUTES = 10
_MOST_BYTES = 1_048_576
# A group is a noisy neighbour with more of the messages in flight than this share, and at least so many.
_NOISY_SHARE = 0.1
_NOISY_MESSAGES = 30

Attributes = Mapping[str, str]


@dataclass
class Message:
    """One message on a queue.

    Attributes
    ----------
    group : str or None
        Its ``MessageGroupId``; without one it is a tenant of its own.
    """

    message_id: str
    body: str
    sent_at: float
    visible_at: float
    attributes: Attributes = field(default_factory=dict)
    group: str | None = None
    first_received_at: float | None = None
    receives: int = 0

    @property
    def receipt_handle(self) -> str:
        """What the last receive may do with it."""
        return f"{self.message_id}/{self.receives}"

    def record(self, queue: str) -> dict[str, Any]:
        """Return it as Lambda hands it over."""
        return {
            "messageId": self.message_id,
            "receiptHandle": self.receipt_handle,
            "body": self.body,
            "attributes": {
                "ApproximateReceiveCount": str(self.receives),
                "SentTimestamp": str(int(self.sent_at * 1000)),
                "ApproximateFirstReceiveTimestamp": str(int((self.first_received_at or self.sent_at) * 1000)),
            },
            "messageAttributes": {
                name: {"stringValue": value, "dataType": "String"} for name, value in self.attributes.items()
            },
            "eventSource": "aws:sqs",
            "eventSourceARN": f"arn:aws:sqs:eu-west-1:123456789012:{queue}",
        }

    def answer(self) -> dict[str, Any]:
        """Return it as ReceiveMessage does."""
        return {
            "MessageId": self.message_id,
            "ReceiptHandle": self.receipt_handle,
            "Body": self.body,
            "Attributes": {
                "ApproximateReceiveCount": str(self.receives),
                "SentTimestamp": str(int(self.sent_at * 1000)),
            },
            "MessageAttributes": {
                name: {"StringValue": value, "DataType": "String"} for name, value in self.attributes.items()
            },
        }


class Queue:
    """A standard queue, which hands over what is due longest, of noisy neighbours after all others.

    Parameters
    ----------
    visibility_timeout : float
        Seconds that a received message is hidden.
    any_order : Random or None
        Chooses what is handed over of what is due; ``None``: what is due longest.

    Attributes
    ----------
    sent : callable
        Told of each message that is put on the queue.
    due : callable
        Told whenever it is known when a message will be visible, in epoch seconds.
    """

    def __init__(
        self,
        name: str,
        clock: Callable[[], float],
        redrive: Queue | None = None,
        *,
        visibility_timeout: float,
        any_order: Random | None = None,
    ) -> None:
        self.name = name
        self.url = f"https://sqs.eu-west-1.amazonaws.com/123456789012/{name}"
        self.messages: dict[str, Message] = {}
        self.sent: Callable[[Message], None] = lambda message: None
        self.due: Callable[[float], None] = lambda until: None
        self._clock = clock
        self._redrive = redrive
        self._visibility_timeout = visibility_timeout
        self._any_order = any_order
        self._numbers = itertools.count()
        # When messages become visible, by group; an entry is void when its message has gone or has another time by now.
        self._due: defaultdict[str | None, list[tuple[float, int, Message]]] = defaultdict(list)
        self._in_flight: defaultdict[str | None, set[str]] = defaultdict(set)

    def send(
        self, body: str, attributes: Attributes | None = None, delay: float = 0.0, group: str | None = None
    ) -> str:
        """Put a message on the queue."""
        now = self._clock()
        message = Message(f"{self.name}-{next(self._numbers)}", body, now, now + delay, attributes or {}, group)
        self.messages[message.message_id] = message
        self.hide(message, now + delay)
        self.sent(message)
        return message.message_id

    def hide(self, message: Message, until: float) -> None:
        """Let a message be visible from a time on."""
        message.visible_at = until
        heapq.heappush(self._due[message.group], (until, next(self._numbers), message))
        self.due(until)

    def next_due(self) -> float | None:
        """Tell when the next message is visible, or has been since."""
        return min((entries[0][0] for entries in self._entries()), default=None)

    def receive(
        self, most: int, *, twice: Callable[[], bool] = lambda: False, hidden_seconds: float | None = None
    ) -> list[Message]:
        """Hand over what is visible.

        Parameters
        ----------
        twice : callable
            Whether a message stays visible although it was received: delivery is at least once.
        hidden_seconds : float or None
            Instead of the queue's own visibility timeout.
        """
        now = self._clock()
        visible_at = now + (self._visibility_timeout if hidden_seconds is None else hidden_seconds)
        received: list[Message] = []
        for message in self._visible(most):
            if message.receives >= MAXIMUM_RECEIVES and self._redrive:
                self.delete([message.message_id])
                self._redrive.adopt(message)
                continue
            message.receives += 1
            message.first_received_at = message.first_received_at or now
            message.visible_at = visible_at
            self._in_flight[message.group].add(message.message_id)
            received.append(message)
        for message in received:
            self.hide(message, now if twice() else message.visible_at)
        return received

    def adopt(self, message: Message) -> None:
        """Take what SQS itself moves here: it keeps its id and the time at which it was sent."""
        message.receives = 0
        self.messages[message.message_id] = message
        self.hide(message, self._clock())

    def delete(self, message_ids: Iterable[str]) -> None:
        """Forget messages."""
        for message_id in message_ids:
            if message := self.messages.pop(message_id, None):
                self._in_flight[message.group].discard(message_id)

    def _visible(self, most: int) -> list[Message]:
        """Take messages off the lists of what is due."""
        now = self._clock()
        noisy = self._noisy()
        messages: list[Message] = []
        while self._any_order or len(messages) < most:
            due = [entries for entries in self._entries() if entries[0][0] <= now]
            if not due:
                break
            first = min(due, key=lambda entries: (entries[0][2].group in noisy, entries[0]))
            messages.append(heapq.heappop(first)[2])
        if self._any_order:
            self._any_order.shuffle(messages)
            for message in messages[most:]:
                self.hide(message, message.visible_at)
        return messages[:most]

    def _entries(self) -> Iterator[list[tuple[float, int, Message]]]:
        """Yield each group's list that is not empty; its first entry is not void."""
        for entries in self._due.values():
            while entries and self._is_void(entries[0]):
                heapq.heappop(entries)
            if entries:
                yield entries

    def _noisy(self) -> set[str | None]:
        """Tell which groups are noisy neighbours now."""
        share = _NOISY_SHARE * sum(map(len, self._in_flight.values()))
        return {
            group
            for group, of_group in self._in_flight.items()
            if group is not None and len(of_group) >= _NOISY_MESSAGES and len(of_group) > share
        }

    def _is_void(self, entry: tuple[float, int, Message]) -> bool:
        due, _, message = entry
        return message.message_id not in self.messages or message.visible_at != due


class SqsClient:
    """The calls that the package makes.

    Parameters
    ----------
    around : callable
        Makes a call with its name and effect; what fails, fails there.
    refused : callable
        Tells of one entry of a batch whether SQS reports it as failed.
    """

    def __init__(
        self,
        queues: Sequence[Queue],
        around: Callable[[str, Callable[[], dict[str, Any]]], dict[str, Any]],
        refused: Callable[[], bool],
    ) -> None:
        self._queues = {queue.url: queue for queue in queues}
        self._around = around
        self._refused = refused

    def send_message_batch(self, *, QueueUrl: str, Entries: Sequence[dict[str, Any]]) -> dict[str, Any]:  # noqa: N803
        """Put up to ten messages on a queue."""
        queue = self._queues[QueueUrl]

        def send(entry: dict[str, Any]) -> None:
            attributes = {name: value["StringValue"] for name, value in entry["MessageAttributes"].items()}
            queue.send(entry["MessageBody"], attributes, entry.get("DelaySeconds", 0), entry.get("MessageGroupId"))

        for entry in Entries:
            _check_size(entry)
        return self._around("sqs_send", lambda: self._each(Entries, send))

    def change_message_visibility_batch(
        self,
        *,
        QueueUrl: str,  # noqa: N803
        Entries: Sequence[dict[str, Any]],  # noqa: N803
    ) -> dict[str, Any]:
        """Let up to ten messages come back at another time."""
        queue = self._queues[QueueUrl]

        def put_off(entry: dict[str, Any]) -> None:
            if message := _held(queue, entry):
                queue.hide(message, queue._clock() + entry["VisibilityTimeout"])

        return self._around("sqs_visibility", lambda: self._each(Entries, put_off))

    def receive_message(
        self,
        *,
        QueueUrl: str,  # noqa: N803
        MaxNumberOfMessages: int,  # noqa: N803
        VisibilityTimeout: int,  # noqa: N803
        **_options: Any,
    ) -> dict[str, Any]:
        """Receive up to ten messages."""

        def receive() -> dict[str, Any]:
            messages = self._queues[QueueUrl].receive(MaxNumberOfMessages, hidden_seconds=VisibilityTimeout)
            return {"Messages": [message.answer() for message in messages]} if messages else {}

        return self._around("sqs_receive", receive)

    def delete_message_batch(self, *, QueueUrl: str, Entries: Sequence[dict[str, Any]]) -> dict[str, Any]:  # noqa: N803
        """Delete up to ten received messages."""
        queue = self._queues[QueueUrl]

        def delete(entry: dict[str, Any]) -> None:
            if message := _held(queue, entry):
                queue.delete([message.message_id])

        return self._around("sqs_delete", lambda: self._each(Entries, delete))

    def _each(self, entries: Sequence[dict[str, Any]], effect: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
        if not 1 <= len(entries) <= 10:
            raise ValueError("SQS takes 1 to 10 entries")
        answer: dict[str, Any] = {"Successful": [], "Failed": []}
        for entry in entries:
            if self._refused():
                answer["Failed"].append({"Id": entry["Id"], "Code": "InternalError", "SenderFault": False})
            else:
                effect(entry)
                answer["Successful"].append({"Id": entry["Id"]})
        return answer


def _held(queue: Queue, entry: dict[str, Any]) -> Message | None:
    """Return the message of a receipt handle, if its last receive is that one."""
    message = queue.messages.get(entry["ReceiptHandle"].rpartition("/")[0])
    return message if message and message.receipt_handle == entry["ReceiptHandle"] else None


def _check_size(entry: dict[str, Any]) -> None:
    attributes = entry["MessageAttributes"]
    values = [value["StringValue"] for value in attributes.values()]
    size = len(entry["MessageBody"]) + sum(map(len, values)) + sum(map(len, attributes))
    if len(attributes) > _MOST_ATTRIBUTES or not all(values) or size > _MOST_BYTES:
        raise ValueError(f"SQS does not take {len(attributes)} attributes, {size} bytes, or an empty attribute")
