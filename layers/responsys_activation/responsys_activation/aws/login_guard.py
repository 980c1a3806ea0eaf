"""May this environment log in, and what do all remember of logins? One item of the delivery table for each user."""

from __future__ import annotations

import hashlib
import time
import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError
from pydantic import TypeAdapter, ValidationError

from responsys_activation.aws.faults import AwsUnavailableError, aws_call, error_code
from responsys_activation.observability import logger
from responsys_activation.responsys.login_memory import LoginMemory
from responsys_activation.responsys.token import Lesson

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import AttributeValueTypeDef

__all__ = ["LEASE_SECONDS", "TableLoginGuard"]

LEASE_SECONDS = 90.0  # longer than a login can take; a killed function blocks others no longer than this
_MEMORY: TypeAdapter[LoginMemory] = TypeAdapter(LoginMemory)
_WRITES = 20  # each fails only because another environment wrote in between


class TableLoginGuard:
    """Lease and memory of one user's logins at one host, whichever connectors and secrets lead to it.

    A wrong password that ten secrets hold must be tried once, not ten times. Without the table there is no login: never
    locking the user comes before going on.

    Attributes of the item: ``leaseOwner``, ``leaseUntil`` (epoch seconds), ``loginMemory`` (JSON), ``rememberedBy``. It
    does not expire, for a wrong password does not get right by itself; host and user are in its key as a hash.

    Parameters
    ----------
    host : str
        Base URL of the login host.
    user : str
        :attr:`~responsys_activation.responsys.login.Credentials.user`.
    """

    def __init__(
        self,
        table: str,
        host: str,
        user: str,
        client: DynamoDBClient,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        digest = hashlib.blake2b(f"{host}\n{user}".encode(), digest_size=16).hexdigest()
        self._table = table
        self._key: dict[str, AttributeValueTypeDef] = {"pk": {"S": f"login#{digest}"}, "sk": {"S": "login"}}
        self._client = client
        self._clock = clock
        self._owner = uuid.uuid4().hex

    def memory(self) -> LoginMemory:
        """Give what is remembered.

        Raises
        ------
        AwsUnavailableError
            DynamoDB did not answer.
        """
        with aws_call("DynamoDB read login memory"):
            return _memory(self._item())

    def acquire(self) -> bool:
        """Take the lease; false while another environment holds it.

        Raises
        ------
        AwsUnavailableError
            DynamoDB did not answer.
        """
        now = self._clock()
        with aws_call("DynamoDB take login lease"):
            return self._update(
                "SET leaseOwner = :owner, leaseUntil = :until",
                "attribute_not_exists(leaseUntil) OR leaseUntil < :now OR leaseOwner = :owner",
                {
                    ":owner": {"S": self._owner},
                    ":until": {"N": f"{now + LEASE_SECONDS:.3f}"},
                    ":now": {"N": f"{now:.3f}"},
                },
            )

    def end(self, lesson: Lesson | None = None) -> None:
        """Remember what the login came to, and give the lease back if it is still ours.

        A login that took longer than its lease is remembered all the same. If that fails, what is left of the lease
        holds others off.
        """
        try:
            with aws_call("DynamoDB remember login"):
                self._remember(lesson)
        except AwsUnavailableError as exc:
            logger.error("login not remembered", extra={"fault": str(exc), "lost": lesson is not None})

    def forget(self) -> None:
        """Forget all logins, as a person wants who knows that the next one succeeds.

        Raises
        ------
        AwsUnavailableError
            DynamoDB did not answer.
        """
        with aws_call("DynamoDB forget logins"):
            self._client.update_item(TableName=self._table, Key=self._key, UpdateExpression="REMOVE loginMemory")

    def _remember(self, lesson: Lesson | None) -> None:
        """Write only over what was read, and read again where another environment wrote in between."""
        learnt = ""
        for _ in range(_WRITES):
            item = self._item()
            if item.get("rememberedBy") == {"S": self._owner} and item.get("loginMemory") == {"S": learnt}:
                return  # it was written, and only the reply got lost
            changes, conditions, values = [], [], {":owner": {"S": self._owner}}
            alone = item.get("leaseOwner") == values[":owner"]
            if lesson:
                learnt = _MEMORY.dump_json(lesson(_memory(item), alone)).decode()
                changes.append("SET loginMemory = :learnt, rememberedBy = :owner")
                values[":learnt"] = {"S": learnt}
                if "loginMemory" in item:
                    conditions.append("loginMemory = :read")
                    values[":read"] = item["loginMemory"]
                else:
                    conditions.append("attribute_not_exists(loginMemory)")
            if alone:
                changes.append("REMOVE leaseUntil")
                conditions.append("leaseOwner = :owner")
            if not changes or self._update(" ".join(changes), " AND ".join(conditions), values):
                return
        raise AwsUnavailableError("DynamoDB remember login: others wrote each time")

    def _item(self) -> dict[str, Any]:
        return dict(self._client.get_item(TableName=self._table, Key=self._key, ConsistentRead=True).get("Item", {}))

    def _update(self, changes: str, condition: str, values: dict[str, Any]) -> bool:
        try:
            self._client.update_item(
                TableName=self._table,
                Key=self._key,
                UpdateExpression=changes,
                ConditionExpression=condition,
                ExpressionAttributeValues=values,
            )
        except ClientError as exc:
            if error_code(exc) == "ConditionalCheckFailedException":
                return False
            raise
        return True


def _memory(item: dict[str, Any]) -> LoginMemory:
    if "loginMemory" not in item:
        return LoginMemory()
    try:
        return _MEMORY.validate_json(item["loginMemory"]["S"])
    except ValidationError as exc:
        raise AwsUnavailableError("DynamoDB read login memory: not in its form") from exc
