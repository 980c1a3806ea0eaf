"""Which change of which membership is it, and which of two is the newer?"""

from __future__ import annotations

from hashlib import blake2b
from typing import NamedTuple

from responsys_activation.membership import Membership

__all__ = ["Change", "change_key", "membership_change"]


class Change(NamedTuple):
    """One change of a profile's membership of one segment, in one connector.

    Attributes
    ----------
    membership : str
        Hash of connector, profile, segment type and segment id: changes of the same membership have an order.
    key : str
        Hash of call type, the message's own event name and its id: what was delivered under one ``membership`` and
        ``key`` is not sent again. The event name that a mapping gives is not part of it, so that a changed mapping
        sends nothing a second time.
    happened_at, arrived_at : float
        Epoch seconds: when the membership changed, and when SQS first had the message. Of one message with
        several memberships, each later one counts as some microseconds later.
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
    """Return the change that a message describes; whatever may be personal is hashed.

    Parameters
    ----------
    message_id : str
        The producer's id of the message, else that of its envelope, else SQS's.
    """
    profile_id, segment = membership.profile_id, membership.segment
    # Lengths come before the parts, so that no text can be read as two others.
    whose = f"{len(connector)},{len(profile_id)},{segment.type},{connector}{profile_id}{segment.id}"
    which = change_key(membership, message_id)
    return Change(_digest(whose), which, membership.call_type.value, happened_at, arrived_at)


def change_key(membership: Membership, message_id: str) -> str:
    """Name what tells two changes of one membership apart: :attr:`Change.key`."""
    event_name = membership.event_name or ""
    return _digest(f"{membership.call_type},{len(event_name)},{event_name}{message_id}")


def _digest(text: str) -> str:
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
