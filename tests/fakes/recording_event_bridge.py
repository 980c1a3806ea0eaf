"""What was EventBridge told? A client that records, is as strict as AWS, and fails where it is told to."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

from responsys_activation.delivery.outcome_feed import DETAIL_TYPE, SOURCE

Entry = dict[str, str]
Fed = dict[str, Any]

_SCHEMA = Path(__file__).parents[2] / "docs" / "outcome.schema.json"
_VALIDATOR = Draft202012Validator(json.loads(_SCHEMA.read_text()))
_LIMIT = 256 * 1024  # bytes of one call, as AWS counts them


def no_code(_entry: Entry) -> str | None:
    return None


def size_of(entry: Entry) -> int:
    """Count an entry as AWS documents it."""
    return sum(len(entry[name].encode()) for name in ("Source", "DetailType", "Detail"))


@dataclass
class RecordingEventBridge:
    """The one call that the package makes; whatever is written must be an event of the committed schema.

    Attributes
    ----------
    code : callable
        The error code with which an entry is refused; ``None``: it is taken.
    around : callable
        Makes the call; it may fail before or after it.
    calls : list of list of dict
        The entries of each call.
    taken : list of dict
        The details that EventBridge has.
    on_taken : callable
        Gets each of them, too.
    """

    code: Callable[[Entry], str | None] = no_code
    around: Callable[[str, Callable[[], dict[str, Any]]], dict[str, Any]] = lambda _call, effect: effect()
    calls: list[list[Entry]] = field(default_factory=list)
    taken: list[Fed] = field(default_factory=list)
    on_taken: Callable[[Fed], None] = lambda _event: None

    @property
    def outcomes(self) -> list[Fed]:
        """All outcomes that were told."""
        return [outcome for event in self.taken for outcome in event["outcomes"]]

    def counted(self) -> dict[str, int]:
        """Count them by their word."""
        return dict(Counter(outcome["outcome"] for outcome in self.outcomes))

    def put_events(self, *, Entries: Sequence[Entry]) -> dict[str, Any]:  # noqa: N803
        self.calls.append(list(Entries))
        assert 1 <= len(Entries) <= 10
        assert sum(map(size_of, Entries)) < _LIMIT
        for entry in Entries:
            assert entry.keys() == {"Source", "DetailType", "Detail"}
            assert (entry["Source"], entry["DetailType"]) == (SOURCE, DETAIL_TYPE)
            _VALIDATOR.validate(json.loads(entry["Detail"]))
        return self.around("events", lambda: self._take(Entries))

    def _take(self, entries: Sequence[Entry]) -> dict[str, Any]:
        results = []
        for entry in entries:
            if code := self.code(entry):
                results.append({"ErrorCode": code, "ErrorMessage": "as told"})
            else:
                self.taken.append(json.loads(entry["Detail"]))
                self.on_taken(self.taken[-1])
                results.append({"EventId": f"event-{len(self.taken)}"})
        return {"FailedEntryCount": sum("ErrorCode" in result for result in results), "Entries": results}
