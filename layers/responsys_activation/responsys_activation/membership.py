"""What did upstream say?

Reads one SQS body into a :class:`Membership`: unwraps SNS, EventBridge and CloudEvents envelopes, then validates.
Numbers keep the text they were written with, because Responsys gets them as text.
"""

from __future__ import annotations

import base64
import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any, Literal, NoReturn

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    WithJsonSchema,
)

__all__ = ["CallType", "InvalidMessageError", "JsonNumber", "Membership", "Segment", "read_membership"]

_ENVELOPE_DEPTH = 5  # EventBridge → SNS → SQS is two; more than this is a mistake or an attack
_OWN_FIELDS = frozenset({"profileId", "callType", "segment"})
_REPORTED_ERRORS = 3
# The schema's way to say "in any letter case", which it has no flag for.
_ANY_CASE_SEGMENT_TYPE = r"^([Aa][Uu][Dd][Ii][Ee][Nn][Cc][Ee]|[Jj][Oo][Uu][Rr][Nn][Ee][Yy])$"
_NUMERIC = re.compile(r"[-+]?[0-9.]*")


class InvalidMessageError(ValueError):
    """The body is not a membership message; the text names the field and never quotes its value."""


@dataclass(frozen=True, slots=True)
class JsonNumber:
    """A number exactly as the producer wrote it: ``1.10`` stays ``1.10``, 30 digits stay 30 digits."""

    text: str


class CallType(StrEnum):
    """How the profile's membership changed."""

    ADD = "ADD"
    UPDATE = "UPDATE"
    REMOVE = "REMOVE"


def _upper(value: object) -> object:
    return value.upper() if isinstance(value, str) else value


def _not_epoch(value: object) -> object:
    # pydantic would read digits as epoch seconds, and so 20240131 as a day in August 1970.
    if isinstance(value, str) and _NUMERIC.fullmatch(value):
        raise ValueError("must be an ISO 8601 time such as 2024-01-31T08:30:00Z")
    return value


def _as_utc(value: datetime) -> datetime:
    return value if value.tzinfo else value.replace(tzinfo=UTC)


def _number_as_text(value: object) -> object:
    return value.text if isinstance(value, JsonNumber) else value


def _none_as_empty(value: object) -> object:
    return {} if value is None else value


def _none_as_default(value: object) -> object:
    return "default" if value is None else value


def _safe_segment(value: str) -> str:
    if value in {".", ".."} or not value.strip():
        raise ValueError("blanks, '.' and '..' are no names")
    return value


NonBlank = Annotated[str, StringConstraints(pattern=r"\S")]
# One path segment of the request: what could leave the segment or break a header is refused here.
EventName = Annotated[
    str,
    StringConstraints(pattern=r"^[^\x00-\x1f\x7f-\x9f/\\\ufffe\uffff]{1,200}$"),
    AfterValidator(_safe_segment),
]
# Becomes the last part of an SSM parameter name.
ConnectorName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}$")]


class Segment(BaseModel):
    """The audience or journey."""

    model_config = ConfigDict(frozen=True)

    type: Annotated[
        Literal["AUDIENCE", "JOURNEY"],
        BeforeValidator(_upper),
        WithJsonSchema({"type": "string", "pattern": _ANY_CASE_SEGMENT_TYPE}),
    ]
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
    connector: Annotated[ConnectorName, BeforeValidator(_none_as_default)] = "default"
    event_name: Annotated[EventName | None, Field(alias="eventName")] = None
    identifiers: Annotated[
        dict[str, Annotated[str | None, BeforeValidator(_number_as_text)]], BeforeValidator(_none_as_empty)
    ] = {}
    variables: Annotated[dict[str, Any], BeforeValidator(_none_as_empty)] = {}
    occurred_at: Annotated[
        Annotated[datetime, BeforeValidator(_not_epoch), AfterValidator(_as_utc)] | None, Field(alias="occurredAt")
    ] = None


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
    try:
        return Membership.model_validate(document)
    except ValidationError as exc:
        raise InvalidMessageError(_reason(exc)) from None  # the cause would carry the values


def _parse(text: str, field: str) -> dict[str, Any]:
    try:
        document = json.loads(text, parse_int=JsonNumber, parse_float=JsonNumber, parse_constant=_refuse_constant)
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
