"""Does every change of a function reach those who invoke it, all at once, and no version come without one?

Lambda refuses a version where nothing changed, and an alias that is not moved goes on with the old one.
"""

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.template.cloudformation import Stack, refusals
from tests.template.conftest import REQUIRED, sam_translated
from tests.template.other_values import KEY, OTHER, SUBNETS

FUNCTIONS = ["SegmentEventsFunction", "ConnectorCheckFunction", "ReplayFunction", "WebhookFunction"]
LONGEST_DESCRIPTION = 256
WHOLE = {**REQUIRED, "Webhook": "On"}


@pytest.fixture(scope="module")
def stack_with(translated: dict[str, Any]) -> Callable[..., Stack]:
    """A stack with everything that may be left out."""
    return lambda **parameters: Stack(translated, {**WHOLE, **parameters})


@pytest.fixture(scope="module")
def stack(stack_with: Callable[..., Stack]) -> Stack:
    return stack_with()


def version_of(stack: Stack, function: str) -> tuple[str, dict[str, Any]]:
    """Logical id and properties of the version that a function's alias points at."""
    name = stack.of_type("AWS::Lambda::Function")[function]["FunctionName"]
    (alias,) = [a for a in stack.of_type("AWS::Lambda::Alias").values() if a["FunctionName"] == name]
    assert alias["Name"] == "live"
    ((logical_id, version),) = [
        (key, version)
        for key, version in stack.of_type("AWS::Lambda::Version").items()
        if version["FunctionName"] == name
    ]
    return logical_id, version


def test_another_value_is_known_of_each_parameter(source: dict[str, Any]) -> None:
    # Given the parameters / When the values below are held against them / Then each has one, which is taken
    assert set(OTHER) == set(source["Parameters"])
    assert refusals(source, OTHER) == []


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("parameter", OTHER)
def test_a_parameter_makes_a_new_version_exactly_where_it_changes_the_function(
    stack: Stack, stack_with: Callable[..., Stack], parameter: str, function: str
) -> None:
    # Given a stack, and the same with another value of a parameter
    other = stack_with(**{parameter: OTHER[parameter]})
    # When the function and its version are compared
    function_changed, version_changed = (
        each(stack) != each(other)
        for each in (
            lambda of: of.of_type("AWS::Lambda::Function")[function],
            lambda of: version_of(of, function),
        )
    )
    # Then the version changed if the function did, and only then
    assert version_changed == function_changed


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("layer", ["ResponsysActivationLayer", "DependenciesLayer", "BytecodeLayer"])
def test_other_content_of_a_layer_makes_a_new_version(
    source: dict[str, Any], stack: Stack, layer: str, function: str
) -> None:
    # Given a layer with other content, which is packaged under another name
    changed = copy.deepcopy(source)
    changed["Resources"][layer]["Properties"]["ContentUri"] = "other"
    # When SAM translates the template / Then it names the version anew
    assert version_of(Stack(sam_translated(changed), WHOLE), function)[0] != version_of(stack, function)[0]


@pytest.mark.parametrize("part", ["CodeUri", "MemorySize"])
def test_other_code_or_configuration_makes_a_new_version_of_that_function_alone(
    source: dict[str, Any], stack: Stack, part: str
) -> None:
    # Given other code, or another setting
    changed = copy.deepcopy(source)
    changed["Resources"]["ReplayFunction"]["Properties"][part] = "other" if part == "CodeUri" else 1024
    # When SAM translates the template
    other = Stack(sam_translated(changed), WHOLE)
    # Then it names that function's version anew, and no other's
    renamed = [name for name in FUNCTIONS if version_of(other, name)[0] != version_of(stack, name)[0]]
    assert renamed == ["ReplayFunction"]


def test_the_longest_description_of_a_version_is_one_that_lambda_takes(
    source: dict[str, Any], stack_with: Callable[..., Stack]
) -> None:
    # Given the longest value of each parameter that stands in one, three subnets and a security group
    longest = {
        "LogLevel": "DEBUG",
        "MaximumEventAgeHours": "312",
        "MaximumResends": "10",
        "ReplySeconds": "120",
        "RequestsInFlight": "50",
        "TrustedEndpointDomains": f"{'a' * (source['Parameters']['TrustedEndpointDomains']['MaxLength'] - 4)}.com",
        "KmsKeyArn": KEY,
        "VpcSubnetIds": SUBNETS,
        "VpcSecurityGroupIds": OTHER["VpcSecurityGroupIds"],
        "Architecture": "x86_64",
    }
    assert refusals(source, {**REQUIRED, **longest}) == []
    # When the versions are described / Then no description is too long
    versions = stack_with(**longest).of_type("AWS::Lambda::Version")
    assert len(versions) == len(FUNCTIONS)
    assert max(len(version["Description"]) for version in versions.values()) <= LONGEST_DESCRIPTION


def test_nobody_invokes_a_function_past_its_alias(stack: Stack) -> None:
    # Given everything in the stack that names a function to invoke
    invoking = {
        *[mapping["FunctionName"] for mapping in stack.of_type("AWS::Lambda::EventSourceMapping").values()],
        *[target["Arn"] for rule in stack.of_type("AWS::Events::Rule").values() for target in rule["Targets"]],
        *[integration["IntegrationUri"] for integration in stack.of_type("AWS::ApiGatewayV2::Integration").values()],
        *[permission["FunctionName"] for permission in stack.of_type("AWS::Lambda::Permission").values()],
        stack.outputs["ConnectorCheckFunctionName"],
        stack.outputs["ReplayFunctionName"],
    }
    # When the names are read / Then each is that of an alias
    assert len(invoking) == 5
    assert all(name.endswith(":live") for name in invoking)
    # And what the function may be told to do is said of its alias as well
    assert ":live" in json.dumps(stack.of_type("AWS::Lambda::Permission"))
