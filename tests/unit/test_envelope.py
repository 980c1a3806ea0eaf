"""Is a message found in whatever the services on its way put around it, and does it get an id and a time from there?"""

from __future__ import annotations

import base64
import gzip
import json
from datetime import UTC, datetime
from typing import Any

import pytest

from responsys_activation.envelope import Opened, Unopened, enclose
from responsys_activation.json_text import JsonNumber
from responsys_activation.membership import CallType, InvalidMessageError
from tests.fakes.memberships import ABSENT, document, open_messages, read_membership

SECRET = "do-not-quote-me-4711"


def refusal(body: str) -> str:
    with pytest.raises(InvalidMessageError) as refused:
        read_membership(body)
    assert refused.value.__cause__ is None, "a cause would carry the values into a traceback"
    assert SECRET not in str(refused.value)
    return str(refused.value)


def sns(content: str, **changes: Any) -> dict[str, Any]:
    return {
        "Type": "Notification",
        "MessageId": "sns-1",
        "TopicArn": "arn:aws:sns:eu-west-1:123456789012:segments",
        "Message": content,
        "Timestamp": "2026-03-01T11:00:00.000Z",
    } | changes


def event_bridge(content: Any, **changes: Any) -> dict[str, Any]:
    return {
        "version": "0",
        "id": "bus-1",
        "detail-type": "SegmentMembership",
        "source": "cdp",
        "time": "2026-03-01T12:00:00Z",
        "detail": content,
    } | changes


def cloud_event(**content: Any) -> dict[str, Any]:
    attributes = {"specversion": "1.0", "id": "1", "source": "/cdp", "type": "segment.membership"}
    return attributes | {"time": "2026-03-01T13:00:00Z"} | content


def sqs_record(content: str, **changes: Any) -> dict[str, Any]:
    """What EventBridge Pipes hand on of a queue."""
    return {
        "messageId": "sqs-1",
        "receiptHandle": "handle",
        "body": content,
        "attributes": {"ApproximateReceiveCount": "1", "SentTimestamp": "1772373600000"},
        "messageAttributes": {},
        "eventSource": "aws:sqs",
        "eventSourceARN": "arn:aws:sqs:eu-west-1:123456789012:upstream",
        "awsRegion": "eu-west-1",
    } | changes


def kinesis_record(content: str, **changes: Any) -> dict[str, Any]:
    """What EventBridge Pipes hand on of a stream."""
    return {
        "kinesisSchemaVersion": "1.0",
        "partitionKey": "p",
        "sequenceNumber": "495",
        "data": base64.b64encode(content.encode()).decode(),
        "approximateArrivalTimestamp": 1772377200.5,
        "eventSource": "aws:kinesis",
        "eventID": "shardId-000000000000:495",
        "eventName": "aws:kinesis:record",
        "eventSourceARN": "arn:aws:kinesis:eu-west-1:123456789012:stream/upstream",
    } | changes


def lambda_record(content: str) -> dict[str, Any]:
    """What Lambda hands on of a stream."""
    record = kinesis_record(content)
    inner = {
        name: record.pop(name) for name in ("partitionKey", "sequenceNumber", "data", "approximateArrivalTimestamp")
    }
    return record | {"kinesis": inner | {"kinesisSchemaVersion": record.pop("kinesisSchemaVersion")}}


INNER = document(variables={"price": "@"}, messageId="own", occurredAt="2026-03-01T10:00:00Z")
INNER_TEXT = json.dumps(INNER).replace('"@"', "1.10")
BASE64_TEXT = base64.b64encode(INNER_TEXT.encode()).decode()


@pytest.mark.parametrize(
    "envelope",
    [
        pytest.param(sns(INNER_TEXT), id="SNS notification"),
        pytest.param(event_bridge(INNER), id="EventBridge event"),
        pytest.param(cloud_event(data=INNER), id="CloudEvents data as object"),
        pytest.param(cloud_event(data=INNER_TEXT), id="CloudEvents data as text"),
        pytest.param(cloud_event(data_base64=BASE64_TEXT), id="CloudEvents data_base64"),
        pytest.param(cloud_event(data_base64=BASE64_TEXT, data=None), id="CloudEvents data_base64 beside null"),
        pytest.param(sqs_record(INNER_TEXT), id="Pipe from SQS"),
        pytest.param(kinesis_record(INNER_TEXT), id="Pipe from Kinesis"),
        pytest.param(kinesis_record(f"{INNER_TEXT}\n"), id="Pipe from Kinesis, lines"),
        pytest.param(lambda_record(INNER_TEXT), id="Lambda from Kinesis"),
        pytest.param({"source": "cdp", "data": INNER}, id="data of nobody known"),
        pytest.param({"detail": INNER}, id="detail of nobody known"),
        pytest.param(sns(json.dumps(event_bridge(INNER)).replace('"@"', "1.10")), id="EventBridge in SNS"),
        pytest.param(event_bridge(cloud_event(data_base64=BASE64_TEXT)), id="CloudEvents in EventBridge"),
        pytest.param(event_bridge(cloud_event(data=sns(INNER_TEXT))), id="three deep"),
        pytest.param(sqs_record(json.dumps(sns(INNER_TEXT))), id="SNS in a Pipe's record"),
    ],
)
def test_an_enveloped_message_reads_as_the_bare_one(envelope: dict[str, Any]) -> None:
    body = json.dumps(envelope).replace('"@"', "1.10")

    assert read_membership(body) == read_membership(INNER_TEXT)
    assert read_membership(body).variables == {"price": JsonNumber("1.10")}


# --- what an envelope says --------------------------------------------------------------------------------------

BARE = document()
BARE_TEXT = json.dumps(BARE)
ELEVEN = datetime(2026, 3, 1, 11, tzinfo=UTC)
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
ONE = datetime(2026, 3, 1, 13, tzinfo=UTC)
TWO = datetime(2026, 3, 1, 14, tzinfo=UTC)
THREE_AND_A_BIT = datetime(2026, 3, 1, 15, 0, 0, 500_000, tzinfo=UTC)


@pytest.mark.parametrize(
    ("envelope", "message_id", "occurred_at"),
    [
        pytest.param(sns(BARE_TEXT), "sns-1", ELEVEN, id="SNS"),
        pytest.param(event_bridge(BARE), "bus-1", NOON, id="EventBridge"),
        pytest.param(cloud_event(data=BARE), '["/cdp","1"]', ONE, id="CloudEvents"),
        pytest.param(sqs_record(BARE_TEXT), "sqs-1", TWO, id="Pipe from SQS"),
        pytest.param(kinesis_record(BARE_TEXT), "shardId-000000000000:495", THREE_AND_A_BIT, id="Pipe from Kinesis"),
        pytest.param(lambda_record(BARE_TEXT), "shardId-000000000000:495", THREE_AND_A_BIT, id="Lambda from Kinesis"),
        pytest.param(sns(json.dumps(event_bridge(BARE))), "bus-1", NOON, id="the innermost of two"),
        pytest.param(
            sns(json.dumps(event_bridge(BARE, id=None, time=None))), "sns-1", ELEVEN, id="the innermost that has them"
        ),
        pytest.param(sns(json.dumps(event_bridge(BARE, time="soon"))), "bus-1", ELEVEN, id="one of each"),
        pytest.param(sns(json.dumps({"data": BARE, "id": "7"})), "sns-1", ELEVEN, id="the innermost is nobody's"),
        pytest.param({"data": BARE, "id": "7", "time": "2026-03-01T11:00:00Z"}, None, None, id="nobody's"),
        pytest.param(cloud_event(data=BARE, source=None, time=None), None, None, id="an id without its source"),
        pytest.param(cloud_event(data=BARE, id=7), '["/cdp","7"]', ONE, id="an id that is a number"),
        pytest.param(BARE, None, None, id="none"),
    ],
)
def test_a_message_without_id_or_time_has_those_of_the_innermost_envelope(
    envelope: dict[str, Any], message_id: str | None, occurred_at: datetime | None
) -> None:
    read = read_membership(json.dumps(envelope))

    assert read.message_id == message_id
    assert read.occurred_at == occurred_at


def test_the_messages_own_id_and_time_come_first() -> None:
    read = read_membership(json.dumps(sns(INNER_TEXT)))

    assert read.message_id == "own"
    assert read.occurred_at == datetime(2026, 3, 1, 10, tzinfo=UTC)


@pytest.mark.parametrize("blank", [None, "", " "])
def test_a_blank_time_gives_way_to_the_envelopes(blank: str | None) -> None:
    assert read_membership(json.dumps(event_bridge(document(occurredAt=blank)))).occurred_at == NOON


def test_sources_and_ids_that_only_run_into_one_text_are_two_ids() -> None:
    ids = {
        read_membership(json.dumps(cloud_event(data=BARE, source=source, id=own))).message_id
        for source, own in [("/a", "b"), ("/ab", ""), ("/", "ab"), ("/a,b", "c"), ("/a", "b,c"), ('/a","b', "c")]
    }

    assert len(ids) == 6


@pytest.mark.parametrize(
    "envelope",
    [
        sns(BARE_TEXT, MessageId=[SECRET], Timestamp="yesterday"),
        sns(BARE_TEXT, MessageId="\ud800", Timestamp=7),
        event_bridge(BARE, id=" ", time="2026-13-01T00:00:00Z"),
        sqs_record(BARE_TEXT, messageId=None, attributes={"SentTimestamp": "soon"}),
        sqs_record(BARE_TEXT, messageId=None, attributes=None),
        kinesis_record(BARE_TEXT, eventID="", approximateArrivalTimestamp=None),
        kinesis_record(BARE_TEXT, eventID="", approximateArrivalTimestamp="x"),
        kinesis_record(BARE_TEXT, eventID={}, approximateArrivalTimestamp=10**300),
        json.loads(json.dumps(kinesis_record(BARE_TEXT, eventID={})).replace("1772377200.5", '"nan"')),
    ],
)
def test_an_envelope_that_says_nothing_usable_of_a_message_does_not_spoil_it(envelope: dict[str, Any]) -> None:
    assert read_membership(json.dumps(envelope)) == read_membership(BARE_TEXT)


# --- message or envelope? --------------------------------------------------------------------------------------


def test_a_bare_message_with_an_extra_field_named_like_an_envelope_is_no_envelope() -> None:
    extras = {"data": {"callType": "REMOVE"}, "detail": "x", "Message": "x", "data_base64": "x", "MessageId": "x"}
    extras |= {"detail-type": "x", "eventSource": "aws:kinesis", "kinesis": {}, "body": "x"}

    assert read_membership(json.dumps(document(**extras))).call_type is CallType.ADD
    assert read_membership(json.dumps(document(specversion="1.0", detail="x"))).call_type is CallType.ADD


@pytest.mark.parametrize(
    "extensions",
    [
        {"segment": "vip", "profileid": "p", "calltype": "REMOVE", "callType": "REMOVE", "profileId": "other"},
        {"callType": "REMOVE", "segment": {"type": "AUDIENCE", "id": "other"}, "profileId": "other"},
    ],
)
@pytest.mark.parametrize("content", [{"data": BARE}, {"data_base64": base64.b64encode(BARE_TEXT.encode()).decode()}])
def test_attributes_of_any_name_leave_a_cloud_event_a_cloud_event(
    extensions: dict[str, Any], content: dict[str, Any]
) -> None:
    read = read_membership(json.dumps(cloud_event(**extensions, **content)))

    assert read.profile_id == "profile-1"
    assert read.call_type is CallType.ADD
    assert read.segment.id == "aud-42"


@pytest.mark.parametrize("beside", [{"profileId": "x"}, {"segment": "vip"}, {"segment": {"id": "x"}}])
def test_what_lacks_the_call_type_is_an_envelope_if_it_holds_something(beside: dict[str, Any]) -> None:
    assert read_membership(json.dumps({"data": BARE} | beside)).profile_id == "profile-1"


def test_what_has_a_call_type_and_is_no_known_envelope_is_a_message_and_its_fault_is_named() -> None:
    assert refusal(json.dumps(document(segment=ABSENT, data=BARE))) == "segment: is missing"
    assert refusal(json.dumps(document(segment="aud-42", data=BARE))).startswith("segment: must be a JSON object")


@pytest.mark.parametrize(("layers", "accepted"), [(5, True), (6, False), (40, False)])
def test_five_envelopes_are_opened_and_no_more(layers: int, accepted: bool) -> None:
    envelope: dict[str, Any] = INNER
    for _ in range(layers):
        envelope = event_bridge(envelope)

    if accepted:
        assert read_membership(json.dumps(envelope)) == read_membership(json.dumps(INNER))
    else:
        assert refusal(json.dumps(envelope)) == "body: more than 5 envelopes"


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (json.dumps(event_bridge([1])), "body: an array where one message is expected"),
        (json.dumps(event_bridge(None)), "detail: must hold the membership message"),
        (json.dumps(sns(f"Hello {SECRET}")), "Message: not valid JSON at character 0"),
        (json.dumps(sns("[1]")), "body: an array where one message is expected"),
        (json.dumps(sns("")), "Message: is empty; send the membership message as JSON"),
        (json.dumps(cloud_event(data=7)), "data: must hold the membership message"),
        (json.dumps(cloud_event(data_base64="%%%")), "data_base64: not base64 of UTF-8 text"),
        (json.dumps(cloud_event(data_base64="abc")), "data_base64: not base64 of UTF-8 text"),
        (json.dumps(cloud_event(data_base64="/w==")), "data_base64: not base64 of UTF-8 text"),
        (json.dumps(cloud_event(data_base64="é")), "data_base64: not base64 of UTF-8 text"),
        (json.dumps(cloud_event(data_base64="eyJ9")), "data_base64: not valid JSON at character 1"),
        (json.dumps(kinesis_record("") | {"data": BARE_TEXT}), "data: not base64 of UTF-8 text"),
        (json.dumps(sqs_record("7")), "body: must be a JSON object"),
        (
            json.dumps({"kinesis": {"partitionKey": "p"}}),
            "profileId: is missing; callType: is missing; segment: is missing",
        ),
        ('{"Message": "{}", "MessageId": "x", "Message": "{}"}', "Message: given more than once; give it once"),
    ],
)
def test_a_broken_envelope_is_refused_by_the_name_of_its_content(body: str, reason: str) -> None:
    assert refusal(body) == reason


# --- what a text is written in ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(f"\ufeff{BARE_TEXT}", id="a byte order mark"),
        pytest.param(f"\ufeff\n {BARE_TEXT}\r\n", id="a byte order mark and blanks"),
        pytest.param(json.dumps(BARE_TEXT), id="JSON in a JSON text"),
        pytest.param(json.dumps(f"\ufeff{BARE_TEXT}"), id="a byte order mark in it"),
    ],
)
def test_a_byte_order_mark_or_json_in_a_json_text_is_read_as_without(body: str) -> None:
    plain = read_membership(BARE_TEXT)

    assert read_membership(body) == plain
    assert read_membership(json.dumps({"data": body})) == plain
    assert read_membership(json.dumps({"data_base64": base64.b64encode(body.encode()).decode()})) == plain


POINTER = ["software.amazon.payloadoffloading.PayloadS3Pointer", {"s3BucketName": SECRET, "s3Key": SECRET}]
COMPRESSED = base64.b64encode(gzip.compress(BARE_TEXT.encode())).decode()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (json.dumps(POINTER), "points to S3"),
        (COMPRESSED, "gzip"),
        (gzip.compress(BARE_TEXT.encode()).decode("latin-1"), "gzip"),
        ("", "is empty"),
        (" \n", "is empty"),
        ("\ufeff", "is empty"),
    ],
)
def test_what_is_no_message_but_is_known_is_refused_with_what_it_is_and_what_to_do(content: str, said: str) -> None:
    for field, body in (("body", content), ("Message", json.dumps(sns(content)))):
        reason = refusal(body)

        assert reason.startswith(f"{field}: ")
        assert said in reason
        assert "; send " in reason


def test_compressed_data_is_refused_as_that() -> None:
    assert "gzip" in refusal(json.dumps(kinesis_record("") | {"data": COMPRESSED}))
    assert "gzip" in refusal(json.dumps(cloud_event(data_base64=COMPRESSED)))


# --- several in one body ----------------------------------------------------------------------------------------


def firehose(*contents: str) -> dict[str, Any]:
    """What Firehose posts to an HTTP endpoint."""
    records = [{"data": base64.b64encode(content.encode()).decode()} for content in contents]
    return {"requestId": "fh-1", "timestamp": 1772370000000, "records": records}


def opened(content: Any) -> list[tuple[str | None, str]]:
    """Return profile and position of each message, or the reason of what is none."""
    return [
        (one.document.get("profileId"), one.position) if isinstance(one, Opened) else (None, one.reason)
        for one in open_messages(json.dumps(content))
    ]


A, B = document(profileId="a"), document(profileId="b")
A_TEXT, B_TEXT = json.dumps(A), json.dumps(B)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param([A, B], id="an array"),
        pytest.param([A_TEXT, B_TEXT], id="an array of JSON texts"),
        pytest.param([sns(A_TEXT), event_bridge(B)], id="an array of envelopes"),
        pytest.param([cloud_event(data=A), cloud_event(data=B)], id="a batch of CloudEvents"),
        pytest.param(sns(json.dumps([A, B])), id="an array in SNS"),
        pytest.param(event_bridge([A, B]), id="an array in EventBridge"),
        pytest.param(kinesis_record(json.dumps([A, B])), id="an array in a record"),
        pytest.param(firehose(A_TEXT, B_TEXT), id="Firehose"),
        pytest.param({"Records": [lambda_record(A_TEXT), lambda_record(B_TEXT)]}, id="Lambda's records of a stream"),
        pytest.param({"Records": [sqs_record(A_TEXT), sqs_record(B_TEXT)]}, id="Lambda's records of a queue"),
    ],
)
def test_each_message_of_an_array_is_found(body: Any) -> None:
    assert opened(body) == [("a", "/0"), ("b", "/1")]


def test_positions_tell_arrays_in_arrays_apart() -> None:
    assert opened([firehose(A_TEXT, json.dumps([A, B])), B]) == [
        ("a", "/0/0"),
        ("a", "/0/1/0"),
        ("b", "/0/1/1"),
        ("b", "/1"),
    ]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ([A, 7], "body[1]: must be a JSON object"),
        ([A, "x"], "body[1]: not valid JSON at character 0"),
        ([A, event_bridge(7)], "detail: must hold the membership message"),
        (firehose(A_TEXT, "x"), "data: not valid JSON at character 0"),
        ([A, [[[B]]]], "body[1][0][0]: must be a JSON object"),
    ],
)
def test_what_is_no_message_spoils_nothing_beside_it(body: Any, reason: str) -> None:
    assert opened(body) == [("a", "/0"), (None, reason)]


def test_an_empty_array_holds_nothing() -> None:
    assert opened([]) == []


@pytest.mark.parametrize("event", [{"event": {"detail": A}}, event_bridge({"event": {"detail": A}})])
def test_a_detail_in_an_event_is_found(event: dict[str, Any]) -> None:
    assert opened(event) == [("a", "")]


def test_what_is_said_to_be_a_message_is_not_opened() -> None:
    (found,) = open_messages(json.dumps({"data": A, "mine": 1}), lambda document: "mine" in document)

    assert isinstance(found, Opened)
    assert found.document["mine"] == JsonNumber("1")


@pytest.mark.parametrize(
    "body",
    [
        sns(A_TEXT),
        event_bridge(A),
        cloud_event(data_base64=base64.b64encode(A_TEXT.encode()).decode()),
        sqs_record(json.dumps(sns(A_TEXT))),
        lambda_record(A_TEXT),
        firehose(A_TEXT),
        {"Records": [lambda_record(A_TEXT)]},
        {"event": {"detail": A}},
    ],
)
def test_another_message_is_put_into_the_same_envelopes(body: dict[str, Any]) -> None:
    (before,) = open_messages(json.dumps(body))

    (after,) = open_messages(enclose(B, before.envelopes))

    assert isinstance(after, Opened)
    assert after.document == B
    assert [each.message_id() for each in after.envelopes] == [each.message_id() for each in before.envelopes]
    assert [each.occurred_at() for each in after.envelopes] == [each.occurred_at() for each in before.envelopes]
    assert len(enclose(before.document, before.envelopes)) <= len(json.dumps(body))  # type: ignore[union-attr]


def test_what_cannot_be_opened_is_kept_as_it_is() -> None:
    broken = event_bridge(7)
    _, found = open_messages(json.dumps([A, broken]))

    assert isinstance(found, Unopened)
    assert json.loads(enclose(found.content, found.envelopes)) == broken
