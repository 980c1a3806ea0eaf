"""What becomes of messages whose function is killed while it sends them?"""

import time
from collections import Counter
from collections.abc import Iterator

import pytest

from tests.end_to_end.connector_under_test import ConnectorUnderTest, message_ids
from tests.end_to_end.observing import SEGMENT_EVENTS, THROTTLED, attributes, rejected, settle
from tests.local_stack.repeating import eventually
from tests.local_stack.stack import LocalStack


@pytest.fixture
def impatient_stack(stack: LocalStack) -> Iterator[LocalStack]:
    """Return the stack with a function that ends soon, and queues that hand out a dead function's messages soon."""
    queues = [stack.outputs[queue] for queue in (SEGMENT_EVENTS, THROTTLED)]
    deployed = stack.endpoint.lambda_.get_function_configuration(FunctionName=stack.function_name)["Timeout"]
    hidden = stack.endpoint.sqs.get_queue_attributes(QueueUrl=queues[0], AttributeNames=["VisibilityTimeout"])

    def hurry(timeout: int, visibility: int) -> None:
        stack.set_function_timeout(timeout)
        for url in queues:
            stack.endpoint.sqs.set_queue_attributes(QueueUrl=url, Attributes={"VisibilityTimeout": str(visibility)})

    # A request only starts where its reply can be waited for, and the batch be settled afterwards.
    stack.set_function_environment({"UNKNOWN_OUTCOME": "Reject", "REPLY_SECONDS": "3"})
    hurry(28, 10)  # hidden for longer than an invocation of the emulated AWS takes, as on AWS
    yield stack
    hurry(deployed, int(hidden["Attributes"]["VisibilityTimeout"]))
    stack.set_function_environment({})


def test_with_reject_a_killed_function_loses_nothing_and_doubles_nothing(impatient_stack: LocalStack) -> None:
    # Given an account that takes its time after accepting a request
    stack = impatient_stack
    connector = ConnectorUnderTest(stack, {"replies": {"latencyMs": 1500}})
    bodies = connector.bodies(1000)
    connector.publish(bodies)

    # When the function is killed while it waits for the first answers
    assert eventually(lambda: connector.simulator.inbox_count(connector.name) > 0)
    assert stack.kill_running_workers() >= 1
    killed_at = time.monotonic()
    connector.simulator.patch_account(connector.name, {"replies": {"latencyMs": 0}})
    settle(stack, 90)

    # Then each message was accepted once, or waits for a person because nobody knows, and none is missing
    accepted = connector.accepted()
    kept = rejected(stack, connector.name)
    unknown = set(message_ids([message["Body"] for message in kept]))
    assert max(accepted.values()) == 1
    assert accepted.keys() | unknown == set(message_ids(bodies))
    assert Counter(attributes(message)["errorCode"] for message in kept).keys() == {"OUTCOME_UNKNOWN"}
    assert 200 <= len(unknown) <= 800, f"{len(unknown)} after {time.monotonic() - killed_at:.0f} s"
