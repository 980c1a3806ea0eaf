"""What do a custom event's request and its reply say? One result for each of up to 200 recipients."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from responsys_activation.error_code import ErrorCode
from responsys_activation.responsys.classification import class_of_code
from responsys_activation.responsys.errors import OutcomeUnknownError
from responsys_activation.responsys.http import Reply, raise_for_error

__all__ = [
    "MAXIMUM_RECIPIENTS",
    "MAXIMUM_REQUEST_BYTES",
    "EventReply",
    "read_event_reply",
    "recipient_error_code",
    "request_body",
]

MAXIMUM_RECIPIENTS = 200  # RECIPIENT_LIMIT_EXCEEDED beyond it
MAXIMUM_REQUEST_BYTES = 9_900_000  # Responsys cuts the connection beyond 10 MB; the rest is for the body's frame
_NO_MAPPINGS = (
    '{"customEvent":{"eventNumberDataMapping":null,"eventDateDataMapping":null,"eventStringDataMapping":null},'
)
_CODE = re.compile(r"\s*([A-Z][A-Z0-9_]+)\s*(?::|$)")
# Texts that older answers carry in place of a code.
_CODES_OF_TEXTS = {"recipient not found": "NO_RECIPIENT_FOUND"}
# How a recipient begins that is sent by its RIID. It is compared as text: to parse 200 recipients again costs too much.
_BY_RIID = '{"recipient":{"recipientId":'


@dataclass(frozen=True, slots=True)
class EventReply:
    """A reply with one result for each recipient.

    Attributes
    ----------
    error_codes : list of (str or None)
        By position in the request; ``None`` for ``success: true``.
    """

    error_codes: list[str | None]
    status: int
    correlation_id: str


def request_body(recipients_json: Iterable[str]) -> bytes:
    """Write the body of one request; at most 200 recipients is the caller's care."""
    return f'{_NO_MAPPINGS}"recipientData":[{",".join(recipients_json)}]}}'.encode("ascii")


def read_event_reply(reply: Reply, recipients_json: Sequence[str]) -> EventReply:
    """Read the reply to a request.

    Raises
    ------
    ResponsysError
        The request did not succeed as a whole. A reply that is not one result for each recipient is an
        :class:`OutcomeUnknownError`: results are by position, so a missing one leaves all in doubt, and so does a
        success that names another RIID than the one sent.
    """
    raise_for_error(reply)
    return EventReply(_results(reply, recipients_json), reply.status, reply.correlation_id)


def recipient_error_code(error_message: object, recipient_json: str) -> str:
    """Return the code of a recipient's ``errorMessage``: ``CODE``, ``CODE: text`` or free text.

    Free text is not passed on, because it may quote the recipient; nor is what looks like a code and was sent by us.
    """
    if not isinstance(error_message, str):
        return ErrorCode.OTHER_ERROR
    if match := _CODE.match(error_message):
        code = match[1][:64]
        known = class_of_code(code) is not None
        return code if known or code not in recipient_json.upper() else ErrorCode.OTHER_ERROR
    return _CODES_OF_TEXTS.get(error_message.strip().lower(), ErrorCode.OTHER_ERROR)


def _results(reply: Reply, recipients_json: Sequence[str]) -> list[str | None]:
    results = reply.document
    if (
        not isinstance(results, list)
        or len(results) != len(recipients_json)
        or not all(isinstance(result, dict) and isinstance(result.get("success"), bool) for result in results)
    ):
        raise _in_doubt(reply, "reply is not one result for each recipient")
    if any(map(_is_of_another, results, recipients_json)):
        raise _in_doubt(reply, "a result is another recipient's")
    return [
        None if result["success"] else recipient_error_code(result.get("errorMessage"), sent)
        for result, sent in zip(results, recipients_json, strict=True)
    ]


def _is_of_another(result: dict[str, Any], sent: str) -> bool:
    """Return whether a success names another RIID than the one sent. An unknown one comes as -1 or not at all."""
    riid = result.get("recipientId")
    if sent.startswith(f"{_BY_RIID}{riid},") or not result["success"]:
        return False
    return type(riid) is int and riid > 0 and sent.startswith(_BY_RIID)


def _in_doubt(reply: Reply, title: str) -> OutcomeUnknownError:
    return OutcomeUnknownError(
        ErrorCode.OTHER_ERROR, title=title, status=reply.status, correlation_id=reply.correlation_id
    )
