"""Which recipients spoil a request, and how do the others get through?"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain
from typing import NamedTuple, TypeVar

from responsys_activation.delivery.outcome import Outcome, Retried
from responsys_activation.delivery.result import FAILURES, Failure, outcome_of_error
from responsys_activation.responsys.errors import OutcomeUnknownError, RefusalScope, RequestRefusedError

__all__ = ["End", "InDoubt", "post_isolating"]

_MOST_EXTRA_REQUESTS = 64  # for one planned request; a producer that spoils every recipient must not eat the budget
# Refused one after the other without one that passes, under a code that nobody documented: it is not the recipients.
_MOST_ALIKE = 16


class InDoubt(NamedTuple):
    """It was sent, and no trustworthy reply came: what becomes of it depends on its claim."""

    error_code: str
    title: str = ""


End = Outcome | InDoubt
Answer = TypeVar("Answer")


def post_isolating(
    groups: Iterable[Sequence[int]], post: Callable[[Sequence[int]], Mapping[int, Answer]], clock: Callable[[], float]
) -> tuple[dict[int, Answer | End], Failure | None]:
    """Post recipients in groups; when some spoil theirs, post its others without them.

    One bad recipient in n costs 3 requests more where Responsys names it, else 2·log2(n) at most.

    Parameters
    ----------
    groups : iterable of sequence of int
        Positions of recipients.
    post : callable
        Posts one group and gives Responsys's answer about each position, or raises a ``Failure``.

    Returns
    -------
    ends : dict of int to (Answer or End)
        Of every position.
    failure : Failure or None
        What kept a group, and all that were still waiting, from being answered.
    """
    waiting = deque(groups)
    ends: dict[int, Answer | End] = {}
    posts = alike = 0
    while waiting:
        group = waiting.popleft()
        posts += 1
        try:
            ends |= post(group)
            alike = 0
        except FAILURES as exc:
            outcome = outcome_of_error(exc, clock())
            if not isinstance(exc, RequestRefusedError) or exc.scope in {RefusalScope.EVENT, RefusalScope.CONNECTOR}:
                ends |= dict.fromkeys(chain(group, *waiting), outcome)
                if isinstance(exc, OutcomeUnknownError):
                    ends |= dict.fromkeys(group, InDoubt(exc.code, exc.title))
                return ends, exc
            alike = 0 if exc.documented else alike + 1
            if alike >= _MOST_ALIKE:
                return ends | dict.fromkeys(chain(group, *waiting), outcome), None
            if exc.scope is not RefusalScope.RECIPIENTS or len(group) == 1:
                ends |= dict.fromkeys(group, outcome)
            elif posts <= _MOST_EXTRA_REQUESTS:
                waiting.extendleft(reversed(_parts(group, exc.record)))
            else:  # the bad ones found so far are out; the others come back without them
                ends |= dict.fromkeys(group, Retried(exc.code))
    return ends, None


def _parts(group: Sequence[int], record: int | None) -> list[Sequence[int]]:
    """Part a refused group so that those without the bad recipient pass.

    Whether Responsys counts records from 0 or from 1 is not known, so both candidates are taken out.
    """
    named = [place for place in (record - 1, record) if 0 <= place < len(group)] if record is not None else []
    if named:
        rest = [position for place, position in enumerate(group) if place not in named]
        return [part for part in (rest, *([group[place]] for place in named)) if part]
    half = (len(group) + 1) // 2
    return [group[:half], group[half:]]
