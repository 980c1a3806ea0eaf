"""May this environment log in? One item of the delivery table for each secret."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from responsys_activation.aws.faults import AwsUnavailableError, aws_call, error_code
from responsys_activation.observability import logger
from responsys_activation.responsys.session import RefusedLogin

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

__all__ = ["TableLoginGuard"]

_LEASE_SECONDS = 60.0  # longer than a login can take; a killed function blocks others no longer than this
_KEEP_SECONDS = 86_400


class TableLoginGuard:
    """Lease and memory of refusals of the logins with one secret, whichever connectors use it.

    A wrong password that ten connectors share must be tried once, not ten times. Without the table there is no
    login: never locking the account comes before going on.

    Attributes of the item: ``leaseOwner``, ``leaseUntil``, ``refusedCode``, ``refusedSecretVersion``,
    ``refusedUntil`` (epoch seconds), ``refusedByThrottle``, ``expiresAt``.
    """

    def __init__(
        self,
        table: str,
        secret_id: str,
        client: DynamoDBClient,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._table = table
        self._key = {"pk": {"S": f"secret#{secret_id}"}, "sk": {"S": "login"}}
        self._client = client
        self._clock = clock
        self._owner = uuid.uuid4().hex

    def refused(self) -> RefusedLogin | None:
        """Give the last refusal.

        Raises
        ------
        AwsUnavailableError
            DynamoDB did not answer.
        """
        with aws_call("DynamoDB read login state"):
            item = self._client.get_item(TableName=self._table, Key=self._key, ConsistentRead=True).get("Item", {})
        if "refusedUntil" not in item:
            return None
        return RefusedLogin(
            item["refusedCode"]["S"],
            item["refusedSecretVersion"]["S"],
            float(item["refusedUntil"]["N"]),
            item["refusedByThrottle"]["BOOL"],
        )

    def acquire(self) -> bool:
        """Take the lease; false while another environment holds it.

        Raises
        ------
        AwsUnavailableError
            DynamoDB did not answer.
        """
        now = self._clock()
        with aws_call("DynamoDB take login lease"):
            try:
                self._client.update_item(
                    TableName=self._table,
                    Key=self._key,
                    UpdateExpression="SET leaseOwner = :owner, leaseUntil = :until, expiresAt = :expires",
                    ConditionExpression="attribute_not_exists(leaseUntil) OR leaseUntil < :now OR leaseOwner = :owner",
                    ExpressionAttributeValues={
                        ":owner": {"S": self._owner},
                        ":until": {"N": f"{now + _LEASE_SECONDS:.3f}"},
                        ":now": {"N": f"{now:.3f}"},
                        ":expires": {"N": str(int(now + _KEEP_SECONDS))},
                    },
                )
            except ClientError as exc:
                if error_code(exc) == "ConditionalCheckFailedException":
                    return False
                raise
        return True

    def release(self, refused: RefusedLogin | None = None) -> None:
        """Give the lease back, and remember a refusal. If that fails, the lease itself holds others off."""
        expression = "REMOVE leaseUntil"
        values: dict[str, Any] = {":owner": {"S": self._owner}}
        if refused:
            expression += (
                " SET refusedCode = :code, refusedSecretVersion = :version, refusedUntil = :refusedUntil,"
                " refusedByThrottle = :throttled"
            )
            values |= {
                ":code": {"S": refused.code},
                ":version": {"S": refused.secret_version},
                ":refusedUntil": {"N": f"{refused.until:.3f}"},
                ":throttled": {"BOOL": refused.throttled},
            }
        try:
            with aws_call("DynamoDB release login lease"):
                self._client.update_item(
                    TableName=self._table,
                    Key=self._key,
                    UpdateExpression=expression,
                    ConditionExpression="leaseOwner = :owner",
                    ExpressionAttributeValues=values,
                )
        except AwsUnavailableError as exc:
            logger.warning("login lease not released", extra={"fault": str(exc)})
