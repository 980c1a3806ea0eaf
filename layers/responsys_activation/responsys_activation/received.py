"""What did SQS hand over?

Messages that come back from a dead-letter queue carry what was known in their earlier lives, in message attributes that
:mod:`responsys_activation.delivery.settling` and the replay write. A producer may use the same names, so on a queue
that producers write to they count only together with our mark.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from responsys_activation.membership import is_connector_name

__all__ = ["LIFE_ATTRIBUTES", "MARK", "Mark", "ReceivedMessage", "read_mark", "read_record"]

MARK = "responsysActivation"  # the attribute that makes a message ours
# What a message carries from one life into the next.
LIFE_ATTRIBUTES = frozenset(
    {
        MARK,
        "attempts",
        "connector",
        "errorCode",
        "eventName",
        "firstReceivedAt",
        "originalMessageId",
        "outcome",
        "reason",
    }
)
_KEY = re.compile(r"[0-9a-f]{32}")
_MOST_PARTS = 1_000_000  # a body of 1 MiB holds fewer
_END_OF_TIME = 1e11  # epoch seconds, in the year 5138: with a zone, the last hours of 9999 cannot be written again


class Mark(NamedTuple):
    """What only we need to know of a message's earlier lives.

    Attributes
    ----------
    first_sent_at : float or None
        Epoch seconds when SQS first had it.
    replayed_at : float or None
        Epoch seconds when a person sent it back: its age counts from there.
    last_error_code : str
        Why it was put off before it became too old.
    doubts : int
        How many times it was sent without a trustworthy answer.
    in_doubt_allowed : bool
        A person decided to send it once more in spite of these doubts.
    connector : str
        To which it goes, whatever the settings say today; empty where the message itself or the settings say it.
    key : str
        Under which the delivery ledger knows its change, see :class:`~responsys_activation.change.Change`; empty where
        that follows from the message.
    position : int
        Where it stood among the memberships of the message that it was part of.
    """

    first_sent_at: float | None = None
    replayed_at: float | None = None
    last_error_code: str = ""
    doubts: int = 0
    in_doubt_allowed: bool = False
    connector: str = ""
    key: str = ""
    position: int = 0

    @property
    def allowed_doubts(self) -> int:
        """The number of doubts with which a person allowed it to be sent; 0 if nobody did."""
        return self.doubts if self.in_doubt_allowed else 0

    def text(self) -> str:
        """Write it as the attribute's value."""
        fields = {
            "firstSentAt": _iso(self.first_sent_at),
            "replayedAt": _iso(self.replayed_at),
            "lastErrorCode": self.last_error_code,
            "doubts": self.doubts,
            "inDoubtAllowed": self.in_doubt_allowed,
            "connector": self.connector,
            "key": self.key,
            "position": self.position,
        }
        return json.dumps({name: value for name, value in fields.items() if value}, separators=(",", ":"))


_NO_MARK = Mark()


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
        Receives over all its lives since it was new or replayed, this one included.
    arrived_at : float
        Epoch seconds when SQS first had it, in its first life.
    age_from : float
        Epoch seconds from which its age counts: when SQS first had it, or when it was replayed.
    first_received_at : float
        Epoch seconds when this function first received it, in its first life.
    came_back : bool
        It was received, put off or replayed before, so a newer change may have overtaken it.
    last_error_code : str
        Why it was deferred before; empty for a message that never was.
    mark : Mark
        What else is known of its earlier lives.
    part : int or None
        Which of the memberships in its body is meant, 0 for the first; ``None``: it holds no other.
    bodies : sequence of callable
        What writes each of them alone. Of the same reading as the parts: how deep a text may be nested depends on how
        deep its reader is called, so a second one could come to other parts.
    """

    message_id: str
    original_message_id: str
    receipt_handle: str
    body: str
    queue_name: str
    receive_count: int
    attempts: int
    arrived_at: float
    age_from: float
    first_received_at: float
    came_back: bool
    last_error_code: str
    mark: Mark
    part: int | None = None
    bodies: Sequence[Callable[[], str]] = ()


def read_record(record: Mapping[str, Any], now: float, throttled_queue: str) -> ReceivedMessage:
    """Read one record of an SQS event.

    Parameters
    ----------
    record : Mapping
        A record as AWS Lambda hands it over.
    now : float
        Epoch seconds, for records that carry no times.
    throttled_queue : str
        The name of ThrottledDLQ: only this function sends there, so what comes from it is ours.
    """
    system = record.get("attributes", {})
    receive_count = _number(system.get("ApproximateReceiveCount"), 1)
    untold = int(now * 1000)
    sent_at = _number(system.get("SentTimestamp"), untold) / 1000
    received_at = _number(system.get("ApproximateFirstReceiveTimestamp"), untold) / 1000
    queue_name = record["eventSourceARN"].rpartition(":")[2]
    before: dict[str, str] = {}
    mark = None
    if given := record.get("messageAttributes"):
        before = {name: value.get("stringValue") or "" for name, value in given.items()}
        mark = read_mark(before.get(MARK, ""))
    if mark is None and queue_name != throttled_queue:
        before = {}
    came_back = bool(before)
    mark = mark or _NO_MARK
    # What a person sent back starts its receives and its age anew.
    deferred = before.get("outcome") == "throttled"
    arrived_at = min(mark.first_sent_at or sent_at, sent_at)
    return ReceivedMessage(
        message_id=record["messageId"],
        original_message_id=before.get("originalMessageId") or record["messageId"],
        receipt_handle=record["receiptHandle"],
        body=record["body"],
        queue_name=queue_name,
        receive_count=receive_count,
        attempts=receive_count + (_number(before.get("attempts"), 0) if deferred else 0),
        arrived_at=arrived_at,
        age_from=arrived_at if mark.replayed_at is None else min(mark.replayed_at, sent_at),
        first_received_at=min(_time(before.get("firstReceivedAt")) or received_at, received_at)
        if deferred
        else received_at,
        came_back=came_back or receive_count > 1,
        last_error_code=before.get("errorCode", "") if deferred else "",
        mark=mark,
    )


def read_mark(text: str) -> Mark | None:
    """Read our mark; ``None`` if the text is something else."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(document, dict):
        return None
    last_error_code, connector, key = (document.get(name) for name in ("lastErrorCode", "connector", "key"))
    return Mark(
        _time(document.get("firstSentAt")),
        _time(document.get("replayedAt")),
        last_error_code if isinstance(last_error_code, str) else "",
        _count(document.get("doubts"), 1_000),
        document.get("inDoubtAllowed") is True,
        connector if is_connector_name(connector) else "",
        key if isinstance(key, str) and _KEY.fullmatch(key) else "",
        _count(document.get("position"), _MOST_PARTS),
    )


def _count(value: object, below: int) -> int:
    return value if type(value) is int and 0 <= value < below else 0


def _number(text: str | None, default: int) -> int:
    return int(text) if text and text.isdecimal() and len(text) < 16 else default


def _iso(seconds: float | None) -> str | None:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds") if seconds else None


def _time(text: object) -> float | None:
    """Read a time of ours, in epoch seconds."""
    try:
        moment = datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        return None
    if moment is None:
        return None
    seconds = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    return seconds if 0 <= seconds < _END_OF_TIME else None
