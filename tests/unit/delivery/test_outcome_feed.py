"""Is each outcome told to others once, as it really was, without anything of the person, and at no one's expense?"""

from __future__ import annotations

import json
import threading
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from responsys_activation.aws.event_bus import MOST_BYTES
from responsys_activation.delivery import outcome_feed
from responsys_activation.delivery.outcome import Delivered, Ending
from responsys_activation.delivery.outcome_feed import DETAIL_TYPE, SOURCE, fed_events
from responsys_activation.received import read_record
from responsys_activation.upstream.memberships import Part, read
from tests.fakes.account import REJECTED, SERVICE, THROTTLED, Account, Record, record
from tests.fakes.account import Delivered as Batch
from tests.fakes.clock import NOW
from tests.fakes.dynamodb import client_error
from tests.fakes.function_output import captured_output
from tests.fakes.recording_event_bridge import RecordingEventBridge
from tests.fakes.responsys import SPOILING, UNKNOWN_RECIPIENT, Fault

SAMPLES = Path(__file__).parents[3] / "events"
ARRIVED = NOW - 5


class Fed(Account):
    """An account in a stack with the outcome feed."""

    @property
    def events(self) -> RecordingEventBridge:
        return self.surroundings.events

    def deliver(self, records: Any, **options: Any) -> Batch:
        return super().deliver(records, **{"OUTCOME_FEED": "On"} | options)

    def told(self) -> dict[str, str]:
        """Return the outcome of each message that was told of once, by its id."""
        told = {outcome["messageId"]: outcome["outcome"] for outcome in self.events.outcomes}
        assert len(told) == len(self.events.outcomes)
        return told


def seconds(moment: str) -> float:
    return datetime.fromisoformat(moment).timestamp()


def not_fed(batch: Batch) -> list[dict[str, Any]]:
    """Return the log lines on what was not fed, which the metric agrees with."""
    lines = batch.output.lines("outcomes not fed")
    counted = sum(value for _, name, _, value in batch.output.metrics() if name == "OutcomesNotFed")
    assert counted == sum(line["outcomes"] for line in lines)
    return lines


# ---- what is told


def test_a_delivered_membership_is_told_with_its_names_and_times() -> None:
    # Given a membership with all that a message may hold
    account = Fed()
    given = record(messageId="m-1", occurredAt="2026-03-01T10:00:00+01:00", segment={"type": "journey", "id": "j-7"})

    # When it is delivered
    account.deliver([given])

    # Then this is told of it
    (event,) = account.events.taken
    (outcome,) = event.pop("outcomes")
    assert outcome == {
        "messageId": "m-1",
        "outcome": "delivered",
        "connector": "default",
        "eventName": "SEGMENT_CHANGED",
        "segment": {"type": "JOURNEY", "id": "j-7"},
        "callType": "ADD",
        "occurredAt": "2026-03-01T09:00:00.000Z",
        "receivedAt": outcome["receivedAt"],
    }
    assert seconds(outcome["receivedAt"]) == ARRIVED
    # And around it: whose it is, in which request, and when it was settled
    (request,) = account.responsys["default"].seen
    assert event == {
        "id": event["id"],
        "stack": "stack",
        "settledAt": event["settledAt"],
        "requestId": request.request_id,
    }
    assert seconds(event["settledAt"]) == pytest.approx(account.clock(), abs=0.001)


def test_every_outcome_is_told_once_and_the_sums_are_the_metrics() -> None:
    # Given a batch in which much is wrong
    account = Fed()
    once: dict[str, Any] = {"profileId": "profile-9", "identifiers": {"27": "9"}, "messageId": "once"}
    records = [
        record(1),
        record(2, body="{"),
        record(3, identifiers={}),
        record(4, connector="nowhere"),
        record(5, sent_at=NOW - 86_401),
        record(6, identifiers={"27": str(UNKNOWN_RECIPIENT)}),
        record(7, connector="second"),
        record(8, **once),
        record(9, body=(SAMPLES / "upstream" / "segment_page.json").read_text()),
    ]
    account.deliver([record(8, **once)])
    account.events.taken.clear()

    # When it is delivered
    delivered = account.deliver(records)

    # Then each is told once, under the code that it has elsewhere, and the sums are those of the metrics
    assert account.told() == {
        "sqs-1": "delivered",
        "sqs-2": "rejected",
        "sqs-3": "rejected",
        "sqs-4": "rejected",
        "sqs-5": "rejected",
        "sqs-6": "rejected",
        "sqs-7": "delivered",
        "once": "duplicate",
        "sqs-9": "ignored",
    }
    assert account.events.counted() == delivered.outcomes
    codes = {each["messageId"]: each.get("errorCode") for each in account.events.outcomes}
    assert account.codes(REJECTED).items() <= codes.items()
    assert {name for name, code in codes.items() if code is None} == {"sqs-1", "sqs-7", "once"}


def test_what_its_dead_letter_queue_did_not_take_is_told_as_retried() -> None:
    # Given a ThrottledDLQ that is down, and an account at its limit
    account = Fed()
    account.sqs.down.add(THROTTLED)
    account.responsys["default"].fault = lambda kind: Fault.API_LIMIT if kind == "event" else None

    # When a message is delivered
    delivered = account.deliver([record(1)])

    # Then what is told is what happened, not what was meant to
    assert delivered.outcomes == {"retried": 1}
    assert account.told() == {"sqs-1": "retried"}


def test_a_throttled_message_is_told_of_again_under_the_same_id_when_it_comes_back() -> None:
    account = Fed()
    account.responsys["default"].fault = lambda kind: Fault.API_LIMIT if kind == "event" else None
    account.deliver([record(1)])
    (letter,) = account.sqs.sent[THROTTLED]
    account.responsys["default"].fault = lambda _kind: None
    account.clock.sleep(120)

    attributes = {name: value["StringValue"] for name, value in letter["MessageAttributes"].items()}
    account.deliver([record(2, body=letter["MessageBody"], attributes=attributes, queue="throttled")])

    assert [(each["messageId"], each["outcome"]) for each in account.events.outcomes] == [
        ("sqs-1", "throttled"),
        ("sqs-1", "delivered"),
    ]
    assert len({each["receivedAt"] for each in account.events.outcomes}) == 1


@pytest.mark.parametrize(
    ("body", "message_id"),
    [
        (json.loads(record(messageId="m-1")["body"]), "m-1"),
        ({"id": "e-1", "detail-type": "t", "detail": json.loads(record()["body"])}, "e-1"),
        (json.loads(record()["body"]), "sqs-1"),
        (json.loads((SAMPLES / "upstream" / "lytics_bare.json").read_text()), "sqs-1"),
    ],
)
def test_a_message_is_told_of_by_the_id_that_its_producer_knows(body: dict[str, Any], message_id: str) -> None:
    account = Fed(identifierType="CRM_ID")

    account.deliver([record(1, body=json.dumps(body))], pairs=len(read(json.dumps(body), NOW).parts))

    assert {outcome["messageId"] for outcome in account.events.outcomes} == {message_id}


@pytest.mark.parametrize(
    ("sample", "message_id"),
    [
        ("segment_entered", "personas_3Fh9x"),
        ("mparticle_many", json.loads((SAMPLES / "upstream" / "mparticle_many.json").read_text())["id"]),
        ("amplitude_entered", "5d0e7f10-2b3c-4d5e-8f90-a1b2c3d4e5f6::enter::0"),
        ("adobe_many", "sqs-1"),
    ],
)
def test_a_platforms_message_is_told_of_by_the_platforms_own_id(sample: str, message_id: str) -> None:
    # Given what a platform writes
    body = (SAMPLES / "upstream" / f"{sample}.json").read_text()
    account = Fed(identifierType="CRM_ID")

    # When it is delivered
    account.deliver([record(1, body=body)], pairs=(parts := len(read(body, NOW).parts)))

    # Then each of its memberships is told of by the platform's id, not by the key that the ledger makes of it
    assert len(account.events.outcomes) == parts >= 1
    assert {outcome["messageId"] for outcome in account.events.outcomes} == {message_id}


def test_nothing_of_the_person_is_told() -> None:
    # Given messages that end in every way, with a person in each place where one may be
    person = "4711-nora"
    account = Fed(identifierType="CRM_ID")
    about: dict[str, Any] = {
        "profileId": f"profile-{person}",
        "identifiers": {"2001": f"crm-{person}", "EMAIL": f"{person}@example.com"},
        "variables": {person: person, SPOILING: "no"},
        "name": person,
        "segment": {"type": "AUDIENCE", "id": "aud-1", "name": person},
    }
    records = [
        record(1, **about),
        record(2, **about | {"callType": person}),
        record(3, **about | {"identifiers": {person: person}}),
        record(4, **about | {"connector": "nowhere"}),
        record(5, body=json.dumps({"type": "page", "messageId": "p", "userId": person, "properties": {person: 1}})),
        record(6, body=f"{person}"),
    ]

    # When they are delivered
    account.deliver(records)

    # Then all are told of, and the person is not in it
    assert len(account.events.outcomes) == len(records)
    assert person not in json.dumps(account.events.taken)


# ---- in which events


def test_the_outcomes_of_a_request_are_one_event_and_those_without_one_another() -> None:
    # Given more than a request holds, of two connectors, and messages that never come to one
    account = Fed()
    records = [
        *(record(number) for number in range(1, 251)),
        *(record(number, connector="second") for number in range(251, 254)),
        *(record(number, body="{") for number in range(254, 256)),
    ]

    # When they are delivered
    account.deliver(records)

    # Then each request has its event, and the rest has one without
    by_request = {event.get("requestId"): len(event["outcomes"]) for event in account.events.taken}
    requests = {request.request_id for each in account.responsys.values() for request in each.seen}
    assert by_request.keys() == {*requests, None}
    assert sorted(by_request.values()) == [2, 3, 50, 200]
    assert len({event["id"] for event in account.events.taken}) == 4


def endings(count: int, **fields: Any) -> list[Ending]:
    """Return the endings of messages that were in no request."""
    given: list[Ending] = []
    for number in range(count):
        message = read_record(record(number, **fields), NOW, "throttled")
        (part,) = read(message.body, NOW).parts
        assert isinstance(part, Part)
        given.append(Ending(message, Delivered(), "default", "EVENT", part=part))
    return given


def test_an_event_has_at_most_two_hundred_outcomes_and_fits_however_long_the_ids_are() -> None:
    # Given many outcomes, with ids that a producer writes as long as it likes, in characters that JSON makes longer
    long: dict[str, Any] = {"messageId": "\u00e9" * 2_000, "segment": {"type": "AUDIENCE", "id": "\U0001f388" * 2_000}}

    # When their events are written
    events = list(fed_events("stack", endings(450, **long), NOW))

    # Then they hold all of them, and each goes into one call to EventBridge
    told = [json.loads(event.detail) for event in events]
    assert [len(each["outcomes"]) for each in told] == [event.outcomes for event in events]
    assert sum(event.outcomes for event in events) == 450
    assert max(event.outcomes for event in events) <= 200
    assert max(len(event.detail.encode()) for event in events) <= MOST_BYTES
    assert len({each["id"] for each in told}) == len(events)
    # And a text that was cut says so
    assert told[0]["outcomes"][0]["messageId"] == "\u00e9" * 999 + "…"


def test_a_usual_event_of_a_full_request_is_one_of_64_kb() -> None:
    # Given a full request of messages as this project's samples have them
    usual: dict[str, Any] = {"messageId": "00000000-0000-4000-8000-000000000001", "occurredAt": "2026-03-01T10:00:00Z"}
    full = [each._replace(request_id="0" * 32, event_name="SEGMENT_CHANGED") for each in endings(200, **usual)]

    # When its event is written / Then AWS bills it as one
    (event,) = fed_events("responsys-activation-prod", full, NOW)
    assert len(event.detail) < 64 * 1024


def test_half_a_character_is_told_as_one_that_json_readers_take() -> None:
    (given,) = endings(1)
    assert given.part
    broken = given.part.membership.model_copy(update={"message_id": "a\ud800b"})

    (event,) = fed_events("stack", [given._replace(part=given.part._replace(membership=broken))], NOW)

    assert json.loads(event.detail)["outcomes"][0]["messageId"] == "a?b"


# ---- at no one's expense


def test_without_the_feed_there_is_no_client_and_nothing_is_written() -> None:
    account = Account()
    environment = account.environment()

    account.deliver([record(1)])

    assert environment._clients.events is None
    assert account.surroundings.events.calls == []


@pytest.mark.parametrize("code", ["AccessDeniedException", "ThrottlingException", "InternalFailure"])
def test_what_cannot_be_fed_is_counted_and_logged_once_and_the_batch_ends_as_ever(code: str) -> None:
    # Given an EventBridge that fails
    account = Fed()

    def fail(_call: str, _effect: Any) -> dict[str, Any]:
        raise client_error(code, "PutEvents")

    account.events.around = fail

    # When a batch of several requests is delivered
    delivered = account.deliver([*(record(number) for number in range(1, 402)), record(999, body="{")])

    # Then all is delivered, and told is what is missing
    assert delivered.outcomes == {"delivered": 401, "rejected": 1}
    assert delivered.retried == []
    (line,) = not_fed(delivered)
    assert (line["outcomes"], line["faults"]) == (402, [f"EventBridge put events: {code}"])


def test_what_one_event_lacks_is_counted_and_the_others_are_told() -> None:
    # Given an EventBridge that refuses the event of one request
    account = Fed()
    account.events.code = lambda entry: "MalformedDetail" if '"second"' in entry["Detail"] else None

    # When a batch is delivered
    delivered = account.deliver([record(1), record(2), record(3, connector="second")])

    # Then its outcomes alone are missing
    assert account.events.counted() == {"delivered": 2}
    (line,) = not_fed(delivered)
    assert (line["outcomes"], line["faults"]) == (1, ["EventBridge put events: MalformedDetail"])


def test_an_answer_that_nobody_foresaw_hurts_no_batch() -> None:
    account = Fed()
    account.events.around = lambda _call, _effect: {"Entries": []}

    delivered = account.deliver([record(1)])

    assert (delivered.outcomes, delivered.retried) == ({"delivered": 1}, [])
    (line,) = not_fed(delivered)
    assert (line["outcomes"], line["faults"]) == (1, ["ValueError"])


def test_a_batch_that_took_all_its_time_feeds_nothing_and_is_answered_in_time() -> None:
    # Given a dead-letter queue for which the last second of the invocation has begun when it answers
    account = Fed()

    def slowly(_entry: dict[str, Any]) -> bool:
        account.clock.sleep(60.0)
        return False

    account.sqs.refuses = slowly

    # When a batch is delivered
    delivered = account.deliver([record(1), record(2, body="{")], seconds=120.0)

    # Then it ended as ever, and the feed has no time of its own
    assert delivered.outcomes == {"delivered": 1, "rejected": 1}
    assert account.events.calls == []
    (line,) = not_fed(delivered)
    assert (line["outcomes"], line["faults"]) == (2, ["EventBridge put events: no time left"])


def test_an_eventbridge_that_hangs_holds_a_batch_up_for_seconds_only(monkeypatch: pytest.MonkeyPatch) -> None:
    # Given an EventBridge that takes a call and never answers
    monkeypatch.setattr(outcome_feed, "_SECONDS", 0.3)
    account, released = Fed(), threading.Event()

    def hang(_call: str, effect: Any) -> dict[str, Any]:
        released.wait(30)
        return dict(effect())

    account.events.around = hang
    began = time.monotonic()

    # When a message is delivered
    try:
        delivered = account.deliver([record(1)])
    finally:
        released.set()

    # Then the batch ends, and what nobody knows counts as not fed
    assert time.monotonic() - began < 5
    assert delivered.outcomes == {"delivered": 1}
    assert [line["outcomes"] for line in not_fed(delivered)] == [1]


def test_the_metrics_are_written_before_the_feed() -> None:
    # Given an environment that is killed while it writes the feed
    account = Fed()

    def kill(_call: str, _effect: Any) -> dict[str, Any]:
        raise KeyboardInterrupt  # which no handler of errors takes for one

    account.events.around = kill

    # When a message is delivered
    with captured_output() as output, pytest.raises(KeyboardInterrupt):
        account.environment(OUTCOME_FEED="On").invoke([record(1)], 120.0)

    # Then it was counted
    assert output.total("EventsDelivered", **SERVICE) == 1


# ---- what comes back


def test_an_event_of_ours_that_a_rule_brings_back_is_rejected_and_not_told_of() -> None:
    # Given the event of a batch, and a rule that sends every event of the bus to the queue
    account = Fed()
    account.deliver([record(1)])
    (event,) = account.events.taken
    back: Record = record(
        2, body=json.dumps({"id": "e-1", "detail-type": DETAIL_TYPE, "source": SOURCE, "detail": event})
    )
    account.events.taken.clear()

    # When it comes with a message
    delivered = account.deliver([back, record(3)])

    # Then a person sees it, and it makes no further event, which would come back for ever
    assert delivered.outcomes == {"delivered": 1, "rejected": 1}
    assert account.told() == {"sqs-3": "delivered"}
    assert not_fed(delivered) == []


def test_no_event_is_without_an_outcome() -> None:
    assert list(fed_events("stack", [], NOW)) == []
