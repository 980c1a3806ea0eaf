"""How do the metrics that SQS publishes on AWS come about locally?

The emulator has none.
"""

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from tests.local_stack.aws_endpoint import AwsEndpoint
from tests.local_stack.event_source import EventSource

if TYPE_CHECKING:
    from mypy_boto3_cloudwatch.literals import StandardUnitType
    from mypy_boto3_cloudwatch.type_defs import MetricDatumTypeDef
    from mypy_boto3_sqs.literals import QueueAttributeNameType

_METRICS: "Mapping[str, QueueAttributeNameType]" = {
    "ApproximateNumberOfMessagesVisible": "ApproximateNumberOfMessages",
    "ApproximateNumberOfMessagesNotVisible": "ApproximateNumberOfMessagesNotVisible",
    "ApproximateNumberOfMessagesDelayed": "ApproximateNumberOfMessagesDelayed",
}


class QueueMetrics:
    """The depths and ages of all queues, as metrics.

    Parameters
    ----------
    endpoint
        The emulated AWS.
    event_sources
        Who polls a queue, by the queue's ARN: they know how old the messages are. The age of a queue that
        nobody polls is not published, as the API does not tell it.
    """

    def __init__(self, endpoint: AwsEndpoint, event_sources: Mapping[str, EventSource]) -> None:
        self._endpoint = endpoint
        self._event_sources = event_sources

    def publish(self) -> None:
        """Publish the metrics of every queue once."""
        datums: list[MetricDatumTypeDef] = []
        for url in self._endpoint.sqs.list_queues().get("QueueUrls", []):
            attributes = self._endpoint.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
            queue_name = attributes["QueueArn"].rpartition(":")[2]
            depths = {metric: int(attributes[name]) for metric, name in _METRICS.items()}
            for metric, depth in depths.items():
                datums.append(_datum(queue_name, metric, depth, "Count"))
            source = self._event_sources.get(attributes["QueueArn"])
            if source is not None:
                age = self._age_seconds(source, is_empty=not any(depths.values()))
                datums.append(_datum(queue_name, "ApproximateAgeOfOldestMessage", age, "Seconds"))
        if datums:
            self._endpoint.cloudwatch.put_metric_data(Namespace="AWS/SQS", MetricData=datums)

    def _age_seconds(self, source: EventSource, *, is_empty: bool) -> float:
        if is_empty:
            source.forget_unsettled()
        oldest = source.oldest_sent_ms
        return 0.0 if oldest is None else max(0.0, time.time() - oldest / 1000)


def _datum(queue_name: str, metric: str, value: float, unit: "StandardUnitType") -> "MetricDatumTypeDef":
    dimensions = [{"Name": "QueueName", "Value": queue_name}]
    return {"MetricName": metric, "Dimensions": dimensions, "Value": value, "Unit": unit}  # type: ignore[typeddict-item]
