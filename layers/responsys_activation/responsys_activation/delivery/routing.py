"""To which connectors does a platform's membership go?

Pure. An audience or journey has connectors added to it: those whose ``eventNames`` name it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from responsys_activation.connector import Connector, InvalidConnectorError
from responsys_activation.delivery.outcome import Ignored, Rejected, Throttled
from responsys_activation.error_code import ErrorCode
from responsys_activation.membership import DEFAULT_CONNECTOR
from responsys_activation.upstream import part as upstream
from responsys_activation.upstream.addressing import event_name, is_mapped
from responsys_activation.upstream.memberships import Part
from responsys_activation.upstream.platform import Platform

__all__ = ["route"]

_UNTIL_READABLE = 300.0  # seconds; the contract says that a change of settings takes effect within five minutes


def route(
    part: Part, platform: Platform, connectors: Mapping[str, Connector | InvalidConnectorError]
) -> Sequence[str] | Throttled | Rejected | Ignored:
    """Choose the connectors of a platform's membership, or say how it ends where there is none.

    Parameters
    ----------
    connectors : Mapping
        All there are, by name, and why the settings of some cannot be used.
    """
    mapped = [name for name, each in connectors.items() if isinstance(each, Connector) and is_mapped(part, each)]
    if mapped:
        return mapped
    for name, each in connectors.items():
        if isinstance(each, InvalidConnectorError):
            return Throttled(ErrorCode.INVALID_CONNECTOR, _UNTIL_READABLE, reason=_unreadable(name, each))
    if platform.sends_all_segments:
        ignored = upstream.Ignored(platform, "segment not mapped")
        return Ignored(ignored.code, f"no connector's eventNames name this segment of {platform}, which sends them all")
    default = connectors.get(DEFAULT_CONNECTOR)
    if isinstance(default, Connector) and event_name(part, DEFAULT_CONNECTOR, default):
        return [DEFAULT_CONNECTOR]
    return Rejected(
        ErrorCode.NO_EVENT_NAME,
        f"eventNames: no connector names this segment of {platform}, "
        f"and connector {DEFAULT_CONNECTOR} has no defaultEventName",
    )


def _unreadable(name: str, why: InvalidConnectorError) -> str:
    return f"connector {name}: {why}; until that is mended nobody knows whether it names this segment, as no other does"
