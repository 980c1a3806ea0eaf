"""How do chosen messages get from a dead-letter queue back to where they first came from?

Every message that is looked at stays hidden until the end of the run, and is put back then: put back at once it would
be received again and again. Two runs at the same time see different messages.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from responsys_activation.aws.faults import AwsCallError
from responsys_activation.aws.queues import ParkedMessage, ParkedMessages
from responsys_activation.error_code import ErrorCode
from responsys_activation.observability import logger
from responsys_activation.received import MARK, Mark, read_mark
from responsys_activation.replay.request import Candidate, ReplayRequest

__all__ = ["Replay", "RunEnd"]

# Kept back from the invocation's time: the last calls, and putting back what was looked at.
_ENDING_SECONDS = 30.0
_PUT_BACK_A_SECOND = 500
_HIDDEN_AFTER_THE_RUN = 60.0  # seconds; nothing may be seen by others before the run has put it back
_EMPTY_ANSWERS = 2  # one alone may come from servers that hold none of the messages that are left
_MOST_HIDDEN = 100_000  # SQS hides 120,000 of a queue at most, and then answers as if it were empty
# SQS moves a message of ThrottledDLQ to RejectedDLQ at its sixth receive, and each look is one.
_MOST_RECEIVES_OF_THROTTLED = 3
_PROGRESS_SECONDS = 10.0


class RunEnd(StrEnum):
    """Why a run ended."""

    QUEUE_SEEN = "QUEUE_SEEN"
    LIMIT_REACHED = "LIMIT_REACHED"
    OUT_OF_TIME = "OUT_OF_TIME"
    TOO_MANY_HIDDEN = "TOO_MANY_HIDDEN"
    RECEIVED_TOO_OFTEN = "RECEIVED_TOO_OFTEN"
    AWS_UNAVAILABLE = "AWS_UNAVAILABLE"


@dataclass(slots=True)
class _Run:
    """What one run has come to.

    Attributes
    ----------
    hidden : list of str
        Receipt handles of what was looked at and not moved.
    refused : int
        Chosen messages that the other queue did not take.
    arrived_since : int
        Messages that came after the beginning: other ones, and moved ones that failed again.
    """

    request: ReplayRequest
    source: ParkedMessages
    deadline: float
    examined: int = 0
    refused: int = 0
    arrived_since: int = 0
    chosen: Counter[str] = field(default_factory=Counter)
    hidden: list[str] = field(default_factory=list)
    left: Counter[str] = field(default_factory=Counter)
    next_move_at: float = 0.0
    next_progress_at: float = 0.0

    @property
    def stops_at(self) -> float:
        """Epoch seconds at which it must begin to end."""
        return self.deadline - _ENDING_SECONDS - len(self.hidden) / _PUT_BACK_A_SECOND

    @property
    def room(self) -> int | None:
        """How many more messages may be chosen."""
        return None if self.request.limit is None else self.request.limit - self.chosen.total()

    def leave(self, message: ParkedMessage) -> None:
        self.hidden.append(message.receipt_handle)
        if message.sent_at > self.request.arrived_before.timestamp():
            self.arrived_since += 1
        else:
            self.left[_candidate(message).error_code] += 1

    def counts(self) -> dict[str, Any]:
        """Return the numbers of the report."""
        dry_run = self.request.dry_run
        return {
            "source": self.request.source,
            "dryRun": dry_run,
            "examined": self.examined,
            "moved": 0 if dry_run else self.chosen.total(),
            "wouldMove": self.chosen.total() if dry_run else 0,
            "refused": self.refused,
            "left": len(self.hidden) - self.arrived_since,
            "arrivedSince": self.arrived_since,
            "byErrorCode": dict(self.chosen.most_common()),
            "leftByErrorCode": dict(self.left.most_common()),
        }


class Replay:
    """Moves chosen messages from a dead-letter queue to SegmentEventsQueue.

    Parameters
    ----------
    sources : Mapping of str to ParkedMessages
        ``rejected`` and ``throttled``.
    destination_url : str
        URL of SegmentEventsQueue.
    """

    def __init__(
        self,
        *,
        sources: Mapping[str, ParkedMessages],
        destination_url: str,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._sources = sources
        self._destination_url = destination_url
        self._clock = clock
        self._sleep = sleep

    def run(self, request: ReplayRequest, deadline: float) -> dict[str, Any]:
        """Look through the queue and move what is chosen, or count it.

        Parameters
        ----------
        deadline : float
            Epoch seconds at which Lambda ends the invocation.

        Returns
        -------
        dict
            The report. Unless it is ``complete``, ``continuation`` is the event that goes on.
        """
        run = _Run(request, self._sources[request.source], deadline)
        try:
            end = self._look_through(run)
        finally:
            run.source.put_back(run.hidden)
        complete = end in {RunEnd.QUEUE_SEEN, RunEnd.LIMIT_REACHED} and not run.refused
        report = run.counts() | {"end": end.value, "complete": complete}
        logger.info("replay ended", extra=report)
        moved = 0 if request.dry_run else run.chosen.total()
        return report if complete else report | {"continuation": request.continuation(moved)}

    def _look_through(self, run: _Run) -> RunEnd:
        empty_answers = 0
        while empty_answers < _EMPTY_ANSWERS:
            if self._clock() >= run.stops_at:
                return RunEnd.OUT_OF_TIME
            if len(run.hidden) >= _MOST_HIDDEN:
                return RunEnd.TOO_MANY_HIDDEN
            try:
                messages = run.source.receive(math.ceil(run.deadline - self._clock() + _HIDDEN_AFTER_THE_RUN))
            except AwsCallError as exc:
                logger.error("replay cannot read its queue", extra={"fault": str(exc)})
                return RunEnd.AWS_UNAVAILABLE
            empty_answers = 0 if messages else empty_answers + 1
            if messages and (end := self._handle(run, messages)):
                return end
            self._tell_progress(run)
        return RunEnd.QUEUE_SEEN

    def _handle(self, run: _Run, messages: Sequence[ParkedMessage]) -> RunEnd | None:
        """Move or leave received messages; give a reason to end, if there is one."""
        run.examined += len(messages)
        chosen = [message for message in messages if run.request.chooses(_candidate(message))][: run.room]
        others = [message for message in messages if message not in chosen]
        for message in others:
            run.leave(message)
        if run.request.dry_run:
            for message in chosen:
                run.chosen[_candidate(message).error_code] += 1
                run.hidden.append(message.receipt_handle)
        elif chosen and (end := self._move(run, chosen)):
            return end
        if run.room == 0:
            return RunEnd.LIMIT_REACHED
        most_receives = max(
            (message.receive_count for message in (messages if run.request.dry_run else others)), default=0
        )
        if run.request.source == "throttled" and most_receives > _MOST_RECEIVES_OF_THROTTLED:
            return RunEnd.RECEIVED_TOO_OFTEN
        return None

    def _move(self, run: _Run, chosen: Sequence[ParkedMessage]) -> RunEnd | None:
        """Move messages when it is their time."""
        now = self._clock()
        begins_at = max(now, run.next_move_at)
        if begins_at >= run.stops_at:
            for message in chosen:
                run.leave(message)
            return RunEnd.OUT_OF_TIME
        self._sleep(begins_at - now)
        run.next_move_at = begins_at + len(chosen) / run.request.messages_per_second
        moved = run.source.move(
            [_sent_back(message, run.request, self._clock()) for message in chosen], self._destination_url
        )
        for message, is_moved in zip(chosen, moved, strict=True):
            if is_moved:
                run.chosen[_candidate(message).error_code] += 1
            else:
                run.refused += 1
                run.leave(message)
        return None if any(moved) else RunEnd.AWS_UNAVAILABLE

    def _tell_progress(self, run: _Run) -> None:
        now = self._clock()
        if now >= run.next_progress_at:
            run.next_progress_at = now + _PROGRESS_SECONDS
            logger.info("replay goes on", extra=run.counts())


def _candidate(message: ParkedMessage) -> Candidate:
    ours = read_mark(message.attribute(MARK)) is not None  # else SQS moved it, and the attributes are its producer's
    attributes = {name: message.attribute(name) for name in message.attributes} if ours else {}
    return Candidate(attributes, message.body, message.sent_at)


def _sent_back(message: ParkedMessage, request: ReplayRequest, now: float) -> ParkedMessage:
    """Return a message as the function must get it: under its old id, and from RejectedDLQ with a new clock."""
    mark = read_mark(message.attribute(MARK))
    # What SQS itself moved has SQS's own id and time, and perhaps attributes of its producer under our names.
    original_id = (message.attribute("originalMessageId") if mark else "") or message.message_id
    mark = mark or Mark()
    mark = mark._replace(first_sent_at=mark.first_sent_at or message.sent_at)
    if request.source == "throttled":
        return message.with_texts({"originalMessageId": original_id, "outcome": "throttled", MARK: mark.text()})
    in_doubt = _candidate(message).error_code == ErrorCode.OUTCOME_UNKNOWN
    mark = mark._replace(replayed_at=now, in_doubt_allowed=in_doubt and request.in_doubt)
    # One that SQS moved from ThrottledDLQ still says "throttled", and would soon be too old.
    return message.with_texts({"originalMessageId": original_id, "outcome": "rejected", MARK: mark.text()})
