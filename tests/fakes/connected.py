"""What does a planned request meet? A connector's sender, with Responsys and the table in memory."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

from responsys_activation.change import membership_change
from responsys_activation.delivery.outcome import Outcome
from responsys_activation.delivery.planning import Outgoing, PlannedRequest
from responsys_activation.delivery.result import RequestResult
from responsys_activation.delivery.sending import RequestSender
from responsys_activation.received import Mark, ReceivedMessage
from responsys_activation.upstream.memberships import Part
from tests.fakes.clock import NOW, Clock
from tests.fakes.dynamodb import InMemoryDynamoDb
from tests.fakes.environment import Environment, Surroundings
from tests.fakes.memberships import connector, event_of, membership
from tests.fakes.parameters import InMemoryParameters, InMemorySecrets
from tests.fakes.recording_sqs import RecordingSqs
from tests.fakes.responsys import SPOILING, FakeResponsys, Fault
from tests.fakes.told_metrics import ToldMetrics

_CONNECTOR = connector()  # one for all that is outgoing, thousands of them


class Connected:
    """A connector whose account and table are in memory, and as many environments as a test asks for."""

    def __init__(
        self, *, resend: bool = True, maximum_resends: int = 2, requests_per_minute: int | None = 600, **settings: Any
    ) -> None:
        self.clock = Clock()
        self.responsys = FakeResponsys(self.clock, self.clock.sleep)
        self.table = InMemoryDynamoDb()
        self.surroundings = Surroundings(
            ssm=InMemoryParameters({}),
            secrets=InMemorySecrets({"stack/default": json.dumps({"username": "u", "password": "p"})}),
            sqs=RecordingSqs(),
            responsys={"default": self.responsys},
            table=self.table,
        )
        self.resend = resend
        self.maximum_resends = maximum_resends
        self.told = ToldMetrics()
        self.connector = connector(requestsPerMinute=requests_per_minute, **settings)

    def environment(self) -> Environment:
        return Environment(
            self.surroundings,
            clock=self.clock,
            sleep=self.clock.sleep,
            resend=self.resend,
            metrics=self.told,
            MAXIMUM_RESENDS=str(self.maximum_resends),
        )

    def sender(self) -> RequestSender:
        return self.environment().open_sender("default", self.connector)

    def send(
        self, request: PlannedRequest, *, seconds: float = 110.0, sender: RequestSender | None = None
    ) -> RequestResult:
        return (sender or self.sender()).send(request, self.clock() + seconds)

    def deliveries(self) -> Counter[str]:
        return Counter(event.properties["mark"] for event in self.responsys.accepted)

    def fail_event(self, *faults: Fault | None) -> None:
        """Let the next event requests go wrong, one fault each."""
        first = self.responsys.calls["event"] + 1
        planned = dict(enumerate(faults, first))
        self.responsys.fault = lambda kind: planned.get(self.responsys.calls["event"]) if kind == "event" else None


def outgoing(
    number: int,
    *,
    attempts: int = 1,
    recipient: int | None = None,
    spoiling: bool = False,
    happened_at: float = NOW,
    mark: Mark | None = None,
    **changes: Any,
) -> Outgoing:
    variables = {"mark": f"m{number}"} | ({SPOILING: "yes"} if spoiling else {})
    identifiers = {"27": str(recipient or 1000 + number)}
    fields = {"variables": variables, "identifiers": identifiers, "profileId": f"profile-{number}"} | changes
    given = membership(**fields)
    event = event_of(given, _CONNECTOR)
    message = ReceivedMessage(
        message_id=f"sqs-{number}",
        original_message_id=f"sqs-{number}",
        receipt_handle="handle",
        body="{}",
        queue_name="segment-events",
        receive_count=attempts,
        attempts=attempts,
        arrived_at=NOW,
        age_from=NOW,
        first_received_at=NOW,
        came_back=attempts > 1 or mark is not None,
        last_error_code="",
        mark=mark or Mark(),
    )
    return Outgoing(message, Part(given), event, membership_change("default", given, f"m{number}", happened_at, NOW))


def request_of(*items: Outgoing) -> PlannedRequest:
    return PlannedRequest(items[0].event.event_name, 1, list(items))


def planned(count: int, spoiling: Sequence[int] = (), **changes: Any) -> PlannedRequest:
    return request_of(*(outgoing(number, spoiling=number in spoiling, **changes) for number in range(count)))


def is_told(outcome: Outcome, kind: type[Outcome], code: str) -> bool:
    return isinstance(outcome, kind) and getattr(outcome, "error_code", None) == code
