"""What is a benchmark? It measures, and tells its result as Markdown; `plots` draws it."""

from collections.abc import Sequence
from types import ModuleType
from typing import Any, Protocol, cast

__all__ = ["Benchmark", "as_benchmark", "markdown_table"]


class Benchmark(Protocol):
    """A module of this folder."""

    def measure(self) -> dict[str, Any]:
        """Give the result as JSON; it is all that `report` and the plots get."""

    def report(self, result: dict[str, Any]) -> str:
        """Give the tables and figures, as Markdown."""


def as_benchmark(module: ModuleType) -> Benchmark:
    """Read a module as a benchmark."""
    return cast("Benchmark", module)


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Write a table: the first column to the left, the others to the right; numbers with thousands separators."""
    lines = [
        f"| {' | '.join(header)} |",
        f"|---|{'--:|' * (len(header) - 1)}",
        *(f"| {' | '.join(map(_cell, row))} |" for row in rows),
    ]
    return "\n".join(lines)


def _cell(value: object) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return f"{value:,.3g}" if isinstance(value, float) else str(value)
