"""What does Responsys get for a membership?

Pure mapping. The JSON is ASCII (Responsys refuses raw non-ASCII), so the length of a text is its size in bytes. It is
written as text directly: every message comes through here, and an encoder for objects costs three times as much.
"""

from __future__ import annotations

import json
from functools import lru_cache
from json.encoder import encode_basestring_ascii as _ascii
from typing import Any, NamedTuple

from responsys_activation.connector import Connector
from responsys_activation.error_code import ErrorCode
from responsys_activation.json_text import JsonNumber, Repeated, compact_json
from responsys_activation.membership import Membership
from responsys_activation.moment import as_iso_8601
from responsys_activation.recipient import NoIdentifierError, find_recipient
from responsys_activation.responsys.events import MAXIMUM_REQUEST_BYTES
from responsys_activation.upstream.addressing import addressed, event_name
from responsys_activation.upstream.memberships import Part

__all__ = ["CustomEvent", "UnmappableError", "addressed_by_riid", "custom_event"]

_LIST_NAME = ',"listName":'
_LONGEST_KNOWN_NAME = 100  # characters: what is remembered must not fill the memory


class UnmappableError(ValueError):
    """The membership cannot become a custom event of this connector.

    Attributes
    ----------
    error_code : ErrorCode
        ``NO_IDENTIFIER``, ``NO_EVENT_NAME`` or ``INVALID_MESSAGE``.
    """

    def __init__(self, error_code: ErrorCode, reason: str) -> None:
        super().__init__(reason)
        self.error_code = error_code


class CustomEvent(NamedTuple):
    """One recipient's part of a request.

    Attributes
    ----------
    recipient : str
        Equal for two events that reach the same recipient; such two never share a request.
    recipient_json : str
        The element of ``recipientData``, ASCII.
    variables_overridden : int
        Variables left out because ``profileId``, ``callType``, the ``occurredAt`` of a connector that sends it, or an
        earlier variable has the same name.
    system_columns : int
        Variables sent that are named like a system column of Responsys, such as ``EMAIL_ADDRESS_``: Oracle warns that
        a request with one may process wrong data.
    """

    event_name: str
    recipient: str
    recipient_json: str
    variables_overridden: int
    system_columns: int = 0


def custom_event(part: Part, name: str, connector: Connector, happened_at: float | None = None) -> CustomEvent:
    """Map a membership to a connector's custom event.

    Parameters
    ----------
    name : str
        The connector's.
    happened_at : float or None
        Epoch seconds of the change, for a connector that sends them as ``occurredAt``; ``None``: the membership's own
        time, or no such property if it has none.

    Raises
    ------
    UnmappableError
        No usable identifier of the connector's type, no event name, or a variable that Responsys cannot take.
    """
    event = event_name(part, name, connector)
    if event is None:
        raise UnmappableError(ErrorCode.NO_EVENT_NAME, _why_unnamed(part, name))
    membership = addressed(part, name, connector)
    try:
        identifier, recipient = find_recipient(membership.identifiers, connector.identifier_type)
    except NoIdentifierError as exc:
        raise UnmappableError(ErrorCode.NO_IDENTIFIER, f"identifiers: connector {name} {exc}") from None
    occurred_at = _occurred_at(membership, happened_at) if connector.send_occurred_at else None
    properties, overridden, system_columns = _properties(membership, occurred_at)
    profile_list = connector.profile_list
    recipient_json = (
        f'{{"recipient":{{{identifier}'
        f'{_LIST_NAME}{_list_name(profile_list.name, profile_list.folder)}}},"optionalData":[{properties}]}}'
    )
    if len(recipient_json) > MAXIMUM_REQUEST_BYTES:
        raise UnmappableError(
            ErrorCode.INVALID_MESSAGE, "variables: take more than the 10 MB of a request; send fewer, or flatter"
        )
    if r"\ud" in recipient_json and not _is_unicode(recipient_json):
        raise UnmappableError(
            ErrorCode.INVALID_MESSAGE, "variables: a text has half of a surrogate pair; send whole characters"
        )
    return CustomEvent(event, recipient, recipient_json, overridden, system_columns)


def addressed_by_riid(event: CustomEvent, riid: int) -> CustomEvent:
    """Return the event for the recipient of a RIID, whatever identified them before."""
    # Within JSON's texts quotes are escaped: what comes before the list's name is the identifier.
    _, name, rest = event.recipient_json.partition(_LIST_NAME)
    return event._replace(recipient=str(riid), recipient_json=f'{{"recipient":{{"recipientId":{riid}{name}{rest}')


def _why_unnamed(part: Part, name: str) -> str:
    if part.platform:
        return f"eventNames: connector {name} does not name this segment of {part.platform} (any more)"
    return (
        f"eventName: not in the message, and connector {name} has neither an entry in eventNames for this segment nor "
        "a defaultEventName"
    )


def _is_unicode(text: str) -> bool:
    """Return whether JSON stays within Unicode; otherwise Responsys refuses the whole request."""
    try:
        json.dumps(json.loads(text), ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


def _occurred_at(membership: Membership, happened_at: float | None) -> str | None:
    if happened_at is None and membership.occurred_at:
        happened_at = membership.occurred_at.timestamp()
    return None if happened_at is None else as_iso_8601(happened_at)


def _properties(membership: Membership, occurred_at: str | None) -> tuple[str, int, int]:
    """Write the properties in the order sent; count the variables left out, and those that are system columns."""
    properties: list[str] = []
    taken = {"profileid", "calltype"} if occurred_at is None else {"profileid", "calltype", "occurredat"}
    overridden = system_columns = 0
    for name, value in membership.variables.items():
        folded, is_of_system, head = _known_column(name) if len(name) <= _LONGEST_KNOWN_NAME else _column(name)
        text: Any = value
        if type(text) is not str:
            if isinstance(text, Repeated):
                text, given_way = _first_present(text)
                overridden += given_way
            if text is None:
                continue
            text = _text(text)
        # Responsys compares field names without regard to case, and refuses a name that comes twice.
        if folded in taken:
            overridden += 1
            continue
        taken.add(folded)
        system_columns += is_of_system
        properties.append(f"{head}{_ascii(text)}}}")
    if occurred_at is not None:
        properties.append(f'{{"name":"occurredAt","value":"{occurred_at}"}}')
    properties.append(f'{{"name":"profileId","value":{_ascii(membership.profile_id)}}}')
    properties.append(f'{{"name":"callType","value":"{membership.call_type}"}}')
    return ",".join(properties), overridden, system_columns


class _Column(NamedTuple):
    """A variable's name, as it is compared and as it is written."""

    folded: str
    is_of_system: bool
    head: str


def _column(name: str) -> _Column:
    if not name.strip():
        raise UnmappableError(ErrorCode.INVALID_MESSAGE, "variables: a name is blank; give it one or leave it out")
    return _Column(name.lower(), name[-1] == "_", f'{{"name":{_ascii(name)},"value":')


# The same few names come with every message.
_known_column = lru_cache(maxsize=1_000)(_column)


@lru_cache(maxsize=64)
def _list_name(name: str, folder: str | None) -> str:
    in_folder = f',"folderName":{_ascii(folder)}' if folder else ""
    return f'{{"objectName":{_ascii(name)}{in_folder}}}'


def _first_present(repeated: Repeated) -> tuple[Any, int]:
    present = [value for value in repeated.values if value is not None]
    return (present[0], len(present) - 1) if present else (None, 0)


def _text(value: Any) -> str:
    if type(value) is str:
        return value
    if type(value) is JsonNumber:
        return value.text
    try:
        return compact_json(value)
    except RecursionError:  # the parser can go deeper than Python code
        raise UnmappableError(ErrorCode.INVALID_MESSAGE, "variables: nested too deeply; send them flatter") from None
