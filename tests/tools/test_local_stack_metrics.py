"""Do metric math and the embedded metric format mean locally what they mean on AWS?"""

import json

import pytest

from tests.local_stack.alarm_states import locally_evaluated
from tests.local_stack.embedded_metrics import metrics_in
from tests.local_stack.metric_math import UnsupportedExpressionError, value_at

SHARE = "IF(received >= 50, 100 * (rejected + retried) / received, 0)"


@pytest.mark.parametrize(
    ("expression", "values", "expected"),
    [
        ("a + b * 2 - -1", {"a": 1.0, "b": 2.0}, 6.0),
        ("a + b", {"a": 1.0, "b": None}, None),
        ("FILL(a, 0) + FILL(b, 7)", {"a": 1.0, "b": None}, 8.0),
        ("a / b", {"a": 1.0, "b": 0.0}, None),
        (SHARE, {"received": 200.0, "rejected": 10.0, "retried": 30.0}, 20.0),
        (SHARE, {"received": 49.0, "rejected": 10.0, "retried": 30.0}, 0.0),
        (SHARE, {"received": None, "rejected": 10.0, "retried": 30.0}, None),
    ],
)
def test_an_expression_has_the_value_that_cloudwatch_gives_it(
    expression: str, values: dict[str, float | None], expected: float | None
) -> None:
    assert value_at(expression, values) == expected


@pytest.mark.parametrize("expression", ["RATE(a)", "a +", "unknown + 1", "a.b", "FILL(a, REPEAT)", "__import__('os')"])
def test_what_is_not_evaluated_here_is_refused_and_never_guessed(expression: str) -> None:
    with pytest.raises(UnsupportedExpressionError):
        value_at(expression, {"a": 1.0})


def test_an_alarm_with_a_statistic_that_is_not_evaluated_here_is_refused() -> None:
    alarm = {"ComparisonOperator": "GreaterThanThreshold", "Statistic": None, "ExtendedStatistic": "p99"}

    with pytest.raises(UnsupportedExpressionError):
        locally_evaluated(alarm)


@pytest.mark.parametrize(("text", "is_evaluated"), [("age / ${Days}000", True), ("RATE(age) / ${Days}", False)])
def test_an_expression_with_a_number_that_cloudformation_fills_in_is_looked_at_as_well(
    text: str, is_evaluated: bool
) -> None:
    statistic = {"Metric": {"Namespace": "AWS/SQS", "MetricName": "Age"}, "Stat": "Maximum", "Period": 60}
    filled_in = {"Fn::Sub": [text, {"Days": {"Fn::FindInMap": ["Map", "key", "Days"]}}]}
    metrics = [{"Id": "days", "Expression": filled_in}, {"Id": "age", "MetricStat": statistic}]
    alarm = {"ComparisonOperator": "GreaterThanThreshold", "Metrics": metrics}

    if is_evaluated:
        parts = locally_evaluated(alarm)["MetricName"]["Fn::Join"][1]
        assert filled_in in parts
    else:
        with pytest.raises(UnsupportedExpressionError):
            locally_evaluated(alarm)


def test_a_metric_line_without_dimensions_publishes_a_metric_without_any() -> None:
    directive = {"Namespace": "N", "Dimensions": [[]], "Metrics": [{"Name": "m"}, {"Name": "absent"}]}
    line = json.dumps({"_aws": {"Timestamp": 1_000, "CloudWatchMetrics": [directive]}, "m": 2})

    (datum,) = metrics_in(line)["N"]

    assert (datum["MetricName"], datum["Dimensions"], datum["Values"]) == ("m", [], [2.0])
    assert datum["Timestamp"].timestamp() == 1  # type: ignore[union-attr]


@pytest.mark.parametrize("line", ["plain text", '{"message": "no metrics"}', '{"_aws": cut', '["_aws"]', '{"_aws": 1}'])
def test_other_lines_publish_nothing(line: str) -> None:
    assert metrics_in(line) == {}
