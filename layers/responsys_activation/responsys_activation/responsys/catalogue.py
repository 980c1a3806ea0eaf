"""What does the account have, and how many requests does it allow? Its documents, read."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from responsys_activation.error_code import ErrorCode
from responsys_activation.responsys.errors import UnavailableError

__all__ = ["KnownList", "Limits", "read_event_names", "read_limits", "read_profile_lists"]

# Its placeholders in braces, whatever they are called. What comes after a question mark chooses another function.
_EVENT_PATH = re.compile(r"/events/\{[^/{}]*\}/?$", re.IGNORECASE)
_MEMBERS_PATH = re.compile(r"/lists/\{[^/{}]*\}/members/?$", re.IGNORECASE)
_ASYNCHRONOUS = re.compile(r"async", re.IGNORECASE)
_HIGH_AVAILABILITY = re.compile(r"(?<![A-Za-z])(?:[Hh]a(?![a-z])|HA(?![A-Z]{2}))")  # haApi, "HA Merge List Recipients"
_NO_MERGE = re.compile(r"retrieve|delete", re.IGNORECASE)  # of many members: the path and verb of the merge


@dataclass(frozen=True, slots=True, order=True)
class KnownList:
    """A profile list as the account has it."""

    name: str
    folder: str


class Limits(NamedTuple):
    """How many requests per minute an account allows, by function; ``None`` where it names no limit."""

    events: int | None = None
    asynchronous_events: int | None = None
    list_merges: int | None = None


def read_event_names(document: Any) -> frozenset[str]:
    """Read the names of the account's custom events.

    Raises
    ------
    UnavailableError
        The document is not a list.
    """
    return frozenset(str(row["eventName"]) for row in _rows(document) if row.get("eventName"))


def read_profile_lists(document: Any) -> frozenset[KnownList]:
    """Read the account's profile lists and the folder of each, with the error of :func:`read_event_names`."""
    rows = _rows(document)
    return frozenset(KnownList(str(row["name"]), str(row.get("folderName") or "")) for row in rows if row.get("name"))


def read_limits(document: Any) -> Limits:
    """Read how many requests per minute the account allows.

    How the list is wrapped and how a function is named no source says, so it is looked for wherever it is. A function
    of the same path for another purpose is told by its name.
    """
    posts = [entry for entry in _limits(document) if str(entry.get("verb", "POST")).upper() == "POST"]
    events = _of(_EVENT_PATH, posts)
    merges = [entry for entry in _of(_MEMBERS_PATH, posts) if not _named(entry, _NO_MERGE)]
    return Limits(
        events=_least(events, lambda entry: not _named(entry, _ASYNCHRONOUS)),
        asynchronous_events=_least(events, lambda entry: _named(entry, _ASYNCHRONOUS)),
        list_merges=_least(merges, lambda entry: not _named(entry, _ASYNCHRONOUS)),
    )


def _of(path: re.Pattern[str], entries: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the entries of a path, but for those of the other hosts that are for high availability."""
    return [
        entry
        for entry in entries
        if path.search(str(entry.get("resource_path", ""))) and not _named(entry, _HIGH_AVAILABILITY)
    ]


def _named(entry: dict[str, Any], pattern: re.Pattern[str]) -> bool:
    return any(pattern.search(str(entry.get(field, ""))) for field in ("api", "description", "resource_path"))


def _least(entries: Iterable[dict[str, Any]], wanted: Callable[[dict[str, Any]], bool]) -> int | None:
    limits = [int(entry["limit"]) for entry in entries if wanted(entry) and str(entry.get("limit", "")).isdecimal()]
    return min((limit for limit in limits if limit > 0), default=None)


def _rows(document: Any) -> list[dict[str, Any]]:
    if not isinstance(document, list):
        raise UnavailableError(ErrorCode.OTHER_ERROR, title="the reply is not a list")
    return [row for row in document if isinstance(row, dict)]


def _limits(document: Any) -> Iterator[dict[str, Any]]:
    if isinstance(document, list):
        for member in document:
            yield from _limits(member)
    elif isinstance(document, dict):
        if "limit" in document:
            yield document
        else:
            yield from _limits(list(document.values()))
