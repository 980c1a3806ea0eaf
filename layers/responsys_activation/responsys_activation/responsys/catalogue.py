"""What does the account have, and how many requests does it allow? Its documents, read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from responsys_activation.error_code import ErrorCode
from responsys_activation.responsys.errors import UnavailableError

__all__ = ["KnownList", "read_event_limit", "read_event_names", "read_profile_lists"]


@dataclass(frozen=True, slots=True, order=True)
class KnownList:
    """A profile list as the account has it."""

    name: str
    folder: str


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


def read_event_limit(document: Any) -> int | None:
    """Read how many custom event requests are allowed per minute; ``None`` where no limit is named.

    How the list is wrapped no source says, so it is looked for wherever it is.
    """
    limits = [
        int(entry["limit"])
        for entry in _limits(document)
        if str(entry.get("resource_path", "")).rstrip("/").endswith("/events/{eventName}")
        and "async" not in str(entry.get("api", "")).lower()
        and str(entry.get("verb", "POST")).upper() == "POST"
        and str(entry.get("limit", "")).isdecimal()
    ]
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
