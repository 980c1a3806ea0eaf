"""How many custom event requests a minute does the account allow?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import requests

from responsys_activation.responsys.login import Token
from responsys_activation.responsys.reading import read_document

__all__ = ["account_requests_per_minute", "read_event_limit"]

_PATH = "/rest/api/ratelimit"  # without v1.3, unlike all others
# The rest is for the account's other users. Of what is ours the budget leaves a twentieth too, for requests that are
# late, so that 90 % of the account's limit is used and no minute has more than 95 % of it.
_OUR_SHARE = 0.95
# Where the account names no limit. Oracle's published default for high-volume functions is 200; half of it is safe.
_WITHOUT_LIMIT = 100.0


def account_requests_per_minute(limit: int | None, wanted: int | None) -> float:
    """Give what no minute of all our requests to the account exceeds.

    Parameters
    ----------
    limit : int or None
        The account's; ``None``: it names none.
    wanted : int or None
        The connector's ``requestsPerMinute``: more than our share of the limit, but never more than the limit.
    """
    if limit is None:
        return wanted or _WITHOUT_LIMIT
    return min(limit, max(limit * _OUR_SHARE, wanted or 0))


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
    limits = [
        int(entry["limit"])
        for entry in _entries(read_document(http, token, _PATH, seconds_left=seconds_left))
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
