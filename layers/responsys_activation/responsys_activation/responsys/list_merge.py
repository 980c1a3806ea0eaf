"""What do a list merge's request and its reply say? It adds to a profile list whom the list does not have.

Responsys calls it *Merge list members*, or *recipients*. Existing members are left as they are, so a merge whose reply
was lost can be made again.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Literal, NamedTuple

from responsys_activation.error_code import ErrorCode
from responsys_activation.responsys.errors import OutcomeUnknownError
from responsys_activation.responsys.events import recipient_error_code
from responsys_activation.responsys.http import Reply, raise_for_error

__all__ = [
    "MAXIMUM_RECORDS",
    "MERGE_FAILED",
    "MERGE_OF_NOBODY",
    "ListMerge",
    "MatchColumn",
    "MergeReply",
    "MergeResult",
    "PermissionStatus",
    "merge_body",
    "read_merge_reply",
]

MAXIMUM_RECORDS = 200  # RECORD_LIMIT_EXCEEDED beyond it
MERGE_FAILED = "MERGEFAILED"  # Responsys's word for a record that was not merged, where it gives no code
PermissionStatus = Literal["OPTIN", "OPTOUT"]

# As Oracle's reference shows it for a list, with a code, and as it was recorded for a table, without:
# "MERGEFAILED: Record 3 = INVALID_PARAMETER: The value …", "MERGEFAILED: Record 0 = The value …\r\n".
_FAILED = re.compile(r"\s*MERGE[ _]?FAILED\b\W*(?:Record\s+\d+\s*=)?", re.IGNORECASE)
_RIID_COLUMN = "RIID_"
_LARGEST_RIID = 2**63 - 1
_RIID = re.compile(r"0*([1-9][0-9]{0,18})(?:\.0+)?")


class MatchColumn(StrEnum):
    """By which column Responsys tells whether the list has somebody.

    Those by whose value somebody can be added: Responsys takes no new record by the hash of an e-mail address or by a
    RIID.
    """

    EMAIL_ADDRESS = "EMAIL_ADDRESS_"
    CUSTOMER_ID = "CUSTOMER_ID_"
    MOBILE_NUMBER = "MOBILE_NUMBER_"


class ListMerge(NamedTuple):
    """Whom to add to a list.

    Attributes
    ----------
    values : sequence of str
        Of the match column, one per record; at most 200, no two that mean the same member.
    permission : str
        Whether those added count as having opted in, or out.
    """

    list_name: str
    match_column: MatchColumn
    values: Sequence[str]
    permission: PermissionStatus


class MergeResult(NamedTuple):
    """What became of one record.

    Attributes
    ----------
    riid : int or None
        The member's RIID; ``None`` where Responsys names none that can be believed. Then the match value may find them.
    error_code : str or None
        Why it was not merged: Responsys's code, else ``MERGEFAILED``; ``None``: the list has the member now.
    """

    riid: int | None
    error_code: str | None = None


@dataclass(frozen=True, slots=True)
class MergeReply:
    """A reply with one result for each record.

    Attributes
    ----------
    results : list of MergeResult
        By position in the request.
    """

    results: list[MergeResult]
    status: int
    correlation_id: str

    @property
    def error_codes(self) -> list[str | None]:
        """By position in the request, as an event's reply has them."""
        return [result.error_code for result in self.results]


def merge_body(merge: ListMerge) -> bytes:
    """Write a merge's request; at most 200 records is the caller's care."""
    return _body(merge.match_column, merge.values, merge.permission, insert=True)


def _body(column: MatchColumn, values: Sequence[str], permission: PermissionStatus, *, insert: bool) -> bytes:
    body = {
        "recordData": {
            "fieldNames": [column.value],
            "records": [[value] for value in values],
            "mapTemplateName": None,
        },
        "mergeRule": {
            "insertOnNoMatch": insert,
            "updateOnMatch": "NO_UPDATE",
            "matchColumnName1": column.value,
            "matchColumnName2": None,
            "matchColumnName3": None,
            "matchOperator": "NONE",
            "optinValue": "I",
            "optoutValue": "O",
            "htmlValue": "H",
            "textValue": "T",
            "rejectRecordIfChannelEmpty": None,
            "defaultPermissionStatus": permission,
        },
    }
    return json.dumps(body, separators=(",", ":")).encode("ascii")


MERGE_OF_NOBODY = _body(MatchColumn.EMAIL_ADDRESS, ["connector-check@example.com"], "OPTOUT", insert=False)
"""A merge that by its own rule neither inserts nor updates: whether it is refused tells whether a real one would be."""


def read_merge_reply(reply: Reply, values: Sequence[str]) -> MergeReply:
    """Read the reply to a merge of these values.

    Raises
    ------
    ResponsysError
        The request did not succeed as a whole. A reply that is not one record for each of ours is an
        :class:`OutcomeUnknownError`: results are by position.
    """
    raise_for_error(reply)
    data = reply.document.get("recordData") if isinstance(reply.document, dict) else None
    records = data.get("records") if isinstance(data, dict) else None
    if not isinstance(data, dict) or not isinstance(records, list) or len(records) != len(values):
        title = "reply is not one record for each of the request"
        raise OutcomeUnknownError(
            ErrorCode.OTHER_ERROR, title=title, status=reply.status, correlation_id=reply.correlation_id
        )
    column = _riid_column(data.get("fieldNames"))
    results = [_result(_cells(record), column, value) for record, value in zip(records, values, strict=True)]
    return MergeReply(_without_shared_riids(results), reply.status, reply.correlation_id)


def _riid_column(field_names: Any) -> int | None:
    """Return where the RIIDs are; ``None``: nowhere. A table's merge echoes what was sent, which may be digits too."""
    names = [str(name).strip().upper() for name in field_names] if isinstance(field_names, list) else []
    return names.index(_RIID_COLUMN) if _RIID_COLUMN in names else None


def _cells(record: Any) -> list[Any]:
    return record if isinstance(record, list) else [record]


def _result(cells: list[Any], column: int | None, value: str) -> MergeResult:
    for cell in cells:
        if isinstance(cell, str) and (failed := _FAILED.match(cell)):
            code = recipient_error_code(cell[failed.end() :], value)
            return MergeResult(None, MERGE_FAILED if code == ErrorCode.OTHER_ERROR else code)
    return MergeResult(_riid(cells[column]) if column is not None and column < len(cells) else None)


def _riid(cell: Any) -> int | None:
    """Read a RIID, which comes as text; whatever is none says nothing about the member."""
    if isinstance(cell, bool) or not isinstance(cell, str | int | float):
        return None
    number = _RIID.fullmatch(str(cell).strip())
    riid = int(number[1]) if number else 0
    return riid if 0 < riid <= _LARGEST_RIID else None


def _without_shared_riids(results: list[MergeResult]) -> list[MergeResult]:
    """Believe no RIID that two records have: an event would reach the same member twice, or somebody else."""
    times = Counter(result.riid for result in results)
    return [result if times[result.riid] == 1 else result._replace(riid=None) for result in results]
