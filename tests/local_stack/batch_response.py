"""Which messages of a batch did the function fail, by its answer?

The rules are AWS's for SQS and `ReportBatchItemFailures`: an answer that names nothing is a success, and one
that cannot be understood is a failure of the whole batch.
"""

import json
from collections.abc import Collection


def failed_message_ids(payload: bytes, batch: Collection[str]) -> set[str]:
    """Return the ids of the messages that stay on the queue.

    Parameters
    ----------
    payload
        The function's answer.
    batch
        The ids of the messages that the function was given.
    """
    everything = set(batch)
    try:
        answer = json.loads(payload or b"null")
    except ValueError:
        return everything
    if answer is None:
        return set()
    if not isinstance(answer, dict):
        return everything
    failures = answer.get("batchItemFailures")
    if failures is None:
        return set()
    if not isinstance(failures, list):
        return everything
    failed = set()
    for failure in failures:
        message_id = failure.get("itemIdentifier") if isinstance(failure, dict) else None
        if not isinstance(message_id, str) or message_id not in everything:
            return everything
        failed.add(message_id)
    return failed
