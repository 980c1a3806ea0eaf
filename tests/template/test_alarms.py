"""Does every alarm and widget look at a metric that exists, and does an alarm say what to do?"""

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.template.cloudformation import Stack

OUTCOME_COUNTERS = {
    "MessagesReceived",
    "EventsDelivered",
    "EventsDuplicate",
    "EventsThrottled",
    "EventsRejected",
    "EventsRetried",
}
# Every metric that AWS or our code publishes and this stack may look at, with its dimensions.
EXISTING = {
    **{
        ("AWS/SQS", name): {"QueueName"}
        for name in (
            "ApproximateAgeOfOldestMessage",
            "ApproximateNumberOfMessagesDelayed",
            "ApproximateNumberOfMessagesNotVisible",
            "ApproximateNumberOfMessagesVisible",
        )
    },
    **{("ResponsysActivation", name): {"service"} for name in (*OUTCOME_COUNTERS, "TokenLoginFailures")},
    ("ResponsysActivation", "ConnectorCheckFailures"): {"service"},
}
ALARMS = [
    "ConnectorCheckAlarm",
    "RejectedMessagesAlarm",
    "ThrottledBacklogAlarm",
    "OldestMessageAlarm",
    "FailureShareAlarm",
    "RefusedLoginsAlarm",
]


@pytest.fixture(scope="module")
def alarms(stack: Stack) -> dict[str, Any]:
    return stack.of_type("AWS::CloudWatch::Alarm")


def metrics_of(alarm: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, str]]]:
    queries = [query["MetricStat"]["Metric"] for query in alarm.get("Metrics", []) if "MetricStat" in query]
    for metric in queries or [alarm]:
        yield (
            metric["Namespace"],
            metric["MetricName"],
            {dimension["Name"]: dimension["Value"] for dimension in metric["Dimensions"]},
        )


def check_exists(stack: Stack, namespace: str, name: str, dimensions: dict[str, str]) -> None:
    assert (namespace, name) in EXISTING
    assert set(dimensions) == EXISTING[namespace, name]
    environments = [
        function["Environment"]["Variables"] for function in stack.of_type("AWS::Lambda::Function").values()
    ]
    if namespace == "AWS/SQS":
        queues = stack.of_type("AWS::SQS::Queue").values()
        assert dimensions["QueueName"] in {queue["QueueName"] for queue in queues}
    else:
        assert {namespace} == {environment["POWERTOOLS_METRICS_NAMESPACE"] for environment in environments}
        assert dimensions["service"] in {environment["POWERTOOLS_SERVICE_NAME"] for environment in environments}


def expression(alarm: dict[str, Any]) -> Callable[..., float]:
    """Return the alarm's metric math as a function of its metrics by id."""
    (query,) = [query for query in alarm["Metrics"] if "Expression" in query]
    functions = {
        "IF": lambda condition, yes, no: yes if condition else no,
        "FILL": lambda value, filler: filler if value is None else value,
    }
    ids = {query["Id"] for query in alarm["Metrics"] if "MetricStat" in query}

    def calculate(**values: float | None) -> float:
        assert set(values) == ids
        # This subset of metric math reads the same in Python; the text is our own template's.
        return float(eval(query["Expression"], {"__builtins__": {}, **functions}, values))  # noqa: S307

    return calculate


# ---- all alarms


def test_the_alarms_of_this_stack(alarms: dict[str, Any]) -> None:
    # Given the stack / When its alarms are listed / Then these are there
    assert list(alarms) == ALARMS


@pytest.mark.parametrize("name", ALARMS)
def test_an_alarm_looks_at_metrics_that_exist(stack: Stack, alarms: dict[str, Any], name: str) -> None:
    # Given an alarm / When its metrics are read
    # Then someone publishes that namespace, name and set of dimensions
    for metric in metrics_of(alarms[name]):
        check_exists(stack, *metric)


@pytest.mark.parametrize("name", ALARMS)
def test_an_alarm_is_heard(stack: Stack, alarms: dict[str, Any], name: str) -> None:
    # Given an alarm / When its actions are read / Then they lead to the stack's topic
    assert alarms[name]["AlarmActions"] == [stack.outputs["AlarmTopicArn"]]
    assert alarms[name].get("ActionsEnabled", True) is True


@pytest.mark.parametrize("name", ALARMS)
def test_an_alarm_says_what_happens_why_and_where_to_look(alarms: dict[str, Any], name: str) -> None:
    # Given an alarm / When its description is read
    description = alarms[name]["AlarmDescription"]
    # Then it holds symptom, likely cause, first look and the place in the runbook that bears its name
    anchor = alarms[name]["AlarmName"].removeprefix("crm-")
    assert re.fullmatch(rf"[^.]+\. Likely: .+\. First look: .+\. docs/runbook\.md#{anchor}", description)
    assert len(description) <= 1024


@pytest.mark.parametrize("name", [name for name in ALARMS if name != "ConnectorCheckAlarm"])
def test_silence_is_good_news(alarms: dict[str, Any], name: str) -> None:
    # Given that idle queues and an idle function publish nothing
    # When an alarm's view of missing data is read / Then it is calm
    assert alarms[name]["TreatMissingData"] == "notBreaching"


# ---- each alarm


def test_one_rejected_message_is_enough_however_it_came(alarms: dict[str, Any]) -> None:
    # Given the alarm on RejectedDLQ
    alarm = alarms["RejectedMessagesAlarm"]
    # When what it counts is read / Then it is what lies there, and any message raises it
    ((_, metric, dimensions),) = metrics_of(alarm)
    assert (metric, dimensions) == ("ApproximateNumberOfMessagesVisible", {"QueueName": "crm-rejected-dlq"})
    assert (alarm["ComparisonOperator"], alarm["Threshold"]) == ("GreaterThanThreshold", 0)
    assert (alarm["Statistic"], alarm["EvaluationPeriods"]) == ("Maximum", 1)


@pytest.mark.parametrize(
    ("visible", "delayed", "in_flight", "breaching"),
    [
        (0, 0, 0, False),
        (0, 1, 0, True),
        (1, 0, 0, True),
        (0, 0, 1, True),
        (None, 5, None, True),
        (None, None, None, False),
    ],
)
def test_delayed_messages_count_as_throttled_backlog(
    alarms: dict[str, Any], visible: float, delayed: float, in_flight: float, breaching: bool
) -> None:
    # Given messages on ThrottledDLQ that wait, are due, or are being sent again
    alarm = alarms["ThrottledBacklogAlarm"]
    # When the backlog is calculated
    backlog = expression(alarm)(visible=visible, delayed=delayed, inFlight=in_flight)
    # Then all of them count
    assert (backlog > alarm["Threshold"]) is breaching


def test_a_passing_throttle_raises_no_backlog_alarm(alarms: dict[str, Any]) -> None:
    # Given the longest throttle, ten minutes, and a delay of up to fifteen
    alarm = alarms["ThrottledBacklogAlarm"]
    statistics = [query["MetricStat"] for query in alarm["Metrics"] if "MetricStat" in query]
    # When the time that the alarm waits is read / Then it is much longer, and one empty moment ends it
    assert {s["Period"] for s in statistics} == {300}
    assert 300 * alarm["EvaluationPeriods"] == 3600
    assert alarm.get("DatapointsToAlarm", alarm["EvaluationPeriods"]) == alarm["EvaluationPeriods"]
    assert {s["Stat"] for s in statistics} == {"Minimum"}


def test_the_batching_window_alone_never_makes_a_message_old(alarms: dict[str, Any], source: dict[str, Any]) -> None:
    # Given the longest window that may be chosen
    window = source["Parameters"]["BatchingWindowSeconds"]["MaxValue"]
    # When it is held against the age that raises the alarm / Then there is room for the sending as well
    alarm = alarms["OldestMessageAlarm"]
    ((_, metric, dimensions),) = metrics_of(alarm)
    assert (metric, dimensions) == ("ApproximateAgeOfOldestMessage", {"QueueName": "crm-segment-events"})
    assert alarm["Threshold"] >= window + 2 * 120


@pytest.mark.parametrize(
    ("counted", "breaching"),
    [
        ({"received": 1000, "rejected": 0, "throttled": 0, "retried": 0}, False),
        ({"received": 1000, "rejected": 100, "throttled": 0, "retried": 0}, False),
        ({"received": 1000, "rejected": 101, "throttled": 0, "retried": 0}, True),
        ({"received": 1000, "rejected": 0, "throttled": 101, "retried": 0}, True),
        ({"received": 1000, "rejected": 0, "throttled": 0, "retried": 101}, True),
        ({"received": 1000, "rejected": 40, "throttled": 40, "retried": 21}, True),
        ({"received": 49, "rejected": 49, "throttled": 0, "retried": 0}, False),
        ({"received": 50, "rejected": 50, "throttled": 0, "retried": 0}, True),
    ],
)
def test_failure_share_counts_every_failure_above_a_least_volume(
    alarms: dict[str, Any], counted: dict[str, float], breaching: bool
) -> None:
    # Given five minutes of messages, some of which failed
    alarm = alarms["FailureShareAlarm"]
    # When the share is calculated
    share = expression(alarm)(**counted)
    # Then more than a tenth is too much, unless there were few
    assert (share > alarm["Threshold"]) is breaching


def test_failure_share_counts_the_counters_it_names(alarms: dict[str, Any]) -> None:
    # Given the ids in the alarm's expression
    queries = [query for query in alarms["FailureShareAlarm"]["Metrics"] if "MetricStat" in query]
    # When the metric behind each is read / Then it is the counter of that name
    assert {query["Id"]: query["MetricStat"]["Metric"]["MetricName"] for query in queries} == {
        "received": "MessagesReceived",
        "rejected": "EventsRejected",
        "throttled": "EventsThrottled",
        "retried": "EventsRetried",
    }
    assert {query["MetricStat"]["Stat"] for query in queries} == {"Sum"}


def test_refused_logins_alarm_holds_while_no_login_is_tried(alarms: dict[str, Any]) -> None:
    # Given that no login is tried for ten minutes after a refused one
    alarm = alarms["RefusedLoginsAlarm"]
    # When the alarm's period is read / Then it is longer, and one refused login raises it
    assert alarm["Period"] > 600
    assert (alarm["MetricName"], alarm["Statistic"], alarm["Threshold"]) == ("TokenLoginFailures", "Sum", 0)


def test_a_connector_stays_wrong_until_a_check_finds_it_right(alarms: dict[str, Any]) -> None:
    # Given that a check publishes a number of failures, 0 among them, and then nothing for a day
    alarm = alarms["ConnectorCheckAlarm"]
    # When what the alarm makes of it is read / Then one failure raises it, and silence changes nothing
    assert (alarm["Statistic"], alarm["ComparisonOperator"], alarm["Threshold"]) == (
        "Maximum",
        "GreaterThanThreshold",
        0,
    )
    assert (alarm["EvaluationPeriods"], alarm["TreatMissingData"]) == (1, "ignore")


# ---- topic


def test_only_alarms_of_this_account_publish_and_only_encrypted(stack: Stack) -> None:
    # Given the topic's policy
    (policy,) = stack.of_type("AWS::SNS::TopicPolicy").values()
    topic = stack.outputs["AlarmTopicArn"]
    assert policy["Topics"] == [topic]
    # When its statements are read
    allowed, denied = policy["PolicyDocument"]["Statement"]
    # Then CloudWatch of this account is let in, and nobody without TLS
    assert (allowed["Effect"], allowed["Principal"]) == ("Allow", {"Service": "cloudwatch.amazonaws.com"})
    assert (allowed["Action"], allowed["Resource"]) == ("sns:Publish", topic)
    assert allowed["Condition"] == {"StringEquals": {"aws:SourceAccount": "123456789012"}}
    assert (denied["Effect"], denied["Principal"], denied["Resource"]) == ("Deny", "*", topic)
    assert denied["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}


def test_alarms_are_mailed_only_when_an_address_is_given(stack_with: Callable[..., Stack]) -> None:
    # Given a stack without an address, and one with
    silent, mailing = stack_with(), stack_with(AlarmEmail="crm@example.com")
    # When their subscriptions are listed / Then only the second has one
    assert silent.of_type("AWS::SNS::Subscription") == {}
    (subscription,) = mailing.of_type("AWS::SNS::Subscription").values()
    assert (subscription["Protocol"], subscription["Endpoint"]) == ("email", "crm@example.com")


# ---- dashboard


def test_dashboard_shows_outcomes_queues_and_errors_that_exist(stack: Stack) -> None:
    # Given the dashboard / When its body is read as JSON
    (dashboard,) = stack.of_type("AWS::CloudWatch::Dashboard").values()
    widgets = json.loads(dashboard["DashboardBody"])["widgets"]
    # Then every metric in it exists
    shown: set[tuple[str, str]] = set()
    searches = []
    for widget in widgets:
        assert widget["properties"]["region"] == "eu-west-1"
        previous: list[str] = []
        for row in widget["properties"]["metrics"]:
            if isinstance(row[0], dict):
                searches.append(row[0]["expression"])
                continue
            # A dot repeats the row above.
            parts = [p for p in row if isinstance(p, str)]
            previous = [previous[i] if part == "." else part for i, part in enumerate(parts)]
            namespace, name, dimension, value = previous
            check_exists(stack, namespace, name, {dimension: value})
            shown.add((namespace, name))
    # And the six outcome counters, the depths of the queues and the errors are among them
    assert {name for namespace, name in shown if namespace == "ResponsysActivation"} == OUTCOME_COUNTERS
    assert ("AWS/SQS", "ApproximateNumberOfMessagesDelayed") in shown
    assert searches == ["SEARCH('{ResponsysActivation,connector,errorCode} MetricName=\"Errors\"', 'Sum', 300)"]


def test_widgets_do_not_overlap(stack: Stack) -> None:
    # Given the dashboard's grid of 24 columns
    (dashboard,) = stack.of_type("AWS::CloudWatch::Dashboard").values()
    cells = [
        (x, y)
        for w in json.loads(dashboard["DashboardBody"])["widgets"]
        for x in range(w["x"], w["x"] + w["width"])
        for y in range(w["y"], w["y"] + w["height"])
    ]
    # When the widgets are laid on it / Then each cell is used once, within the grid
    assert len(cells) == len(set(cells))
    assert all(0 <= x < 24 for x, _ in cells)
