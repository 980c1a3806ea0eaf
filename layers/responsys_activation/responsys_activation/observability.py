"""How does the outside see what happens? The one logger and the metrics of an invocation.

Nothing here ever gets a message body, an identifier, a credential or a token.
"""

from __future__ import annotations

import json
import logging
import sys
import threading
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from aws_lambda_powertools import Logger
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.metrics.provider.cloudwatch_emf.cloudwatch import AmazonCloudWatchEMFProvider

from responsys_activation import __version__

__all__ = ["InvocationMetrics", "logger"]

logger = Logger(use_rfc3339=True, utc=True, version=__version__)

# LogLevel is for our own lines. Lambda sets the root logger to it as well, and at DEBUG boto3 would log every request
# and answer in full: passwords, tokens, message bodies.
logging.getLogger().setLevel(logging.WARNING)

_NAMESPACE = "ResponsysActivation"
_MOST_SAMPLES = 90  # the provider prints at 100 values of a metric

Dimensions = tuple[tuple[str, str], ...]


class _Sample(NamedTuple):
    name: str
    unit: MetricUnit
    value: float


class InvocationMetrics:
    """Gathers an invocation's numbers and writes them as one embedded metric line per dimension set.

    Ids never become dimensions: connectors, event names and error codes are few.

    Parameters
    ----------
    stack : str
        The stack's name, the first dimension of every set: stacks of one account share the namespace and nothing else.
    """

    def __init__(self, stack: str) -> None:
        self._stack = stack
        self._counts: defaultdict[Dimensions, Counter[str]] = defaultdict(Counter)
        self._samples: defaultdict[Dimensions, list[_Sample]] = defaultdict(list)
        self._lock = threading.Lock()

    def count(self, name: str, value: int = 1, **dimensions: str) -> None:
        """Add to a counter; a value of 0 makes the counter exist."""
        with self._lock:
            self._counts[tuple(dimensions.items())][name] += value

    def tell(self, name: str, value: int, *dimension_sets: Mapping[str, str]) -> None:
        """Write a counter at once, under each set of dimensions: the invocation may be killed before its end."""
        for dimensions in dimension_sets:
            self._write(tuple(dimensions.items()), {name: value}, ())

    def count_once(self, name: str, **dimensions: str) -> bool:
        """Set a counter to 1, and return whether it was new."""
        with self._lock:
            counts = self._counts[tuple(dimensions.items())]
            new = not counts[name]
            counts[name] = 1
        return new

    def milliseconds(self, name: str, seconds: float, **dimensions: str) -> None:
        """Record one duration."""
        self.sample(name, seconds * 1000, MetricUnit.Milliseconds, **dimensions)

    def sample(self, name: str, value: float, unit: MetricUnit = MetricUnit.Count, **dimensions: str) -> None:
        """Record one number whose distribution matters."""
        with self._lock:
            self._samples[tuple(dimensions.items())].append(_Sample(name, unit, value))

    def flush(self) -> None:
        """Write everything to standard output, where CloudWatch reads it."""
        with self._lock:  # a login that outlives its batch may still count
            counts, self._counts = self._counts, defaultdict(Counter)
            samples, self._samples = self._samples, defaultdict(list)
        for dimensions in counts.keys() | samples.keys():
            self._write(dimensions, counts[dimensions], samples[dimensions])

    def _write(self, dimensions: Dimensions, counts: Mapping[str, int], samples: Sequence[_Sample]) -> None:
        # In parts small enough that the provider does not print them by itself. Each part is one write: print() makes
        # two, and another thread's line in between would spoil both.
        for start in range(0, max(1, len(samples)), _MOST_SAMPLES):
            # One provider per set: the shared one of Powertools would mix dimensions. With "" it does not add the
            # service where that is not a dimension.
            provider = AmazonCloudWatchEMFProvider(namespace=_NAMESPACE, service="", metric_set={}, dimension_set={})
            for name, value in (("stack", self._stack), *dimensions):
                provider.add_dimension(name, value)
            if not start:
                for name, count in counts.items():
                    provider.add_metric(name, MetricUnit.Count, count)
            for sample in samples[start : start + _MOST_SAMPLES]:
                provider.add_metric(*sample)
            sys.stdout.write(f"{json.dumps(provider.serialize_metric_set(), separators=(',', ':'))}\n")
