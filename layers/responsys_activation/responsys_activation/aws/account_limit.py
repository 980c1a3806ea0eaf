"""How many requests per minute does the account give us? Shared in the delivery table.

Its limit is read from Responsys every five minutes, and at once after a refusal. Where the limit does not explain that,
less of it is used for a while: :mod:`~responsys_activation.aws.lowering`.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from enum import Enum, auto
from typing import Any

from responsys_activation.aws.delivery_table import DeliveryTable, Item, Key, number
from responsys_activation.aws.faults import AwsCallError
from responsys_activation.aws.lowering import Lowering, lowered
from responsys_activation.aws.slots import Timing, account_requests_per_minute
from responsys_activation.observability import logger
from responsys_activation.responsys.errors import (
    LoginRefusedError,
    RequestRefusedError,
    ThrottledError,
    UnavailableError,
)

__all__ = ["AccountLimit"]

# Seconds, as Responsys counts them:
_MINUTE = 60.0
_MAXIMUM_AGE = 300.0
_MAXIMUM_AGE_UNTOLD = 3600.0  # where the user may not ask
_MAXIMUM_AGE_AFTER_REFUSAL = 60.0  # for as long as the refusal is fresh: what went down may come up again
_FRESH = 900.0
_READ_AGAIN = 300.0  # after a failure
_PATIENCE = 900.0
_SAME_REFUSAL = 45.0  # requests that were under way at the first one are refused, too; a pause is longer
_MEMORY = 30.0  # until the table is asked again: all know what was read in the first half of a pause when it ends
# Seconds on our clock:
_READING_SECONDS = 60.0  # then the reader was killed, and another reads
_CLOCKS_DIFFER = 600.0  # one five minutes fast, the other five minutes slow
# A limit that nobody has read yet may be lower than any number that we would take for safe: few requests until then,
# and soon a look at what was found. Only an account that has not told for long is taken for one that never does.
_WHILE_UNREAD = 10.0
_MEMORY_WHILE_UNREAD = 5.0
# Environments that start together wait a moment for the one that reads. Slots taken meanwhile would be far apart, and
# what comes after them, too.
_LOOKS_WHILE_READ = 20
_SECONDS_BETWEEN_LOOKS = 0.5


class _Knowledge(Enum):
    LIMIT = auto()
    BEING_READ = auto()  # for the first time
    NOT_READ = auto()


class AccountLimit:
    """One account's limit.

    Parameters
    ----------
    key : Key
        The limit's item: the account's for events, or for list merges.
    """

    def __init__(
        self,
        table: DeliveryTable,
        key: Key,
        *,
        timing: Timing,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._table = table
        self._key = key
        self._timing = timing
        self._clock = clock
        self._sleep = sleep
        self._lock = threading.Lock()
        self._knowledge = _Knowledge.NOT_READ
        self._limit: int | None = None
        self._lowering: Lowering | None = None
        self._good_until = 0.0
        self._to_be_read = False  # by another environment, which is about to

    @property
    def is_known(self) -> bool:
        """Whether it was read, or the account is known to name none."""
        return self._knowledge is _Knowledge.LIMIT

    def requests_per_minute(self, read: Callable[[], int | None], wanted: int | None = None) -> float:
        """Return what no minute of all our requests to the account exceeds.

        Parameters
        ----------
        read : callable
            Asks Responsys; called only where neither this environment nor another has asked in the last minutes.
        wanted : int or None
            The connector's ``requestsPerMinute``.
        """
        with self._lock:
            if self._clock() >= self._good_until:
                self._learn(read)
                for _ in range(_LOOKS_WHILE_READ):
                    if not self._to_be_read:
                        break
                    self._sleep(_SECONDS_BETWEEN_LOOKS)
                    self._learn(read)
                unread = self._to_be_read or not self.is_known
                memory = _MEMORY_WHILE_UNREAD if unread else self._timing.here(_MEMORY)
                self._good_until = self._clock() + memory
            pace = self._pace(wanted)
            return min(pace, max(1.0, pace * self._share()))

    def refused(self) -> None:
        """Use less of the limit at once, in all environments, and have it read again.

        For what the account refused although its limit allowed it. Refusals within a moment count as one.
        """
        with self._lock:
            try:
                item = self._table.read("account limit", self._key, consistent=True)
                lowering = self._after_refusal(self._lowering_of(item))
                if lowering and self._tell_lowering(lowering, item):
                    what = {"usedShare": round(lowering.share, 3), "minutesUntilRaised": lowering.hold}
                    told = {"budget": self._key.pk, "limit": self._limit, **what}
                    logger.warning("account refused what its limit allows, pace lowered", extra=told)
            except AwsCallError as exc:
                logger.warning("account limit not shared", extra={"fault": str(exc)})
                self._lowering = self._after_refusal(self._lowering) or self._lowering
            self._good_until = 0.0

    def _pace(self, wanted: int | None) -> float:
        match self._knowledge:
            case _Knowledge.LIMIT:
                return account_requests_per_minute(self._limit, wanted)
            case _Knowledge.BEING_READ:
                return min(_WHILE_UNREAD, wanted or _WHILE_UNREAD)
            case _Knowledge.NOT_READ:
                return wanted or _WHILE_UNREAD

    def _share(self) -> float:
        return self._lowering.share_at(self._clock(), self._timing.here(_MINUTE)) if self._lowering else 1.0

    def _after_refusal(self, before: Lowering | None) -> Lowering | None:
        """Return what a refusal comes to; ``None``: nothing, it is the same as before."""
        now = self._clock()
        if before is None:
            return lowered(now)
        if abs(now - before.since) < self._timing.here(_SAME_REFUSAL):
            return None
        return before.next(now, self._timing.here(_MINUTE))

    def _lowering_of(self, item: Item) -> Lowering | None:
        if "usedShare" not in item:
            return None
        share, since = float(item["usedShare"]["N"]), float(item["refusedAt"]["N"])
        if since > self._clock() + _CLOCKS_DIFFER:  # a wrong clock wrote it
            return None
        return Lowering(share, since, hold=int(item["holdMinutes"]["N"]))

    def _tell_lowering(self, lowering: Lowering, item: Item) -> bool:
        """Tell the others, and have the limit read, unless another has done so meanwhile."""
        seen = {":seen": item["refusedAt"]} if "refusedAt" in item else {}
        return self._table.update(
            "account limit",
            self._key,
            "SET usedShare = :share, refusedAt = :since, holdMinutes = :hold, readAgainAt = :since, toBeRead = :true",
            condition="refusedAt = :seen" if seen else "attribute_not_exists(refusedAt)",
            values={
                ":share": number(lowering.share),
                ":since": number(lowering.since),
                ":hold": {"N": str(lowering.hold)},
                ":true": {"BOOL": True},
                **seen,
            },
        ).done

    def _learn(self, read: Callable[[], int | None]) -> None:
        """Take the limit from the table, or from Responsys where it is time to, or the table is out of reach."""
        item: Item = {}
        try:
            item, our_turn = self._look()
        except AwsCallError as exc:
            logger.warning("account limit not shared", extra={"fault": str(exc)})
            our_turn = not self.is_known
        else:
            self._take(item)
        if our_turn:
            self._read(read, item)

    def _look(self) -> tuple[Item, bool]:
        """Return the item, and whether it is for us to ask Responsys."""
        item = self._table.read("account limit", self._key)
        now = self._clock()
        due = float(item["readAgainAt"]["N"]) if "readAgainAt" in item else now
        furthest = max(_READING_SECONDS, self._timing.here(_MAXIMUM_AGE_UNTOLD)) + _CLOCKS_DIFFER
        waits = now < due <= now + furthest  # further ahead, a wrong clock wrote it
        return item, not waits and self._take_turn(item, now)

    def _take(self, item: Item) -> None:
        self._lowering = self._lowering_of(item)
        self._to_be_read = "toBeRead" in item or ("perMinute" not in item and "unreadSince" not in item)
        if "perMinute" in item:
            self._knowledge, self._limit = _Knowledge.LIMIT, int(item["perMinute"]["N"]) or None
        elif "unreadSince" not in item:
            self._knowledge = _Knowledge.BEING_READ
        elif self._clock() - float(item["unreadSince"]["N"]) < self._timing.here(_PATIENCE):
            self._knowledge = _Knowledge.NOT_READ
        else:
            self._knowledge, self._limit = _Knowledge.LIMIT, None

    def _read(self, read: Callable[[], int | None], item: Item) -> None:
        """Ask Responsys, and tell the others. Whatever comes, a limit that is known stays in use."""
        known = self._limit if self.is_known else None
        self._to_be_read = False
        if self._knowledge is _Knowledge.BEING_READ:
            self._knowledge = _Knowledge.NOT_READ
        told = True
        try:
            limit = read()
        except RequestRefusedError as exc:  # nor will it tell the next time
            logger.warning("account limit not read", extra={"errorCode": exc.code})
            limit, told = known, False
        except (ThrottledError, UnavailableError) as exc:
            logger.warning("account limit not read", extra={"errorCode": exc.code})
            now = self._clock()
            self._tell(
                "SET readAgainAt = :again, unreadSince = if_not_exists(unreadSince, :now) REMOVE toBeRead",
                {":again": number(now + self._timing.here(_READ_AGAIN)), ":now": number(now)},
            )
            return
        except (LoginRefusedError, AwsCallError) as exc:
            self._tell("SET readAgainAt = :now", {":now": number(0.0)})  # Responsys was not asked: no turn was taken
            if isinstance(exc, LoginRefusedError):
                raise
            logger.warning("account limit not read", extra={"fault": str(exc)})
            return
        self._knowledge, self._limit = _Knowledge.LIMIT, limit
        changes, values = "SET readAgainAt = :again, perMinute = :limit", {":limit": {"N": str(limit or 0)}}
        if "perMinute" in item and item["perMinute"] != values[":limit"]:
            logger.info("account limit changed", extra={"budget": self._key.pk, "limit": limit, "before": known})
            if self._lowering:  # that explains the refusal
                self._lowering = replace(self._lowering, share=1.0)
                changes, values = f"{changes}, usedShare = :all", {**values, ":all": number(1.0)}
        self._tell(
            f"{changes} REMOVE toBeRead", {**values, ":again": number(self._clock() + self._maximum_age(told=told))}
        )

    def _maximum_age(self, *, told: bool) -> float:
        """Return for how long what was just read is used."""
        if not told:
            return self._timing.here(_MAXIMUM_AGE_UNTOLD)
        refused_at = self._lowering.since if self._lowering else -math.inf
        fresh = self._clock() - refused_at < self._timing.here(_FRESH) or self._share() < 1
        return self._timing.here(_MAXIMUM_AGE_AFTER_REFUSAL if fresh else _MAXIMUM_AGE)

    def _tell(self, changes: str, values: dict[str, Any]) -> None:
        try:
            self._table.update("account limit", self._key, changes, values=values)
        except AwsCallError as exc:
            logger.warning("account limit not shared", extra={"fault": str(exc)})

    def _take_turn(self, item: Item, now: float) -> bool:
        """Be the one environment that asks."""
        seen = {":seen": item["readAgainAt"]} if "readAgainAt" in item else {}
        return self._table.update(
            "account limit",
            self._key,
            "SET readAgainAt = :until",
            condition="readAgainAt = :seen" if seen else "attribute_not_exists(readAgainAt)",
            values={":until": number(now + _READING_SECONDS), **seen},
        ).done
