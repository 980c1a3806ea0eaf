"""What is the stack like that the template's defaults give? Read from template.yaml."""

from __future__ import annotations

from dataclasses import dataclass, replace
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
    duration_percent_allowed: float
    visibility_seconds: float
    alarm_metrics: int
    composite_alarms: int
    dashboards: int

    @property
    def settings(self) -> dict[str, int]:
        """What a benchmark's result says that it was made with, by the template's names."""
        return {
            "BatchSize": self.segment_events.batch_size,
            "BatchingWindowSeconds": round(self.segment_events.window_seconds),
            "MaximumConcurrency": self.segment_events.concurrency,
            "MemorySize": self.memory_mb,
            "RequestsInFlight": self.requests_in_flight,
            # No parameter: of the event source that reads ThrottledDLQ.
            "ThrottledEvents.MaximumConcurrency": self.throttled_events.concurrency,
        }

    def with_batch_size(self, batch_size: int) -> StackDefaults:
        """Return what a deployment with another ``BatchSize`` has."""
        return replace(
            self,
            segment_events=replace(self.segment_events, batch_size=batch_size),
            throttled_events=replace(self.throttled_events, batch_size=batch_size),
        )

    def with_concurrency(self, concurrency: int) -> StackDefaults:
        """Return what a deployment with another ``MaximumConcurrency`` has."""
        return replace(self, segment_events=replace(self.segment_events, concurrency=concurrency))


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

    def made(resource_type: str) -> list[dict[str, Any]]:
        return [
            resource["Properties"]
            for resource in template["Resources"].values()
            if resource["Type"] == resource_type
            and ("Condition" not in resource or stack._condition(resource["Condition"]))
        ]

    return StackDefaults(
        segment_events=event_source("SegmentEvents"),
        throttled_events=event_source("ThrottledEvents"),
        requests_in_flight=int(stack.resolved({"Ref": "RequestsInFlight"})),
        memory_mb=int(function["MemorySize"]),
        timeout_seconds=float(stack.resolved(function["Timeout"])),
        duration_percent_allowed=float(stack.resolved({"Ref": "DurationPercentAllowed"})),
        visibility_seconds=float(
            stack.resolved(template["Resources"]["SegmentEventsQueue"]["Properties"]["VisibilityTimeout"])
        ),
        alarm_metrics=sum(map(_metrics_of, made("AWS::CloudWatch::Alarm"))),
        composite_alarms=len(made("AWS::CloudWatch::CompositeAlarm")),
        dashboards=len(made("AWS::CloudWatch::Dashboard")),
    )


def _metrics_of(alarm: dict[str, Any]) -> int:
    """Count what CloudWatch charges for: each metric of an alarm over several."""
    return sum("MetricStat" in metric for metric in alarm.get("Metrics", [])) or 1
