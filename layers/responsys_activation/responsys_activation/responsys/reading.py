"""How is something about the account read? GET calls, which change nothing and may be repeated."""

from __future__ import annotations

from typing import Any

import requests

from responsys_activation.responsys.http import get, raise_error
from responsys_activation.responsys.login import Token

__all__ = ["read_document"]


def read_document(http: requests.Session, token: Token, path: str, *, seconds_left: float) -> Any:
    """Read one document of the account.

    Returns
    -------
    Any
        The parsed JSON; ``None`` when the body is not JSON.

    Raises
    ------
    ResponsysError
        The call failed, or its reply is an error whatever its status.
    """
    headers = {"Authorization": token.auth_token, "Accept": "application/json"}
    reply = get(http, f"{token.end_point}{path}", headers=headers, seconds_left=seconds_left)
    if reply.status != requests.codes.ok or (isinstance(reply.document, dict) and "errorCode" in reply.document):
        raise_error(reply)
    return reply.document
