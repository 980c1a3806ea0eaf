"""Does a replay choose what a person asked for, and nothing when it is not understood?"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from responsys_activation.received import MARK, Mark
from responsys_activation.replay.request import Candidate, InvalidReplayRequestError, read_replay_request
from tests.fakes.clock import NOW
from tests.fakes.memberships import ABSENT, document

BEGUN = datetime.fromtimestamp(NOW, UTC).isoformat()
ATTRIBUTES = {"outcome": "rejected", "errorCode": "NO_RECIPIENT_FOUND", "connector": "loyalty", "eventName": "CART"}


def candidate(minutes: float = 60, *, attributes: dict[str, str] = ATTRIBUTES, **changes: Any) -> Candidate:
    return Candidate(attributes, json.dumps(document(**changes)), NOW - 60 * minutes)


def chooses(candidate: Candidate, **filters: Any) -> bool:
    return read_replay_request({"arrivedBefore": BEGUN, **filters}).chooses(candidate)


def test_without_a_filter_everything_that_was_there_is_chosen_and_nothing_is_moved() -> None:
    # Given an empty event / When it is read
    request = read_replay_request({})
    # Then it chooses from RejectedDLQ whatever had arrived, and only counts
    assert (request.source, request.dry_run, request.messages_per_second, request.limit) == ("rejected", True, 50, None)
    assert not request.in_doubt
    assert chooses(candidate())


@pytest.mark.parametrize(
    ("name", "value", "other"),
    [
        ("errorCode", "NO_RECIPIENT_FOUND", "NO_IDENTIFIER"),
        ("connector", "loyalty", "default"),
        ("eventName", "CART", "SEGMENT_CHANGED"),
        ("callType", "ADD", "REMOVE"),
        ("segmentId", "aud-42", "aud-4"),
    ],
)
def test_a_filter_takes_one_value_or_several(name: str, value: str, other: str) -> None:
    # Given a message / When a filter names its value, alone or among others, or another value
    # Then only the last does not choose it
    assert chooses(candidate(), **{name: value})
    assert chooses(candidate(), **{name: [other, value]})
    assert not chooses(candidate(), **{name: other})


PLATFORM = {
    "type": "audience_membership_change_request",
    "user_profiles": [
        {
            "mpid": "p-1",
            "audiences": [
                {"audience_id": 51022, "audience_name": "Lapsed", "action": "add"},
                {"audience_id": 51023, "action": "delete"},
            ],
        }
    ],
}


@pytest.mark.parametrize(
    ("filters", "chosen"),
    [
        ({"segmentId": "51022"}, True),
        ({"segmentId": "Lapsed"}, True),
        ({"segmentId": "51024"}, False),
        ({"callType": "REMOVE"}, True),
        ({"callType": "UPDATE"}, False),
        ({"segmentId": "51023", "callType": "REMOVE"}, True),
        ({"segmentId": "51022", "callType": "REMOVE"}, False),
        ({"connector": "loyalty"}, True),
        ({"connector": "default"}, False),
    ],
)
def test_a_platforms_message_is_chosen_by_what_it_says(filters: dict[str, str], chosen: bool) -> None:
    assert chooses(Candidate(ATTRIBUTES, json.dumps(PLATFORM), NOW - 60), **filters) is chosen


def test_what_sqs_itself_moved_is_chosen_by_its_memberships() -> None:
    several = json.dumps([document(), document(connector="loyalty", eventName="CART", callType="REMOVE")])
    moved = Candidate({}, several, NOW - 60)

    assert chooses(moved, connector="loyalty")
    assert chooses(moved, eventName="CART")
    assert chooses(moved, callType="REMOVE", segmentId="aud-42")
    assert not chooses(moved, callType="UPDATE")
    assert not chooses(Candidate({}, json.dumps(PLATFORM), NOW - 60), connector="default")


def test_all_filters_must_hold() -> None:
    # Given a message / When all but one of the filters hold / Then it is not chosen
    assert chooses(candidate(), errorCode="NO_RECIPIENT_FOUND", segmentId="aud-42")
    assert not chooses(candidate(), errorCode="NO_RECIPIENT_FOUND", segmentId="aud-7")


@pytest.mark.parametrize(("minutes", "chosen"), [(9, False), (10, True), (20, True), (21, False)])
def test_age_is_the_time_on_the_dead_letter_queue(minutes: float, chosen: bool) -> None:
    # Given an age / When 10 to 20 minutes are asked for / Then both ends count
    assert chooses(candidate(minutes), olderThanMinutes=10, newerThanMinutes=20) is chosen


def test_what_arrives_after_the_beginning_is_never_chosen() -> None:
    # Given a message that was rejected while the replay runs / When it is looked at / Then it stays
    assert not chooses(candidate(minutes=-0.01))


def test_messages_that_sqs_moved_are_chosen_by_their_body_and_the_code_none() -> None:
    # Given a message without attributes
    crashed = candidate(attributes={}, connector="loyalty", eventName="CART")
    # When it is looked for by NONE, connector and event / Then it is found
    assert chooses(crashed, errorCode="NONE", connector="loyalty", eventName="CART")
    assert not chooses(crashed, errorCode="NO_RECIPIENT_FOUND")
    assert not chooses(crashed, eventName="SEGMENT_CHANGED")


@pytest.mark.parametrize("filters", [{"callType": "ADD"}, {"segmentId": "aud-42"}])
def test_a_body_that_cannot_be_read_is_chosen_by_its_attributes_alone(filters: dict[str, str]) -> None:
    # Given an invalid message / When it is looked for by its body's fields / Then it is not found, by its code it is
    invalid = candidate(attributes={"errorCode": "INVALID_MESSAGE"}, profileId=ABSENT)
    assert not chooses(invalid, **filters)
    assert chooses(invalid, errorCode="INVALID_MESSAGE")


def test_what_may_have_been_taken_is_chosen_only_by_who_says_so() -> None:
    # Given a message whose outcome is unknown
    in_doubt = candidate(attributes=ATTRIBUTES | {"errorCode": "OUTCOME_UNKNOWN"})
    # When it is looked for in any other way / Then it is left
    assert not chooses(in_doubt)
    assert not chooses(in_doubt, errorCode="OUTCOME_UNKNOWN", connector="loyalty")
    assert not chooses(in_doubt, inDoubt=False)
    # And who says so has it, among the others, unless another filter leaves it
    assert chooses(in_doubt, inDoubt=True)
    assert chooses(candidate(), inDoubt=True)
    assert not chooses(in_doubt, inDoubt=True, errorCode="NO_RECIPIENT_FOUND")


@pytest.mark.parametrize("text", ["anna@example.com", "", "no code", "A" * 101, "Möller"])
def test_an_attribute_of_a_producer_is_not_taken_for_an_error_code(text: str) -> None:
    # Given a message that SQS moved, with an attribute of its producer's / When its code is read / Then it is NONE
    assert candidate(attributes={"errorCode": text}).error_code == "NONE"


@pytest.mark.parametrize(
    ("event", "field"),
    [
        ({"errorcode": "NO_RECIPIENT_FOUND"}, "errorcode"),
        ({"source": "segment-events"}, "source"),
        ({"callType": "DELETE"}, "callType"),
        ({"errorCode": []}, "errorCode"),
        ({"dryRun": "false"}, "dryRun"),
        ({"dryRun": 0}, "dryRun"),
        ({"inDoubt": "true"}, "inDoubt"),
        ({"inDoubt": 1}, "inDoubt"),
        ({"indoubt": True}, "indoubt"),
        ({"messagesPerSecond": 0}, "messagesPerSecond"),
        ({"limit": 0}, "limit"),
        ({"olderThanMinutes": -1}, "olderThanMinutes"),
        ({"olderThanMinutes": 20, "newerThanMinutes": 10}, "olderThanMinutes"),
        ({"arrivedBefore": "2027-01-15T08:00:00"}, "arrivedBefore"),
    ],
)
def test_an_event_that_is_not_understood_moves_nothing(event: dict[str, Any], field: str) -> None:
    # Given a mistake / When the event is read / Then it is refused, the field named
    with pytest.raises(InvalidReplayRequestError, match=field):
        read_replay_request(event)


def test_a_refusal_does_not_quote_values() -> None:
    # Given a wrong value / When it is refused / Then it is not repeated
    with pytest.raises(InvalidReplayRequestError) as refusal:
        read_replay_request({"callType": "anna@example.com"})
    assert "anna" not in str(refusal.value)


def test_a_continuation_asks_for_the_same_and_keeps_the_beginning() -> None:
    # Given a request with every field
    event: dict[str, Any] = {
        "source": "throttled",
        "errorCode": ["A", "B"],
        "connector": ["default"],
        "eventName": ["CART"],
        "callType": ["ADD", "REMOVE"],
        "segmentId": ["aud-42"],
        "olderThanMinutes": 1,
        "newerThanMinutes": 600,
        "inDoubt": True,
        "dryRun": False,
        "messagesPerSecond": 20,
        "limit": 100,
        "arrivedBefore": BEGUN,
    }
    request = read_replay_request(event)
    # When it goes on after 40 messages
    continuation = json.loads(json.dumps(request.continuation(moved=40)))
    # Then 60 are left of its limit, and all else is as before
    assert read_replay_request(continuation) == request.model_copy(update={"limit": 60})


def test_what_is_new_of_adobe_is_judged_by_when_it_first_came() -> None:
    # Given a letter of somebody who had just entered, put on the dead-letter queue a day later
    first_sent_at = NOW - 86_400
    entered = datetime.fromtimestamp(first_sent_at - 60, UTC).isoformat()
    export = {
        "segmentMembership": {"ups": {"seg-1": {"status": "realized", "lastQualificationTime": entered}}},
        "identityMap": {"crmid": [{"id": "1"}]},
    }
    attributes = ATTRIBUTES | {MARK: Mark(first_sent_at=first_sent_at).text()}

    # When a replay chooses by call type / Then it is an ADD, as the delivery will read it
    letter = Candidate(attributes, json.dumps(export), NOW - 60)
    assert chooses(letter, callType="ADD")
    assert not chooses(letter, callType="UPDATE")
