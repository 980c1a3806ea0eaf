"""How many custom event requests a minute does the account allow?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import requests

from responsys_activation.responsys.http import get, raise_error
from responsys_activation.responsys.login import Token

__all__ = ["read_event_limit"]

_PATH = "/rest/api/ratelimit"  # without v1.3, unlike all others


def read_event_limit(http: requests.Session, token: Token, *, seconds_left: float) -> int | None:
    """Read the account's limit for triggering custom events.

    Returns
    -------
    int or None
        Requests a minute; ``None`` where the reply names none. How the list is wrapped no source says, so it is
        looked for wherever it is.

    Raises
    ------
    ResponsysError
        The call failed.
    """
    headers = {"Authorization": token.auth_token, "Accept": "application/json"}
    reply = get(http, f"{token.end_point}{_PATH}", headers=headers, seconds_left=seconds_left)
    if reply.status != requests.codes.ok or (isinstance(reply.document, dict) and "errorCode" in reply.document):
        raise_error(reply)
    limits = [
        int(entry["limit"])
        for entry in _entries(reply.document)
        if str(entry.get("resource_path", "")).rstrip("/").endswith("/events/{eventName}")
        and "async" not in str(entry.get("api", "")).lower()
        and str(entry.get("verb", "POST")).upper() == "POST"
        and str(entry.get("limit", "")).isdecimal()
    ]
    return min((limit for limit in limits if limit > 0), default=None)


def _entries(document: Any) -> Iterator[dict[str, Any]]:
    if isinstance(document, list):
        for member in document:
            yield from _entries(member)
    elif isinstance(document, dict):
        if "limit" in document:
            yield document
        else:
            yield from _entries(list(document.values()))
