"""Would the law be seen to break? Each mutation breaks the delivery code on purpose; random worlds must tell.

``python -m tests.property.mutations`` prints how many worlds each took.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from unittest.mock import patch

from hypothesis import HealthCheck, Phase, given, seed, settings

from responsys_activation import dispatch, sending
from responsys_activation.aws.ledger import ClaimState, Ledger
from responsys_activation.aws.queues import DeadLetter, DeadLetterQueue
from responsys_activation.aws.request_pace import RequestPace, Slot
from responsys_activation.observability import logger
from responsys_activation.outcome import Delivered, Duplicate, Throttled
from responsys_activation.reporting import Reporting
from responsys_activation.responsys import events
from responsys_activation.responsys.errors import UnavailableError
from responsys_activation.sending import RequestSender
from responsys_activation.settling import Settling
from tests.property.law import check
from tests.property.scenario import Scenario, scenarios
from tests.property.world import World

_MOST_WORLDS = 3000

Mutation = Callable[[], Any]
MUTATIONS: dict[str, Mutation] = {}


def mutation(function: Callable[[], Iterator[None]]) -> Callable[[], Iterator[None]]:
    """Name a mutation after its function."""
    MUTATIONS[function.__name__.replace("_", " ")] = contextmanager(function)
    return function


@mutation
def nothing_is_claimed() -> Iterator[None]:
    def claim(_self: Ledger, keys: Sequence[Any], *_rest: Any) -> tuple[list[ClaimState], int]:
        return [ClaimState.CLAIMED] * len(keys), 0

    with patch.object(Ledger, "claim", claim):
        yield


@mutation
def nothing_is_recorded() -> Iterator[None]:
    with patch.object(Ledger, "record", lambda *_arguments, **_options: None):
        yield


@mutation
def what_was_not_delivered_is_not_recorded() -> Iterator[None]:
    record = Ledger.record

    def forgetful(self: Ledger, request_id: str, *, undelivered: Collection[int], unknown: Collection[int]) -> None:
        record(self, request_id, undelivered=[], unknown=unknown)

    with patch.object(Ledger, "record", forgetful):
        yield


@mutation
def unknown_outcomes_are_not_recorded() -> Iterator[None]:
    record = Ledger.record

    def forgetful(self: Ledger, request_id: str, *, undelivered: Collection[int], unknown: Collection[int]) -> None:
        record(self, request_id, undelivered=undelivered, unknown=[])

    with patch.object(Ledger, "record", forgetful):
        yield


@mutation
def only_claimed_messages_are_recorded() -> Iterator[None]:
    """The fault that this suite found: held back messages whose claim took effect read as delivered."""
    claim = RequestSender._claim
    record = Ledger.record
    claimed: dict[str, list[int]] = {}

    def remember(self: RequestSender, answer: Any, deadline: float) -> list[int]:
        claimed[answer.request.request_id] = positions = claim(self, answer, deadline)
        return positions

    def forgetful(self: Ledger, request_id: str, *, undelivered: Collection[int], unknown: Collection[int]) -> None:
        of_claimed = [position for position in undelivered if position in claimed[request_id]]
        record(self, request_id, undelivered=of_claimed, unknown=unknown)

    with patch.object(RequestSender, "_claim", remember), patch.object(Ledger, "record", forgetful):
        yield


@mutation
def claims_are_abandoned_at_once() -> Iterator[None]:
    state = Ledger._state

    def impatient(self: Ledger, claim: Any, answer: Any) -> ClaimState:
        return state(self, replace(claim, until=0.0), answer)

    with patch.object(Ledger, "_state", impatient):
        yield


@mutation
def delivered_messages_may_be_claimed() -> Iterator[None]:
    state = Ledger._state

    def generous(self: Ledger, claim: Any, answer: Any) -> ClaimState:
        found = state(self, claim, answer)
        return ClaimState.FREE if found is ClaimState.DELIVERED else found

    with patch.object(Ledger, "_state", generous):
        yield


@mutation
def a_lost_reply_is_taken_for_not_sent() -> Iterator[None]:
    with patch.object(sending, "OutcomeUnknownError", type("Never", (UnavailableError,), {})):
        yield


@mutation
def a_reply_of_wrong_length_is_taken_for_success() -> Iterator[None]:
    def trusting(reply: Any, expected: int) -> list[str | None]:
        results = reply.document if isinstance(reply.document, list) else []
        codes = [None if result["success"] else "CODE" for result in results]
        return (codes + [None] * expected)[:expected]

    with patch.object(events, "_results", trusting):
        yield


@mutation
def messages_leave_before_their_dead_letter_queue_has_them() -> Iterator[None]:
    send = DeadLetterQueue.send

    def trusting(self: DeadLetterQueue, letters: Sequence[DeadLetter]) -> list[bool]:
        send(self, letters)
        return [True] * len(letters)

    with patch.object(DeadLetterQueue, "send", trusting):
        yield


@mutation
def throttled_messages_are_not_moved() -> Iterator[None]:
    move = Settling._move

    def forgetful(self: Settling, endings: Any, kind: Any, queue: Any) -> None:
        if kind is not Throttled:
            move(self, endings, kind, queue)

    with patch.object(Settling, "_move", forgetful):
        yield


@mutation
def the_shared_slot_does_not_move_on() -> Iterator[None]:
    def at_once(self: RequestPace, _read_limit: Any, _latest: float) -> Slot:
        now = self._clock()
        return Slot(now, until=now + 60.0)

    with patch.object(RequestPace, "reserve", at_once):
        yield


@mutation
def the_rest_of_a_failed_request_counts_as_delivered() -> Iterator[None]:
    fail = sending._fail

    def optimistic(answer: Any, positions: Any, failure: Any, now: float) -> None:
        fail(answer, positions, failure, now)
        answer.outcomes[-1] = Delivered()

    with patch.object(sending, "_fail", optimistic):
        yield


@mutation
def a_stopped_lane_forgets_its_last_request() -> Iterator[None]:
    learn = dispatch.Lane.learn

    def forgetful(self: dispatch.Lane, answer: Any, now: float) -> None:
        learn(self, answer, now)
        if self.stopped and self.waiting:
            self.waiting.pop()

    with patch.object(dispatch.Lane, "learn", forgetful):
        yield


@mutation
def duplicates_are_not_counted() -> Iterator[None]:
    count = Reporting._count

    def forgetful(self: Reporting, received: int, endings: Any) -> None:
        count(self, received, [ending for ending in endings if not isinstance(ending.outcome, Duplicate)])

    with patch.object(Reporting, "_count", forgetful):
        yield


def worlds_until_seen(name: str) -> tuple[int, str]:
    """Count the worlds until one breaks the law, and tell how; 0 where none did."""
    tried = 0

    @seed(2)
    @settings(
        max_examples=_MOST_WORLDS,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(scenarios())
    def try_worlds(scenario: Scenario) -> None:
        nonlocal tried
        tried += 1
        with MUTATIONS[name]():
            check(World(scenario).run())

    try:
        try_worlds()
    except Exception as exc:  # noqa: BLE001 - whatever it is, the mutation was seen
        return tried, f"{type(exc).__name__}: {next(iter(str(exc).splitlines()), '')}"
    return 0, "never"


def main() -> int:
    """Try every mutation."""
    logger.setLevel(logging.CRITICAL)
    missed = 0
    for name in MUTATIONS:
        worlds, how = worlds_until_seen(name)
        missed += not worlds
        print(f"{worlds:>6}  {name}: {how[:110]}", flush=True)
    return min(missed, 1)


if __name__ == "__main__":
    sys.exit(main())
