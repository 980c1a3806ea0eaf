"""What makes a message the same message?"""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["LedgerKey"]


class LedgerKey(NamedTuple):
    """Connector, event name and message id: what was delivered under one is not sent again."""

    connector: str
    event_name: str
    message_id: str
