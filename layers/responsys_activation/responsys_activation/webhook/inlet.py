"""What becomes of one request? On the queue, or an answer that says why not."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from responsys_activation.aws.faults import SLOWEST_SETTLING_CALL, AwsCallError
from responsys_activation.aws.queues import UpstreamQueue
from responsys_activation.aws.webhook_secret import WebhookSecret
from responsys_activation.envelope import InvalidMessageError
from responsys_activation.observability import InvocationMetrics, logger
from responsys_activation.webhook.answer import Answer
from responsys_activation.webhook.authorisation import CREDENTIALS, is_authorised
from responsys_activation.webhook.messages import messages_of
from responsys_activation.webhook.request import Request, TooLargeError, read_request

__all__ = ["Webhook"]

_UNAUTHORISED = Answer(
    401,
    "send the secret of the stack's output WebhookSecretArn as Authorization: Bearer SECRET, or as Firehose's access "
    "key, or sign the body with it as Segment does (X-Signature)",
)
_SECRET_UNREAD = Answer(503, "the secret cannot be read now; nothing was taken, send the request again")
_NOT_TAKEN = Answer(503, "the queue cannot take it now; send the whole request again: what has an id is not sent twice")


class Webhook:
    """Answers requests."""

    def __init__(
        self,
        *,
        secret: WebhookSecret,
        queue: UpstreamQueue,
        metrics: InvocationMetrics,
        service: str,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._secret = secret
        self._queue = queue
        self._metrics = metrics
        self._service = service
        self._clock = clock

    def answer(self, event: Mapping[str, Any], deadline: float) -> dict[str, Any]:
        """Answer the event of an HTTP API.

        Parameters
        ----------
        deadline : float
            Epoch seconds at which Lambda ends the invocation.
        """
        request = read_request(event)
        answer = self._answer(request, deadline)
        response = answer.response(request, self._clock())
        self._metrics.count("WebhookRequests", service=self._service, status=str(response["statusCode"]))
        if answer.messages:
            self._metrics.count("WebhookAccepted", answer.messages, service=self._service)
        self._metrics.flush()
        return response

    def _answer(self, request: Request, deadline: float) -> Answer:
        try:
            secrets = self._secret.values()
        except AwsCallError as exc:
            logger.error("webhook secret not read", extra={"fault": str(exc), "apiRequestId": request.id})
            return _SECRET_UNREAD
        if not is_authorised(request, secrets):
            shown = " and ".join(name for name in CREDENTIALS if name in request.headers)
            return _refused(request, _UNAUTHORISED, f"wrong {shown}" if shown else "no credentials")
        try:
            messages = messages_of(request.text(), self._clock())
        except InvalidMessageError as exc:
            return _refused(request, Answer(400, str(exc)))
        except TooLargeError as exc:
            return _refused(request, Answer(413, str(exc)))
        taken = self._queue.send(messages, until=deadline - SLOWEST_SETTLING_CALL)
        if taken < len(messages):
            return _NOT_TAKEN._replace(messages=taken)
        return Answer(202, messages=taken)


def _refused(request: Request, answer: Answer, reason: str = "") -> Answer:
    """Say in the log why: a reason names headers and fields, and never what is in them."""
    extra = {"status": answer.status, "reason": reason or answer.message, "apiRequestId": request.id}
    logger.info("webhook request refused", extra=extra)
    return answer
