"""How do newcomers reach the profile list, and what does Responsys say of each?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from responsys_activation.connector import Connector, IdentifierType
from responsys_activation.delivery.exchanges import Exchanges
from responsys_activation.delivery.pacing import Pacing
from responsys_activation.responsys.client import ResponsysClient
from responsys_activation.responsys.list_merge import ListMerge, MatchColumn, MergeResult

__all__ = ["MATCH_COLUMNS", "Merging"]

# Hashes stand for the address: the list derives them itself. Nobody can be added by a RIID.
MATCH_COLUMNS = {
    IdentifierType.EMAIL: MatchColumn.EMAIL_ADDRESS,
    IdentifierType.HASHED_EMAIL: MatchColumn.EMAIL_ADDRESS,
    IdentifierType.EMAIL_MD5: MatchColumn.EMAIL_ADDRESS,
    IdentifierType.CRM_ID: MatchColumn.CUSTOMER_ID,
    IdentifierType.MOBILE_NUMBER: MatchColumn.MOBILE_NUMBER,
}


class Merging(Exchanges):
    """One connector's list merges of one batch; the other parameters as for :class:`Exchanges`."""

    def __init__(
        self,
        request_id: str,
        deadline: float,
        *,
        connector: Connector,
        client: ResponsysClient,
        pacing: Pacing,
        reply_seconds: float,
        clock: Callable[[], float],
    ) -> None:
        super().__init__(request_id, deadline, returned=False, pacing=pacing, reply_seconds=reply_seconds, clock=clock)
        if connector.missing_recipients.permission is None:
            raise ValueError("settings that create say with which permission")
        self._permission = connector.missing_recipients.permission
        self._connector = connector
        self._responsys = client

    def post(self, values: Sequence[str], group: Sequence[int]) -> dict[int, MergeResult]:
        """Merge the values at some positions, and once more after a token error; raise a ``Failure`` of all."""
        reply = self._responsys.merge_list_members(
            ListMerge(
                self._connector.profile_list.name,
                MATCH_COLUMNS[self._connector.identifier_type],
                [values[position] for position in group],
                self._permission,
            ),
            deadline=self._deadline,
            attempt=partial(self._exchange, len(group)),
        )
        return dict(zip(group, reply.results, strict=True))
