"""Which messages are in a body, and what do their envelopes say of them?

A message comes as its producer wrote it, or in what the services on its way put around it, one in the other: SNS,
EventBridge, CloudEvents, Firehose, and the records of SQS and Kinesis that EventBridge Pipes or Lambda hand on. Where
one is expected there may be an array of them.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple, TypeGuard

from responsys_activation.json_text import JsonNumber, Repeated, read_json, write_json
from responsys_activation.moment import read_moment

__all__ = [
    "MOST_ARRAYS",
    "Envelope",
    "InvalidMessageError",
    "Opened",
    "Unopened",
    "enclose",
    "is_our_message",
    "messages_in",
    "read_body",
]

_COMPRESSED = "H4sI"  # how the base64 of every gzip begins
_MOST_ENVELOPES = 5  # EventBridge → SNS → SQS is two; more than this is a mistake or an attack
MOST_ARRAYS = 3  # a batch of a producer in the records of a stream is two


class InvalidMessageError(ValueError):
    """The body is not a membership message; the text names the field and never quotes its value."""


class Envelope(NamedTuple):
    """What was around a message, or around an array of them.

    Attributes
    ----------
    position : str
        Where it stands itself in the arrays around it; see :class:`Opened`.
    """

    kind: _Kind
    fields: Mapping[str, Any]
    position: str = ""

    def message_id(self) -> str | None:
        """Return the id by which the envelope's service knows the message."""
        return self.kind.message_id(self.fields)

    def occurred_at(self) -> datetime | None:
        """Return the envelope's time, in UTC; one that cannot be read is none."""
        return self.kind.occurred_at(self.fields)

    def around(self, content: Any) -> dict[str, Any]:
        """Return the envelope with another content, written in the same way."""
        field = _content_field(self.fields, self.kind)
        written: Any = content
        match self.fields[field]:
            case list() if self.kind.holds_array:
                written = [content]
            case str() if self.kind.is_base64 or field == "data_base64":
                written = base64.b64encode(write_json(content).encode()).decode()
            case str():
                written = write_json(content)
        return {**self.fields, field: written}


class _Kind(NamedTuple):
    """Which fields may hold the message, and what others say of it."""

    contents: tuple[str, ...]
    message_id: Callable[[Mapping[str, Any]], str | None] = lambda _: None
    occurred_at: Callable[[Mapping[str, Any]], datetime | None] = lambda _: None
    is_base64: bool = False
    holds_array: bool = False


class Opened(NamedTuple):
    """One message of a body.

    Attributes
    ----------
    document : dict
        The message's JSON object, as :func:`read_json` reads it.
    envelopes : tuple of Envelope
        The innermost first.
    position : str
        Where it stands in the arrays around it, ``/0`` for the first of one; empty where there is none.
    """

    document: dict[str, Any]
    envelopes: tuple[Envelope, ...] = ()
    position: str = ""


class Unopened(NamedTuple):
    """What should hold a message and does not.

    Attributes
    ----------
    content : Any
        What holds no message in the same way when it stands alone in the envelopes; ``None`` if nothing could be read.
    reason : str
        Names the field and never quotes its value.
    """

    content: Any
    envelopes: tuple[Envelope, ...]
    position: str
    reason: str


def read_body(body: str) -> Any:
    """Read a body's JSON, as :func:`read_json` does.

    Raises
    ------
    InvalidMessageError
        It is none; the text says what it may be.
    """
    return _read_content(body, "body")


def messages_in(content: Any, is_message: Callable[[Mapping[str, Any]], bool]) -> Iterator[Opened | Unopened]:
    """Find the messages of a body that has been read.

    What has ``callType`` and an object ``segment`` is a message, whatever else it has; only a CloudEvent with data is
    none, for its attributes may have any name.

    Parameters
    ----------
    content : Any
        What :func:`read_body` returns.
    is_message : callable
        Tells of what is no known envelope whether it is a message itself, though it has ``data`` or ``detail``.
    """
    return _messages(content, "body", (), "", is_message)


def is_our_message(content: Any) -> TypeGuard[dict[str, Any]]:
    """Return whether something is our own format, by what that always has."""
    if type(content) is not dict or "callType" not in content or type(content.get("segment")) is not dict:
        return False
    return "specversion" not in content or not _is_cloud_event(content)


def enclose(content: Any, envelopes: Sequence[Envelope]) -> str:
    """Write a body that holds one message, in the envelopes that another was in: the innermost first."""
    for envelope in envelopes:
        content = envelope.around(content)
    return write_json(content)


def _messages(
    content: Any,
    field: str,
    envelopes: tuple[Envelope, ...],
    position: str,
    is_message: Callable[[Mapping[str, Any]], bool],
) -> Iterator[Opened | Unopened]:
    if position and type(content) is str:
        try:
            content = _read_content(content, field)
        except InvalidMessageError as exc:
            yield Unopened(content, envelopes, position, str(exc))
            return
    while type(content) is dict:
        kind = _kind(content, envelopes, is_message)
        if kind is None:
            yield Opened(content, envelopes, position)
            return
        try:
            inner, field = _content(content, kind, len(envelopes))
        except InvalidMessageError as exc:
            yield Unopened(content, envelopes, position, str(exc))
            return
        envelopes = (Envelope(kind, content, position), *envelopes)
        content = inner
    depth = position.count("/")
    if type(content) is not list or depth == MOST_ARRAYS:
        for _ in range(depth if type(content) is list else 0):
            content = [content]  # alone it would be less deep
        yield Unopened(content, envelopes, position, f"{field}: must be a JSON object")
        return
    for number, each in enumerate(content):
        yield from _messages(each, f"{field}[{number}]", envelopes, f"{position}/{number}", is_message)


def _kind(
    document: Mapping[str, Any], envelopes: Sequence[Envelope], is_message: Callable[[Mapping[str, Any]], bool]
) -> _Kind | None:
    """Return the kind of an envelope, by what only it has; ``None`` for what is none."""
    if _is_cloud_event(document):
        return _CLOUD_EVENT
    if is_our_message(document):
        return None
    if "Message" in document and "MessageId" in document:
        return _SNS
    if "detail" in document and "detail-type" in document:
        return _EVENT_BRIDGE
    if "body" in document and document.get("eventSource") == "aws:sqs":
        return _SQS_RECORD
    if isinstance(document.get("kinesis"), dict):
        return _LAMBDA_RECORD
    if "data" in document and (
        "approximateArrivalTimestamp" in document or document.get("eventSource") == "aws:kinesis"
    ):
        return _KINESIS_RECORD
    if type(document.get("Records")) is list:
        return _LAMBDA_EVENT
    if "requestId" in document and type(document.get("records")) is list:
        return _FIREHOSE_REQUEST
    if "data" in document and envelopes and envelopes[0].kind is _FIREHOSE_REQUEST:
        return _FIREHOSE_RECORD
    if "callType" in document or is_message(document):
        return None
    if any(name in document for name in _OTHER.contents):
        return _OTHER
    event = document.get("event")
    return _OTHER_EVENT if isinstance(event, dict) and "detail" in event else None


def _is_cloud_event(document: Mapping[str, Any]) -> bool:
    return "specversion" in document and ("data" in document or "data_base64" in document)


def _content_field(document: Mapping[str, Any], kind: _Kind) -> str:
    """Name the field that has the content: the first that is not ``null``."""
    present = (name for name in kind.contents if document.get(name) is not None)
    return next(present, None) or next(name for name in kind.contents if name in document)


def _content(document: Mapping[str, Any], kind: _Kind, depth: int) -> tuple[Any, str]:
    """Return what an envelope holds, and the name of its field."""
    if depth == _MOST_ENVELOPES:
        raise InvalidMessageError(f"body: more than {_MOST_ENVELOPES} envelopes")
    field = _content_field(document, kind)
    match document[field]:
        case dict() | list() as value:
            return value, field
        case str() as value:
            is_base64 = kind.is_base64 or field == "data_base64"
            return _read_content(_decoded(value, field) if is_base64 else value, field), field
        case Repeated():
            raise InvalidMessageError(f"{field}: given more than once; give it once")
    raise InvalidMessageError(f"{field}: must hold the membership message")


# ---- what an envelope says


def _text(value: object) -> str | None:
    """Return a text that can be an id or a time; numbers as they were written."""
    text = value.text if isinstance(value, JsonNumber) else value
    if not isinstance(text, str) or not text.strip():
        return None
    try:
        text.encode()
    except UnicodeEncodeError:  # half of a surrogate pair
        return None
    return text


def _cloud_event_id(event: Mapping[str, Any]) -> str | None:
    """Join source and id, which are unique together only."""
    source, own = _text(event.get("source")), _text(event.get("id"))
    return json.dumps([source, own], separators=(",", ":")) if source and own else None


def _moment(value: object) -> datetime | None:
    try:
        return read_moment(value) if isinstance(value, str) else None
    except ValueError:
        return None


def _epoch(value: object, per_second: int) -> datetime | None:
    try:
        return datetime.fromtimestamp(float(_text(value) or "") / per_second, UTC)
    except (ValueError, OverflowError):
        return None


def _sent_timestamp(record: Mapping[str, Any]) -> datetime | None:
    attributes = record.get("attributes")
    return _epoch(attributes.get("SentTimestamp"), 1000) if isinstance(attributes, dict) else None


_CLOUD_EVENT = _Kind(("data", "data_base64"), _cloud_event_id, lambda event: _moment(event.get("time")))
_EVENT_BRIDGE = _Kind(("detail",), lambda event: _text(event.get("id")), lambda event: _moment(event.get("time")))
_SNS = _Kind(
    ("Message",),
    lambda notification: _text(notification.get("MessageId")),
    lambda notification: _moment(notification.get("Timestamp")),
)
_SQS_RECORD = _Kind(("body",), lambda record: _text(record.get("messageId")), _sent_timestamp)
_KINESIS_RECORD = _Kind(
    ("data",),
    lambda record: _text(record.get("eventID")),
    lambda record: _epoch(record.get("approximateArrivalTimestamp"), 1),
    is_base64=True,
)
_LAMBDA_RECORD = _Kind(("kinesis",), lambda record: _text(record.get("eventID")))
_LAMBDA_EVENT = _Kind(("Records",), holds_array=True)
# What Firehose sends again has the id of before.
_FIREHOSE_REQUEST = _Kind(
    ("records",),
    lambda request: _text(request.get("requestId")),
    lambda request: _epoch(request.get("timestamp"), 1000),
    holds_array=True,
)
_FIREHOSE_RECORD = _Kind(("data",), is_base64=True)
# Of others only the content is known: an `id` beside it may be anything's.
_OTHER = _Kind(("detail", "data", "data_base64", "Message"))
_OTHER_EVENT = _Kind(("event",))


# ---- what an envelope holds


def _decoded(value: str, field: str) -> str:
    try:
        content = base64.b64decode(value, validate=True)
        return _COMPRESSED if content.startswith(b"\x1f\x8b") else content.decode()
    except ValueError:  # characters, padding or UTF-8
        raise InvalidMessageError(f"{field}: not base64 of UTF-8 text") from None


def _read_content(text: str, field: str) -> Any:
    """Read JSON, or the JSON text that holds it."""
    content = _read(text, field)
    if type(content) is dict:
        return content
    if type(content) is str:
        content = _read(content, field)
    match content:
        case [str(), {"s3BucketName": _, "s3Key": _}]:
            raise InvalidMessageError(
                f"{field}: points to S3, as the SQS extended client does, which is not followed; "
                "send the message itself, up to 1 MiB"
            )
    return content


def _read(text: str, field: str) -> Any:
    try:
        return read_json(text)
    except RecursionError:
        raise InvalidMessageError(f"{field}: nested too deeply") from None
    except ValueError as exc:
        if text.startswith("\ufeff"):  # a byte order mark
            return _read(text.lstrip("\ufeff"), field)
        raise InvalidMessageError(f"{field}: {_why_unreadable(text, exc)}") from None


def _why_unreadable(text: str, exc: ValueError) -> str:
    if not text.strip():
        return "is empty; send the membership message as JSON"
    if text.startswith((_COMPRESSED, "\x1f\x8b")):
        return "is compressed with gzip; send JSON as plain text"
    return f"not valid JSON{f' at character {exc.pos}' if isinstance(exc, json.JSONDecodeError) else ''}"
