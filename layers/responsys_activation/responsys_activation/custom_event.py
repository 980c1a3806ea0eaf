"""What does Responsys get for a membership?

Pure mapping. The JSON is ASCII (Responsys refuses raw non-ASCII), so the length of a text is its size in bytes. It is
written as text at once: every message passes here, and an encoder for objects costs three times as much.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from json.encoder import encode_basestring as _unicode  # what the encoder itself uses for a text
from json.encoder import encode_basestring_ascii as _ascii
from typing import Any, NamedTuple

from responsys_activation.connector import Connector, IdentifierType, ProfileList
from responsys_activation.membership import JsonNumber, Membership
from responsys_activation.outcome import ErrorCode

__all__ = ["CustomEvent", "UnmappableError", "custom_event", "request_body"]


# As Oracle's samples have it: the mappings are for events whose own value is a number, date or text.
_NO_MAPPINGS = (
    '{"customEvent":{"eventNumberDataMapping":null,"eventDateDataMapping":null,"eventStringDataMapping":null},'
)
_ALWAYS_SENT = frozenset({"profileid", "calltype"})


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
        Variables left out because ``profileId``, ``callType`` or an earlier variable has the same name.
    """

    event_name: str
    recipient: str
    recipient_json: str
    variables_overridden: int


@dataclass(frozen=True, slots=True)
class _Identifier:
    """How one identifier type is written in a message and in a request.

    ``same`` gives equal texts for values that reach the same recipient.
    """

    partner: str | None
    field: str
    form: re.Pattern[str]
    expected: str
    same: Callable[[str], str] = str


# Field names and column sizes: Responsys REST API v1.3, trigger custom event, and the profile list's system fields.
_IDENTIFIERS = {
    IdentifierType.RIID: _Identifier("27", "recipientId", re.compile(r"[0-9]{1,18}"), "a whole number"),
    IdentifierType.HASHED_EMAIL: _Identifier(
        "7001",
        "emailSHA256Hash",
        re.compile(r"[0-9A-Fa-f]{64}"),
        "a SHA-256 of 64 hex digits",
        same=str.lower,
    ),
    IdentifierType.CRM_ID: _Identifier(
        "2001", "customerId", re.compile(r"(?=.*\S).{1,255}", re.S), "1 to 255 characters"
    ),
    IdentifierType.EMAIL: _Identifier(
        None,
        "emailAddress",
        re.compile(r"(?=.{3,500}$)[^\s@]+@[^\s@]+"),
        "an e-mail address",
        same=str.lower,
    ),
    IdentifierType.EMAIL_MD5: _Identifier(
        None, "emailMD5Hash", re.compile(r"[0-9A-Fa-f]{32}"), "an MD5 of 32 hex digits", same=str.lower
    ),
    IdentifierType.MOBILE_NUMBER: _Identifier(
        None,
        "mobileNumber",
        re.compile(r"\+?[0-9][0-9 ().-]{1,48}"),
        "a mobile number of up to 50 characters",
        same=lambda number: re.sub(r"\D", "", number),
    ),
}


def custom_event(membership: Membership, connector: Connector) -> CustomEvent:
    """Map a membership to the custom event of its connector.

    Raises
    ------
    UnmappableError
        No usable identifier of the connector's type, no event name, or a variable that Responsys cannot take.
    """
    event_name = membership.event_name or connector.event_name_for(membership.segment.id)
    if event_name is None:
        raise UnmappableError(
            ErrorCode.NO_EVENT_NAME,
            f"eventName: not in the message, and connector {membership.connector} names none for this segment "
            "(eventNames) and no defaultEventName",
        )
    identifier = _IDENTIFIERS[connector.identifier_type]
    value = _identifier_value(membership, connector.identifier_type, identifier)
    properties, overridden = _properties(membership)
    written = value if connector.identifier_type is IdentifierType.RIID else _ascii(value)
    recipient_json = (
        f'{{"recipient":{{"{identifier.field}":{written},"listName":{_list_name(connector.profile_list)}}},'
        f'"optionalData":[{properties}]}}'
    )
    if r"\ud" in recipient_json and not _is_unicode(recipient_json):
        raise UnmappableError(ErrorCode.INVALID_MESSAGE, "variables: a text has half of a surrogate pair")
    return CustomEvent(
        event_name=event_name,
        recipient=identifier.same(value),
        recipient_json=recipient_json,
        variables_overridden=overridden,
    )


def request_body(recipients_json: Iterable[str]) -> bytes:
    """Write the body of one request; at most 200 recipients is the caller's care."""
    return f'{_NO_MAPPINGS}"recipientData":[{",".join(recipients_json)}]}}'.encode("ascii")


def _is_unicode(text: str) -> bool:
    """Tell whether JSON stays within Unicode; Responsys refuses the whole request where it does not."""
    try:
        json.dumps(json.loads(text), ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


def _identifier_value(membership: Membership, kind: IdentifierType, identifier: _Identifier) -> str:
    names = [name for name in (identifier.partner, kind.value) if name]
    given = {value for name in names if (value := membership.identifiers.get(name))}
    where = " or ".join(names)
    if not given:
        raise UnmappableError(
            ErrorCode.NO_IDENTIFIER,
            f"identifiers: connector {membership.connector} needs {kind.value} ({where})",
        )
    if len(given) > 1:
        raise UnmappableError(ErrorCode.NO_IDENTIFIER, f"identifiers: {where} name different recipients")
    value = given.pop()
    if not identifier.form.fullmatch(value):
        raise UnmappableError(ErrorCode.NO_IDENTIFIER, f"identifiers: {kind.value} must be {identifier.expected}")
    return str(int(value)) if kind is IdentifierType.RIID else value


def _properties(membership: Membership) -> tuple[str, int]:
    """Write the properties in the order sent, and tell how many variables gave way to another of the same name."""
    properties: list[str] = []
    taken = set(_ALWAYS_SENT)
    overridden = 0
    for name, value in membership.variables.items():
        if not name.strip():
            raise UnmappableError(ErrorCode.INVALID_MESSAGE, "variables: a name is blank")
        if value is None:
            continue
        # Responsys compares field names without regard to case, and refuses a name that comes twice.
        if (folded := name.lower()) in taken:
            overridden += 1
            continue
        taken.add(folded)
        properties.append(f'{{"name":{_ascii(name)},"value":{_ascii(_text(value))}}}')
    properties.append(f'{{"name":"profileId","value":{_ascii(membership.profile_id)}}}')
    properties.append(f'{{"name":"callType","value":"{membership.call_type}"}}')
    return ",".join(properties), overridden


def _list_name(profile_list: ProfileList) -> str:
    folder = f',"folderName":{_ascii(profile_list.folder)}' if profile_list.folder else ""
    return f'{{"objectName":{_ascii(profile_list.name)}{folder}}}'


def _text(value: Any) -> str:
    if type(value) is str:
        return value
    try:
        return _compact_json(value)
    except RecursionError:  # the parser goes deeper than Python code may
        raise UnmappableError(ErrorCode.INVALID_MESSAGE, "variables: nested too deeply") from None


def _compact_json(value: Any) -> str:
    """JSON without spaces whose numbers keep their text, which the standard encoder cannot do."""
    match value:
        case str():
            return _unicode(value)
        case True:
            return "true"
        case False:
            return "false"
        case None:
            return "null"
        case JsonNumber(text):
            return text
        case list():
            return f"[{','.join(map(_compact_json, value))}]"
        case _:
            return f"{{{','.join(f'{_unicode(name)}:{_compact_json(member)}' for name, member in value.items())}}}"
