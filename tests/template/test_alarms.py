"""Does every alarm look at a metric that exists, ring when it must and not before, and say what to do?"""

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from samtranslator.yaml_helper import yaml_parse  # type: ignore[import-untyped]

from responsys_activation.delivery import batch as delivery
from tests.local_stack.metric_math import value_at
from tests.template.cloudformation import Stack
from tests.template.conftest import REPLY_SECONDS, REPOSITORY
from tests.template.published import require_metric
from tests.template.runbook import RUNBOOK, headings_of

# By logical id, as the template holds them, so that a new alarm is asked the same questions.
ALARMS = [
    name
    for name, resource in yaml_parse((REPOSITORY / "template.yaml").read_text())["Resources"].items()
    if resource["Type"] == "AWS::CloudWatch::Alarm"
]
# Those that hold at any time of day: events do not arrive or may arrive twice, or messages will be lost.
WAKES_UP = {
    "BudgetUnavailableAlarm",
    "DeadLetterSendsAlarm",
    "FailureShareAlarm",
    "LoginsHeldBackAlarm",
    "OldestMessageAlarm",
    "RefusedLoginsAlarm",
    "RejectedRetentionAlarm",
    "SentWithoutLedgerAlarm",
    "ThrottledBacklogAlarm",
    "ThrottledRetentionAlarm",
    "UpstreamEventsAlarm",
    "UpstreamStreamAlarm",
    "WebhookErrorsAlarm",
}
# Parameters that bring alarms.
OPTIONAL = {
    "OutcomeFeed": ("On", {"OutcomesNotFedAlarm"}),
    "ProducerSilentHours": ("6", {"ProducerSilentAlarm"}),
    "UpstreamEventSource": ("crm", {"UpstreamEventsAlarm"}),
    "UpstreamStreamArn": ("arn:aws:kinesis:eu-west-1:123456789012:stream/memberships", {"UpstreamStreamAlarm"}),
    "Webhook": ("On", {"WebhookErrorsAlarm", "WebhookFunctionAlarm", "WebhookRefusalsAlarm"}),
}
PAGING_TOPIC = "arn:aws:sns:eu-west-1:123456789012:on-call"


@pytest.fixture(scope="module")
def stack(stack_with: Callable[..., Stack]) -> Stack:
    """Return a stack with all alarms."""
    return stack_with(**{parameter: value for parameter, (value, _) in OPTIONAL.items()})


@pytest.fixture(scope="module")
def alarms(stack: Stack) -> dict[str, Any]:
    return stack.of_type("AWS::CloudWatch::Alarm")


def threshold(alarm: dict[str, Any]) -> float:
    """A threshold that is a parameter comes as CloudFormation hands it on, as text."""
    return float(alarm["Threshold"])


def metrics_of(alarm: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, str]]]:
    queries = [query["MetricStat"]["Metric"] for query in alarm.get("Metrics", []) if "MetricStat" in query]
    for metric in queries or [alarm]:
        yield (
            metric["Namespace"],
            metric["MetricName"],
            {dimension["Name"]: dimension["Value"] for dimension in metric["Dimensions"]},
        )


def period_of(alarm: dict[str, Any]) -> int:
    (period,) = {query["MetricStat"]["Period"] for query in alarm.get("Metrics", []) if "MetricStat" in query} or {
        alarm.get("Period")
    }
    return int(period)


def expression(alarm: dict[str, Any]) -> Callable[..., float]:
    """Return the alarm's metric math as a function of its metrics by id."""
    (query,) = [query for query in alarm["Metrics"] if "Expression" in query]
    ids = {query["Id"] for query in alarm["Metrics"] if "MetricStat" in query}

    def calculate(**values: float | None) -> float:
        assert set(values) == ids
        value = value_at(query["Expression"], values)
        assert value is not None
        return value

    return calculate


# ---- all alarms


@pytest.mark.parametrize("name", ALARMS)
def test_an_alarm_looks_at_metrics_that_exist(stack: Stack, alarms: dict[str, Any], name: str) -> None:
    # Given an alarm / When its metrics are read
    # Then someone publishes that namespace, name and set of dimensions
    for metric in metrics_of(alarms[name]):
        require_metric(stack, *metric)


@pytest.mark.parametrize("name", ALARMS)
def test_an_alarm_is_heard(stack: Stack, alarms: dict[str, Any], name: str) -> None:
    # Given an alarm / When its actions are read / Then they lead to the stack's topic
    assert alarms[name]["AlarmActions"] == [stack.outputs["AlarmTopicArn"]]
    assert alarms[name].get("ActionsEnabled", True) is True


def test_a_topic_for_paging_hears_what_cannot_wait_and_that_the_other_topic_fails(
    stack_with: Callable[..., Stack],
) -> None:
    # Given a stack with a topic that wakes a person up
    stack = stack_with(PagingTopicArn=PAGING_TOPIC)
    everything = stack.of_type("AWS::CloudWatch::Alarm") | stack.of_type("AWS::CloudWatch::CompositeAlarm")
    # When the alarms that lead there are listed / Then there are two, and one says when it is over
    paging = {name for name, alarm in everything.items() if alarm["AlarmActions"] == [PAGING_TOPIC]}
    assert paging == {"PageAlarm", "NotificationsAlarm"}
    assert everything["PageAlarm"]["OKActions"] == [PAGING_TOPIC]


def test_the_page_stands_for_the_alarms_that_cannot_wait(stack: Stack) -> None:
    # Given the alarms that cannot wait / When the rule of the composite is read / Then it is any of them
    names = {stack.resources[name]["Properties"]["AlarmName"] for name in WAKES_UP}
    rule = stack.of_type("AWS::CloudWatch::CompositeAlarm")["PageAlarm"]["AlarmRule"]
    assert set(rule.split(" OR ")) == {f'ALARM("{name}")' for name in names}


@pytest.mark.parametrize("parameter", OPTIONAL)
def test_an_optional_alarm_is_there_only_when_asked_for(stack_with: Callable[..., Stack], parameter: str) -> None:
    # Given stacks with and without a parameter / When their alarms are listed
    value, alarms = OPTIONAL[parameter]
    with_it, without = (
        set(each.of_type("AWS::CloudWatch::Alarm")) for each in (stack_with(**{parameter: value}), stack_with())
    )
    # Then the second lacks those of the parameter
    assert with_it - without == alarms


def test_the_page_names_no_alarm_that_is_not_there(stack_with: Callable[..., Stack]) -> None:
    # Given a stack without the optional alarms / When the rule of the composite is read / Then it is of the others
    stack = stack_with()
    names = {alarm["AlarmName"] for alarm in stack.of_type("AWS::CloudWatch::Alarm").values()}
    (page,) = stack.of_type("AWS::CloudWatch::CompositeAlarm").values()
    assert set(re.findall(r'ALARM\("([^"]+)"\)', page["AlarmRule"])) <= names
    assert not page["AlarmRule"].endswith(("OR", " "))


@pytest.mark.parametrize("name", ALARMS)
def test_an_alarm_says_what_happens_why_and_where_to_look(alarms: dict[str, Any], name: str) -> None:
    # Given an alarm / When its description is read
    description = " ".join(alarms[name]["AlarmDescription"].split())
    # Then it holds symptom, likely cause, first look and the place in the runbook that bears its name
    anchor = alarms[name]["AlarmName"].removeprefix("crm-")
    assert re.fullmatch(rf"[^.]+\. Likely: .+\. First look: .+\. docs/runbook\.md#{anchor}", description)
    assert len(description) <= 1024
    # And the runbook has that place
    assert anchor in headings_of(RUNBOOK)


def test_the_page_says_so_as_well(stack: Stack) -> None:
    # Given the composite / When its description is read / Then it ends with its place in the runbook
    (page,) = stack.of_type("AWS::CloudWatch::CompositeAlarm").values()
    assert page["AlarmDescription"].endswith(" docs/runbook.md#page")
    assert "page" in headings_of(RUNBOOK)


def test_the_reference_tells_of_every_alarm_and_which_of_them_page(stack: Stack, alarms: dict[str, Any]) -> None:
    # Given the reference's table of alarms, and the alarms by the last part of their name
    rows = re.findall(
        r"^\| (\[`[^|]+) \|[^|]+\| ?([^|]*) ?\|$", (REPOSITORY / "docs/reference.md").read_text(), re.MULTILINE
    )
    told = {
        name: pages.strip() for names, pages in rows for name in re.findall(r"`([a-z-]+)`\]\(runbook\.md#\1\)", names)
    }
    names = {logical_id: alarm["AlarmName"].removeprefix("crm-") for logical_id, alarm in alarms.items()}
    # When the two are compared / Then each alarm is told of, and so is whether it pages
    by_itself = {"notifications"}
    waking = {names[logical_id] for logical_id in WAKES_UP}
    assert set(told) == set(names.values())
    assert {name for name, pages in told.items() if pages == "yes"} == waking
    assert {name for name, pages in told.items() if pages == "by itself"} == by_itself


def test_the_reference_tells_the_thresholds_that_alarms_have_by_default(source: dict[str, Any]) -> None:
    # Given the numbers behind the parameters of the reference's table of alarms
    told = dict(re.findall(r"`(\w+(?:Allowed|Hours))` \((\d+)", (REPOSITORY / "docs/reference.md").read_text()))
    # When they are held against the template / Then they are the defaults, of every threshold
    assert told == {
        name: str(parameter["Default"])
        for name, parameter in source["Parameters"].items()
        if name.endswith("Allowed") or name == "ProducerSilentHours"
    }


def test_alarms_link_to_where_the_runbook_is_read(stack_with: Callable[..., Stack]) -> None:
    # Given the address of the runbook
    stack = stack_with(RunbookUrl="https://wiki.example.com/runbook")
    # When the alarms' descriptions are read / Then they link there
    for alarm in (stack.of_type("AWS::CloudWatch::Alarm") | stack.of_type("AWS::CloudWatch::CompositeAlarm")).values():
        assert " https://wiki.example.com/runbook#" in alarm["AlarmDescription"]


@pytest.mark.parametrize(
    "name", [name for name in ALARMS if name not in {"ConnectorCheckAlarm", "ProducerSilentAlarm"}]
)
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
    assert (alarm["ComparisonOperator"], threshold(alarm)) == ("GreaterThanThreshold", 0)
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
    assert (backlog > threshold(alarm)) is breaching


def test_a_passing_throttle_raises_no_backlog_alarm(alarms: dict[str, Any]) -> None:
    # Given the longest throttle, ten minutes, and a delay of up to fifteen
    alarm = alarms["ThrottledBacklogAlarm"]
    statistics = [query["MetricStat"] for query in alarm["Metrics"] if "MetricStat" in query]
    # When the time that the alarm waits is read / Then it is much longer, and one empty period ends it
    assert {s["Period"] for s in statistics} == {300}
    assert 300 * alarm["EvaluationPeriods"] == 3600
    assert alarm.get("DatapointsToAlarm", alarm["EvaluationPeriods"]) == alarm["EvaluationPeriods"]
    assert {s["Stat"] for s in statistics} == {"Maximum"}


@pytest.mark.parametrize("reply_seconds", REPLY_SECONDS)
def test_the_window_and_two_time_outs_never_make_a_message_old(
    stack_with: Callable[..., Stack], source: dict[str, Any], reply_seconds: str
) -> None:
    # Given the lowest threshold that may be chosen
    lowest = source["Parameters"]["OldestMessageSecondsAllowed"]["MinValue"]
    stack = stack_with(ReplySeconds=reply_seconds, OldestMessageSecondsAllowed=str(lowest))
    alarm = stack.of_type("AWS::CloudWatch::Alarm")["OldestMessageAlarm"]
    ((_, metric, dimensions),) = metrics_of(alarm)
    assert (metric, dimensions) == ("ApproximateAgeOfOldestMessage", {"QueueName": "crm-segment-events"})
    # When a message waited for the longest window, and was then tried twice
    window = source["Parameters"]["BatchingWindowSeconds"]["MaxValue"]
    no_delay = window + 2 * stack.of_type("AWS::Lambda::Function")["SegmentEventsFunction"]["Timeout"]
    # Then it is not late, and a second later it is
    assert expression(alarm)(age=no_delay) <= threshold(alarm)
    assert expression(alarm)(age=no_delay + 1) > threshold(alarm)
    # And without a choice of its own the alarm rings after a quarter of an hour
    alarm = stack_with(ReplySeconds=reply_seconds).of_type("AWS::CloudWatch::Alarm")["OldestMessageAlarm"]
    assert expression(alarm)(age=900) <= threshold(alarm) < expression(alarm)(age=901)


@pytest.mark.parametrize(
    ("counted", "breaching"),
    [
        ({"received": 1000}, False),
        ({"received": 1000, "rejected": 100}, False),
        ({"received": 1000, "rejected": 101}, True),
        ({"received": 1000, "throttled": 101}, True),
        ({"received": 1000, "retried": 101}, True),
        ({"received": 1000, "rejected": 40, "throttled": 40, "retried": 21}, True),
        ({"received": 49, "rejected": 49}, False),
        ({"received": 50, "rejected": 50}, True),
        ({"received": 1000, "ignored": 951, "rejected": 49}, False),
        ({"received": 1000, "ignored": 940, "rejected": 7}, True),
    ],
)
def test_failure_share_counts_every_failure_above_a_least_volume_of_what_is_not_ignored(
    alarms: dict[str, Any], counted: dict[str, float], breaching: bool
) -> None:
    # Given five minutes of messages, some of which failed, and some of which concern no connector
    alarm = alarms["FailureShareAlarm"]
    # When the share is calculated
    nothing = {"rejected": 0, "throttled": 0, "retried": 0, "ignored": 0}
    share = expression(alarm)(**{**nothing, **counted})
    # Then more than a tenth is too much, unless there were few
    assert (share > threshold(alarm)) is breaching


@pytest.mark.parametrize(
    ("counted", "breaching"),
    [
        ({"received": 1000}, False),
        ({"received": 1000, "duplicate": 100}, False),
        ({"received": 1000, "duplicate": 101}, True),
        ({"received": 49, "duplicate": 49}, False),
        ({"received": 50, "duplicate": 50}, True),
        ({"received": 1000, "ignored": 951, "duplicate": 49}, False),
        ({"received": 1000, "ignored": 940, "duplicate": 7}, True),
    ],
)
def test_duplicate_share_needs_a_least_volume_of_what_is_not_ignored(
    alarms: dict[str, Any], counted: dict[str, float], breaching: bool
) -> None:
    # Given a quarter of an hour of messages, some of which had been delivered before
    alarm = alarms["DuplicateShareAlarm"]
    assert period_of(alarm) == 900
    # When the share is calculated
    share = expression(alarm)(**{"duplicate": 0, "ignored": 0, **counted})
    # Then more than a tenth is too much, unless there were few
    assert (share > threshold(alarm)) is breaching


@pytest.mark.parametrize("name", ["DuplicateShareAlarm", "FailureShareAlarm"])
def test_a_share_is_one_of_the_counters_it_names(alarms: dict[str, Any], name: str) -> None:
    # Given the ids in the alarm's expression
    queries = [query for query in alarms[name]["Metrics"] if "MetricStat" in query]
    # When the metric behind each is read / Then it is the counter of that name
    for query in queries:
        counter = "MessagesReceived" if query["Id"] == "received" else f"Events{query['Id'].capitalize()}"
        assert query["MetricStat"]["Metric"]["MetricName"] == counter
    assert {query["MetricStat"]["Stat"] for query in queries} == {"Sum"}


@pytest.mark.parametrize(
    ("name", "metric"),
    [
        ("OutcomesUnknownAlarm", "OutcomesUnknown"),
        ("SentWithoutLedgerAlarm", "SentWithoutLedger"),
        ("BudgetUnavailableAlarm", "BudgetUnavailable"),
        ("DeadLetterSendsAlarm", "DeadLetterSendFailures"),
    ],
)
def test_one_hole_in_the_net_is_enough(alarms: dict[str, Any], name: str, metric: str) -> None:
    # Given what should never happen / When its alarm is read / Then one in five minutes raises it
    alarm = alarms[name]
    assert (alarm["MetricName"], alarm["Statistic"], alarm["ComparisonOperator"], threshold(alarm)) == (
        metric,
        "Sum",
        "GreaterThanThreshold",
        0,
    )
    assert (period_of(alarm), alarm["EvaluationPeriods"]) == (300, 1)


def test_the_alarm_on_logins_held_back_holds_while_the_messages_wait(alarms: dict[str, Any]) -> None:
    # Given that messages wait on ThrottledDLQ for the longest delay of SQS, and then meet the login again
    alarm = alarms["LoginsHeldBackAlarm"]
    assert (alarm["MetricName"], alarm["Statistic"], threshold(alarm)) == ("LoginsHeldBack", "Sum", 0)
    # When the alarm's periods are read / Then one such meeting raises it, and it holds until the next
    assert alarm["DatapointsToAlarm"] == 1
    assert period_of(alarm) * (alarm["EvaluationPeriods"] - 1) >= 900


def test_refused_logins_alarm_holds_while_no_login_is_tried(alarms: dict[str, Any]) -> None:
    # Given that no login is tried for ten minutes after a refused one
    alarm = alarms["RefusedLoginsAlarm"]
    # When the alarm's period is read / Then it is longer, and one refused login raises it
    assert alarm["Period"] > 600
    assert (alarm["MetricName"], alarm["Statistic"], threshold(alarm)) == ("TokenLoginFailures", "Sum", 0)


def test_a_connector_stays_wrong_until_a_check_finds_it_right(alarms: dict[str, Any]) -> None:
    # Given that a check publishes a number of failures, 0 among them, and then nothing for a day
    alarm = alarms["ConnectorCheckAlarm"]
    # When what the alarm makes of it is read / Then one failure raises it, and silence changes nothing
    assert (alarm["Statistic"], alarm["ComparisonOperator"], threshold(alarm)) == (
        "Maximum",
        "GreaterThanThreshold",
        0,
    )
    assert (alarm["EvaluationPeriods"], alarm["TreatMissingData"]) == (1, "ignore")
    # And a check soon after the mending is in a period of its own
    assert alarm["Period"] == 60


def test_a_lasting_throttle_raises_the_alarm_and_a_single_one_does_not(alarms: dict[str, Any]) -> None:
    # Given that a throttled connector is paused for ten minutes at most, and then asks again
    alarm = alarms["ResponsysThrottlingAlarm"]
    # When the alarm's periods are read / Then each holds such an answer, and two of them in a row raise it
    assert alarm["Period"] > 600
    assert (alarm["EvaluationPeriods"], "DatapointsToAlarm" in alarm) == (2, False)
    assert (alarm["MetricName"], alarm["Statistic"], threshold(alarm)) == ("ApiThrottles", "Sum", 0)


@pytest.mark.parametrize(
    ("bus", "dimensions"),
    [
        ("default", {"RuleName": "crm-upstream-events"}),
        (
            "aws.partner/segment.com/abc",
            {"EventBusName": "aws.partner/segment.com/abc", "RuleName": "crm-upstream-events"},
        ),
    ],
)
def test_a_lost_event_of_upstream_is_noticed_on_whichever_bus_it_came(
    stack_with: Callable[..., Stack], bus: str, dimensions: dict[str, str]
) -> None:
    # Given a rule on a bus / When its alarm is read
    stack = stack_with(UpstreamEventSource="crm", UpstreamEventBusName=bus)
    alarm = stack.of_type("AWS::CloudWatch::Alarm")["UpstreamEventsAlarm"]
    # Then it counts what no dead-letter queue took, as EventBridge counts it for that bus, and one is enough
    (metric,) = metrics_of(alarm)
    require_metric(stack, *metric)
    assert metric == ("AWS/Events", "InvocationsFailedToBeSentToDlq", dimensions)
    assert (alarm["Statistic"], threshold(alarm), alarm["EvaluationPeriods"]) == ("Sum", 0, 1)


def test_a_pipe_that_keeps_failing_is_noticed_and_one_halved_batch_is_not(alarms: dict[str, Any]) -> None:
    # Given that a batch too large for SQS fails once, and its halves do not
    alarm = alarms["UpstreamStreamAlarm"]
    # When the alarm's periods are read / Then it takes failures in two of them
    assert (alarm["Statistic"], threshold(alarm), alarm["DatapointsToAlarm"]) == ("Sum", 0, 2)
    assert alarm["EvaluationPeriods"] > alarm["DatapointsToAlarm"]


def test_rejected_messages_left_lying_are_noticed_though_their_age_is_not_told(
    stack: Stack, alarms: dict[str, Any]
) -> None:
    # Given that SQS tells no age of messages that were received three times
    alarm = alarms["RejectedUnattendedAlarm"]
    ((_, metric, dimensions),) = metrics_of(alarm)
    # When what the alarm looks at is read / Then it is whether any lie there, each day
    assert (metric, dimensions) == ("ApproximateNumberOfMessagesVisible", {"QueueName": "crm-rejected-dlq"})
    assert (alarm["Statistic"], alarm["ComparisonOperator"], threshold(alarm)) == (
        "Maximum",
        "GreaterThanThreshold",
        0,
    )
    assert period_of(alarm) == 86400
    # And it rings days before they are lost
    (kept,) = {queue["MessageRetentionPeriod"] / 86400 for queue in stack.of_type("AWS::SQS::Queue").values()}
    assert alarm["EvaluationPeriods"] <= kept - 4


@pytest.mark.parametrize("name", ALARMS)
def test_an_alarm_looks_back_no_longer_than_cloudwatch_takes(alarms: dict[str, Any], name: str) -> None:
    # Given an alarm / When its periods are added up
    seconds = period_of(alarms[name]) * int(alarms[name]["EvaluationPeriods"])
    # Then it is a week at most, and a day with periods shorter than an hour
    assert seconds <= (7 * 86400 if period_of(alarms[name]) >= 3600 else 86400)


@pytest.mark.parametrize("name", ["RejectedRetentionAlarm", "ThrottledRetentionAlarm"])
def test_messages_are_noticed_days_before_they_are_lost(stack: Stack, alarms: dict[str, Any], name: str) -> None:
    # Given the retention of all queues
    (days,) = {queue["MessageRetentionPeriod"] / 86400 for queue in stack.of_type("AWS::SQS::Queue").values()}
    # When the alarm's age is calculated for a message of that age
    alarm = alarms[name]
    # Then it is breached four days before
    assert expression(alarm)(age=(days - 4) * 86400) <= threshold(alarm)
    assert expression(alarm)(age=(days - 4) * 86400 + 1) > threshold(alarm)


@pytest.mark.parametrize("reply_seconds", REPLY_SECONDS)
def test_nearness_to_the_time_out_is_that_of_the_function(stack_with: Callable[..., Stack], reply_seconds: str) -> None:
    # Given the function's time-out, and how long a full batch may wait for replies on purpose
    stack = stack_with(ReplySeconds=reply_seconds)
    milliseconds = 1000 * stack.of_type("AWS::Lambda::Function")["SegmentEventsFunction"]["Timeout"]
    batch_size = int(stack.resolved({"Ref": "BatchSize"}))
    waiting = milliseconds - 1000 * (delivery._SETTLING_SECONDS + batch_size / delivery._SETTLED_A_SECOND)
    # When an invocation's duration is held against the alarm
    alarm = stack.of_type("AWS::CloudWatch::Alarm")["NearTimeoutAlarm"]
    percent = expression(alarm)
    # Then it is in percent of that time-out, and only one that ended later breaches
    assert percent(duration=milliseconds) == 100
    assert percent(duration=waiting) <= threshold(alarm)
    assert percent(duration=0.961 * milliseconds) > threshold(alarm)


def test_a_silent_producer_is_noticed_when_nothing_is_published_any_more(alarms: dict[str, Any]) -> None:
    # Given that SQS publishes nothing for a queue that was idle for hours
    alarm = alarms["ProducerSilentAlarm"]
    # When the alarm is read / Then silence breaches, for as many hours as asked for
    assert (alarm["TreatMissingData"], alarm["Period"], alarm["EvaluationPeriods"]) == ("breaching", 3600, "6")
    assert (alarm["ComparisonOperator"], alarm["Threshold"]) == ("LessThanThreshold", 1)


THRESHOLDS = {
    "RejectedMessagesAllowed": ["RejectedMessagesAlarm"],
    "DeadLetterDaysAllowed": ["RejectedRetentionAlarm", "ThrottledRetentionAlarm"],
    "OldestMessageSecondsAllowed": ["OldestMessageAlarm"],
    "FailureSharePercentAllowed": ["FailureShareAlarm"],
    "DuplicateSharePercentAllowed": ["DuplicateShareAlarm"],
    "OutcomesUnknownAllowed": ["OutcomesUnknownAlarm"],
    "ThrottledRequestsAllowed": ["ResponsysThrottlingAlarm"],
    "FunctionErrorsAllowed": ["FunctionErrorsAlarm"],
    "FunctionThrottlesAllowed": ["FunctionThrottlesAlarm"],
    "DurationPercentAllowed": ["NearTimeoutAlarm"],
}


@pytest.mark.parametrize("parameter", THRESHOLDS)
def test_a_threshold_is_a_parameter(stack_with: Callable[..., Stack], parameter: str) -> None:
    # Given another threshold than the default
    stack = stack_with(**{parameter: "12"})
    # When the alarms are read / Then it counts for these and for no other
    allowed = [name for name, alarm in stack.of_type("AWS::CloudWatch::Alarm").items() if alarm["Threshold"] == "12"]
    assert allowed == THRESHOLDS[parameter]


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
