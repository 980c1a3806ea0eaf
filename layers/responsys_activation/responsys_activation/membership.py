"""What did upstream say?

Reads one SQS body into a :class:`Membership`: unwraps SNS, EventBridge and CloudEvents envelopes, then validates.
Numbers keep the text they were written with, because Responsys gets them as text.
"""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any, NamedTuple, NoReturn

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetPydanticSchema,
    StringConstraints,
    ValidationError,
    WithJsonSchema,
)
from pydantic_core import core_schema

__all__ = ["CallType", "InvalidMessageError", "JsonNumber", "Membership", "Segment", "read_membership"]

_ENVELOPE_DEPTH = 5  # EventBridge → SNS → SQS is two; more than this is a mistake or an attack
_OWN_FIELDS = frozenset({"profileId", "callType", "segment"})
_REPORTED_ERRORS = 3
# The schema's way to say "in any letter case", which it has no flag for.
_ANY_CASE_SEGMENT_TYPE = r"^([Aa][Uu][Dd][Ii][Ee][Nn][Cc][Ee]|[Jj][Oo][Uu][Rr][Nn][Ee][Yy])$"


class InvalidMessageError(ValueError):
    """The body is not a membership message; the text names the field and never quotes its value."""


class JsonNumber(NamedTuple):
    """A number exactly as the producer wrote it: ``1.10`` stays ``1.10``, 30 digits stay 30 digits."""

    text: str


class CallType(StrEnum):
    """How the profile's membership changed."""

    ADD = "ADD"
    UPDATE = "UPDATE"
    REMOVE = "REMOVE"


def _as_utc(value: datetime) -> datetime:
    return value if value.tzinfo else value.replace(tzinfo=UTC)


def _number_as_text(value: object) -> object:
    return value.text if isinstance(value, JsonNumber) else value


def _safe_segment(value: str) -> str:
    if value in {".", ".."} or not value.strip():
        raise ValueError("blanks, '.' and '..' are no names")
    return value


def _or_say(message: str) -> GetPydanticSchema:
    """Give a reason of our own where a value is refused."""
    return GetPydanticSchema(
        lambda source, handler: core_schema.custom_error_schema(
            handler(source), custom_error_type="refused", custom_error_message=message
        )
    )


def _more_than_digits() -> GetPydanticSchema:
    """Refuse digits, which pydantic would read as epoch seconds: 20240131 as a day in August 1970."""
    return GetPydanticSchema(
        lambda source, handler: core_schema.chain_schema([core_schema.str_schema(pattern="[^-+0-9.]"), handler(source)])
    )


# Every message passes here, so what pydantic checks itself is not left to a function of ours: a call costs as much as
# all of pydantic's work on a field.
NonBlank = Annotated[str, StringConstraints(pattern=r"\S")]
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
SegmentType = Annotated[
    str,
    StringConstraints(to_upper=True, pattern="^(?i:AUDIENCE|JOURNEY)$"),
    _or_say("must be AUDIENCE or JOURNEY"),
    WithJsonSchema({"type": "string", "pattern": _ANY_CASE_SEGMENT_TYPE}),
]
Iso8601 = Annotated[
    datetime,
    _more_than_digits(),
    _or_say("must be an ISO 8601 time such as 2024-01-31T08:30:00Z"),
    AfterValidator(_as_utc),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]


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
    name: str | None = None


class Membership(BaseModel):
    """A profile was added to, changed in or removed from an audience or journey.

    Attributes
    ----------
    message_id : str or None
        The producer's unique id; ``None`` when the producer gives none.
    profile_id : str
        Never blank.
    identifiers : dict of str to str
        Partner number or identifier type → id, as upstream wrote it.
    variables : dict of str to Any
        Parsed JSON values; numbers are :class:`JsonNumber`.
    occurred_at : datetime or None
        Always with a time zone; UTC where upstream gave none.
    """

    model_config = ConfigDict(frozen=True, title="Membership message")

    message_id: Annotated[NonBlank | None, Field(alias="messageId")] = None
    profile_id: Annotated[NonBlank, Field(alias="profileId")]
    call_type: Annotated[CallType, Field(alias="callType")]
    segment: Segment
    connector: ConnectorName = "default"
    event_name: Annotated[EventName | None, Field(alias="eventName")] = None
    identifiers: dict[str, Annotated[str, BeforeValidator(_number_as_text)] | None] = {}
    variables: dict[str, Any] = {}
    occurred_at: Annotated[Iso8601 | None, Field(alias="occurredAt")] = None


def read_membership(body: str) -> Membership:
    """Read one SQS body.

    Parameters
    ----------
    body : str
        JSON, bare or in an SNS, EventBridge or CloudEvents envelope.

    Raises
    ------
    InvalidMessageError
        Anything that keeps the body from being a membership; the text names the field.
    """
    document = _unwrap(_parse(body, "body"))
    given = {name: value for name, value in document.items() if value is not None}  # null stands for absent
    try:
        return Membership.model_validate(given)
    except ValidationError as exc:
        raise InvalidMessageError(_reason(exc)) from None  # the cause would carry the values


def _parse(text: str, field: str) -> dict[str, Any]:
    try:
        document = _decode(text)
    except RecursionError:
        raise InvalidMessageError(f"{field}: nested too deeply") from None
    except ValueError as exc:
        position = f" at character {exc.pos}" if isinstance(exc, json.JSONDecodeError) else ""
        raise InvalidMessageError(f"{field}: not valid JSON{position}") from None
    if not isinstance(document, dict):
        raise InvalidMessageError(f"{field}: must be a JSON object")
    return document


def _refuse_constant(_name: str) -> NoReturn:
    raise ValueError("NaN and Infinity are not JSON")


_decode = json.JSONDecoder(parse_int=JsonNumber, parse_float=JsonNumber, parse_constant=_refuse_constant).decode


def _unwrap(document: dict[str, Any]) -> dict[str, Any]:
    for _ in range(_ENVELOPE_DEPTH + 1):
        if not _OWN_FIELDS.isdisjoint(document):
            return document
        content = next((name for name in ("detail", "data", "data_base64", "Message") if name in document), None)
        if content is None:
            return document
        document = _content(document[content], content)
    raise InvalidMessageError(f"body: more than {_ENVELOPE_DEPTH} envelopes")


def _content(value: object, field: str) -> dict[str, Any]:
    if isinstance(value, dict):
        return value
    if not isinstance(value, str):
        raise InvalidMessageError(f"{field}: must hold the membership message")
    if field == "data_base64":
        try:
            value = base64.b64decode(value, validate=True).decode()
        except ValueError:  # characters, padding or UTF-8
            raise InvalidMessageError(f"{field}: not base64 of UTF-8 text") from None
    return _parse(value, field)


def _reason(exc: ValidationError) -> str:
    """Which fields, and what is wrong with each; neither values nor names that upstream chose."""
    errors = exc.errors(include_url=False, include_input=False, include_context=False)
    reasons = [f"{_field(error['loc'])}: {error['msg']}" for error in errors[:_REPORTED_ERRORS]]
    if len(errors) > _REPORTED_ERRORS:
        reasons.append(f"{len(errors) - _REPORTED_ERRORS} more")
    return "; ".join(reasons)


def _field(location: tuple[int | str, ...]) -> str:
    depth = 2 if location[0] == "segment" else 1
    return ".".join(str(part) for part in location[:depth]) or "body"
