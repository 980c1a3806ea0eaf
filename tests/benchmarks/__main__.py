"""`python -m tests.benchmarks`: measure, and write results and tables; with names, only those benchmarks.

The results go to docs/performance/results.json, the tables into docs/performance.md between the markers that name
them; `python -m tests.benchmarks.plots` draws the plots from the results, in an environment of its own.
"""

import argparse
import importlib
import sys
import time

from rich.console import Console

from tests.benchmarks.benchmark import as_benchmark
from tests.benchmarks.machine import made_by
from tests.benchmarks.results import read_results, save_result
from tests.generated_part import write_part
from tests.local_stack.environments import REPOSITORY
from tests.local_stack.processes import ending_on_signals

DOCUMENT = REPOSITORY / "docs" / "performance.md"
# In this order: the cost model reads what was counted before it.
NAMES = (
    "cpu",
    "outcome_feed",
    "cold_start",
    "memory",
    "throughput",
    "gather",
    "limit",
    "small",
    "latency",
    "outage",
    "webhook",
    "cost",
)


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
            save_result(name, benchmark.measure())
            result = read_results()[name]  # as it is kept
            report = f"{benchmark.report(result)}\n\n{made_by(name, result['machine'])}"
            write_part(DOCUMENT, f"results of {name}", "make bench", report)
            console.print(report, markup=False, soft_wrap=True)
            console.print(f"({time.monotonic() - started:.0f} s)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
