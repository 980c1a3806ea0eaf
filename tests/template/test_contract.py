"""Does the stack offer exactly the parameters and outputs that other systems rely on?"""

from collections.abc import Callable
from typing import Any

from responsys_activation import __version__
from tests.template.cloudformation import Stack

PARAMETERS_OF_THE_CONTRACT = {
    "ResponsysAuthEndpoint",
    "ResponsysUsername",
    "ResponsysPassword",
    "CredentialsSecretArn",
    "ProfileListName",
    "ProfileListFolder",
    "IdentifierType",
    "DefaultEventName",
    "RequestsPerMinute",
    "BatchSize",
    "BatchingWindowSeconds",
    "MaximumConcurrency",
    "MaximumEventAgeHours",
    "TrustedEndpointDomains",
    "AlarmEmail",
    "LogLevel",
    "LogRetentionDays",
    "MaximumResends",
    "OutcomeFeed",
    "ReplySeconds",
    "Webhook",
    "UpstreamEventSource",
    "UpstreamStreamArn",
}
FURTHER_PARAMETERS = {
    "Architecture",
    "EventNames",
    "FormerKmsKeyArns",
    "KmsKeyArn",
    "RequestsInFlight",
    "UnknownOutcome",
    "UpstreamEventBusName",
    "VpcSecurityGroupIds",
    "VpcSubnetIds",
    "WebhookBurst",
    "WebhookRequestsPerSecond",
    # Alarms
    "DeadLetterDaysAllowed",
    "DuplicateSharePercentAllowed",
    "DurationPercentAllowed",
    "FailureSharePercentAllowed",
    "FunctionErrorsAllowed",
    "FunctionThrottlesAllowed",
    "OldestMessageSecondsAllowed",
    "OutcomesUnknownAllowed",
    "PagingTopicArn",
    "ProducerSilentHours",
    "RejectedMessagesAllowed",
    "RunbookUrl",
    "ThrottledRequestsAllowed",
    "WebhookErrorsAllowed",
    "WebhookRefusalsAllowed",
}


def test_parameters_are_those_of_the_contract(source: dict[str, Any]) -> None:
    # Given the template / When its parameters are listed
    parameters = set(source["Parameters"])
    # Then none is missing and none unexpected
    assert parameters == PARAMETERS_OF_THE_CONTRACT | FURTHER_PARAMETERS


def test_only_the_endpoint_and_the_list_lack_a_default(source: dict[str, Any]) -> None:
    # Given the template / When parameters without a default are looked for
    without = {name for name, definition in source["Parameters"].items() if "Default" not in definition}
    # Then only these two stop a deployment; a rule asks for the credentials
    assert without == {"ResponsysAuthEndpoint", "ProfileListName"}


def test_every_parameter_is_shown_in_one_group(source: dict[str, Any]) -> None:
    # Given the groups in which a console shows the parameters
    groups = source["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]
    # When their members are listed
    shown = [name for group in groups for name in group["Parameters"]]
    # Then each parameter is there once
    assert sorted(shown) == sorted(source["Parameters"])


def test_outputs_are_those_of_the_contract_and_the_functions_that_people_invoke(stack: Stack) -> None:
    # Given a stack named "crm" / When its outputs are read / Then they lead to its parts
    assert stack.outputs == {
        "Version": __version__,
        "SegmentEventsQueueUrl": "https://sqs.eu-west-1.amazonaws.com/123456789012/crm-segment-events",
        "SegmentEventsQueueArn": "arn:aws:sqs:eu-west-1:123456789012:crm-segment-events",
        "ThrottledDeadLetterQueueUrl": "https://sqs.eu-west-1.amazonaws.com/123456789012/crm-throttled-dlq",
        "RejectedDeadLetterQueueUrl": "https://sqs.eu-west-1.amazonaws.com/123456789012/crm-rejected-dlq",
        "SegmentEventsFunctionName": "crm-segment-events",
        "ConnectorCheckFunctionName": "crm-connector-check:live",
        "ReplayFunctionName": "crm-replay:live",
        "ConnectorParameterPrefix": "/crm/connectors/",
        "AlarmTopicArn": "arn:aws:sns:eu-west-1:123456789012:crm-alarms",
        "DashboardName": "crm-eu-west-1",
    }


def test_every_function_is_tagged_with_the_release_of_its_package(stack: Stack) -> None:
    # Given the functions / When their tags are read / Then each has the version of what runs in it
    functions = stack.of_type("AWS::Lambda::Function").values()
    tags = [{tag["Key"]: tag["Value"] for tag in function["Tags"]} for function in functions]
    assert [each["version"] for each in tags] == [__version__] * len(functions)


def test_outputs_say_what_they_are_for(source: dict[str, Any]) -> None:
    # Given the outputs / When their descriptions are looked for / Then each has one
    assert all(output.get("Description") for output in source["Outputs"].values())


def test_connector_is_stored_below_the_prefix_that_the_stack_names(
    stack_with: Callable[..., Stack],
) -> None:
    # Given a stack
    stack = stack_with()
    # When its connector parameter is looked up
    (connector,) = stack.of_type("AWS::SSM::Parameter").values()
    # Then its name is the prefix and "default", and the functions that read connectors are told the same prefix
    prefix = stack.outputs["ConnectorParameterPrefix"]
    assert connector["Name"] == f"{prefix}default"
    for name in ("SegmentEventsFunction", "ConnectorCheckFunction"):
        function = stack.resources[name]["Properties"]
        assert function["Environment"]["Variables"]["CONNECTOR_PARAMETER_PREFIX"] == prefix
