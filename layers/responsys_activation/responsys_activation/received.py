"""What did SQS hand over?

The messages that come back from ThrottledDLQ or a replay carry message attributes of an earlier life; they are read
here and written by :mod:`responsys_activation.settling`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

__all__ = ["ReceivedMessage", "read_record"]


class ReceivedMessage(NamedTuple):
    """One SQS record of the invocation.

    Attributes
    ----------
    message_id : str
        This SQS message's id, as the batch response must name it.
    original_message_id : str
        The SQS message id it was first received under: deferrals make new SQS messages.
    queue_name : str
        The queue it was read from.
    receive_count : int
        Receives of this SQS message, this one included.
    attempts : int
        Receives over all its lives, this one included.
    sent_at, first_received_at : float
        Epoch seconds: SQS got this message; this function first received its first life.
    last_error_code : str
        Why it was deferred before; empty for a message that never was.
    """

    message_id: str
    original_message_id: str
    receipt_handle: str
    body: str
    queue_name: str
    receive_count: int
    attempts: int
    sent_at: float
    first_received_at: float
    last_error_code: str

    @property
    def arrived_at(self) -> float:
        """Epoch seconds when SQS first had it, as near as its lives tell."""
        return min(self.sent_at, self.first_received_at)


def read_record(record: Mapping[str, Any], now: float) -> ReceivedMessage:
    """Read one record of an SQS event.

    Parameters
    ----------
    record : Mapping
        A record as AWS Lambda hands it over.
    now : float
        Epoch seconds, for records that carry no times.
    """
    system = record.get("attributes", {})
    receive_count = _number(system.get("ApproximateReceiveCount"), 1)
    first_received_at = _number(system.get("ApproximateFirstReceiveTimestamp"), int(now * 1000)) / 1000
    before = {name: value.get("stringValue") or "" for name, value in record.get("messageAttributes", {}).items()}
    # A rejected message that comes back was sent back by a person: its clock and its count start anew.
    deferred = before.get("outcome") == "throttled"
    return ReceivedMessage(
        message_id=record["messageId"],
        original_message_id=before.get("originalMessageId") or record["messageId"],
        receipt_handle=record["receiptHandle"],
        body=record["body"],
        queue_name=record["eventSourceARN"].rpartition(":")[2],
        receive_count=receive_count,
        attempts=receive_count + (_number(before.get("attempts"), 0) if deferred else 0),
        sent_at=_number(system.get("SentTimestamp"), int(now * 1000)) / 1000,
        first_received_at=_earlier_time(before.get("firstReceivedAt"), first_received_at)
        if deferred
        else first_received_at,
        last_error_code=before.get("errorCode", "") if deferred else "",
    )


def _number(text: str | None, default: int) -> int:
    return int(text) if text and text.isdecimal() and len(text) < 16 else default


def _earlier_time(text: str | None, latest: float) -> float:
    try:
        moment = datetime.fromisoformat(text or "")
    except ValueError:
        return latest
    seconds = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    # An earlier life began before this one; another time is no time of ours.
    return seconds if 0 <= seconds <= latest else latest
