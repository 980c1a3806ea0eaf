"""What is a benchmark? It measures, and tells its result as Markdown; `plots` draws it."""

from types import ModuleType
from typing import Any, Protocol, cast

__all__ = ["Benchmark", "as_benchmark"]


class Benchmark(Protocol):
    """A module of this folder."""

    def measure(self) -> dict[str, Any]:
        """Return the result as JSON; it is all that `report` and the plots get."""

    def report(self, result: dict[str, Any]) -> str:
        """Return the tables and figures, as Markdown."""


def as_benchmark(module: ModuleType) -> Benchmark:
    """Read a module as a benchmark."""
    return cast("Benchmark", module)
