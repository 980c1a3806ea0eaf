"""Does the stack as it is deployed, with its default parameters, fill its requests?

A full batch does not wait for the window; in the other tests, which send few messages at a time, it is shorter.
"""

from collections import Counter
from collections.abc import Iterator

import pytest

from tests.end_to_end.conftest import TIME_SCALE
from tests.end_to_end.connector_under_test import ConnectorUnderTest, message_ids
from tests.end_to_end.observing import settle
from tests.local_stack.stack import LocalStack


@pytest.fixture(scope="module")
def stack() -> Iterator[LocalStack]:
    with LocalStack(time_scale=TIME_SCALE, say=lambda _: None) as stack:
        yield stack


def test_two_thousand_messages_for_one_event_take_exactly_ten_requests(stack: LocalStack) -> None:
    # Given 2,000 messages that arrive together
    connector = ConnectorUnderTest(stack)
    bodies = connector.bodies(2000)

    # When they are published
    connector.publish(bodies)
    settle(stack, 60)

    # Then ten full requests carried them
    requests = connector.event_requests()
    assert [record.recipients for record in requests] == [200] * 10
    assert connector.accepted() == Counter(message_ids(bodies))
    summary = connector.simulator.summary(connector.name)
    assert (summary.logins, summary.throttled_requests, summary.overlaps) == (1, 0, 0)
    assert summary.most_concurrent_requests <= int(stack.parameters["RequestsInFlight"])
