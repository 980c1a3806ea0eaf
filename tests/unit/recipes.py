"""What do the pages of docs/recipes hold, and what becomes of it?"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from responsys_activation.aws.connectors import ConnectorParameter
from responsys_activation.delivery.outcome import Ignored, Rejected
from responsys_activation.delivery.planning import Outgoing
from responsys_activation.delivery.rehearsal import Terms, rehearse

__all__ = ["ARRIVED_AT", "PAGES", "Block", "arrives", "blocks", "connectors", "rendered"]

_FOLDER = Path(__file__).parents[2] / "docs/recipes"
PAGES = sorted(path for path in _FOLDER.glob("*.md") if path.name != "README.md")
# When SQS has the messages of the pages: in the minute after what they tell of.
ARRIVED_AT = 1795162520.0
_FENCE = re.compile(r"^( *)```([^\n]*)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
_EXPRESSION = re.compile(r"\{\{ ?(.+?)(?: ?\| ?(\w+))? ?\}\}(?!\})")
_TERMS = Terms("/stack/connectors/", "responsys.net", maximum_event_age_hours="1000000")


class Block(NamedTuple):
    """A fenced block of a page.

    Attributes
    ----------
    language, kind : str
        The first and the second word behind the fence.
    """

    language: str
    kind: str
    text: str


def blocks(page: Path) -> list[Block]:
    """Return a page's fenced blocks, in their order."""
    found = []
    for indent, words, text in _FENCE.findall(page.read_text()):
        language, _, kind = words.partition(" ")
        found.append(Block(language, kind, re.sub(rf"^{indent}", "", text, flags=re.MULTILINE)))
    return found


def connectors(page: Path) -> dict[str, str]:
    """Return the settings that a page shows, by the connector's name."""
    return {block.kind.partition("=")[2]: block.text for block in blocks(page) if block.kind.startswith("connector=")}


def rendered(template: str, values: Mapping[str, Any]) -> str:
    """Put values into a template, by what stands within the braces.

    The engines' own loops and conditions are not known here, which is why no page uses any; of filters only those two
    by which they write JSON.
    """

    def value(match: re.Match[str]) -> str:
        text = str(values[match[1].strip()])
        match match[2]:
            case None:
                return text
            case "json":
                return json.dumps(text)
            case "json_escape":
                return json.dumps(text)[1:-1]
        raise AssertionError(f"{match[2]} is no filter that is known here")

    return _EXPRESSION.sub(value, template)


def arrives(body: str, settings: Mapping[str, str]) -> str:
    """Say what Responsys gets for a body, and how the rest ends, a line for each membership.

    By the same code as ``responsys-activation explain``.
    """
    record = {"messageId": "sqs-1", "body": body, "attributes": {"SentTimestamp": str(int(ARRIVED_AT * 1000))}}
    rehearsal = rehearse(
        [record], {name: ConnectorParameter(text, encrypted=False) for name, text in settings.items()}, _TERMS
    )
    sent = [
        (item.message.part or 0, _line(request.event_name, item))
        for request in rehearsal.requests
        for item in request.items
    ]
    ended = [(ending.message.part or 0, _ending(ending.outcome)) for ending in rehearsal.endings]
    return "".join(f"{line}\n" for _, line in sorted(sent + ended, key=lambda each: each[0]))


def _line(event_name: str, item: Outgoing) -> str:
    document = json.loads(item.event.recipient_json)
    ((field, identifier),) = ((name, value) for name, value in document["recipient"].items() if name != "listName")
    *properties, profile_id, call_type = [(each["name"], each["value"]) for each in document["optionalData"]]
    told = ", ".join(f"{name}={value}" for name, value in properties)
    line = f"{event_name} for {field} {identifier}, {call_type[1]} of {profile_id[1]}"
    return f"{line}: {told}" if told else line


def _ending(outcome: object) -> str:
    assert isinstance(outcome, Ignored | Rejected)
    return f"{type(outcome).__name__.lower()}: {outcome.error_code}"


def pairs(page: Path) -> Iterator[tuple[Block, Block]]:
    """Yield each message of a page, and what the page says of it."""
    found = blocks(page)
    for number, block in enumerate(found):
        if block.kind in {"message", "body"}:
            yield block, found[number + 1]
