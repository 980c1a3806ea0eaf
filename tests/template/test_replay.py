"""Is the replay function told where to take and where to put, and does nothing but a person start it?"""

from typing import Any

import pytest

from responsys_activation.settings import ReplaySettings, read_settings
from tests.template.cloudformation import Stack


@pytest.fixture(scope="module")
def function(stack: Stack) -> dict[str, Any]:
    return dict(stack.of_type("AWS::Lambda::Function")["ReplayFunction"])


def test_its_code_finds_the_queues_in_its_environment(stack: Stack, function: dict[str, Any]) -> None:
    # Given its environment / When its own reader reads it
    settings = read_settings(ReplaySettings, function["Environment"]["Variables"])
    # Then the queues are those that the stack names
    assert settings.segment_events_queue_url == stack.outputs["SegmentEventsQueueUrl"]
    assert settings.rejected_dead_letter_queue_url == stack.outputs["RejectedDeadLetterQueueUrl"]
    assert settings.throttled_dead_letter_queue_url == stack.outputs["ThrottledDeadLetterQueueUrl"]


def test_only_a_person_starts_it(stack: Stack) -> None:
    # Given what may invoke functions of the stack / When it is read / Then nothing invokes this one
    mappings = stack.of_type("AWS::Lambda::EventSourceMapping").values()
    permissions = stack.of_type("AWS::Lambda::Permission").values()
    assert "crm-replay" not in {source["FunctionName"] for source in (*mappings, *permissions)}
