"""Is it the stack that the command line means, and never another?"""

from __future__ import annotations

import json
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

import pytest
from botocore.stub import Stubber

from responsys_activation.aws.deployed_stack import DeployedStack
from responsys_activation.aws.stack_call import StackError
from responsys_activation.cli.exit_code import CommandError
from responsys_activation.cli.stack import add_stack_options, stack_in_use


def find(*arguments: str, directory: Path, **environment: str) -> DeployedStack:
    parser = ArgumentParser()
    add_stack_options(parser)
    return stack_in_use(parser.parse_args(arguments), environment, directory)


def local_stack(folder: Path, content: Any) -> Path:
    """Write what `make local` writes."""
    path = folder / ".local" / "outputs.json"
    path.parent.mkdir()
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


RUNNING = {"stackName": "local-one", "awsEndpointUrl": "http://127.0.0.1:4566", "region": "us-east-1", "more": 1}


def test_without_a_name_it_is_the_local_stack_of_this_folder_or_one_around_it(tmp_path: Path) -> None:
    # Given a running local stack / When a command is run in a folder of its checkout
    local_stack(tmp_path, RUNNING)
    inner = tmp_path / "docs" / "performance"
    inner.mkdir(parents=True)
    stack = find(directory=inner, STACK="prod")
    # Then it is found, whatever the environment names
    assert (stack.name, stack.is_local, stack.title) == ("local-one", True, "local-one (local)")


def test_with_a_name_it_is_on_aws_even_where_a_local_stack_runs(tmp_path: Path) -> None:
    local_stack(tmp_path, RUNNING)
    stack = find("--stack", "prod", directory=tmp_path)
    assert (stack.name, stack.is_local, stack.title) == ("prod", False, "prod")


@pytest.mark.parametrize("content", ["", "[]", '{"region": "us-east-1"}'])
def test_a_file_that_says_nothing_is_named(tmp_path: Path, content: str) -> None:
    path = local_stack(tmp_path, content)
    with pytest.raises(CommandError, match=str(path)):
        find(directory=tmp_path)


def test_a_profile_that_does_not_exist_is_told(tmp_path: Path) -> None:
    with pytest.raises(StackError, match="nobody"):
        find("--stack", "prod", "--profile", "nobody", directory=tmp_path)


@pytest.mark.parametrize(
    ("arguments", "environment", "region"),
    [
        (["--region", "eu-central-1"], {"AWS_REGION": "eu-north-1"}, "eu-central-1"),
        ([], {"AWS_REGION": "eu-north-1"}, "eu-north-1"),
        ([], {}, "eu-west-1"),  # what boto3 finds by itself
    ],
)
def test_the_region_is_found_as_the_aws_cli_does(
    arguments: list[str], environment: dict[str, str], region: str, tmp_path: Path
) -> None:
    stack = find("--stack", "prod", *arguments, directory=tmp_path, **environment)
    assert stack._client("cloudformation").meta.region_name == region


def described(stack: DeployedStack, **description: Any) -> Stubber:
    """Let CloudFormation describe a stack."""
    stub = Stubber(stack._client("cloudformation"))
    known = {"StackName": "prod", "CreationTime": "2026-01-01T00:00:00Z", "StackStatus": "CREATE_COMPLETE"}
    stub.add_response("describe_stacks", {"Stacks": [{**known, **description}]}, {"StackName": "prod"})
    return stub


def test_outputs_and_parameters_come_from_cloudformation(tmp_path: Path) -> None:
    # Given a stack / When it is asked
    stack = find("--stack", "prod", directory=tmp_path)
    outputs = [{"OutputKey": "ReplayFunctionName", "OutputValue": "prod-replay"}]
    parameters = [{"ParameterKey": "MaximumEventAgeHours", "ParameterValue": "48"}]
    with described(stack, Outputs=outputs, Parameters=parameters):
        # Then it is described once, and another's stack is told from ours
        assert stack.output("ReplayFunctionName") == "prod-replay"
        assert stack.parameters == {"MaximumEventAgeHours": "48"}
        with pytest.raises(StackError, match="prod has no output SegmentEventsQueueUrl: is it a stack of"):
            stack.output("SegmentEventsQueueUrl")


def test_a_stack_that_does_not_exist_is_told_in_aws_words(tmp_path: Path) -> None:
    stack = find("--stack", "prod", directory=tmp_path)
    stub = Stubber(stack._client("cloudformation"))
    stub.add_client_error("describe_stacks", "ValidationError", "Stack with id prod does not exist")
    with stub, pytest.raises(StackError, match=r"^stack prod: Stack with id prod does not exist$"):
        stack.output("ReplayFunctionName")
