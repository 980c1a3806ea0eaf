"""What do the dashboard's main graphs show, on a stack that lives for minutes rather than weeks?"""

import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from tests.local_stack.published_metrics import NAMESPACE, OUTCOMES
from tests.local_stack.stack import STACK_NAME

if TYPE_CHECKING:
    from mypy_boto3_cloudwatch import CloudWatchClient
    from mypy_boto3_cloudwatch.type_defs import MetricDataQueryTypeDef, MetricTypeDef

POINTS = 60
# Seconds of one point: short while the stack is young, so that a minute already has a shape.
_STEPS = (2, 5, 10, 15)
_MOST_CONNECTORS = 4
_SERVICE = {"service": "segment_events"}


@dataclass(frozen=True)
class _Series:
    label: str
    namespace: str
    metric: str
    dimensions: Mapping[str, str]
    statistic: str
    scale: float = 1.0


@dataclass(frozen=True)
class _Graph:
    """A graph of the page.

    Attributes
    ----------
    kind
        `bars`, one upon the other, or `lines`.
    is_count
        Where nothing was counted is 0; a depth or an age is not known there.
    """

    key: str
    title: str
    unit: str
    kind: str
    is_count: bool
    series: tuple[_Series, ...]


def graphs(
    cloudwatch: "CloudWatchClient", queues: Mapping[str, str], connectors: Iterable[str], started: float
) -> dict[str, Any]:
    """Read all graphs at once.

    Parameters
    ----------
    queues
        Name of the deployed queue, by its logical id.
    started
        Epoch seconds since when there can be data.

    Returns
    -------
    dict
        `start` and `step` in milliseconds, and `graphs`: each with its `series` of `POINTS` values, where None is no
        data.
    """
    wanted = list(_graphs(queues, list(connectors)[:_MOST_CONNECTORS]))
    now = time.time()
    step = next((step for step in _STEPS if now - started <= step * (POINTS - 1)), _STEPS[-1])
    start = (int(now) // step - POINTS + 1) * step
    all_series = [series for graph in wanted for series in graph.series]
    answer = cloudwatch.get_metric_data(
        MetricDataQueries=[_query(number, series, step) for number, series in enumerate(all_series)],
        StartTime=datetime.fromtimestamp(start, UTC),
        EndTime=datetime.fromtimestamp(start + POINTS * step, UTC),
    )
    found = {result["Id"]: result for result in answer["MetricDataResults"]}
    values = (_points(found[f"m{number}"], series.scale, start, step) for number, series in enumerate(all_series))
    return {
        "start": start * 1000,
        "step": step * 1000,
        "graphs": [
            {
                "key": graph.key,
                "title": graph.title,
                "unit": graph.unit,
                "kind": graph.kind,
                "isCount": graph.is_count,
                "series": [
                    {
                        "label": series.label,
                        "values": [0 if each is None and graph.is_count else each for each in known],
                    }
                    for series, known in zip(graph.series, values, strict=False)
                ],
            }
            for graph in wanted
        ],
    }


def _graphs(queues: Mapping[str, str], connectors: list[str]) -> Iterator[_Graph]:
    yield _Graph(
        *("outcomes", "Messages by outcome", "messages", "bars", True),
        tuple(_ours(metric.removeprefix("Events").lower(), metric, _SERVICE, "Sum") for metric in OUTCOMES),
    )
    yield _Graph(
        *("queues", "Queues", "messages", "lines", False),
        (
            _of_queue("SegmentEventsQueue, waiting", queues["SegmentEventsQueue"], "Visible"),
            _of_queue("SegmentEventsQueue, in flight", queues["SegmentEventsQueue"], "NotVisible"),
            _of_queue("ThrottledDLQ, until the pause is over", queues["ThrottledDLQ"], "Delayed"),
            _of_queue("RejectedDLQ", queues["RejectedDLQ"], "Visible"),
        ),
    )
    yield _Graph(
        *("requests", "Requests to Responsys", "requests", "lines", True),
        (
            *(_ours(name, "ApiRequests", {"connector": name}, "Sum") for name in connectors),
            _ours("of these, met a throttle", "ApiThrottles", _SERVICE, "Sum"),
        ),
    )
    yield _Graph(
        *("lag", "Age of the oldest event of a request when Responsys has it", "s", "lines", False),
        tuple(_ours(name, "DeliveryLag", {"connector": name}, "Maximum", 0.001) for name in connectors),
    )


def _ours(label: str, metric: str, dimensions: Mapping[str, str], statistic: str, scale: float = 1.0) -> _Series:
    return _Series(label, NAMESPACE, metric, {"stack": STACK_NAME, **dimensions}, statistic, scale)


def _of_queue(label: str, queue_name: str, state: str) -> _Series:
    metric = f"ApproximateNumberOfMessages{state}"
    return _Series(label, "AWS/SQS", metric, {"QueueName": queue_name}, "Maximum")


def _query(number: int, series: _Series, step: int) -> "MetricDataQueryTypeDef":
    metric: MetricTypeDef = {
        "Namespace": series.namespace,
        "MetricName": series.metric,
        "Dimensions": [{"Name": name, "Value": value} for name, value in series.dimensions.items()],
    }
    return {"Id": f"m{number}", "MetricStat": {"Metric": metric, "Period": step, "Stat": series.statistic}}


def _points(result: Any, scale: float, start: int, step: int) -> list[float | None]:
    known = {
        int(at.timestamp()): value * scale for at, value in zip(result["Timestamps"], result["Values"], strict=True)
    }
    return [known.get(start + step * number) for number in range(POINTS)]
