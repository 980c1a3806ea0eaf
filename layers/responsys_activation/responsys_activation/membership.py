"""What did upstream say?

Reads one SQS body into a :class:`Membership`. Its envelopes are opened first; they have an id and a time for a message
that has none of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, TypeGuard

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    GetPydanticSchema,
    InstanceOf,
    PlainValidator,
    StringConstraints,
    TypeAdapter,
    ValidationError,
    WithJsonSchema,
)
from pydantic.alias_generators import to_camel
from pydantic_core import core_schema

from responsys_activation.envelope import Envelope, InvalidMessageError
from responsys_activation.json_text import Repeated
from responsys_activation.moment import read_moment
from responsys_activation.validation import reasons

__all__ = [
    "DEFAULT_CONNECTOR",
    "CallType",
    "InvalidMessageError",
    "Membership",
    "Segment",
    "is_connector_name",
    "membership_of",
]

DEFAULT_CONNECTOR = "default"  # where nobody names one; the stack creates it
_REPORTED_ERRORS = 3
_IN_OUR_WORDS = {
    "model_type": "must be a JSON object with type and id",
    "enum": "must be ADD, UPDATE or REMOVE, in capitals",
}
# The schema's way to say "in any letter case", which it has no flag for.
_ANY_CASE_SEGMENT_TYPE = r"^([Aa][Uu][Dd][Ii][Ee][Nn][Cc][Ee]|[Jj][Oo][Uu][Rr][Nn][Ee][Yy])$"


class CallType(StrEnum):
    """How the profile's membership changed."""

    ADD = "ADD"
    UPDATE = "UPDATE"
    REMOVE = "REMOVE"


def _safe_segment(value: str) -> str:
    if value in {".", ".."} or not value.strip():
        raise ValueError("must not be blank, '.' or '..'")
    return value


def _moment(value: object) -> datetime | None:
    if not isinstance(value, str):
        if value is None or isinstance(value, datetime):  # an envelope's
            return value
        raise ValueError("not a text")
    try:
        return read_moment(value)
    except ValueError:
        if value.strip():
            raise
        return None


def _or_say(message: str) -> GetPydanticSchema:
    """Return a reason of our own where a value is refused."""
    return GetPydanticSchema(
        lambda source, handler: core_schema.custom_error_schema(
            handler(source), custom_error_type="refused", custom_error_message=message
        )
    )


def _or_none() -> GetPydanticSchema:
    """Take a value of another shape for none."""
    return GetPydanticSchema(
        lambda source, handler: core_schema.with_default_schema(handler(source), default=None, on_error="default")
    )


# Every message passes here, so what pydantic checks itself is not left to a function of ours: a call costs as much as
# all of pydantic's work on a field.
NonBlank = Annotated[str, StringConstraints(pattern=r"\S"), _or_say("must be a text that is not blank")]
# One path segment of the request: what could leave the segment or break a header is refused here.
EventName = Annotated[
    str,
    StringConstraints(pattern=r"^[^\x00-\x1f\x7f-\x9f/\\\ufffe\uffff]{1,200}$"),
    AfterValidator(_safe_segment),
    _or_say("must be 1 to 200 characters without slash, backslash or control character, and not '.' or '..'"),
]
# Becomes the last part of an SSM parameter name.
ConnectorName = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}$"),
    _or_say("must be 1 to 100 letters, digits, dots, dashes and underscores, the first a letter or digit"),
]
_CONNECTOR_NAME = TypeAdapter[str](ConnectorName)
SegmentType = Annotated[
    str,
    StringConstraints(to_upper=True, pattern="^(?i:AUDIENCE|JOURNEY)$"),
    _or_say("must be AUDIENCE or JOURNEY"),
    WithJsonSchema({"type": "string", "pattern": _ANY_CASE_SEGMENT_TYPE}),
]
Moment = Annotated[
    datetime | None,
    PlainValidator(_moment),
    _or_say("must be an ISO 8601 time such as 2024-01-31T08:30:00Z"),
    WithJsonSchema({"type": ["string", "null"], "description": "An ISO 8601 time such as 2024-01-31T08:30:00Z."}),
]
Map = Annotated[InstanceOf[dict[str, Any]], _or_say("must be a JSON object")]  # JSON made it, so its names are texts


class Segment(BaseModel):
    """The audience or journey.

    Attributes
    ----------
    type : str
        ``AUDIENCE`` or ``JOURNEY``.
    """

    model_config = ConfigDict(frozen=True)

    type: SegmentType
    id: NonBlank
    name: Annotated[str | None, _or_none()] = None


class Membership(BaseModel):
    """A profile was added to, changed in or removed from an audience or journey.

    Attributes
    ----------
    message_id : str or None
        The producer's unique id, else the innermost envelope's; ``None`` where neither gives one.
    profile_id : str
        Never blank.
    identifiers : dict of str to Any
        Partner number or identifier type → what upstream wrote. Of any shape: which ones count, a connector decides.
    variables : dict of str to Any
        As :func:`read_json` has them: numbers are :class:`JsonNumber`, names that come twice :class:`Repeated`.
    occurred_at : datetime or None
        In UTC. The producer's time, else the innermost envelope's; ``None`` where neither gives one.
    """

    model_config = ConfigDict(frozen=True, title="Membership message", alias_generator=to_camel)

    message_id: NonBlank | None = None
    profile_id: NonBlank
    call_type: CallType
    segment: Segment
    connector: ConnectorName = DEFAULT_CONNECTOR
    event_name: EventName | None = None
    identifiers: Map = {}
    variables: Map = {}
    occurred_at: Moment = None


# What `model_validate` calls after a look at its options; every message passes here.
_validate: Callable[[object], Membership] = Membership.__pydantic_validator__.validate_python
_FIELDS = {field.alias or name for name, field in Membership.model_fields.items()}


def membership_of(document: dict[str, Any], envelopes: Sequence[Envelope] = (), position: str = "") -> Membership:
    """Read one message that was found in a body.

    Parameters
    ----------
    document, envelopes, position
        See :class:`~responsys_activation.envelope.Opened`.

    Raises
    ------
    InvalidMessageError
        Anything that keeps it from being a membership; the text names the field.
    """
    if envelopes:
        document = _completed(document, envelopes, position)
    try:
        return _validate(document)
    except ValidationError:
        pass  # what can be mended is looked for here only: every message passes above
    try:
        return Membership.model_validate(_mended(document))
    except ValidationError as exc:
        text = reasons(exc, "body", in_our_words=_IN_OUR_WORDS, most=_REPORTED_ERRORS)
        raise InvalidMessageError(text) from None  # the cause would carry the values


def is_connector_name(name: object) -> TypeGuard[str]:
    """Return whether a message could name a connector so."""
    try:
        _CONNECTOR_NAME.validate_python(name)
    except ValidationError:
        return False
    return True


def _completed(message: dict[str, Any], envelopes: Sequence[Envelope], position: str) -> dict[str, Any]:
    """Add the id and the time that the message does not have, of the innermost envelope that has one.

    The id of an envelope around an array is that of all its messages: what tells them apart is their position in it.
    """
    if message.get("messageId") is None:
        given = (
            message_id + position.removeprefix(envelope.position)
            for envelope in envelopes
            if (message_id := envelope.message_id())
        )
        message = message | {"messageId": next(given, None)}
    if _is_absent(message.get("occurredAt")):
        times = (occurred_at for envelope in envelopes if (occurred_at := envelope.occurred_at()))
        message = message | {"occurredAt": next(times, None)}
    return message


def _is_absent(value: object) -> bool:
    return value is None or (isinstance(value, str) and not value.strip())


def _mended(document: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out what producers write for nothing, and decide on the fields that come twice."""
    once = _each_once(document, _FIELDS, "")
    segment = once.get("segment")
    if isinstance(segment, dict):
        once["segment"] = _each_once(segment, {"type", "id"}, "segment.")
    empty_maps = {name for name in ("identifiers", "variables") if once.get(name) == []}  # PHP's
    return {name: value for name, value in once.items() if value is not None and name not in empty_maps}


def _each_once(given: Mapping[str, Any], fields: Container[str], path: str) -> dict[str, Any]:
    """Take the value of a name that comes twice, if it is one; which one would be meant is never guessed."""
    once = {}
    for name, value in given.items():
        present = [each for each in value.values if each is not None] if isinstance(value, Repeated) else [value]
        if name in fields and not _all_alike(present):
            raise InvalidMessageError(f"{path}{name}: given more than once, with different values; give it once")
        once[name] = present[0] if present else None
    return once


def _all_alike(values: Sequence[Any]) -> bool:
    try:
        return all(value == values[0] for value in values)
    except RecursionError:  # the parser goes deeper than a comparison may
        return False
