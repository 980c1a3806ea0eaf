"""Where in a body is the message, and what do its envelopes say of it?

A message comes as its producer wrote it, or in what the services on its way put around it, one in the other: SNS,
EventBridge, CloudEvents, and the records of SQS and Kinesis that EventBridge Pipes or Lambda hand on.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from responsys_activation.json_text import JsonNumber, Repeated, read_json
from responsys_activation.moment import read_moment

__all__ = ["Envelope", "InvalidMessageError", "open_envelopes"]

_COMPRESSED = "H4sI"  # how the base64 of every gzip begins
_MOST_ENVELOPES = 5  # EventBridge → SNS → SQS is two; more than this is a mistake or an attack


class InvalidMessageError(ValueError):
    """The body is not a membership message; the text names the field and never quotes its value."""


class Envelope(NamedTuple):
    """What was around a message."""

    kind: _Kind
    fields: Mapping[str, Any]

    def message_id(self) -> str | None:
        """Return the id by which the envelope's service knows the message."""
        return self.kind.message_id(self.fields)

    def occurred_at(self) -> datetime | None:
        """Return the envelope's time, in UTC; one that cannot be read is none."""
        return self.kind.occurred_at(self.fields)


class _Kind(NamedTuple):
    """Which fields may hold the message, and what others say of it."""

    contents: tuple[str, ...]
    message_id: Callable[[Mapping[str, Any]], str | None] = lambda _: None
    occurred_at: Callable[[Mapping[str, Any]], datetime | None] = lambda _: None
    is_base64: bool = False


def open_envelopes(body: str) -> tuple[dict[str, Any], Sequence[Envelope]]:
    """Find the message of a body.

    What has ``callType`` and an object ``segment`` is a message, whatever else it has; only a CloudEvent with data is
    none, for its attributes may have any name.

    Returns
    -------
    dict
        The message's JSON object, as :func:`read_json` reads it.
    sequence of Envelope
        The innermost first.

    Raises
    ------
    InvalidMessageError
        No JSON object, or more than five envelopes; the text names the field.
    """
    document = _read_object(body, "body")
    envelopes: list[Envelope] = []
    while kind := _kind(document):
        if len(envelopes) == _MOST_ENVELOPES:
            raise InvalidMessageError(f"body: more than {_MOST_ENVELOPES} envelopes")
        envelopes.insert(0, Envelope(kind, document))
        document = _content(document, kind)
    return document, envelopes


def _kind(document: Mapping[str, Any]) -> _Kind | None:
    """Recognise an envelope by what only it has; ``None`` for what is none."""
    if "specversion" in document and ("data" in document or "data_base64" in document):
        return _CLOUD_EVENT
    if "callType" in document and type(document.get("segment")) is dict:
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
    is_other = "callType" not in document and any(name in document for name in _OTHER.contents)
    return _OTHER if is_other else None


def _content(document: Mapping[str, Any], kind: _Kind) -> dict[str, Any]:
    for field in kind.contents:
        value = document.get(field)
        if isinstance(value, dict):
            return value
        if isinstance(value, str):
            is_base64 = kind.is_base64 or field == "data_base64"
            return _read_object(_decoded(value, field) if is_base64 else value, field)
        if isinstance(value, Repeated):
            raise InvalidMessageError(f"{field}: given more than once; give it once")
        if value is not None:
            break
    else:
        field = next(name for name in kind.contents if name in document)
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
# Of others only the content is known: an `id` beside it may be anything's.
_OTHER = _Kind(("detail", "data", "data_base64", "Message"))


# ---- what an envelope holds


def _decoded(value: str, field: str) -> str:
    try:
        content = base64.b64decode(value, validate=True)
        return _COMPRESSED if content.startswith(b"\x1f\x8b") else content.decode()
    except ValueError:  # characters, padding or UTF-8
        raise InvalidMessageError(f"{field}: not base64 of UTF-8 text") from None


def _read_object(text: str, field: str) -> dict[str, Any]:
    """Read a JSON object, or the JSON text that holds one."""
    document = _read(text, field)
    if type(document) is str:
        document = _read(document, field)
    if type(document) is dict:
        return document
    match document:
        case [str(), {"s3BucketName": _, "s3Key": _}]:
            raise InvalidMessageError(
                f"{field}: points to S3, as the SQS extended client does, which is not followed; "
                "send the message itself, up to 1 MiB"
            )
    raise InvalidMessageError(f"{field}: must be a JSON object")


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
