"""Does anything but Responsys and the queues' bodies ever tell who somebody is?"""

import io
import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from rich.console import Console

from tests.end_to_end.connector_under_test import ConnectorUnderTest
from tests.end_to_end.observing import REJECTED, SEGMENT_EVENTS, attributes, held_on_throttled_queue, settle, sqs_event
from tests.end_to_end.person import (
    LIKE_A_CODE,
    QUOTED,
    body_of_hers,
    connector_of_hers,
    marks_in,
)
from tests.local_stack.demo_memberships import Arrival, PublishedMembership, Rejection
from tests.local_stack.demo_report import print_report
from tests.local_stack.demo_results import differences, read_results
from tests.local_stack.http_api import post
from tests.local_stack.published_metrics import PublishedMetrics
from tests.local_stack.queues import take_all
from tests.local_stack.repeating import eventually
from tests.local_stack.stack import LocalStack
from tests.simulator.faults import (
    FAULT,
    ConnectionReset,
    ErrorReply,
    Fault,
    Redirect,
    TruncatedReply,
    WrongLengthReply,
)

if TYPE_CHECKING:
    from mypy_boto3_sqs.type_defs import MessageTypeDef

# Responsys's codes and their statuses; each comes with texts that quote her.
PASSING = {
    "API_LIMIT_EXCEEDED": 429,
    "INTERNAL_CAPACITY_LIMIT_EXCEEDED": 400,
    "TOKEN_EXPIRED": 401,
    "SERVICE_UNAVAILABLE": 503,
    "UNEXPECTED_EXCEPTION": 500,
}
FOR_GOOD = {
    "INVALID_PARAMETER": 400,
    "NO_RECIPIENT_FOUND": 404,
    "CUSTOM_EVENT_NOT_FOUND": 404,
    "PROFILE_LIST_NOT_FOUND": 404,
    "API_BLOCKED": 400,
    "DUPLICATE_API_REQUEST": 400,
    "A_CODE_OF_TOMORROW": 400,
}
OURS = {"INVALID_MESSAGE", "NO_IDENTIFIER", "NO_EVENT_NAME", "EXPIRED", "OTHER_ERROR", "INVALID_CONNECTOR"}
OURS |= {"UNKNOWN_CONNECTOR", "UNTRUSTED_ENDPOINT"}


def faults(stack: LocalStack) -> Iterator[Fault]:
    """Return every way in which a request can fail, quoting her where the reply has a text."""
    for code, status in (PASSING | FOR_GOOD).items():
        yield ErrorReply(status=status, error_code=code, title=QUOTED, detail=f"Record 0 = {QUOTED}")
    for status in (200, 400, 403, 500, 503):
        yield ErrorReply(status=status, text=f"<html>{QUOTED}</html>")
    yield Redirect(url=f"{stack.parameters['ResponsysAuthEndpoint']}/lovelace")
    yield ConnectionReset()
    yield ConnectionReset(accept_first=True)
    yield TruncatedReply()
    yield TruncatedReply(cut_connection=True)
    yield WrongLengthReply()


def failing_once(stack: LocalStack) -> Iterator[str]:
    """Return a message for each fault, on a connector of its own."""
    for fault in faults(stack):
        connector = connector_of_hers(stack)
        connector.simulator.add_fault(FAULT.validate_python(fault.model_dump() | {"account": connector.username}))
        yield body_of_hers(connector)


def each_identifier_type(stack: LocalStack) -> Iterator[str]:
    """Return a message that is delivered and one whose recipient is refused, for each type."""
    for kind, prefix in (
        ("HASHED_EMAIL", "0"),
        ("CRM_ID", "CRM_"),
        ("EMAIL", "ada."),
        ("EMAIL_MD5", "0"),
        ("MOBILE_NUMBER", "+49"),
    ):
        good = connector_of_hers(stack)
        good.put(identifier_type=kind)
        refused = {"failing": {"prefixes": [prefix]}, "failureText": LIKE_A_CODE if kind == "CRM_ID" else QUOTED}
        bad = connector_of_hers(stack, {"recipients": refused})
        bad.put(identifier_type=kind)
        yield body_of_hers(good)
        yield body_of_hers(bad)


def never_sent(stack: LocalStack) -> Iterator[str]:
    """Return messages that we reject ourselves, for each of our reasons that a message or a connector can have."""
    connector = connector_of_hers(stack)
    changes: tuple[dict[str, Any], ...] = (
        {"callType": "LOVELACE"},
        {"profileId": ["Lovelace"]},
        {"segment": {"type": "Lovelace", "id": 7700770077}},
        {"occurredAt": "Lovelace"},
        {"identifiers": {"27": {"Lovelace": 1}}},
        {"variables": {"Lovelace": "\ud800"}},
        {"variables": "Lovelace"},
        {"identifiers": {}},
        {"identifiers": {"27": "Lovelace"}},
        {"identifiers": {"27": "7700770077001", "RIID": "7700770077002"}},
        {"connector": "nobody"},
    )
    yield from (body_of_hers(connector, **change) for change in changes)
    yield '{"profileId": "Lovelace", '
    yield json.dumps({"Message": '{"Lovelace": '})
    yield json.dumps({"data_base64": "Lovelace"})
    yield body_of_hers(connector_of_hers(stack, defaultEventName=None))
    yield body_of_hers(connector_of_hers(stack, password="Lovelace"))  # a secret where none belongs
    yield body_of_hers(connector_of_hers(stack, authEndpoint="https://example.com"))


@pytest.fixture
def told(stack: LocalStack) -> Iterator[list[Any]]:
    """Let her memberships meet everything that can happen, and give the answers of the functions."""
    # The wrong password is refused in words that quote her, and then taken.
    refused = connector_of_hers(stack)
    login = ErrorReply(path="login", status=400, error_code="INVALID_USER_NAME_PASSWORD", title=QUOTED, detail=QUOTED)
    refused.simulator.add_fault(login.model_copy(update={"account": refused.username}))
    good = connector_of_hers(stack)
    twice = body_of_hers(good)
    bodies = [*never_sent(stack), *each_identifier_type(stack), *failing_once(stack), body_of_hers(refused), twice]
    good.publish([*bodies, twice])
    send_too_old(stack, good)
    with held_on_throttled_queue(stack, 1) as messages:
        answers: list[Any] = [attributes(message) for message in messages]
    settle(stack, 120)
    answers += [invoke(stack, "ConnectorCheckFunctionName", {})]
    answers += [invoke(stack, "ReplayFunctionName", {"errorCode": "NO_IDENTIFIER", "dryRun": dry}) for dry in (1, 0)]
    answers += [invoke(stack, "ReplayFunctionName", {"errorCode": "NO_IDENTIFIER", "dryRun": False})]
    settle(stack)
    answers += [*crashes(stack), killed(stack), *posted(stack)]
    yield answers
    # A check of all connectors, in other tests, shall not log in to all of these.
    prefix = stack.outputs["ConnectorParameterPrefix"]
    for name in parameters(stack, prefix).keys() - {f"{prefix}default"}:
        stack.endpoint.client("ssm").delete_parameter(Name=name)


def send_too_old(stack: LocalStack, connector: ConnectorUnderTest) -> None:
    """Put a message on the queue that SQS first had a week ago."""
    last_week = (datetime.now(UTC) - timedelta(days=7)).isoformat()
    life = {
        "outcome": "throttled",
        "errorCode": "API_LIMIT_EXCEEDED",
        "attempts": "9",
        "firstReceivedAt": last_week,
        "responsysActivation": json.dumps({"firstSentAt": last_week}),
    }
    stack.endpoint.sqs.send_message(
        QueueUrl=stack.outputs[SEGMENT_EVENTS],
        MessageBody=body_of_hers(connector),
        MessageAttributes={name: {"DataType": "String", "StringValue": value} for name, value in life.items()},
    )


def invoke(stack: LocalStack, function: str, event: Any) -> Any:
    """Invoke a function, and return its answer or its error."""
    answer = stack.endpoint.lambda_.invoke(FunctionName=stack.outputs[function], Payload=json.dumps(event))
    return {"error": answer.get("FunctionError"), "payload": answer["Payload"].read().decode()}


def crashes(stack: LocalStack) -> list[Any]:
    """Invoke the functions with events that they cannot take, and give their errors."""
    event = sqs_event(stack, [body_of_hers(connector_of_hers(stack))])
    (record,) = event["Records"]
    without_id = {name: value for name, value in record.items() if name != "messageId"}
    not_text = record | {"body": json.loads(record["body"])}
    answers = [
        *(invoke(stack, "SegmentEventsFunctionName", {"Records": [each]}) for each in (without_id, not_text)),
        invoke(stack, "SegmentEventsFunctionName", {"Lovelace": [record]}),
        invoke(stack, "ReplayFunctionName", {"segmentId": {"Lovelace": "7700770077"}}),
        invoke(stack, "ConnectorCheckFunctionName", {"connectors": {"Lovelace": "7700770077"}}),
    ]
    assert all(answer["error"] for answer in answers), answers
    return answers


def posted(stack: LocalStack) -> list[Any]:
    """Post her membership to the webhook in every way that it refuses, and crash it; give its answers."""
    body = body_of_hers(connector_of_hers(stack)).encode()
    known = {"Authorization": f"Bearer {stack.webhook_secret}"}
    attempts: list[tuple[bytes, dict[str, str]]] = [
        (body, {"Authorization": "Bearer Lovelace", "X-Signature": "Lovelace"}),
        (body[:-1], known),
        (b"name=Lovelace", known),
        (body, known | {"Content-Encoding": "Lovelace"}),
        (json.dumps({"variables": {"Lovelace": "x" * 1_100_000}}).encode(), known),
        (b"", known | {"X-Amz-Firehose-Request-Id": "fh-1"}),
    ]
    replies = [post(stack.outputs["WebhookUrl"], content, headers) for content, headers in attempts]
    assert [reply.status for reply in replies] == [401, 400, 400, 400, 413, 400]
    name = stack.outputs["WebhookSecretArn"]  # here the function's name, too
    answer = stack.endpoint.lambda_.invoke(FunctionName=name, Payload=json.dumps({"headers": "Lovelace"}))
    assert "FunctionError" in answer
    return [*(list(reply) for reply in replies), answer["Payload"].read().decode()]


def killed(stack: LocalStack) -> Any:
    """Kill the function while it waits for Responsys, and give its error."""
    slow = connector_of_hers(stack, {"replies": {"latencyMs": 5000}})
    event = sqs_event(stack, [body_of_hers(slow)])
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(invoke, stack, "SegmentEventsFunctionName", event)
        assert eventually(slow.inbox)
        assert stack.kill_running_workers() == 1
        return answer.result()


def everything_logged(stack: LocalStack) -> str:
    """Return every line of every log group."""
    logs = stack.endpoint.logs
    groups = [group["logGroupName"] for group in logs.describe_log_groups()["logGroups"]]
    assert len(groups) == 5
    pages = [page for name in groups for page in logs.get_paginator("filter_log_events").paginate(logGroupName=name)]
    return "\n".join(event["message"] for page in pages for event in page["events"])


def report_of_the_demo(stack: LocalStack, kept: "Sequence[MessageTypeDef]") -> str:
    """Return what the demo would tell of these messages, but for Responsys's inbox; nothing is as it should be."""
    bodies = [message["Body"] for message in kept]
    codes = [attributes(message)["errorCode"] for message in kept]
    results = replace(read_results(stack), rejected=list(zip(bodies, codes, strict=True)))
    group = ("default", "SEGMENT_CHANGED")
    arrival = Arrival(
        "lovelace", "SEGMENT_CHANGED", "recipientId", "7700770077", frozenset({("MESSAGE_ID", "Lovelace")})
    )
    memberships = [
        PublishedMembership(bodies[0], Rejection("ANOTHER")),
        PublishedMembership("Lovelace", arrival, group),
    ]
    console = Console(file=io.StringIO(), width=250)
    print_report(console, stack, memberships, [], results)
    assert isinstance(console.file, io.StringIO)
    before, _, rest = console.file.getvalue().partition("\nThe first of ")
    inbox, _, after = rest.partition("\nDead-letter queues")
    assert marks_in(inbox)
    found = differences(memberships, results)
    assert any("did not arrive" in line for line in found)
    assert any("not on RejectedDLQ" in line for line in found)
    return "\n".join([before, after, *found])


def test_no_log_metric_attribute_exception_or_report_tells_who_somebody_is(stack: LocalStack, told: list[Any]) -> None:
    # Given memberships all of whose values are marked, after everything that can happen to them
    kept = take_all(stack.endpoint.sqs, stack.outputs[REJECTED])
    metrics = PublishedMetrics(stack.endpoint.cloudwatch)
    of_hers = [message for message in kept if marks_in(message["Body"])]
    codes = {attributes(message)["errorCode"] for message in of_hers}
    assert codes >= FOR_GOOD.keys() | OURS
    counted = {code for _, code in metrics.totals("Errors", ("connector", "errorCode"))}
    assert counted >= PASSING.keys() - {"TOKEN_EXPIRED"} | {"INVALID_CREDENTIALS"}
    # And her credentials: what a login gave is as secret as what it was given
    stored = parameters(stack, stack.outputs["ConnectorParameterPrefix"].replace("connectors", "tokens"))
    tokens = [json.loads(each)["authToken"] for each in stored.values()]
    assert len(tokens) > 30

    # When everything is read that somebody may read who watches
    assert eventually(lambda: "Runtime exited" in everything_logged(stack))
    log = everything_logged(stack)
    assert "Traceback" in log or "stackTrace" in log
    listed = stack.endpoint.cloudwatch.get_paginator("list_metrics").paginate()
    alarms = stack.endpoint.cloudwatch.get_paginator("describe_alarms").paginate()
    readable = {
        "logs": log,
        "metrics": json.dumps([page["Metrics"] for page in listed]),
        "alarms": json.dumps([page["MetricAlarms"] for page in alarms], default=str),
        "attributes": json.dumps([attributes(message) for message in kept]),
        "answers and exceptions": json.dumps(told),
        "delivery table": json.dumps(list(delivery_table(stack))),
        "report of the demo": report_of_the_demo(stack, of_hers),
    }

    # Then no mark is there
    assert {where: marks_in(text, *tokens) for where, text in readable.items()} == {where: [] for where in readable}


def parameters(stack: LocalStack, prefix: str) -> dict[str, str]:
    pages = stack.endpoint.client("ssm").get_paginator("get_parameters_by_path")
    found = [
        each for page in pages.paginate(Path=prefix.rstrip("/"), WithDecryption=True) for each in page["Parameters"]
    ]
    return {parameter["Name"]: parameter["Value"] for parameter in found}


def delivery_table(stack: LocalStack) -> Iterator[Any]:
    dynamodb = stack.endpoint.client("dynamodb")
    (name,) = dynamodb.list_tables()["TableNames"]
    for page in dynamodb.get_paginator("scan").paginate(TableName=name):
        yield from page["Items"]
