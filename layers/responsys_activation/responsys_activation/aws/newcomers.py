"""Which environment adds a newcomer to a profile list? One item of the delivery table for each, written on a condition.

Two merges of one newcomer at the same moment could both find nobody, and add two members. So a newcomer is taken for
longer than Responsys may work at a merge, and than events may need to find who was merged.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from responsys_activation.aws.delivery_table import STATEMENTS, DeliveryTable, Key, chunks
from responsys_activation.observability import logger

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.type_defs import BatchStatementRequestTypeDef

__all__ = ["Newcomers"]

_TAKEN_SECONDS = 900.0
_KEPT_SECONDS = 86_400  # until ``expiresAt``
_STANDS = frozenset({"ConditionalCheckFailed", "DuplicateItem"})


class Newcomers:
    """Takes newcomers for one environment at a time.

    Parameters
    ----------
    time_scale : float
        Divides the time for which one is taken; 1 but on the local stack.
    """

    def __init__(
        self, table: DeliveryTable, *, time_scale: float = 1.0, clock: Callable[[], float] = time.time
    ) -> None:
        self._table = table
        self._taken_seconds = _TAKEN_SECONDS / time_scale
        self._clock = clock
        self._insert = (
            f'INSERT INTO "{table.name}" VALUE'
            " {{'pk': '{}', 'sk': '{}', 'owner': '{}', 'until': {:.3f}, 'expiresAt': {}}}"
        ).format
        changed = 'SET "owner"=? SET "until"=? SET "expiresAt"=?'
        self._take_over = f'UPDATE "{table.name}" {changed} WHERE "pk"=? AND "sk"=? AND "owner"=? AND "until"=?'
        freed = 'SET "until"=?'
        self._release = f'UPDATE "{table.name}" {freed} WHERE "pk"=? AND "sk"=? AND "owner"=?'

    def take(self, newcomers: Sequence[Key], owner: str) -> list[bool]:
        """Take newcomers that nobody else has, or had and let lie.

        Parameters
        ----------
        newcomers : sequence of Key
            All different; see :func:`~responsys_activation.aws.delivery_table.newcomer_key`.
        owner : str
            Hexadecimal; another one each time.

        Returns
        -------
        list of bool
            By position, whether it is ours to add now.

        Raises
        ------
        AwsCallError
            DynamoDB did not answer, or refused the call.
        """
        until, expires_at = self._clock() + self._taken_seconds, int(self._clock()) + _KEPT_SECONDS
        codes = self._execute(
            [{"Statement": self._insert(*newcomer, owner, until, expires_at)} for newcomer in newcomers]
        )
        standing = {newcomer for newcomer, code in zip(newcomers, codes, strict=True) if code in _STANDS}
        items = self._table.read_all("read newcomers", sorted(standing))
        lying = [key for key, item in items.items() if float(item["until"]["N"]) <= self._clock()]
        taken = {newcomer for newcomer, code in zip(newcomers, codes, strict=True) if code is None}
        # A call whose first answer was lost is made twice: what stands may be ours.
        taken |= {key for key, item in items.items() if item["owner"]["S"] == owner}
        again = self._execute(
            [
                {
                    "Statement": self._take_over,
                    "Parameters": [
                        {"S": owner},
                        {"N": f"{until:.3f}"},
                        {"N": str(expires_at)},
                        {"S": key.pk},
                        {"S": key.sk},
                        items[key]["owner"],
                        items[key]["until"],
                    ],
                }
                for key in lying
            ]
        )
        taken |= {key for key, code in zip(lying, again, strict=True) if code is None}
        return [newcomer in taken for newcomer in newcomers]

    def release(self, newcomers: Sequence[Key], owner: str) -> None:
        """Let others try at once whom Responsys certainly did not add.

        Raises
        ------
        AwsCallError
            As for :meth:`take`: they can be taken when their time is past.
        """
        self._execute(
            [
                {
                    "Statement": self._release,
                    "Parameters": [{"N": "0"}, {"S": newcomer.pk}, {"S": newcomer.sk}, {"S": owner}],
                }
                for newcomer in newcomers
            ]
        )

    def _execute(self, statements: Sequence[BatchStatementRequestTypeDef]) -> list[str | None]:
        codes: list[str | None] = []
        for chunk in chunks(statements, STATEMENTS):
            codes += self._table.execute("take newcomers", chunk)
        if unforeseen := {code for code in codes if code} - _STANDS:
            logger.warning("newcomers not taken", extra={"fault": ", ".join(sorted(unforeseen))})
        return codes
