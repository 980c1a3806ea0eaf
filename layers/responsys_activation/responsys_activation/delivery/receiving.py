"""Which memberships does a batch hold, and to which connectors do they go?

What ends in an outcome of its own, and is counted, is a pair: one membership to one connector. Most messages are one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, NamedTuple

from responsys_activation.aws.connectors import ConnectorSettings
from responsys_activation.aws.faults import AwsCallError
from responsys_activation.change import change_key
from responsys_activation.delivery.outcome import Ending, Ignored, Outcome, Rejected, Retried
from responsys_activation.delivery.routing import route
from responsys_activation.error_code import ErrorCode
from responsys_activation.received import ReceivedMessage, read_record
from responsys_activation.upstream.memberships import Memberships, Part, Refused, read

__all__ = ["Pair", "Receiving"]

# Of one batch, besides messages that are one pair: each takes some kilobytes of memory, and settling it a millisecond.
_MOST_PAIRS = 30_000
_TOO_MANY = Rejected(
    ErrorCode.INVALID_MESSAGE,
    f"body: its memberships, each for every connector that it goes to, are more than {_MOST_PAIRS:,}; "
    "send fewer in one message",
)
_AFTER_OTHERS = Retried(ErrorCode.OUT_OF_TIME)
_LARGE_BODY = 32 * 1024  # characters; not read for nothing where there is no room for what it may hold
# Each dead letter of a platform's message repeats what is around its membership: thousands of segments beside a large
# profile would become gigabytes.
_MOST_LETTER_BYTES = 16 * 1024 * 1024  # of one message
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
        room, is_full = _MOST_PAIRS, False
        for record in records:
            message = read_record(record, now, self._throttled_queue)
            if is_full and len(message.body) > _LARGE_BODY:
                yield Ending(message, _AFTER_OTHERS)
                continue
            found = read(message.body, message.arrived_at)
            if len(found.parts) == 1:
                part = found.parts[0]
                if isinstance(part, Part) and part.platform is None and not part.position:  # nearly all
                    yield Pair(message, part, part.membership.connector)
                    continue
            elif not found.parts:
                yield Ending(message, Ignored(found.ignored[0].code, f"no membership: {found.ignored[0]}"))
                continue
            pairs = list(islice(self._pairs_of(message, found), _MOST_PAIRS + 1))
            if len(pairs) > _MOST_PAIRS:
                yield Ending(message, _TOO_MANY)
            elif len(pairs) > max(1, room):
                is_full = True
                yield Ending(message, _AFTER_OTHERS)
            elif len(found.parts) > 1 and _is_too_much(message, found, pairs):
                yield Ending(message, _TOO_MUCH)
            else:
                room -= len(pairs)
                yield from pairs

    def _pairs_of(self, message: ReceivedMessage, found: Memberships) -> Iterator[Pair | Ending]:
        if len(found.parts) == 1:
            yield from self._pairs(message, found.parts[0])
            return
        for number, part in enumerate(found.parts):
            yield from self._pairs(message._replace(part=number, bodies=found.bodies), part)

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
            yield Ending(message, connectors, part=part)
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


def _is_too_much(message: ReceivedMessage, found: Memberships, pairs: Iterable[Pair | Ending]) -> bool:
    """Return whether the letters of a message could be too large; most cannot, and are not written for that."""
    letters = Counter(each.message.part or 0 for each in pairs if not _is_ignored(each))
    if letters.total() * _size(message.body) <= _MOST_LETTER_BYTES:
        return False
    total = 0
    for part, times in letters.items():
        total += times * _size(found.bodies[part]())
        if total > _MOST_LETTER_BYTES:
            return True
    return False


def _is_ignored(each: Pair | Ending) -> bool:
    return isinstance(each, Ending) and isinstance(each.outcome, Ignored)


def _size(body: str) -> int:
    return len(body.encode("utf-8", "surrogatepass"))
