"""What becomes of the SQS message of each outcome?

Nothing is deleted before it is safe elsewhere: a message is left out of the failures that Lambda reports to SQS (and
so deleted) only when it was delivered, needs no delivery, or its dead-letter queue has it.
"""

from __future__ import annotations

import math
import random
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from responsys_activation.aws.queues import DeadLetter, DeadLetterQueue, SourceQueue
from responsys_activation.delivery.outcome import Outcome, Rejected, Retried, Throttled
from responsys_activation.error_code import ERROR_CODES, ErrorCode, plain
from responsys_activation.received import MARK, ReceivedMessage

__all__ = ["Ending", "Settling", "reason_of"]

# What fails a second time is moved to where it replays itself: hidden messages of all connectors share the 120,000 that
# SQS allows of a queue, and after 5 receives SQS would move it to RejectedDLQ.
LAST_RECEIVE = 2
OUTAGE_DELAY = 300.0  # seconds
FIRST_BACK_OFF = 30.0  # seconds, doubled at each receive
_LONGEST_DELAY = 900  # seconds; SQS's limit
_BACK_OFF_JITTER = 0.1  # of the back-off, so that what failed together does not come back all at once

_LONGEST_REASON = 300  # characters

NOT_KNOWN = "-"  # SQS takes no empty attribute


class Ending(NamedTuple):
    """A message and its outcome.

    Attributes
    ----------
    connector, event_name : str
        ``-`` where the message names none that exists.
    request_id : str
        Of the planned request that the message went with; ``-`` where it went with none.
    dead_letter_failed : bool
        Its dead-letter queue did not take it, so it stays on its queue.
    """

    message: ReceivedMessage
    outcome: Outcome
    connector: str = NOT_KNOWN
    event_name: str = NOT_KNOWN
    request_id: str = NOT_KNOWN
    dead_letter_failed: bool = False


class Settling:
    """Moves, puts off or lets go each message of a batch.

    Parameters
    ----------
    source_queues : iterable of SourceQueue
        The queues that the function reads from.
    time_scale : float
        Divides delays and back-off; 1 but on the local stack.
    """

    def __init__(
        self,
        *,
        source_queues: Iterable[SourceQueue],
        throttled: DeadLetterQueue,
        rejected: DeadLetterQueue,
        time_scale: float = 1.0,
        clock: Callable[[], float] = time.time,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._source_queues = {queue.name: queue for queue in source_queues}
        self._throttled = throttled
        self._rejected = rejected
        self._time_scale = time_scale
        self._clock = clock
        self._jitter = jitter

    def settle(self, endings: Sequence[Ending], until: float) -> list[Ending]:
        """Carry out every outcome.

        Parameters
        ----------
        until : float
            Epoch seconds after which no call begins: what is not moved by then stays on its queue.

        Returns
        -------
        list of Ending
            As they really ended, in the order given: a message that fails too often is throttled, and one whose
            dead-letter queue did not take it is retried. The retried ones must be reported to SQS as failures.
        """
        settled = [_not_for_ever(ending) for ending in endings]
        self._move(settled, Throttled, self._throttled, until)
        self._move(settled, Rejected, self._rejected, until)
        self._put_off((ending.message for ending in settled if isinstance(ending.outcome, Retried)), until)
        return settled

    def _move(
        self, endings: list[Ending], kind: type[Throttled | Rejected], queue: DeadLetterQueue, until: float
    ) -> None:
        positions = [position for position, ending in enumerate(endings) if isinstance(ending.outcome, kind)]
        safe = queue.send([self._letter(endings[position]) for position in positions], until)
        for position, is_safe in zip(positions, safe, strict=True):
            if not is_safe:
                endings[position] = endings[position]._replace(
                    outcome=Retried(ErrorCode.AWS_UNAVAILABLE), dead_letter_failed=True
                )

    def _letter(self, ending: Ending) -> DeadLetter:
        message, outcome = ending.message, ending.outcome
        attributes = {
            "outcome": type(outcome).__name__.lower(),
            "connector": ending.connector,
            "eventName": ending.event_name,
            "originalMessageId": message.original_message_id,
            "attempts": str(message.attempts),
            "firstReceivedAt": datetime.fromtimestamp(message.first_received_at, UTC).isoformat(
                timespec="milliseconds"
            ),
        }
        mark = message.mark._replace(first_sent_at=message.arrived_at)
        match outcome:
            case Throttled(error_code):
                delay = self._delay(outcome, message)
            case Rejected(error_code, _, last_error_code, doubts):
                delay = 0
                mark = mark._replace(last_error_code=last_error_code, doubts=doubts, in_doubt_allowed=False)
            case _:
                raise TypeError(f"{type(outcome).__name__} has no dead-letter queue")
        attributes |= {"errorCode": error_code, "reason": reason_of(outcome), MARK: mark.text()}
        group = "" if ending.connector == NOT_KNOWN else ending.connector
        return DeadLetter(message.body, attributes, delay, group)

    def _delay(self, throttled: Throttled, message: ReceivedMessage) -> int:
        """Give the seconds to wait from now on. Without jitter: after a pause minutes of age come back in seconds."""
        now = self._clock()
        gone_by = (now - (now if throttled.decided_at is None else throttled.decided_at)) * self._time_scale
        by_age = throttled.age_share * max(0.0, message.first_received_at - throttled.since)
        return self._seconds(max(0.0, throttled.delay - gone_by) + by_age)

    def _put_off(self, messages: Iterable[ReceivedMessage], until: float) -> None:
        delays: defaultdict[str, list[tuple[str, int]]] = defaultdict(list)
        for message in messages:
            back_off = FIRST_BACK_OFF * 2 ** (message.receive_count - 1) * (1 + _BACK_OFF_JITTER * self._jitter())
            delays[message.queue_name].append((message.receipt_handle, self._seconds(back_off)))
        for name, of_queue in delays.items():
            self._source_queues[name].put_off(of_queue, until)

    def _seconds(self, seconds: float) -> int:
        return min(_LONGEST_DELAY, math.ceil(seconds / self._time_scale))


def reason_of(outcome: Throttled | Rejected) -> str:
    """Say to a person who looks at the message why it is there."""
    text = outcome.reason or _meaning(outcome.error_code)
    return text if len(text) <= _LONGEST_REASON else f"{text[: _LONGEST_REASON - 1]}…"


def _meaning(code: str) -> str:
    return plain(ERROR_CODES[code].meaning) if code in ERROR_CODES else f"Responsys answered {code}"


def _not_for_ever(ending: Ending) -> Ending:
    if isinstance(ending.outcome, Retried) and ending.message.receive_count >= LAST_RECEIVE:
        return ending._replace(outcome=Throttled(ending.outcome.error_code, OUTAGE_DELAY))
    return ending
