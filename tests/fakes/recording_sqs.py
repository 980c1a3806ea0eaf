"""What did we ask of SQS? An SQS client that records, and fails where it is told to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import ClientError

Entry = dict[str, Any]


def no_entry(_entry: Entry) -> bool:
    return False


@dataclass
class RecordingSqs:
    """The two batch calls that the package makes.

    Attributes
    ----------
    refuses : callable
        Entries that SQS reports as ``Failed``.
    down : set of str
        Queue URLs at which every call fails as a whole.
    """

    refuses: Callable[[Entry], bool] = no_entry
    down: set[str] = field(default_factory=set)
    sent: dict[str, list[Entry]] = field(default_factory=dict)
    visibility: dict[str, list[Entry]] = field(default_factory=dict)

    def send_message_batch(self, *, QueueUrl: str, Entries: Sequence[Entry]) -> dict[str, Any]:  # noqa: N803
        return self._batch("SendMessageBatch", self.sent, QueueUrl, Entries)

    def change_message_visibility_batch(
        self,
        *,
        QueueUrl: str,  # noqa: N803
        Entries: Sequence[Entry],  # noqa: N803
    ) -> dict[str, Any]:
        return self._batch("ChangeMessageVisibilityBatch", self.visibility, QueueUrl, Entries)

    def _batch(
        self, operation: str, accepted: dict[str, list[Entry]], url: str, entries: Sequence[Entry]
    ) -> dict[str, Any]:
        if url in self.down:
            raise ClientError({"Error": {"Code": "ServiceUnavailable", "Message": ""}}, operation)
        taken = [entry for entry in entries if not self.refuses(entry)]
        accepted.setdefault(url, []).extend(taken)
        failed = [
            {"Id": entry["Id"], "Code": "InternalError", "SenderFault": False}
            for entry in entries
            if self.refuses(entry)
        ]
        return {"Successful": [{"Id": entry["Id"]} for entry in taken], "Failed": failed}
