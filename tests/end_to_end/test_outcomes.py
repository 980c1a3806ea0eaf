"""Does a message of every outcome end as the contract says, queues and attributes included?"""

import json
from collections import Counter
from datetime import UTC, datetime, timedelta

from responsys_activation.error_code import ERROR_CODES
from tests.end_to_end.connector_under_test import EVENT, ConnectorUnderTest, message_ids
from tests.end_to_end.observing import (
    REJECTED,
    SEGMENT_EVENTS,
    THROTTLED,
    attributes,
    held_on_throttled_queue,
    invoke,
    rejected,
    settle,
    sqs_event,
    waiting,
)
from tests.local_stack.queues import take_all
from tests.local_stack.repeating import eventually
from tests.local_stack.stack import LocalStack
from tests.simulator.faults import ErrorReply

CONTRACT = {
    "outcome",
    "errorCode",
    "connector",
    "eventName",
    "originalMessageId",
    "attempts",
    "firstReceivedAt",
    "reason",
    "responsysActivation",
}


def oddly_spaced(connector: ConnectorUnderTest, **changes: object) -> str:
    """Make a body that no encoder would write the same way again."""
    variables = {"MESSAGE_ID": "odd", "GREETING": 'Zoë 🎈 "日本"', "TAB": "a\tb", "PRICE": 1}
    text = json.dumps(connector.message(variables=variables, **changes), ensure_ascii=False, indent=3)
    return f"\n {text.replace('1', '1', 1)}\t\r\n ".replace('"PRICE": 1', '"PRICE" :1.500')


def test_a_delivered_message_is_an_event_in_responsys_and_gone_from_the_queues(
    stack: LocalStack, connector: ConnectorUnderTest
) -> None:
    # Given a message with values of every kind
    variables = {
        "MESSAGE_ID": "kinds",
        "TEXT": "Grüße, 世界 🎈",
        "EMPTY": "",
        "PRICE": 0.10,
        "COUNT": 12345678901234567890,
        "MEMBER": True,
        "NOTHING": None,
        "TAGS": ["a", 1, {"b": None}],
        "CALLTYPE": "spoofed",
    }
    message = connector.message(callType="UPDATE", variables=variables)

    # When it is published
    connector.publish([json.dumps(message)])
    settle(stack)

    # Then Responsys has it once, for exactly that recipient, with exactly these properties
    (event,) = connector.inbox()
    assert (event.event_name, event.list_name) == (EVENT, "CONTACTS_LIST")
    assert (event.identifier_kind, event.identifier) == ("recipientId", message["identifiers"]["27"])
    assert {entry["name"]: entry["value"] for entry in event.properties} == {
        "MESSAGE_ID": "kinds",
        "TEXT": "Grüße, 世界 🎈",
        "EMPTY": "",
        "PRICE": "0.1",
        "COUNT": "12345678901234567890",
        "MEMBER": "true",
        "TAGS": '["a",1,{"b":null}]',
        "profileId": message["profileId"],
        "callType": "UPDATE",
    }
    assert waiting(stack, REJECTED) == 0


def test_a_message_that_comes_again_is_a_duplicate_and_sent_once(
    stack: LocalStack, connector: ConnectorUnderTest
) -> None:
    # Given two messages, one of them twice in the batch
    bodies = connector.bodies(2)

    # When they are delivered, and then published once more
    connector.publish([*bodies, bodies[0]])
    settle(stack)
    connector.publish(bodies)
    settle(stack)

    # Then Responsys got each once, and the other three were counted
    assert connector.accepted() == Counter(message_ids(bodies))
    by_event = {"eventName": EVENT}
    assert eventually(lambda: connector.metric("EventsDuplicate", **by_event) == 3)
    assert connector.metric("EventsDelivered", **by_event) == 2


def test_a_throttled_message_waits_on_its_queue_and_replays_itself(
    stack: LocalStack, connector: ConnectorUnderTest
) -> None:
    # Given an account without capacity for one request, which takes long enough to look
    code = "INTERNAL_CAPACITY_LIMIT_EXCEEDED"
    connector.simulator.add_fault(ErrorReply(account=connector.name, status=429, error_code=code))
    body = oddly_spaced(connector)
    before = datetime.now(UTC)

    # When a message is published
    (message_id,) = connector.publish([body])

    # Then it waits on ThrottledDLQ, byte for byte, with everything that its next life needs
    with held_on_throttled_queue(stack, 1) as (message,):
        assert message["Body"] == body
        found = attributes(message)
        first_received_at = datetime.fromisoformat(found.pop("firstReceivedAt"))
        assert before - timedelta(seconds=1) < first_received_at < datetime.now(UTC)
        ours = json.loads(found.pop("responsysActivation"))
        assert ours.keys() == {"firstSentAt"}
        assert before - timedelta(seconds=1) < datetime.fromisoformat(ours["firstSentAt"]) <= first_received_at
        assert found == {
            "outcome": "throttled",
            "errorCode": code,
            "connector": connector.name,
            "eventName": EVENT,
            "originalMessageId": message_id,
            "attempts": "1",
            "reason": ERROR_CODES[code].meaning,
        }
        assert connector.inbox() == []

    # And then it is delivered by itself
    settle(stack)
    (event,) = connector.inbox()
    assert {entry["name"]: entry["value"] for entry in event.properties}.items() >= {
        "GREETING": 'Zoë 🎈 "日本"',
        "TAB": "a\tb",
        "PRICE": "1.500",
    }.items()


def test_a_rejected_message_stays_for_a_person_and_its_neighbours_arrive(
    stack: LocalStack, connector: ConnectorUnderTest
) -> None:
    # Given good messages, and among them one of each kind that can never be sent
    connector.simulator.patch_account(
        connector.name,
        {"recipients": {"unknown": {"identifiers": ["1"]}, "undeliverable": {"identifiers": ["2"]}}},
    )
    good = connector.bodies(3)
    named = {
        "NO_RECIPIENT_FOUND": oddly_spaced(connector, identifiers={"27": "1"}),
        "RECIPIENT_STATUS_UNDELIVERABLE": json.dumps(connector.message(identifiers={"27": "2"})),
        "NO_IDENTIFIER": json.dumps(connector.message(identifiers={"2001": "crm-1"})),
    }
    invalid = {
        "no profile": json.dumps(connector.message(profileId=None)),
        "unknown call type": json.dumps(connector.message(callType="JOIN")),
        "not JSON": '{"profileId": "profile-1",\n',
    }
    no_event = ConnectorUnderTest(stack, defaultEventName=None, eventNames={"aud-1": EVENT})
    silent = json.dumps(no_event.message(segment={"type": "AUDIENCE", "id": "aud-2"}))
    unknown = json.dumps(connector.message(connector="nobody"))

    # When all are published together
    bodies = [*named.values(), *good, *invalid.values(), silent, unknown]
    ids = dict(zip(bodies, connector.publish(bodies), strict=True))
    settle(stack)

    # Then the good ones arrive
    assert connector.accepted() == Counter(message_ids(good))

    # And each other waits on RejectedDLQ, byte for byte, and says why
    kept = take_all(stack.endpoint.sqs, stack.outputs[REJECTED])
    found = {message["Body"]: attributes(message) for message in kept}
    assert found.keys() == {*named.values(), *invalid.values(), silent, unknown}
    assert all(entry.keys() == CONTRACT for entry in found.values())
    assert all(entry["outcome"] == "rejected" and entry["attempts"] == "1" for entry in found.values())
    assert all(entry["originalMessageId"] == ids[body] for body, entry in found.items())

    def where(body: str) -> tuple[str, str, str]:
        return found[body]["errorCode"], found[body]["connector"], found[body]["eventName"]

    assert [where(body) for body in named.values()] == [(code, connector.name, EVENT) for code in named]
    assert {where(body) for body in invalid.values()} == {("INVALID_MESSAGE", "-", "-")}
    assert where(silent) == ("NO_EVENT_NAME", no_event.name, "-")
    assert where(unknown) == ("UNKNOWN_CONNECTOR", "nobody", "-")


def test_a_message_is_retried_once_and_then_waits_where_an_outage_cannot_lose_it(
    stack: LocalStack, connector: ConnectorUnderTest
) -> None:
    # Given a Responsys that fails once for one account, and is down for longer for another
    connector.simulator.add_fault(ErrorReply(account=connector.name, status=503, text="<h1>busy</h1>"))
    longer = ConnectorUnderTest(stack)
    longer.simulator.add_fault(ErrorReply(account=longer.name, times=2, status=503, text="<h1>busy</h1>"))
    bodies, longer_bodies = connector.bodies(3), longer.bodies(1)

    # When messages are published to both
    *_, message_id = connector.publish([*bodies, *longer_bodies])

    # Then the ones stay on their queue and arrive at the second receive, and the other leaves it
    with held_on_throttled_queue(stack, 1) as (message,):
        assert (
            attributes(message).items()
            >= {
                "outcome": "throttled",
                "errorCode": "OTHER_ERROR",
                "connector": longer.name,
                "attempts": "2",
                "originalMessageId": message_id,
            }.items()
        )
        assert connector.accepted() == Counter(message_ids(bodies))

    # And it arrives as well, in the end
    settle(stack)
    assert longer.accepted() == Counter(message_ids(longer_bodies))
    assert waiting(stack, REJECTED) == 0
    expected = {"EventsRetried": [3, 1], "EventsThrottled": [0, 1], "EventsDelivered": [3, 1]}
    assert eventually(
        lambda: (
            expected
            == {metric: [each.metric(metric, eventName=EVENT) for each in (connector, longer)] for metric in expected}
        )
    )


def test_a_throttled_message_that_is_too_old_is_rejected_with_its_last_error_code(
    stack: LocalStack, connector: ConnectorUnderTest
) -> None:
    # Given a message that SQS first had more than MaximumEventAgeHours ago
    first_time = (datetime.now(UTC) - timedelta(hours=25)).isoformat(timespec="milliseconds")
    body = json.dumps(connector.message())
    written = {
        "outcome": "throttled",
        "errorCode": "INTERNAL_CAPACITY_LIMIT_EXCEEDED",
        "connector": connector.name,
        "eventName": EVENT,
        "originalMessageId": "first-life",
        "attempts": "7",
        "firstReceivedAt": first_time,
        "reason": "Responsys has no capacity left for the account at the moment",
        "responsysActivation": json.dumps({"firstSentAt": first_time}),
    }

    # When it comes back from ThrottledDLQ
    stack.endpoint.sqs.send_message(
        QueueUrl=stack.outputs[THROTTLED],
        MessageBody=body,
        MessageAttributes={name: {"DataType": "String", "StringValue": value} for name, value in written.items()},
    )
    settle(stack)

    # Then it is not sent, and says why it could not be in time
    (message,) = rejected(stack, connector.name)
    assert message["Body"] == body
    found = attributes(message)
    assert json.loads(found.pop("responsysActivation")) == {
        "firstSentAt": first_time,
        "lastErrorCode": "INTERNAL_CAPACITY_LIMIT_EXCEEDED",
    }
    assert found == {
        **{name: value for name, value in written.items() if name in found},
        "outcome": "rejected",
        "errorCode": "EXPIRED",
        "attempts": "8",
        "reason": "not sent within MaximumEventAgeHours after SQS first had it, or after it was replayed",
    }
    assert connector.inbox() == []


def test_a_rejected_message_that_a_person_sends_back_starts_anew(
    stack: LocalStack, connector: ConnectorUnderTest
) -> None:
    # Given a message that was rejected because its event was missing
    connector.simulator.patch_account(connector.name, {"events": []})
    body = json.dumps(connector.message())
    connector.publish([body])
    settle(stack)
    (message,) = rejected(stack, connector.name)
    assert attributes(message)["errorCode"] == "CUSTOM_EVENT_NOT_FOUND"

    # When the event is there, and the message is moved as a redrive moves it, with its attributes
    connector.simulator.patch_account(connector.name, {"events": [{"name": EVENT}]})
    stack.endpoint.sqs.send_message(
        QueueUrl=stack.outputs[SEGMENT_EVENTS],
        MessageBody=message["Body"],
        MessageAttributes=message["MessageAttributes"],
    )

    # Then it is delivered
    assert eventually(lambda: connector.accepted() == Counter(message_ids([body])))


def test_a_message_of_the_largest_size_fits_a_dead_letter_queue(
    stack: LocalStack, connector: ConnectorUnderTest
) -> None:
    # Given a message as large as SegmentEventsQueue takes, that cannot be sent
    largest = int(
        stack.endpoint.sqs.get_queue_attributes(
            QueueUrl=stack.outputs[SEGMENT_EVENTS], AttributeNames=["MaximumMessageSize"]
        )["Attributes"]["MaximumMessageSize"]
    )
    message = connector.message(identifiers={}, variables={"NOTE": ""})
    message["variables"]["NOTE"] = "x" * (largest - len(json.dumps(message)))

    # When it is published
    connector.publish([json.dumps(message)])
    settle(stack)

    # Then it is kept whole
    (kept,) = rejected(stack, connector.name)
    assert len(kept["Body"]) == largest


def test_messages_of_one_recipient_reach_responsys_in_the_order_of_their_time(
    stack: LocalStack, connector: ConnectorUnderTest
) -> None:
    # Given the changes of one profile, out of order and among others
    riid = {"27": "364470825"}
    changes = [("2026-11-23T10:00:02Z", "REMOVE"), ("2026-11-23T10:00:00Z", "ADD"), ("2026-11-23T10:00:01Z", "UPDATE")]
    own = [
        json.dumps(connector.message(identifiers=riid, occurredAt=occurred_at, callType=call_type))
        for occurred_at, call_type in changes
    ]

    # When they arrive together
    connector.publish([*own, *connector.bodies(50)])
    settle(stack)

    # Then no request held two of them, none overlapped, and they came one after the other
    events = [event for event in connector.inbox() if event.identifier == riid["27"]]
    assert [event.value("callType") for event in events] == ["ADD", "UPDATE", "REMOVE"]
    assert len({event.request_id for event in events}) == 3
    assert connector.simulator.summary(connector.name).overlaps == 0


def test_a_change_that_was_held_up_does_not_undo_a_newer_one(stack: LocalStack, connector: ConnectorUnderTest) -> None:
    # Given a profile that enters during a short outage, so that its message waits
    connector.simulator.add_fault(ErrorReply(account=connector.name, times=2, status=503, text="<h1>busy</h1>"))
    enters = connector.message(occurredAt="2026-11-23T10:00:00Z")
    leaves = connector.message(
        callType="REMOVE",
        occurredAt="2026-11-23T10:00:01Z",
        profileId=enters["profileId"],
        identifiers=enters["identifiers"],
    )
    connector.publish([json.dumps(enters)])

    # When it leaves again before that message comes back
    with held_on_throttled_queue(stack, 1):
        assert invoke(stack, sqs_event(stack, [json.dumps(leaves)])) == {"batchItemFailures": []}
    settle(stack)

    # Then Responsys was told last, and only, that it left, and the older change is counted as ignored
    assert [event.value("callType") for event in connector.inbox()] == ["REMOVE"]
    assert eventually(lambda: connector.metric("EventsIgnored", eventName=EVENT) == 1)
    assert connector.metric("Errors", errorCode="SUPERSEDED") == 1


def test_a_message_id_that_was_used_for_another_change_loses_nothing(
    stack: LocalStack, connector: ConnectorUnderTest
) -> None:
    # Given a producer whose messageId tells profile and segment, and not the change
    enters = connector.message()
    leaves = {**enters, "callType": "REMOVE"}

    # When the profile enters and leaves
    connector.publish([json.dumps(enters), json.dumps(leaves)])
    settle(stack)

    # Then Responsys has both
    assert Counter(event.value("callType") for event in connector.inbox()) == {"ADD": 1, "REMOVE": 1}
