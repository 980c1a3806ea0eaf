"""Does each source look through its own queue?"""

from __future__ import annotations

from typing import Any, cast

import pytest

from responsys_activation.replay.composition import compose_replay
from responsys_activation.replay.request import read_replay_request
from responsys_activation.settings import ReplaySettings, read_settings
from tests.fakes.clock import Clock


class EmptyQueues:
    """A client of queues that hold nothing."""

    def __init__(self) -> None:
        self.looked_at: set[str] = set()

    def receive_message(self, *, QueueUrl: str, **_options: Any) -> dict[str, Any]:  # noqa: N803
        self.looked_at.add(QueueUrl)
        return {}


@pytest.mark.parametrize("source", ["rejected", "throttled"])
def test_a_replay_looks_through_the_queue_that_it_is_asked_for(source: str) -> None:
    sqs, clock = EmptyQueues(), Clock()
    settings = {
        "SEGMENT_EVENTS_QUEUE_URL": "https://segment-events",
        "REJECTED_DEAD_LETTER_QUEUE_URL": "https://rejected",
        "THROTTLED_DEAD_LETTER_QUEUE_URL": "https://throttled",
    }
    replay = compose_replay(read_settings(ReplaySettings, settings), cast("Any", sqs), clock=clock, sleep=clock.sleep)

    report = replay.run(read_replay_request({"source": source}), clock() + 900)

    assert report["end"] == "QUEUE_SEEN"
    assert sqs.looked_at == {f"https://{source}"}
