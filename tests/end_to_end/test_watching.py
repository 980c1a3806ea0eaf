"""Can somebody who watches the deployed stack see what happens: metrics, alarms, logs?"""

import json
from collections.abc import Iterator

import pytest

from tests.end_to_end.connector_under_test import EVENT, ConnectorUnderTest
from tests.end_to_end.observing import SERVICE, log_messages, settle
from tests.local_stack.published_metrics import OUTCOMES, PublishedMetrics
from tests.local_stack.repeating import eventually
from tests.local_stack.stack import LocalStack
from tests.simulator.faults import ErrorReply

PERIOD_SECONDS = 60.0


def test_every_metric_of_the_contract_exists_under_its_dimensions(
    stack: LocalStack, connector: ConnectorUnderTest
) -> None:
    # Given messages that are delivered, rejected and throttled
    connector.simulator.add_fault(ErrorReply(account=connector.name, status=429, error_code="API_LIMIT_EXCEEDED"))
    connector.publish([*connector.bodies(2), json.dumps(connector.message(identifiers={}))])

    # When all has settled
    settle(stack)

    # Then each metric is there, by service, by connector and event, by connector and error code, or by connector
    metrics = PublishedMetrics(stack.endpoint.cloudwatch)
    by_connector = frozenset({("connector", connector.name)})
    by_event = frozenset({*by_connector, ("eventName", EVENT)})
    assert eventually(lambda: connector.metric("EventsDelivered", eventName=EVENT) == 2)
    for metric in ("MessagesReceived", *OUTCOMES):
        assert {frozenset({("service", SERVICE)}), by_event} <= metrics.dimension_sets(metric), metric
    for metric in (
        *("ApiRequests", "ApiLatency", "RecipientsPerRequest", "TokenLogins", "TokenLoginFailures"),
        *("BudgetWait", "OutcomesUnknown", "DeliveryLag"),
    ):
        assert by_connector in metrics.dimension_sets(metric), metric

    # And they tell what happened: the throttled two came back, and zeros are there, too
    assert metrics.outcomes(connector=connector.name, eventName=EVENT) == {
        "MessagesReceived": 5,
        "EventsDelivered": 2,
        "EventsDuplicate": 0,
        "EventsThrottled": 2,
        "EventsRejected": 1,
        "EventsRetried": 0,
        "EventsIgnored": 0,
    }
    errors = {
        error_code: count
        for (name, error_code), count in metrics.totals("Errors", ("connector", "errorCode")).items()
        if name == connector.name
    }
    assert errors == {"API_LIMIT_EXCEEDED": 2, "NO_IDENTIFIER": 1}
    assert (connector.metric("ApiRequests"), connector.metric("TokenLogins")) == (2, 1)
    assert metrics.average("RecipientsPerRequest", connector=connector.name) == 2
    assert 0 < metrics.average("DeliveryLag", connector=connector.name) < 30_000


def test_each_request_and_each_batch_has_a_log_line_to_follow_it_by(
    stack: LocalStack, connector: ConnectorUnderTest
) -> None:
    # Given a delivered message
    connector.publish(connector.bodies(1))
    settle(stack)

    def lines(message: str) -> Iterator[dict[str, object]]:
        for line in log_messages(stack):
            if f'"{message}"' in line:
                yield json.loads(line)

    # When somebody looks for its request
    (request,) = connector.event_requests()
    assert eventually(lambda: any(line["requestId"] == request.request_id for line in lines("request answered")))

    # Then the line names what Responsys' support asks for, and the batch's line adds up
    (line,) = [line for line in lines("request answered") if line["requestId"] == request.request_id]
    assert (line["connector"], line["eventName"], line["recipients"]) == (connector.name, EVENT, 1)
    assert line["correlationId"] == request.correlation_id
    (batch,) = [
        batch for batch in lines("batch settled") if batch["function_request_id"] == line["function_request_id"]
    ]
    assert (batch["received"], batch["delivered"], batch["rejected"]) == (1, 1, 0)


@pytest.fixture
def notified(stack: LocalStack) -> Iterator[str]:
    """Return the URL of a queue that hears of alarms."""
    sqs, sns = stack.endpoint.sqs, stack.endpoint.client("sns")
    url = sqs.create_queue(QueueName="heard-alarms")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    subscription = sns.subscribe(
        TopicArn=stack.outputs["AlarmTopicArn"], Protocol="sqs", Endpoint=arn, ReturnSubscriptionArn=True
    )
    yield url
    sns.unsubscribe(SubscriptionArn=subscription["SubscriptionArn"])
    sqs.delete_queue(QueueUrl=url)


def test_the_alarm_on_rejected_messages_tells_its_topic_and_ends_when_they_are_gone(
    stack: LocalStack, connector: ConnectorUnderTest, notified: str
) -> None:
    name = f"{stack.function_name.removesuffix('-segment-events')}-rejected-messages"

    def state() -> str:
        (alarm,) = stack.endpoint.cloudwatch.describe_alarms(AlarmNames=[name])["MetricAlarms"]
        return str(alarm["StateValue"])

    # Given the alarm at rest
    assert eventually(lambda: state() == "OK", 2 * PERIOD_SECONDS)

    # When a message is rejected
    connector.publish([json.dumps(connector.message(identifiers={}))])

    # Then the alarm goes off, and its topic hears of it
    assert eventually(lambda: state() == "ALARM")
    heard = stack.endpoint.sqs.receive_message(QueueUrl=notified, WaitTimeSeconds=5)["Messages"]
    assert any(name in message["Body"] for message in heard)

    # And when the message is gone, the alarm ends with its period
    stack.endpoint.sqs.purge_queue(QueueUrl=stack.outputs["RejectedDeadLetterQueueUrl"])
    assert eventually(lambda: state() == "OK", 2 * PERIOD_SECONDS)
