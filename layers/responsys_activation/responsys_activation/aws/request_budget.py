"""When may a connector's next request go? One item of the delivery table for all environments.

Requests get slots, evenly spaced; a slot is reserved by moving ``nextSlot`` on. A throttle reply sets ``pausedUntil``;
when it is past, the first environment to come becomes the probe and the others wait for what it learns.
"""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from responsys_activation.aws.faults import AwsUnavailableError, aws_call, error_code
from responsys_activation.observability import logger
from responsys_activation.outcome import ErrorCode
from responsys_activation.responsys.errors import ThrottledError

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

__all__ = ["RequestBudget", "Slot"]

_MINUTE = 60.0
# Slots are even here but not when they arrive: this share of the limit is left for requests that are late.
_USED_SHARE = 0.95
_PROBE_SECONDS = 60.0  # longer than a request can take; a killed probe holds others up no longer than this
_SHORTEST_PROBE = 2.0  # seconds, unscaled: a real request takes real time
# What came first comes back first: messages return after a pause in the order in which they came since the account
# began to refuse, within this share of that time and at most so many seconds.
_AGE_SHARE = 0.1
_LONGEST_RETURN = 60.0
_POLL_SECONDS = 0.5
_LATENESS = 2.0  # seconds that a request may be late for its slot; within the spare share even when all are late
_SHORTEST_LATENESS = 0.5  # seconds, unscaled: to claim takes real time
_CATCHING_UP = 0.5  # of that, what a slot may be late already when it is given: one batch ends, and the next begins
_FAULT_MEMORY = 30.0  # seconds to go on alone before the table is tried again


@dataclass(frozen=True, slots=True)
class Slot:
    """The right to make one request at a time.

    Attributes
    ----------
    at : float
        Epoch seconds from which the request may go.
    until : float
        Epoch seconds after which it would crowd later ones.
    probe : float or None
        The pause that this request, the first after a throttle, can lift.
    shared : bool
        False while the table is out of reach and this environment keeps a pace of its own.
    """

    at: float
    until: float
    probe: float | None = None
    one_recipient: bool = False
    shared: bool = True


class RequestBudget:
    """One connector's budget.

    Parameters
    ----------
    environments : int
        Most environments at once: each takes this part of the limit while the table is out of reach.
    time_scale : float
        Divides every wait; 1 but on the local stack.
    """

    def __init__(
        self,
        table: str,
        connector_name: str,
        client: DynamoDBClient,
        *,
        environments: int,
        time_scale: float = 1.0,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._table = table
        self._key: dict[str, Any] = {"pk": {"S": f"connector#{connector_name}"}, "sk": {"S": "budget"}}
        self._client = client
        self._environments = environments
        self._time_scale = time_scale
        self._clock = clock
        self._sleep = sleep
        self._lock = threading.Lock()
        self._turn = threading.Lock()
        self._waiting = 0
        self._reserved: deque[Slot] = deque()
        self._alone_until = 0.0
        self._own_next_slot = 0.0

    def reserve(self, requests_per_minute: float, latest: float) -> Slot:
        """Reserve the next slot.

        Parameters
        ----------
        latest : float
            Epoch seconds; a later slot is of no use.

        Raises
        ------
        ThrottledError
            The connector is paused, or the next slot is later than ``latest``. Its clock says how long.
        """
        with self._lock:
            self._waiting += 1
        try:
            with self._turn:
                return self._next_slot(requests_per_minute, latest)
        finally:
            with self._lock:
                self._waiting -= 1
                if not self._waiting:
                    self._reserved.clear()  # left over where a request gave up; its time would soon be past

    def _next_slot(self, requests_per_minute: float, latest: float) -> Slot:
        """Give a slot. Requests that wait for their turn meanwhile are served together, with slots in a row.

        If they alternated with another environment's, both batches would end, and wait for their last replies, at the
        same time, and nobody would use the slots of that time.
        """
        if self._reserved and self._reserved[0].at <= latest:
            return self._reserved.popleft()
        own_spacing = self._spacing(self._own_share(requests_per_minute))
        if self._clock() >= self._alone_until:
            try:
                self._reserved.extend(self._shared_slots(self._spacing(requests_per_minute), latest, self._waiting))
                return self._reserved.popleft()
            except AwsUnavailableError as exc:
                logger.warning("request budget out of reach, keeping a pace alone", extra={"fault": str(exc)})
                with self._lock:
                    self._alone_until = self._clock() + _FAULT_MEMORY / self._time_scale
                    # Shared slots have just gone by: the own pace does not begin with a slot on top of them.
                    self._own_next_slot = max(self._own_next_slot, self._clock() + own_spacing)
        return self._own_slot(own_spacing, latest)

    def pause(self, code: str, clock: float, *, in_doubt: bool = False) -> tuple[float, float]:
        """Hold up all environments after a throttle.

        Parameters
        ----------
        clock : float
            Seconds, unscaled.

        Returns
        -------
        since, age_share : float
            As a :class:`ThrottledError` carries them. A probe that failed does not make the outage younger.
        """
        now = self._clock()
        before = self._tell(
            "SET pausedUntil = :until, pausedSince = if_not_exists(pausedSince, :now), pauseCode = :code"
            " REMOVE probing",
            "attribute_not_exists(pausedUntil) OR pausedUntil < :until OR probing = :true",
            {
                ":now": _number(now),
                ":until": _number(now + clock / self._time_scale),
                ":code": {"S": code},
                ":true": {"BOOL": True},
            },
        )
        since = float(before.get("pausedSince", {"N": now})["N"])
        return since, self._age_share(since, now + clock / self._time_scale)

    def lift(self, probe: float) -> None:
        """End the pause that a probe found over."""
        self._tell(
            "REMOVE pausedUntil, pausedSince, pauseCode, probing", "pausedUntil = :probe", {":probe": _number(probe)}
        )

    def hand_back(self, probe: float) -> None:
        """Leave it to another environment to be the probe, because this one could not send."""
        self._tell(
            "SET pausedUntil = :now REMOVE probing",
            "pausedUntil = :probe",
            {":now": _number(self._clock()), ":probe": _number(probe)},
        )

    def _shared_slots(self, spacing: float, latest: float, count: int) -> list[Slot]:
        """Reserve up to so many slots in a row."""
        while (now := self._clock()) <= latest:
            oldest = now - self._lateness() * _CATCHING_UP
            # Behind a backlog the slot only moves on: the one call of a busy connector.
            moved, item = self._update(
                "SET nextSlot = nextSlot + :taken",
                "attribute_not_exists(pausedUntil) AND nextSlot BETWEEN :oldest AND :latest",
                {
                    ":taken": _number(spacing * count),
                    ":oldest": _number(oldest),
                    ":latest": _number(latest - spacing * (count - 1)),
                },
            )
            if moved:
                first = float(item["nextSlot"]["N"])
                return [self._slot(first + spacing * number) for number in range(count)]
            next_slot = float(item["nextSlot"]["N"]) if "nextSlot" in item else 0.0
            slot = None
            if "pausedUntil" in item:
                slot = self._after_pause(item, now, spacing, latest)
            elif next_slot > latest:
                raise self._exhausted(next_slot - now)
            elif next_slot >= oldest:  # so many do not fit before the latest
                count = max(1, min(count - 1, 1 + int((latest - next_slot) / spacing)))
            else:
                slot = self._first_slot(now, oldest, spacing)
            if slot:
                return [slot]
        raise self._exhausted(0.0)

    def _first_slot(self, now: float, oldest: float, spacing: float) -> Slot | None:
        """Start anew after idleness, unless another environment just did."""
        started, _ = self._update(
            "SET nextSlot = :next",
            "attribute_not_exists(pausedUntil) AND (attribute_not_exists(nextSlot) OR nextSlot < :oldest)",
            {":next": _number(now + spacing), ":oldest": _number(oldest)},
        )
        return self._slot(now) if started else None

    def _after_pause(self, item: dict[str, Any], now: float, spacing: float, latest: float) -> Slot | None:
        """Become the probe, wait for another's, or learn that the pause goes on."""
        paused_until = float(item["pausedUntil"]["N"])
        if now < paused_until:
            if "probing" not in item or now + _POLL_SECONDS / self._time_scale > latest:
                since = float(item.get("pausedSince", item["pausedUntil"])["N"])
                raise ThrottledError(
                    item["pauseCode"]["S"],
                    clock=(paused_until - now) * self._time_scale,
                    since=since,
                    age_share=self._age_share(since, paused_until),
                )
            self._sleep(_POLL_SECONDS / self._time_scale)
            return None
        probe = round(now + max(_SHORTEST_PROBE, _PROBE_SECONDS / self._time_scale), 3)
        became, _ = self._update(
            "SET pausedUntil = :probe, probing = :true, nextSlot = :next",
            "pausedUntil = :paused",
            {
                ":probe": _number(probe),
                ":true": {"BOOL": True},
                ":next": _number(now + spacing),
                ":paused": item["pausedUntil"],
            },
        )
        return Slot(now, until=probe, probe=probe) if became else None

    def _age_share(self, since: float, until: float) -> float:
        """Give the share for times on our clock, and waits that are unscaled."""
        lasted = max(1.0, until - since) * self._time_scale
        return min(_AGE_SHARE, _LONGEST_RETURN / lasted) * self._time_scale

    def _spacing(self, requests_per_minute: float) -> float:
        return _MINUTE / (requests_per_minute * _USED_SHARE) / self._time_scale

    def _own_share(self, requests_per_minute: float) -> float:
        """Give what all environments may use at once; a whole number where there is one for each.

        With 2.4 requests a minute each, 4 environments could make 12 in a minute that allows 10.
        """
        share = requests_per_minute / self._environments
        return math.floor(share) or share

    def _own_slot(self, spacing: float, latest: float) -> Slot:
        with self._lock:
            at = max(self._own_next_slot, self._clock())
            if at > latest:
                raise self._exhausted(at - self._clock())
            self._own_next_slot = at + spacing
        return self._slot(at, shared=False)

    def _slot(self, at: float, *, shared: bool = True) -> Slot:
        return Slot(at, until=at + self._lateness(), shared=shared)

    def _lateness(self) -> float:
        return max(_SHORTEST_LATENESS, _LATENESS / self._time_scale)

    def _exhausted(self, seconds: float) -> ThrottledError:
        return ThrottledError(ErrorCode.BUDGET_EXHAUSTED, clock=max(0.0, seconds) * self._time_scale)

    def _update(self, expression: str, condition: str, values: dict[str, Any]) -> tuple[bool, dict[str, Any]]:
        """Update the item on a condition.

        Returns
        -------
        updated : bool
        item : dict
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

    def _tell(self, expression: str, condition: str, values: dict[str, Any]) -> dict[str, Any]:
        """Tell the other environments, or leave it: they would learn the same from Responsys.

        Returns
        -------
        dict
            What was known before, as far as it was replaced, or all of it where the condition failed.
        """
        try:
            return self._update(expression, condition, values)[1]
        except AwsUnavailableError as exc:
            logger.warning("pause not shared", extra={"fault": str(exc)})
            return {}


def _number(value: float) -> dict[str, str]:
    # Microseconds: a slot of 2,000 requests a minute is 32 ms wide, and far less on a faster local clock.
    return {"N": f"{value:.6f}"}
