"""Do the functions that log in come from the VPC that is given, and are they attached to none otherwise?"""

from collections.abc import Callable

import pytest

from tests.template.cloudformation import Stack

SUBNETS = ["subnet-0123456789abcdef0", "subnet-0123456789abcdef1"]
GROUPS = ["sg-0123456789abcdef0"]
IN_VPC = {"VpcSubnetIds": ",".join(SUBNETS), "VpcSecurityGroupIds": ",".join(GROUPS)}
LOG_IN = {"SegmentEventsFunction": "crm-segment-events", "ConnectorCheckFunction": "crm-connector-check"}

# What Lambda's documentation asks of the role of an attached function.
ATTACHING = {
    "ec2:CreateNetworkInterface",
    "ec2:DeleteNetworkInterface",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeSubnets",
    "ec2:AssignPrivateIpAddresses",
    "ec2:UnassignPrivateIpAddresses",
}


def test_no_function_is_attached_unless_subnets_are_given(stack: Stack) -> None:
    # Given a stack without a VPC / When its functions and roles are read / Then nothing there is about networks
    assert not any("VpcConfig" in function for function in stack.of_type("AWS::Lambda::Function").values())
    assert "ec2:" not in str(stack.of_type("AWS::IAM::Role"))


def test_the_functions_that_log_in_are_attached_and_no_other(stack_with: Callable[..., Stack]) -> None:
    # Given subnets and security groups
    functions = stack_with(**IN_VPC).of_type("AWS::Lambda::Function")
    # When the functions are read / Then those that reach Responsys are attached to all of them
    attached = {name: function["VpcConfig"] for name, function in functions.items() if "VpcConfig" in function}
    assert attached == {name: {"SubnetIds": SUBNETS, "SecurityGroupIds": GROUPS} for name in LOG_IN}


@pytest.mark.parametrize("given", IN_VPC)
def test_one_without_the_other_is_left_to_lambda_to_refuse(stack_with: Callable[..., Stack], given: str) -> None:
    # Given subnets without security groups, or the reverse
    function = stack_with(**{given: IN_VPC[given]}).of_type("AWS::Lambda::Function")["SegmentEventsFunction"]
    # When the function is read / Then it asks to be attached, with one of the two empty, which is an error
    assert sorted(function["VpcConfig"].values()) == sorted([[""], IN_VPC[given].split(",")])


@pytest.mark.parametrize("function", LOG_IN)
def test_lambda_may_attach_the_function_and_the_functions_code_may_not(
    stack_with: Callable[..., Stack], function: str
) -> None:
    # Given subnets and security groups
    role = stack_with(**IN_VPC).of_type("AWS::IAM::Role")[f"{function}Role"]
    # When what the role says of networks is read
    (policy,) = role["Policies"]
    allowed, denied = [s for s in policy["PolicyDocument"]["Statement"] if "ec2:" in str(s["Action"])]
    # Then it allows what Lambda needs
    assert (allowed["Effect"], set(allowed["Action"]), allowed["Resource"]) == ("Allow", ATTACHING, "*")
    # And denies all of it to calls that come from the function itself
    arn = f"arn:aws:lambda:eu-west-1:123456789012:function:{LOG_IN[function]}"
    assert (denied["Effect"], denied["Action"], denied["Resource"]) == ("Deny", "ec2:*", "*")
    assert denied["Condition"] == {"ArnEquals": {"lambda:SourceFunctionArn": arn}}
