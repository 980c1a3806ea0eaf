"""How are the values of options read?"""

from __future__ import annotations

import math
from argparse import ArgumentTypeError
from datetime import UTC, datetime, timedelta
from typing import Any

from responsys_activation.json_text import read_json
from responsys_activation.moment import read_moment

__all__ = ["json_object", "names", "number", "since", "whole_number"]

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def names(text: str) -> list[str]:
    """Read one name, or several with commas."""
    found = [name.strip() for name in text.split(",")]
    if not all(found):
        raise ArgumentTypeError("must be a name, or several with commas between them")
    return found


def number(text: str) -> float:
    """Read a number above 0."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise ArgumentTypeError(f"must be a number above 0, not {text!r}")
    return value


def whole_number(text: str) -> int:
    """Read a whole number above 0."""
    if not text.isdecimal() or not int(text):
        raise ArgumentTypeError(f"must be a whole number above 0, not {text!r}")
    return int(text)


def json_object(text: str) -> dict[str, Any]:
    """Read a JSON object; numbers stay as they are written."""
    try:
        document = read_json(text)
    except (ValueError, RecursionError) as exc:
        raise ArgumentTypeError(f"must be a JSON object: {exc}") from None
    if not isinstance(document, dict):
        raise ArgumentTypeError("must be a JSON object")
    return document


def since(text: str) -> datetime:
    """Read how long ago, as ``10m``, ``2h`` or ``1d``, or a time in ISO 8601."""
    try:
        if text[:-1].isdecimal() and text[-1] in _UNITS:
            return datetime.now(UTC) - timedelta(**{_UNITS[text[-1]]: int(text[:-1])})
        return read_moment(text)
    except (ValueError, OverflowError):
        forms = "30s, 10m, 2h or 1d, or a time such as 2026-11-23T17:00:00Z"
        raise ArgumentTypeError(f"must be like {forms}, not {text!r}") from None
