"""What happens to a batch, from its first record to its last outcome?

``received = delivered + duplicate + throttled + rejected + retried + ignored``: each membership, for each connector
that it goes to, ends in one :class:`~responsys_activation.delivery.outcome.Ending`.
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
from responsys_activation.delivery.dispatch import dispatch
from responsys_activation.delivery.lane import Lane
from responsys_activation.delivery.outcome import NOT_KNOWN, Ending, Outcome, Rejected, Retried, Throttled
from responsys_activation.delivery.outcome_feed import OutcomeFeed
from responsys_activation.delivery.planning import Outgoing, PlannedRequest, plan_requests
from responsys_activation.delivery.receiving import Pair, Receiving
from responsys_activation.delivery.reporting import Reporting
from responsys_activation.delivery.result import RequestResult
from responsys_activation.delivery.settling import Settling
from responsys_activation.error_code import ErrorCode
from responsys_activation.responsys.endpoint import TrustedDomains, UntrustedEndpointError
from responsys_activation.upstream.addressing import event_name

__all__ = ["Delivery", "Sender"]

# Kept back from the invocation's time for settling: a call that fails, and what moving a batch to a queue takes.
_SETTLING_SECONDS = SLOWEST_SETTLING_CALL + 2.0
_SETTLED_A_SECOND = 1000
_BETWEEN_PARTS = 1e-6  # seconds by which order tells memberships of one message apart; SQS's times are milliseconds


_LATER = Throttled(
    ErrorCode.BUDGET_EXHAUSTED,
    60.0,
    reason="too many messages of one recipient at once: they go one by one, and the rest comes back by itself",
)


class Sender(Protocol):
    """Sends one connector's requests, or only says what would be sent."""

    @property
    def create(self) -> Callable[[PlannedRequest, float], RequestResult] | None:
        """Creates missing recipients, as :class:`~responsys_activation.delivery.lane.Lane` wants it."""

    def begin_batch(self) -> None:
        """Forget what held for the batch before."""

    def send(
        self, request: PlannedRequest, deadline: float, stopped: Callable[[], Outcome | None] = ...
    ) -> RequestResult:
        """Send one request, as :class:`~responsys_activation.delivery.lane.Lane` wants it."""

    def knows_event(self, event_name: str) -> bool:
        """Return whether the settings name the event, or Responsys took it before."""


class Delivery:
    """Takes batches of membership messages to Responsys.

    Parameters
    ----------
    open_sender : callable
        Gives a connector's sender, from its name and settings; called once for each version of the settings.
    outcome_feed : OutcomeFeed or None
        Who else is told of the outcomes; ``None``: nobody.
    maximum_age : float
        Seconds after which a message that could not be sent is rejected.
    in_flight : int
        Most requests to Responsys at once.
    shortest_request : float
        Seconds that must be left for a request to start.
    """

    def __init__(
        self,
        *,
        receiving: Receiving,
        connector_settings: ConnectorSettings,
        open_sender: Callable[[str, Connector], Sender],
        trusted: TrustedDomains,
        settling: Settling,
        reporting: Reporting,
        outcome_feed: OutcomeFeed | None,
        maximum_age: float,
        in_flight: int,
        shortest_request: float,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._receiving = receiving
        self._connector_settings = connector_settings
        self._open_sender = open_sender
        self._trusted = trusted
        self._settling = settling
        self._reporting = reporting
        self._outcome_feed = outcome_feed
        self._maximum_age = maximum_age
        self._in_flight = in_flight
        self._shortest_request = shortest_request
        self._clock = clock
        self._senders: dict[str, tuple[Connector, Sender]] = {}

    def deliver(self, records: Sequence[Mapping[str, Any]], deadline: float) -> dict[str, Any]:
        """Deliver one batch.

        Parameters
        ----------
        records : sequence of Mapping
            ``Records`` of an SQS event.
        deadline : float
            Epoch seconds at which Lambda ends the invocation.

        Returns
        -------
        dict
            The partial batch response: only what is ``retried`` stays on its queue.

        Raises
        ------
        RuntimeError
            The outcomes do not add up.
        """
        now = self._clock()
        received = list(self._receiving.receive(records, now))
        endings = [each for each in received if isinstance(each, Ending)]
        lanes = [
            self._lane(name, connector, outgoing, endings)
            for name, connector, outgoing in self._map(received, now, endings)
        ]
        for result in dispatch(
            lanes,
            in_flight=self._in_flight,
            deadline=deadline - _SETTLING_SECONDS - len(received) / _SETTLED_A_SECOND,
            shortest_request=self._shortest_request,
            clock=self._clock,
        ):
            self._reporting.request_ended(result)
            endings.extend(_endings_of(result))
        if len(endings) != len(received):
            # A message without an outcome would be deleted. So all come back, and the ledger knows what was sent.
            raise RuntimeError(f"{len(received)} were received, {len(endings)} have an outcome: nothing is deleted")
        settled = self._settling.settle(endings, deadline - SLOWEST_SETTLING_CALL)
        self._reporting.batch_ended(len(received), settled, self._clock() - now)
        if self._outcome_feed:
            self._outcome_feed.tell(settled, deadline)
        retried = dict.fromkeys(each.message.message_id for each in settled if isinstance(each.outcome, Retried))
        return {"batchItemFailures": [{"itemIdentifier": message_id} for message_id in retried]}

    def _map(
        self, received: Iterable[Pair | Ending], now: float, endings: list[Ending]
    ) -> Iterator[tuple[str, Connector, list[Outgoing]]]:
        """Yield each connector with its custom events; what has no connector or no mapping ends here."""
        by_connector: defaultdict[str, list[Pair]] = defaultdict(list)
        for each in received:
            if isinstance(each, Pair):
                by_connector[each.connector].append(each)
        for name, pairs in by_connector.items():
            connector = self._connector(name)
            if not isinstance(connector, Connector):
                endings.extend(
                    Ending(pair.message, connector, name, pair.part.membership.event_name or NOT_KNOWN, part=pair.part)
                    for pair in pairs
                )
                continue
            outgoing: list[Outgoing] = []
            for pair in pairs:
                item = self._outgoing(pair, connector, now)
                if isinstance(item, Outgoing):
                    outgoing.append(item)
                else:
                    event = event_name(pair.part, name, connector)
                    endings.append(Ending(pair.message, item, name, event or NOT_KNOWN, part=pair.part))
            self._reporting.connector_used(name, connector.configured_events, [item.event for item in outgoing])
            yield name, connector, outgoing

    def _outgoing(self, pair: Pair, connector: Connector, now: float) -> Outgoing | Outcome:
        """Return what is sent for a membership, or how it ends that can have nothing."""
        message, part, name = pair
        if now - message.age_from > self._maximum_age:
            return Rejected(ErrorCode.EXPIRED, last_error_code=message.last_error_code)
        membership, arrived_at = part.membership, message.arrived_at
        happened_at = max(0.0, membership.occurred_at.timestamp()) if membership.occurred_at else arrived_at
        try:
            event = custom_event(part, name, connector, happened_at)
        except UnmappableError as exc:
            return Rejected(exc.error_code, str(exc))
        message_id = part.message_id(message.original_message_id)
        change = membership_change(name, membership, message_id, happened_at, arrived_at)
        if message.mark.key:
            in_message = arrived_at + message.mark.position * _BETWEEN_PARTS
            change = change._replace(key=message.mark.key, arrived_at=in_message)
        return Outgoing(message, part, event, change)

    def _connector(self, name: str) -> Connector | Outcome:
        """Return the connector's settings, or how the messages end that name it."""
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
        endings.extend(
            Ending(item.message, _LATER, name, item.event.event_name, part=item.part) for item in plan.put_off
        )
        known = self._senders.get(name)
        if known is None or known[0] != connector:
            known = self._senders[name] = (connector, self._open_sender(name, connector))
        sender = known[1]
        sender.begin_batch()
        return Lane(name, sender.send, deque(plan.requests), create=sender.create, knows_event=sender.knows_event)


def _endings_of(result: RequestResult) -> Iterator[Ending]:
    for position, (item, outcome) in enumerate(zip(result.request.items, result.outcomes, strict=True)):
        if position not in result.goes_on:
            event, request_id = item.event.event_name, result.request.request_id
            yield Ending(item.message, outcome, result.connector, event, request_id, part=item.part)
