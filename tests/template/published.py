"""Which metrics are there to look at? Those that our code writes when it runs, and those that AWS documents."""

import functools
import json
from collections.abc import Mapping

from responsys_activation.aws.queues import LARGEST_MESSAGE
from responsys_activation.connector_check.report import count_failures
from responsys_activation.delivery.outcome import Delivered, Ending, Rejected
from responsys_activation.delivery.planning import Outgoing, PlannedRequest
from responsys_activation.delivery.reporting import Reporting
from responsys_activation.delivery.result import CreationResult, Exchange, RequestResult
from responsys_activation.login_report import LoginReport
from responsys_activation.observability import InvocationMetrics
from responsys_activation.received import read_record
from responsys_activation.responsys.errors import ThrottledError
from tests.fakes.function_output import captured_output
from tests.fakes.memberships import document
from tests.fakes.webhook import WebhookUnderTest, request_event
from tests.template.cloudformation import STACK_NAME, Stack

OURS = "ResponsysActivation"
_TOO_LARGE = json.dumps(document(variables={"text": "x" * LARGEST_MESSAGE}))


# From the lists of metrics in the services' own documentation, each with the dimension used here.
DOCUMENTED_BY_AWS: Mapping[tuple[str, str], str] = {
    ("AWS/EventBridge/Pipes", "ExecutionFailed"): "PipeName",
    ("AWS/Events", "InvocationsFailedToBeSentToDlq"): "RuleName",
    **{
        ("AWS/SQS", name): "QueueName"
        for name in (
            "ApproximateAgeOfOldestMessage",
            "ApproximateNumberOfMessagesDelayed",
            "ApproximateNumberOfMessagesNotVisible",
            "ApproximateNumberOfMessagesVisible",
            "NumberOfMessagesSent",
        )
    },
    **{
        ("AWS/Lambda", name): "FunctionName"
        for name in ("ConcurrentExecutions", "Duration", "Errors", "Invocations", "Throttles")
    },
    ("AWS/SNS", "NumberOfNotificationsFailed"): "TopicName",
    **{("AWS/ApiGateway", name): "ApiId" for name in ("4xx", "5xx", "Count", "Latency")},
}


@functools.cache
def written_by_our_code() -> Mapping[str, frozenset[tuple[str, ...]]]:
    """Return the dimension names that each metric of ours has, as the code writes it."""
    found: dict[str, set[tuple[str, ...]]] = {}
    for name, dimensions in _written():
        found.setdefault(name, set()).add(tuple(dimensions))
    return {name: frozenset(names) for name, names in found.items()}


@functools.cache
def services_of_our_code() -> Mapping[str, frozenset[str]]:
    """Return the services under which each metric of ours is written."""
    found: dict[str, set[str]] = {}
    for name, dimensions in _written():
        if "service" in dimensions:
            found.setdefault(name, set()).add(dimensions["service"])
    return {name: frozenset(services) for name, services in found.items()}


def require_metric(stack: Stack, namespace: str, name: str, dimensions: Mapping[str, str]) -> None:
    """Fail unless somebody publishes this metric under exactly these dimensions."""
    if namespace == OURS:
        assert tuple(dimensions) in written_by_our_code()[name]
        assert dimensions["stack"] == STACK_NAME
        assert dimensions["service"] in services_of_our_code()[name]
        assert "status" not in dimensions or (name, dict(dimensions)) in _written()
        return
    if namespace == "AWS/Events" and "EventBusName" in dimensions:  # of any other bus than the default one
        (rule,) = [
            each for each in stack.of_type("AWS::Events::Rule").values() if each["Name"] == dimensions["RuleName"]
        ]
        assert rule["EventBusName"] == dimensions["EventBusName"] != "default"
        dimensions = {name: value for name, value in dimensions.items() if name != "EventBusName"}
    ((dimension, value),) = dimensions.items()
    assert DOCUMENTED_BY_AWS[namespace, name] == dimension
    assert (
        value
        in {
            "QueueName": {queue["QueueName"] for queue in stack.of_type("AWS::SQS::Queue").values()},
            "FunctionName": {function["FunctionName"] for function in stack.of_type("AWS::Lambda::Function").values()},
            "ApiId": set(stack.of_type("AWS::ApiGatewayV2::Api")),
            "PipeName": {
                nested["Parameters"]["PipeName"] for nested in stack.of_type("AWS::CloudFormation::Stack").values()
            },
            "RuleName": {rule["Name"] for rule in stack.of_type("AWS::Events::Rule").values()},
            "TopicName": {topic["TopicName"] for topic in stack.of_type("AWS::SNS::Topic").values()},
        }[dimension]
    )


@functools.cache
def _written() -> tuple[tuple[str, dict[str, str]], ...]:
    """Run what reports in the functions once, with all there is to report."""
    message = read_record(
        {"messageId": "m", "receiptHandle": "r", "body": "{}", "eventSourceARN": "arn:aws:sqs:::segment-events"},
        0.0,
        "throttled",
    )
    request = PlannedRequest("EVENT", wave=0, items=[Outgoing(message, None, None, None)])  # type: ignore[arg-type]
    throttled = Exchange("request", 1, 0.1, failure=ThrottledError("API_LIMIT_EXCEEDED", retry_after=60))
    with captured_output() as output:
        # The names of the services, as functions/*/app.py give them; test_function.py holds them to the template.
        metrics = InvocationMetrics(STACK_NAME)
        count_failures(metrics, [], all_of_service="connector_check")
        metrics.flush()
        logins = LoginReport(metrics, service="segment_events", connector="default")
        logins.login_ended(refused_code="PASSWORD_EXPIRED")
        logins.login_held_back(code="PASSWORD_EXPIRED", reason="")
        reporting = Reporting(metrics, service="segment_events")
        reporting.connector_used("default", {"EVENT"}, [])
        reporting.doubted("default", outcomes_unknown=1, sent_in_doubt=1)
        reporting.request_ended(RequestResult("default", request, [Delivered()], exchanges=[throttled]))
        reporting.request_ended(CreationResult("default", request, [Delivered()], exchanges=[throttled]))
        endings = [Ending(message, outcome, "default", "EVENT") for outcome in (Delivered(), Rejected("EXPIRED"))]
        reporting.batch_ended(len(endings), endings, 0.1)
        reporting.outcomes_not_fed(1, [])
        webhook = WebhookUnderTest(STACK_NAME)
        for body, headers in (("{}", {}), ("no JSON", {}), ("{}", {"authorization": "none"}), (_TOO_LARGE, {})):
            webhook.answer(request_event(body, **headers))
    metrics_written = list(output.metrics())
    assert {namespace for namespace, *_ in metrics_written} == {OURS}
    written = [(name, dimensions) for _, name, dimensions, _ in metrics_written]
    return tuple(written)
