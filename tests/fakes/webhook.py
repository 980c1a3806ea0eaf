"""What does the webhook's function compose, with AWS in memory? And the events that API Gateway would give it."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from botocore.exceptions import ReadTimeoutError

from responsys_activation.aws.clients import WebhookClients
from responsys_activation.settings import WebhookSettings, read_settings
from responsys_activation.webhook.composition import compose_webhook
from tests.fakes.clock import Clock
from tests.fakes.dynamodb import client_error
from tests.fakes.recording_sqs import RecordingSqs

__all__ = ["QUEUE", "SECRET", "FakeSecret", "Told", "WebhookUnderTest", "request_event"]

QUEUE = "https://sqs/segment-events"
SECRET = "correct-horse-battery-staple"


@dataclass
class FakeSecret:
    """A client of Secrets Manager that holds one secret.

    Attributes
    ----------
    versions : dict of str to str
        Texts by their stage.
    is_down : bool
        Secrets Manager does not answer.
    """

    versions: dict[str, str] = field(default_factory=lambda: {"AWSCURRENT": SECRET})
    is_down: bool = False
    calls: int = 0

    def get_secret_value(self, *, SecretId: str, VersionStage: str) -> dict[str, Any]:  # noqa: N803
        assert SecretId == "stack-webhook"
        self.calls += 1
        if self.is_down:
            raise ReadTimeoutError(endpoint_url="https://secretsmanager")
        if VersionStage not in self.versions:
            raise client_error("ResourceNotFoundException", "GetSecretValue", ResponseMetadata={"HTTPStatusCode": 400})
        return {"SecretString": self.versions[VersionStage]}


class Told:
    """An answer as the caller gets it."""

    def __init__(self, response: Mapping[str, Any]) -> None:
        assert set(response) == {"statusCode", "headers", "body", "isBase64Encoded"}
        assert response["headers"]["content-type"] == "application/json"
        self.status: int = response["statusCode"]
        self.headers: dict[str, str] = response["headers"]
        self.body: dict[str, Any] = json.loads(response["body"])


class WebhookUnderTest:
    """The composed webhook of a stack."""

    def __init__(self, stack: str = "stack") -> None:
        self.clock = Clock()
        self.sqs = RecordingSqs()
        self.secret = FakeSecret()
        settings = read_settings(
            WebhookSettings,
            {"STACK_NAME": stack, "SEGMENT_EVENTS_QUEUE_URL": QUEUE, "WEBHOOK_SECRET_ID": "stack-webhook"},
        )
        clients = WebhookClients(sqs=cast("Any", self.sqs), secrets_manager=cast("Any", self.secret))
        self._webhook = compose_webhook(settings, clients, clock=self.clock)

    def post(self, body: str | bytes, *, seconds_left: float = 20.0, **headers: str) -> Told:
        """Answer a request; ``x_signature`` is the header ``X-Signature``."""
        return self.answer(request_event(body, **headers), seconds_left)

    def answer(self, event: Mapping[str, Any], seconds_left: float = 20.0) -> Told:
        """Answer an event, with so many seconds until the invocation ends."""
        return Told(self._webhook.answer(event, self.clock() + seconds_left))

    def on_queue(self) -> list[str]:
        """Return the bodies that SQS has."""
        return [entry["MessageBody"] for entry in self.sqs.sent.get(QUEUE, [])]


def request_event(body: str | bytes, **headers: str) -> dict[str, Any]:
    """Write an event in payload format 2.0; a body of bytes comes in base64."""
    if not headers:
        headers = {"authorization": f"Bearer {SECRET}"}
    event: dict[str, Any] = {
        "version": "2.0",
        "routeKey": "POST /memberships",
        "rawPath": "/memberships",
        "rawQueryString": "",
        "headers": {name.replace("_", "-"): value for name, value in headers.items()},
        "requestContext": {"requestId": "api-1", "http": {"method": "POST", "sourceIp": "192.0.2.7"}},
        "isBase64Encoded": isinstance(body, bytes),
    }
    if body:
        event["body"] = base64.b64encode(body).decode() if isinstance(body, bytes) else body
    return event
