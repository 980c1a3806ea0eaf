"""Which recipients share a request, and in what order do requests go?

Pure. Requests are limited, recipients are not: a full request is worth 200 times as much as one with one recipient.
"""

from __future__ import annotations

import uuid
from bisect import insort
from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from responsys_activation.change import Change
from responsys_activation.delivery.custom_event import CustomEvent
from responsys_activation.received import ReceivedMessage
from responsys_activation.responsys.events import MAXIMUM_RECIPIENTS, MAXIMUM_REQUEST_BYTES
from responsys_activation.upstream.memberships import Part

__all__ = [
    "MAXIMUM_WAVES",
    "Outgoing",
    "Plan",
    "PlannedCreation",
    "PlannedRequest",
    "plan_requests",
]

# One recipient's messages go one by one, each in a request of its own unless others fill it up: a placeholder id in
# thousands of messages must not use up the account's minute.
MAXIMUM_WAVES = 12


class Outgoing(NamedTuple):
    """A message that has become a custom event.

    Attributes
    ----------
    part : Part
        The membership as it came.
    """

    message: ReceivedMessage
    part: Part
    event: CustomEvent
    change: Change


@dataclass(slots=True)
class PlannedRequest:
    """One request: one event name, no recipient twice.

    Attributes
    ----------
    wave : int
        All requests of a wave may be in flight together; a wave starts when the one before it has ended.
    request_id : str
        Sent as ``X-Request-Id`` and logged; further HTTP requests for the same messages append a number.
    """

    event_name: str
    wave: int
    items: list[Outgoing] = field(default_factory=list)
    size: int = 0
    request_id: str = field(default_factory=lambda: uuid.uuid4().hex)

    def take_out(self, positions: Collection[int]) -> PlannedRequest:
        """Take items out, and return them as a request that will not be sent."""
        out = PlannedRequest(self.event_name, self.wave, [self.items[position] for position in positions])
        self.items = [item for position, item in enumerate(self.items) if position not in positions]
        return out

    def has_room_for(self, size: int) -> bool:
        """Return whether the request stays within Responsys's limits with one more recipient of ``size`` bytes."""
        return len(self.items) < MAXIMUM_RECIPIENTS and self.size + size <= MAXIMUM_REQUEST_BYTES


class PlannedCreation(PlannedRequest):
    """Messages whose recipients are to be created before they can go: of any event, as many as one merge takes."""


class Plan(NamedTuple):
    """What a batch becomes.

    Attributes
    ----------
    requests : list of PlannedRequest
        By wave.
    put_off : list of Outgoing
        Later messages of recipients that have more than ``MAXIMUM_WAVES`` of them.
    """

    requests: list[PlannedRequest]
    put_off: list[Outgoing]


def plan_requests(items: Sequence[Outgoing]) -> Plan:
    """Group one connector's messages into as few requests as their order allows.

    The changes of a membership, and the messages of a recipient, go in order, each in a later wave than the one before
    it. A message takes the first open request of its event that its recipient's order allows. So later waves fill up
    with recipients who could have gone earlier, and fewer requests stay part-filled.
    """
    last_wave: defaultdict[str, int] = defaultdict(int)
    last_wave_of_membership: defaultdict[str, int] = defaultdict(int)
    open_requests: defaultdict[str, list[PlannedRequest]] = defaultdict(list)
    planned: list[PlannedRequest] = []
    put_off: list[Outgoing] = []
    in_order = sorted(items, key=lambda item: item.change.order)
    for item, latest in zip(in_order, _latest_waves(in_order), strict=True):
        event, size = item.event, len(item.event.recipient_json) + 1
        membership = item.change.membership  # its recipient may be another by now
        if latest is None:
            put_off.append(item)
            continue
        earliest = max(last_wave[event.recipient], last_wave_of_membership[membership]) + 1
        candidates = open_requests[event.event_name]  # by wave
        for request in candidates:
            if earliest <= request.wave <= latest and request.has_room_for(size):
                break
        else:
            request = PlannedRequest(event.event_name, earliest)
            planned.append(request)
            insort(candidates, request, key=_wave)
        request.items.append(item)
        request.size += size
        last_wave[event.recipient] = last_wave_of_membership[membership] = request.wave
        if len(request.items) == MAXIMUM_RECIPIENTS:
            candidates.remove(request)
    return Plan(sorted(planned, key=_wave), put_off)


def _latest_waves(in_order: Sequence[Outgoing]) -> list[int | None]:
    """Return the last wave that each message may take and leave one for each that follows it.

    Returns
    -------
    list of (int or None)
        ``None`` where more than ``MAXIMUM_WAVES`` would be needed; whatever follows such a message is put off, too.
    """
    turns: list[int] = []
    last: defaultdict[str, int] = defaultdict(int)
    last_of_membership: defaultdict[str, int] = defaultdict(int)
    for item in in_order:
        recipient, membership = item.event.recipient, item.change.membership
        turns.append(max(last[recipient], last_of_membership[membership]) + 1)
        last[recipient] = last_of_membership[membership] = turns[-1]
    if max(turns, default=0) <= 1:  # nothing follows anything, as in nearly all batches
        return [MAXIMUM_WAVES] * len(turns)
    latest: list[int | None] = []
    follower: dict[str, int] = {}
    follower_in_membership: dict[str, int] = {}
    for item, turn in zip(reversed(in_order), reversed(turns), strict=True):
        recipient, membership = item.event.recipient, item.change.membership
        if turn > MAXIMUM_WAVES:
            latest.append(None)
            continue
        beyond = MAXIMUM_WAVES + 1
        wave = min(follower.get(recipient, beyond), follower_in_membership.get(membership, beyond)) - 1
        follower[recipient] = follower_in_membership[membership] = wave
        latest.append(wave)
    return latest[::-1]


def _wave(request: PlannedRequest) -> int:
    return request.wave
