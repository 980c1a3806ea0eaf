"""How do events come onto EventBridge's default bus? As many as fit per call, until a moment and no longer."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from itertools import islice
from typing import Any, NamedTuple

from responsys_activation.aws.faults import AwsCallError, AwsRefusedError, aws_call

__all__ = ["MOST_BYTES", "EventBus", "Written"]

# AWS takes less than 256 KB per call, and counts source, detail type and detail. Targets get an envelope around the
# detail, and not all of them take more.
MOST_BYTES = 250_000
_MOST_ENTRIES = 10  # of one call
_PARALLEL_CALLS = 4
_PAUSES = (0.0, 0.2, 0.4)  # seconds before each attempt
# By AWS's reference the only codes of an entry that another attempt may cure.
_PASSING = frozenset({"InternalFailure", "ThrottlingException"})
_CALL = "EventBridge put events"
_NO_TIME = f"{_CALL}: no time left"

_Entry = tuple[int, Mapping[str, str]]  # its position among all


class Written(NamedTuple):
    """What became of events.

    Attributes
    ----------
    taken : set of int
        Positions that EventBridge is known to have.
    faults : set of str
        Why it has not the others.
    """

    taken: set[int]
    faults: set[str]


class EventBus:
    """The default bus of account and region.

    Parameters
    ----------
    source, detail_type : str
        Of every event that is written.
    client : Any
        boto3's for EventBridge, which does not try again by itself.
    """

    def __init__(
        self,
        source: str,
        detail_type: str,
        client: Any,
        *,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._kind = {"Source": source, "DetailType": detail_type}
        self._client = client
        self._clock = clock
        self._sleep = sleep

    def write(self, details: Iterable[str], until: float) -> Written:
        """Write an event for each detail.

        What is not written by ``until`` is given up, also where a call hangs. A call without an answer is repeated, so
        an event may be written twice.

        Parameters
        ----------
        details : iterable of str
            JSON in ASCII, each of up to ``MOST_BYTES``. Asked for when there is a call to take them.
        until : float
            Epoch seconds.
        """
        calls = self._calls(details)
        written = Written(set(), set())
        pool = ThreadPoolExecutor(_PARALLEL_CALLS)
        under_way: set[Future[Written]] = set()
        try:
            while (left := until - self._clock()) > 0:
                further = islice(calls, _PARALLEL_CALLS - len(under_way))
                under_way |= {pool.submit(self._write, entries, until) for entries in further}
                if not under_way:
                    return written
                done, under_way = wait(under_way, timeout=left, return_when=FIRST_COMPLETED)
                if not done:
                    break
                for call in done:
                    taken, faults = call.result()
                    written.taken.update(taken)
                    written.faults.update(faults)
        finally:
            # A call that hangs is left behind: nobody waits for it.
            pool.shutdown(wait=False, cancel_futures=True)
        written.faults.add(_NO_TIME)
        return written

    def _calls(self, details: Iterable[str]) -> Iterator[list[_Entry]]:
        """Cut into what one call takes."""
        entries: list[_Entry] = []
        size = 0
        for position, detail in enumerate(details):
            if entries and (len(entries) == _MOST_ENTRIES or size + len(detail) > MOST_BYTES):
                yield entries
                entries, size = [], 0
            entries.append((position, {**self._kind, "Detail": detail}))
            size += len(detail)
        if entries:
            yield entries

    def _write(self, entries: Sequence[_Entry], until: float) -> Written:
        faults = dict.fromkeys((position for position, _ in entries), _NO_TIME)
        left = entries
        for pause in _PAUSES:
            self._sleep(pause)
            if self._clock() >= until:
                break
            left = self._attempt(left, faults)
            if not left:
                break
        return Written({position for position, _ in entries} - faults.keys(), set(faults.values()))

    def _attempt(self, entries: Sequence[_Entry], faults: dict[int, str]) -> list[_Entry]:
        """Make one call, keep to ``faults`` what is not taken and why, and return what is worth another call."""
        try:
            with aws_call(_CALL):
                answer = self._client.put_events(Entries=[entry for _, entry in entries])
        except AwsCallError as exc:
            faults.update((position, str(exc)) for position, _ in entries)
            return [] if isinstance(exc, AwsRefusedError) else list(entries)
        left = []
        for (position, entry), result in zip(entries, answer["Entries"], strict=True):
            if code := result.get("ErrorCode"):
                faults[position] = f"{_CALL}: {code}"
                if code in _PASSING:
                    left.append((position, entry))
            else:
                del faults[position]
        return left
