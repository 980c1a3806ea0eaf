"""What limit did the account name last? Shared in the delivery table, read from Responsys once an hour."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from enum import Enum, auto
from typing import Any

from responsys_activation.aws.delivery_table import DeliveryTable, Item, Key, number
from responsys_activation.aws.faults import AwsCallError
from responsys_activation.aws.slots import account_requests_per_minute
from responsys_activation.observability import logger
from responsys_activation.responsys.errors import (
    LoginRefusedError,
    RequestRefusedError,
    ThrottledError,
    UnavailableError,
)

__all__ = ["AccountLimit"]

_MAXIMUM_AGE = 3600.0
_READING_SECONDS = 60.0  # then the reader was killed, and another reads
_READ_AGAIN = 300.0  # seconds after a failure
_CLOCKS_DIFFER = 600.0  # seconds: one five minutes fast, the other five minutes slow
_MEMORY = 300.0  # seconds until the table is asked again
# A limit that nobody has read yet may be lower than any number that we would take for safe: few requests until then,
# and soon a look at what was found. Only an account that has not told for long is taken for one that never does.
_WHILE_UNREAD = 10.0
_MEMORY_WHILE_UNREAD = 5.0
# Environments that start together wait a moment for the one that reads. Slots taken meanwhile would be far apart, and
# what comes after them, too.
_LOOKS_WHILE_READ = 10
_SECONDS_BETWEEN_LOOKS = 0.5
_PATIENCE = 900.0  # seconds


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
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._table = table
        self._key = key
        self._clock = clock
        self._sleep = sleep
        self._lock = threading.Lock()
        self._knowledge = _Knowledge.NOT_READ
        self._limit: int | None = None
        self._good_until = 0.0

    @property
    def is_known(self) -> bool:
        """Whether it was read, or the account is known to name none."""
        return self._knowledge is _Knowledge.LIMIT

    def requests_per_minute(self, read: Callable[[], int | None], wanted: int | None = None) -> float:
        """Return what no minute of all our requests to the account exceeds.

        Parameters
        ----------
        read : callable
            Asks Responsys; called only where neither this environment nor another has asked in the last hour, or in
            the last minutes if that failed.
        wanted : int or None
            The connector's ``requestsPerMinute``.
        """
        with self._lock:
            if self._clock() >= self._good_until:
                self._learn(read)
                for _ in range(_LOOKS_WHILE_READ):
                    if self._knowledge is not _Knowledge.BEING_READ:
                        break
                    self._sleep(_SECONDS_BETWEEN_LOOKS)
                    self._learn(read)
                self._good_until = self._clock() + (_MEMORY if self.is_known else _MEMORY_WHILE_UNREAD)
            match self._knowledge:
                case _Knowledge.LIMIT:
                    return account_requests_per_minute(self._limit, wanted)
                case _Knowledge.BEING_READ:
                    return min(_WHILE_UNREAD, wanted or _WHILE_UNREAD)
                case _Knowledge.NOT_READ:
                    return wanted or _WHILE_UNREAD

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
        waits = now < due <= now + _MAXIMUM_AGE + _CLOCKS_DIFFER  # further ahead, a wrong clock wrote it
        return item, not waits and self._take_turn(item, now)

    def _take(self, item: Item) -> None:
        if "perMinute" in item:
            self._knowledge, self._limit = _Knowledge.LIMIT, int(item["perMinute"]["N"]) or None
        elif "unreadSince" not in item:
            self._knowledge = _Knowledge.BEING_READ
        elif self._clock() - float(item["unreadSince"]["N"]) < _PATIENCE:
            self._knowledge = _Knowledge.NOT_READ
        else:
            self._knowledge, self._limit = _Knowledge.LIMIT, None

    def _read(self, read: Callable[[], int | None], item: Item) -> None:
        """Ask Responsys, and tell the others. Whatever comes, a limit that is known stays in use."""
        known = self._limit if self.is_known else None
        if self._knowledge is _Knowledge.BEING_READ:
            self._knowledge = _Knowledge.NOT_READ
        try:
            limit = read()
        except RequestRefusedError as exc:  # nor will it tell the next time
            logger.warning("account limit not read", extra={"errorCode": exc.code})
            limit = known
        except (ThrottledError, UnavailableError) as exc:
            logger.warning("account limit not read", extra={"errorCode": exc.code})
            now = self._clock()
            self._tell(
                "SET readAgainAt = :again, unreadSince = if_not_exists(unreadSince, :now)",
                {":again": number(now + _READ_AGAIN), ":now": number(now)},
            )
            return
        except (LoginRefusedError, AwsCallError) as exc:
            self._tell("SET readAgainAt = :now", {":now": number(0.0)})  # Responsys was not asked: no turn was taken
            if isinstance(exc, LoginRefusedError):
                raise
            logger.warning("account limit not read", extra={"fault": str(exc)})
            return
        self._knowledge, self._limit = _Knowledge.LIMIT, limit
        self._tell(
            "SET readAgainAt = :again, perMinute = :limit",
            {":again": number(self._clock() + _MAXIMUM_AGE), ":limit": {"N": str(limit or 0)}},
        )

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
