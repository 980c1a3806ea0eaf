"""What is the replay made of? Put together here once, so that what is tested is what ships."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from responsys_activation.aws.queues import ParkedMessages
from responsys_activation.replay.run import Replay
from responsys_activation.settings import ReplaySettings

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

__all__ = ["compose_replay"]


def compose_replay(
    settings: ReplaySettings,
    sqs: SQSClient,
    *,
    clock: Callable[[], float] = time.time,
    sleep: Callable[[float], None] = time.sleep,
) -> Replay:
    """Put the parts together; a test has a clock of its own."""
    sources = {
        "rejected": ParkedMessages(settings.rejected_dead_letter_queue_url, sqs),
        "throttled": ParkedMessages(settings.throttled_dead_letter_queue_url, sqs),
    }
    return Replay(sources=sources, destination_url=settings.segment_events_queue_url, clock=clock, sleep=sleep)
