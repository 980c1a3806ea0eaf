"""What was told at once? Metrics that keep that, and print nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from responsys_activation.observability import InvocationMetrics


class ToldMetrics(InvocationMetrics):
    """Counts what is told at once, by name; lets go of what a flush would print.

    Parameters
    ----------
    told : Counter or None
        Where to count, for the metrics of several environments.
    """

    def __init__(self, told: Counter[str] | None = None) -> None:
        super().__init__("stack")
        self.told: Counter[str] = Counter() if told is None else told

    @property
    def unknown(self) -> int:
        """Messages told as of unknown outcome."""
        return self.told["OutcomesUnknown"]

    def tell(self, name: str, value: int, *dimension_sets: Mapping[str, str]) -> None:
        assert [set(dimensions) for dimensions in dimension_sets] == [{"connector"}, {"service"}]
        self.told[name] += value

    def flush(self) -> None:
        self._counts.clear()
        self._samples.clear()
