"""Does each message of a batch end in one outcome, alone, and is all of it told?"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError

from responsys_activation.connector import read_connector
from responsys_activation.delivery import batch
from responsys_activation.delivery.dispatch import dispatch
from responsys_activation.delivery.result import RequestResult
from responsys_activation.received import MARK, Mark, read_mark
from tests.fakes.account import COUNTERS, REJECTED, SERVICE, THROTTLED, Account, Record, record
from tests.fakes.clock import NOW
from tests.fakes.environment import CONNECTOR_PREFIX, QUEUE_URL
from tests.fakes.memberships import ABSENT
from tests.fakes.parameters import InMemoryParameters
from tests.fakes.responsys import SPOILING, UNKNOWN_RECIPIENT, Fault

# ---- each message for itself


def test_a_batch_of_every_kind_ends_message_by_message() -> None:
    # Given a batch in which much is wrong
    account = Account()
    records = [
        record(1),
        record(2, body="{"),
        record(3, callType="JOIN"),
        record(4, identifiers={}),
        record(5, connector="nowhere"),
        record(6, sent_at=NOW - 86_401),
        record(7, identifiers={"27": str(UNKNOWN_RECIPIENT)}),
        record(8, connector="second"),
        record(9, messageId="once"),
        record(10, messageId="once", profileId="profile-9", identifiers={"27": "9"}),
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


def test_a_batch_with_a_message_that_nothing_is_said_of_is_not_deleted(monkeypatch: pytest.MonkeyPatch) -> None:
    # Given requests of two connectors, of which one is lost on its way
    def all_but_one(*lanes: Any, **limits: Any) -> Iterator[RequestResult]:
        yield from list(dispatch(*lanes, **limits))[1:]

    monkeypatch.setattr(batch, "dispatch", all_but_one)

    # When the batch is delivered / Then it fails as a whole, and so stays on its queue
    account = Account()
    with pytest.raises(RuntimeError, match="2 were received, 1 have an outcome"):
        account.deliver([record(1), record(2, connector="second")])


def test_what_is_too_old_keeps_the_error_that_held_it_up() -> None:
    account = Account()
    mark = Mark(first_sent_at=NOW - 86_401).text()
    held_up = {"outcome": "throttled", "errorCode": "API_LIMIT_EXCEEDED", "attempts": "9", MARK: mark}

    account.deliver([record(1, attributes=held_up, queue="throttled")])

    (entry,) = account.sqs.sent[REJECTED]
    assert entry["MessageAttributes"]["errorCode"]["StringValue"] == "EXPIRED"
    kept = read_mark(entry["MessageAttributes"][MARK]["StringValue"])
    assert kept
    assert kept.last_error_code == "API_LIMIT_EXCEEDED"


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
    calls: list[str] = []

    def fail(service: str, _effect: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        calls.append(service)
        raise EndpointConnectionError(endpoint_url=service)

    account.surroundings.ssm = InMemoryParameters({}, fail)

    delivered = account.deliver([record(1), *(record(n, connector=f"customer-{n}") for n in range(2, 1000))])

    assert delivered.outcomes == {"retried": 999}
    assert {entry["VisibilityTimeout"] for entry in account.sqs.visibility[f"{QUEUE_URL}segment-events"]} == {30}
    assert len(calls) == 1


def test_thousands_of_unknown_connectors_cost_no_time_and_hurt_nobody() -> None:
    # Given Systems Manager at its quota, 40 calls a second, and a producer that puts its customers there
    account = Account()

    def slowly(_service: str, effect: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        account.clock.sleep(0.025)
        return effect()

    account.surroundings.ssm = InMemoryParameters(account.ssm.values, slowly)
    strangers = [record(number, connector=f"customer-{number}") for number in range(10, 5010)]

    # When a batch of them comes with one good message
    delivered = account.deliver([*strangers, record(1)], seconds=180.0)

    # Then that one is delivered, and the others are rejected, in a second
    assert delivered.outcomes == {"delivered": 1, "rejected": 5000}
    assert account.clock() - NOW < 1.0


def test_a_connector_that_is_added_later_is_found_without_a_restart() -> None:
    account = Account()
    environment = account.environment()
    environment.invoke([record(1, connector="later")], 120)
    account.ssm.values[f"{CONNECTOR_PREFIX}later"] = account.ssm.values[f"{CONNECTOR_PREFIX}default"]

    account.clock.sleep(30)
    environment.invoke([record(2, connector="later")], 120)

    assert account.accepted() == {"profile-2": 1}


def test_changed_settings_take_effect_in_an_environment_that_lives_on() -> None:
    # Given an environment that has sent something
    account = Account()
    environment = account.environment()
    environment.invoke([record(1)], 120)

    # When its connector gets another event name, and five minutes are past
    settings = account.ssm.values[f"{CONNECTOR_PREFIX}default"].replace("SEGMENT_CHANGED", "LEFT")
    account.ssm.values[f"{CONNECTOR_PREFIX}default"] = settings
    account.clock.sleep(300)
    environment.invoke([record(2)], 120)

    # Then the next message has it
    assert [event.event_name for event in account.responsys["default"].accepted] == ["SEGMENT_CHANGED", "LEFT"]


# ---- which message it is


@pytest.mark.parametrize(
    "other",
    [
        {"callType": "REMOVE"},
        {"segment": {"type": "AUDIENCE", "id": "other"}},
        {"segment": {"type": "JOURNEY", "id": "aud-42"}},
        {"profileId": "other"},
        {"eventName": "OTHER_EVENT"},
        {"connector": "second"},
    ],
    ids=str,
)
def test_an_id_that_is_used_again_for_something_else_is_another_message(other: dict[str, Any]) -> None:
    account = Account()

    delivered = account.deliver([record(1, messageId="job-7"), record(1, messageId="job-7", **other)])

    assert delivered.outcomes == {"delivered": 2}


def test_an_id_of_a_whole_export_loses_nobody() -> None:
    delivered = Account().deliver([record(number, messageId="export-7") for number in range(1, 201)])

    assert delivered.outcomes == {"delivered": 200}


@pytest.mark.parametrize("resend", [True, False])
def test_a_changed_mapping_sends_nothing_a_second_time(resend: bool) -> None:
    # Given a message that was delivered under its connector's default event
    account = Account(defaultEventName="OLD_EVENT")
    account.deliver([record(1, messageId="m")], resend=resend)

    # When the mapping changes, and SQS hands the message over again
    second = account.ssm.values[f"{CONNECTOR_PREFIX}default"].replace("OLD_EVENT", "NEW_EVENT")
    account.ssm.values[f"{CONNECTOR_PREFIX}default"] = second
    delivered = account.deliver([record(1, messageId="m")], resend=resend)

    # Then it is known
    assert delivered.outcomes == {"duplicate": 1}


def test_attributes_of_a_producer_are_not_taken_for_ours() -> None:
    foreign = {"originalMessageId": "import-7", "outcome": "throttled", "attempts": "7"}

    delivered = Account().deliver([record(number, attributes=foreign) for number in (1, 2)])

    assert delivered.outcomes == {"delivered": 2}


# ---- in which order


IN_ORDER = ["2024-05-01T12:00:01Z", "2024-05-01T12:00:02Z"]


def entering_and_leaving() -> tuple[Record, Record]:
    add = record(1, callType="ADD", occurredAt=IN_ORDER[0])
    of_the_same: dict[str, Any] = {"profileId": "profile-1", "identifiers": {"27": "1"}}
    return add, record(2, callType="REMOVE", occurredAt=IN_ORDER[1], **of_the_same)


def call_types(account: Account) -> list[str]:
    return [event.properties["callType"] for event in account.responsys["default"].accepted]


@pytest.mark.parametrize(
    "fault",
    [
        Fault.CONNECTION_REFUSED,
        Fault.RESET_BEFORE,
        Fault.RESET_AFTER,
        Fault.TIMEOUT_BEFORE,
        Fault.TIMEOUT_AFTER,
        Fault.HTML_503,
        Fault.API_LIMIT,
        Fault.EXCEPTION_BEFORE,
    ],
)
def test_a_change_that_failed_holds_back_the_newer_one_of_its_batch(fault: Fault) -> None:
    # Given a profile that entered and left, and one request that fails
    account = Account()
    once = iter([fault])
    account.responsys["default"].fault = lambda kind: next(once, None) if kind == "event" else None
    add, remove = entering_and_leaving()

    # When both come in one batch
    first = account.deliver([remove, add])

    # Then the leaving shares the entering's outcome, and when both come back, they go in their order
    assert set(first.outcomes.values()) == {2}
    account.clock.sleep(700)
    for each in (add, remove):
        each["attributes"]["ApproximateReceiveCount"] = "2"
    assert account.deliver([remove, add]).outcomes == {"delivered": 2}
    assert call_types(account)[-2:] == ["ADD", "REMOVE"]


def test_a_change_of_another_membership_is_not_held_back() -> None:
    # Given one request in three that fails, the first
    account = Account()
    once = iter([Fault.CONNECTION_REFUSED])
    account.responsys["default"].fault = lambda kind: next(once, None) if kind == "event" else None
    add, remove = entering_and_leaving()
    other = record(3, profileId="profile-1", segment={"type": "JOURNEY", "id": "j"}, identifiers={"27": "1"})

    delivered = account.deliver([add, remove, other])

    assert delivered.outcomes == {"retried": 2, "delivered": 1}
    assert account.responsys["default"].accepted[0].properties["callType"] == "ADD"


def test_a_rejected_change_holds_nothing_back() -> None:
    account = Account()
    add, remove = entering_and_leaving()
    add["body"] = add["body"].replace('"27": "1"', f'"27": "{UNKNOWN_RECIPIENT}"')

    assert account.deliver([add, remove]).outcomes == {"rejected": 1, "delivered": 1}


def come_back(account: Account, queue: str, number: int = 100) -> list[Record]:
    """Return what was put on a queue as SQS hands it over, a minute later."""
    now = account.clock()
    records = []
    for position, entry in enumerate(account.sqs.sent.pop(queue), number):
        attributes = {name: value["StringValue"] for name, value in entry["MessageAttributes"].items()}
        records.append(
            record(position, body=entry["MessageBody"], attributes=attributes, queue="throttled", sent_at=now)
        )
    return records


def test_a_deferral_remembers_when_sqs_first_had_a_message() -> None:
    # Given two changes without a time of their own, received in the other order, and a throttle
    account = Account()
    once = iter([Fault.API_LIMIT])
    account.responsys["default"].fault = lambda kind: next(once, None) if kind == "event" else None
    add = record(1, callType="ADD", sent_at=NOW - 20)
    remove = record(2, profileId="profile-1", identifiers={"27": "1"}, callType="REMOVE", sent_at=NOW - 10)
    assert account.deliver([remove, add]).outcomes == {"throttled": 2}

    # When they come back, again in the other order
    account.clock.sleep(70)
    assert account.deliver(come_back(account, THROTTLED)).outcomes == {"delivered": 2}

    # Then they go in the order in which SQS had them
    assert call_types(account) == ["ADD", "REMOVE"]


def test_what_was_deferred_does_not_undo_what_happened_since() -> None:
    # Given a backlog that has the slots of two minutes, and an entering that is put off
    account = Account(requestsPerMinute=6)
    add, remove = entering_and_leaving()
    settings = read_connector(account.ssm.values[f"{CONNECTOR_PREFIX}default"])
    pace = account.environment().open_pace("default", settings)
    for _ in range(12):
        pace.reserve(lambda: 6, account.clock() + 1000)
    account.clock.now = NOW
    assert account.deliver([add]).outcomes == {"throttled": 1}

    # When the profile leaves, and both have come back, the entering last
    account.clock.sleep(40)
    first = account.deliver([remove])
    account.clock.sleep(200)
    letters = come_back(account, THROTTLED)
    for letter in reversed(letters):
        account.deliver([letter])
        account.clock.sleep(60)

    # Then its last state is that it left
    assert first.outcomes in ({"throttled": 1}, {"delivered": 1})
    assert call_types(account)[-1] == "REMOVE"


def test_a_replayed_change_does_not_undo_what_happened_since() -> None:
    # Given an entering of somebody who was not in the list, and a leaving that was delivered
    account = Account()
    add, remove = entering_and_leaving()
    add["body"] = add["body"].replace('"27": "1"', f'"27": "{UNKNOWN_RECIPIENT}"')
    assert account.deliver([add]).outcomes == {"rejected": 1}
    assert account.deliver([remove]).outcomes == {"delivered": 1}

    # When a person replays the entering
    (letter,) = account.sqs.sent[REJECTED]
    attributes = {name: value["StringValue"] for name, value in letter["MessageAttributes"].items()}
    mark = read_mark(attributes[MARK])
    assert mark
    attributes |= {"outcome": "rejected", MARK: mark._replace(replayed_at=account.clock()).text()}
    replayed = record(7, body=letter["MessageBody"], attributes=attributes, sent_at=account.clock())

    # Then it is ignored
    assert account.deliver([replayed]).outcomes == {"ignored": 1}
    assert call_types(account) == ["REMOVE"]


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
    before = {"originalMessageId": "sqs-1", "outcome": "throttled"}
    copy = record(2, profileId="profile-1", attributes=before, queue="throttled")
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
    # Given an account whose limit was read before (who comes while another reads it goes slowly), and a batch that SQS
    # hands to two environments
    account = Account()
    account.deliver([record(1000)])
    records = [record(number) for number in range(1000, 1450)]
    environments = [account.environment() for _ in range(2)]

    # When both deliver it
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda environment: environment.invoke(records, 120), environments))

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
    throttled.latency = lambda: 0.0  # both lanes' threads move one clock

    # When it ends
    output = account.deliver([record(1), record(2, identifiers={}), record(3, connector="second")]).output

    # Then the counters stand by service, and by connector and event name, with their zeros
    of_event = {"connector": "default", "eventName": "SEGMENT_CHANGED"}
    assert [output.total(name, **SERVICE) for name in ("MessagesReceived", *COUNTERS)] == [3, 1, 0, 1, 1, 0, 0]
    assert [output.total(name, **of_event) for name in ("MessagesReceived", *COUNTERS)] == [2, 1, 0, 0, 1, 0, 0]
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

    assert [output.total(name, **SERVICE) for name in COUNTERS] == [0, 0, 0, 1, 0, 0]


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


# ---- other accounts


@pytest.mark.parametrize(("same_account", "returns"), [(False, {19}), (True, {1, 2, 3})])
def test_a_backlog_makes_way_where_there_are_other_accounts(same_account: bool, returns: set[int]) -> None:
    # Given a connector with ten requests a minute, and a second one, of the same account or of another
    account = Account(requestsPerMinute=10)
    if same_account:
        account.ssm.values[f"{CONNECTOR_PREFIX}second"] = account.ssm.values[f"{CONNECTOR_PREFIX}default"]

    # When a batch comes that needs more requests than have a slot before its end
    account.deliver([record(number) for number in range(4_000)])

    # Then beside another account what has no slot near comes back request by request; alone, the invocation waits for
    # as many slots as it can, and those in flight that get none are told within moments
    assert (account.accepted().total() > 200) is same_account
    letters = account.sqs.sent[THROTTLED]
    assert len({letter["DelaySeconds"] for letter in letters}) in returns
    # And SQS is told whose it is
    assert {letter["MessageGroupId"] for letter in letters} == {"default"}
