"""What becomes of messages that Responsys may have taken, when its answer never comes?"""

from collections.abc import Iterator

import pytest

from tests.end_to_end.conftest import TIME_SCALE
from tests.end_to_end.connector_under_test import EVENT, ConnectorUnderTest, message_ids
from tests.end_to_end.observing import rejected_messages, replay, settle
from tests.local_stack.repeating import eventually
from tests.local_stack.stack import LocalStack
from tests.simulator.faults import SlowReply

_REPLY_SECONDS = 1
_PAUSE_SECONDS = 600 / TIME_SCALE


@pytest.fixture
def impatient_stack(stack: LocalStack) -> Iterator[LocalStack]:
    """Return the stack with a function that waits a second for a reply, and sends again once what is in doubt."""
    stack.set_function_environment({"REPLY_SECONDS": f"{_REPLY_SECONDS}", "MAXIMUM_RESENDS": "1"})
    yield stack
    stack.set_function_environment({})


def too_late(connector: ConnectorUnderTest, times: int) -> SlowReply:
    """Return a fault: requests that are accepted, and whose reply is slower than we wait for."""
    return SlowReply(account=connector.name, times=times, seconds=_REPLY_SECONDS + 2)


def test_what_is_in_doubt_is_sent_again_so_often_and_then_only_when_a_person_says_so(
    impatient_stack: LocalStack, connector: ConnectorUnderTest
) -> None:
    # Given an account that accepts requests, and replies too late each time
    stack = impatient_stack
    connector.simulator.add_fault(too_late(connector, times=3))
    bodies = connector.bodies(20)

    def sent_each(times: int) -> bool:
        return connector.accepted() == dict.fromkeys(message_ids(bodies), times)

    # When messages are published
    connector.publish(bodies)
    settle(stack)

    # Then each was sent again once, both doubts of each are counted, and it waits for a person and says why
    assert sent_each(2)
    assert eventually(lambda: connector.metric("OutcomesUnknown") == 40)
    before = rejected_messages(stack)
    assert sorted(body for body, _ in before.values()) == sorted(bodies)
    assert {each["errorCode"] for _, each in before.values()} == {"OUTCOME_UNKNOWN"}
    assert {each["reason"] for _, each in before.values()} == {"no reply in time"}

    # And a replay that does not say so leaves them
    report = replay(stack, dryRun=False)
    assert (report["moved"], report["leftByErrorCode"]) == (0, {"OUTCOME_UNKNOWN": 20})
    assert rejected_messages(stack) == before

    # And one that does sends each once, however that ends
    assert replay(stack, dryRun=False, inDoubt=True)["moved"] == 20
    settle(stack)
    assert sent_each(3)
    assert eventually(lambda: connector.metric("SentInDoubt") == 20)
    assert {each["errorCode"] for _, each in rejected_messages(stack).values()} == {"OUTCOME_UNKNOWN"}


def test_three_requests_in_doubt_pause_the_account_until_one_recipient_finds_that_it_answers(
    impatient_stack: LocalStack, connector: ConnectorUnderTest
) -> None:
    # Given an account that accepts three requests, and replies too late
    connector.simulator.add_fault(too_late(connector, times=3))
    bodies = connector.bodies(600)

    # When these have gone out
    connector.publish(bodies)
    settle(impatient_stack)

    # Then nothing more went out for ten minutes, and then a probe with one recipient before the others
    requests = sorted(connector.event_requests(), key=lambda request: request.received_at_ms)
    assert [request.recipients for request in requests[:4]] == [200, 200, 200, 1]
    doubted_at, probed_at = (requests[number].received_at_ms / 1000 for number in (2, 3))
    assert probed_at >= doubted_at + _REPLY_SECONDS + _PAUSE_SECONDS

    # And each arrived, and twice only what was counted
    assert connector.accepted() == dict.fromkeys(message_ids(bodies), 2)
    assert eventually(lambda: connector.metric("OutcomesUnknown") == 600)
    assert eventually(lambda: connector.metric("EventsDelivered", eventName=EVENT) == 600)
