"""`python -m tests.benchmarks`: measure, and write results and tables; with names, only those benchmarks.

The results go to docs/performance/results.json, the tables into docs/performance.md between the markers that name
them; `python -m tests.benchmarks.plots` draws the plots from the results, in an environment of its own.
"""

import argparse
import importlib
import json
import sys
import time
from typing import Any

from rich.console import Console

from tests.benchmarks.benchmark import as_benchmark
from tests.generated_part import write_part
from tests.local_stack.environments import REPOSITORY
from tests.local_stack.processes import ending_on_signals

RESULTS = REPOSITORY / "docs" / "performance" / "results.json"
DOCUMENT = REPOSITORY / "docs" / "performance.md"
# In this order: the cost model reads what was counted before it.
NAMES = ("cpu", "cold_start", "memory", "growth", "throughput", "latency", "outage", "cost")


def main(arguments: list[str] | None = None) -> int:
    """Run the benchmarks."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("benchmarks", nargs="*", metavar="benchmark", help=f"any of: {', '.join(NAMES)}")
    chosen: list[str] = parser.parse_args(arguments).benchmarks
    if unknown := set(chosen) - set(NAMES):
        parser.error(f"no such benchmark: {', '.join(sorted(unknown))}")
    console = Console(width=120, highlight=False)
    with ending_on_signals():
        for name in chosen or NAMES:
            benchmark = as_benchmark(importlib.import_module(f"tests.benchmarks.{name}"))
            console.rule(name)
            started = time.monotonic()
            result = benchmark.measure()
            _save(name, result)
            report = benchmark.report(result)
            write_part(DOCUMENT, f"results of {name}", "make bench", report)
            console.print(report, markup=False, soft_wrap=True)
            console.print(f"({time.monotonic() - started:.0f} s)")
    return 0


def read_results() -> dict[str, Any]:
    """Read what the benchmarks came to last."""
    results: dict[str, Any] = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    return results


def _save(name: str, result: dict[str, Any]) -> None:
    RESULTS.write_text(json.dumps(read_results() | {name: result}, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    sys.exit(main())
