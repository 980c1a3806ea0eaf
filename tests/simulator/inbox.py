"""What did Responsys accept?

One event for each recipient whose result was `success: true`, in the order of acceptance.
"""

import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

from tests.simulator.event_request import OptionalData, read_records
from tests.simulator.json_model import JsonModel


class InboxEvent(JsonModel):
    """A custom event that one recipient received."""

    sequence_number: int
    account: str
    event_name: str
    identifier_kind: str
    identifier: str
    recipient_id: int
    list_name: str
    properties: list[OptionalData]
    arrived_at_ms: int
    request_id: str | None
    correlation_id: str
    position: int
    """The recipient's place in its request, from 0."""

    def value(self, property_name: str) -> str | None:
        """Return the value of a property, names compared as Responsys does, without regard to case."""
        wanted = property_name.casefold()
        return next((entry["value"] for entry in self.properties if entry["name"].casefold() == wanted), None)


class InboxPage(JsonModel):
    """Part of the inbox, and how many events match in all."""

    total: int
    events: list[InboxEvent]


@dataclass(frozen=True, slots=True)
class AcceptedRequest:
    """A request as it is kept: as it came, and read again only when somebody looks.

    Keeping thousands of parsed recipients would cost the garbage collector more time than all other work.
    """

    first_sequence_number: int
    account: str
    event_name: str
    request_id: str | None
    correlation_id: str
    arrived_at_ms: int
    body: bytes
    accepted_positions: tuple[int, ...]
    recipient_ids: tuple[int, ...]

    def events(self) -> Iterator[InboxEvent]:
        """Return the event of each accepted recipient."""
        records = read_records(self.body)
        accepted = zip(self.accepted_positions, self.recipient_ids, strict=True)
        for sequence_number, (position, recipient_id) in enumerate(accepted, self.first_sequence_number):
            record = records[position]
            identifier = record.recipient.identifiers()[0]
            list_name = record.recipient.list_name
            yield InboxEvent(
                sequence_number=sequence_number,
                account=self.account,
                event_name=self.event_name,
                identifier_kind=identifier.kind,
                identifier=identifier.value,
                recipient_id=recipient_id,
                list_name=(list_name and list_name.object_name) or "",
                properties=record.properties,
                arrived_at_ms=self.arrived_at_ms,
                request_id=self.request_id,
                correlation_id=self.correlation_id,
                position=position,
            )


class Inbox:
    """All accepted events."""

    def __init__(self) -> None:
        self._requests: list[AcceptedRequest] = []
        self._next_sequence_number = 0

    def put(
        self,
        account: str,
        event_name: str,
        request_id: str | None,
        correlation_id: str,
        body: bytes,
        *,
        accepted_positions: tuple[int, ...],
        recipient_ids: tuple[int, ...],
    ) -> None:
        """Keep a request whose recipients at `accepted_positions` were accepted, and their RIIDs."""
        self._requests.append(
            AcceptedRequest(
                first_sequence_number=self._next_sequence_number,
                account=account,
                event_name=event_name,
                request_id=request_id,
                correlation_id=correlation_id,
                arrived_at_ms=time.time_ns() // 1_000_000,
                body=body,
                accepted_positions=accepted_positions,
                recipient_ids=recipient_ids,
            )
        )
        self._next_sequence_number += len(accepted_positions)

    def count(self, account: str | None = None, event_name: str | None = None) -> int:
        """Return the number of events of one account, one event name, or both."""
        return sum(len(request.accepted_positions) for request in self._select(account, event_name))

    def events(
        self, account: str | None = None, event_name: str | None = None, offset: int = 0
    ) -> Iterator[InboxEvent]:
        """Return the events of one account, one event name, or both, without the first `offset`."""
        for request in self._select(account, event_name):
            if offset >= len(request.accepted_positions):
                offset -= len(request.accepted_positions)
                continue
            yield from islice(request.events(), offset, None)
            offset = 0

    def _select(self, account: str | None, event_name: str | None) -> Iterator[AcceptedRequest]:
        return (
            request
            for request in self._requests
            if account in (None, request.account) and event_name in (None, request.event_name)
        )


def count_duplicates(events: Iterable[InboxEvent], property_names: list[str]) -> int:
    """Count the events that repeat an earlier one: same account, event, recipient and values of the properties.

    A recipient is known by the RIID, by whichever identifier an event named them. An event that lacks one of the
    properties is left out.
    """
    seen: Counter[tuple[str | None, ...]] = Counter()
    for event in events:
        values = [event.value(name) for name in property_names]
        if None not in values:
            seen[event.account, event.event_name, str(event.recipient_id), *values] += 1
    return seen.total() - len(seen)
