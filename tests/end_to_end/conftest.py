"""One deployed stack for all tests of this folder; each test brings connectors and accounts of its own."""

from collections.abc import Iterator

import pytest

from tests.end_to_end.connector_under_test import ConnectorUnderTest
from tests.end_to_end.observing import REJECTED, SEGMENT_EVENTS, THROTTLED, assert_outcomes_add_up, settle
from tests.local_stack.stack import LocalStack

# Throttles, back-off and the memory of a refused login pass sixty times as fast; time-outs do not.
TIME_SCALE = 60.0


PARAMETERS = {
    "BatchingWindowSeconds": "1",
    "LogLevel": "DEBUG",
    # Few, so that a batch has requests that have not begun when something happens to those that have.
    "RequestsInFlight": "4",
    # The emulator takes no event from a partner's bus; whose events they are makes no difference to a rule.
    "UpstreamEventSource": "com.example.cdp",
}


@pytest.fixture(scope="session")
def shared_stack() -> Iterator[LocalStack]:
    with LocalStack(PARAMETERS, time_scale=TIME_SCALE, say=lambda _: None) as stack:
        yield stack


@pytest.fixture
def stack(shared_stack: LocalStack) -> Iterator[LocalStack]:
    """Return the stack with empty queues, and check the outcome law after each test."""
    yield shared_stack
    assert shared_stack.simulator is not None
    shared_stack.simulator.delete_faults()
    try:
        settle(shared_stack)
    except AssertionError:
        with shared_stack.paused_event_sources():
            for queue in (SEGMENT_EVENTS, THROTTLED):
                shared_stack.endpoint.sqs.purge_queue(QueueUrl=shared_stack.outputs[queue])
        raise
    finally:
        shared_stack.endpoint.sqs.purge_queue(QueueUrl=shared_stack.outputs[REJECTED])
    assert_outcomes_add_up(shared_stack)


@pytest.fixture
def connector(stack: LocalStack) -> ConnectorUnderTest:
    return ConnectorUnderTest(stack)
