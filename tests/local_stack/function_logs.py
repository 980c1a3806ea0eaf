"""How do the lines that functions write reach CloudWatch Logs, and their metrics CloudWatch?

As on AWS, a little later than the function wrote them, and without holding it up: `write_waiting` is for a
thread that repeats it.
"""

import contextlib
import queue
import time
from collections import defaultdict
from typing import TYPE_CHECKING

from tests.local_stack.aws_endpoint import AwsEndpoint
from tests.local_stack.deployed_function import DeployedFunction
from tests.local_stack.embedded_metrics import metrics_in

if TYPE_CHECKING:
    from mypy_boto3_cloudwatch.type_defs import MetricDatumTypeDef
    from mypy_boto3_logs.type_defs import InputLogEventTypeDef

_MOST_METRICS_A_CALL = 500
_MOST_EVENTS_A_CALL = 1_000


class FunctionLogs:
    """The lines on their way, from the worker that reads them to the API."""

    def __init__(self, endpoint: AwsEndpoint) -> None:
        self._endpoint = endpoint
        self._lines: queue.SimpleQueue[tuple[str, str, int, str]] = queue.SimpleQueue()
        self._streams: set[tuple[str, str]] = set()

    def write(self, function: DeployedFunction, stream: str, line: str) -> None:
        """Take one line of a function's output."""
        self._lines.put((function.log_group, stream, int(time.time() * 1000), line))

    def write_waiting(self) -> None:
        """Write what functions wrote since the last time."""
        events: dict[tuple[str, str], list[InputLogEventTypeDef]] = defaultdict(list)
        metrics: dict[str, list[MetricDatumTypeDef]] = defaultdict(list)
        with contextlib.suppress(queue.Empty):
            while True:
                group, stream, timestamp, line = self._lines.get_nowait()
                events[group, stream].append({"timestamp": timestamp, "message": line or " "})
                for namespace, datums in metrics_in(line).items():
                    metrics[namespace].extend(datums)
        for (group, stream), lines in events.items():
            self._put_events(group, stream, lines)
        for namespace, datums in metrics.items():
            for start in range(0, len(datums), _MOST_METRICS_A_CALL):
                self._endpoint.cloudwatch.put_metric_data(
                    Namespace=namespace, MetricData=datums[start : start + _MOST_METRICS_A_CALL]
                )

    def _put_events(self, group: str, stream: str, lines: "list[InputLogEventTypeDef]") -> None:
        logs = self._endpoint.logs
        if (group, stream) not in self._streams:
            with contextlib.suppress(logs.exceptions.ResourceAlreadyExistsException):
                logs.create_log_group(logGroupName=group)
            logs.create_log_stream(logGroupName=group, logStreamName=stream)
            self._streams.add((group, stream))
        for start in range(0, len(lines), _MOST_EVENTS_A_CALL):
            logs.put_log_events(
                logGroupName=group,
                logStreamName=stream,
                logEvents=lines[start : start + _MOST_EVENTS_A_CALL],
            )
