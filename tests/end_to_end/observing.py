"""How does a test wait for, and look at, what the deployed stack does in its own time?"""

import contextlib
import io
import json
import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from responsys_activation.aws.deployed_stack import DeployedStack, stack_at_endpoint
from responsys_activation.cli.replay import replay as replay_as_commanded
from responsys_activation.cli.terminal import Terminal
from tests.local_stack.published_metrics import OUTCOMES, PublishedMetrics
from tests.local_stack.queues import depth, take_all
from tests.local_stack.repeating import eventually
from tests.local_stack.sqs_record import sqs_record
from tests.local_stack.stack import STACK_NAME, LocalStack

if TYPE_CHECKING:
    from mypy_boto3_sqs.type_defs import MessageTypeDef

Value = TypeVar("Value")
Seen = Mapping[str, tuple[str, Any]]

SERVICE = "segment_events"
THROTTLED = "ThrottledDeadLetterQueueUrl"
REJECTED = "RejectedDeadLetterQueueUrl"
SEGMENT_EVENTS = "SegmentEventsQueueUrl"


def on_their_way(stack: LocalStack) -> int:
    """Count the messages that wait for the function or are with it."""
    # In this order: a message that changes queues is on ThrottledDLQ before it leaves the other.
    return sum(depth(stack.endpoint.sqs, stack.outputs[queue]) for queue in (SEGMENT_EVENTS, THROTTLED))


def settle(stack: LocalStack, seconds: float = 30.0) -> None:
    """Wait until every message has ended for good."""
    assert eventually(lambda: on_their_way(stack) == 0, seconds), f"{on_their_way(stack)} messages are on their way"


def waiting(stack: LocalStack, queue: str) -> int:
    """Count the messages of a queue."""
    return depth(stack.endpoint.sqs, stack.outputs[queue])


def attributes(message: "MessageTypeDef") -> dict[str, str]:
    """Return the text attributes of a message."""
    return {name: value["StringValue"] for name, value in message.get("MessageAttributes", {}).items()}


def rejected(stack: LocalStack, connector: str) -> "list[MessageTypeDef]":
    """Take the messages from RejectedDLQ, and return those of a connector."""
    taken = take_all(stack.endpoint.sqs, stack.outputs[REJECTED])
    return [message for message in taken if attributes(message).get("connector") == connector]


def rejected_messages(stack: LocalStack) -> Seen:
    """Look at every message of RejectedDLQ, by its SQS id, and put it back."""
    sqs, url = stack.endpoint.sqs, stack.outputs[REJECTED]
    seen, handles = {}, []
    while messages := sqs.receive_message(
        QueueUrl=url, MaxNumberOfMessages=10, MessageAttributeNames=["All"], VisibilityTimeout=60
    ).get("Messages"):
        for message in messages:
            seen[message["MessageId"]] = (message["Body"], attributes(message))
            handles.append(message["ReceiptHandle"])
    for handle in handles:
        sqs.change_message_visibility(QueueUrl=url, ReceiptHandle=handle, VisibilityTimeout=0)
    return seen


def deployed(stack: LocalStack) -> DeployedStack:
    """Return the stack as the command finds it."""
    return stack_at_endpoint(STACK_NAME, stack.endpoint.url, stack.endpoint.region)


def replay(stack: LocalStack, **event: Any) -> dict[str, Any]:
    """Replay dead letters as the command does, and return the report."""
    asked = {"source": "rejected", "dryRun": True, "messagesPerSecond": 1000, **event}
    return replay_as_commanded(deployed(stack), asked, Terminal(out=io.StringIO(), err=io.StringIO()))


@contextlib.contextmanager
def held_on_throttled_queue(stack: LocalStack, count: int) -> "Iterator[list[MessageTypeDef]]":
    """Look at messages of ThrottledDLQ once their delay is over, before they replay; they replay afterwards."""
    sqs, url = stack.endpoint.sqs, stack.outputs[THROTTLED]
    assert eventually(lambda: waiting(stack, THROTTLED) >= count), "the messages were not throttled"
    with stack.paused_event_sources():
        held: list[MessageTypeDef] = []
        deadline = time.monotonic() + 20
        while len(held) < count and time.monotonic() < deadline:
            held += sqs.receive_message(
                QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=1, MessageAttributeNames=["All"]
            ).get("Messages", [])
        yield held
        for message in held:
            sqs.change_message_visibility(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"], VisibilityTimeout=0)


def sqs_event(stack: LocalStack, bodies: list[str]) -> dict[str, Any]:
    """Make the event that Lambda hands over for messages of SegmentEventsQueue that were never on it."""
    queue_arn = stack.outputs["SegmentEventsQueueArn"]
    return {"Records": [sqs_record(f"{json.loads(body)['messageId']}-at-sqs", body, queue_arn) for body in bodies]}


def invoke(stack: LocalStack, event: Mapping[str, Any]) -> Any:
    """Invoke the function as any caller would, and return its answer."""
    answer = stack.endpoint.lambda_.invoke(FunctionName=stack.function_name, Payload=json.dumps(event))
    document = json.loads(answer["Payload"].read())
    assert "FunctionError" not in answer, document
    return document


def log_messages(stack: LocalStack) -> list[str]:
    """Return every line of the function's log group."""
    pages = stack.endpoint.logs.get_paginator("filter_log_events").paginate(
        logGroupName=f"/aws/lambda/{stack.function_name}"
    )
    return [event["message"] for page in pages for event in page["events"]]


def assert_outcomes_add_up(stack: LocalStack) -> None:
    """Assert that, over all invocations so far, each received message ended in exactly one outcome."""
    metrics = PublishedMetrics(stack.endpoint.cloudwatch)

    def counted() -> dict[str, int]:
        return metrics.outcomes(service=SERVICE)

    def adds_up() -> bool:
        outcomes = counted()
        return outcomes["MessagesReceived"] == sum(outcomes[metric] for metric in OUTCOMES)

    assert eventually(adds_up, 5), counted()
