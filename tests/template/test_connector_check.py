"""Does the connector check run every day, once, and is it told what its code reads?"""

from collections.abc import Callable
from typing import Any

import pytest

from responsys_activation.connector_check.request import read_check_request
from responsys_activation.settings import ConnectionSettings, read_settings
from tests.template.cloudformation import Stack


@pytest.fixture(scope="module")
def function(stack: Stack) -> dict[str, Any]:
    return dict(stack.of_type("AWS::Lambda::Function")["ConnectorCheckFunction"])


def test_every_connector_is_checked_every_day(stack: Stack) -> None:
    # Given the stack's rules
    (rule,) = stack.of_type("AWS::Events::Rule").values()
    # When the one that there is is read
    (target,) = rule["Targets"]
    # Then it goes off once a day
    assert rule["ScheduleExpression"] == "cron(0 5 * * ? *)"
    assert rule.get("State", "ENABLED") == "ENABLED"
    # And asks the function for all connectors
    live = "arn:aws:lambda:eu-west-1:123456789012:function:crm-connector-check:live"
    assert target["Arn"] == live
    assert read_check_request({}).connectors is None
    assert target["Input"] == "{}"
    # And may do so
    (permission,) = stack.of_type("AWS::Lambda::Permission").values()
    assert (permission["FunctionName"], permission["Principal"], permission["Action"]) == (
        live,
        "events.amazonaws.com",
        "lambda:InvokeFunction",
    )
    assert permission["SourceArn"] == "arn:aws:events:eu-west-1:123456789012:rule/crm-connector-check"


def test_a_check_that_failed_is_not_repeated_by_lambda(stack: Stack) -> None:
    # Given that each check is a login / When Lambda's retries of scheduled events are read / Then there is none
    configurations = {each["FunctionName"]: each for each in stack.of_type("AWS::Lambda::EventInvokeConfig").values()}
    # And so for a replay that a person does not wait for
    assert set(configurations) == {"crm-connector-check", "crm-replay"}
    for configuration in configurations.values():
        assert (configuration["Qualifier"], configuration["MaximumRetryAttempts"]) == ("live", 0)


def test_its_code_finds_everything_in_its_environment(stack_with: Callable[..., Stack]) -> None:
    # Given a stack with its own trusted domains and its own patience
    stack = stack_with(TrustedEndpointDomains="responsys.net,127.0.0.1", ReplySeconds="120")
    environment = stack.of_type("AWS::Lambda::Function")["ConnectorCheckFunction"]["Environment"]["Variables"]
    # When the function's own reader reads the environment
    settings = read_settings(ConnectionSettings, environment)
    # Then everything is there, and the same as the delivering function's
    assert settings.trusted_endpoint_domains == ("responsys.net", "127.0.0.1")
    assert settings.reply_seconds == 120
    delivering = stack.of_type("AWS::Lambda::Function")["SegmentEventsFunction"]["Environment"]["Variables"]
    own = {"POWERTOOLS_SERVICE_NAME": "connector_check"}
    assert environment == {name: delivering[name] for name in environment} | own


def test_it_neither_reads_nor_sends_messages(stack: Stack, function: dict[str, Any]) -> None:
    # Given its environment and role / When queues are looked for / Then it knows none
    assert "QUEUE" not in " ".join(function["Environment"]["Variables"])
    (policy,) = stack.of_type("AWS::IAM::Role")["ConnectorCheckFunctionRole"]["Policies"]
    assert "sqs" not in str(policy)
