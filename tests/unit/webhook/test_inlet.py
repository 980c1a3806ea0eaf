"""Is each request answered as its caller needs it, and on the queue exactly if it is told so?"""

from __future__ import annotations

import base64
import gzip
import json
import tracemalloc
from typing import Any

import pytest

from responsys_activation.aws.queues import LARGEST_MESSAGE
from responsys_activation.upstream.memberships import Part, read
from responsys_activation.webhook.answer import TRY_AGAIN_SECONDS
from responsys_activation.webhook.request import LARGEST_BODY
from tests.fakes.function_output import captured_output
from tests.fakes.memberships import document
from tests.fakes.webhook import QUEUE, SECRET, WebhookUnderTest, request_event
from tests.hostile.platforms import SAMPLES

BEARER = f"Bearer {SECRET}"
NO_GZIP = "body: not gzip, though Content-Encoding says so; send it unpacked"


@pytest.fixture
def webhook() -> WebhookUnderTest:
    return WebhookUnderTest()


def array_of(messages: int, **variables: Any) -> str:
    return json.dumps(
        [document(messageId=f"m-{number}", variables=variables) for number in range(messages)], ensure_ascii=False
    )


def ids_on(queue: list[str]) -> list[str | None]:
    parts = [part for body in queue for part in read(body, 0.0).parts]
    assert all(isinstance(part, Part) for part in parts)
    return [part.membership.message_id for part in parts if isinstance(part, Part)]


# --- 202 --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("story", SAMPLES)
def test_whatever_a_platform_sends_is_one_message_as_it_came(webhook: WebhookUnderTest, story: str) -> None:
    told = webhook.post(SAMPLES[story])

    assert (told.status, told.body) == (202, {"messages": 1})
    assert webhook.on_queue() == [SAMPLES[story]]


@pytest.mark.parametrize("body", ["{}", "7", "[]", '"{}"', "null"])
def test_json_that_is_no_membership_is_taken_too_and_judged_where_it_can_be_kept(
    webhook: WebhookUnderTest, body: str
) -> None:
    assert webhook.post(body).status == 202
    assert webhook.on_queue() == [body]


@pytest.mark.parametrize("as_bytes", [True, False])
def test_a_body_comes_as_text_or_in_base64(webhook: WebhookUnderTest, as_bytes: bool) -> None:
    body = '{"name": "Zoë \U0001f40e \\u0000"}\r\n'

    assert webhook.post(body.encode() if as_bytes else body).status == 202
    assert webhook.on_queue() == [body]


def test_a_character_that_sqs_does_not_take_is_written_as_json_may(webhook: WebhookUnderTest) -> None:
    assert webhook.post('{"name": "a\uffffb\ufffe"}').status == 202

    assert webhook.on_queue() == ['{"name": "a\\uffffb\\ufffe"}']


def test_a_packed_body_is_unpacked(webhook: WebhookUnderTest) -> None:
    body = SAMPLES["own_firehose"]

    told = webhook.post(gzip.compress(body.encode()), authorization=BEARER, content_encoding="GZIP")

    assert (told.status, webhook.on_queue()) == (202, [body])


def test_what_fits_into_one_message_is_one(webhook: WebhookUnderTest) -> None:
    # Given two memberships in exactly as many bytes as a message may have
    body = array_of(2, text="é" * 250_000)
    body += " " * (LARGEST_MESSAGE - len(body.encode()))
    assert len(body.encode()) == LARGEST_MESSAGE

    assert webhook.post(body).body == {"messages": 1}
    assert webhook.on_queue() == [body]


def test_what_is_a_byte_larger_is_written_anew(webhook: WebhookUnderTest) -> None:
    body = array_of(2, text="é" * 250_000)
    body += " " * (LARGEST_MESSAGE + 1 - len(body.encode()))

    assert webhook.post(body).status == 202

    assert all(len(each.encode()) < LARGEST_MESSAGE for each in webhook.on_queue())
    assert ids_on(webhook.on_queue()) == ["m-0", "m-1"]


def test_a_larger_body_becomes_as_few_messages_as_it_takes(webhook: WebhookUnderTest) -> None:
    body = array_of(100, text="é" * 25_000)  # 5 MB

    told = webhook.post(body)

    bodies = webhook.on_queue()
    assert (told.status, told.body) == (202, {"messages": 5})
    assert [len(each.encode()) <= LARGEST_MESSAGE for each in bodies] == [True] * 5
    assert ids_on(bodies) == [f"m-{number}" for number in range(100)]


def test_a_large_body_about_no_membership_needs_no_message(webhook: WebhookUnderTest) -> None:
    told = webhook.post(json.dumps([{"type": "page", "messageId": "m", "properties": {"x": "x" * LARGEST_MESSAGE}}]))

    assert (told.status, told.body, webhook.on_queue()) == (202, {"messages": 0}, [])


# --- 400, 413 ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("", "body: is empty; send the membership message as JSON"),
        (b" \n", "body: is empty; send the membership message as JSON"),
        ('{"profileId": "Nora"', "body: not valid JSON at character 20"),
        ("profileId=Nora&callType=ADD", "body: not valid JSON at character 0"),
        ('{"a": NaN}', "body: not valid JSON"),
        ("[" * 100_000, "body: nested too deeply"),
        (b"\xff\xfe{\x00}\x00", "body: not UTF-8 text"),
        (gzip.compress(b"{}", mtime=0), "body: not UTF-8 text"),
    ],
)
def test_what_is_no_json_is_refused_and_the_reason_quotes_nothing(
    webhook: WebhookUnderTest, body: str | bytes, message: str
) -> None:
    told = webhook.post(body)

    assert (told.status, told.body) == (400, {"message": message})
    assert webhook.sqs.sent == {}


@pytest.mark.parametrize(
    ("content", "encoding", "message"),
    [
        (b"{}", "gzip", NO_GZIP),
        (gzip.compress(b"{}", mtime=0)[:-9], "gzip", NO_GZIP),
        (gzip.compress(b"{}", mtime=0)[:12] + b"\xff" * 9, "gzip", NO_GZIP),
        (b"{}", "br", "Content-Encoding: must be gzip, or left out"),
    ],
)
def test_what_cannot_be_unpacked_is_refused(
    webhook: WebhookUnderTest, content: bytes, encoding: str, message: str
) -> None:
    told = webhook.post(content, authorization=BEARER, content_encoding=encoding)

    assert (told.status, told.body) == (400, {"message": message})


def test_a_body_that_unpacks_to_more_than_is_taken_is_never_unpacked_whole(webhook: WebhookUnderTest) -> None:
    # Given two hundred megabytes that come as a fifth of one
    bomb = gzip.compress(b" " * LARGEST_BODY) * 20

    tracemalloc.start()
    told = webhook.post(bomb, authorization=BEARER, content_encoding="gzip")
    _, most_memory = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert most_memory < 4 * LARGEST_BODY
    assert told.status == 413
    assert told.body == {"message": "body: has more than 10,485,760 bytes when unpacked; send less in one request"}


def test_a_membership_that_is_too_large_is_refused_with_all_that_came_with_it(webhook: WebhookUnderTest) -> None:
    large = document(variables={"text": "x" * LARGEST_MESSAGE})

    told = webhook.post(json.dumps([document(), large]))

    assert told.status == 413
    assert told.body == {"message": "body: one membership has more than 1,032,192 bytes; send fewer variables with it"}
    assert webhook.sqs.sent == {}


def test_memberships_that_become_too_much_when_taken_apart_are_refused(webhook: WebhookUnderTest) -> None:
    segments = {f"s-{number}": {"status": "exited"} for number in range(100)}
    export = {"segmentMembership": {"ups": segments}, "identityMap": {"crmid": [{"id": "c"}]}, "text": "x" * 1_000_000}

    told = webhook.post(json.dumps(export) + " " * 100_000)

    assert told.status == 413
    assert told.body["message"].endswith("take more than 16 MiB; send fewer in one request")
    assert webhook.sqs.sent == {}


# --- 401 --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("body", [SAMPLES["segment_entered"], "no JSON"])
def test_who_does_not_know_the_secret_is_told_how_and_nothing_else(webhook: WebhookUnderTest, body: str) -> None:
    told = webhook.post(body, authorization="Bearer guess")

    assert told.status == 401
    assert told.headers["www-authenticate"] == "Bearer"
    assert "WebhookSecretArn" in told.body["message"]
    assert webhook.sqs.sent == {}


# --- 503 --------------------------------------------------------------------------------------------------------


def test_what_sqs_does_not_take_is_to_be_sent_again(webhook: WebhookUnderTest) -> None:
    webhook.sqs.down.add(QUEUE)

    told = webhook.post(SAMPLES["segment_entered"])

    assert told.status == 503
    assert told.headers["retry-after"] == str(TRY_AGAIN_SECONDS)
    assert "send the whole request again" in told.body["message"]


def test_what_sqs_refuses_within_a_call_is_to_be_sent_again(webhook: WebhookUnderTest) -> None:
    webhook.sqs.refuses = lambda _: True

    assert webhook.post(SAMPLES["segment_entered"]).status == 503


def test_a_part_that_sqs_does_not_take_makes_the_whole_to_be_sent_again_under_the_same_ids(
    webhook: WebhookUnderTest,
) -> None:
    # Given a body of several messages, one of which SQS refuses at first
    body = array_of(100, text="é" * 25_000)
    webhook.sqs.refuses = lambda entry: entry["MessageBody"].startswith("[") and '"m-99"' in entry["MessageBody"]
    assert webhook.post(body).status == 503
    first = ids_on(webhook.on_queue())
    assert 0 < len(first) < 100

    # When the caller sends it again
    webhook.sqs.sent.clear()
    webhook.sqs.refuses = lambda _: False
    assert webhook.post(body).status == 202

    # Then what comes twice does so under its id
    assert ids_on(webhook.on_queue()) == [f"m-{number}" for number in range(100)]


def test_no_call_begins_that_might_outlive_the_invocation(webhook: WebhookUnderTest) -> None:
    assert webhook.post(SAMPLES["segment_entered"], seconds_left=7.9).status == 503
    assert webhook.sqs.sent == {}


def test_without_a_secret_nobody_is_let_in_and_nothing_is_taken(webhook: WebhookUnderTest) -> None:
    webhook.secret.is_down = True

    told = webhook.post(SAMPLES["segment_entered"])

    assert (told.status, told.headers["retry-after"]) == (503, str(TRY_AGAIN_SECONDS))
    assert webhook.sqs.sent == {}


# --- Firehose ---------------------------------------------------------------------------------------------------


def firehose(webhook: WebhookUnderTest, body: str, key: str = SECRET) -> Any:
    return webhook.post(body, x_amz_firehose_access_key=key, x_amz_firehose_request_id="fh-1")


def test_firehose_is_answered_in_its_own_words(webhook: WebhookUnderTest) -> None:
    told = firehose(webhook, SAMPLES["own_firehose"])

    # It takes nothing but 200 for a success
    assert (told.status, told.body) == (200, {"requestId": "fh-1", "timestamp": int(webhook.clock() * 1000)})
    assert webhook.on_queue() == [SAMPLES["own_firehose"]]


def test_firehose_is_told_what_is_wrong_where_it_looks_for_it(webhook: WebhookUnderTest) -> None:
    wrong_key, no_json = firehose(webhook, "{}", key="guess"), firehose(webhook, "x")
    webhook.sqs.down.add(QUEUE)
    not_taken = firehose(webhook, "{}")

    assert [told.status for told in (wrong_key, no_json, not_taken)] == [401, 400, 503]
    for told in (wrong_key, no_json, not_taken):
        assert set(told.body) == {"requestId", "timestamp", "errorMessage"}
        assert told.body["requestId"] == "fh-1"
    assert no_json.body["errorMessage"] == "body: not valid JSON at character 0"


def test_records_of_a_large_request_keep_their_ids_when_it_is_split(webhook: WebhookUnderTest) -> None:
    records = [json.dumps(document(messageId=None, variables={"text": "x" * 500_000})) for _ in range(3)]
    data = [{"data": base64.b64encode(record.encode()).decode()} for record in records]
    body = json.dumps({"requestId": "fh-1", "timestamp": 1795162502000, "records": data})

    assert firehose(webhook, body).status == 200

    assert len(webhook.on_queue()) > 1
    assert ids_on(webhook.on_queue()) == ["fh-1/0", "fh-1/1", "fh-1/2"]


# --- what is told ------------------------------------------------------------------------------------------------


def test_requests_are_counted_by_status_and_messages_as_they_are_taken(webhook: WebhookUnderTest) -> None:
    with captured_output() as output:
        webhook.post(array_of(100, text="é" * 25_000))
        webhook.post("{}")
        webhook.post("no JSON")
        webhook.post("{}", authorization="Bearer guess")
        firehose(webhook, "{}")

    counted = {
        status: output.total("WebhookRequests", service="webhook", status=status)
        for status in ("202", "200", "400", "401")
    }
    assert counted == {"202": 2, "200": 1, "400": 1, "401": 1}
    assert output.total("WebhookAccepted", service="webhook") == 7


@pytest.mark.parametrize(
    ("body", "headers", "line"),
    [
        (SAMPLES["segment_entered"], {"x_forwarded_for": "192.0.2.7"}, {"status": 401, "reason": "no credentials"}),
        (
            SAMPLES["segment_entered"],
            {"authorization": "Bearer nora-guess", "x_signature": "nora"},
            {"status": 401, "reason": "wrong authorization and x-signature"},
        ),
        ("nora@example.org", {}, {"status": 400, "reason": "body: not valid JSON at character 0"}),
    ],
)
def test_what_is_refused_is_logged_with_the_reason_and_nothing_of_the_request(
    webhook: WebhookUnderTest, body: str, headers: dict[str, str], line: dict[str, Any]
) -> None:
    with captured_output() as output:
        webhook.answer(request_event(body, **headers))

    (logged,) = output.lines("webhook request refused")
    assert {name: logged[name] for name in ("status", "reason", "apiRequestId")} == line | {"apiRequestId": "api-1"}
    assert not [word for word in ("nora", "192.0.2.7", SECRET) if word in output.text().lower()]


def test_a_fault_is_logged_with_its_code_and_nothing_of_the_request(webhook: WebhookUnderTest) -> None:
    webhook.sqs.down.add(QUEUE)
    with captured_output() as output:
        webhook.post(SAMPLES["segment_entered"])
    assert output.lines("messages not put on the queue")[0]["fault"].endswith("ServiceUnavailable")
    assert "nora" not in output.text().lower()
    assert SECRET not in output.text()
