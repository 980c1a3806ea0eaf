"""Which metrics does a log line in CloudWatch's embedded metric format stand for?

AWS extracts them from the log stream; the emulator does not.
"""

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mypy_boto3_cloudwatch.type_defs import MetricDatumTypeDef


def metrics_in(line: str) -> "dict[str, list[MetricDatumTypeDef]]":
    """Return what a line publishes, by namespace; nothing when it is another kind of line."""
    if '"_aws"' not in line:
        return {}
    try:
        document = json.loads(line)
    except json.JSONDecodeError:
        return {}
    match document:
        case {"_aws": {"Timestamp": int(milliseconds), "CloudWatchMetrics": list(directives)}}:
            timestamp = datetime.fromtimestamp(milliseconds / 1000, UTC)
        case _:
            return {}
    published: dict[str, list[MetricDatumTypeDef]] = defaultdict(list)
    for directive in directives:
        published[directive["Namespace"]].extend(_datums(directive, document, timestamp))
    return dict(published)


def _datums(
    directive: Mapping[str, Any], document: Mapping[str, Any], timestamp: datetime
) -> "Iterator[MetricDatumTypeDef]":
    for dimension_set in directive.get("Dimensions") or [[]]:
        if not all(name in document for name in dimension_set):
            continue
        for metric in directive["Metrics"]:
            value = document.get(metric["Name"])
            if value is None:
                continue
            yield {
                "MetricName": metric["Name"],
                "Dimensions": [{"Name": name, "Value": str(document[name])} for name in dimension_set],
                "Timestamp": timestamp,
                "Values": [float(item) for item in (value if isinstance(value, list) else [value])],
                "Unit": metric.get("Unit", "None"),
            }
