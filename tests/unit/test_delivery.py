"""Does each message of a batch end in one outcome, alone, and is all of it told?"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError

from tests.fakes.clock import NOW, Clock
from tests.fakes.environment import CONNECTOR_PREFIX, QUEUE_URL, Environment, Surroundings
from tests.fakes.function_output import FunctionOutput, captured_output
from tests.fakes.memberships import ABSENT, connector_document, document
from tests.fakes.parameters import InMemoryParameters, InMemorySecrets
from tests.fakes.recording_sqs import RecordingSqs
from tests.fakes.responsys import SPOILING, UNKNOWN_RECIPIENT, FakeResponsys, Fault

SERVICE = {"service": "segment_events"}
COUNTERS = ("EventsDelivered", "EventsDuplicate", "EventsThrottled", "EventsRejected", "EventsRetried")
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

    def deliver(self, records: Sequence[Record], *, seconds: float = 120.0, **options: Any) -> Delivered:
        with captured_output() as output:
            response = self.environment(**options).delivery.deliver(records, seconds)
        return Delivered(len(records), [each["itemIdentifier"] for each in response["batchItemFailures"]], output)

    def accepted(self, name: str = "default") -> Counter[str]:
        return Counter(event.properties["profileId"] for event in self.responsys[name].accepted)

    def codes(self, queue: str) -> dict[str, str]:
        """Give the error code of each message that a queue got, by its SQS message id."""
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
        assert counts["EventsRetried"] == len(retried)
        self.outcomes = {name.removeprefix("Events").lower(): count for name, count in counts.items() if count}


def record(
    number: int = 1, *, body: str | None = None, attributes: dict[str, str] | None = None, **changes: Any
) -> Record:
    fields = {"profileId": f"profile-{number}", "identifiers": {"27": str(number)}} | changes
    return {
        "messageId": f"sqs-{number}",
        "receiptHandle": f"handle-{number}",
        "body": json.dumps(document(**fields)) if body is None else body,
        "attributes": {
            "ApproximateReceiveCount": "1",
            "SentTimestamp": str(int(NOW * 1000) - 5_000),
            "ApproximateFirstReceiveTimestamp": str(int(NOW * 1000)),
        },
        "messageAttributes": {
            name: {"stringValue": value, "dataType": "String"} for name, value in (attributes or {}).items()
        },
        "eventSourceARN": "arn:aws:sqs:eu-west-1:123456789012:segment-events",
    }


# ---- each message for itself


def test_a_batch_of_every_kind_ends_message_by_message() -> None:
    # Given a batch in which much is wrong
    account = Account()
    long_ago = {"outcome": "throttled", "firstReceivedAt": "2020-01-01T00:00:00Z", "errorCode": "API_LIMIT_EXCEEDED"}
    records = [
        record(1),
        record(2, body="{"),
        record(3, callType="JOIN"),
        record(4, identifiers={}),
        record(5, connector="nowhere"),
        record(6, attributes=long_ago),
        record(7, identifiers={"27": str(UNKNOWN_RECIPIENT)}),
        record(8, connector="second"),
        record(9, messageId="once"),
        record(10, messageId="once"),
    ]

    # When it is delivered
    delivered = account.deliver(records)

    # Then what can be sent is sent, once, and all else waits for a person with its reason
    assert delivered.outcomes == {"delivered": 3, "duplicate": 1, "rejected": 6}
    assert delivered.retried == []
    assert account.accepted("default").total() == 2
    assert account.accepted("second") == {"profile-8": 1}
    assert account.codes(REJECTED) == {
        "sqs-2": "INVALID_MESSAGE",
        "sqs-3": "INVALID_MESSAGE",
        "sqs-4": "NO_IDENTIFIER",
        "sqs-5": "UNKNOWN_CONNECTOR",
        "sqs-6": "EXPIRED",
        "sqs-7": "NO_RECIPIENT_FOUND",
    }


def test_what_is_too_old_keeps_the_error_that_held_it_up() -> None:
    account = Account()
    first = datetime.fromtimestamp(NOW - 86_401, UTC).isoformat()
    held_up = {"outcome": "throttled", "firstReceivedAt": first, "errorCode": "API_LIMIT_EXCEEDED", "attempts": "9"}

    account.deliver([record(1, attributes=held_up)])

    (entry,) = account.sqs.sent[REJECTED]
    assert entry["MessageAttributes"]["errorCode"]["StringValue"] == "EXPIRED"
    assert entry["MessageAttributes"]["lastErrorCode"]["StringValue"] == "API_LIMIT_EXCEEDED"


def test_a_message_without_event_name_needs_one_of_its_connector() -> None:
    account = Account(defaultEventName=ABSENT)

    account.deliver([record(1), record(2, eventName="ENTERED")])

    assert account.codes(REJECTED) == {"sqs-1": "NO_EVENT_NAME"}
    assert [event.event_name for event in account.responsys["default"].accepted] == ["ENTERED"]


@pytest.mark.parametrize(
    ("settings", "code"),
    [
        ("{", "INVALID_CONNECTOR"),
        (Account.settings(profileList=ABSENT), "INVALID_CONNECTOR"),
        (Account.settings(authEndpoint="https://evil.example"), "UNTRUSTED_ENDPOINT"),
        (Account.settings(authEndpoint="http://login5.responsys.net"), "UNTRUSTED_ENDPOINT"),
    ],
)
def test_a_connector_that_cannot_be_used_stops_no_other(settings: str, code: str) -> None:
    account = Account()
    account.ssm.values[f"{CONNECTOR_PREFIX}default"] = settings

    delivered = account.deliver([record(1), record(2, connector="second")])

    assert delivered.outcomes == {"delivered": 1, "rejected": 1}
    assert account.codes(REJECTED) == {"sqs-1": code}
    assert account.responsys["default"].calls == {}


def test_settings_that_cannot_be_read_leave_the_messages_on_the_queue() -> None:
    account = Account()
    account.surroundings.ssm = FailingParameters(account.ssm.values, f"{CONNECTOR_PREFIX}default")

    delivered = account.deliver([record(1), record(2, connector="second")])

    assert delivered.outcomes == {"delivered": 1, "retried": 1}
    assert delivered.retried == ["sqs-1"]
    assert [entry["VisibilityTimeout"] for entry in account.sqs.visibility[f"{QUEUE_URL}segment-events"]] == [30]


class FailingParameters(InMemoryParameters):
    """Parameters of which one is out of reach."""

    def __init__(self, values: dict[str, str], failing: str) -> None:
        super().__init__(values)
        self._failing = failing

    def get_parameter(self, *, Name: str, WithDecryption: bool = False) -> dict[str, Any]:  # noqa: N803
        if Name == self._failing:
            raise EndpointConnectionError(endpoint_url="ssm")
        return super().get_parameter(Name=Name, WithDecryption=WithDecryption)


def test_changed_settings_take_effect_in_an_environment_that_lives_on() -> None:
    # Given an environment that has sent something
    account = Account()
    delivery = account.environment().delivery
    delivery.deliver([record(1)], 120)

    # When its connector gets another event name, and Powertools's cache has run out
    account.ssm.values[f"{CONNECTOR_PREFIX}default"] = account.settings(defaultEventName="LEFT")
    delivery._connector_settings._provider.store.clear()
    delivery.deliver([record(2)], 120)

    # Then the next message has it
    assert [event.event_name for event in account.responsys["default"].accepted] == ["SEGMENT_CHANGED", "LEFT"]


# ---- requests


def test_two_thousand_messages_of_one_event_are_ten_requests_and_one_login() -> None:
    account = Account()

    delivered = account.deliver([record(number) for number in range(1, 2001)])

    assert delivered.outcomes == {"delivered": 2000 - 1, "rejected": 1}  # one of the ids is the unknown one
    assert account.responsys["default"].calls == {"login": 1, "ratelimit": 1, "event": 10}


def test_a_recipients_changes_arrive_in_the_order_in_which_they_happened() -> None:
    account = Account()
    times = ["2024-05-01T12:00:03Z", "2024-05-01T12:00:01Z", "2024-05-01T12:00:02Z"]

    account.deliver(
        [
            record(number, identifiers={"27": "7"}, occurredAt=time, profileId=time)
            for number, time in enumerate(times, 1)
        ]
    )

    assert [event.properties["profileId"] for event in account.responsys["default"].accepted] == sorted(times)
    assert account.responsys["default"].calls["event"] == 3


def test_one_throttle_defers_the_rest_of_its_connector_and_no_other() -> None:
    # Given an account that throttles its second request
    account = Account()
    throttled = account.responsys["default"]
    throttled.fault = lambda kind: Fault.API_LIMIT if kind == "event" and throttled.calls[kind] == 2 else None

    # When a thousand messages and one of another connector come, one request at a time
    records = [record(number) for number in range(1000, 2000)]
    delivered = account.deliver([*records, record(1, connector="second")], in_flight=1)

    # Then two hundred had gone, and the others replay themselves after a minute
    assert delivered.outcomes == {"delivered": 201, "throttled": 800}
    assert throttled.calls["event"] == 2
    assert set(account.codes(THROTTLED).values()) == {"API_LIMIT_EXCEEDED"}
    assert {entry["DelaySeconds"] for entry in account.sqs.sent[THROTTLED]} == {60}


def test_a_deferred_message_is_still_the_same_message() -> None:
    # Given a message that was delivered under its first SQS message id
    account = Account()
    account.deliver([record(1)])

    # When a copy of it comes from ThrottledDLQ, where SQS gave it another id
    copy = record(2, profileId="profile-1", attributes={"originalMessageId": "sqs-1", "outcome": "throttled"})
    delivered = account.deliver([copy])

    # Then it is not sent again
    assert delivered.outcomes == {"duplicate": 1}


def test_without_time_nothing_is_sent_and_everything_stays() -> None:
    account = Account()

    delivered = account.deliver([record(1), record(2)], seconds=8.0)

    assert delivered.retried == ["sqs-1", "sqs-2"]
    assert account.responsys["default"].calls == {}


def test_a_message_that_its_dead_letter_queue_does_not_take_stays_on_its_queue() -> None:
    account = Account()
    account.sqs.down = {REJECTED}

    delivered = account.deliver([record(1), record(2, body="{")])

    assert delivered.outcomes == {"delivered": 1, "retried": 1}
    assert delivered.retried == ["sqs-2"]


@pytest.mark.parametrize("round_number", range(5))
def test_the_same_batch_in_two_environments_at_once_is_sent_once(round_number: int) -> None:
    # Given a batch that SQS hands to two environments
    account = Account()
    records = [record(number) for number in range(1000, 1450)]
    environments = [account.environment().delivery for _ in range(2)]

    # When both deliver it
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda delivery: delivery.deliver(records, 120), environments))

    # Then no recipient has an event twice, and after one more receive none is without
    assert set(account.accepted().values()) <= {1}
    account.deliver(records)
    assert account.accepted() == {f"profile-{number}": 1 for number in range(1000, 1450)}


# ---- what is told


def test_every_metric_of_the_contract_is_written_with_its_dimensions() -> None:
    # Given a delivery with a delivered, a rejected and a throttled message
    account = Account()
    throttled = account.responsys["second"]
    throttled.fault = lambda kind: Fault.API_LIMIT if kind == "event" else None
    throttled.latency = lambda: 0.0  # both are asked at once, and share a clock

    # When it ends
    output = account.deliver([record(1), record(2, identifiers={}), record(3, connector="second")]).output

    # Then the counters stand by service, and by connector and event name, with their zeros
    of_event = {"connector": "default", "eventName": "SEGMENT_CHANGED"}
    assert [output.total(name, **SERVICE) for name in ("MessagesReceived", *COUNTERS)] == [3, 1, 0, 1, 1, 0]
    assert [output.total(name, **of_event) for name in ("MessagesReceived", *COUNTERS)] == [2, 1, 0, 0, 1, 0]
    # And the others by connector
    of_connector = {"connector": "default"}
    assert output.total("Errors", connector="default", errorCode="NO_IDENTIFIER") == 1
    assert output.total("Errors", connector="second", errorCode="API_LIMIT_EXCEEDED") == 1
    assert output.total("ApiRequests", **of_connector) == 1
    assert output.total("RecipientsPerRequest", **of_connector) == 1
    assert output.total("TokenLogins", **of_connector) == 1
    assert output.total("TokenLoginFailures", **of_connector) == 0
    assert output.total("OutcomesUnknown", **of_connector) == 0
    assert output.total("BudgetWait", **of_connector) == pytest.approx(200, abs=1)  # to log in and read the limit
    assert output.total("ApiLatency", **of_connector) == pytest.approx(100, abs=1)
    assert output.total("DeliveryLag", **of_connector) == pytest.approx(5_300, abs=2)
    assert {namespace for namespace, *_ in output.metrics()} == {"ResponsysActivation"}


def test_an_invocation_without_messages_to_send_still_writes_its_zeros() -> None:
    output = Account().deliver([record(1, body="{")]).output

    assert [output.total(name, **SERVICE) for name in COUNTERS] == [0, 0, 0, 1, 0]


def test_a_refused_login_is_counted_for_the_alarm() -> None:
    account = Account()
    account.responsys["default"].fault = lambda kind: Fault.LOGIN_REFUSED if kind == "login" else None

    delivered = account.deliver([record(1)])

    assert delivered.outcomes == {"throttled": 1}
    assert delivered.output.total("TokenLoginFailures", connector="default") == 1
    assert delivered.output.total("TokenLoginFailures", **SERVICE) == 1
    assert account.codes(THROTTLED) == {"sqs-1": "INVALID_CREDENTIALS"}


@pytest.mark.parametrize("fault", [None, *Fault])
def test_nothing_that_is_written_tells_who_a_recipient_is(fault: Fault | None) -> None:
    # Given memberships all of whose values are marked, good ones and bad ones
    account = Account(identifierType="CRM_ID")
    account.surroundings.secrets.values["stack/default"] = json.dumps(
        {"username": "MARK-username", "password": "MARK-password"}
    )
    marked: dict[str, Any] = {
        "messageId": "MARK-message-id",
        "profileId": "MARK-profile",
        "segment": {"type": "AUDIENCE", "id": "MARK-segment", "name": "MARK-segment-name"},
        "identifiers": {"2001": "MARK-customer", "27": "MARK-27", "7001": "MARK-7001"},
        "variables": {"MARK-variable": "MARK-value", "email": "MARK@example.com"},
    }
    wrong: list[dict[str, Any]] = [
        {"callType": "MARK-call"},
        {"identifiers": {"MARK-type": "MARK-customer"}},
        {"identifiers": {"2001": "MARK-one", "CRM_ID": "MARK-two"}},
        {"variables": {"MARK": "\ud800"}},
        {"segment": {"type": "MARK", "id": 4}},
        {"MARK-field": 1, "profileId": ["MARK"]},
        {"variables": {SPOILING: "MARK"}, "messageId": "MARK-spoiling", "identifiers": {"2001": "MARK-spoiling"}},
        {"messageId": "MARK-unknown", "identifiers": {"2001": str(UNKNOWN_RECIPIENT)}},
    ]
    responsys = account.responsys["default"]
    responsys.fault = lambda kind: fault if responsys.calls[kind] == 1 else None
    records = [record(1, **marked)]
    records += [record(number, **marked | change) for number, change in enumerate(wrong, 2)]
    records.append(record(99, body='{"MARK": '))

    # When they are delivered
    delivered = account.deliver(records)

    # Then no line, metric or attribute shows a mark
    written = json.dumps(delivered.output.documents())
    attributes = json.dumps([entry["MessageAttributes"] for sent in account.sqs.sent.values() for entry in sent])
    assert "MARK" not in written
    assert "MARK" not in attributes
