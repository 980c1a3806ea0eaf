"""Which messages does a body become?

One, as it is, wherever it fits into one: then it is on the queue or it is not. What it means is for the function that
delivers to judge, which keeps what it cannot read on RejectedDLQ; only what is no JSON is refused here.
"""

from __future__ import annotations

from responsys_activation.aws.queues import LARGEST_MESSAGE
from responsys_activation.envelope import read_body
from responsys_activation.json_text import sendable
from responsys_activation.webhook.request import TooLargeError

__all__ = ["messages_of"]

# Whatever is around a membership is repeated with each: a thousand segments beside a large profile are no longer small.
_MOST_BYTES = 16 * 1024 * 1024


def messages_of(body: str, now: float) -> list[str]:
    """Return the SQS bodies that hold what a body holds.

    Parameters
    ----------
    now : float
        Epoch seconds.

    Raises
    ------
    InvalidMessageError
        It is no JSON; the text says where.
    TooLargeError
        A membership is larger than a message may be, or all are together.
    """
    content = read_body(body)
    message = sendable(body)
    if len(message.encode()) <= LARGEST_MESSAGE:
        return [message]
    from responsys_activation.upstream.memberships import PartTooLargeError, in_groups

    messages: list[str] = []
    room = _MOST_BYTES
    try:
        for group in in_groups(content, now, LARGEST_MESSAGE):
            room -= len(group)
            if room < 0:
                raise TooLargeError(
                    "body: its memberships, in messages of their own, take more than 16 MiB; send fewer in one request"
                )
            messages.append(group)
    except PartTooLargeError:
        raise TooLargeError(
            f"body: one membership has more than {LARGEST_MESSAGE:,} bytes; send fewer variables with it"
        ) from None
    return messages
