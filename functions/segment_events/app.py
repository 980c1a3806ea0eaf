"""Entry point of SegmentEventsFunction: an SQS event in, a partial batch response out."""

from __future__ import annotations

import gc
import os
import time
from typing import TYPE_CHECKING, Any

from responsys_activation.aws.clients import open_clients
from responsys_activation.delivery.composition import compose_delivery
from responsys_activation.observability import logger
from responsys_activation.settings import Settings, read_settings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aws_lambda_powertools.utilities.typing import LambdaContext

settings = read_settings(Settings, os.environ)
delivery = compose_delivery(settings, open_clients(outcome_feed=settings.feeds_outcomes))

# What a batch makes lives until its end, without cycles: to collect in its midst would only read it again and again.
gc.freeze()
gc.set_threshold(200_000)


@logger.inject_lambda_context
def handler(event: Mapping[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Deliver one batch of membership messages."""
    return delivery.deliver(event["Records"], time.time() + context.get_remaining_time_in_millis() / 1000)
