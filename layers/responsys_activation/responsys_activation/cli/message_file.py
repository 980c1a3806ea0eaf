"""Which messages are in a file: an SQS event, an array, or one body?"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from responsys_activation.cli.exit_code import CommandError

__all__ = ["read_records", "read_text", "record_of"]

_BLANKS = " \t\n\r"


def read_text(path: str) -> str:
    """Read a file, or standard input for ``-``.

    Raises
    ------
    CommandError
        It cannot be read, or is no text.
    """
    try:
        return sys.stdin.read() if path == "-" else Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        raise CommandError(f"{path}: {exc.strerror if isinstance(exc, OSError) else 'is no UTF-8 text'}.") from None


def read_records(text: str) -> list[dict[str, Any]]:
    """Return the records that the function would get.

    Of an array each element is a message, just as it is written: numbers keep their digits. What is no JSON is a body
    too, for the delivery to say what is wrong with it.
    """
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return [record_of(text, "message 1")]
    match document:
        case {"Records": [_, *_] as records} if all(map(_is_of_sqs, records)):
            return list(records)
        case [_, *_]:
            return [record_of(each, f"message {number}") for number, each in enumerate(_elements(text), 1)]
        case _:
            return [record_of(text, "message 1")]


def record_of(body: str, message_id: str) -> dict[str, Any]:
    """Return the record of a message that no queue has."""
    return {"messageId": message_id, "body": body}


def _is_of_sqs(record: object) -> bool:
    return isinstance(record, dict) and isinstance(record.get("body"), str) and isinstance(record.get("messageId"), str)


def _elements(array: str) -> Iterator[str]:
    """Yield the elements of an array as they are written; a text is the body that it holds."""
    decoder = json.JSONDecoder()
    position = array.index("[") + 1
    while True:
        while array[position] in _BLANKS + ",":
            position += 1
        if array[position] == "]":
            return
        value, end = decoder.raw_decode(array, position)
        yield value if isinstance(value, str) else array[position:end]
        position = end
