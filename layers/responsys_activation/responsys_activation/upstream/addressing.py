"""What is a membership to one connector?

The connector's settings say by which identifier its recipients are found, which variables they want, and which custom
event an audience or journey is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from responsys_activation.connector import Connector
from responsys_activation.membership import DEFAULT_CONNECTOR, Membership
from responsys_activation.upstream.identity import identifier_at
from responsys_activation.upstream.memberships import Part
from responsys_activation.upstream.variables import shaped

__all__ = ["addressed", "event_name", "is_mapped"]


def addressed(part: Part, name: str, connector: Connector) -> Membership:
    """Return the membership with the identifiers and the variables that a connector's settings choose.

    Its id and its own event name stay what upstream said, so that a change of settings sends nothing a second time.

    Parameters
    ----------
    name : str
        The connector's.
    """
    membership = part.membership
    if not (part.platform or connector.identifier_from or connector.variables):
        return membership  # nearly all
    changes: dict[str, Any] = {}
    if part.platform:
        changes["connector"] = name
    if connector.identifier_from:
        places = part.places if part.platform else (_own_place(membership),)
        identifiers = identifier_at(connector.identifier_from, places, connector.identifier_type)
        if identifiers:
            changes["identifiers"] = identifiers
    if connector.variables:
        changes["variables"] = shaped(membership.variables, connector.variables)
    return membership.model_copy(update=changes)


def _own_place(membership: Membership) -> Mapping[str, Any]:
    return {
        "profileId": membership.profile_id,
        "messageId": membership.message_id,
        "identifiers": membership.identifiers,
        "variables": membership.variables,
    }


def event_name(part: Part, name: str, connector: Connector) -> str | None:
    """Name the custom event that a membership is to a connector; ``None`` if its settings name none.

    A platform's segment has none that nobody mapped, but at the connector ``default``, where the platform does not send
    all of its segments anyway.

    Parameters
    ----------
    name : str
        The connector's.
    """
    if part.platform is None:
        return part.membership.event_name or connector.event_name_for(part.membership.segment.id)
    mapped = connector.mapped_event(part.names)
    if mapped or name != DEFAULT_CONNECTOR or part.platform.sends_all_segments:
        return mapped
    return connector.default_event_name


def is_mapped(part: Part, connector: Connector) -> bool:
    """Return whether a connector's ``eventNames`` name the audience or journey of a platform's membership."""
    return connector.mapped_event(part.names) is not None
