"""Which change of which membership is it, and which of two is the newer?"""

from __future__ import annotations

import hashlib
from typing import NamedTuple

from responsys_activation.membership import Membership

__all__ = ["Change", "membership_change"]


class Change(NamedTuple):
    """One change of a profile's membership of one segment, in one connector.

    Attributes
    ----------
    membership : str
        Hash of connector, profile, segment type and segment id: changes of the same membership have an order.
    key : str
        Hash of call type, the message's own event name and its id: what was delivered under one ``membership`` and
        ``key`` is not sent again. The event name that a mapping makes of it is no part, so that a changed mapping
        sends nothing a second time.
    happened_at, arrived_at : float
        Epoch seconds: when the membership changed, and when SQS first had the message.
    """

    membership: str
    key: str
    call_type: str
    happened_at: float
    arrived_at: float

    @property
    def order(self) -> tuple[float, float]:
        """Greater for the newer of two changes of one membership."""
        return self.happened_at, self.arrived_at


def membership_change(
    connector: str, membership: Membership, message_id: str, happened_at: float, arrived_at: float
) -> Change:
    """Name a change; what may be personal in it is hashed.

    Parameters
    ----------
    message_id : str
        The producer's id of the message, else that of its envelope, else SQS's.
    """
    segment, call_type = membership.segment, membership.call_type.value
    return Change(
        _digest(connector, membership.profile_id, segment.type, segment.id),
        _digest(call_type, membership.event_name or "", message_id),
        call_type,
        happened_at,
        arrived_at,
    )


def _digest(*parts: str) -> str:
    # With their lengths: no part can be written so that it reads as two.
    text = "".join([f"{len(part)}:{part}" for part in parts])
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
