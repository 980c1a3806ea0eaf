"""How is what tells of a person made unrecognisable, so that output can be passed on?"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any

__all__ = ["masked", "without_personal_data"]

_ADDRESS = re.compile(r"[^\s@\"'<>,;:]+@[^\s@\"'<>,;:]+")
_SHOWN = 2  # characters at either end
_SHORTEST_SHOWN = 8  # of a shorter value the ends would tell too much
_SHORTEST_FOUND = 5  # a shorter identifier stands within many texts that have nothing to do with it


def masked(value: str) -> str:
    """Return the ends and the length of a value: enough to see whether digits are missing."""
    ends = f"{value[:_SHOWN]}…{value[-_SHOWN:]}" if len(value) >= _SHORTEST_SHOWN else "…"
    return f"{ends} ({len(value)} characters)"


def without_personal_data(node: Any, known: Collection[str] = ()) -> Any:
    """Return a JSON document whose texts hold neither e-mail addresses nor known identifiers.

    Parameters
    ----------
    known : collection of str
        Identifiers; a text that contains one is masked as a whole.
    """
    match node:
        case str():
            if any(each == node or (len(each) >= _SHORTEST_FOUND and each in node) for each in known):
                return masked(node)
            return _ADDRESS.sub(lambda match: masked(match[0]), node)
        case Mapping():
            return {name: without_personal_data(value, known) for name, value in node.items()}
        case list() | tuple():
            return [without_personal_data(each, known) for each in node]
        case _:
            return node
