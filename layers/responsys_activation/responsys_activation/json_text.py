"""What does a JSON text say, to the letter?

Numbers keep the text they were written with, because Responsys gets them as text. A name that comes twice in an object
keeps all its values: what that means, the reader of the object knows.
"""

from __future__ import annotations

import json
import re
from json.encoder import encode_basestring as _unicode  # what the encoder itself uses for a text
from typing import Any, NamedTuple, NoReturn

__all__ = ["JsonNumber", "Repeated", "compact_json", "read_json", "sendable", "write_json"]

_CONSTANTS = {True: "true", False: "false", None: "null"}
_UNSENDABLE = re.compile("[\ud800-\udfff\ufffe\uffff]")  # what UTF-8 or SQS does not take as it is


class JsonNumber(NamedTuple):
    """A number exactly as the producer wrote it: ``1.10`` stays ``1.10``, 30 digits stay 30 digits."""

    text: str


class Repeated(NamedTuple):
    """The values of a name that comes more than once in its object, as they came."""

    values: tuple[Any, ...]


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) == len(pairs):
        return members
    values: dict[str, list[Any]] = {}
    for name, value in pairs:
        values.setdefault(name, []).append(value)
    return {name: each[0] if len(each) == 1 else Repeated(tuple(each)) for name, each in values.items()}


def _refuse_constant(_name: str) -> NoReturn:
    raise ValueError("NaN and Infinity are not JSON")


_raw_decode = json.JSONDecoder(
    object_pairs_hook=_object, parse_int=JsonNumber, parse_float=JsonNumber, parse_constant=_refuse_constant
).raw_decode


def read_json(text: str) -> Any:
    """Read a JSON text.

    Returns
    -------
    Any
        As :func:`json.loads` has it, but for :class:`JsonNumber` and, as a member of an object, :class:`Repeated`.

    Raises
    ------
    ValueError
        Not JSON; a :class:`json.JSONDecodeError` where a position is known.
    RecursionError
        Nested too deeply.
    """
    text = text.strip(" \t\n\r")
    value, end = _raw_decode(text)  # a fifth faster than `decode`, which looks for blanks with a regular expression
    if end != len(text):
        raise json.JSONDecodeError("Extra data", text, end)
    return value


def compact_json(value: Any) -> str:
    """Write what :func:`read_json` has read, without spaces; of a name that comes twice the first value.

    Raises
    ------
    RecursionError
        Nested deeper than Python code may go; the reader goes deeper.
    """
    if isinstance(value, str):
        return _unicode(value)
    kind = type(value)  # one look each: the patterns of a match take twice as long, and every list passes here
    if kind is JsonNumber:
        return value.text  # type: ignore[no-any-return]
    if kind is dict:
        return f"{{{','.join([f'{_unicode(name)}:{compact_json(member)}' for name, member in value.items()])}}}"
    if kind is list:
        return f"[{','.join(map(compact_json, value))}]"
    if kind is Repeated:
        return compact_json(value.values[0])
    return _CONSTANTS[value]


def write_json(value: Any) -> str:
    """Write what :func:`read_json` has read so that it reads the same: of a name that comes twice every value.

    At any depth, without spaces, and as text that SQS takes.
    """
    texts: list[str] = []
    pending: list[tuple[bool, Any]] = [(False, value)]  # the last is next; whether it is written already
    while pending:
        is_written, each = pending.pop()
        if is_written:
            texts.append(each)
        elif type(each) is dict:
            members = [
                (f"{_unicode(name)}:", member)
                for name, members in each.items()
                for member in (members.values if isinstance(members, Repeated) else (members,))
            ]
            texts.append("{")
            pending += reversed(_in_brackets(members, "}"))
        elif type(each) is list:
            texts.append("[")
            pending += reversed(_in_brackets([("", member) for member in each], "]"))
        else:
            texts.append(compact_json(each))
    return sendable("".join(texts))


def sendable(text: str) -> str:
    """Return a JSON text that reads the same, and that SQS takes."""
    return _UNSENDABLE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _in_brackets(members: list[tuple[str, Any]], closing: str) -> list[tuple[bool, Any]]:
    parts: list[tuple[bool, Any]] = []
    for name, member in members:
        parts += ((True, f",{name}" if parts else name), (False, member))
    return [*parts, (True, closing)]
