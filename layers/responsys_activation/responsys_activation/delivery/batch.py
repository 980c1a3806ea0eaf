"""What happens to a batch, from its first record to its last outcome?

``received = delivered + duplicate + throttled + rejected + retried + ignored``: every record ends in one
:class:`~responsys_activation.delivery.settling.Ending`.
"""

from __future__ import annotations

import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol

from responsys_activation.aws.connectors import ConnectorSettings, UnknownConnectorError
from responsys_activation.aws.faults import SLOWEST_SETTLING_CALL, AwsCallError
from responsys_activation.change import membership_change
from responsys_activation.connector import Connector, InvalidConnectorError
from responsys_activation.delivery.custom_event import UnmappableError, custom_event
from responsys_activation.delivery.dispatch import Lane, dispatch
from responsys_activation.delivery.outcome import Outcome, Rejected, Retried, Throttled
from responsys_activation.delivery.planning import Outgoing, PlannedRequest, plan_requests
from responsys_activation.delivery.reporting import Reporting
from responsys_activation.delivery.sending import Answer
from responsys_activation.delivery.settling import NOT_KNOWN, Ending, Settling
from responsys_activation.error_code import ErrorCode
from responsys_activation.membership import InvalidMessageError, Membership, read_membership
from responsys_activation.received import ReceivedMessage, read_record
from responsys_activation.responsys.endpoint import TrustedDomains, UntrustedEndpointError

__all__ = ["Delivery", "Sender"]

# Kept back from the invocation's time for settling: a call that fails, and what moving a batch to a queue takes.
_SETTLING_SECONDS = SLOWEST_SETTLING_CALL + 2.0
_SETTLED_A_SECOND = 1000


_LATER = Throttled(
    ErrorCode.BUDGET_EXHAUSTED,
    60.0,
    reason="too many messages of one recipient at once: they go one by one, and the rest comes back by itself",
)

_Addressed = tuple[ReceivedMessage, Membership]


class Sender(Protocol):
    """Sends one connector's requests, or only says what would be sent."""

    def begin_batch(self) -> None:
        """Forget what held for the batch before."""

    def send(self, request: PlannedRequest, deadline: float, stopped: Callable[[], Outcome | None] = ...) -> Answer:
        """Send one request, as :class:`~responsys_activation.delivery.dispatch.Lane` wants it."""

    def knows_event(self, event_name: str) -> bool:
        """Tell whether the settings name the event, or Responsys took it before."""


class Delivery:
    """Takes batches of membership messages to Responsys.

    Parameters
    ----------
    open_sender : callable
        Gives a connector's sender, from its name and settings; called once for each version of the settings.
    maximum_age : float
        Seconds after which a message that could not be sent is rejected.
    in_flight : int
        Most requests to Responsys at once.
    shortest_request : float
        Seconds that must be left for a request to start.
    throttled_queue : str
        The name of ThrottledDLQ.
    """

    def __init__(
        self,
        *,
        connector_settings: ConnectorSettings,
        open_sender: Callable[[str, Connector], Sender],
        trusted: TrustedDomains,
        settling: Settling,
        reporting: Reporting,
        maximum_age: float,
        in_flight: int,
        shortest_request: float,
        throttled_queue: str,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._connector_settings = connector_settings
        self._open_sender = open_sender
        self._trusted = trusted
        self._settling = settling
        self._reporting = reporting
        self._maximum_age = maximum_age
        self._in_flight = in_flight
        self._shortest_request = shortest_request
        self._throttled_queue = throttled_queue
        self._clock = clock
        self._senders: dict[str, tuple[Connector, Sender]] = {}

    def deliver(self, records: Sequence[Mapping[str, Any]], seconds_left: float) -> dict[str, Any]:
        """Deliver one batch.

        Parameters
        ----------
        records : sequence of Mapping
            ``Records`` of an SQS event.
        seconds_left : float
            Until Lambda ends the invocation.

        Returns
        -------
        dict
            The partial batch response: only what is ``retried`` stays on its queue.
        """
        now = self._clock()
        deadline = now + seconds_left - _SETTLING_SECONDS - len(records) / _SETTLED_A_SECOND
        endings: list[Ending] = []
        lanes = [
            self._lane(name, connector, outgoing, endings)
            for name, connector, outgoing in self._map(self._read(records, now, endings), now, endings)
        ]
        for answer in dispatch(
            lanes,
            in_flight=self._in_flight,
            deadline=deadline,
            shortest_request=self._shortest_request,
            clock=self._clock,
        ):
            self._reporting.request_ended(answer)
            endings.extend(
                Ending(item.message, outcome, answer.connector, item.event.event_name, answer.request.request_id)
                for item, outcome in zip(answer.request.items, answer.outcomes, strict=True)
            )
        settled = self._settling.settle(endings, now + seconds_left - SLOWEST_SETTLING_CALL)
        self._reporting.batch_ended(len(records), settled, self._clock() - now)
        retried = [ending.message.message_id for ending in settled if isinstance(ending.outcome, Retried)]
        return {"batchItemFailures": [{"itemIdentifier": message_id} for message_id in retried]}

    def _read(self, records: Sequence[Mapping[str, Any]], now: float, endings: list[Ending]) -> Iterator[_Addressed]:
        """Yield the readable memberships; the others end here."""
        for record in records:
            message = read_record(record, now, self._throttled_queue)
            try:
                membership = read_membership(message.body)
            except InvalidMessageError as exc:
                endings.append(Ending(message, Rejected(ErrorCode.INVALID_MESSAGE, str(exc))))
                continue
            yield message, membership

    def _map(
        self, addressed: Iterable[_Addressed], now: float, endings: list[Ending]
    ) -> Iterator[tuple[str, Connector, list[Outgoing]]]:
        """Yield each connector with its custom events; what has no connector or no mapping ends here."""
        by_connector: defaultdict[str, list[_Addressed]] = defaultdict(list)
        for pair in addressed:
            by_connector[pair[1].connector].append(pair)
        for name, items in by_connector.items():
            connector = self._connector(name)
            if not isinstance(connector, Connector):
                endings.extend(
                    Ending(message, connector, name, membership.event_name or NOT_KNOWN)
                    for message, membership in items
                )
                continue
            outgoing: list[Outgoing] = []
            for message, membership in items:
                item = self._outgoing(message, membership, connector, now)
                if isinstance(item, Outgoing):
                    outgoing.append(item)
                else:
                    event_name = membership.event_name or connector.event_name_for(membership.segment.id)
                    endings.append(Ending(message, item, name, event_name or NOT_KNOWN))
            self._reporting.connector_used(name, connector.configured_events, [item.event for item in outgoing])
            yield name, connector, outgoing

    def _outgoing(
        self, message: ReceivedMessage, membership: Membership, connector: Connector, now: float
    ) -> Outgoing | Outcome:
        """Give what is sent for a message, or how it ends that can have nothing."""
        if now - message.age_from > self._maximum_age:
            return Rejected(ErrorCode.EXPIRED, last_error_code=message.last_error_code)
        arrived_at = message.arrived_at
        happened_at = max(0.0, membership.occurred_at.timestamp()) if membership.occurred_at else arrived_at
        try:
            event = custom_event(membership, connector, happened_at)
        except UnmappableError as exc:
            return Rejected(exc.error_code, str(exc))
        message_id = membership.message_id or message.original_message_id
        change = membership_change(membership.connector, membership, message_id, happened_at, arrived_at)
        return Outgoing(message, event, change)

    def _connector(self, name: str) -> Connector | Outcome:
        """Give the connector's settings, or how the messages end that name it."""
        try:
            connector = self._connector_settings.read(name)
            self._trusted.base_url(connector.auth_endpoint)
        except UnknownConnectorError as exc:
            return Rejected(ErrorCode.UNKNOWN_CONNECTOR, str(exc))
        except InvalidConnectorError as exc:
            return Rejected(ErrorCode.INVALID_CONNECTOR, f"connector {name}: {exc}")
        except UntrustedEndpointError as exc:
            return Rejected(ErrorCode.UNTRUSTED_ENDPOINT, f"connector {name}: authEndpoint: {exc}")
        except AwsCallError:
            return Retried(ErrorCode.AWS_UNAVAILABLE)
        return connector

    def _lane(self, name: str, connector: Connector, outgoing: Sequence[Outgoing], endings: list[Ending]) -> Lane:
        plan = plan_requests(outgoing)
        endings.extend(Ending(item.message, _LATER, name, item.event.event_name) for item in plan.put_off)
        known = self._senders.get(name)
        if known is None or known[0] != connector:
            known = self._senders[name] = (connector, self._open_sender(name, connector))
        sender = known[1]
        sender.begin_batch()
        return Lane(name, sender.send, deque(plan.requests), knows_event=sender.knows_event)
