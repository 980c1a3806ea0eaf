"""Is the state of a stack's resources read as AWS tells it?"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from responsys_activation.aws.deployment import DeployedAlarm, DeployedFunction, Deployment, EventSource
from responsys_activation.aws.stack_call import StackError
from tests.unit.aws.stubbed import ANY, StubbedAws

QUEUE = "arn:aws:sqs:eu-west-1:123456789012:prod-segment-events"
FUNCTION = "arn:aws:lambda:eu-west-1:123456789012:function:prod-segment-events:live"
OURS, OTHER = "00000000-0000-4000-8000-000000000001", "00000000-0000-4000-8000-000000000002"


@pytest.fixture
def aws() -> StubbedAws:
    return StubbedAws()


@pytest.fixture
def deployment(aws: StubbedAws) -> Deployment:
    return Deployment("prod", aws.client)


def configuration(**changes: Any) -> dict[str, Any]:
    return {
        "FunctionName": "prod-segment-events",
        "Version": "$LATEST",
        "CodeSha256": "sha-1",
        "Layers": [{"Arn": "arn:aws:lambda:eu-west-1:123456789012:layer:package:3", "CodeSize": 1}],
        "Environment": {"Variables": {"REPLY_SECONDS": "60"}},
        "State": "Active",
        "LastUpdateStatus": "Successful",
        "Timeout": 180,
        **changes,
    }


def looked_at(aws: StubbedAws, live: dict[str, Any], latest: dict[str, Any]) -> None:
    named = {"FunctionName": "prod-segment-events"}
    aws.answers("lambda", "get_function_configuration", live, **named, Qualifier="live")
    aws.answers("lambda", "get_function_configuration", latest, **named)


@pytest.mark.parametrize("name", ["prod-segment-events", "prod-segment-events:live"])
def test_a_function_is_told_as_its_alias_has_it(aws: StubbedAws, deployment: Deployment, name: str) -> None:
    # Given a function whose alias has what was deployed last / When it is looked at
    looked_at(aws, configuration(Version="7"), configuration())
    # Then version and states are told
    assert deployment.function(name) == DeployedFunction("7", "Active", "Successful", reason="", is_latest=True)


@pytest.mark.parametrize(
    "changes",
    [
        {"CodeSha256": "sha-0"},
        {"Layers": [{"Arn": "arn:aws:lambda:eu-west-1:123456789012:layer:package:2"}]},
        {"Environment": {"Variables": {"REPLY_SECONDS": "45"}}},
        {"Timeout": 120},
        {"VpcConfig": {"SubnetIds": ["subnet-01234567"]}},
    ],
)
def test_an_alias_that_has_other_code_layers_or_settings_is_told(
    aws: StubbedAws, deployment: Deployment, changes: dict[str, Any]
) -> None:
    looked_at(aws, configuration(Version="6", **changes), configuration())
    assert deployment.function("prod-segment-events").is_latest is False


def test_no_vpc_is_told_in_two_ways_and_is_the_same(aws: StubbedAws, deployment: Deployment) -> None:
    looked_at(aws, configuration(Version="7"), configuration(VpcConfig={"SubnetIds": [], "VpcId": ""}))
    assert deployment.function("prod-segment-events").is_latest is True


def test_an_update_that_failed_is_told_with_its_reason(aws: StubbedAws, deployment: Deployment) -> None:
    failed = configuration(LastUpdateStatus="Failed", LastUpdateStatusReason="no such subnet")
    looked_at(aws, configuration(Version="7"), failed)
    function = deployment.function("prod-segment-events")
    assert (function.last_update, function.reason) == ("Failed", "no such subnet")


def test_a_function_without_the_alias_is_told_in_awss_words(aws: StubbedAws, deployment: Deployment) -> None:
    aws.refuses("lambda", "get_function_configuration", "Function not found: prod-segment-events:live")
    with pytest.raises(StackError, match=r"^cannot look at the function prod-segment-events: Function not found"):
        deployment.function("prod-segment-events")


def test_event_sources_are_told_by_the_names_of_the_stacks_parameters(aws: StubbedAws, deployment: Deployment) -> None:
    # Given two mappings of a queue, on two pages
    ours = {
        "UUID": OURS,
        "FunctionArn": FUNCTION,
        "State": "Enabled",
        "BatchSize": 5000,
        "MaximumBatchingWindowInSeconds": 5,
        "ScalingConfig": {"MaximumConcurrency": 2},
        "FunctionResponseTypes": ["ReportBatchItemFailures"],
    }
    bare = {"UUID": OTHER, "FunctionArn": FUNCTION, "State": "Disabled", "BatchSize": 10}
    pages = {"EventSourceArn": QUEUE}
    aws.answers("lambda", "list_event_source_mappings", {"EventSourceMappings": [ours], "NextMarker": "m"}, **pages)
    aws.answers("lambda", "list_event_source_mappings", {"EventSourceMappings": [bare]}, **pages, Marker="m")
    # When they are looked at / Then both are told
    settings = {"BatchSize": 5000, "BatchingWindowSeconds": 5, "MaximumConcurrency": 2}
    assert deployment.event_sources(QUEUE) == [
        EventSource(OURS, FUNCTION, "Enabled", settings, reports_failures=True),
        EventSource(OTHER, FUNCTION, "Disabled", {"BatchSize": 10}, reports_failures=False),
    ]


def test_the_alarms_are_those_that_were_deployed_and_no_other_stacks(aws: StubbedAws, deployment: Deployment) -> None:
    # Given three alarms of the stack, one of which somebody deleted
    resources = [
        ("AWS::CloudWatch::Alarm", "prod-near-timeout"),
        ("AWS::CloudWatch::Alarm", "prod-gone"),
        ("AWS::CloudWatch::CompositeAlarm", "prod-page"),
        ("AWS::SQS::Queue", "prod-queue"),
    ]
    summaries = [
        {
            "LogicalResourceId": name,
            "PhysicalResourceId": name,
            "ResourceType": kind,
            "LastUpdatedTimestamp": datetime(2026, 1, 1, tzinfo=UTC),
            "ResourceStatus": "CREATE_COMPLETE",
        }
        for kind, name in resources
    ]
    aws.answers("cloudformation", "list_stack_resources", {"StackResourceSummaries": summaries}, StackName="prod")
    aws.answers(
        "cloudwatch",
        "describe_alarms",
        {
            "MetricAlarms": [{"AlarmName": "prod-near-timeout", "StateValue": "ALARM", "ActionsEnabled": False}],
            "CompositeAlarms": [{"AlarmName": "prod-page", "StateValue": "OK", "ActionsEnabled": True}],
        },
        AlarmNames=["prod-gone", "prod-near-timeout", "prod-page"],
        AlarmTypes=["MetricAlarm", "CompositeAlarm"],
        MaxRecords=100,
    )
    # When they are looked at / Then each is told as it is
    assert deployment.alarms() == [
        DeployedAlarm("prod-gone", None, acts=True),
        DeployedAlarm("prod-near-timeout", "ALARM", acts=False),
        DeployedAlarm("prod-page", "OK", acts=True),
    ]


def test_a_stack_without_alarms_does_not_ask_for_all_of_the_account(aws: StubbedAws, deployment: Deployment) -> None:
    aws.answers("cloudformation", "list_stack_resources", {"StackResourceSummaries": []}, StackName="prod")
    assert deployment.alarms() == []


def test_subscriptions_that_wait_for_a_click_are_counted_by_themselves(aws: StubbedAws, deployment: Deployment) -> None:
    arns = ["arn:aws:sns:eu-west-1:123456789012:prod-alarms:1", "PendingConfirmation"]
    answer = {"Subscriptions": [{"SubscriptionArn": arn} for arn in arns]}
    aws.answers("sns", "list_subscriptions_by_topic", answer, TopicArn="arn:topic")
    assert deployment.subscribers("arn:topic") == (1, 1)


@pytest.mark.parametrize(("points", "total"), [([3.0, 4.0], 7.0), ([0.0], 0.0), ([], None)])
def test_a_metric_is_added_up_under_the_stacks_own_dimension(
    aws: StubbedAws, deployment: Deployment, points: list[float], total: float | None
) -> None:
    since = datetime(2026, 1, 1, tzinfo=UTC)
    aws.answers(
        "cloudwatch",
        "get_metric_statistics",
        {"Datapoints": [{"Sum": value} for value in points]},
        Namespace="ResponsysActivation",
        MetricName="MessagesReceived",
        Dimensions=[{"Name": "stack", "Value": "prod"}, {"Name": "service", "Value": "segment_events"}],
        StartTime=since,
        EndTime=ANY,
        Period=60,
        Statistics=["Sum"],
    )
    assert deployment.total("MessagesReceived", since, service="segment_events") == total
