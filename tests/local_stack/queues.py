"""How are messages put on a queue in bulk, counted, and taken from it?"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sqs.literals import QueueAttributeNameType
    from mypy_boto3_sqs.type_defs import MessageTypeDef, SendMessageBatchRequestEntryTypeDef

_MOST_A_CALL = 10
_CALLS_AT_ONCE = 4
_DEPTHS: "Sequence[QueueAttributeNameType]" = (
    "ApproximateNumberOfMessages",
    "ApproximateNumberOfMessagesNotVisible",
    "ApproximateNumberOfMessagesDelayed",
)


def send_all(sqs: "SQSClient", queue_url: str, bodies: Sequence[str]) -> list[str]:
    """Send messages, and return their SQS ids in the same order."""

    def send(start: int) -> list[str]:
        entries: list[SendMessageBatchRequestEntryTypeDef] = [
            {"Id": str(number), "MessageBody": body} for number, body in enumerate(bodies[start : start + _MOST_A_CALL])
        ]
        answer = sqs.send_message_batch(QueueUrl=queue_url, Entries=entries)
        assert not answer.get("Failed"), answer["Failed"]
        ids = {sent["Id"]: sent["MessageId"] for sent in answer["Successful"]}
        return [ids[entry["Id"]] for entry in entries]

    with ThreadPoolExecutor(_CALLS_AT_ONCE) as pool:
        return [message_id for ids in pool.map(send, range(0, len(bodies), _MOST_A_CALL)) for message_id in ids]


def depth(sqs: "SQSClient", queue_url: str) -> int:
    """Count the messages of a queue, be they visible, in flight or delayed."""
    attributes = sqs.get_queue_attributes(QueueUrl=queue_url, AttributeNames=_DEPTHS)["Attributes"]
    return sum(int(attributes[name]) for name in _DEPTHS)


def take_all(sqs: "SQSClient", queue_url: str) -> "list[MessageTypeDef]":
    """Receive and delete every visible message of a queue that no function reads."""
    taken: list[MessageTypeDef] = []
    while messages := sqs.receive_message(
        QueueUrl=queue_url,
        MaxNumberOfMessages=_MOST_A_CALL,
        MessageAttributeNames=["All"],
        MessageSystemAttributeNames=["All"],
    ).get("Messages"):
        taken.extend(messages)
        sqs.delete_message_batch(
            QueueUrl=queue_url,
            Entries=[{"Id": str(n), "ReceiptHandle": m["ReceiptHandle"]} for n, m in enumerate(messages)],
        )
    return taken
