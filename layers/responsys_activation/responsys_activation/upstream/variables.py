"""Which variables are sent of what is known about a person?"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

from responsys_activation.connector import VariableRules
from responsys_activation.json_text import Repeated

__all__ = ["flattened", "shaped"]

# Longer names nobody configures, and a long one in front of many would fill the memory.
_LONGEST_NAME = 255


def flattened(*holders: Mapping[str, Any], without: Collection[str] = ()) -> dict[str, Any]:
    """Return the members of objects, those of the objects in them under dotted names: ``address.city``.

    Parameters
    ----------
    without : collection of str
        Members of the outermost objects that say nothing about the person.

    Returns
    -------
    dict of str to Any
        In their order. Lists stay what they are, and so does an object whose name has more than 255 characters. Of a
        name that comes twice all values are kept, the first first.
    """
    flat: dict[str, Any] = {}
    # What is next comes last: depth costs memory and no stack.
    pending = [
        (name, value) for holder in reversed(holders) for name, value in reversed(holder.items()) if name not in without
    ]
    while pending:
        name, value = pending.pop()
        if type(value) is dict and len(name) <= _LONGEST_NAME:
            pending += [(f"{name}.{inner}", member) for inner, member in reversed(value.items())]
        else:
            _put(flat, name, value)
    return flat


def shaped(variables: Mapping[str, Any], rules: VariableRules) -> dict[str, Any]:
    """Choose and rename variables as a connector's settings say; see :class:`VariableRules`.

    Two that come to the same name are kept both, in their order: the first that is there is sent, the other counted as
    overridden.
    """
    wanted = None if rules.only is None else _named(rules.only)
    unwanted = _named(rules.omit)
    chosen: dict[str, Any] = {}
    for name, value in variables.items():
        if (wanted is None or wanted(name)) and not unwanted(name):
            _put(chosen, rules.rename.get(name, name), value)
    return chosen


def _named(names: Collection[str]) -> Callable[[str], bool]:
    """Return what is true of names that are listed, or flattened from what is listed."""
    listed, above = frozenset(names), tuple(f"{name}." for name in names)
    return lambda name: name in listed or name.startswith(above)


def _put(variables: dict[str, Any], name: str, value: Any) -> None:
    if name in variables:
        value = Repeated((*_values(variables[name]), *_values(value)))
    variables[name] = value


def _values(value: Any) -> tuple[Any, ...]:
    return value.values if isinstance(value, Repeated) else (value,)
