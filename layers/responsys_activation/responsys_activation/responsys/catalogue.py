"""Which custom events and profile lists does the account have?"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import requests

from responsys_activation.error_code import ErrorCode
from responsys_activation.responsys.errors import RequestRefusedError, UnavailableError
from responsys_activation.responsys.http import API_PATH
from responsys_activation.responsys.login import Token
from responsys_activation.responsys.reading import read_document

__all__ = ["KnownList", "read_event_names", "read_profile_lists"]


@dataclass(frozen=True, slots=True, order=True)
class KnownList:
    """A profile list as the account has it."""

    name: str
    folder: str


def read_event_names(http: requests.Session, token: Token, *, seconds_left: float) -> frozenset[str]:
    """Read the names of the account's custom events.

    Raises
    ------
    ResponsysError
        The call failed, or its reply is not a list.
    """
    rows = _rows(
        lambda: read_document(http, token, f"{API_PATH}/events", seconds_left=seconds_left),
        none_code="CUSTOM_EVENT_NOT_FOUND",
    )
    return frozenset(str(row["eventName"]) for row in rows if row.get("eventName"))


def read_profile_lists(http: requests.Session, token: Token, *, seconds_left: float) -> frozenset[KnownList]:
    """Read the account's profile lists and the folder of each.

    Raises
    ------
    ResponsysError
        The call failed, or its reply is not a list.
    """
    rows = _rows(
        lambda: read_document(http, token, f"{API_PATH}/lists", seconds_left=seconds_left),
        none_code="LIST_NOT_FOUND",
    )
    return frozenset(KnownList(str(row["name"]), str(row.get("folderName") or "")) for row in rows if row.get("name"))


def _rows(read: Callable[[], Any], *, none_code: str) -> Iterator[dict[str, Any]]:
    """Give the objects of the reply; an account that has none answers with an error."""
    try:
        document = read()
    except RequestRefusedError as exc:
        if exc.code == none_code:
            return iter(())
        raise
    if not isinstance(document, list):
        raise UnavailableError(ErrorCode.OTHER_ERROR, title="the reply is not a list")
    return (row for row in document if isinstance(row, dict))
