"""How does Lambda fill the batches, by what the function's log says of them?"""

from __future__ import annotations

import json
import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

__all__ = ["TERM", "Gathering", "SettledBatch", "gathering", "read_settled_batches"]

TERM = "batch settled"
# AWS: a lone message may wait for so long, whatever the window. A longer pause is a quiet queue.
_LONGEST_POLL = 20.0
_FULLEST = 10  # one batch of so many, by their size
_BACKLOG = 100  # memberships; what gathers fewer waits for producers, not for Lambda


class SettledBatch(NamedTuple):
    """A batch, as its log line tells of it.

    Attributes
    ----------
    environment : str
        The Lambda environment, by its log stream; it runs one batch at a time.
    ended : float
        Epoch seconds.
    seconds : float
        How long it took.
    received : int
        Its memberships.
    """

    environment: str
    ended: float
    seconds: float
    received: int


@dataclass(frozen=True)
class Gathering:
    """How batches were filled.

    Attributes
    ----------
    batches, received : int
        How many, with how many memberships together.
    median, most : int
        Memberships of a batch.
    rate : float or None
        Memberships per second that were gathered for one environment between two batches: the fullest tenth of those
        that followed soon, and had a hundred at least. ``None`` if none did. It is no more than producers sent, so only
        a backlog shows what Lambda can.
    """

    batches: int
    received: int
    median: int
    most: int
    rate: float | None


def read_settled_batches(events: Iterable[Mapping[str, Any]]) -> list[SettledBatch]:
    """Read the lines *batch settled* among a log group's events."""
    found = []
    for event in events:
        try:
            line = json.loads(event["message"])
        except ValueError:
            continue
        if isinstance(line, dict) and line.get("message") == TERM:
            ended, seconds = event["timestamp"] / 1000, line["milliseconds"] / 1000
            found.append(SettledBatch(event["logStreamName"], ended, seconds, line["received"]))
    return found


def gathering(batches: Sequence[SettledBatch], window: float) -> Gathering:
    """Sum up batches; at least one.

    Parameters
    ----------
    window : float
        Seconds that a batch may wait to fill.
    """
    sizes = [batch.received for batch in batches]
    return Gathering(
        batches=len(batches),
        received=sum(sizes),
        median=round(statistics.median(sizes)),
        most=max(sizes),
        rate=_rate(batches, window + _LONGEST_POLL),
    )


def _rate(batches: Sequence[SettledBatch], longest_wait: float) -> float | None:
    by_environment = defaultdict[str, list[SettledBatch]](list)
    for batch in sorted(batches, key=lambda batch: batch.ended):
        by_environment[batch.environment].append(batch)
    waits = [
        (after.received, after.ended - after.seconds - before.ended)
        for own in by_environment.values()
        for before, after in pairwise(own)
    ]
    soon = sorted(
        (received, max(0.0, wait)) for received, wait in waits if wait <= longest_wait and received >= _BACKLOG
    )
    fullest = soon[-max(1, len(soon) // _FULLEST) :]
    waited = sum(wait for _, wait in fullest)
    return sum(received for received, _ in fullest) / waited if waited else None
