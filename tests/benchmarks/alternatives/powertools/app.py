"""Sends each membership of an SQS batch to Responsys, once for each message id."""

import json
import os
from typing import Any

from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from aws_lambda_powertools.utilities.idempotency import (
    DynamoDBPersistenceLayer,
    IdempotencyConfig,
    idempotent_function,
)
from responsys_client import Account, RefusedError, parse

accounts = {name: Account(secret) for name, secret in json.loads(os.environ["SECRETS"]).items()}
processor = BatchProcessor(event_type=EventType.SQS)
persistence = DynamoDBPersistenceLayer(table_name=os.environ["IDEMPOTENCY_TABLE"])
config = IdempotencyConfig(event_key_jmespath="messageId", expires_after_seconds=14 * 86_400)


@idempotent_function(data_keyword_argument="message", config=config, persistence_store=persistence)  # type: ignore[untyped-decorator]
def deliver(*, message: dict[str, Any]) -> dict[str, Any]:
    """Trigger the event; an exception removes the idempotency record, so that the message may come again."""
    (error,) = accounts[message["connector"]].send(message["eventName"], [message])
    if error:
        raise RefusedError(error)
    return {"delivered": message["messageId"]}


def handle_record(record: SQSRecord) -> None:
    """Handle one message of the batch."""
    deliver(message=parse(record.body))


def handler(event: dict[str, Any], context: Any) -> Any:
    """Handle the batch; what failed stays on the queue, and goes to the dead-letter queue after five receives."""
    config.register_lambda_context(context)
    return process_partial_response(event=event, record_handler=handle_record, processor=processor, context=context)
