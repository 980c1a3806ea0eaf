"""What would the delivery do with these messages? Nothing is sent, moved, kept or counted.

It is the function's own delivery: its parts read, map, plan and decide as ever. In place of Responsys there is a sender
that sends nothing, in place of SQS a client that takes everything, and nobody is told but the caller.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, cast

from responsys_activation.aws.clients import Clients
from responsys_activation.aws.connectors import ConnectorParameter
from responsys_activation.change import Change
from responsys_activation.connector import Connector
from responsys_activation.delivery.composition import compose_delivery
from responsys_activation.delivery.custom_event import CustomEvent
from responsys_activation.delivery.outcome import Delivered, Duplicate, Ending, Outcome
from responsys_activation.delivery.planning import Outgoing, PlannedRequest
from responsys_activation.delivery.reporting import Reporting
from responsys_activation.delivery.result import RequestResult
from responsys_activation.observability import InvocationMetrics
from responsys_activation.settings import Settings, read_settings

__all__ = ["Rehearsal", "RehearsedRequest", "Terms", "rehearse"]

_QUEUES = "https://sqs.invalid/0/"
_SOURCE, _THROTTLED, _REJECTED = "segment-events", "throttled-dlq", "rejected-dlq"
_SECONDS = 900.0  # as long as an invocation may take


class Terms(NamedTuple):
    """What of the stack's parameters decides on a message.

    Attributes
    ----------
    trusted_endpoint_domains : str
        Separated by commas.
    """

    connector_parameter_prefix: str
    trusted_endpoint_domains: str
    maximum_event_age_hours: str


class RehearsedRequest(NamedTuple):
    """A request that would be made.

    Attributes
    ----------
    settings : Connector
        The connector's.
    """

    connector: str
    event_name: str
    items: Sequence[Outgoing]
    settings: Connector


class Rehearsal(NamedTuple):
    """What would be sent, and what not.

    Attributes
    ----------
    requests : sequence of RehearsedRequest
        In their order.
    endings : sequence of Ending
        How the others would end: of a change that comes twice, the second is a duplicate.
    """

    requests: Sequence[RehearsedRequest]
    endings: Sequence[Ending]


def rehearse(
    records: Sequence[Mapping[str, Any]], connectors: Mapping[str, ConnectorParameter], terms: Terms
) -> Rehearsal:
    """Rehearse the delivery of one batch.

    Parameters
    ----------
    records : sequence of Mapping
        ``Records`` of an SQS event; of a queue's ARN it only counts whether it is a ThrottledDLQ's.
    connectors : Mapping of str to ConnectorParameter
        The settings, by the connector's name.
    """
    report = _Report()
    delivery = compose_delivery(
        read_settings(
            Settings,
            {
                "STACK_NAME": "rehearsal",
                "CONNECTOR_PARAMETER_PREFIX": terms.connector_parameter_prefix,
                "TOKEN_PARAMETER_PREFIX": "/none/",
                "DELIVERY_TABLE_NAME": "none",
                "TRUSTED_ENDPOINT_DOMAINS": terms.trusted_endpoint_domains,
                "SEGMENT_EVENTS_QUEUE_URL": _QUEUES + _SOURCE,
                "THROTTLED_DEAD_LETTER_QUEUE_URL": _QUEUES + _THROTTLED,
                "REJECTED_DEAD_LETTER_QUEUE_URL": _QUEUES + _REJECTED,
                "MAXIMUM_EVENT_AGE_HOURS": terms.maximum_event_age_hours,
                "REQUESTS_IN_FLIGHT": "1",  # so that they come in their order
            },
        ),
        Clients(
            sqs=cast("Any", _Queues()),
            ssm=cast("Any", _Parameters(terms.connector_parameter_prefix, connectors)),
            secrets_manager=cast("Any", None),
            dynamodb=cast("Any", None),
        ),
        reporting=report,
        open_sender=report.open_sender,
    )
    delivery.deliver([_of_our_queues(record) for record in records], time.time() + _SECONDS)
    return Rehearsal(report.requests, report.endings)


class _NoSender:
    """Takes every request for delivered, and of a change that comes twice the second for a duplicate."""

    def __init__(self, connector: str) -> None:
        self._connector = connector
        self._taken: set[tuple[str, str]] = set()

    create = None

    def begin_batch(self) -> None:
        pass

    def send(
        self,
        request: PlannedRequest,
        deadline: float,
        stopped: Callable[[], Outcome | None] = lambda: None,
    ) -> RequestResult:
        return RequestResult(self._connector, request, [self._outcome(item.change) for item in request.items])

    def knows_event(self, event_name: str) -> bool:
        return True

    def _outcome(self, change: Change) -> Outcome:
        key = (change.membership, change.key)
        outcome = Duplicate() if key in self._taken else Delivered()
        self._taken.add(key)
        return outcome


class _Report(Reporting):
    """Keeps what the log and the metrics would be told."""

    def __init__(self) -> None:
        super().__init__(InvocationMetrics("rehearsal"), service="rehearsal")
        self.requests: list[RehearsedRequest] = []
        self.endings: list[Ending] = []
        self._settings: dict[str, Connector] = {}

    def open_sender(self, name: str, connector: Connector) -> _NoSender:
        """Open what stands in the place of a connector's sender."""
        self._settings[name] = connector
        return _NoSender(name)

    def connector_used(self, connector: str, configured_events: Iterable[str], events: Sequence[CustomEvent]) -> None:
        pass

    def request_ended(self, result: RequestResult) -> None:
        outcomes = zip(result.request.items, result.outcomes, strict=True)
        items = tuple(item for item, outcome in outcomes if isinstance(outcome, Delivered))
        if items:
            settings = self._settings[result.connector]
            self.requests.append(RehearsedRequest(result.connector, result.request.event_name, items, settings))

    def batch_ended(self, received: int, endings: Sequence[Ending], seconds: float) -> None:
        self.endings = [ending for ending in endings if not isinstance(ending.outcome, Delivered)]


class _Parameters:
    """An SSM client that has these parameters."""

    def __init__(self, prefix: str, connectors: Mapping[str, ConnectorParameter]) -> None:
        self._parameters = [
            {"Name": prefix + name, "Value": each.text, "Type": "SecureString" if each.encrypted else "String"}
            for name, each in connectors.items()
        ]

    def get_parameters_by_path(self, **_request: Any) -> dict[str, Any]:
        return {"Parameters": self._parameters}


class _Queues:
    """An SQS client that takes everything."""

    def send_message_batch(self, **request: Any) -> dict[str, Any]:
        return {"Successful": [{"Id": entry["Id"]} for entry in request["Entries"]]}

    def change_message_visibility_batch(self, **_request: Any) -> dict[str, Any]:
        return {}


def _of_our_queues(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return a record as if one of our queues had it: it may come from a queue of any name, or from none."""
    is_throttled = str(record.get("eventSourceARN", "")).endswith(_THROTTLED)
    return {"receiptHandle": "none", **record, "eventSourceARN": f"arn:{_THROTTLED if is_throttled else _SOURCE}"}
