"""Entry point of ReplayFunction: what to move in, what was moved out. Invoked by hand."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

from responsys_activation.aws.clients import open_sqs
from responsys_activation.observability import logger
from responsys_activation.replay.composition import compose_replay
from responsys_activation.replay.request import read_replay_request
from responsys_activation.settings import ReplaySettings, read_settings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aws_lambda_powertools.utilities.typing import LambdaContext

replay = compose_replay(read_settings(ReplaySettings, os.environ), open_sqs())


@logger.inject_lambda_context
def handler(event: Mapping[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Move the chosen dead letters back to SegmentEventsQueue, or count them."""
    return replay.run(read_replay_request(event), time.time() + context.get_remaining_time_in_millis() / 1000)
