"""When may the next request go? One item of the delivery table for all environments.

Requests get slots, evenly spaced; a slot is reserved by moving ``nextSlot`` on. Where other accounts' messages wait, no
request waits for a slot that is far away: moving ``nextReturn`` on gives it a time to come back, and what is new goes
behind those that are away. A pause holds up everybody until one request has found out that it is over.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from responsys_activation.aws.alone_pace import AlonePace
from responsys_activation.aws.budget_item import (
    LONGEST_AWAY,
    Pause,
    age_share,
    furthest_slot,
    nearest,
    number,
    read_budget_item,
    seconds_away,
)
from responsys_activation.aws.faults import AwsUnavailableError, aws_call, error_code
from responsys_activation.aws.slots import CATCHING_UP, RETURNS_SHARE, NoSlotError, Slot, Wait, lateness, spacing
from responsys_activation.error_code import ErrorCode
from responsys_activation.observability import logger

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

__all__ = ["RequestBudget"]

_SHORTEST_PROBE = 2.0  # seconds, unscaled: a real request takes real time
_POLL_SECONDS = 0.5
_PAUSE_MEMORY = 10.0  # seconds; where clocks differ another environment may end a pause before its time

_TRUE = {"BOOL": True}


class RequestBudget:
    """The budget of one account, or of one connector with a pace of its own.

    Parameters
    ----------
    owner : str
        Whose budget it is: the item's partition key.
    alone : AlonePace
        Learns here that the table is out of reach.
    probe_seconds : float
        How long the others wait for a probe; longer than any request takes, with connecting.
    time_scale : float
        Divides every wait; 1 but on the local stack.
    """

    def __init__(
        self,
        table: str,
        owner: str,
        client: DynamoDBClient,
        *,
        alone: AlonePace,
        probe_seconds: float,
        time_scale: float = 1.0,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._table = table
        self._key: dict[str, Any] = {"pk": {"S": owner}, "sk": {"S": "budget"}}
        self._client = client
        self._alone = alone
        self._probe_lease = max(_SHORTEST_PROBE, probe_seconds / time_scale)
        self._time_scale = time_scale
        self._clock = clock
        self._sleep = sleep
        self._lock = threading.Lock()
        self._turn = threading.Lock()
        self._waiting = 0
        self._reserved: deque[Slot] = deque()
        self._known_pause: Pause | None = None
        self._known_until = 0.0
        self._after_last = 0.0
        self._after_probe = 0.0
        self._others_use_it = False

    def reserve(self, requests_per_minute: float, latest: float, *, returned: bool | None = None) -> Slot:
        """Reserve the next slot.

        Parameters
        ----------
        latest : float
            Epoch seconds; a later slot is of no use.
        returned : bool or None
            For a request that gives its place up where its slot is far away: whether its messages came back. ``None``:
            it waits.

        Raises
        ------
        NoSlotError
            There is a pause, or the next slot is later than ``latest``.
        AwsUnavailableError
            The table is out of reach.
        """
        apart = spacing(requests_per_minute, self._time_scale)
        if returned is not None:
            latest = min(latest, nearest(self._clock(), returned=returned, time_scale=self._time_scale))
        with self._lock:
            self._waiting += 1
        try:
            with self._turn:
                return self._next_slot(apart, latest, new=returned is False)
        except NoSlotError as exc:
            if returned is None or exc.wait.code != ErrorCode.BUDGET_EXHAUSTED:
                raise
            raise self._exhausted(self._go_away(apart), one_request=True) from None
        finally:
            with self._lock:
                self._waiting -= 1
                if not self._waiting:
                    self._reserved.clear()  # left over where a request gave up; its time would soon be past

    def heed_pause(self) -> None:
        """Raise the pause that this environment learned of a moment ago; without a call.

        Raises
        ------
        NoSlotError
            There is one.
        """
        pause, now = self._known_pause, self._clock()
        if pause and not pause.probing and now < min(pause.until, self._known_until):
            raise self._paused(pause, now)

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
            Of whatever cannot be sent. A probe that failed does not make the outage younger.
        """
        now = self._clock()
        until = now + retry_after / self._time_scale
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
            self._remember(Pause(until, since, code), told=bool(told))
        return Wait(code, retry_after, since, age_share(since, until, self._time_scale))

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

    def _next_slot(self, apart: float, latest: float, *, new: bool) -> Slot:
        """Give a slot. Requests that wait for their turn meanwhile are served together, with slots in a row.

        If they alternated with another environment's, both batches would end, and wait for their last replies, at the
        same time, and nobody would use the slots of that time.
        """
        if self._reserved and self._reserved[0].at <= latest:
            return self._reserved.popleft()
        self.heed_pause()
        if self._alone.is_on:
            raise AwsUnavailableError("request budget out of reach")
        try:
            self._reserved.extend(self._shared_slots(apart, latest, self._waiting, new=new))
        except AwsUnavailableError as exc:
            self._alone.begin(str(exc))
            raise
        self._after_last = self._reserved[-1].at + apart
        return self._reserved.popleft()

    def _shared_slots(self, apart: float, latest: float, count: int, *, new: bool) -> list[Slot]:
        """Reserve up to so many slots in a row; in one call where the budget is as this environment thinks."""
        idle = self._after_last < self._oldest(self._clock()) and not self._others_use_it
        while (now := self._clock()) <= latest:
            attributes, slots = (
                self._start_anew(now, apart, latest) if idle else self._move_on(now, apart, latest, count, new=new)
            )
            if slots:
                self._others_use_it = self._others_use_it and not idle
                return slots
            item = read_budget_item(attributes)
            if item.pause:
                slot = self._after_pause(item.pause, now, apart, latest)
                if slot:
                    return [slot]
            elif item.next_slot is None or not self._oldest(now) <= item.next_slot <= furthest_slot(now):
                idle = True
            elif item.next_slot > latest:
                raise self._exhausted(item.next_slot - now)
            elif new and item.next_return is not None and item.next_return > latest:
                raise self._exhausted(0.0)
            elif idle:
                idle, self._others_use_it = False, True
            else:  # so many do not fit before the latest
                count = max(1, min(count - 1, 1 + int((latest - item.next_slot) / apart)))
        raise self._exhausted(0.0)

    def _move_on(
        self, now: float, apart: float, latest: float, count: int, *, new: bool
    ) -> tuple[dict[str, Any], list[Slot]]:
        """Take the next slots of a budget that is in use; what is new, unless others are away."""
        nobody_away = " AND (attribute_not_exists(nextReturn) OR nextReturn <= :near)" if new else ""
        moved, attributes = self._update(
            "SET nextSlot = nextSlot + :taken",
            f"attribute_not_exists(pausedUntil) AND nextSlot BETWEEN :oldest AND :latest{nobody_away}",
            {
                **({":near": number(latest)} if new else {}),
                ":taken": number(apart * count),
                ":oldest": number(self._oldest(now)),
                ":latest": number(latest - apart * (count - 1)),
            },
        )
        return attributes, self._row(float(attributes["nextSlot"]["N"]), apart, count) if moved else []

    def _start_anew(self, now: float, apart: float, latest: float) -> tuple[dict[str, Any], list[Slot]]:
        """Take the first slot after idleness, or after a wrong clock.

        If a wrong clock goes on, both start anew all the time; so each keeps the distance to its own last slot.
        """
        at = self._after_last if now < self._after_last <= furthest_slot(now) else now
        if at > latest:
            raise self._exhausted(at - now)
        started, attributes = self._update(
            "SET nextSlot = :next",
            "attribute_not_exists(pausedUntil)"
            " AND (attribute_not_exists(nextSlot) OR nextSlot < :now OR nextSlot > :furthest)",
            {":next": number(at + apart), ":now": number(now), ":furthest": number(furthest_slot(now))},
        )
        return attributes, self._row(at, apart, 1) if started else []

    def _go_away(self, apart: float) -> float:
        """Give the seconds until a request that gives its place up comes back: one after the other, as slots are."""
        apart *= RETURNS_SHARE
        now = self._clock()
        longest = now + LONGEST_AWAY / self._time_scale
        try:
            moved, attributes = self._update(
                "SET nextReturn = nextReturn + :apart",
                "nextReturn BETWEEN :now AND :longest",
                {":apart": number(apart), ":now": number(now), ":longest": number(longest)},
            )
            item = read_budget_item(attributes)
            if moved:
                return seconds_away(now, item.next_return, self._time_scale)
            first = item.first_return(now, self._time_scale)
            if first is not None:
                self._update(
                    "SET nextReturn = :next",
                    "attribute_not_exists(nextReturn) OR nextReturn < :now OR nextReturn > :furthest",
                    {":next": number(first + apart), ":now": number(now), ":furthest": number(furthest_slot(now))},
                )
            return seconds_away(now, first, self._time_scale)
        except AwsUnavailableError as exc:
            self._alone.begin(str(exc))
            raise

    def _after_pause(self, pause: Pause, now: float, apart: float, latest: float) -> Slot | None:
        """Become the probe, wait for another's, or learn that the pause goes on."""
        if pause.is_over(now, self._probe_lease):
            return self._probe(pause, now, apart)
        poll = _POLL_SECONDS / self._time_scale
        if not pause.probing or now + poll > latest:
            self._remember(pause)
            raise self._paused(pause, now)
        self._sleep(poll)
        return None

    def _probe(self, pause: Pause, now: float, apart: float) -> Slot | None:
        """Become the probe, unless another request just did."""
        probe = round(now + self._probe_lease, 3)
        became, _ = self._update(
            "SET pausedUntil = :probe, probing = :true, nextSlot = :next",
            "pausedUntil = :paused",
            {
                ":probe": number(probe),
                ":true": _TRUE,
                ":next": number(now + apart),
                ":paused": number(pause.until),
            },
        )
        if not became:
            return None
        self._after_probe = now + apart
        return Slot(now, until=probe, probe=probe, one_recipient=pause.in_doubt)

    def _remember(self, pause: Pause, *, told: bool = True) -> None:
        """Heed a pause for a while without asking; one that could not be told, until it ends."""
        memory = self._clock() + _PAUSE_MEMORY / self._time_scale if told else pause.until
        self._known_pause, self._known_until = pause, memory

    def _oldest(self, now: float) -> float:
        """Give the time before which a slot is of no use any more."""
        return now - lateness(self._time_scale) * CATCHING_UP

    def _row(self, first: float, apart: float, count: int) -> list[Slot]:
        times = [first + apart * place for place in range(count)]
        return [Slot(at, until=at + lateness(self._time_scale)) for at in times]

    def _exhausted(self, seconds: float, *, one_request: bool = False) -> NoSlotError:
        retry_after = max(0.0, seconds) * self._time_scale
        return NoSlotError(Wait(ErrorCode.BUDGET_EXHAUSTED, retry_after, one_request=one_request))

    def _paused(self, pause: Pause, now: float) -> NoSlotError:
        share = age_share(pause.since, pause.until, self._time_scale)
        return NoSlotError(Wait(pause.code, (pause.until - now) * self._time_scale, pause.since, share))

    def _update(self, expression: str, condition: str, values: dict[str, Any]) -> tuple[bool, dict[str, Any]]:
        """Update the item on a condition.

        Returns
        -------
        updated : bool
        attributes : dict
            What the update replaced; the item as it stands where the condition failed.
        """
        with aws_call("DynamoDB request budget"):
            try:
                answer = self._client.update_item(
                    TableName=self._table,
                    Key=self._key,
                    UpdateExpression=expression,
                    ConditionExpression=condition,
                    ExpressionAttributeValues=values,
                    ReturnValues="UPDATED_OLD",
                    ReturnValuesOnConditionCheckFailure="ALL_OLD",
                )
            except ClientError as exc:
                if error_code(exc) != "ConditionalCheckFailedException":
                    raise
                item: Any = exc.response.get("Item", {})
                return False, item
        return True, dict(answer.get("Attributes", {}))

    def _tell(self, expression: str, condition: str, values: dict[str, Any]) -> tuple[bool | None, dict[str, Any]]:
        """Tell the other environments, or leave it: they would learn the same from Responsys.

        Returns
        -------
        told : bool or None
            False: the condition failed; ``None``: the table is out of reach.
        attributes : dict
            What was known before, as far as it was replaced, or all of it where the condition failed.
        """
        try:
            return self._update(expression, condition, values)
        except AwsUnavailableError as exc:
            logger.warning("pause not shared", extra={"fault": str(exc)})
            return None, {}
