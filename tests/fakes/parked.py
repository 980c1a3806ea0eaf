"""What waits on a dead-letter queue? A queue that hides what was received, and fails where it is told to."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import replace
from typing import Any

from responsys_activation.aws.queues import ParkedMessage
from responsys_activation.received import MARK, Mark
from tests.fakes.clock import NOW, Clock
from tests.fakes.memberships import document

HOUR = 3600.0
FIRST_SENT = NOW - 2 * HOUR
_MARK = Mark(FIRST_SENT)
ANSWERED = "answered"
EMPTY = "empty"


def parked(number: int, error_code: str | None = "NO_RECIPIENT_FOUND", **changes: Any) -> ParkedMessage:
    """Return a message that was rejected an hour ago; without a code, one that SQS moved there."""
    fields: dict[str, Any] = {
        "body": json.dumps(document(profileId=f"profile-{number}")),
        "attributes": attributes(error_code, f"original-{number}") if error_code else {},
        "sent_at": NOW - HOUR,
    }
    defaults: dict[str, Any] = {"message_id": f"message-{number}", "receipt_handle": "", "receive_count": 0}
    return ParkedMessage(**(defaults | fields | changes))


def attributes(error_code: str, original_message_id: str, mark: Mark = _MARK, **changes: str) -> dict[str, Any]:
    """Return the attributes that a message gets when it is settled."""
    texts = {
        "outcome": "rejected",
        "errorCode": error_code,
        "connector": "default",
        "eventName": "SEGMENT_CHANGED",
        "originalMessageId": original_message_id,
        "attempts": "1",
        "firstReceivedAt": "2027-01-15T07:00:00.000+00:00",
        "reason": "why it is there",
        MARK: mark.text(),
    } | changes
    return {name: {"DataType": "String", "StringValue": text} for name, text in texts.items()}


class FakeParkedMessages:
    """Stands where :class:`~responsys_activation.aws.queues.ParkedMessages` is injected.

    Attributes
    ----------
    refuses : callable
        Messages that the other queue does not take.
    on_move : callable
        Called with what the other queue took, while it is deleted here.
    answers : iterator
        Of the next receives: a fault, ``EMPTY`` as if there were no messages, or ``ANSWERED``.
    moved : list of ParkedMessage
        What the other queue has.
    """

    def __init__(self, messages: Sequence[ParkedMessage], clock: Clock) -> None:
        self._messages = {message.message_id: message for message in messages}
        self._hidden_until: dict[str, float] = {}
        self._clock = clock
        self.refuses: Callable[[ParkedMessage], bool] = lambda _message: False
        self.on_move: Callable[[Sequence[ParkedMessage]], None] = lambda _messages: None
        self.answers: Iterator[Exception | str] = iter(())
        self.moved: list[ParkedMessage] = []
        self.moved_at: list[float] = []

    @property
    def waiting(self) -> list[ParkedMessage]:
        """What the queue holds, hidden or not."""
        return list(self._messages.values())

    @property
    def visible(self) -> list[ParkedMessage]:
        """What anybody could receive now."""
        now = self._clock()
        return [each for each in self.waiting if self._hidden_until.get(each.message_id, 0) <= now]

    def add(self, message: ParkedMessage) -> None:
        self._messages[message.message_id] = message

    def receive(self, hidden_seconds: int) -> list[ParkedMessage]:
        match next(self.answers, ANSWERED):
            case Exception() as fault:
                raise fault
            case answer if answer == EMPTY:
                return []
        received = []
        for message in self.visible[:10]:
            count = message.receive_count + 1
            received.append(replace(message, receive_count=count, receipt_handle=f"{message.message_id}/{count}"))
            self._messages[message.message_id] = received[-1]
            self._hidden_until[message.message_id] = self._clock() + hidden_seconds
        return received

    def move(self, messages: Sequence[ParkedMessage], destination_url: str) -> list[bool]:
        assert destination_url == "https://queue"
        taken = [message for message in messages if not self.refuses(message)]
        for message in taken:
            # Moving what another may have received meanwhile would double it.
            assert self._hidden_until[message.message_id] > self._clock()
            del self._messages[message.message_id]
        self.moved += taken
        self.moved_at += [self._clock()] * len(taken)
        self.on_move(taken)
        return [message in taken for message in messages]

    def put_back(self, receipt_handles: Collection[str]) -> None:
        for handle in receipt_handles:
            message_id = handle.rpartition("/")[0]
            assert self._messages[message_id].receipt_handle == handle
            self._hidden_until[message_id] = 0
