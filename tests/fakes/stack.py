"""What does the command find where a stack should be? A stack in memory, whose functions answer what a test says."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from responsys_activation.aws.claims import ClaimState
from responsys_activation.aws.connectors import ConnectorParameter
from responsys_activation.change import Change
from tests.fakes.memberships import connector_document

Answer = Callable[[Mapping[str, Any]], dict[str, Any]]


@dataclass
class FakeStack:
    """As much of a deployed stack as the commands use.

    Attributes
    ----------
    answers : dict of str to callable
        By the output that names a function: what it answers to an event.
    invoked : list of tuple
        The functions that were invoked, and the events.
    states : list of ClaimState or None
        What the ledger says, look by look; the last one stays.
    logged : list of list
        The lines that the log has, look by look; the last one stays.
    """

    name: str = "prod"
    is_local: bool = True
    answers: dict[str, Answer] = field(default_factory=dict)
    connectors: dict[str, dict[str, Any]] = field(default_factory=lambda: {"default": connector_document()})
    parameters: dict[str, str] = field(
        default_factory=lambda: {"TrustedEndpointDomains": "responsys.net", "MaximumEventAgeHours": "24"}
    )
    states: list[ClaimState | None] = field(default_factory=lambda: [None])
    logged: list[list[dict[str, Any]]] = field(default_factory=lambda: [[]])
    held: int = 1234
    looked_up: list[Change] = field(default_factory=list)
    sent: list[str] = field(default_factory=list)
    invoked: list[tuple[str, Mapping[str, Any]]] = field(default_factory=list)

    @property
    def title(self) -> str:
        return f"{self.name} (local)" if self.is_local else self.name

    def output(self, name: str) -> str:
        return f"/{self.name}/connectors/" if name == "ConnectorParameterPrefix" else name

    def invoke(self, function: str, event: Mapping[str, Any]) -> dict[str, Any]:
        self.invoked.append((function, event))
        return self.answers[function](event)

    def send(self, body: str) -> str:
        self.sent.append(body)
        return "sqs-message-1"

    def depth(self, queue_url: str) -> int:
        del queue_url
        return self.held

    def log_events(self, since: float, term: str) -> Iterator[dict[str, Any]]:
        del since
        look = self.logged.pop(0) if len(self.logged) > 1 else self.logged[0]
        for number, line in enumerate(look):
            text = json.dumps(line)
            if term in text:
                yield {"eventId": f"{line.get('timestamp')}-{number}", "timestamp": number, "message": text}

    @property
    def connector_parameters(self) -> Any:
        settings = {
            name: ConnectorParameter(json.dumps(each), encrypted=False) for name, each in self.connectors.items()
        }
        return SimpleNamespace(read_all=lambda: settings)

    @property
    def ledger(self) -> Any:
        return SimpleNamespace(look_up=self._look_up)

    def _look_up(self, change: Change) -> ClaimState | None:
        self.looked_up.append(change)
        return self.states.pop(0) if len(self.states) > 1 else self.states[0]
