"""Entry point of ReplayFunction: what to move in, what was moved out. Invoked by hand."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import boto3

from responsys_activation.aws.faults import CLIENT_CONFIG
from responsys_activation.aws.queues import ParkedMessages
from responsys_activation.observability import logger
from responsys_activation.replay.request import read_replay_request
from responsys_activation.replay.run import Replay
from responsys_activation.settings import ReplaySettings, read_settings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aws_lambda_powertools.utilities.typing import LambdaContext


def compose(settings: ReplaySettings) -> Replay:
    """Put the real parts together."""
    sqs = boto3.client("sqs", config=CLIENT_CONFIG)
    return Replay(
        sources={
            "rejected": ParkedMessages(settings.rejected_dead_letter_queue_url, sqs),
            "throttled": ParkedMessages(settings.throttled_dead_letter_queue_url, sqs),
        },
        destination_url=settings.segment_events_queue_url,
    )


replay = compose(read_settings(ReplaySettings, os.environ))


@logger.inject_lambda_context
def handler(event: Mapping[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Move the chosen dead letters back to SegmentEventsQueue, or count them."""
    return replay.run(read_replay_request(event), context.get_remaining_time_in_millis() / 1000)
