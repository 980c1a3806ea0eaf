"""In which state is each alarm, by its own metrics, periods and treatment of missing data?

The emulator leaves dimensions out of account, refuses metric math, and looks at an alarm only when a metric is
put. So alarms are deployed with their metrics written into the metric's name, where the emulator finds no data
and leaves them alone; here they are evaluated as CloudWatch does, and set over the public API, which tells
their topic.
"""

import json
import operator
import re
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from tests.local_stack.aws_endpoint import AwsEndpoint
from tests.local_stack.metric_math import UnsupportedExpressionError, value_at

if TYPE_CHECKING:
    from mypy_boto3_cloudwatch.literals import StateValueType
    from mypy_boto3_cloudwatch.type_defs import MetricAlarmTypeDef

EVALUATED_LOCALLY = "EvaluatedByTheLocalStack"

# Seconds; queue metrics come every two, and a period without one would look like an empty queue.
_SHORTEST_PERIOD = 5
_STATISTICS = ("SampleCount", "Average", "Sum", "Minimum", "Maximum")
_OPERATORS: dict[str, Callable[[float, float], bool]] = {
    "GreaterThanThreshold": operator.gt,
    "GreaterThanOrEqualToThreshold": operator.ge,
    "LessThanThreshold": operator.lt,
    "LessThanOrEqualToThreshold": operator.le,
}


def locally_evaluated(properties: Mapping[str, Any]) -> dict[str, Any]:
    """Return an alarm's properties for the emulator, its metrics kept in the metric's name.

    Raises
    ------
    UnsupportedExpressionError
        The alarm uses a statistic, a comparison or metric math that is not evaluated here, or dimensions that depend on
        a condition.
    """
    if not isinstance(properties.get("Dimensions", []), list):
        raise UnsupportedExpressionError("dimensions that depend on a condition are not evaluated locally")
    plain = {
        "Id": "metric",
        "MetricStat": {
            "Metric": {name: properties.get(name) for name in ("Namespace", "MetricName", "Dimensions")},
            "Stat": properties.get("Statistic"),
            "Period": properties.get("Period"),
        },
    }
    metrics = properties.get("Metrics", [plain])
    _require_support(properties["ComparisonOperator"], metrics)
    moved = ("Metrics", "Dimensions", "Statistic", "Period")
    return {
        **{name: value for name, value in properties.items() if name not in moved},
        "Namespace": EVALUATED_LOCALLY,
        "MetricName": _json_text(metrics),
    }


def _require_support(comparison: str, metrics: list[dict[str, Any]]) -> None:
    if comparison not in _OPERATORS:
        raise UnsupportedExpressionError(f"{comparison} is not evaluated locally")
    for metric in metrics:
        if "Expression" in metric:
            value_at(_expression_text(metric["Expression"]), {other["Id"]: 1.0 for other in metrics})
        elif metric["MetricStat"]["Stat"] not in _STATISTICS:
            raise UnsupportedExpressionError(f"{metric['MetricStat']['Stat']} is not evaluated locally")


def _expression_text(expression: Any) -> str:
    """Return an expression with a 1 for each number that CloudFormation will fill in."""
    match expression:
        case {"Fn::Sub": [str(text), _]}:
            return re.sub(r"\$\{\w+\}", "1", text)
        case _:
            return str(expression)


def _json_text(node: Any) -> dict[str, Any]:
    """Return JSON as a `Fn::Join`, so that CloudFormation fills in what the intrinsic functions in it give."""
    functions: list[dict[str, Any]] = []

    def marked(part: Any) -> Any:
        if isinstance(part, list):
            return [marked(item) for item in part]
        if not isinstance(part, dict):
            return part
        if len(part) == 1 and next(iter(part)).startswith(("Ref", "Fn::")):
            functions.append(part)
            return "\0"
        return {key: marked(value) for key, value in part.items()}

    texts = json.dumps(marked(node)).split(json.dumps("\0")[1:-1])
    parts: list[Any] = [texts[0]]
    for function, text in zip(functions, texts[1:], strict=True):
        parts += [function, text]
    return {"Fn::Join": ["", parts]}


class AlarmStates:
    """The alarms of the emulated account.

    Parameters
    ----------
    endpoint
        The emulated AWS.
    time_scale
        Divides the alarms' periods, as it divides the waits that they are made for.
    """

    def __init__(self, endpoint: AwsEndpoint, time_scale: float = 1.0) -> None:
        self._endpoint = endpoint
        self._time_scale = time_scale

    def update(self) -> None:
        """Evaluate every alarm now, and set the state of those whose state changed."""
        for page in self._endpoint.cloudwatch.get_paginator("describe_alarms").paginate():
            for alarm in page["MetricAlarms"]:
                if alarm.get("Namespace") != EVALUATED_LOCALLY:
                    continue
                state, reason = self._evaluated(alarm)
                if state != alarm["StateValue"]:
                    self._endpoint.cloudwatch.set_alarm_state(
                        AlarmName=alarm["AlarmName"], StateValue=state, StateReason=reason
                    )

    def _evaluated(self, alarm: "MetricAlarmTypeDef") -> "tuple[StateValueType, str]":
        periods = alarm["EvaluationPeriods"]
        points = self._points(json.loads(alarm["MetricName"]), periods)
        if all(point is None for point in points):
            match alarm.get("TreatMissingData", "missing"):
                case "missing":
                    return "INSUFFICIENT_DATA", "There is no data."
                case "ignore":
                    return alarm["StateValue"], "There is no data."
        breaches = _OPERATORS[alarm["ComparisonOperator"]]
        missing_breaches = alarm.get("TreatMissingData") == "breaching"
        breaching = sum(missing_breaches if point is None else breaches(point, alarm["Threshold"]) for point in points)
        reason = f"{breaching} of the last {periods} datapoints ({points}): {alarm['ComparisonOperator']}"
        needed = alarm.get("DatapointsToAlarm", periods)
        return "ALARM" if breaching >= needed else "OK", f"{reason} {alarm['Threshold']}"

    def _points(self, metrics: list[dict[str, Any]], periods: int) -> list[float | None]:
        """Return the alarm's value in each of the latest periods; the present one counts once it has data."""
        period = next(int(metric["MetricStat"]["Period"]) for metric in metrics if "MetricStat" in metric)
        seconds = min(period, max(_SHORTEST_PERIOD, round(period / self._time_scale)))
        latest = int(time.time()) // seconds * seconds
        series = {
            metric["Id"]: self._series(metric["MetricStat"], latest - seconds * periods, latest + seconds, seconds)
            for metric in metrics
            if "MetricStat" in metric
        }
        # A period that has just begun has no data yet, and would look like the end of what was told before.
        if not any(latest in known for known in series.values()):
            latest -= seconds
        starts = [latest - seconds * back for back in reversed(range(periods))]
        returned = next(metric for metric in metrics if metric.get("ReturnData", True))
        expressions = {metric["Id"]: metric["Expression"] for metric in metrics if "Expression" in metric}
        points = []
        for start in starts:
            values: dict[str, float | None] = {name: known.get(start) for name, known in series.items()}
            for name, expression in expressions.items():
                if name != returned["Id"]:
                    values[name] = value_at(expression, values)
            points.append(value_at(expressions.get(returned["Id"], returned["Id"]), values))
        return points

    def _series(self, statistic: Mapping[str, Any], start: int, end: int, seconds: int) -> dict[int, float]:
        metric = statistic["Metric"]
        points = self._endpoint.cloudwatch.get_metric_statistics(
            Namespace=metric["Namespace"],
            MetricName=metric["MetricName"],
            Dimensions=metric.get("Dimensions") or [],
            StartTime=datetime.fromtimestamp(start, UTC),
            EndTime=datetime.fromtimestamp(end, UTC),
            Period=seconds,
            Statistics=[statistic["Stat"]],
        )["Datapoints"]
        return {int(point["Timestamp"].timestamp()): point[statistic["Stat"]] for point in points}  # type: ignore[literal-required]
