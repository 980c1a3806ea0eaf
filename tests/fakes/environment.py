"""What does the function compose, with AWS and Responsys in memory? One execution environment."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from responsys_activation.aws.clients import Clients
from responsys_activation.delivery.composition import DeliveryComposition
from responsys_activation.observability import InvocationMetrics
from responsys_activation.responsys.http import HttpSession
from responsys_activation.settings import Settings, read_settings
from tests.fakes.dynamodb import InMemoryDynamoDb
from tests.fakes.parameters import InMemoryParameters, InMemorySecrets
from tests.fakes.recording_event_bridge import RecordingEventBridge
from tests.fakes.responsys import FakeResponsys

QUEUE_URL = "https://sqs.eu-west-1.amazonaws.com/123456789012/"
CONNECTOR_PREFIX = "/stack/connectors/"


@dataclass
class Surroundings:
    """What environments share.

    Attributes
    ----------
    responsys : Mapping of str to FakeResponsys
        The accounts, each with hosts of its own.
    sqs : Any
        A client; messages come from ``segment-events`` and ``throttled``, and go to ``throttled`` and ``rejected``.
    """

    ssm: InMemoryParameters
    secrets: InMemorySecrets
    sqs: Any
    responsys: Mapping[str, FakeResponsys]
    table: InMemoryDynamoDb = field(default_factory=InMemoryDynamoDb)
    events: RecordingEventBridge = field(default_factory=RecordingEventBridge)


class Environment(DeliveryComposition):
    """One environment: the function's own composition."""

    def __init__(
        self,
        around: Surroundings,
        *,
        clock: Callable[[], float],
        sleep: Callable[[float], None],
        resend: bool = True,
        in_flight: int = 4,
        metrics: InvocationMetrics | None = None,
        jitter: Callable[[], float] = lambda: 0.0,
        **settings: str,
    ) -> None:
        read = read_settings(
            Settings,
            {
                "STACK_NAME": "stack",
                "CONNECTOR_PARAMETER_PREFIX": CONNECTOR_PREFIX,
                "TOKEN_PARAMETER_PREFIX": "/stack/tokens/",
                "DELIVERY_TABLE_NAME": around.table.table,
                "TRUSTED_ENDPOINT_DOMAINS": "responsys.net",
                "SEGMENT_EVENTS_QUEUE_URL": f"{QUEUE_URL}segment-events",
                "THROTTLED_DEAD_LETTER_QUEUE_URL": f"{QUEUE_URL}throttled",
                "REJECTED_DEAD_LETTER_QUEUE_URL": f"{QUEUE_URL}rejected",
                "REQUESTS_IN_FLIGHT": str(in_flight),
                "UNKNOWN_OUTCOME": "Resend" if resend else "Reject",
                **settings,
            },
        )
        http = HttpSession(read.reply_seconds)
        for account in around.responsys.values():
            for host in (account.login_host, account.end_point):
                http.mount(host, account)
        super().__init__(
            read,
            Clients(
                sqs=around.sqs,
                ssm=cast("Any", around.ssm),
                secrets_manager=cast("Any", around.secrets),
                dynamodb=cast("Any", around.table),
                events=around.events if read.feeds_outcomes else None,
            ),
            http=http,
            metrics=metrics,
            clock=clock,
            sleep=sleep,
            jitter=jitter,
        )

    def invoke(self, records: Sequence[Mapping[str, Any]], seconds: float) -> dict[str, Any]:
        """Invoke the function, which Lambda ends in so many seconds."""
        return self.delivery.deliver(records, self._clock() + seconds)
