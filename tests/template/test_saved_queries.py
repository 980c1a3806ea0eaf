"""Do the saved queries ask for fields that the function really logs?"""

import re
from collections.abc import Iterator
from typing import Any

import pytest

from responsys_activation.delivery.outcome import Ending, Rejected
from responsys_activation.delivery.planning import PlannedRequest
from responsys_activation.delivery.reporting import Reporting
from responsys_activation.delivery.result import Exchange, RequestResult
from responsys_activation.observability import InvocationMetrics
from responsys_activation.received import read_record
from responsys_activation.responsys.errors import ThrottledError
from responsys_activation.responsys.events import EventReply
from tests.fakes.function_output import captured_output
from tests.template.cloudformation import Stack

# What Logs Insights knows by itself, and the words of its language in the queries here.
LANGUAGE = {
    "filter",
    "ispresent",
    "and",
    "in",
    "like",
    "stats",
    "sum",
    "as",
    "by",
    "sort",
    "asc",
    "desc",
    "fields",
    "limit",
}
# Of Lambda's report of an invocation in JSON, as its documentation has it; Logs Insights adds `@log`.
WRITTEN_BY_LAMBDA = {
    "type",
    "record.requestId",
    "record.status",
    "record.errorType",
    "record.metrics.durationMs",
    "record.metrics.maxMemoryUsedMB",
    "record.metrics.memorySizeMB",
    "@log",
}
QUERIES = ["ErrorsByCodeQuery", "OneMessageQuery", "OneRequestQuery", "SlowestRequestsQuery"]


def flattened(document: Any, prefix: str = "") -> Iterator[str]:
    """The names under which Logs Insights discovers the fields of a JSON line."""
    items = document.items() if isinstance(document, dict) else enumerate(document)
    for name, value in items:
        yield f"{prefix}{name}"
        if isinstance(value, dict | list):
            yield from flattened(value, f"{prefix}{name}.")


@pytest.fixture(scope="module")
def logged() -> tuple[set[str], set[str]]:
    """The fields and the messages of what the function writes about a request of each kind and a rejected message."""
    record = {"messageId": "m", "receiptHandle": "r", "body": "{}", "eventSourceARN": "arn:aws:sqs:::segment-events"}
    answered = Exchange("id", 1, 0.1, reply=EventReply(status=200, error_codes=[None], correlation_id="c"))
    failed = Exchange("id", 1, 0.1, failure=ThrottledError("API_LIMIT_EXCEEDED", retry_after=60))
    with captured_output() as output:
        reporting = Reporting(InvocationMetrics("stack"), service="segment_events")
        reporting.connector_used("default", {"EVENT"}, [])
        reporting.request_ended(
            RequestResult("default", PlannedRequest("EVENT", wave=0), [], exchanges=[answered, failed])
        )
        reporting.batch_ended(
            1, [Ending(read_record(record, 0.0, "throttled"), Rejected("EXPIRED"), "default", "EVENT")], 0.1
        )
    documents = output.documents()
    return {name for document in documents for name in flattened(document)}, {
        str(document["message"]) for document in documents if "message" in document
    }


def test_the_saved_queries_of_this_stack_lie_in_its_folder_and_read_its_log(stack: Stack) -> None:
    # Given the queries / When their names and groups are read
    queries = stack.of_type("AWS::Logs::QueryDefinition")
    # Then these are there
    assert {name: query["Name"] for name, query in queries.items()} == {
        "ErrorsByCodeQuery": "crm/errors by code",
        "OneMessageQuery": "crm/one message",
        "OneRequestQuery": "crm/one request",
        "SlowestRequestsQuery": "crm/slowest requests",
        "FailedInvocationsQuery": "crm/failed invocations",
    }
    # And all read the delivering function's log; killed invocations are looked for in every function's
    groups = {name: query["LogGroupNames"] for name, query in queries.items()}
    assert set(groups.pop("FailedInvocationsQuery")) == {
        group["LogGroupName"] for group in stack.of_type("AWS::Logs::LogGroup").values()
    }
    assert all(names == ["/aws/lambda/crm-segment-events"] for names in groups.values())


def test_failed_invocations_are_looked_for_in_what_lambda_writes(stack: Stack) -> None:
    # Given the query, without its texts
    text = stack.of_type("AWS::Logs::QueryDefinition")["FailedInvocationsQuery"]["QueryString"]
    # When the fields that it asks for are read / Then Lambda writes them in its JSON reports
    asked = set(re.findall(r"@?[A-Za-z][\w.]*", re.sub(r'"[^"]*"', "", text))) - LANGUAGE
    assert asked - {"@timestamp"} == WRITTEN_BY_LAMBDA
    # And it looks for every status but success
    assert set(re.findall(r'"(\w+)"', text)) == {"timeout", "error", "failure"}


@pytest.mark.parametrize("name", QUERIES)
def test_a_query_names_fields_that_are_logged(stack: Stack, logged: tuple[set[str], set[str]], name: str) -> None:
    # Given a query, without its texts and the names that it gives
    fields, messages = logged
    text = stack.of_type("AWS::Logs::QueryDefinition")[name]["QueryString"]
    named = set(re.findall(r" as (\w+)", text))
    # When the fields that it asks for are read
    asked = set(re.findall(r"@?[A-Za-z][\w.]*", re.sub(r'"[^"]*"', "", text))) - LANGUAGE - named
    # Then the function logs each of them
    assert asked - {"@timestamp"} <= fields
    # And so it does each message that is looked for
    assert set(re.findall(r'"([^"{]*)"', text)) <= messages


@pytest.mark.parametrize("name", QUERIES)
def test_a_query_asks_for_the_parameters_that_it_uses(stack: Stack, name: str) -> None:
    # Given a query / When its placeholders are read / Then each is declared and explained, and none besides
    query = stack.of_type("AWS::Logs::QueryDefinition")[name]
    parameters = query.get("Parameters", [])
    assert set(re.findall(r"\{\{(\w+)\}\}", query["QueryString"])) == {each["Name"] for each in parameters}
    assert all(each["Description"] for each in parameters)
    assert all(len(each["Description"]) <= 512 for each in parameters)
