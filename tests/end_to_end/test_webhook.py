"""Does what platforms post over HTTP arrive at Responsys, and nothing that others post?"""

import base64
import hmac
import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.end_to_end.connector_under_test import EVENT, OTHER_EVENT, ConnectorUnderTest
from tests.end_to_end.observing import settle, waiting
from tests.hostile.platforms import SAMPLES
from tests.local_stack.http_api import Reply, post
from tests.local_stack.published_metrics import PublishedMetrics
from tests.local_stack.repeating import eventually
from tests.local_stack.stack import LocalStack

Post = Callable[..., Reply]


@pytest.fixture
def post_it(stack: LocalStack) -> Post:
    """Post a body with headers; without any, as somebody who knows the secret."""

    def post_it(body: str | bytes, **headers: str) -> Reply:
        content = body.encode() if isinstance(body, str) else body
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        known = {"Authorization": f"Bearer {stack.webhook_secret}"}
        return post(stack.outputs["WebhookUrl"], content, given or known)

    return post_it


def arrived(connector: ConnectorUnderTest) -> set[tuple[str, str, str | None, str | None]]:
    return {
        (event.event_name, event.identifier, event.value("profileId"), event.value("callType"))
        for event in connector.inbox()
    }


def mapping_connector(stack: LocalStack, identifier_type: str, event_names: dict[str, str]) -> ConnectorUnderTest:
    """Return a connector that the function knows of already: what it listed before, it remembers for a while."""
    connector = ConnectorUnderTest(stack, eventNames=event_names)
    connector.put(identifier_type=identifier_type)
    stack.set_function_environment({})  # new environments, which remember nothing
    return connector


def test_segments_signed_call_becomes_an_event(stack: LocalStack, post_it: Post) -> None:
    # Given a connector that maps an audience of Segment's
    connector = mapping_connector(stack, "CRM_ID", {"aud_webhook": OTHER_EVENT})
    call = json.dumps(json.loads(SAMPLES["segment_entered"])["detail"]).replace("aud_3Fh0a", "aud_webhook").encode()
    # When Segment posts it, signed with the secret
    reply = post_it(call, X_Signature=hmac.digest(stack.webhook_secret.encode(), call, "sha1").hex())
    # Then it is taken, and arrives
    assert (reply.status, reply.body) == (202, {"messages": 1})
    settle(stack)
    assert arrived(connector) == {(OTHER_EVENT, "cust-4711", "cust-4711", "ADD")}


def test_mparticles_request_becomes_an_event_for_each_membership(stack: LocalStack, post_it: Post) -> None:
    # Given a connector that maps two audiences of mParticle's, of a request with three
    connector = mapping_connector(stack, "EMAIL", {"98022": EVENT, "98024": OTHER_EVENT})
    request = SAMPLES["mparticle_many"].replace("5102", "9802")
    # When mParticle posts it, and a keep-alive
    assert post_it(request).status == 202
    assert post_it(SAMPLES["mparticle_keep_alive"]).status == 202
    # Then each membership arrives
    settle(stack)
    assert arrived(connector) == {
        (EVENT, "nora@example.org", "-812345", "ADD"),
        (OTHER_EVENT, "nora@example.org", "-812345", "REMOVE"),
        (EVENT, "olav@example.org", "5512", "ADD"),
    }


def test_firehoses_request_is_answered_in_its_protocol_and_its_records_become_events(
    stack: LocalStack, post_it: Post, connector: ConnectorUnderTest
) -> None:
    # Given records of a stream
    bodies = connector.bodies(3, messageId=None)
    records = [{"data": base64.b64encode(body.encode()).decode()} for body in bodies]
    request = json.dumps({"requestId": "fh-1", "timestamp": 1795162503000, "records": records})
    # When Firehose delivers them, twice, for it missed the first answer
    replies = [
        post_it(request, X_Amz_Firehose_Request_Id="fh-1", X_Amz_Firehose_Access_Key=stack.webhook_secret)
        for _ in range(2)
    ]
    # Then it gets its own id back
    assert [reply.status for reply in replies] == [200, 200]
    assert all(set(reply.body) == {"requestId", "timestamp"} for reply in replies)
    assert replies[0].body["requestId"] == "fh-1"
    # And each record arrives once
    settle(stack)
    assert sorted(connector.accepted().values()) == [1, 1, 1]


def test_a_body_larger_than_a_message_arrives_whole(post_it: Post, connector: ConnectorUnderTest) -> None:
    # Given 300 memberships in two megabytes
    messages: list[dict[str, Any]] = [connector.message() for _ in range(300)]
    for message in messages:
        message["variables"]["TEXT"] = "x" * 7_000
    # When they are posted at once
    reply = post_it(json.dumps(messages))
    # Then they are on the queue in a few messages, and all arrive
    assert (reply.status, reply.body) == (202, {"messages": 3})
    settle(connector.stack, 60)
    assert set(connector.accepted().values()) == {1}
    assert len(connector.accepted()) == 300


def test_who_does_not_know_the_secret_puts_nothing_on_the_queue(
    stack: LocalStack, post_it: Post, connector: ConnectorUnderTest
) -> None:
    # Given a queue that nothing is taken from
    metrics = PublishedMetrics(stack.endpoint.cloudwatch)
    before = metrics.total("WebhookRequests", service="webhook", status="401")
    (body,) = connector.bodies(1)
    with stack.paused_event_sources():
        # When somebody guesses
        replies = [
            post_it(body, Authorization="Bearer guess"),
            post_it(body, X_Signature="00" * 20),
            post_it(body, X_Amz_Firehose_Access_Key="guess", X_Amz_Firehose_Request_Id="fh-1"),
        ]
        # Then the answer says how to do it right, and nothing is on the queue
        assert [reply.status for reply in replies] == [401] * 3
        assert "WebhookSecretArn" in replies[0].body["message"]
        assert replies[2].body["errorMessage"] == replies[0].body["message"]
        assert waiting(stack, "SegmentEventsQueueUrl") == 0
    assert eventually(lambda: metrics.total("WebhookRequests", service="webhook", status="401") == before + 3)
    assert connector.inbox() == []


def test_what_is_no_json_is_refused_at_once(stack: LocalStack, post_it: Post) -> None:
    # Given a template that a platform filled wrongly / When it is posted
    reply = post_it('{"profileId": "p-1", "callType": ADD}')
    # Then it is told where, and nobody has to look at RejectedDLQ
    assert (reply.status, reply.body) == (400, {"message": "body: not valid JSON at character 33"})
    settle(stack)
    assert waiting(stack, "RejectedDeadLetterQueueUrl") == 0
