"""What becomes of the SQS message of each outcome?

Nothing is deleted before it is safe elsewhere: a message is left out of the failures that Lambda reports to SQS (and
so deleted) only when each of its memberships was delivered, needs no delivery, or is on a dead-letter queue. Of one
that holds several, or goes to several connectors, each that is moved is a message of its own there.
"""

from __future__ import annotations

import math
import random
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime

from responsys_activation.aws.queues import DeadLetter, DeadLetterQueue, SourceQueue
from responsys_activation.delivery.outcome import NOT_KNOWN, Ending, Rejected, Retried, Throttled, reason_of
from responsys_activation.error_code import ErrorCode
from responsys_activation.received import MARK, ReceivedMessage

__all__ = ["Settling"]

# What fails a second time is moved to ThrottledDLQ, from where it comes back: all connectors share the 120,000 hidden
# messages that SQS allows per queue, and after 5 receives SQS would move it to RejectedDLQ.
LAST_RECEIVE = 2
OUTAGE_DELAY = 300.0  # seconds
FIRST_BACK_OFF = 30.0  # seconds, doubled at each receive
_LONGEST_DELAY = 900  # seconds; SQS's limit
_BACK_OFF_JITTER = 0.1  # of the back-off, so that what failed together does not come back all at once


class Settling:
    """Moves each message of a batch, puts it off, or lets it be deleted.

    Parameters
    ----------
    source_queues : iterable of SourceQueue
        The queues that the function reads from.
    time_scale : float
        Divides delays and back-off; 1 except on the local stack.
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
            As they really ended, in the order given: what fails too often, or cannot stay alone on its queue, is
            throttled, and what its dead-letter queue did not take is retried. A message of which anything is retried
            must be reported to SQS as a failure.
        """
        settled = self._not_for_ever(endings)
        self._move(settled, Throttled, self._throttled, until)
        self._move(settled, Rejected, self._rejected, until)
        self._put_off((ending.message for ending in settled if isinstance(ending.outcome, Retried)), until)
        return settled

    def _move(
        self, endings: list[Ending], kind: type[Throttled | Rejected], queue: DeadLetterQueue, until: float
    ) -> None:
        positions = [position for position, ending in enumerate(endings) if isinstance(ending.outcome, kind)]
        safe = queue.send(self._letters([endings[position] for position in positions]), until)
        for number, position in enumerate(positions):
            if number not in safe:
                endings[position] = endings[position]._replace(
                    outcome=Retried(ErrorCode.AWS_UNAVAILABLE), dead_letter_failed=True
                )

    def _letters(self, endings: Iterable[Ending]) -> Iterator[DeadLetter]:
        """Write each letter when it is sent: together they may be many times the batch."""
        for ending in endings:
            message = ending.message
            yield self._letter(ending, message.body if message.part is None else message.bodies[message.part]())

    def _letter(self, ending: Ending, body: str) -> DeadLetter:
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
        return DeadLetter(body, attributes, delay, group)

    def _delay(self, throttled: Throttled, message: ReceivedMessage) -> int:
        """Return the seconds to wait from now on. No jitter: after a pause, minutes of age come back within seconds."""
        now = self._clock()
        gone_by = (now - (now if throttled.decided_at is None else throttled.decided_at)) * self._time_scale
        by_age = throttled.age_share * max(0.0, message.first_received_at - throttled.since)
        return self._seconds(max(0.0, throttled.delay - gone_by) + by_age)

    def _put_off(self, messages: Iterable[ReceivedMessage], until: float) -> None:
        delays: defaultdict[str, list[tuple[str, int]]] = defaultdict(list)
        for message in {message.message_id: message for message in messages}.values():
            delays[message.queue_name].append((message.receipt_handle, self._seconds(self._back_off(message))))
        for name, of_queue in delays.items():
            self._source_queues[name].put_off(of_queue, until)

    def _back_off(self, message: ReceivedMessage) -> float:
        doublings: int = message.receive_count - 1
        return FIRST_BACK_OFF * float(2**doublings) * (1 + _BACK_OFF_JITTER * self._jitter())

    def _seconds(self, seconds: float) -> int:
        return min(_LONGEST_DELAY, math.ceil(seconds / self._time_scale))

    def _not_for_ever(self, endings: Sequence[Ending]) -> list[Ending]:
        """Throttle what failed twice, and what would keep on its queue with it what has ended already."""
        if not any(isinstance(each.outcome, Retried) for each in endings):
            return list(endings)
        ended = {each.message.message_id for each in endings if not isinstance(each.outcome, Retried)}

        def decided(ending: Ending) -> Ending:
            message, outcome = ending.message, ending.outcome
            if not isinstance(outcome, Retried):
                return ending
            if message.receive_count >= LAST_RECEIVE:
                return ending._replace(outcome=Throttled(outcome.error_code, OUTAGE_DELAY))
            if message.message_id in ended:
                return ending._replace(outcome=Throttled(outcome.error_code, self._back_off(message)))
            return ending

        return [decided(ending) for ending in endings]
