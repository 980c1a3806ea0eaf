"""What becomes of each record of a well-formed list merge?"""

import re
from collections import Counter
from typing import NamedTuple

from tests.simulator.event_request import Identifier, invalid_record
from tests.simulator.list_members import KINDS, Action, ListMembers, identifiers_of
from tests.simulator.merge_request import ListMerge
from tests.simulator.recipient_results import stable_recipient_id
from tests.simulator.settings import AccountSettings

E_MAIL = re.compile(r"[^@\s]+@[^@\s]+")
COLUMN_SIZES = {"CUSTOMER_ID_": 255, "EMAIL_ADDRESS_": 500, "MOBILE_NUMBER_": 50}


class Merged(NamedTuple):
    """What Responsys did with one record.

    Attributes
    ----------
    cell : str or None
        What its reply says in the column RIID_.
    """

    cell: str | None
    inserted: bool = False

    @property
    def failed(self) -> bool:
        """Whether the record was not taken."""
        return (self.cell or "").startswith("MERGEFAILED")


class Merging:
    """One request's way into a list.

    Parameters
    ----------
    members : ListMembers
        Gets those that are inserted or updated.
    """

    def __init__(
        self, merge: ListMerge, account: AccountSettings, list_name: str, members: ListMembers, request_id: str | None
    ) -> None:
        self._merge = merge
        self._rule = merge.rule
        self._account = account
        self._list_name = list_name
        self._members = members
        self._request_id = request_id

    def run(self) -> list[Merged]:
        """Merge the records in order, or none.

        Raises
        ------
        RequestRefusedError
            One of them spoils the whole request.
        """
        for position, record in enumerate(self._merge.records):
            self._refuse_for(position, record)
        times = Counter(self._match_key(record) for record in self._merge.records)
        return [
            self._merge_one(position, record, repeated=times[self._match_key(record)] > 1)
            for position, record in enumerate(self._merge.records)
        ]

    def _refuse_for(self, position: int, record: dict[str, str | None]) -> None:
        address = record.get("EMAIL_ADDRESS_") or ""
        if address.strip() and not E_MAIL.fullmatch(address.strip()):
            raise invalid_record(position, "Bad Email Format", self._account.replies)
        if any(self._account.recipients.merge_invalid.holds(value) for value in record.values() if value):
            raise invalid_record(position, "value is not valid", self._account.replies)

    def _match_key(self, record: dict[str, str | None]) -> tuple[str, ...]:
        return tuple(identifier.key for identifier in self._match_identifiers(record))

    def _match_identifiers(self, record: dict[str, str | None]) -> list[Identifier]:
        return [Identifier(KINDS[column], record[column] or "") for column in self._rule.match_columns]

    def _merge_one(self, position: int, record: dict[str, str | None], *, repeated: bool) -> Merged:
        if reason := self._why_not(record, repeated=repeated):
            number = position + self._account.replies.first_record_number
            return Merged(f"MERGEFAILED: Record {number} = {reason}\r\n")
        identifiers = self._match_identifiers(record)
        updates = self._rule.update_on_match == "REPLACE_ALL"
        if (recipient_id := self._matched(identifiers)) is not None:
            if updates:
                self._write("updated", recipient_id, record)
            named = updates or self._account.replies.match_names_riid
            return Merged(str(recipient_id) if named else None)
        recipient_id = stable_recipient_id(identifiers[0])
        self._write("inserted", recipient_id, record)
        return Merged(str(recipient_id), inserted=True)

    def _why_not(self, record: dict[str, str | None], *, repeated: bool) -> str | None:
        for column in self._rule.match_columns:
            if not (record[column] or "").strip():
                return f"{column} is empty"
        riid = record.get("RIID_")
        if riid is not None and not riid.isdecimal():
            return f"INVALID_PARAMETER: The value {riid} is not valid for the field type INTEGER"
        for column, value in record.items():
            if value and len(value) > COLUMN_SIZES.get(column, 500):
                return f"The value for {column} is too long"
        for value in filter(None, record.values()):
            if self._account.recipients.merge_failing.holds(value):
                return self._account.recipients.merge_failure_text.replace("{value}", value)
        if repeated:
            return "The record is there more than once"
        cannot_insert = not self._rule.insert_on_no_match or "RIID_" in self._rule.match_columns
        if cannot_insert and self._matched(self._match_identifiers(record)) is None:
            return "No matching record"
        return None

    def _matched(self, identifiers: list[Identifier]) -> int | None:
        """Return the RIID of the member that all identifiers match."""
        found = [self._riid(identifier) for identifier in identifiers]
        return None if None in found else found[0]

    def _riid(self, identifier: Identifier) -> int | None:
        newcomer = self._members.find(self._account.username, self._list_name, identifier)
        if newcomer is not None:
            return newcomer.recipient_id
        column = next(column for column, kind in KINDS.items() if kind == identifier.kind)
        known_as = identifiers_of({column: identifier.value})
        if any(self._account.recipients.unknown.holds(each.value) for each in known_as):
            return None
        return stable_recipient_id(identifier)

    def _write(self, action: Action, recipient_id: int, record: dict[str, str | None]) -> None:
        self._members.write(
            self._account.username,
            self._list_name,
            action,
            recipient_id=recipient_id,
            record=record,
            permission=self._rule.default_permission_status,
            request_id=self._request_id,
        )
