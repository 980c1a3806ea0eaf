"""Entry point of WebhookFunction: an HTTP request in, its answer out."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

from responsys_activation.aws.clients import open_webhook_clients
from responsys_activation.observability import logger
from responsys_activation.settings import WebhookSettings, read_settings
from responsys_activation.webhook.composition import compose_webhook

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aws_lambda_powertools.utilities.typing import LambdaContext

webhook = compose_webhook(read_settings(WebhookSettings, os.environ), open_webhook_clients())


@logger.inject_lambda_context
def handler(event: Mapping[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Answer one request to the webhook."""
    return webhook.answer(event, time.time() + context.get_remaining_time_in_millis() / 1000)
