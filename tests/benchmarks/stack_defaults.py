"""What is the stack like that the template's defaults give? Read from template.yaml."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from samtranslator.yaml_helper import yaml_parse  # type: ignore[import-untyped]

from tests.local_stack.environments import REPOSITORY
from tests.template.cloudformation import Stack


@dataclass(frozen=True)
class EventSource:
    """How Lambda reads one queue."""

    batch_size: int
    window_seconds: float
    concurrency: int


@dataclass(frozen=True)
class StackDefaults:
    """What bears on pace and cost."""

    segment_events: EventSource
    throttled_events: EventSource
    requests_in_flight: int
    memory_mb: int
    timeout_seconds: float
    resources: Counter[str]

    @property
    def environments(self) -> int:
        """Invocations at once, of both event sources together."""
        return self.segment_events.concurrency + self.throttled_events.concurrency


def read_stack_defaults() -> StackDefaults:
    """Read the template."""
    template: dict[str, Any] = yaml_parse((REPOSITORY / "template.yaml").read_text())
    stack = Stack(template, {})
    function = template["Resources"]["SegmentEventsFunction"]["Properties"]

    def event_source(name: str) -> EventSource:
        properties = stack.resolved(
            {key: value for key, value in function["Events"][name]["Properties"].items() if key != "Queue"}
        )
        return EventSource(
            batch_size=int(properties["BatchSize"]),
            window_seconds=float(properties["MaximumBatchingWindowInSeconds"]),
            concurrency=int(properties["ScalingConfig"]["MaximumConcurrency"]),
        )

    return StackDefaults(
        segment_events=event_source("SegmentEvents"),
        throttled_events=event_source("ThrottledEvents"),
        requests_in_flight=int(stack.resolved({"Ref": "RequestsInFlight"})),
        memory_mb=int(function["MemorySize"]),
        timeout_seconds=float(function["Timeout"]),
        # Conditions are all about options that cost nothing by default, or are off.
        resources=Counter(resource["Type"] for resource in template["Resources"].values()),
    )
