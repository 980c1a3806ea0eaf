"""Which messages wait on a dead-letter queue, and how do they leave it?

SQS can neither filter nor peek: a message is received, and so hidden from everybody else for a while, then moved or
put back.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from responsys_activation.aws.faults import AwsCallError, aws_call
from responsys_activation.aws.queues import SourceQueue, send_batches
from responsys_activation.observability import logger
from responsys_activation.received import LIFE_ATTRIBUTES

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sqs.type_defs import MessageTypeDef, SendMessageBatchRequestEntryTypeDef

__all__ = ["ParkedMessage", "ParkedMessages"]

_MOST_A_CALL = 10
# A poll that waits asks all of SQS's servers; one that does not may miss the few messages that are left.
_POLL_SECONDS = 1
_DELETE_ATTEMPTS = 3
_MOST_ATTRIBUTES = 10


@dataclass(frozen=True, slots=True)
class ParkedMessage:
    """One message of a dead-letter queue, received and hidden.

    Attributes
    ----------
    attributes : Mapping of str to Any
        Message attributes with their types, as SQS gives and takes them.
    sent_at : float
        Epoch seconds when it was put on the dead-letter queue; on its first queue, if SQS itself moved it.
    receive_count : int
        Receives of this SQS message, this one included.
    """

    message_id: str
    receipt_handle: str
    body: str
    attributes: Mapping[str, Any]
    sent_at: float
    receive_count: int

    def attribute(self, name: str) -> str:
        """Give an attribute's text; empty where there is none."""
        return str(self.attributes.get(name, {}).get("StringValue", ""))

    def with_texts(self, texts: Mapping[str, str]) -> ParkedMessage:
        """Give the message with these attributes; where SQS does not take so many, its producer's give way."""
        ours = {name: {"DataType": "String", "StringValue": value} for name, value in texts.items()}
        others = [(name, value) for name, value in self.attributes.items() if name not in ours]
        room = _MOST_ATTRIBUTES - len(ours)
        # Those of an earlier life first: they are ours as well.
        others.sort(key=lambda pair: pair[0] not in LIFE_ATTRIBUTES)
        return replace(self, attributes=dict(others[:room]) | ours)

    def size(self) -> int:
        """Give the bytes that SQS counts."""
        attributes = sum(
            len(name) + len(value["DataType"]) + len(value.get("StringValue", "").encode() or value["BinaryValue"])
            for name, value in self.attributes.items()
        )
        return len(self.body.encode("utf-8", "surrogatepass")) + attributes


class ParkedMessages:
    """The messages of one dead-letter queue."""

    def __init__(self, url: str, client: SQSClient) -> None:
        self._url = url
        self._client = client

    def receive(self, hidden_seconds: int) -> list[ParkedMessage]:
        """Receive up to ten messages.

        Parameters
        ----------
        hidden_seconds : int
            For how long nobody else gets them, unless they are put back before.

        Returns
        -------
        list of ParkedMessage
            Empty when there were none just now.

        Raises
        ------
        AwsCallError
            SQS refused or did not answer, or too many messages are hidden.
        """
        with aws_call(f"SQS receive from {self._url}"):
            answer = self._client.receive_message(
                QueueUrl=self._url,
                MaxNumberOfMessages=_MOST_A_CALL,
                WaitTimeSeconds=_POLL_SECONDS,
                VisibilityTimeout=hidden_seconds,
                MessageSystemAttributeNames=["SentTimestamp", "ApproximateReceiveCount"],
                MessageAttributeNames=["All"],
            )
        return [_parked(message) for message in answer.get("Messages", [])]

    def move(self, messages: Sequence[ParkedMessage], destination_url: str) -> list[bool]:
        """Send messages to another queue, then delete here those that the other queue has.

        A message whose deletion fails is on both queues; the delivery ledger tells the two for one.

        Returns
        -------
        list of bool
            By position: the other queue has it. The others are untouched, and still hidden.
        """
        sent: set[int] = set()
        for positions in send_batches([message.size() for message in messages]):
            sent |= self._send(messages, positions, destination_url)
        self._delete([messages[position] for position in sorted(sent)])
        return [position in sent for position in range(len(messages))]

    def put_back(self, receipt_handles: Collection[str]) -> None:
        """Let others see messages again at once; where that fails they are seen when their time is over."""
        SourceQueue(self._url, self._client).put_off([(handle, 0) for handle in receipt_handles])

    def _send(self, messages: Sequence[ParkedMessage], positions: Sequence[int], destination_url: str) -> set[int]:
        entries: list[SendMessageBatchRequestEntryTypeDef] = [
            {
                "Id": str(position),
                "MessageBody": messages[position].body,
                "MessageAttributes": messages[position].attributes,
            }
            for position in positions
        ]
        try:
            with aws_call(f"SQS send to {destination_url}"):
                answer = self._client.send_message_batch(QueueUrl=destination_url, Entries=entries)
        except AwsCallError as exc:
            logger.error("messages not moved", extra={"fault": str(exc), "messages": len(entries)})
            return set()
        if failed := answer.get("Failed"):
            codes = sorted({failure["Code"] for failure in failed})
            logger.error("messages not moved", extra={"fault": codes, "messages": len(failed)})
        return {int(entry["Id"]) for entry in answer.get("Successful", [])}

    def _delete(self, messages: Sequence[ParkedMessage]) -> None:
        handles = [message.receipt_handle for message in messages]
        for _ in range(_DELETE_ATTEMPTS):
            if not handles:
                return
            handles = self._still_there(handles)
        logger.error("moved messages not deleted: they come back, and are recognised", extra={"messages": len(handles)})

    def _still_there(self, handles: Sequence[str]) -> list[str]:
        """Delete messages, ten a call, and give the handles of those that could not be."""
        left: list[str] = []
        for start in range(0, len(handles), _MOST_A_CALL):
            chunk = handles[start : start + _MOST_A_CALL]
            try:
                with aws_call(f"SQS delete at {self._url}"):
                    answer = self._client.delete_message_batch(
                        QueueUrl=self._url,
                        Entries=[{"Id": str(number), "ReceiptHandle": handle} for number, handle in enumerate(chunk)],
                    )
            except AwsCallError:
                left.extend(chunk)
            else:
                left.extend(chunk[int(failure["Id"])] for failure in answer.get("Failed", []))
        return left


def _parked(message: MessageTypeDef) -> ParkedMessage:
    system: Mapping[str, str] = message.get("Attributes", {})  # type: ignore[assignment]
    return ParkedMessage(
        message_id=message["MessageId"],
        receipt_handle=message["ReceiptHandle"],
        body=message["Body"],
        attributes=message.get("MessageAttributes", {}),
        sent_at=int(system["SentTimestamp"]) / 1000,
        receive_count=int(system["ApproximateReceiveCount"]),
    )
