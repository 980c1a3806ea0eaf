"""Does a rule of the default bus get every outcome of the deployed stack once, as the metrics count them?"""

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from responsys_activation.delivery.outcome_feed import DETAIL_TYPE, SOURCE
from tests.end_to_end.connector_under_test import ConnectorUnderTest
from tests.end_to_end.observing import SERVICE, assert_outcomes_add_up, settle
from tests.local_stack.environments import REPOSITORY
from tests.local_stack.published_metrics import OUTCOMES, PublishedMetrics
from tests.local_stack.queues import take_all
from tests.local_stack.repeating import eventually
from tests.local_stack.stack import STACK_NAME, LocalStack
from tests.simulator.faults import ErrorReply

SCHEMA = Draft202012Validator(json.loads((REPOSITORY / "docs" / "outcome.schema.json").read_text()))


@pytest.fixture(scope="module")
def stack() -> Iterator[LocalStack]:
    parameters = {"OutcomeFeed": "On", "BatchingWindowSeconds": "1"}
    with LocalStack(parameters, time_scale=60, say=lambda _: None) as stack:
        yield stack


@pytest.fixture
def connector(stack: LocalStack) -> ConnectorUnderTest:
    return ConnectorUnderTest(stack)


@pytest.fixture
def listening(stack: LocalStack) -> str:
    """Let a rule send this stack's outcomes to a queue, as a recipe does, and return its URL."""
    sqs, events = stack.endpoint.sqs, stack.endpoint.client("events")
    url = sqs.create_queue(QueueName="outcomes")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    pattern = {"source": [SOURCE], "detail-type": [DETAIL_TYPE], "detail": {"stack": [STACK_NAME]}}
    events.put_rule(Name="outcomes", EventPattern=json.dumps(pattern))
    events.put_targets(Rule="outcomes", Targets=[{"Id": "queue", "Arn": arn}])
    return url


def fed(stack: LocalStack, url: str, metrics: PublishedMetrics, messages: int) -> list[dict[str, Any]]:
    """Wait until the queue has a last word on each message, and the metrics all that it has; return the events."""
    taken: list[dict[str, Any]] = []

    def all_there() -> bool:
        taken.extend(json.loads(message["Body"]) for message in take_all(stack.endpoint.sqs, url))
        words = [outcome["outcome"] for event in taken for outcome in event["detail"]["outcomes"]]
        last_words = len(words) - words.count("throttled")
        return last_words >= messages and len(words) <= metrics.total("MessagesReceived", service=SERVICE)

    assert eventually(all_there), len(taken)
    return taken


def test_each_outcome_of_a_run_is_in_the_feed_once_and_the_sums_are_the_metrics(
    stack: LocalStack, connector: ConnectorUnderTest, listening: str
) -> None:
    # Given messages for two full requests and a part of one, of which some end otherwise than delivered, and a throttle
    good = connector.bodies(450)
    twice = good[:3]
    without_identifier = connector.bodies(4, identifiers={})
    unreadable = [*connector.bodies(2, callType="JOIN"), "no JSON"]
    connector.simulator.add_fault(ErrorReply(account=connector.name, status=429, error_code="API_LIMIT_EXCEEDED"))

    # When all of them are published and have come to their end
    published = connector.publish([*good, *twice, *without_identifier, *unreadable])
    settle(stack, 120)
    assert_outcomes_add_up(stack)
    metrics = PublishedMetrics(stack.endpoint.cloudwatch)
    events = fed(stack, listening, metrics, len(published))

    # Then the sums of the feed are those of the metrics
    outcomes = [outcome for event in events for outcome in event["detail"]["outcomes"]]
    told = Counter(outcome["outcome"] for outcome in outcomes)
    counted = metrics.outcomes(service=SERVICE)
    assert {f"Events{word.capitalize()}": count for word, count in told.items()} == {
        name: counted[name] for name in OUTCOMES if counted[name]
    }
    assert told["throttled"] > 0
    assert not metrics.total("OutcomesNotFed", service=SERVICE)
    # And each message has its last word once, under the producer's id; SQS's where that cannot be read
    last = Counter((each["messageId"], each["outcome"]) for each in outcomes if each["outcome"] != "throttled")
    assert last == Counter(
        {
            **{(json.loads(body)["messageId"], "delivered"): 1 for body in good},
            **{(json.loads(body)["messageId"], "duplicate"): 1 for body in twice},
            **{(json.loads(body)["messageId"], "rejected"): 1 for body in without_identifier},
            **{(sqs_id, "rejected"): 1 for sqs_id in published[-len(unreadable) :]},
        }
    )
    # And each event is what the schema says, of a request of this stack that Responsys saw, or of none
    requests = {record.request_id for record in connector.event_requests()}
    for event in events:
        SCHEMA.validate(event["detail"])
        assert event["detail"]["stack"] == STACK_NAME
        words = {each["outcome"] for each in event["detail"]["outcomes"]}
        assert event["detail"].get("requestId") in requests or "delivered" not in words
    sizes = Counter(len(event["detail"]["outcomes"]) for event in events if "requestId" in event["detail"])
    assert max(sizes) == 200
