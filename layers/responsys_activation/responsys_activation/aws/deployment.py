"""In which state is what a deployment made?

For the command alone; no function imports this.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any

from responsys_activation.aws.stack_call import stack_call

__all__ = ["DeployedAlarm", "DeployedFunction", "Deployment", "EventSource"]

_ALIAS = "live"
# What a deployment may change of a function, and the alias must have, beside layers and VPC.
_DEPLOYED = ("CodeSha256", "Environment", "Runtime", "MemorySize", "Timeout")
_ALARM_TYPES = ("AWS::CloudWatch::Alarm", "AWS::CloudWatch::CompositeAlarm")
_MOST_ALARMS = 100  # that one call describes; the stack has a quarter of that
_NAMESPACE = "ResponsysActivation"
_PENDING = "PendingConfirmation"  # in place of a subscription's ARN


@dataclass(frozen=True)
class DeployedFunction:
    """What an alias of a function points at.

    Attributes
    ----------
    version : str
        The published version that the alias points at.
    state, last_update : str
        Lambda's words: ``Active``, ``Pending``, ``Failed``, ...; ``Successful``, ``InProgress``, ``Failed``.
    reason : str
        Why, where Lambda says so.
    is_latest : bool
        It has the code, layers and settings that were deployed last.
    """

    version: str
    state: str
    last_update: str
    reason: str
    is_latest: bool


@dataclass(frozen=True)
class EventSource:
    """An event source mapping: which function reads a queue, and how.

    Attributes
    ----------
    function : str
        ARN of a function, with the alias where there is one.
    state : str
        Lambda's word: ``Enabled``, ``Disabled``, ``Updating``, ...
    settings : Mapping of str to int
        By the names of the stack's parameters; what is not set is missing.
    reports_failures : bool
        The function's answer names the messages that come back; else all of a batch do, or none.
    """

    uuid: str
    function: str
    state: str
    settings: Mapping[str, int]
    reports_failures: bool


@dataclass(frozen=True)
class DeployedAlarm:
    """An alarm of the stack.

    Attributes
    ----------
    state : str or None
        ``OK``, ``ALARM`` or ``INSUFFICIENT_DATA``; ``None``: it was deployed, and is not there any more.
    acts : bool
        It tells its topic.
    """

    name: str
    state: str | None
    acts: bool


class Deployment:
    """Looks at a stack's resources.

    Parameters
    ----------
    client : callable
        Gives the boto3 client of a service.
    """

    def __init__(self, stack: str, client: Callable[[str], Any]) -> None:
        self._stack = stack
        self._client = client

    def function(self, name: str) -> DeployedFunction:
        """Look at a function as its alias has it.

        Parameters
        ----------
        name : str
            With or without the alias.

        Raises
        ------
        StackError
            There is no such function or alias, or it may not be looked at.
        """
        name = name.partition(":")[0]
        with stack_call(f"cannot look at the function {name}"):
            live = self._client("lambda").get_function_configuration(FunctionName=name, Qualifier=_ALIAS)
            latest = self._client("lambda").get_function_configuration(FunctionName=name)
        return DeployedFunction(
            version=live["Version"],
            state=live.get("State", "Active"),
            last_update=latest.get("LastUpdateStatus", "Successful"),
            reason=live.get("StateReason") or latest.get("LastUpdateStatusReason") or "",
            is_latest=_deployed_part(live) == _deployed_part(latest),
        )

    def event_sources(self, queue_arn: str) -> list[EventSource]:
        """Look at whatever reads a queue.

        Raises
        ------
        StackError
            Lambda did not tell.
        """
        with stack_call("cannot list the event sources"):
            pages = self._client("lambda").get_paginator("list_event_source_mappings")
            found = [each for page in pages.paginate(EventSourceArn=queue_arn) for each in page["EventSourceMappings"]]
        return [_event_source(each) for each in found]

    def alarms(self) -> list[DeployedAlarm]:
        """Look at every alarm that was deployed, in the order of their names.

        Raises
        ------
        StackError
            CloudFormation or CloudWatch did not tell.
        """
        names = sorted(name for kind in _ALARM_TYPES for name in self._resources[kind])
        if not names:  # CloudWatch would describe all alarms of the account
            return []
        with stack_call("cannot look at the alarms"):
            answer = self._client("cloudwatch").describe_alarms(
                AlarmNames=names, AlarmTypes=["MetricAlarm", "CompositeAlarm"], MaxRecords=_MOST_ALARMS
            )
        described = [*answer.get("MetricAlarms", []), *answer.get("CompositeAlarms", [])]
        found = {each["AlarmName"]: each for each in described}
        return [
            DeployedAlarm(
                name,
                state=found[name]["StateValue"] if name in found else None,
                acts=found.get(name, {}).get("ActionsEnabled", True),
            )
            for name in names
        ]

    def subscribers(self, topic_arn: str) -> tuple[int, int]:
        """Count who hears of alarms: those that confirmed, and those that did not yet.

        Raises
        ------
        StackError
            SNS did not tell.
        """
        with stack_call("cannot list who hears of alarms"):
            pages = self._client("sns").get_paginator("list_subscriptions_by_topic").paginate(TopicArn=topic_arn)
            arns = [each["SubscriptionArn"] for page in pages for each in page["Subscriptions"]]
        return sum(arn != _PENDING for arn in arns), sum(arn == _PENDING for arn in arns)

    def total(self, metric: str, since: datetime, **dimensions: str) -> float | None:
        """Add up a metric of the stack; ``None`` if CloudWatch has no data.

        Parameters
        ----------
        **dimensions
            Those beside ``stack``.

        Raises
        ------
        StackError
            CloudWatch did not tell.
        """
        names = {"stack": self._stack, **dimensions}
        with stack_call(f"cannot read the metric {metric}"):
            points = self._client("cloudwatch").get_metric_statistics(
                Namespace=_NAMESPACE,
                MetricName=metric,
                Dimensions=[{"Name": name, "Value": value} for name, value in names.items()],
                StartTime=since,
                EndTime=datetime.now(UTC) + timedelta(minutes=1),
                Period=60,
                Statistics=["Sum"],
            )["Datapoints"]
        return sum(point["Sum"] for point in points) if points else None

    @cached_property
    def _resources(self) -> Mapping[str, list[str]]:
        """The names of the stack's resources, by their type."""
        found = defaultdict[str, list[str]](list)
        with stack_call(f"cannot list the resources of {self._stack}"):
            pages = self._client("cloudformation").get_paginator("list_stack_resources")
            for page in pages.paginate(StackName=self._stack):
                for each in page["StackResourceSummaries"]:
                    if name := each.get("PhysicalResourceId"):
                        found[each["ResourceType"]].append(name)
        return found


def _deployed_part(configuration: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a deployment may have changed. Without a VPC Lambda tells of an empty one, or of none."""
    network = configuration.get("VpcConfig", {})
    return {name: configuration.get(name) for name in _DEPLOYED} | {
        "Layers": [layer["Arn"] for layer in configuration.get("Layers", [])],
        "SubnetIds": sorted(network.get("SubnetIds", [])),
        "SecurityGroupIds": sorted(network.get("SecurityGroupIds", [])),
    }


def _event_source(mapping: Mapping[str, Any]) -> EventSource:
    settings = {
        "BatchSize": mapping.get("BatchSize"),
        "BatchingWindowSeconds": mapping.get("MaximumBatchingWindowInSeconds"),
        "MaximumConcurrency": (mapping.get("ScalingConfig") or {}).get("MaximumConcurrency"),
    }
    return EventSource(
        uuid=mapping["UUID"],
        function=mapping["FunctionArn"],
        state=mapping.get("State", ""),
        settings={name: value for name, value in settings.items() if value is not None},
        reports_failures="ReportBatchItemFailures" in mapping.get("FunctionResponseTypes", []),
    )
