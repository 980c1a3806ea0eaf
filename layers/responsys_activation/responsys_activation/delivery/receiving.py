"""Which memberships does a batch hold, and to which connectors do they go?

What ends in an outcome of its own, and is counted, is a pair: one membership to one connector. Most messages are one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from responsys_activation.aws.connectors import ConnectorSettings
from responsys_activation.aws.faults import AwsCallError
from responsys_activation.change import change_key
from responsys_activation.delivery.outcome import Ending, Ignored, Outcome, Rejected, Retried
from responsys_activation.delivery.routing import route
from responsys_activation.error_code import ErrorCode
from responsys_activation.received import ReceivedMessage, read_record
from responsys_activation.upstream.memberships import Memberships, Part, Refused, read, split

__all__ = ["Pair", "Receiving"]

# Each dead letter of a platform's message repeats what is around its membership: thousands of segments beside a large
# profile would become gigabytes.
_MOST_LETTER_BYTES = 16 * 1024 * 1024  # of one message
_ATTRIBUTE_BYTES = 1024  # of one letter, about
_TOO_MUCH = Rejected(
    ErrorCode.INVALID_MESSAGE,
    "body: its memberships, each in a message of its own, would take more than 16 MiB; send fewer in one message",
)


class Pair(NamedTuple):
    """One membership to one connector.

    Attributes
    ----------
    message : ReceivedMessage
        Its ``part`` and ``mark`` say which one it is, where the body alone does not.
    connector : str
        The connector's name; nobody knows yet whether it exists.
    """

    message: ReceivedMessage
    part: Part
    connector: str


class Receiving:
    """Reads batches.

    Parameters
    ----------
    throttled_queue : str
        The name of ThrottledDLQ.
    """

    def __init__(self, connector_settings: ConnectorSettings, throttled_queue: str) -> None:
        self._connector_settings = connector_settings
        self._throttled_queue = throttled_queue

    def receive(self, records: Sequence[Mapping[str, Any]], now: float) -> Iterator[Pair | Ending]:
        """Yield the pairs of a batch, and how it ends what is none.

        Parameters
        ----------
        records : sequence of Mapping
            ``Records`` of an SQS event.
        now : float
            Epoch seconds.
        """
        for record in records:
            message = read_record(record, now, self._throttled_queue)
            found = read(message.body, message.arrived_at)
            parts = found.parts
            if len(parts) == 1:
                part = parts[0]
                if isinstance(part, Part) and part.platform is None and not part.position:  # nearly all
                    yield Pair(message, part, message.mark.connector or part.membership.connector)
                else:
                    yield from self._pairs(message, part)
            elif not parts:
                yield Ending(message, Ignored(found.ignored[0].code, f"no membership: {found.ignored[0]}"))
            elif _is_too_much(message, found):
                yield Ending(message, _TOO_MUCH)
            else:
                for number, part in enumerate(parts):
                    yield from self._pairs(message._replace(part=number), part)

    def _pairs(self, message: ReceivedMessage, part: Part | Refused) -> Iterator[Pair | Ending]:
        if isinstance(part, Refused):
            yield Ending(message, Rejected(ErrorCode.INVALID_MESSAGE, part.reason))
            return
        # What its letter cannot say: alone it stands nowhere, and by new settings it may go elsewhere.
        key = message.mark.key or change_key(part.membership, part.message_id(message.original_message_id))
        mark = message.mark._replace(key=key, position=message.mark.position or message.part or 0)
        message = message._replace(mark=mark)
        connectors = [mark.connector] if mark.connector else self._connectors(part)
        if isinstance(connectors, Outcome):
            yield Ending(message, connectors)
            return
        for connector in connectors:
            yield Pair(message._replace(mark=mark._replace(connector=connector)), part, connector)

    def _connectors(self, part: Part) -> Sequence[str] | Outcome:
        if part.platform is None:
            return (part.membership.connector,)
        try:
            return route(part, part.platform, self._connector_settings.read_all())
        except AwsCallError:
            return Retried(ErrorCode.AWS_UNAVAILABLE)


def _is_too_much(message: ReceivedMessage, found: Memberships) -> bool:
    """Return whether the letters of a message would be too large; most cannot be, and are not written."""
    if len(found.parts) * (len(message.body) + _ATTRIBUTE_BYTES) <= _MOST_LETTER_BYTES:
        return False
    total = 0
    for body in split(message.body, message.arrived_at):
        total += len(body) + _ATTRIBUTE_BYTES
        if total > _MOST_LETTER_BYTES:
            return True
    return False
