"""What does a value of a platform's JSON mean?

Nothing is guessed: what is neither there nor absent is refused by the name of its field, and never quoted.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from responsys_activation.envelope import InvalidMessageError
from responsys_activation.json_text import JsonNumber
from responsys_activation.moment import read_moment

__all__ = ["boolean_of", "first_text", "list_of", "members", "moment_of", "needed_text", "object_of", "text_of"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NUMBER = re.compile(r"[0-9]{1,16}(?:\.[0-9]{1,18})?(?:[eE]\+?[0-9]{1,2})?")
# Seconds from 1973 to 5138, milliseconds from there: so no date without hyphens is taken for seconds.
_FIRST_SECOND, _FIRST_MILLISECOND, _END = Decimal(10**8), Decimal(10**11), Decimal(10**14)
_NOTHING: Mapping[str, Any] = {}


def members(value: object) -> Mapping[str, Any]:
    """Return an object's members; none of what is no object."""
    return value if isinstance(value, dict) else _NOTHING


def list_of(value: object, field: str) -> list[Any]:
    """Return a list; an empty one where there is none.

    Raises
    ------
    InvalidMessageError
        Something else.
    """
    if value is None:
        return []
    if type(value) is not list:
        raise InvalidMessageError(f"{field}: must be a list")
    return value


def object_of(value: object, field: str) -> dict[str, Any]:
    """Return an object.

    Raises
    ------
    InvalidMessageError
        Something else, or nothing.
    """
    if type(value) is not dict:
        raise InvalidMessageError(f"{field}: must be a JSON object")
    return value


def text_of(value: object) -> str | None:
    """Return a text that is not blank, or a number as it was written; ``None`` for anything else."""
    if isinstance(value, JsonNumber):
        return value.text
    return value if isinstance(value, str) and value.strip() else None


def first_text(*values: object) -> str | None:
    """Return the first text or number that there is."""
    return next((text for value in values if (text := text_of(value))), None)


def needed_text(value: object, field: str) -> str:
    """Return a text or number.

    Raises
    ------
    InvalidMessageError
        None, or something else.
    """
    text = text_of(value)
    if text is None:
        is_blank = value is None or isinstance(value, str)
        raise InvalidMessageError(f"{field}: {'is missing' if is_blank else 'must be a text or number'}")
    return text


def boolean_of(value: object, field: str) -> bool:
    """Return a boolean, which some write as a text.

    Raises
    ------
    InvalidMessageError
        Anything else.
    """
    match value:
        case bool():
            return value
        case "true":
            return True
        case "false":
            return False
    raise InvalidMessageError(f"{field}: must be true or false")


def moment_of(value: object, field: str) -> datetime | None:
    """Return a time: ISO 8601, or seconds or milliseconds since 1970 as number or text; ``None`` where there is none.

    Raises
    ------
    InvalidMessageError
        Anything else.
    """
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    text = (text_of(value) or "").strip()
    try:
        return _epoch(text) or read_moment(text)
    except (ValueError, OverflowError):
        raise InvalidMessageError(
            f"{field}: must be a time, in ISO 8601 or as seconds or milliseconds since 1970"
        ) from None


def _epoch(text: str) -> datetime | None:
    if not _NUMBER.fullmatch(text):
        return None
    number = Decimal(text)
    if not _FIRST_SECOND <= number < _END:
        return None
    microseconds = number * (1_000_000 if number < _FIRST_MILLISECOND else 1_000)
    return _EPOCH + timedelta(microseconds=int(microseconds))
