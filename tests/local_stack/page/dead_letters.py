"""What waits on a dead-letter queue, and why? Looked at, never received.

A receive would hide the letters from the function and count against them. The emulator shows what its queues hold
without touching it, which AWS does not.
"""

import time
from collections.abc import Iterable, Mapping
from typing import Any

import requests

from responsys_activation.error_code import advice

_SECONDS_TO_ANSWER = 10.0
_MOST_GROUPS = 40
_MOST_LETTERS = 10  # of a group, that are shown with their bodies
_LONGEST_BODY = 4_000  # characters
_NO_CODE = "no error code"
_NO_REASON = "SQS moved it here after 5 receives: the function ended each time before it could say why"


def letters_on(endpoint_url: str, queue_url: str) -> list[dict[str, Any]]:
    """Return the messages of a queue as the emulator keeps them, the oldest first.

    Raises
    ------
    requests.RequestException
        The emulator did not answer.
    """
    with requests.Session() as session:
        session.trust_env = False
        reply = session.get(
            f"{endpoint_url}/_ministack/sqs/messages", params={"QueueUrl": queue_url}, timeout=_SECONDS_TO_ANSWER
        )
    reply.raise_for_status()
    return [
        letter
        for regions in reply.json()["messages"].values()
        for queues in regions.values()
        for letters in queues.values()
        for letter in letters
    ]


def grouped(letters: Iterable[Mapping[str, Any]], find: str = "", now: float | None = None) -> list[dict[str, Any]]:
    """Group letters by why they are there, those with the newest letter first.

    Parameters
    ----------
    find
        Part of a letter's body or ids; others are left out.
    now
        Epoch seconds; a letter that is due later is away until then.

    Returns
    -------
    list of dict
        `code`, `reason`, `connector`, `advice`, `count`; `dueFrom` and `dueUntil`, epoch milliseconds between which
        letters that wait come back, or None; and the newest `letters` with their bodies.
    """
    now = time.time() if now is None else now
    groups: dict[tuple[str, str, str], list[Mapping[str, Any]]] = {}
    for letter in letters:
        if find.casefold() in _searched(letter):
            groups.setdefault(_why(letter), []).append(letter)
    ordered = sorted(groups.items(), key=lambda group: -max(letter["SentTimestamp"] for letter in group[1]))
    return [_group(*why, members, now) for why, members in ordered[:_MOST_GROUPS]]


def _group(code: str, reason: str, connector: str, letters: list[Mapping[str, Any]], now: float) -> dict[str, Any]:
    # One that was received before is hidden until its visibility time-out, which says nothing of its return.
    due = [letter["VisibleAt"] for letter in letters if letter["VisibleAt"] > now and not letter["ReceiveCount"]]
    return {
        "code": code,
        "reason": reason,
        "connector": connector,
        "advice": advice(code) or "",
        "count": len(letters),
        "dueFrom": min(due) * 1000 if due else None,
        "dueUntil": max(due) * 1000 if due else None,
        "letters": [_letter(letter) for letter in reversed(letters[-_MOST_LETTERS:])],
    }


def _letter(letter: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "id": _attribute(letter, "originalMessageId") or letter["MessageId"],
        "at": letter["SentTimestamp"] * 1000,
        "eventName": _attribute(letter, "eventName"),
        "body": letter["Body"][:_LONGEST_BODY],
    }


def _why(letter: Mapping[str, Any]) -> tuple[str, str, str]:
    code = _attribute(letter, "errorCode")
    reason = _attribute(letter, "reason") or ("" if code else _NO_REASON)
    return code or _NO_CODE, reason, _attribute(letter, "connector")


def _attribute(letter: Mapping[str, Any], name: str) -> str:
    value: str = letter["MessageAttributes"].get(name, {}).get("StringValue", "")
    return "" if value == "-" else value


def _searched(letter: Mapping[str, Any]) -> str:
    return f"{letter['MessageId']} {_attribute(letter, 'originalMessageId')} {letter['Body']}".casefold()
