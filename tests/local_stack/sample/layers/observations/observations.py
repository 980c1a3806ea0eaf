"""How does the sample function tell what it saw? In its log, as JSON, and as a metric."""

import json
import time
from typing import Any


def observe(**seen: Any) -> None:
    """Write one line."""
    print(json.dumps({"observed": seen}))


def count_messages(count: int) -> None:
    """Publish a metric in the embedded metric format."""
    metrics = [{"Name": "Messages", "Unit": "Count"}, {"Name": "Sizes", "Unit": "Bytes"}]
    directive = {"Namespace": "Sample", "Dimensions": [["service"], ["service", "kind"]], "Metrics": metrics}
    metadata = {"Timestamp": int(time.time() * 1000), "CloudWatchMetrics": [directive]}
    values = {"service": "observer", "kind": "sqs", "Messages": count, "Sizes": [1, 2, 3]}
    print(json.dumps({"_aws": metadata, **values}))
