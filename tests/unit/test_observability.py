"""Is each number written whole and when it should be, and do libraries keep to themselves what they are told?"""

from __future__ import annotations

import contextlib
import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import responsys_activation
from responsys_activation.observability import InvocationMetrics
from tests.fakes.function_output import captured_output

# As Lambda's runtime does it before it loads the function, when LogLevel is DEBUG.
_COLD_START = """
import logging
logging.getLogger().setLevel("DEBUG")
from responsys_activation.observability import logger
print([logging.getLogger(name).isEnabledFor(logging.INFO) for name in ("botocore", "boto3", "urllib3", "requests")])
print(logger.log_level)
"""
_FIRST_LINE = "from responsys_activation.observability import logger; logger.info('first')"


def test_at_debug_we_write_more_and_libraries_do_not_write_passwords_and_bodies() -> None:
    # Given a cold start at LogLevel DEBUG
    environment = {
        "PYTHONPATH": str(Path(responsys_activation.__file__).parents[1]),
        "POWERTOOLS_SERVICE_NAME": "segment_events",
        "POWERTOOLS_LOG_LEVEL": "DEBUG",
    }

    # When our logger is made
    started = subprocess.run(
        [sys.executable, "-c", _COLD_START], env=environment, capture_output=True, text=True, check=True
    )

    # Then DEBUG is its level, and no library's
    assert started.stdout.splitlines() == ["[False, False, False, False]", "10"]


def test_every_line_says_which_version_wrote_it() -> None:
    # Given a cold start / When it writes a line
    environment = {"PYTHONPATH": str(Path(responsys_activation.__file__).parents[1])}
    started = subprocess.run(
        [sys.executable, "-c", _FIRST_LINE], env=environment, capture_output=True, text=True, check=True
    )

    # Then the line names the package's version
    assert json.loads(started.stdout)["version"] == responsys_activation.__version__


def test_what_is_told_at_once_stands_under_each_set_of_dimensions_before_the_end() -> None:
    # Given metrics that count something else / When a number is told under two sets
    metrics = InvocationMetrics("stack")
    metrics.count("Events", 5, connector="default")
    with captured_output() as output:
        metrics.tell("OutcomesUnknown", 3, {"connector": "default"}, {"service": "segment_events"})
        # Then it is written, and nothing else
        assert list(output.metrics()) == [
            ("ResponsysActivation", "OutcomesUnknown", {"stack": "stack", "connector": "default"}, 3),
            ("ResponsysActivation", "OutcomesUnknown", {"stack": "stack", "service": "segment_events"}, 3),
        ]
        # And the end does not write it again
        metrics.flush()
    assert output.total("OutcomesUnknown", connector="default") == 3
    assert output.total("Events", connector="default") == 5


def test_a_number_is_written_in_its_unit() -> None:
    # Given a duration and a size / When they are written
    metrics = InvocationMetrics("stack")
    metrics.milliseconds("ApiLatency", 0.25, connector="default")
    metrics.sample("RecipientsPerRequest", 200, connector="default")
    with captured_output() as output:
        metrics.flush()
    # Then each has its unit
    (document,) = output.documents()
    (definition,) = document["_aws"]["CloudWatchMetrics"]
    assert definition["Metrics"] == [
        {"Name": "ApiLatency", "Unit": "Milliseconds"},
        {"Name": "RecipientsPerRequest", "Unit": "Count"},
    ]
    assert (document["ApiLatency"], document["RecipientsPerRequest"]) == ([250.0], [200.0])


class Writes(io.StringIO):
    """Keeps the writes apart."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []

    def write(self, text: str) -> int:
        self.texts.append(text)
        return len(text)


@pytest.mark.parametrize("samples", [0, 1, 89, 90, 91, 99, 100, 101, 250])
def test_a_line_is_one_write_so_that_threads_cannot_break_each_others(samples: int) -> None:
    # Given a counter, and a distribution of so many values
    metrics = InvocationMetrics("stack")
    metrics.count("Events", 5, connector="default")
    for number in range(samples):
        metrics.milliseconds("ApiLatency", number / 1000, connector="default")
    # When they are told and written
    stream = Writes()
    with contextlib.redirect_stdout(stream):
        metrics.tell("OutcomesUnknown", 1, {"connector": "default"})
        metrics.flush()
    # Then each write is a whole line
    assert all(text.endswith("\n") and text.count("\n") == 1 for text in stream.texts)
    # And every number is there once
    documents: list[dict[str, Any]] = [json.loads(text) for text in stream.texts]
    written = {
        name: [value for document in documents for value in document.get(name, [])]
        for name in ("OutcomesUnknown", "Events", "ApiLatency")
    }
    assert written == {"OutcomesUnknown": [1], "Events": [5], "ApiLatency": list(range(samples))}
