"""Does a deployment reach the event sources as a new version, and leave the version alone that it does not touch?"""

from collections.abc import Iterator

import pytest

from tests.local_stack.repeating import eventually
from tests.local_stack.stack import STACK_NAME, LocalStack


@pytest.fixture
def updated_stack(stack: LocalStack) -> Iterator[LocalStack]:
    """Return the stack, and afterwards deploy its parameters as they were."""
    yield stack
    deploy(stack)


def deploy(stack: LocalStack, **parameters: str) -> None:
    """Deploy the same template with other parameters."""
    given = {**stack.parameters, **parameters}
    stack.endpoint.cloudformation.update_stack(
        StackName=STACK_NAME,
        UsePreviousTemplate=True,
        Parameters=[{"ParameterKey": name, "ParameterValue": value} for name, value in given.items()],
        Capabilities=["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM"],
    )
    assert eventually(lambda: status(stack) == "UPDATE_COMPLETE"), status(stack)


def status(stack: LocalStack) -> str:
    (described,) = stack.endpoint.cloudformation.describe_stacks(StackName=STACK_NAME)["Stacks"]
    return described["StackStatus"]


def live(stack: LocalStack) -> tuple[str, str]:
    """The version that the alias points at, and what it does with outcomes that are not known."""
    alias = stack.endpoint.lambda_.get_alias(FunctionName=stack.function_name, Name="live")
    function = stack.endpoint.lambda_.get_function_configuration(FunctionName=stack.function_name, Qualifier="live")
    return alias["FunctionVersion"], function["Environment"]["Variables"]["UNKNOWN_OUTCOME"]


def test_another_parameter_is_live_where_it_counts_and_nowhere_else(updated_stack: LocalStack) -> None:
    # Given a deployed stack
    stack = updated_stack
    version, _ = live(stack)
    # When a parameter of the alarms is deployed / Then the version stays
    deploy(stack, RejectedMessagesAllowed="7")
    assert live(stack) == (version, "Resend")
    # When one of the function is deployed / Then a new version is live, and has it
    deploy(stack, RejectedMessagesAllowed="7", UnknownOutcome="Reject")
    new_version, outcome = live(stack)
    assert (int(new_version) > int(version), outcome) == (True, "Reject")
