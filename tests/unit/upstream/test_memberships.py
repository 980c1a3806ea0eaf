"""Does each membership of a body, whoever wrote it, come with an id, a time and a body of its own?"""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from typing import Any

import pytest

from responsys_activation.change import membership_change
from responsys_activation.membership import Membership
from responsys_activation.upstream.memberships import (
    MOST_MEMBERSHIPS,
    Memberships,
    Part,
    PartTooLargeError,
    Refused,
    in_groups,
    read,
)
from responsys_activation.upstream.part import Ignored
from tests.fakes.memberships import bodies_of, document, read_membership
from tests.hostile.platforms import ARRIVED_AT, look_at_reading, mutated
from tests.unit.upstream.reading import ignored, part_of, parts_of

COHORT = {"cohort_id": "7kq2", "in_cohort": True, "users": [{"user_id": "a"}, {"user_id": "b"}]}


def ids(body: Any) -> list[str | None]:
    return [part.message_id("sqs-1") if isinstance(part, Part) else None for part in parts_of(body)]


# --- our own format ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes", [{}, {"messageId": "m", "variables": {"a": 1}}, {"segment": {"type": "JOURNEY", "id": "j"}}]
)
def test_our_own_message_is_read_as_ever(changes: dict[str, Any]) -> None:
    body = json.dumps(document(**changes))

    assert read(body, ARRIVED_AT) == Memberships([Part(read_membership(body))], [])
    assert bodies_of(body, ARRIVED_AT) == [body]


def test_what_is_nobodys_is_refused_as_our_own_message() -> None:
    for body, reason in [("x", "body: not valid JSON at character 0"), ("7", "body: must be a JSON object")]:
        assert read(body, ARRIVED_AT) == Memberships([Refused(reason)], [])
        assert bodies_of(body, ARRIVED_AT) == [body]
    assert parts_of({}) == [Refused("profileId: is missing; callType: is missing; segment: is missing")]


def test_a_note_of_a_pipe_is_refused_for_what_it_is() -> None:
    note = {
        "context": {
            "partnerResourceArn": "arn:aws:pipes:eu-west-1:123456789012:pipe/crm-upstream-stream",
            "condition": "RetryAttemptsExhausted",
        },
        "version": "1.0",
        "timestamp": "2026-11-20T08:15:02.120Z",
        "KinesisBatchInfo": {
            "shardId": "shardId-000000000000",
            "startSequenceNumber": "49590338271490256608559692538361571095921575989136588898",
            "endSequenceNumber": "49590338271490256608559692538361571095921575989136588898",
            "batchSize": 1,
            "streamArn": "arn:aws:kinesis:eu-west-1:123456789012:stream/memberships",
        },
    }

    (refused,) = parts_of(note)

    assert isinstance(refused, Refused)
    assert "Kinesis stream" in refused.reason
    assert "send the records themselves" in refused.reason
    assert len(refused.reason) <= 300


def test_an_array_holds_each_of_its_messages() -> None:
    parts = parts_of([document(profileId="a"), document(profileId="b", callType="add"), 7, COHORT])

    assert [part.reason if isinstance(part, Refused) else part.membership.profile_id for part in parts] == [
        "a",
        "callType: must be ADD, UPDATE or REMOVE, in capitals",
        "body[2]: must be a JSON object",
        "a",
        "b",
    ]


def test_a_body_of_more_memberships_than_a_batch_may_hold_is_refused_as_a_whole() -> None:
    # Given the smallest elements that there are, half a million of which fill a megabyte
    most = ",".join("0" * MOST_MEMBERSHIPS)

    # When one is too many
    found = read(f"[{most},0]", ARRIVED_AT)

    # Then nothing is read of any
    assert found == Memberships([Refused("body: more than 30,000 memberships; send fewer in one message")], [])
    assert len(read(f"[{most}]", ARRIVED_AT).parts) == MOST_MEMBERSHIPS


def test_an_empty_array_is_ignored() -> None:
    assert ignored([]) == (None, "empty array")
    assert bodies_of("[]", ARRIVED_AT) == ["[]"]


def test_what_is_about_no_membership_is_told_beside_the_others() -> None:
    page = {"type": "page", "messageId": "m"}

    found = read(json.dumps([page, document(), COHORT | {"users": []}]), ARRIVED_AT)

    assert found.ignored == [Ignored("Segment", "page"), Ignored("Amplitude", "no users")]  # type: ignore[arg-type]
    assert len(found.parts) == 1


def sns(content: Any) -> dict[str, Any]:
    return {"MessageId": "sns-1", "Message": json.dumps(content), "Timestamp": "2026-11-20T08:00:00Z"}


def firehose(*contents: Any) -> dict[str, Any]:
    records = [{"data": base64.b64encode(json.dumps(content).encode()).decode()} for content in contents]
    return {"requestId": "fh-1", "timestamp": 1795162502000, "records": records}


def kinesis(content: Any, number: int) -> dict[str, Any]:
    data = base64.b64encode(json.dumps(content).encode()).decode()
    record = {"data": data, "approximateArrivalTimestamp": 1795162502.5}
    return {"eventSource": "aws:kinesis", "eventID": f"shard:{number}", "kinesis": record}


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (document(), ["sqs-1"]),
        ([document(), document()], ["sqs-1/0", "sqs-1/1"]),
        ([document(messageId="m"), document()], ["m", "sqs-1/1"]),
        (sns(document()), ["sns-1"]),
        (sns([document(), document(messageId="m")]), ["sns-1/0", "m"]),
        ([sns(document()), sns([document()])], ["sns-1", "sns-1/0"]),
        (firehose(document(), [document(), document()]), ["fh-1/0", "fh-1/1/0", "fh-1/1/1"]),
        # What Lambda hands over together may come in another company next time
        ({"Records": [kinesis(document(), 1), kinesis([document()], 2)]}, ["shard:1", "shard:2/0"]),
        (
            [{"specversion": "1.0", "source": "/x", "id": str(n), "data": document()} for n in (1, 2)],
            ['["/x","1"]', '["/x","2"]'],
        ),
    ],
)
def test_what_has_no_id_is_known_by_its_envelope_and_its_position(body: Any, expected: list[str]) -> None:
    assert ids(body) == expected


def test_alone_a_message_keeps_the_id_of_its_position_and_its_envelopes_time() -> None:
    body = json.dumps(sns([document(profileId="a"), document(profileId="b")]))

    first, second = bodies_of(body, ARRIVED_AT)

    alone = part_of(json.loads(second)).membership
    assert alone.message_id == "sns-1/1"
    assert alone.profile_id == "b"
    assert alone.occurred_at == datetime(2026, 11, 20, 8, tzinfo=UTC)
    assert json.loads(first)["MessageId"] == "sns-1"


# --- the platforms' ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("envelop", [sns, lambda content: {"detail-type": "x", "id": "sns-1", "detail": content}])
def test_a_platforms_message_without_id_and_time_is_known_by_its_envelope(envelop: Any) -> None:
    assert ids(envelop(COHORT)) == ['["Amplitude","sns-1","true"]'] * 2


def test_a_platforms_message_without_any_id_is_known_by_sqs() -> None:
    assert ids(COHORT) == ["sqs-1", "sqs-1"]


def test_an_envelopes_time_stands_for_the_memberships() -> None:
    assert [part.membership.occurred_at for part in parts_of(sns(COHORT)) if isinstance(part, Part)] == [
        datetime(2026, 11, 20, 8, tzinfo=UTC)
    ] * 2


def key(membership: Membership) -> tuple[str, str]:
    change = membership_change("default", membership, membership.message_id or "sqs-1", 0.0, 0.0)
    return change.membership, change.key


def test_memberships_that_share_an_id_are_changes_of_their_own() -> None:
    request = {
        "type": "audience_membership_change_request",
        "id": "r",
        "user_profiles": [
            {"mpid": mpid, "audiences": [{"audience_id": audience, "action": action}]}
            for mpid in ("1", "2")
            for audience in (1, 2)
            for action in ("add", "delete", "attribute_update")
        ],
    }

    assert len({key(part.membership) for part in parts_of(request) if isinstance(part, Part)}) == 12


def test_what_cannot_be_told_apart_is_kept_whole() -> None:
    body = json.dumps([{"segmentMembership": "x"}, {"detail-type": "x", "detail": 7}, document()])

    first, second, _ = bodies_of(body, ARRIVED_AT)

    assert json.loads(first) == {"segmentMembership": "x"}
    assert json.loads(second) == {"detail-type": "x", "detail": 7}


def test_each_body_is_written_when_it_is_asked_for() -> None:
    # Given a person of half a megabyte, whom each of ten thousand segments repeats
    segments = {f"s-{number}": {"status": "exited"} for number in range(10_000)}
    export = {"segmentMembership": {"ups": segments}, "identityMap": {"crmid": [{"id": "c"}]}, "text": "x" * 500_000}

    # When the export is read
    bodies = read(json.dumps(export), ARRIVED_AT).bodies

    # Then none of the five gigabytes is written but what is asked for
    assert len(bodies) == 10_000
    assert json.loads(bodies[9_999]())["segmentMembership"] == {"ups": {"s-9999": {"status": "exited"}}}


def test_what_is_about_no_membership_is_in_no_group() -> None:
    assert list(in_groups([{"type": "page", "messageId": "m"}, COHORT | {"users": []}], ARRIVED_AT, 1_000)) == []


def test_a_part_that_is_larger_than_a_group_is_told() -> None:
    small, large = document(), document(variables={"text": "é" * 500})

    with pytest.raises(PartTooLargeError):
        list(in_groups([small, large], ARRIVED_AT, 1_000))


def test_a_group_has_no_more_parts_than_are_read() -> None:
    bodies = list(in_groups([True] * (MOST_MEMBERSHIPS + 1), ARRIVED_AT, 1_000_000))

    assert [body.count("true") for body in bodies] == [MOST_MEMBERSHIPS, 1]


def test_a_part_in_many_envelopes_is_in_no_array() -> None:
    # An array more, and it would be deeper than is read
    def records(*contents: Any) -> dict[str, Any]:
        return {"Records": list(contents)}

    deep = records(records(document()))

    bodies = list(in_groups(records(deep, deep), ARRIVED_AT, 10_000))

    assert [type(found) for body in bodies for found in read(body, ARRIVED_AT).parts] == [Part, Part]
    assert len(bodies) == 2


# --- whatever it is ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("start", range(0, 1_000, 100))
def test_each_part_says_the_same_alone(start: int) -> None:
    for seed in range(start, start + 100):
        look_at_reading(mutated(seed))


def test_a_platforms_message_that_was_put_on_its_way_twice_is_the_same_one() -> None:
    # Given a record without an id, in the records of a stream that gave it two
    sent = {"AudienceId": 1, "IsMember": True, "MembershipChangedTimestamp": "1795162502", "MPID": "7"}
    twice = [
        {
            "eventSource": "aws:kinesis",
            "eventID": f"shard:{number}",
            "data": base64.b64encode(json.dumps(sent).encode()).decode(),
        }
        for number in (1, 2)
    ]

    # When both are read / Then the time stands for the id, and no envelope's
    first, second = ids(twice)
    assert first == second
    # And without a time the envelope's id does
    del sent["MembershipChangedTimestamp"]
    for record in twice:
        record["data"] = base64.b64encode(json.dumps(sent).encode()).decode()
    first, second = ids(twice)
    assert first != second


def test_a_cloud_event_may_have_attributes_of_our_names() -> None:
    event = {"specversion": "1.0", "source": "/x", "id": "1", "callType": "x", "segment": {}, "data": document()}

    assert part_of(event).membership.profile_id == "profile-1"
