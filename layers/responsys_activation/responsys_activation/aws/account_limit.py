"""What limit did the account name last? Shared in the delivery table, read from Responsys once an hour."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from enum import Enum, auto
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from responsys_activation.aws.faults import AwsUnavailableError, aws_call, error_code
from responsys_activation.aws.slots import account_requests_per_minute
from responsys_activation.observability import logger
from responsys_activation.responsys.errors import (
    LoginRefusedError,
    RequestRefusedError,
    ThrottledError,
    UnavailableError,
)

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

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
_PATIENCE = 900.0  # seconds


class _Knowledge(Enum):
    LIMIT = auto()
    BEING_READ = auto()  # for the first time
    NOT_READ = auto()


class AccountLimit:
    """One account's limit.

    Parameters
    ----------
    owner : str
        Whose limit it is: the item's partition key.
    """

    def __init__(
        self, table: str, owner: str, client: DynamoDBClient, *, clock: Callable[[], float] = time.time
    ) -> None:
        self._table = table
        self._key = {"pk": {"S": owner}, "sk": {"S": "limit"}}
        self._client = client
        self._clock = clock
        self._lock = threading.Lock()
        self._knowledge = _Knowledge.NOT_READ
        self._limit: int | None = None
        self._good_until = 0.0

    @property
    def is_known(self) -> bool:
        """Whether it was read, or the account is known to name none."""
        return self._knowledge is _Knowledge.LIMIT

    def requests_per_minute(self, read: Callable[[], int | None], wanted: int | None = None) -> float:
        """Give what no minute of all our requests to the account exceeds.

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
        item: Mapping[str, Any] = {}
        try:
            item, our_turn = self._look()
        except AwsUnavailableError as exc:
            logger.warning("account limit not shared", extra={"fault": str(exc)})
            our_turn = not self.is_known
        else:
            self._take(item)
        if our_turn:
            self._read(read, item)

    def _look(self) -> tuple[Mapping[str, Any], bool]:
        """Give the item, and whether it is for us to ask Responsys."""
        with aws_call("DynamoDB account limit"):
            item = self._client.get_item(TableName=self._table, Key=self._key).get("Item", {})
            now = self._clock()
            due = float(item["readAgainAt"]["N"]) if "readAgainAt" in item else now
            waits = now < due <= now + _MAXIMUM_AGE + _CLOCKS_DIFFER  # further ahead, a wrong clock wrote it
            return item, not waits and self._take_turn(item, now)

    def _take(self, item: Mapping[str, Any]) -> None:
        if "perMinute" in item:
            self._knowledge, self._limit = _Knowledge.LIMIT, int(item["perMinute"]["N"]) or None
        elif "unreadSince" not in item:
            self._knowledge = _Knowledge.BEING_READ
        elif self._clock() - float(item["unreadSince"]["N"]) < _PATIENCE:
            self._knowledge = _Knowledge.NOT_READ
        else:
            self._knowledge, self._limit = _Knowledge.LIMIT, None

    def _read(self, read: Callable[[], int | None], item: Mapping[str, Any]) -> None:
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
                {":again": _number(now + _READ_AGAIN), ":now": _number(now)},
            )
            return
        except (LoginRefusedError, AwsUnavailableError) as exc:
            self._tell("SET readAgainAt = :now", {":now": _number(0.0)})  # Responsys was not asked: no turn was taken
            if isinstance(exc, LoginRefusedError):
                raise
            logger.warning("account limit not read", extra={"fault": str(exc)})
            return
        self._knowledge, self._limit = _Knowledge.LIMIT, limit
        self._tell(
            "SET readAgainAt = :again, perMinute = :limit",
            {":again": _number(self._clock() + _MAXIMUM_AGE), ":limit": {"N": str(limit or 0)}},
        )

    def _tell(self, expression: str, values: dict[str, Any]) -> None:
        try:
            with aws_call("DynamoDB account limit"):
                self._client.update_item(
                    TableName=self._table,
                    Key=self._key,
                    UpdateExpression=expression,
                    ExpressionAttributeValues=values,
                )
        except AwsUnavailableError as exc:
            logger.warning("account limit not shared", extra={"fault": str(exc)})

    def _take_turn(self, item: Mapping[str, Any], now: float) -> bool:
        """Be the one environment that asks."""
        seen = {":seen": item["readAgainAt"]} if "readAgainAt" in item else {}
        try:
            self._client.update_item(
                TableName=self._table,
                Key=self._key,
                UpdateExpression="SET readAgainAt = :until",
                ConditionExpression="readAgainAt = :seen" if seen else "attribute_not_exists(readAgainAt)",
                ExpressionAttributeValues={":until": _number(now + _READING_SECONDS), **seen},
            )
        except ClientError as exc:
            if error_code(exc) == "ConditionalCheckFailedException":
                return False
            raise
        return True


def _number(value: float) -> dict[str, str]:
    return {"N": f"{value:.3f}"}
