"""Is the webhook there when it is asked for and only then, and does it let in only what its function can judge?"""

import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from responsys_activation.aws.faults import SLOWEST_SETTLING_CALL
from responsys_activation.aws.queues import LARGEST_MESSAGE
from responsys_activation.settings import WebhookSettings, read_settings
from tests.local_stack.metric_math import value_at
from tests.template.cloudformation import Stack
from tests.template.test_function import MAY_BY_ROLE

LONGEST_INTEGRATION = 30_000  # milliseconds that an HTTP API waits at most


@pytest.fixture(scope="module")
def webhook(stack_with: Callable[..., Stack]) -> Stack:
    return stack_with(Webhook="On")


def the_only(stack: Stack, resource_type: str) -> Any:
    (properties,) = stack.of_type(resource_type).values()
    return properties


def test_nothing_of_it_is_there_unless_it_is_asked_for(stack: Stack, webhook: Stack) -> None:
    # Given a stack with a webhook, and one that was not asked for one
    added = set(webhook.resources) - set(stack.resources)
    # When their parts are compared / Then every part of the webhook is in the first alone, and so are its outputs
    assert {name for name in webhook.resources if name.startswith("Webhook")} == added
    assert set(webhook.outputs) - set(stack.outputs) == {"WebhookUrl", "WebhookSecretArn"}
    assert "ebhook" not in json.dumps([stack.resources, stack.outputs])


def test_a_post_to_its_address_invokes_the_function(webhook: Stack) -> None:
    # Given the address that the stack names
    host = r"https://WebhookApi\.execute-api\.eu-west-1\.amazonaws\.com"
    address = re.fullmatch(rf"{host}(/\w+)", webhook.outputs["WebhookUrl"])
    assert address
    # When the way from its route is followed
    route = the_only(webhook, "AWS::ApiGatewayV2::Route")
    integration = the_only(webhook, "AWS::ApiGatewayV2::Integration")
    # Then it leads to the function's alias, in the format that the code reads
    assert route["RouteKey"] == f"POST {address[1]}"
    assert route["Target"] == "integrations/WebhookIntegration"
    assert integration["IntegrationUri"] == "arn:aws:lambda:eu-west-1:123456789012:function:crm-webhook:live"
    assert (integration["IntegrationType"], integration["PayloadFormatVersion"]) == ("AWS_PROXY", "2.0")
    # And this route alone may invoke it
    permission = webhook.of_type("AWS::Lambda::Permission")["WebhookPermission"]
    assert permission["FunctionName"] == integration["IntegrationUri"]
    assert permission["Principal"] == "apigateway.amazonaws.com"
    assert permission["SourceArn"] == f"arn:aws:execute-api:eu-west-1:123456789012:WebhookApi/*/POST{address[1]}"


def test_its_stage_lets_through_as_many_requests_as_is_said(stack_with: Callable[..., Stack]) -> None:
    # Given a stack with limits of its own
    stack = stack_with(Webhook="On", WebhookRequestsPerSecond="7", WebhookBurst="9")
    # When the stage is read / Then it has them, and answers at the root
    stage = the_only(stack, "AWS::ApiGatewayV2::Stage")
    assert stage["DefaultRouteSettings"] == {"ThrottlingRateLimit": "7", "ThrottlingBurstLimit": "9"}
    assert (stage["StageName"], stage["AutoDeploy"]) == ("$default", True)


def test_the_function_answers_before_the_gateway_gives_up(webhook: Stack) -> None:
    # Given both time-outs
    gateway = the_only(webhook, "AWS::ApiGatewayV2::Integration")["TimeoutInMillis"]
    function = webhook.of_type("AWS::Lambda::Function")["WebhookFunction"]["Timeout"]
    # When they are compared / Then there is time for the slowest calls: a version of the secret, then messages
    assert function > 2 * SLOWEST_SETTLING_CALL
    assert 1000 * function < gateway <= LONGEST_INTEGRATION


def test_its_code_finds_queue_and_secret_in_its_environment(webhook: Stack) -> None:
    # Given its environment / When its own reader reads it
    environment = webhook.of_type("AWS::Lambda::Function")["WebhookFunction"]["Environment"]["Variables"]
    settings = read_settings(WebhookSettings, environment)
    # Then they are those that the stack names
    assert settings.segment_events_queue_url == webhook.outputs["SegmentEventsQueueUrl"]
    assert settings.webhook_secret_id == webhook.outputs["WebhookSecretArn"]
    assert settings.stack_name == "crm"
    assert environment["POWERTOOLS_SERVICE_NAME"] == "webhook"


def test_it_puts_no_more_into_a_message_than_the_queue_takes(webhook: Stack) -> None:
    # Given the queue / When its limit is read / Then it is the code's
    assert webhook.of_type("AWS::SQS::Queue")["SegmentEventsQueue"]["MaximumMessageSize"] == LARGEST_MESSAGE


def test_the_secret_is_made_here_and_read_by_nobody_else(webhook: Stack) -> None:
    # Given the secret
    secret = webhook.of_type("AWS::SecretsManager::Secret")["WebhookSecret"]
    # When it is read / Then nobody chose it, and it needs no quotes in a header
    assert secret["GenerateSecretString"] == {"PasswordLength": 48, "ExcludePunctuation": True}
    assert "SecretString" not in secret
    # And the roles of other functions do not reach it
    reached = [
        role
        for role, may in MAY_BY_ROLE.items()
        for resource, actions in may.items()
        if "secretsmanager:GetSecretValue" in actions
        and webhook.outputs["WebhookSecretArn"].startswith(resource.removesuffix("*"))
    ]
    assert reached == ["WebhookFunctionRole"]


def test_the_access_log_is_json_without_anything_of_the_caller(webhook: Stack) -> None:
    # Given the format of a line, as API Gateway fills it
    settings = the_only(webhook, "AWS::ApiGatewayV2::Stage")["AccessLogSettings"]
    variables = re.findall(r"\$context\.([A-Za-z.]+)", settings["Format"])
    # When it is read / Then it is JSON
    line = json.loads(settings["Format"])
    assert line["apiRequestId"] == "$context.requestId"  # the function's own log lines call it so
    # And tells of the answer, and neither who asked nor what
    assert set(variables) == {
        "error.message",
        "integrationErrorMessage",
        "integrationLatency",
        "integrationStatus",
        "requestId",
        "requestTime",
        "responseLatency",
        "routeKey",
        "status",
    }
    assert settings["DestinationArn"].startswith("arn:aws:logs:eu-west-1:123456789012:log-group:/aws/vendedlogs/crm-")


@pytest.mark.parametrize(
    ("counted", "rings"),
    [
        ({}, False),
        ({"unauthorised": 20}, False),
        ({"unauthorised": 21}, True),
        ({"unreadable": 21}, True),
        ({"tooLarge": 21}, True),
        ({"unauthorised": 7, "unreadable": 7, "tooLarge": 7}, True),
    ],
)
def test_what_is_refused_for_any_reason_rings_when_it_is_much(
    webhook: Stack, counted: dict[str, float], rings: bool
) -> None:
    # Given five minutes of refused requests, some reasons without data
    alarm = webhook.of_type("AWS::CloudWatch::Alarm")["WebhookRefusalsAlarm"]
    (query,) = [query for query in alarm["Metrics"] if "Expression" in query]
    ids: dict[str, float | None] = {query["Id"]: None for query in alarm["Metrics"] if "MetricStat" in query}
    # When they are added up / Then more than the threshold is too much
    value = value_at(query["Expression"], {**ids, **counted})
    assert value is not None
    assert (value > float(alarm["Threshold"])) is rings
    statuses = {
        query["Id"]: {each["Name"]: each["Value"] for each in query["MetricStat"]["Metric"]["Dimensions"]}["status"]
        for query in alarm["Metrics"]
        if "MetricStat" in query
    }
    assert statuses == {"unauthorised": "401", "unreadable": "400", "tooLarge": "413"}


def test_one_request_in_each_of_two_periods_that_it_does_not_take_wakes_somebody_up(webhook: Stack) -> None:
    # Given the alarm on what the gateway answers with 5xx / When it is read / Then a single bad moment is not enough
    alarm = webhook.of_type("AWS::CloudWatch::Alarm")["WebhookErrorsAlarm"]
    assert (alarm["Namespace"], alarm["MetricName"], alarm["Statistic"]) == ("AWS/ApiGateway", "5xx", "Sum")
    assert (float(alarm["Threshold"]), alarm["Period"]) == (0, 300)
    assert (alarm["EvaluationPeriods"], alarm["DatapointsToAlarm"]) == (3, 2)
    # And it pages, where it is there
    (page,) = webhook.of_type("AWS::CloudWatch::CompositeAlarm").values()
    assert 'ALARM("crm-webhook-errors")' in page["AlarmRule"].split(" OR ")


@pytest.mark.parametrize(("errors", "throttles", "rings"), [(None, None, False), (1, None, True), (None, 1, True)])
def test_a_function_that_does_not_answer_rings(
    webhook: Stack, errors: float | None, throttles: float | None, rings: bool
) -> None:
    # Given a period of the function / When its failures are added up / Then one is enough
    alarm = webhook.of_type("AWS::CloudWatch::Alarm")["WebhookFunctionAlarm"]
    (query,) = [query for query in alarm["Metrics"] if "Expression" in query]
    value = value_at(query["Expression"], {"errors": errors, "throttles": throttles})
    assert value is not None
    assert (value > float(alarm["Threshold"])) is rings
