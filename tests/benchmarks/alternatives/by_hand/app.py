"""Sends the memberships of an SQS batch to Responsys, up to 200 people per request."""

import json
import os
import time
from collections import defaultdict
from typing import Any

import boto3
from responsys_client import Account, RefusedError, RetryLaterError, parse

accounts = {name: Account(secret) for name, secret in json.loads(os.environ["SECRETS"]).items()}
sqs, dynamodb, table = boto3.client("sqs"), boto3.resource("dynamodb"), os.environ["DELIVERED_TABLE"]


def handler(event: dict[str, Any], _context: Any) -> dict[str, Any]:
    """Deliver; what cannot be sent now stays on the queue, what never can goes to the dead-letter queue."""
    dead: list[tuple[str, str]] = []
    received: dict[str, tuple[dict[str, Any], list[Any]]] = {}
    for record in event["Records"]:
        try:
            message = parse(record["body"])
            received.setdefault(message["messageId"], (message, []))[1].append(record)
        except RefusedError as exc:
            dead.append((record["body"], str(exc)))
    groups = defaultdict(list)
    for message_id in received.keys() - _delivered_before(list(received)):
        message = received[message_id][0]
        groups[message["connector"], message["eventName"]].append(message)
    failed: list[str] = []
    for (connector, event_name), messages in groups.items():
        later = False
        for request in _requests(sorted(messages, key=lambda each: each["occurredAt"])):
            try:
                # What comes after a request that failed waits with it, so that no change overtakes an older one.
                errors = accounts[connector].send(event_name, request) if not later else []
            except RefusedError as exc:
                errors = [str(exc)] * len(request)
            except RetryLaterError:
                later = True
            if later:
                failed += [record["messageId"] for each in request for record in received[each["messageId"]][1]]
                continue
            told = list(zip(request, errors, strict=True))
            dead += [(json.dumps(each), error) for each, error in told if error]
            _remember([each["messageId"] for each, error in told if not error])
    text = {"DataType": "String"}
    for start in range(0, len(dead), 10):
        entries: Any = [
            {"Id": f"{n}", "MessageBody": body, "MessageAttributes": {"reason": {**text, "StringValue": why}}}
            for n, (body, why) in enumerate(dead[start : start + 10])
        ]
        sqs.send_message_batch(QueueUrl=os.environ["DEAD_LETTER_QUEUE"], Entries=entries)
    return {"batchItemFailures": [{"itemIdentifier": message_id} for message_id in failed]}


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


def _delivered_before(message_ids: list[str]) -> set[str]:
    found: set[str] = set()
    for start in range(0, len(message_ids), 100):
        keys: Any = [{"messageId": message_id} for message_id in message_ids[start : start + 100]]
        while keys:
            answer: Any = dynamodb.batch_get_item(RequestItems={table: {"Keys": keys}})
            found |= {str(item["messageId"]) for item in answer["Responses"][table]}
            keys = answer["UnprocessedKeys"].get(table, {}).get("Keys", [])
    return found


def _remember(message_ids: list[str]) -> None:
    with dynamodb.Table(table).batch_writer() as batch:
        for message_id in message_ids:
            batch.put_item({"messageId": message_id, "expiresAt": int(time.time()) + 14 * 86_400})
