"""Does each membership of a message end by itself at each connector that it goes to, and come back as itself?"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from typing import Any, cast

import pytest
from botocore.exceptions import EndpointConnectionError

from responsys_activation.aws.faults import SLOWEST_SETTLING_CALL
from responsys_activation.aws.queues import DeadLetter, DeadLetterQueue
from responsys_activation.delivery import receiving
from responsys_activation.delivery.pacing import shortest_request
from responsys_activation.received import MARK, read_mark
from tests.fakes.account import REJECTED, THROTTLED, Account, Record, record
from tests.fakes.environment import CONNECTOR_PREFIX
from tests.fakes.memberships import ABSENT, document
from tests.fakes.parameters import InMemoryParameters
from tests.fakes.recording_sqs import Entry, RecordingSqs
from tests.fakes.responsys import UNKNOWN_RECIPIENT, Fault

CARTS = "aud_3Fh0a"


def own(number: int, **changes: Any) -> dict[str, Any]:
    return document(**{"profileId": f"profile-{number}", "identifiers": {"27": str(number)}} | changes)


def together(*documents: Any, number: int = 1, **options: Any) -> Record:
    return record(number, body=json.dumps(list(documents)), **options)


def segment(number: int = 1, **changes: Any) -> dict[str, Any]:
    """Return a call of Segment by which a profile enters an audience."""
    call = {
        "type": "track",
        "messageId": f"m-{number}",
        "userId": f"user-{number}",
        "context": {
            "personas": {"computation_class": "audience", "computation_id": CARTS, "computation_key": "carts"},
        },
        "properties": {"carts": True, "riid": str(number), "loyalty": {"riid": str(100 + number)}, "total": 9.5},
    }
    return call | changes


def adobe(*segments: str, status: str = "exited", **changes: Any) -> dict[str, Any]:
    return {
        "segmentMembership": {"ups": {each: {"status": status} for each in segments}},
        "identityMap": {"crmid": [{"id": "crm-1"}], "riid": [{"id": "7"}]},
        "tier": "gold",
    } | changes


def mapped(account: Account, name: str, **settings: Any) -> None:
    """Change a connector's settings."""
    parameter = f"{CONNECTOR_PREFIX}{name}"
    account.ssm.values[parameter] = json.dumps(json.loads(account.ssm.values[parameter]) | settings)


def letters(account: Account, queue: str) -> list[Entry]:
    return account.sqs.sent.get(queue, [])


def come_back(account: Account, queue: str) -> list[Record]:
    """Take the letters of a queue and give them as SQS hands them over: from ThrottledDLQ, or replayed."""
    taken = letters(account, queue)
    account.sqs.sent[queue] = []
    return [
        record(
            1000 + number,
            body=entry["MessageBody"],
            attributes={name: each["StringValue"] for name, each in entry["MessageAttributes"].items()},
            queue="throttled" if queue == THROTTLED else "segment-events",
            sent_at=account.clock(),
        )
        for number, entry in enumerate(taken)
    ]


def attribute(entry: Entry, name: str) -> str:
    return str(entry["MessageAttributes"][name]["StringValue"])


# ---- several memberships of a message


def test_each_membership_of_a_message_ends_by_itself() -> None:
    # Given one message with all kinds of memberships
    account = Account()
    broken = own(2, callType="JOIN")
    nobody = own(3, identifiers={"27": str(UNKNOWN_RECIPIENT)})
    batch = [together(own(1), broken, nobody, own(4, connector="second"), own(1)), record(9)]

    # When it is delivered
    delivered = account.deliver(batch, pairs=6)

    # Then what could be sent was sent
    assert delivered.outcomes == {"delivered": 4, "rejected": 2}
    assert account.accepted() == {"profile-1": 2, "profile-9": 1}
    assert account.accepted("second") == {"profile-4": 1}
    # And the others are letters of their own, each with its membership alone
    assert [json.loads(entry["MessageBody"]) for entry in letters(account, REJECTED)] == [broken, nobody]
    assert delivered.retried == []


def test_a_single_message_of_ours_is_a_letter_as_before() -> None:
    account = Account()
    rejected = record(1, callType="JOIN")

    account.deliver([rejected])

    (entry,) = letters(account, REJECTED)
    assert entry["MessageBody"] == rejected["body"]
    assert json.loads(attribute(entry, MARK)).keys() == {"firstSentAt"}


def test_what_would_stay_on_its_queue_is_put_off_where_its_neighbours_have_ended() -> None:
    # Given a message of which one membership fails for a moment
    account = Account()
    account.responsys["second"].fault = lambda kind: Fault.HTML_503 if kind == "event" else None
    batch = [together(own(1), own(2, connector="second"))]

    # When it is delivered
    delivered = account.deliver(batch, pairs=2)

    # Then that one waits on ThrottledDLQ as long as it would have waited on its queue
    assert delivered.outcomes == {"delivered": 1, "throttled": 1}
    assert delivered.retried == []
    (entry,) = letters(account, THROTTLED)
    assert entry["DelaySeconds"] == 30

    # And comes back as the same message
    account.responsys["second"].fault = lambda _: None
    assert account.deliver(come_back(account, THROTTLED)).outcomes == {"delivered": 1}
    assert account.accepted("second") == {"profile-2": 1}


def test_a_message_of_which_nothing_ended_stays_as_a_whole() -> None:
    account = Account()
    account.responsys["default"].fault = lambda kind: Fault.HTML_503 if kind == "event" else None

    delivered = account.deliver([together(own(1), own(2))], pairs=2)

    assert delivered.outcomes == {"retried": 2}
    assert delivered.retried == ["sqs-1"]
    assert letters(account, THROTTLED) == []
    assert [len(entries) for entries in account.sqs.visibility.values()] == [1]  # one back-off for one message


def test_if_one_letter_cannot_be_sent_the_whole_message_comes_again_and_the_rest_are_duplicates() -> None:
    # Given a message with two that must be moved, of which SQS takes one
    account = Account()
    batch = [together(own(1), own(2, callType="JOIN"), own(3, callType="JOINED"))]
    account.sqs.refuses = lambda entry: '"JOINED"' in entry.get("MessageBody", "")

    # When it is delivered
    delivered = account.deliver(batch, pairs=3)

    # Then it stays on its queue, for that one
    assert delivered.outcomes == {"delivered": 1, "rejected": 1, "retried": 1}
    assert delivered.retried == ["sqs-1"]

    # And when it comes again, nothing is sent twice
    account.sqs.refuses = lambda _: False
    again = account.deliver(batch, pairs=3)
    assert again.outcomes == {"duplicate": 1, "rejected": 2}
    assert account.accepted() == {"profile-1": 1}


def test_messages_without_ids_are_told_apart_by_their_place_also_when_they_come_back() -> None:
    # Given one message that adds a profile twice, and a throttle
    account = Account()
    account.responsys["default"].fault = lambda kind: Fault.API_LIMIT if kind == "event" else None
    batch = [together(own(1), own(1))]
    account.deliver(batch, pairs=2)
    assert len(letters(account, THROTTLED)) == 2

    # When its letters come back, twice
    account.responsys["default"].fault = lambda _: None
    account.clock.sleep(120)
    returned = come_back(account, THROTTLED)
    first = account.deliver(returned)
    second = account.deliver(returned)

    # Then each was sent once
    assert first.outcomes == {"delivered": 2}
    assert second.outcomes == {"duplicate": 2}
    # And they are known when the message itself comes again
    assert account.deliver(batch, pairs=2).outcomes == {"duplicate": 2}


def test_memberships_of_one_message_keep_their_order_on_their_ways() -> None:
    # Given a profile that left and entered in one message, and the letters coming back in the wrong order
    account = Account()
    account.responsys["default"].fault = lambda kind: Fault.API_LIMIT if kind == "event" else None
    account.deliver([together(own(1, callType="REMOVE"), own(1))], pairs=2)
    account.responsys["default"].fault = lambda _: None
    account.clock.sleep(120)
    remove, add = come_back(account, THROTTLED)

    # When the newer one comes first
    assert account.deliver([add]).outcomes == {"delivered": 1}

    # Then the older one does not undo it
    assert account.deliver([remove]).outcomes == {"ignored": 1}


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"type": "page", "messageId": "m", "userId": "u"}, "SEGMENT_PAGE"),
        ({"type": "audience_membership_change_request", "id": "1"}, "MPARTICLE_KEEP_ALIVE"),
        (adobe(), "ADOBE_NO_SEGMENTS"),
        ([], "EMPTY_ARRAY"),
        ([{"type": "page", "messageId": "m", "userId": "u"}] * 3, "SEGMENT_PAGE"),
    ],
)
def test_what_is_about_no_membership_is_ignored_and_counted_by_platform_and_type(body: Any, code: str) -> None:
    account = Account()

    delivered = account.deliver([record(1, body=json.dumps(body))])

    assert delivered.outcomes == {"ignored": 1}
    assert delivered.output.total("Errors", connector="-", errorCode=code) == 1
    # And an inlet that delivers a whole site makes no log line of each
    assert not [line for line in delivered.output.documents() if line.get("message") == "message settled"]


# ---- several connectors of a membership


def test_a_platforms_membership_goes_to_every_connector_that_maps_its_segment() -> None:
    # Given two connectors that map it, by its id and by its key
    account = Account()
    mapped(account, "default", eventNames={CARTS: "CART_LEFT"})
    mapped(account, "second", eventNames={"carts": "CARTS"})

    # When it comes
    delivered = account.deliver([record(1, body=json.dumps(segment()))], pairs=2)

    # Then each gets its own event
    assert delivered.outcomes == {"delivered": 2}
    assert [event.event_name for event in account.responsys["default"].accepted] == ["CART_LEFT"]
    assert [event.event_name for event in account.responsys["second"].accepted] == ["CARTS"]
    assert delivered.output.total("MessagesReceived", connector="second", eventName="CARTS") == 1


def test_a_letter_of_one_connector_comes_back_to_it_alone_whatever_the_settings_are_by_then() -> None:
    # Given a membership for two connectors, one of which is throttled
    account = Account(eventNames={CARTS: "CARTS"})
    account.responsys["second"].fault = lambda kind: Fault.API_LIMIT if kind == "event" else None
    message = record(1, body=json.dumps(segment()))
    account.deliver([message], pairs=2)
    (entry,) = letters(account, THROTTLED)
    assert entry["MessageBody"] == message["body"]
    assert attribute(entry, "connector") == "second"

    # When others map it by the time that it comes back, and its own connector looks elsewhere for the identifier
    mapped(account, "second", eventNames={CARTS: "NEW"}, identifierFrom=["properties.loyalty.riid"])
    account.responsys["second"].fault = lambda _: None
    account.clock.sleep(300)
    delivered = account.deliver(come_back(account, THROTTLED))

    # Then it goes to its connector alone, by today's settings
    assert delivered.outcomes == {"delivered": 1}
    (event,) = account.responsys["second"].accepted
    assert (event.event_name, event.recipient) == ("NEW", 101)
    # And is the same message as before
    assert account.deliver([message], pairs=2).outcomes == {"duplicate": 2}


def test_a_letter_whose_connector_maps_its_segment_no_longer_is_no_event_of_another_name() -> None:
    account = Account(eventNames={CARTS: "CARTS"})
    account.responsys["second"].fault = lambda kind: Fault.API_LIMIT if kind == "event" else None
    account.deliver([record(1, body=json.dumps(segment()))], pairs=2)
    mapped(account, "second", eventNames={})
    account.responsys["second"].fault = lambda _: None
    account.clock.sleep(300)

    delivered = account.deliver(come_back(account, THROTTLED))

    assert delivered.outcomes == {"rejected": 1}
    assert attribute(letters(account, REJECTED)[0], "errorCode") == "NO_EVENT_NAME"
    assert account.accepted("second") == {}


def test_what_nobody_maps_goes_to_default_under_its_default_event() -> None:
    account = Account()

    assert account.deliver([record(1, body=json.dumps(segment()))]).outcomes == {"delivered": 1}

    assert [event.event_name for event in account.responsys["default"].accepted] == ["SEGMENT_CHANGED"]
    assert account.accepted("second") == {}


def test_what_nobody_maps_is_rejected_where_default_has_no_default_event_and_goes_where_it_is_mapped_later() -> None:
    # Given no default
    account = Account(defaultEventName=ABSENT)
    assert account.deliver([record(1, body=json.dumps(segment()))]).outcomes == {"rejected": 1}
    (entry,) = letters(account, REJECTED)
    assert attribute(entry, "errorCode") == "NO_EVENT_NAME"
    assert attribute(entry, "connector") == "-"

    # When it is mapped and replayed
    mapped(account, "second", eventNames={CARTS: "CARTS"})
    delivered = account.deliver(come_back(account, REJECTED))

    # Then it goes there
    assert delivered.outcomes == {"delivered": 1}
    assert account.accepted("second") == {"user-1": 1}


def test_segments_that_nobody_asked_for_are_ignored_where_a_platform_sends_all() -> None:
    account = Account()
    mapped(account, "second", eventNames={"seg-2": "LEFT"})

    delivered = account.deliver([record(1, body=json.dumps(adobe("seg-1", "seg-2", "seg-3")))], pairs=3)

    assert delivered.outcomes == {"delivered": 1, "ignored": 2}
    assert delivered.output.total("Errors", connector="-", errorCode="ADOBE_SEGMENT_NOT_MAPPED") == 2
    assert account.accepted() == {}


@pytest.mark.parametrize("platform", [segment(), adobe(CARTS)], ids=["Segment", "Adobe"])
def test_while_settings_cannot_be_read_what_no_other_connector_maps_waits(platform: dict[str, Any]) -> None:
    # Given a connector whose settings are broken
    account = Account()
    right = account.ssm.values[f"{CONNECTOR_PREFIX}second"]
    account.ssm.values[f"{CONNECTOR_PREFIX}second"] = "{"

    # When a platform's membership comes that nobody else maps
    delivered = account.deliver([record(1, body=json.dumps(platform))])

    # Then it waits five minutes instead of going to default, or away
    assert delivered.outcomes == {"throttled": 1}
    (entry,) = letters(account, THROTTLED)
    assert entry["DelaySeconds"] == 300
    assert attribute(entry, "errorCode") == "INVALID_CONNECTOR"
    assert "connector second" in attribute(entry, "reason")

    # And goes where it belongs when they are mended
    account.ssm.values[f"{CONNECTOR_PREFIX}second"] = right
    mapped(account, "second", eventNames={CARTS: "CARTS"})
    account.clock.sleep(300)
    assert account.deliver(come_back(account, THROTTLED)).outcomes == {"delivered": 1}
    assert account.accepted("second").total() == 1
    assert account.accepted() == {}


@pytest.mark.parametrize("name", ["_old", ".old", "x" * 101])
@pytest.mark.parametrize("settings", ["{", Account.settings(eventNames={CARTS: "CARTS"})], ids=["broken", "mapped"])
def test_a_parameter_whose_name_no_message_can_have_is_no_connector(name: str, settings: str) -> None:
    account = Account()
    account.ssm.values[f"{CONNECTOR_PREFIX}{name}"] = settings

    delivered = account.deliver([record(1, body=json.dumps(segment()))])

    assert delivered.outcomes == {"delivered": 1}
    (event,) = account.responsys["default"].accepted
    assert event.event_name == "SEGMENT_CHANGED"


def test_what_another_connector_maps_does_not_wait_for_broken_settings() -> None:
    account = Account(eventNames={CARTS: "CARTS"})
    account.ssm.values[f"{CONNECTOR_PREFIX}second"] = "{"

    assert account.deliver([record(1, body=json.dumps(segment()))]).outcomes == {"delivered": 1}


def test_while_connectors_cannot_be_listed_a_platforms_message_stays_on_its_queue() -> None:
    account = Account()

    def fail(service: str, _effect: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        raise EndpointConnectionError(endpoint_url=service)

    account.surroundings.ssm = InMemoryParameters({}, fail)

    delivered = account.deliver([record(1, body=json.dumps(segment()))])

    assert delivered.outcomes == {"retried": 1}


# ---- what settings choose, for our own format too


def test_identifier_and_variables_are_chosen_for_our_own_format_too() -> None:
    account = Account(
        identifierFrom=["variables.loyalty"],
        variables={"only": ["total", "loyalty"], "omit": ["loyalty"], "rename": {"total": "TOTAL"}},
    )

    delivered = account.deliver([record(1, variables={"loyalty": "77", "total": 9.50, "other": "x"})])

    assert delivered.outcomes == {"delivered": 1}
    (event,) = account.responsys["default"].accepted
    assert event.recipient == 77
    assert event.properties == {"TOTAL": "9.5", "profileId": "profile-1", "callType": "ADD"}


# ---- what means harm


def test_letters_are_written_when_there_is_a_call_to_take_them() -> None:
    # Given more letters than all calls that go at once can take
    written: list[int] = []
    most_at_once = 0

    class Watched(RecordingSqs):
        def send_message_batch(self, **request: Any) -> dict[str, Any]:
            nonlocal most_at_once
            sent = sum(len(entries) for entries in self.sent.values())
            most_at_once = max(most_at_once, len(written) - sent)
            return super().send_message_batch(**request)

    def letters_to_send() -> Iterator[DeadLetter]:
        for number in range(1_000):
            written.append(number)
            yield DeadLetter("body", {})

    # When they are sent
    safe = DeadLetterQueue("q", cast("Any", Watched())).send(letters_to_send())

    # Then all are, and no more were ever in memory than those calls hold
    assert safe == set(range(1_000))
    assert most_at_once <= 16 * 10 + 10 + 1


def test_segments_that_nobody_maps_need_no_letters_and_keep_nothing_from_being_sent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Given a person too large for a letter of each segment, and not for one
    monkeypatch.setattr(receiving, "_MOST_LETTER_BYTES", 2_000)
    account = Account()
    mapped(account, "second", eventNames={"seg-1": "E"})
    body = json.dumps(adobe("seg-1", "seg-2", "seg-3", tier="x" * 1_500))

    # When one of them is mapped / Then it is sent
    assert account.deliver([record(1, body=body)], pairs=3).outcomes == {"delivered": 1, "ignored": 2}

    # And when two are, all are rejected
    mapped(account, "default", eventNames={"seg-2": "E"})
    assert account.deliver([record(1, body=body)]).outcomes == {"rejected": 1}


def cohort(first: int, users: int) -> str:
    """Write a list of Amplitude's, of so many users."""
    listed = [{"user_id": f"u{number}", "riid": str(number)} for number in range(first, first + users)]
    return json.dumps({"cohort_id": CARTS, "in_cohort": True, "message_id": "m", "users": listed})


def test_a_message_of_more_pairs_than_a_batch_may_hold_is_rejected_as_a_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    # Given 16 users, two connectors that map their cohort, and room for 30 pairs
    monkeypatch.setattr(receiving, "_MOST_PAIRS", 30)
    account = Account(eventNames={CARTS: "E"})

    # When they come
    delivered = account.deliver([record(1, body=cohort(1, 16)), record(2)])

    # Then the message is rejected, and its neighbour delivered
    assert delivered.outcomes == {"delivered": 1, "rejected": 1}
    (entry,) = letters(account, REJECTED)
    assert "each for every connector that it goes to" in attribute(entry, "reason")


def test_messages_of_many_pairs_come_one_after_the_other_and_hold_up_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    # Given messages that are too many for one batch, a large one that nobody would read for nothing, and small ones
    monkeypatch.setattr(receiving, "_MOST_PAIRS", 30)
    account = Account()
    large = [record(number, body=cohort(20 * number, 16)) for number in (1, 2, 3)]
    large.append(record(4, body=cohort(80, 2) + " " * 40_000))

    # When they come together
    delivered = account.deliver([*large, record(8), record(9)], pairs=21)

    # Then the first is delivered with the small ones, and the others stay on the queue
    assert delivered.outcomes == {"delivered": 18, "retried": 3}
    assert delivered.retried == ["sqs-2", "sqs-3", "sqs-4"]
    # And take their turn when they come again
    assert account.deliver(large[2:], pairs=18).outcomes == {"delivered": 18}


def test_a_forged_mark_names_no_connector_or_key_that_cannot_be() -> None:
    text = json.dumps({"connector": "../x", "key": "no hash", "position": -1})

    assert read_mark(text) == read_mark("{}")


def test_what_is_nested_as_deep_as_can_just_be_read_is_a_letter_like_any_other() -> None:
    # Given memberships that must be moved, one of them with arrays in each other: how many the reader takes depends on
    # how deep it is called itself
    account = Account()
    account.responsys["default"].fault = lambda kind: Fault.API_LIMIT if kind == "event" else None
    environment = account.environment()
    for depth in range(900, 1_000, 2):
        deep = json.dumps(own(2, more="@")).replace('"@"', "[" * depth + "]" * depth)
        batch = [record(1, body=f"[{json.dumps(own(1))},{deep}]"), record(9)]

        # When they are delivered beside another
        response = environment.invoke(batch, 120.0)

        # Then all are moved, whether that one could be read or not
        assert response == {"batchItemFailures": []}, depth
        moved = come_back(account, THROTTLED) + come_back(account, REJECTED)
        ids = {each["messageAttributes"]["originalMessageId"]["stringValue"] for each in moved}
        assert ids == {"sqs-1", "sqs-9"}, depth


# ---- what comes back, and comes back again


def test_a_letter_knows_its_place_in_every_life() -> None:
    # Given a profile that left and entered, of which only the place in their message tells which came last, and which
    # has no id of its own
    account = Account()
    records = [
        {"eventSource": "aws:kinesis", "data": base64.b64encode(json.dumps(each).encode()).decode()}
        for each in (own(1, callType="REMOVE"), own(1), own(1))
    ]
    message = record(1, body=json.dumps({"Records": [{"kinesis": each} for each in records]}))
    account.responsys["default"].fault = lambda kind: Fault.API_LIMIT if kind == "event" else None
    account.deliver([message], pairs=3)
    # And letters that are put off a second time
    account.clock.sleep(120)
    assert account.deliver(come_back(account, THROTTLED)).outcomes == {"throttled": 3}
    account.responsys["default"].fault = lambda _: None
    account.clock.sleep(120)
    remove, add, added_again = come_back(account, THROTTLED)

    # When they come back, the newest first / Then each is a change of its own, and the oldest undoes nothing
    assert account.deliver([add]).outcomes == {"delivered": 1}
    assert account.deliver([added_again]).outcomes == {"delivered": 1}
    assert account.deliver([remove]).outcomes == {"ignored": 1}


def test_a_letter_of_default_that_nobody_maps_any_more_is_no_default_event_where_all_segments_are_sent() -> None:
    # Given a segment of Adobe that only default maps, and a throttle
    account = Account()
    mapped(account, "default", eventNames={CARTS: "CARTS"})
    account.responsys["default"].fault = lambda kind: Fault.API_LIMIT if kind == "event" else None
    account.deliver([record(1, body=json.dumps(adobe(CARTS)))])

    # When it comes back after that mapping is gone
    mapped(account, "default", eventNames={})
    account.responsys["default"].fault = lambda _: None
    account.clock.sleep(300)
    delivered = account.deliver(come_back(account, THROTTLED))

    # Then it is not what default makes of others
    assert delivered.outcomes == {"rejected": 1}
    assert account.accepted() == {}


def test_one_membership_may_go_to_any_number_of_connectors(monkeypatch: pytest.MonkeyPatch) -> None:
    # Given a message so large that two letters of it would be too much of a message of several
    monkeypatch.setattr(receiving, "_MOST_LETTER_BYTES", 2_000)
    account = Account(eventNames={CARTS: "E"})

    # When it holds one membership / Then it is delivered
    delivered = account.deliver([record(1, body=json.dumps(segment(note="x" * 1_500)))], pairs=2)
    assert delivered.outcomes == {"delivered": 2}


def test_time_to_settle_is_kept_back_for_each_pair(monkeypatch: pytest.MonkeyPatch) -> None:
    # Given a message of three, each of which takes a second to settle, and time for a request and to settle one
    monkeypatch.setattr("responsys_activation.delivery.batch._SETTLED_A_SECOND", 1)
    account = Account()
    seconds = SLOWEST_SETTLING_CALL + 2 + shortest_request(60) + 1.5  # as Settings have it without REPLY_SECONDS

    # When it comes / Then it is not begun
    assert account.deliver([together(own(1), own(2), own(3))], pairs=3, seconds=seconds).outcomes == {"retried": 3}
    assert account.deliver([record(4)], seconds=seconds).outcomes == {"delivered": 1}
