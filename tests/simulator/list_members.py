"""Who was added to the profile lists by merges, and whom do events find of them?

Everybody else is on the lists from the beginning, or set as unknown.
"""

from collections.abc import Iterator
from hashlib import md5, sha256
from typing import Literal

from tests.simulator.clock import SimulatedClock
from tests.simulator.event_request import Identifier
from tests.simulator.json_model import JsonModel
from tests.simulator.settings import Newcomers

PermissionStatus = Literal["OPTIN", "OPTOUT"]
Action = Literal["inserted", "updated"]

# What identifies a recipient, by the column that holds it.
KINDS = {
    "RIID_": "recipientId",
    "CUSTOMER_ID_": "customerId",
    "EMAIL_ADDRESS_": "emailAddress",
    "MOBILE_NUMBER_": "mobileNumber",
    "EMAIL_MD5_HASH_": "emailMD5Hash",
    "EMAIL_SHA256_HASH_": "emailSHA256Hash",
}


class MergedMember(JsonModel):
    """What a merge wrote about one member; a match that is not updated leaves nothing.

    `permission` is that of the whole request, and counts for those who were inserted.
    """

    account: str
    list_name: str
    action: Action
    recipient_id: int
    record: dict[str, str | None]
    permission: PermissionStatus
    request_id: str | None
    merged_at: float
    """In simulated seconds, as the control call `clock` tells them."""


def identifiers_of(record: dict[str, str | None], recipient_id: int | None = None) -> list[Identifier]:
    """Return all by which the member of a record is found, the hashes of the e-mail address too."""
    found = [Identifier(KINDS[column], value) for column, value in record.items() if column in KINDS and value]
    for kind, address in list(found):
        if kind == "emailAddress":
            normalised = address.strip().lower().encode()
            found.append(Identifier("emailSHA256Hash", sha256(normalised).hexdigest()))
            found.append(Identifier("emailMD5Hash", md5(normalised, usedforsecurity=False).hexdigest()))
    if recipient_id is not None:
        found.append(Identifier("recipientId", str(recipient_id)))
    return found


class ListMembers:
    """All that merges wrote, and those whom they inserted by everything that identifies them."""

    def __init__(self, clock: SimulatedClock) -> None:
        self._clock = clock
        self._merged: list[MergedMember] = []
        self._inserted: dict[tuple[str, str, str], MergedMember] = {}

    def write(
        self,
        account: str,
        list_name: str,
        action: Action,
        *,
        recipient_id: int,
        record: dict[str, str | None],
        permission: PermissionStatus,
        request_id: str | None,
    ) -> None:
        """Keep what a merge wrote."""
        member = MergedMember(
            account=account,
            list_name=list_name,
            action=action,
            recipient_id=recipient_id,
            record=record,
            permission=permission,
            request_id=request_id,
            merged_at=self._clock.now(),
        )
        self._merged.append(member)
        if action == "inserted":
            for identifier in identifiers_of(record, recipient_id):
                self._inserted[account, list_name, identifier.key] = member

    def find(self, account: str, list_name: str, identifier: Identifier) -> MergedMember | None:
        """Return the member that a merge inserted, as another merge finds it: at once."""
        return self._inserted.get((account, list_name, identifier.key))

    def hidden(self, member: MergedMember, identifier: Identifier, newcomers: Newcomers) -> bool:
        """Return whether events do not find a member by an identifier yet."""
        if identifier.kind == "recipientId" and newcomers.by_riid_at_once:
            return False
        return self._clock.now() < member.merged_at + newcomers.visible_after_seconds

    def merged(self, account: str | None = None) -> Iterator[MergedMember]:
        """Return what merges wrote, in that order."""
        return (member for member in self._merged if account in (None, member.account))
