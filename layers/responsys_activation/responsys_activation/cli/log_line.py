"""What does a line of the function's log say of messages, requests and batches?"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from responsys_activation.cli.masking import without_personal_data
from responsys_activation.cli.terminal import counted

__all__ = ["TERM", "last_settled", "read_log_line", "told"]

TERM = "message"  # our own lines have it, the lines of metrics and of Lambda have not
_ALARMING = {"WARNING", "ERROR", "CRITICAL"}
_OUTCOMES = ("delivered", "duplicate", "throttled", "rejected", "retried", "ignored")
# What is told of a line; a batch's counts come first. Nothing else is: a line's other fields are for a debugger.
_FIELDS = (
    *("received", *_OUTCOMES, "errorCodes", "reasons"),
    *("connector", "eventName", "outcome", "errorCode", "reason", "status", "recipients", "results", "messages"),
    *("milliseconds", "fault", "attempts", "originalMessageId", "requestId", "correlationId"),
)
_KINDS = {
    "batch settled": "batch",
    "message settled": "message",
    "request answered": "request",
    "request failed": "request",
    "list merge answered": "request",
    "list merge failed": "request",
    "logged in": "login",
    "login refused": "login",
    "login held back": "login",
}


def read_log_line(event: Mapping[str, Any]) -> dict[str, Any] | None:
    """Read an event of the log group; ``None`` for what is not for an operator.

    Returns
    -------
    dict or None
        ``time``, ``kind``, ``level``, ``message``, and those of the line's fields that tell what happened.
    """
    try:
        line = json.loads(event["message"])
    except ValueError:
        return None  # the runtime's own
    if not isinstance(line, dict) or not isinstance(line.get("message"), str):
        return None
    level = str(line.get("level", "INFO"))
    kind = _KINDS.get(line["message"]) or ("warning" if level in _ALARMING else None)
    if kind is None:
        return None
    fields = {name: line[name] for name in _FIELDS if line.get(name) not in (None, "", "-", {})}
    told_of_it = {"time": line.get("timestamp", ""), "kind": kind, "level": level, "message": line["message"], **fields}
    found: dict[str, Any] = without_personal_data(told_of_it)
    return found


def told(line: Mapping[str, Any]) -> str:
    """Say a line to a person."""
    match line["message"]:
        case "batch settled":
            return _batch(line)
        case "message settled":
            return _joined(
                f"{line['outcome']}{_code(line)}", _whose(line), line.get("reason"), line.get("originalMessageId")
            )
        case "request answered" | "list merge answered" as message:
            return _joined(_whose(line), f"{_whom(message, line)}: {_counts(line['results'])}", _time_taken(line))
        case "request failed" | "list merge failed" as message:
            status = f"HTTP {line['status']}" if line.get("status") else None
            return _joined(_whose(line), f"{_whom(message, line)}: failed{_code(line)}", status, _time_taken(line))
        case message:
            messages = counted(line["messages"], "message") if line.get("messages") else None
            return _joined(f"{message}{_code(line)}", _whose(line), messages, line.get("fault"))


def last_settled(events: list[Mapping[str, Any]], message_id: str) -> dict[str, Any] | None:
    """Return the last line about a message's end; one that is simply delivered has none."""
    for event in sorted(events, key=lambda event: event["timestamp"], reverse=True):
        line = read_log_line(event)
        if line and line["message"] == "message settled" and line.get("originalMessageId") == message_id:
            return line
    return None


def _batch(line: Mapping[str, Any]) -> str:
    outcomes = ", ".join(f"{line[outcome]:,} {outcome}" for outcome in _OUTCOMES if line.get(outcome))
    codes = f"({_counts(line['errorCodes'])})" if line.get("errorCodes") else ""
    return _joined(f"{line['received']:,} received: {outcomes} {codes}".rstrip(), _time_taken(line))


def _code(line: Mapping[str, Any]) -> str:
    return f", {line['errorCode']}" if "errorCode" in line else ""


def _whose(line: Mapping[str, Any]) -> str | None:
    return " ".join(line[name] for name in ("connector", "eventName") if name in line) or None


def _whom(message: str, line: Mapping[str, Any]) -> str:
    recipients = counted(line["recipients"], "recipient")
    return f"merge of {recipients}" if message.startswith("list merge") else recipients


def _time_taken(line: Mapping[str, Any]) -> str:
    return f"{line.get('milliseconds', 0):,} ms"


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {name}" for name, count in counts.items())


def _joined(*parts: str | None) -> str:
    return " · ".join(part for part in parts if part)
