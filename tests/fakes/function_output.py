"""What does the function write to its log, metric lines included?"""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Iterator
from typing import Any

from responsys_activation.observability import logger
from tests.local_stack.embedded_metrics import metrics_in


class FunctionOutput:
    """What was written while `captured_output` lasted."""

    def __init__(self, stream: io.StringIO) -> None:
        self._stream = stream

    def text(self) -> str:
        """Return all of it."""
        return self._stream.getvalue()

    def documents(self) -> list[dict[str, Any]]:
        """Return every line."""
        return [json.loads(line) for line in self._stream.getvalue().splitlines()]

    def lines(self, message: str) -> list[dict[str, Any]]:
        """Return the log lines of one message text."""
        return [document for document in self.documents() if document.get("message") == message]

    def metrics(self) -> Iterator[tuple[str, str, dict[str, str], float]]:
        """Yield namespace, name, dimensions and sum of each metric."""
        for line in self._stream.getvalue().splitlines():
            for namespace, datums in metrics_in(line).items():
                for datum in datums:
                    dimensions = {each["Name"]: each["Value"] for each in datum["Dimensions"]}
                    yield namespace, datum["MetricName"], dimensions, sum(datum["Values"])

    def total(self, name: str, **dimensions: str) -> float:
        """Return a metric's sum under the stack and exactly these, which must have been written, if only as zero."""
        under_these = {"stack": "stack", **dimensions}
        values = [value for _, found, under, value in self.metrics() if (found, under) == (name, under_these)]
        assert values, f"{name} was not written by {dimensions}"
        return sum(values)


@contextlib.contextmanager
def captured_output() -> Iterator[FunctionOutput]:
    """Capture what the logger and the metrics write; the logger holds on to the stream it was made with."""
    stream = io.StringIO()
    handler = logger.registered_handler
    assert handler is not None
    before = handler.setStream(stream)  # type: ignore[attr-defined]
    try:
        with contextlib.redirect_stdout(stream):
            yield FunctionOutput(stream)
    finally:
        handler.setStream(before)  # type: ignore[attr-defined]
