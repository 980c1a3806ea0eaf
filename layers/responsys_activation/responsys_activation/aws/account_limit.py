"""What limit did the account name last? Shared in the delivery table, read from Responsys at most once an hour."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from responsys_activation.aws.faults import AwsUnavailableError, aws_call, error_code
from responsys_activation.observability import logger
from responsys_activation.responsys.errors import (
    LoginRefusedError,
    RequestRefusedError,
    ThrottledError,
    UnavailableError,
)
from responsys_activation.responsys.rate_limit import own_requests_per_minute

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

__all__ = ["AccountLimit"]

_MAXIMUM_AGE = 3600.0
_MEMORY = 300.0  # seconds until the table is asked again
# While another environment reads for the first time, the limit may be lower than the default: few requests, and soon
# a look at what it found.
_READING_SECONDS = 60.0
_WHILE_READING = 10.0
_MEMORY_WHILE_READING = 5.0
_DEFAULT = own_requests_per_minute(None)


class AccountLimit:
    """One connector's account limit."""

    def __init__(
        self, table: str, connector_name: str, client: DynamoDBClient, *, clock: Callable[[], float] = time.time
    ) -> None:
        self._table = table
        self._key = {"pk": {"S": f"connector#{connector_name}"}, "sk": {"S": "limit"}}
        self._client = client
        self._clock = clock
        self._lock = threading.Lock()
        self._limit = _DEFAULT
        self._good_until = 0.0

    def requests_per_minute(self, read: Callable[[], int | None]) -> float:
        """Give the share of the account's limit that is ours.

        Parameters
        ----------
        read : callable
            Asks Responsys; called only where neither this environment nor another has asked in the last hour.
        """
        with self._lock:
            if self._clock() >= self._good_until:
                memory = _MEMORY
                try:
                    self._limit, memory = self._shared(read)
                except AwsUnavailableError as exc:
                    logger.warning("account limit not shared", extra={"fault": str(exc)})
                self._good_until = self._clock() + memory
            return self._limit

    def _shared(self, read: Callable[[], int | None]) -> tuple[float, float]:
        """Give the limit, and for how many seconds it is good."""
        now = self._clock()
        with aws_call("DynamoDB account limit"):
            item = self._client.get_item(TableName=self._table, Key=self._key).get("Item", {})
            read_at = float(item.get("readAt", {"N": "0"})["N"])
            due = read_at <= now - _MAXIMUM_AGE
            if due and self._take_turn(now):
                return self._read(read, item), _MEMORY
        if "perMinute" not in item and (due or read_at > now - _READING_SECONDS):
            return _WHILE_READING, _MEMORY_WHILE_READING
        return _known(item), _MEMORY

    def _read(self, read: Callable[[], int | None], item: Mapping[str, Any]) -> float:
        try:
            ours = own_requests_per_minute(read())
        except (ThrottledError, UnavailableError, RequestRefusedError) as exc:
            logger.warning("account limit not read", extra={"errorCode": exc.code})
            ours = _known(item)
        except (LoginRefusedError, AwsUnavailableError):
            self._set("readAt", "0")  # Responsys was not asked: the turn was none
            raise
        self._set("perMinute", str(ours))
        return ours

    def _set(self, attribute: str, value: str) -> None:
        self._client.update_item(
            TableName=self._table,
            Key=self._key,
            UpdateExpression=f"SET {attribute} = :value",
            ExpressionAttributeValues={":value": {"N": value}},
        )

    def _take_turn(self, now: float) -> bool:
        """Be the one environment that asks; a failure waits an hour like a success."""
        try:
            self._client.update_item(
                TableName=self._table,
                Key=self._key,
                UpdateExpression="SET readAt = :now",
                ConditionExpression="attribute_not_exists(readAt) OR readAt <= :old",
                ExpressionAttributeValues={
                    ":now": {"N": f"{now:.3f}"},
                    ":old": {"N": f"{now - _MAXIMUM_AGE:.3f}"},
                },
            )
        except ClientError as exc:
            if error_code(exc) == "ConditionalCheckFailedException":
                return False
            raise
        return True


def _known(item: Mapping[str, Any]) -> float:
    return float(item["perMinute"]["N"]) if "perMinute" in item else _DEFAULT
