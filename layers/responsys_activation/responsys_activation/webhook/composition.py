"""What is the webhook made of? Put together here once, so that what is tested is what ships."""

from __future__ import annotations

import time
from collections.abc import Callable

from responsys_activation.aws.clients import WebhookClients
from responsys_activation.aws.queues import UpstreamQueue
from responsys_activation.aws.webhook_secret import WebhookSecret
from responsys_activation.observability import InvocationMetrics
from responsys_activation.settings import WebhookSettings
from responsys_activation.webhook.inlet import Webhook

__all__ = ["compose_webhook"]

_SERVICE = "webhook"


def compose_webhook(
    settings: WebhookSettings, clients: WebhookClients, *, clock: Callable[[], float] = time.time
) -> Webhook:
    """Put the parts together; a test has a clock of its own."""
    return Webhook(
        secret=WebhookSecret(settings.webhook_secret_id, clients.secrets_manager, clock=clock),
        queue=UpstreamQueue(settings.segment_events_queue_url, clients.sqs, clock=clock),
        metrics=InvocationMetrics(settings.stack_name),
        service=_SERVICE,
        clock=clock,
    )
