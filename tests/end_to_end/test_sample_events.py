"""Does the deployed function do with each sample event what its story says?"""

import json
from collections import Counter
from typing import Any

import pytest

from tests.end_to_end.observing import REJECTED, attributes, invoke
from tests.local_stack.environments import REPOSITORY
from tests.local_stack.queues import take_all
from tests.local_stack.stack import LocalStack

EVENTS = REPOSITORY / "events"

SEGMENT_CHANGED, CART_ABANDONED = "SEGMENT_CHANGED", "CART_ABANDONED"

# By file: (event, profile, call type) of what arrives, in order, and the error codes of what is rejected.
STORIES: dict[str, tuple[list[tuple[str, str, str]], list[str]]] = {
    "add_to_audience": ([(SEGMENT_CHANGED, "p-1001", "ADD")], []),
    "update_in_journey": ([(CART_ABANDONED, "p-1002", "UPDATE")], []),
    "remove_from_audience": ([(SEGMENT_CHANGED, "p-1003", "REMOVE")], []),
    "changes_of_one_profile": (
        [(SEGMENT_CHANGED, "p-1005", call_type) for call_type in ("ADD", "UPDATE", "REMOVE")],
        [],
    ),
    "sns_notification": ([(SEGMENT_CHANGED, "p-1006", "ADD")], []),
    "eventbridge_event": ([(SEGMENT_CHANGED, "p-1007", "ADD")], []),
    "cloudevent": ([(SEGMENT_CHANGED, "p-1008", "ADD")], []),
    "invalid_message": ([], ["INVALID_MESSAGE"]),
    "mixed_batch": (
        [(SEGMENT_CHANGED, "p-1010", "ADD"), (CART_ABANDONED, "p-1011", "ADD")],
        ["INVALID_MESSAGE", "NO_IDENTIFIER", "UNKNOWN_CONNECTOR"],
    ),
    "back_from_throttled_dlq": ([(SEGMENT_CHANGED, "p-1014", "ADD")], []),
    "too_old": ([], ["EXPIRED"]),
}


def read(story: str) -> Any:
    return json.loads((EVENTS / f"{story}.json").read_text())


def test_each_sample_event_has_its_story_here() -> None:
    assert {path.stem for path in EVENTS.glob("*.json")} == STORIES.keys()


@pytest.mark.parametrize("story", STORIES)
def test_a_sample_event_ends_as_its_story_says(stack: LocalStack, story: str) -> None:
    # Given the connector that the stack made of its parameters
    arriving, rejections = STORIES[story]
    assert stack.simulator is not None
    before = len(stack.simulator.inbox("api_user"))

    # When the function is invoked with the event
    answer = invoke(stack, read(story))

    # Then nothing is left to retry, and each message is where it should be
    assert answer == {"batchItemFailures": []}
    events = stack.simulator.inbox("api_user")[before:]
    arrived = [(event.event_name, event.value("profileId"), event.value("callType")) for event in events]
    assert Counter(arrived) == Counter(arriving)
    assert [each for each in arrived if each[1] == "p-1005"] == [each for each in arriving if each[1] == "p-1005"]
    kept = take_all(stack.endpoint.sqs, stack.outputs[REJECTED])
    assert sorted(attributes(message)["errorCode"] for message in kept) == rejections
