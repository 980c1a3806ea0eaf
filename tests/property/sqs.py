"""What do SQS queues do with messages that nobody deletes?"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

VISIBILITY_TIMEOUT = 1020.0  # as in template.yaml
MAXIMUM_RECEIVES = 5


@dataclass
class Message:
    """One message on a queue."""

    message_id: str
    body: str
    sent_at: float
    visible_at: float
    attributes: dict[str, str] = field(default_factory=dict)
    first_received_at: float | None = None
    receives: int = 0

    def record(self, queue: str) -> dict[str, Any]:
        """Give it as Lambda hands it over."""
        return {
            "messageId": self.message_id,
            "receiptHandle": f"{self.message_id}/{self.receives}",
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


class Queue:
    """A standard queue, which hands over what is due longest."""

    def __init__(self, name: str, clock: Callable[[], float], redrive: Queue | None = None) -> None:
        self.name = name
        self.url = f"https://sqs.eu-west-1.amazonaws.com/123456789012/{name}"
        self.messages: dict[str, Message] = {}
        self._clock = clock
        self._redrive = redrive
        self._numbers = itertools.count()
        # When messages become visible; an entry is void when its message has gone or has another time by now.
        self._due: list[tuple[float, int, Message]] = []

    def send(self, body: str, attributes: dict[str, str] | None = None, delay: float = 0.0) -> str:
        """Put a message on the queue."""
        now = self._clock()
        message = Message(f"{self.name}-{next(self._numbers)}", body, now, now + delay, attributes or {})
        self.messages[message.message_id] = message
        self.hide(message, now + delay)
        return message.message_id

    def hide(self, message: Message, until: float) -> None:
        """Let a message be visible from a time on."""
        message.visible_at = until
        heapq.heappush(self._due, (until, next(self._numbers), message))

    def next_due(self) -> float | None:
        """Tell when the next message is visible, or has been since."""
        while self._due and self._is_void(self._due[0]):
            heapq.heappop(self._due)
        return self._due[0][0] if self._due else None

    def receive(self, most: int, *, twice: Callable[[], bool]) -> list[Message]:
        """Hand over what is visible.

        Parameters
        ----------
        twice : callable
            Whether a message stays visible although it was received: delivery is at least once.
        """
        now = self._clock()
        received: list[Message] = []
        while len(received) < most and (due := self.next_due()) is not None and due <= now:
            _, _, message = heapq.heappop(self._due)
            if message.receives >= MAXIMUM_RECEIVES and self._redrive:
                del self.messages[message.message_id]
                self._redrive.send(message.body, message.attributes)
                continue
            message.receives += 1
            message.first_received_at = message.first_received_at or now
            message.visible_at = now + VISIBILITY_TIMEOUT
            received.append(message)
        for message in received:
            self.hide(message, now if twice() else message.visible_at)
        return received

    def delete(self, message_ids: Iterable[str]) -> None:
        """Forget messages."""
        for message_id in message_ids:
            self.messages.pop(message_id, None)

    def _is_void(self, entry: tuple[float, int, Message]) -> bool:
        due, _, message = entry
        return message.message_id not in self.messages or message.visible_at != due


class SqsClient:
    """The batch calls that the package makes.

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
            queue.send(entry["MessageBody"], attributes, entry["DelaySeconds"])

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
            message_id, _, receives = entry["ReceiptHandle"].rpartition("/")
            message = queue.messages.get(message_id)
            if message and message.receives == int(receives):
                queue.hide(message, queue._clock() + entry["VisibilityTimeout"])

        return self._around("sqs_visibility", lambda: self._each(Entries, put_off))

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
