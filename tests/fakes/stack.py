"""What does the command find where a stack should be? A stack in memory, whose functions answer what a test says."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from types import SimpleNamespace
from typing import Any

from responsys_activation import __version__
from responsys_activation.aws.claims import ClaimState
from responsys_activation.aws.connectors import ConnectorParameter
from responsys_activation.aws.deployment import DeployedAlarm, DeployedFunction, EventSource
from responsys_activation.aws.stack_call import StackError
from responsys_activation.change import Change
from tests.fakes.memberships import connector_document

Answer = Callable[[Mapping[str, Any]], dict[str, Any]]


@dataclass
class FakeDeployment:
    """The resources of a stack, all as they should be.

    Attributes
    ----------
    refuses : set of str
        The methods for which there is no permission.
    """

    refuses: set[str] = field(default_factory=set)
    functions: dict[str, DeployedFunction] = field(default_factory=dict)
    sources: dict[str, list[EventSource]] = field(default_factory=dict)
    every_alarm: list[DeployedAlarm] = field(default_factory=lambda: [DeployedAlarm("prod-page", "OK", acts=True)])
    heard_by: tuple[int, int] = (1, 0)
    totals: dict[str, float] = field(default_factory=dict)

    def function(self, name: str) -> DeployedFunction:
        self._require("function")
        return self.functions.get(name, deployed_function())

    def event_sources(self, queue_arn: str) -> list[EventSource]:
        self._require("event_sources")
        return self.sources.get(queue_arn, [event_source()])

    def alarms(self) -> list[DeployedAlarm]:
        self._require("alarms")
        return self.every_alarm

    def subscribers(self, topic_arn: str) -> tuple[int, int]:
        del topic_arn
        self._require("subscribers")
        return self.heard_by

    def total(self, metric: str, since: datetime, **dimensions: str) -> float | None:
        del since, dimensions
        self._require("total")
        return self.totals.get(metric)

    def _require(self, method: str) -> None:
        if method in self.refuses:
            raise StackError(f"{method}: not authorized")


def deployed_function(**changes: Any) -> DeployedFunction:
    """Return a function that runs what was deployed."""
    return replace(DeployedFunction("7", "Active", "Successful", reason="", is_latest=True), **changes)


def event_source(**changes: Any) -> EventSource:
    """Return an event source that reads a queue as it should."""
    arn = "arn:aws:lambda:eu-west-1:123456789012:function:SegmentEventsFunctionName:live"
    settings = {"BatchSize": 5000, "BatchingWindowSeconds": 5, "MaximumConcurrency": 2}
    return replace(EventSource("uuid-1", arn, "Enabled", settings, reports_failures=True), **changes)


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
        The lines that the log has, look by look; the last one stays. A line's ``ended`` (epoch seconds) is the event's
        time.
    held : int
        How many messages each queue holds.
    made : list of str
        What was made for a message, and removed.
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
    status: str = "UPDATE_COMPLETE"
    outputs: dict[str, str] = field(default_factory=lambda: {"Version": __version__})
    deployment: FakeDeployment = field(default_factory=FakeDeployment)
    made: list[str] = field(default_factory=list)
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

    def queue_arn(self, queue_url: str) -> str:
        return f"arn:of:{queue_url}"

    def temporary_topic(self) -> AbstractContextManager[Callable[[str], None]]:
        return self._temporary("topic")

    def temporary_rule(self) -> AbstractContextManager[Callable[[str], None]]:
        return self._temporary("rule")

    @contextmanager
    def _temporary(self, kind: str) -> Iterator[Callable[[str], None]]:
        self.made.append(f"{kind} made")
        yield self.sent.append
        self.made.append(f"{kind} removed")

    def depth(self, queue_url: str) -> int:
        del queue_url
        return self.held

    def log_events(self, since: float, term: str) -> Iterator[dict[str, Any]]:
        del since
        look = self.logged.pop(0) if len(self.logged) > 1 else self.logged[0]
        for number, line in enumerate(look):
            text = json.dumps(line)
            if term in text:
                yield {
                    "eventId": f"{line.get('timestamp')}-{number}",
                    "logStreamName": "stream",
                    "timestamp": round(1000 * line["ended"]) if "ended" in line else number,
                    "message": text,
                }

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
