"""What does the deployed function send while its table denies or throttles it?"""

from collections import Counter
from collections.abc import Iterator

import pytest

from tests.end_to_end.alarms import AN_ALARMS_TIME, Alarms
from tests.end_to_end.connector_under_test import ConnectorUnderTest, message_ids
from tests.end_to_end.observing import settle
from tests.local_stack.repeating import eventually
from tests.local_stack.stack import LocalStack
from tests.reliability.aws_faults import TABLE_CALLS, AwsFault, AwsFaultProxy


@pytest.fixture
def faults(stack: LocalStack) -> Iterator[list[AwsFault]]:
    """Return the faults that the function's AWS calls meet."""
    with AwsFaultProxy(stack.endpoint.url) as aws:
        stack.set_function_environment(aws.environment)
        yield aws.faults
        aws.faults.clear()
        stack.set_function_environment({})


def test_while_the_table_is_denied_nothing_is_sent_an_alarm_rings_and_afterwards_all_arrives_once(
    stack: LocalStack, connector: ConnectorUnderTest, faults: list[AwsFault]
) -> None:
    # Given a function whose role may not use the table any more
    alarms, bodies = Alarms(stack), list[str]()
    assert alarms.becomes("failure-share", "OK")
    faults[:] = [AwsFault(call, error="AccessDeniedException", status=400) for call in TABLE_CALLS]

    # When messages come for some minutes / Then the alarm on failures rings, and Responsys has seen none of them
    def rings_after_more_of_them() -> bool:
        more = connector.bodies(60)
        bodies.extend(more)
        connector.publish(more)
        return alarms.becomes("failure-share", "ALARM", 2)

    assert eventually(rings_after_more_of_them, AN_ALARMS_TIME)
    assert connector.event_requests() == []

    # And when it may use the table again, each arrives, once, under its claim
    faults.clear()
    settle(stack, 60)
    assert connector.accepted() == Counter(message_ids(bodies))
    assert (connector.metric("SentWithoutLedger"), connector.metric("OutcomesUnknown")) == (0, 0)


def test_a_throttled_table_makes_deliveries_slower_and_nothing_is_sent_without_its_claim(
    stack: LocalStack, connector: ConnectorUnderTest, faults: list[AwsFault]
) -> None:
    # Given a table that for some seconds takes every second claim, and carries out no other call
    claims = AwsFault("BatchExecuteStatement", seconds=4, error="ThrottlingError", partial=True)
    other_calls = [call for call in TABLE_CALLS if call != claims.operation]
    throttled = [
        AwsFault(call, seconds=4, error="ProvisionedThroughputExceededException", status=400) for call in other_calls
    ]
    faults[:] = [claims, *throttled]
    bodies = connector.bodies(400)

    # When messages come
    connector.publish(bodies)
    settle(stack, 60)

    # Then they met it, and each arrived once, under its claim
    assert claims.met > 0
    assert connector.accepted() == Counter(message_ids(bodies))
    assert (connector.metric("SentWithoutLedger"), connector.metric("OutcomesUnknown")) == (0, 0)
