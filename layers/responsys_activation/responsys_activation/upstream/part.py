"""What is known of each membership that a platform tells of?"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from responsys_activation.json_text import compact_json
from responsys_activation.membership import DEFAULT_CONNECTOR, CallType, Membership, Segment
from responsys_activation.upstream.platform import Platform

__all__ = ["Around", "Document", "Ignored", "Reading", "Said", "Unit", "told"]

Document = dict[str, Any]


class Around(NamedTuple):
    """What is known of a document from what is around it.

    Attributes
    ----------
    arrived_at : float
        Epoch seconds when SQS first had the message.
    message_id : str or None
        The innermost envelope's that has one.
    occurred_at : datetime or None
        Likewise, in UTC.
    """

    arrived_at: float
    message_id: str | None = None
    occurred_at: datetime | None = None


class Said(NamedTuple):
    """One membership, in our words.

    Attributes
    ----------
    membership : Membership
        Of no connector yet.
    names : tuple of str
        What ``eventNames`` may call its segment: id, key, name, the first that is there counts.
    places : tuple of Mapping
        Where ``identifierFrom`` looks, the nearest to the person first.
    given_id : str or None
        The id that the platform gave its message, else that of its envelope.
    """

    membership: Membership
    names: tuple[str, ...]
    places: tuple[Mapping[str, Any], ...]
    given_id: str | None


class Ignored(NamedTuple):
    """A platform's message that is about no membership.

    Attributes
    ----------
    kind : str
        What it is: one of a few words, whatever upstream writes.
    """

    platform: Platform | None
    kind: str

    @property
    def code(self) -> str:
        """Both as an error code is written: ``SEGMENT_PAGE``."""
        return "_".join(re.findall(r"[A-Z0-9]+", str(self).upper()))

    def __str__(self) -> str:
        return f"{self.platform} {self.kind}" if self.platform else self.kind


# How to write the smallest document in the platform's words that says the same of one membership alone, and how to read
# it. Reading raises InvalidMessageError, and then what is wrong concerns this one only. Both wait until they are asked:
# what is known of a person, once for each of a thousand segments, would fill the memory.
Reading = tuple[Callable[[], Document], Callable[[], Said]]


class Unit(NamedTuple):
    """The audience, cohort or journey, as a platform names it.

    Attributes
    ----------
    other_names : tuple of (str or None)
        By which it may be mapped besides its id, in this order.
    """

    id: str
    name: str | None = None
    other_names: tuple[str | None, ...] = ()
    type: str = "AUDIENCE"


def told(
    platform: Platform,
    unit: Unit,
    *,
    profile_id: str,
    call_type: CallType,
    operation: Sequence[str],
    message_id: str | None,
    occurred_at: datetime | None,
    identifiers: dict[str, Any],
    variables: dict[str, Any],
    places: tuple[Mapping[str, Any], ...],
    around: Around,
) -> Said:
    """Write in our words what a platform says of a membership.

    Parameters
    ----------
    operation : sequence of str
        The platform's own word for what happened, and what else tells apart two messages of one id.
    message_id : str or None
        The platform's. Without one the membership's time stands for it, then the envelope's id. Profile, segment and
        call type count as well, see :func:`~responsys_activation.change.membership_change`.
    occurred_at : datetime or None
        The membership's own time.
    """
    which = message_id or (occurred_at.isoformat() if occurred_at else around.message_id)
    membership = Membership.model_construct(
        message_id=compact_json([platform.value, which, *operation]) if which else None,
        profile_id=profile_id,
        call_type=call_type,
        segment=Segment.model_construct(type=unit.type, id=unit.id, name=unit.name),
        connector=DEFAULT_CONNECTOR,
        event_name=None,
        identifiers=identifiers,
        variables=variables,
        occurred_at=occurred_at or around.occurred_at,
    )
    names = dict.fromkeys(name for name in (unit.id, *unit.other_names, unit.name) if name)
    return Said(membership, tuple(names), places, message_id or around.message_id)
