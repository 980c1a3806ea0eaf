"""Does a deployed connector wait for its list, and create who is missing?"""

import json
import time
from collections import Counter

from tests.end_to_end.conftest import TIME_SCALE
from tests.end_to_end.connector_under_test import EVENT, ConnectorUnderTest
from tests.end_to_end.observing import attributes, rejected, settle
from tests.local_stack.published_metrics import PublishedMetrics
from tests.local_stack.repeating import eventually
from tests.local_stack.stack import LocalStack

_LOAD_AFTER = 20 * 60 / TIME_SCALE  # seconds: longer than the first wait of a quarter of an hour


def test_messages_wait_for_a_list_that_is_loaded_later(stack: LocalStack) -> None:
    # Given a connector that waits, and a list that lacks half of its recipients
    connector = ConnectorUnderTest(stack, missingRecipients={"action": "WAIT"})
    messages = [connector.message() for _ in range(20)]
    late = [message["identifiers"]["27"] for message in messages[::2]]
    connector.simulator.patch_account(connector.username, {"recipients": {"unknown": {"identifiers": late}}})

    # When the messages come, and the list is loaded later
    sent_at = time.monotonic()
    connector.publish([json.dumps(message) for message in messages])
    time.sleep(_LOAD_AFTER)
    connector.simulator.patch_account(connector.username, {"recipients": {"unknown": {"identifiers": []}}})
    settle(stack, 60)

    # Then all are delivered once, the late ones at their next quarter of an hour, and nothing is rejected or retried
    assert connector.accepted() == Counter(message["messageId"] for message in messages)
    assert time.monotonic() - sent_at >= 2 * 900 / TIME_SCALE
    assert rejected(stack, connector.name) == []
    metrics = PublishedMetrics(stack.endpoint.cloudwatch)

    def outcomes() -> dict[str, int]:
        return metrics.outcomes(connector=connector.name, eventName=EVENT)

    assert eventually(lambda: outcomes()["EventsDelivered"] == len(messages)), outcomes()
    assert outcomes()["EventsThrottled"] == 2 * len(late)
    assert outcomes()["EventsRetried"] == 0


def test_who_is_missing_is_created_and_who_cannot_be_is_rejected_with_the_reason(stack: LocalStack) -> None:
    # Given a connector that creates, and a list that lacks some and takes one of them never
    connector = ConnectorUnderTest(stack, missingRecipients={"action": "CREATE", "permission": "OPTOUT"})
    connector.put(identifier_type="CRM_ID")
    recipients = {"unknown": {"prefixes": ["new-"]}, "mergeFailing": {"identifiers": ["new-3"]}}
    connector.simulator.patch_account(connector.username, {"recipients": recipients})
    who = [*(f"known-{number}" for number in range(10)), *(f"new-{number}" for number in range(5))]

    # When messages for all come
    messages = [connector.message(identifiers={"2001": each}) for each in who]
    connector.publish([json.dumps(message) for message in messages])
    settle(stack)

    # Then everybody else is in the list, once, and was sent the event by the RIID that the merge told
    members = connector.simulator.members(connector.username)
    assert Counter(member.record["CUSTOMER_ID_"] for member in members) == {
        f"new-{number}": 1 for number in (0, 1, 2, 4)
    }
    assert {member.permission for member in members} == {"OPTOUT"}
    by_riid = {event.recipient_id for event in connector.inbox()}
    assert by_riid >= {member.recipient_id for member in members}
    assert len(connector.inbox()) == 14
    (letter,) = rejected(stack, connector.name)
    assert attributes(letter)["errorCode"] == "RECIPIENT_NOT_CREATED"
    assert "new-3" not in str(attributes(letter))
    metrics = PublishedMetrics(stack.endpoint.cloudwatch)
    assert eventually(lambda: metrics.total("RecipientsCreated", connector=connector.name) == 4)
    assert metrics.total("RecipientsNotCreated", connector=connector.name) == 1
