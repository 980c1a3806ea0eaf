"""What does Lambda make of an SQS message in the event that it gives to a function?"""

import base64
import json
import time
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mypy_boto3_sqs.type_defs import MessageAttributeValueOutputTypeDef, MessageTypeDef


@dataclass(frozen=True)
class ReceivedMessage:
    """A message as it was received from a queue."""

    message: "MessageTypeDef"
    queue_arn: str
    region: str

    @property
    def message_id(self) -> str:
        """The SQS message id."""
        return self.message["MessageId"]

    @property
    def receipt_handle(self) -> str:
        """What deletes it."""
        return self.message["ReceiptHandle"]

    @property
    def sent_timestamp_ms(self) -> int:
        """When it was sent to the queue, in milliseconds since 1970."""
        return int(self.message["Attributes"]["SentTimestamp"])

    @cached_property
    def record(self) -> dict[str, Any]:
        """The message as a record of a Lambda event."""
        attributes = self.message.get("MessageAttributes", {})
        record: dict[str, Any] = {
            "messageId": self.message_id,
            "receiptHandle": self.receipt_handle,
            "body": self.message["Body"],
            "attributes": dict(self.message["Attributes"]),
            "messageAttributes": {name: _attribute(value) for name, value in attributes.items()},
            "md5OfBody": self.message["MD5OfBody"],
            "eventSource": "aws:sqs",
            "eventSourceARN": self.queue_arn,
            "awsRegion": self.region,
        }
        if attributes:
            record["md5OfMessageAttributes"] = self.message["MD5OfMessageAttributes"]
        return record

    @cached_property
    def size(self) -> int:
        """Bytes that the record takes in the event."""
        return len(json.dumps(self.record, ensure_ascii=False).encode()) + len(", ")


def _attribute(value: "MessageAttributeValueOutputTypeDef") -> dict[str, Any]:
    attribute: dict[str, Any] = {
        "stringListValues": [],
        "binaryListValues": [],
        "dataType": value["DataType"],
    }
    if "StringValue" in value:
        attribute["stringValue"] = value["StringValue"]
    if "BinaryValue" in value:
        attribute["binaryValue"] = base64.b64encode(value["BinaryValue"]).decode()
    return attribute


def sqs_record(message_id: str, body: str, queue_arn: str, *, now: float | None = None) -> dict[str, Any]:
    """Return the record of a message that is sent and received for the first time now, as if it had been on a queue."""
    sent_ms = str(int((time.time() if now is None else now) * 1000))
    return {
        "messageId": message_id,
        "receiptHandle": f"AQEB{message_id}{'x' * 120}",
        "body": body,
        "attributes": {
            "ApproximateReceiveCount": "1",
            "SentTimestamp": sent_ms,
            "SenderId": "AIDAEXAMPLE",
            "ApproximateFirstReceiveTimestamp": sent_ms,
        },
        "messageAttributes": {},
        "md5OfBody": "0" * 32,
        "eventSource": "aws:sqs",
        "eventSourceARN": queue_arn,
        "awsRegion": queue_arn.split(":")[3],
    }
