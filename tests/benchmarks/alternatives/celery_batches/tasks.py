"""Collects memberships and sends them to Responsys: one queue, and one worker with a rate limit, for each account."""

import json
import os
from collections import defaultdict
from typing import Any

from celery import Celery
from celery.utils.log import get_task_logger
from celery_batches import Batches, SimpleRequest
from responsys_client import SECOND, Account, RefusedError, RetryLaterError, parse

app = Celery("memberships")
app.config_from_object("celeryconfig")
logger = get_task_logger(__name__)
accounts = {name: Account(secret) for name, secret in json.loads(os.environ["SECRETS"]).items()}


@app.task(base=Batches, flush_every=1000, flush_interval=20 * SECOND)  # type: ignore[untyped-decorator]
def collect(calls: list[SimpleRequest]) -> None:
    """Turn up to a thousand memberships into requests of up to 200 people; one that came twice goes once."""
    groups: defaultdict[tuple[str, str], dict[str, dict[str, Any]]] = defaultdict(dict)
    for call in calls:
        try:
            message = parse(call.args[0])
        except RefusedError as exc:
            _keep(call.args[0], str(exc))
        else:
            groups[message["connector"], message["eventName"]].setdefault(message["messageId"], message)
    for (connector, event_name), messages in groups.items():
        for request in _requests(sorted(messages.values(), key=lambda each: each["occurredAt"])):
            send.apply_async((connector, event_name, request), queue=connector)


# Batches do not know rate limits, so those who send are ordinary tasks. What is retried comes back by itself.
@app.task(  # type: ignore[untyped-decorator]
    rate_limit=f"{190 / SECOND:.0f}/m",
    autoretry_for=(RetryLaterError,),
    max_retries=None,
    retry_backoff=max(1, round(10 * SECOND)),
    retry_backoff_max=max(1, round(600 * SECOND)),
    retry_jitter=True,
)
def send(connector: str, event_name: str, messages: list[dict[str, Any]]) -> None:
    """Send one request."""
    try:
        errors = accounts[connector].send(event_name, messages)
    except RefusedError as exc:
        errors = [str(exc)] * len(messages)
    for message, error in zip(messages, errors, strict=True):
        if error:
            _keep(json.dumps(message), error)
    sent = [message["messageId"] for message, error in zip(messages, errors, strict=True) if not error]
    logger.info("delivered %s", json.dumps(sent))


def _keep(body: str, reason: str) -> None:
    """Put what can never be sent where a person finds it; no worker reads this queue."""
    app.send_task("dead_letter", (body, reason), queue="dead-letters")


def _requests(messages: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """Fill requests of 200; whoever is twice in one is refused, so a person's next change goes into a later one."""
    requests: list[dict[str, dict[str, Any]]] = []
    last: dict[str, int] = {}
    for message in messages:
        person = message["identifiers"]["27"]
        place = last.get(person, -1) + 1
        while place < len(requests) and len(requests[place]) == 200:
            place += 1
        if place == len(requests):
            requests.append({})
        requests[place][person], last[person] = message, place
    return [list(request.values()) for request in requests]
