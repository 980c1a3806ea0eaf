"""What limit did the account name last? Shared in the delivery table, read from Responsys at most once an hour."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from responsys_activation.aws.faults import AwsUnavailableError, aws_call, error_code
from responsys_activation.observability import logger
from responsys_activation.responsys.errors import RequestRefusedError, ThrottledError, UnavailableError
from responsys_activation.responsys.rate_limit import own_requests_per_minute

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

__all__ = ["AccountLimit"]

_MAXIMUM_AGE = 3600.0
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
        self._limit = _DEFAULT
        self._good_until = 0.0

    def requests_per_minute(self, read: Callable[[], int | None]) -> float:
        """Give the share of the account's limit that is ours.

        Parameters
        ----------
        read : callable
            Asks Responsys; called only where neither this environment nor another has asked in the last hour.
        """
        if self._clock() >= self._good_until:
            try:
                self._limit = self._shared(read)
            except AwsUnavailableError as exc:
                logger.warning("account limit not shared", extra={"fault": str(exc)})
            self._good_until = self._clock() + _MAXIMUM_AGE / 12
        return self._limit

    def _shared(self, read: Callable[[], int | None]) -> float:
        now = self._clock()
        with aws_call("DynamoDB account limit"):
            item = self._client.get_item(TableName=self._table, Key=self._key).get("Item", {})
            known = float(item["perMinute"]["N"]) if "perMinute" in item else _DEFAULT
            if float(item.get("readAt", {"N": "0"})["N"]) > now - _MAXIMUM_AGE or not self._take_turn(now):
                return known
            try:
                limit = read()
            except (ThrottledError, UnavailableError, RequestRefusedError) as exc:
                logger.warning("account limit not read", extra={"errorCode": exc.code})
                return known
            ours = own_requests_per_minute(limit)
            self._client.update_item(
                TableName=self._table,
                Key=self._key,
                UpdateExpression="SET perMinute = :limit",
                ExpressionAttributeValues={":limit": {"N": str(ours)}},
            )
        return ours

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
