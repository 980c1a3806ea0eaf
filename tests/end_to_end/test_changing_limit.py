"""Does the deployed function follow an account's limit that changes while messages flow?"""

import json
from collections import Counter

from tests.end_to_end.connector_under_test import ConnectorUnderTest, message_ids
from tests.end_to_end.observing import log_messages, settle
from tests.local_stack.repeating import eventually
from tests.local_stack.stack import LocalStack

_ONE_RECIPIENT = {"27": "700000001"}  # whose messages go in a request each


def _lines(stack: LocalStack, message: str) -> list[dict[str, object]]:
    lines = (json.loads(line) for line in log_messages(stack) if f'"{message}"' in line)
    return [line for line in lines if line["message"] == message]


def test_a_limit_that_goes_down_and_up_again_is_followed_and_costs_a_few_refusals(stack: LocalStack) -> None:
    # Given messages that flow at the limit of an account, in many requests
    connector = ConnectorUnderTest(stack, {"limits": {"requestsPerMinute": 12}}, requestsPerMinute=12)
    bodies = connector.bodies(60, identifiers=_ONE_RECIPIENT)
    connector.publish(bodies)
    assert eventually(lambda: connector.simulator.inbox_count(connector.name) > 15)

    # When Responsys takes half as many
    connector.simulator.patch_account(connector.name, {"limits": {"requestsPerMinute": 6}})
    settle(stack)

    # Then all are accepted once, few were refused, and the person on call is told why it is slower
    assert connector.accepted() == Counter(message_ids(bodies))
    assert 1 <= connector.simulator.summary(connector.name).throttled_requests <= 8
    assert eventually(lambda: _lines(stack, "account refused what its limit allows, pace lowered"))
    assert eventually(lambda: (12, 6) in _changes(stack))

    # And when it takes as many as before, nobody has to tell
    connector.simulator.patch_account(connector.name, {"limits": {"requestsPerMinute": 12}})
    more = connector.bodies(20, identifiers=_ONE_RECIPIENT)
    connector.publish(more)
    settle(stack)
    assert connector.accepted() == Counter(message_ids([*bodies, *more]))
    assert eventually(lambda: (6, 12) in _changes(stack))


def _changes(stack: LocalStack) -> list[tuple[object, object]]:
    return [(line["before"], line["limit"]) for line in _lines(stack, "account limit changed")]
