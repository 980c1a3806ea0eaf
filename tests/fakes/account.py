"""What is around a batch? Connectors, queues and accounts in memory, and what became of it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

from tests.fakes.clock import NOW, Clock
from tests.fakes.environment import CONNECTOR_PREFIX, QUEUE_URL, Environment, Surroundings
from tests.fakes.function_output import FunctionOutput, captured_output
from tests.fakes.memberships import connector_document, document
from tests.fakes.parameters import InMemoryParameters, InMemorySecrets
from tests.fakes.recording_sqs import RecordingSqs
from tests.fakes.responsys import FakeResponsys

SERVICE = {"service": "segment_events"}
COUNTERS = (
    "EventsDelivered",
    "EventsDuplicate",
    "EventsThrottled",
    "EventsRejected",
    "EventsRetried",
    "EventsIgnored",
)
REJECTED = f"{QUEUE_URL}rejected"
THROTTLED = f"{QUEUE_URL}throttled"

Record = dict[str, Any]


class Account:
    """Connectors ``default`` and ``second``, queues and accounts, in memory."""

    def __init__(self, **changes: Any) -> None:
        self.clock = Clock()
        names = ("default", "second")
        self.responsys = {name: FakeResponsys(self.clock, self.clock.sleep, name) for name in names}
        self.ssm = InMemoryParameters(
            {
                f"{CONNECTOR_PREFIX}{name}": self.settings(
                    **{"authEndpoint": self.responsys[name].login_host, "credentialsSecretId": f"stack/{name}"}
                    | changes
                )
                for name in names
            }
        )
        self.sqs = RecordingSqs()
        self.surroundings = Surroundings(
            ssm=self.ssm,
            secrets=InMemorySecrets(
                {f"stack/{name}": json.dumps({"username": "u", "password": "p"}) for name in names}
            ),
            sqs=self.sqs,
            responsys=self.responsys,
        )

    @staticmethod
    def settings(**changes: Any) -> str:
        return json.dumps(connector_document(**{"requestsPerMinute": 6000} | changes))

    def environment(self, **options: Any) -> Environment:
        return Environment(self.surroundings, clock=self.clock, sleep=self.clock.sleep, **options)

    def deliver(
        self, records: Sequence[Record], *, pairs: int | None = None, seconds: float = 120.0, **options: Any
    ) -> Delivered:
        """Deliver a batch that holds so many pairs of membership and connector; ``None``: one a record."""
        with captured_output() as output:
            response = self.environment(**options).invoke(records, seconds)
        retried = [each["itemIdentifier"] for each in response["batchItemFailures"]]
        return Delivered(len(records) if pairs is None else pairs, retried, output)

    def accepted(self, name: str = "default") -> Counter[str]:
        return Counter(event.properties["profileId"] for event in self.responsys[name].accepted)

    def codes(self, queue: str) -> dict[str, str]:
        """Return the error code of each message that a queue got, by its SQS message id."""
        return {
            entry["MessageAttributes"]["originalMessageId"]["StringValue"]: entry["MessageAttributes"]["errorCode"][
                "StringValue"
            ]
            for entry in self.sqs.sent.get(queue, [])
        }


class Delivered:
    """What one invocation came to."""

    def __init__(self, received: int, retried: list[str], output: FunctionOutput) -> None:
        self.retried = retried
        self.output = output
        counts = {name: output.total(name, **SERVICE) for name in COUNTERS}
        # The outcome law, whatever else a test looks at.
        assert output.total("MessagesReceived", **SERVICE) == received == sum(counts.values())
        assert bool(counts["EventsRetried"]) == bool(retried)
        assert counts["EventsRetried"] >= len(retried) == len(set(retried))
        self.outcomes = {name.removeprefix("Events").lower(): count for name, count in counts.items() if count}


def record(
    number: int = 1,
    *,
    body: str | None = None,
    attributes: dict[str, str] | None = None,
    queue: str = "segment-events",
    sent_at: float = NOW - 5,
    receives: int = 1,
    **changes: Any,
) -> Record:
    fields = {"profileId": f"profile-{number}", "identifiers": {"27": str(number)}} | changes
    return {
        "messageId": f"sqs-{number}",
        "receiptHandle": f"handle-{number}",
        "body": json.dumps(document(**fields)) if body is None else body,
        "attributes": {
            "ApproximateReceiveCount": str(receives),
            "SentTimestamp": str(int(sent_at * 1000)),
            "ApproximateFirstReceiveTimestamp": str(int(NOW * 1000)),
        },
        "messageAttributes": {
            name: {"stringValue": value, "dataType": "String"} for name, value in (attributes or {}).items()
        },
        "eventSourceARN": f"arn:aws:sqs:eu-west-1:123456789012:{queue}",
    }
