"""How do all environments share a budget of requests? One item of the delivery table.

Requests get slots, evenly spaced; a slot is reserved by moving ``nextSlot`` on. Where other accounts' messages wait, no
request waits for a slot that is far away: moving ``nextReturn`` on gives it a time to come back, and what is new goes
behind those that are away. A pause holds up everybody until one request has found out that it is over. What is decided
from the item: :mod:`~responsys_activation.aws.pace`.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from responsys_activation.aws import pace
from responsys_activation.aws.budget_reach import BudgetReach
from responsys_activation.aws.delivery_table import DeliveryTable, Item, Key, Updated, number
from responsys_activation.aws.faults import AwsCallError
from responsys_activation.aws.slots import RETURNS_SHARE, NoSlotError, Slot, Timing, Wait
from responsys_activation.error_code import ErrorCode
from responsys_activation.observability import logger

__all__ = ["RequestBudget"]

# What gives its place up is taken for no emptier than this: what comes back is in several batches, of several events.
_LEAST_FULL = 0.1
# Seconds, unscaled, for which what is new follows those that gave their places up, after they have come back: else it
# would take the slots of a minute from them, in emptier requests.
_KEEPS_AWAY = 60.0
_TRUE = {"BOOL": True}


class RequestBudget:
    """The budget of one account, or of one connector with a pace of its own.

    Parameters
    ----------
    key : Key
        The budget's item: an account's, or that of a connector with a pace of its own.
    reach : BudgetReach
        Learns here that the table is out of reach.
    """

    def __init__(
        self,
        table: DeliveryTable,
        key: Key,
        *,
        reach: BudgetReach,
        timing: Timing,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._table = table
        self._key = key
        self._reach = reach
        self._timing = timing
        self._clock = clock
        self._sleep = sleep
        self._lock = threading.Lock()
        self._turn = threading.Lock()
        self._waiting = 0
        self._reserved: deque[Slot] = deque()
        self._known_pause: pace.Pause | None = None
        self._known_until = 0.0
        self._after_last = 0.0
        self._after_probe = 0.0
        self._others_use_it = False

    def reserve(
        self,
        requests_per_minute: float,
        latest: float,
        *,
        returned: bool | None = None,
        full: float = 1.0,
        patient: bool = False,
    ) -> Slot:
        """Reserve the next slot.

        Parameters
        ----------
        latest : float
            Epoch seconds; a later slot is of no use.
        returned : bool or None
            For a request that gives its place up where its slot is far away: whether its messages came back. ``None``:
            it waits.
        full : float
            The share of a full request that it is. The emptier those are that give their places up, the more of them
            come back for each slot, to share requests.
        patient : bool
            No other account's messages wait behind it: it gives its place up only where it would get none in time, or
            is new and others just did so.

        Raises
        ------
        NoSlotError
            There is a pause, or the next slot is later than ``latest``.
        AwsCallError
            DynamoDB refused or did not answer, now or a moment ago.
        """
        apart = self._timing.spacing(requests_per_minute)
        now = self._clock()
        if returned is not None and not patient:
            latest = min(latest, now + (self._timing.near_returned if returned else self._timing.near))
        nobody_away_after = None
        if returned is False:
            nobody_away_after = now - self._timing.here(_KEEPS_AWAY) if patient else latest
        with self._lock:
            self._waiting += 1
        try:
            with self._turn:
                return self._next_slot(apart, latest, nobody_away_after)
        except NoSlotError as exc:
            if returned is None or exc.wait.code != ErrorCode.BUDGET_EXHAUSTED:
                raise
            raise NoSlotError(
                pace.exhausted(self._go_away(apart * max(_LEAST_FULL, full)), self._timing, one_request=True)
            ) from None
        finally:
            with self._lock:
                self._waiting -= 1
                if not self._waiting:
                    self._reserved.clear()  # left over where a request gave up; its time would soon be past

    def heed_pause(self) -> None:
        """Raise :class:`NoSlotError` for a pause that this environment learned of a moment ago; without a call."""
        pause, now = self._known_pause, self._clock()
        if pause and not pause.probing and now < min(pause.until, self._known_until):
            raise NoSlotError(pause.wait(now, self._timing))

    def look_for_pause(self) -> None:
        """Raise :class:`NoSlotError` for a pause that the table has, over or not; in one call."""
        self.heed_pause()
        self._try_reach()
        try:
            item = pace.read_budget_item(self._table.read("request budget", self._key, consistent=True))
        except AwsCallError as exc:
            self._reach.lose(str(exc))
            raise
        if item.pause:
            self._remember(item.pause)
            raise NoSlotError(item.pause.wait(self._clock(), self._timing))

    def pause_found(self) -> Wait | None:
        """Return what :meth:`look_for_pause` finds; where the table is out of reach, nobody knows of any."""
        try:
            self.look_for_pause()
        except NoSlotError as exc:
            return exc.wait
        except AwsCallError:
            return None
        return None

    def pause(self, code: str, retry_after: float, *, in_doubt: bool = False) -> Wait:
        """Hold up all environments.

        Parameters
        ----------
        retry_after : float
            Seconds, unscaled.
        in_doubt : bool
            Requests got no answer: the probe is to carry one recipient.

        Returns
        -------
        Wait
            Of what cannot be sent. A probe that failed does not make the outage younger.
        """
        now = self._clock()
        until = now + self._timing.here(retry_after)
        told, before = self._tell(
            "SET pausedUntil = :until, pausedSince = if_not_exists(pausedSince, :now), pauseCode = :code"
            f"{', inDoubt = :true' if in_doubt else ''} REMOVE probing",
            "attribute_not_exists(pausedUntil) OR pausedUntil < :until OR probing = :true",
            {":now": number(now), ":until": number(until), ":code": {"S": code}, ":true": _TRUE},
        )
        if told is False and in_doubt and "inDoubt" not in before:  # within a longer pause
            self._tell("SET inDoubt = :true", "pausedUntil = :until", {":true": _TRUE, ":until": before["pausedUntil"]})
        since = float(before["pausedSince"]["N"]) if "pausedSince" in before else now
        if told is not False:
            self._remember(pace.Pause(until, since, code), told=bool(told))
        return Wait(code, retry_after, since, self._timing.age_share(since, until))

    def lift(self, probe: float) -> None:
        """End the pause that a probe found over."""
        self._tell(
            "REMOVE pausedUntil, pausedSince, pauseCode, probing, inDoubt",
            "pausedUntil = :probe",
            {":probe": number(probe)},
        )

    def hand_back(self, probe: float, *, tried: bool = False) -> None:
        """Leave it to another request to be the probe, because this one could not be sent.

        Parameters
        ----------
        tried : bool
            Whether it has used its slot all the same: then the next one keeps its distance.
        """
        self._tell(
            "SET pausedUntil = :until REMOVE probing",
            "pausedUntil = :probe",
            {":until": number(max(self._clock(), self._after_probe * tried)), ":probe": number(probe)},
        )

    def _next_slot(self, apart: float, latest: float, nobody_away_after: float | None) -> Slot:
        """Return a slot. Requests that wait for their turn meanwhile are served together, with slots in a row.

        If they alternated with another environment's, both batches would end, and wait for their last replies, at the
        same time, and nobody would use the slots of that time.
        """
        if self._reserved and self._reserved[0].at <= latest:
            return self._reserved.popleft()
        self.heed_pause()
        self._try_reach()
        try:
            self._reserved.extend(self._shared_slots(pace.Wish(apart, latest, self._waiting, nobody_away_after)))
        except AwsCallError as exc:
            self._reach.lose(str(exc))
            raise
        self._after_last = self._reserved[-1].at + apart
        return self._reserved.popleft()

    def _try_reach(self) -> None:
        if self._reach.is_lost:
            raise AwsCallError("DynamoDB request budget: failed a moment ago, and is not asked again yet")

    def _shared_slots(self, wish: pace.Wish) -> list[Slot]:
        """Reserve slots in a row; in one call where the budget is as this environment thinks."""
        missed = self._after_last < self._clock() - self._timing.late_already
        attempt = pace.StartAnew() if missed and not self._others_use_it else pace.MoveOn(wish.count)
        while (now := self._clock()) <= wish.latest:
            idle = isinstance(attempt, pace.StartAnew)
            if isinstance(attempt, pace.MoveOn):
                slots, before = self._move_on(attempt.count, now, wish)
            else:
                slots, before = self._start_anew(now, wish)
            if slots:
                self._others_use_it &= not idle
                return slots
            item = pace.read_budget_item(before)
            match pace.next_step(item, now, wish, attempt, self._timing):
                case pace.BeProbe(pause):
                    if slot := self._probe(pause, now, wish.apart):
                        return [slot]
                case pace.WaitForProbe():
                    self._sleep(self._timing.poll)
                case Wait() as wait:
                    if item.pause:
                        self._remember(item.pause)
                    raise NoSlotError(wait)
                case attempt:
                    self._others_use_it |= idle and isinstance(attempt, pace.MoveOn)
        raise NoSlotError(pace.exhausted(0.0, self._timing))

    def _move_on(self, count: int, now: float, wish: pace.Wish) -> tuple[list[Slot], Item]:
        """Take the next slots of a budget that is in use; what is new, unless others are away.

        No more than there is time for: DynamoDB refuses ``BETWEEN`` with its bounds the wrong way round.
        """
        count = min(count, 1 + int((wish.latest - now) / wish.apart))
        nobody_away, when = "", {}
        if wish.nobody_away_after is not None:
            nobody_away = " AND (attribute_not_exists(nextReturn) OR nextReturn <= :away)"
            when = {":away": number(wish.nobody_away_after)}
        moved, before = self._update(
            "SET nextSlot = nextSlot + :taken",
            f"attribute_not_exists(pausedUntil) AND nextSlot BETWEEN :oldest AND :latest{nobody_away}",
            {
                **when,
                ":taken": number(wish.apart * count),
                ":oldest": number(now - self._timing.late_already),
                ":latest": number(wish.latest - wish.apart * (count - 1)),
            },
        )
        return self._row(float(before["nextSlot"]["N"]), wish.apart, count) if moved else [], before

    def _start_anew(self, now: float, wish: pace.Wish) -> tuple[list[Slot], Item]:
        """Take the first slot after idleness, or after a wrong clock."""
        at = pace.start_of_row(self._after_last, now)
        if at > wish.latest:
            raise NoSlotError(pace.exhausted(at - now, self._timing))
        started, before = self._update(
            "SET nextSlot = :next",
            "attribute_not_exists(pausedUntil)"
            " AND (attribute_not_exists(nextSlot) OR nextSlot < :now OR nextSlot > :furthest)",
            {":next": number(at + wish.apart), ":now": number(now), ":furthest": number(pace.furthest_slot(now))},
        )
        return self._row(at, wish.apart, 1) if started else [], before

    def _row(self, first: float, apart: float, count: int) -> list[Slot]:
        times = [first + apart * place for place in range(count)]
        return [Slot(at, until=at + self._timing.lateness) for at in times]

    def _go_away(self, apart: float) -> float:
        """Return the seconds until a request that gives its place up comes back: one after the other, as slots are."""
        apart *= RETURNS_SHARE
        now = self._clock()
        longest = self._timing.longest_away
        try:
            moved, before = self._update(
                "SET nextReturn = nextReturn + :apart",
                "nextReturn BETWEEN :now AND :longest",
                {":apart": number(apart), ":now": number(now), ":longest": number(now + longest)},
            )
            item = pace.read_budget_item(before)
            slot = item.next_return if moved else item.first_return(now, self._timing)
            if slot is None:
                return longest
            if not moved:
                self._update(
                    "SET nextReturn = :next",
                    "attribute_not_exists(nextReturn) OR nextReturn < :now OR nextReturn > :furthest",
                    {":next": number(slot + apart), ":now": number(now), ":furthest": number(pace.furthest_slot(now))},
                )
            return min(longest, max(0.0, slot - now - self._timing.early))
        except AwsCallError as exc:
            self._reach.lose(str(exc))
            raise

    def _probe(self, pause: pace.Pause, now: float, apart: float) -> Slot | None:
        """Become the probe, unless another request just did."""
        probe = round(now + self._timing.probe, 3)
        became, _ = self._update(
            "SET pausedUntil = :probe, probing = :true, nextSlot = :next",
            "pausedUntil = :paused",
            {":probe": number(probe), ":true": _TRUE, ":next": number(now + apart), ":paused": number(pause.until)},
        )
        if not became:
            return None
        self._after_probe = now + apart
        return Slot(now, until=probe, probe=probe, one_recipient=pause.in_doubt)

    def _remember(self, pause: pace.Pause, *, told: bool = True) -> None:
        """Heed a pause for a while without asking; one that could not be told, until it ends."""
        self._known_pause = pause
        self._known_until = self._clock() + self._timing.pause_memory if told else pause.until

    def _update(self, changes: str, condition: str, values: dict[str, Any]) -> Updated:
        return self._table.update("request budget", self._key, changes, condition=condition, values=values)

    def _tell(self, changes: str, condition: str, values: dict[str, Any]) -> tuple[bool | None, Item]:
        """Tell the other environments, or leave it: they would learn the same from Responsys.

        Returns
        -------
        told : bool or None
            False: the condition failed; ``None``: the table is out of reach.
        before : Item
            What was known before, as far as it was replaced, or all of it where the condition failed.
        """
        try:
            return self._update(changes, condition, values)
        except AwsCallError as exc:
            logger.warning("pause not shared", extra={"fault": str(exc)})
            return None, {}
