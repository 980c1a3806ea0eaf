"""What do the metrics in CloudWatch add up to since the local stack started, by metric and dimensions?"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from tests.local_stack.stack import STACK_NAME

if TYPE_CHECKING:
    from mypy_boto3_cloudwatch import CloudWatchClient
    from mypy_boto3_cloudwatch.literals import StatisticType

NAMESPACE = "ResponsysActivation"
OUTCOMES = (
    "EventsDelivered",
    "EventsDuplicate",
    "EventsThrottled",
    "EventsRejected",
    "EventsRetried",
    "EventsIgnored",
)

# The stack lives shorter than this, and starts with no metrics.
_PERIOD = timedelta(days=1)

# Every dimension set begins with it; here it goes without saying.
_STACK = ("stack", STACK_NAME)

Dimensions = frozenset[tuple[str, str]]


class PublishedMetrics:
    """The metrics of our namespace and stack, by their other dimensions.

    Parameters
    ----------
    cloudwatch
        Client of the emulated CloudWatch.
    """

    def __init__(self, cloudwatch: "CloudWatchClient") -> None:
        self._cloudwatch = cloudwatch

    def total(self, metric: str, **dimensions: str) -> float:
        """Return the sum of a metric under exactly these dimensions; 0 where there is no data."""
        return self._statistic(metric, dimensions, "Sum")

    def average(self, metric: str, **dimensions: str) -> float:
        """Return the mean of a metric under exactly these dimensions; 0 where there is no data."""
        samples = self._statistic(metric, dimensions, "SampleCount")
        return self.total(metric, **dimensions) / samples if samples else 0.0

    def outcomes(self, **dimensions: str) -> dict[str, int]:
        """Return `MessagesReceived` and the counter of each outcome."""
        return {metric: round(self.total(metric, **dimensions)) for metric in ("MessagesReceived", *OUTCOMES)}

    def dimension_sets(self, metric: str) -> set[Dimensions]:
        """Return the dimension sets under which a metric was published."""
        pages = self._cloudwatch.get_paginator("list_metrics").paginate(Namespace=NAMESPACE, MetricName=metric)
        found = {
            frozenset((dimension["Name"], dimension["Value"]) for dimension in metric["Dimensions"])
            for page in pages
            for metric in page["Metrics"]
        }
        return {dimensions - {_STACK} for dimensions in found if _STACK in dimensions}

    def totals(self, metric: str, by: Iterable[str]) -> dict[tuple[str, ...], int]:
        """Return the sums of a metric by the values of the named dimensions."""
        names = tuple(by)
        found = [dict(each) for each in self.dimension_sets(metric)]
        return {
            tuple(each[name] for name in names): round(self.total(metric, **each))
            for each in found
            if each.keys() == set(names)
        }

    def _statistic(self, metric: str, dimensions: Mapping[str, str], statistic: "StatisticType") -> float:
        now = datetime.now(UTC)
        points = self._cloudwatch.get_metric_statistics(
            Namespace=NAMESPACE,
            MetricName=metric,
            Dimensions=[{"Name": name, "Value": value} for name, value in (_STACK, *dimensions.items())],
            StartTime=now - _PERIOD,
            EndTime=now + _PERIOD,
            Period=round(2 * _PERIOD.total_seconds()),
            Statistics=[statistic],
        )["Datapoints"]
        values: list[float] = [point[statistic] for point in points]
        return sum(values)
