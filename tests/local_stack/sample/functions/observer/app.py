"""Sample function: each message says what becomes of it."""

import os
import time
from typing import Any

from observations import count_messages, observe  # type: ignore[import-not-found]


def handler(event: dict[str, Any], context: Any) -> dict[str, Any] | None:
    """Do what the messages, or the event itself, say."""
    if "Records" not in event:
        return _answer(event, context)
    began = time.time()
    records = event["Records"]
    count_messages(len(records))
    actions = {record["messageId"]: record["body"] for record in records}
    _act(actions.values())
    failed = [message_id for message_id, action in actions.items() if action == "fail"]
    queue = records[0]["eventSourceARN"].rpartition(":")[2]
    observe(queue=queue, began=began, ended=time.time(), count=len(records), first=records[0])
    return {"batchItemFailures": [{"itemIdentifier": message_id} for message_id in failed]}


def _act(actions: Any) -> None:
    for action in set(actions):
        match action:
            case "crash":
                os._exit(3)
            case "raise":
                raise RuntimeError("as the message said")
            case "raise a long story":
                raise RuntimeError("as the message said" * 1_000)
            case "hang":
                time.sleep(60)
            case "work":
                time.sleep(0.8)


def _answer(event: dict[str, Any], context: Any) -> dict[str, Any]:
    _act([event.get("do")])
    return {
        "greeting": os.environ["GREETING"],
        "milliseconds": context.get_remaining_time_in_millis(),
        "requestId": context.aws_request_id,
        "environment": dict(os.environ),
        "processId": os.getpid(),
    }
