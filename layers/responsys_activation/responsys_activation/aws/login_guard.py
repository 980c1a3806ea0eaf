"""May this environment log in, and what do all remember of logins? One item of the delivery table for each user."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable

from pydantic import TypeAdapter, ValidationError

from responsys_activation.aws.delivery_table import DeliveryTable, Item, login_key, number
from responsys_activation.aws.faults import AwsCallError
from responsys_activation.observability import logger
from responsys_activation.responsys.login_memory import LoginMemory
from responsys_activation.responsys.token import Lesson

__all__ = ["LEASE_SECONDS", "TableLoginGuard"]

LEASE_SECONDS = 90.0  # longer than a login can take; a killed function blocks others no longer than this
_MEMORY: TypeAdapter[LoginMemory] = TypeAdapter(LoginMemory)
_REMEMBER = "remember login"
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

    def __init__(self, table: DeliveryTable, host: str, user: str, *, clock: Callable[[], float] = time.time) -> None:
        self._table = table
        self._key = login_key(host, user)
        self._clock = clock
        self._owner = uuid.uuid4().hex

    def memory(self) -> LoginMemory:
        """Return what is remembered.

        Raises
        ------
        AwsCallError
            DynamoDB refused or did not answer.
        """
        return _memory(self._table.read("read login memory", self._key, consistent=True))

    def acquire(self) -> bool:
        """Take the lease; false while another environment holds it.

        Raises
        ------
        AwsCallError
            DynamoDB refused or did not answer.
        """
        now = self._clock()
        return self._table.update(
            "take login lease",
            self._key,
            "SET leaseOwner = :owner, leaseUntil = :until",
            condition="attribute_not_exists(leaseUntil) OR leaseUntil < :now OR leaseOwner = :owner",
            values={":owner": {"S": self._owner}, ":until": number(now + LEASE_SECONDS), ":now": number(now)},
        ).done

    def end(self, lesson: Lesson | None = None) -> None:
        """Remember what the login came to, and give the lease back if it is still ours.

        A login that took longer than its lease is remembered all the same. If that fails, what is left of the lease
        holds others off.
        """
        try:
            self._remember(lesson)
        except AwsCallError as exc:
            logger.error("login not remembered", extra={"fault": str(exc), "lost": lesson is not None})

    def forget(self) -> None:
        """Forget all logins, as a person wants who knows that the next one succeeds.

        Raises
        ------
        AwsCallError
            DynamoDB refused or did not answer.
        """
        self._table.update("forget logins", self._key, "REMOVE loginMemory")

    def _remember(self, lesson: Lesson | None) -> None:
        """Write only over what was read, and read again where another environment wrote in between."""
        learnt = ""
        for _ in range(_WRITES):
            item = self._table.read(_REMEMBER, self._key, consistent=True)
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
            if not changes:
                return
            condition = " AND ".join(conditions)
            if self._table.update(_REMEMBER, self._key, " ".join(changes), condition=condition, values=values).done:
                return
        raise AwsCallError(f"DynamoDB {_REMEMBER}: others wrote each time")


def _memory(item: Item) -> LoginMemory:
    if "loginMemory" not in item:
        return LoginMemory()
    try:
        return _MEMORY.validate_json(item["loginMemory"]["S"])
    except ValidationError as exc:
        raise AwsCallError("DynamoDB read login memory: not in its form") from exc
