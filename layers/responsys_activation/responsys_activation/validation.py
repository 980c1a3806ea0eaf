"""What is wrong with what somebody wrote? A model's refusal as text: fields in the words of their writer, no value."""

from __future__ import annotations

import re
from collections.abc import Mapping

from pydantic import ValidationError

__all__ = ["reasons"]

# By pydantic's type of an error, for people who write JSON and no Python.
_IN_OUR_WORDS = {
    "missing": "is missing",
    "extra_forbidden": "is not a known field",
    "model_type": "must be a JSON object",
    "string_type": "must be a text",
    "bool_type": "must be true or false",
    "tuple_type": "must be a list",
}
_SUBJECT = re.compile(r"^[A-Z][a-z]+ should ")
_OF_OUR_VALIDATORS = "Value error, "


def reasons(
    exc: ValidationError, whole: str, *, in_our_words: Mapping[str, str] | None = None, most: int | None = None
) -> str:
    """Say which fields a model refuses, and why.

    Parameters
    ----------
    whole : str
        What a reason is about that concerns no single field.
    in_our_words : Mapping of str to str or None
        What to say for some of pydantic's types of error.
    most : int or None
        How many fields are named, and the others counted; ``None``: all are named.
    """
    errors = exc.errors(include_url=False, include_input=False, include_context=False)
    words = _IN_OUR_WORDS | dict(in_our_words or {})
    named = [
        f"{'.'.join(map(str, error['loc'])) or whole}: {words.get(error['type']) or _must(error['msg'])}"
        for error in errors[:most]
    ]
    return "; ".join(named + ([f"{len(errors) - most} more"] if most and len(errors) > most else []))


def _must(message: str) -> str:
    return _SUBJECT.sub("must ", message.removeprefix(_OF_OUR_VALIDATORS))
