"""Does a message cost the same among a thousand and among a million?"""

from statistics import median
from typing import Any

from tests.benchmarks.arena import Arena, arena
from tests.generated_part import markdown_table

__all__ = ["measure", "report"]

# A single run of a few messages tells little: the fewer messages, the more runs.
_RUNS = {1_000: 15, 10_000: 5, 100_000: 1, 1_000_000: 1}
_BATCH = 2_000
_SUBJECT = "ours_with_ledger"
_MEBIBYTE = 1024 * 1024


def measure() -> dict[str, Any]:
    """Send ever more messages, each number of them in new processes."""
    with arena() as running:
        sizes = [_measured(running, messages, runs) for messages, runs in _RUNS.items()]
    return {"batch": _BATCH, "sizes": sizes}


def _measured(running: Arena, messages: int, runs: int) -> dict[str, Any]:
    costs = [running.run(_SUBJECT, messages, min(messages, _BATCH)) for _ in range(runs)]
    table_calls = [
        sum(count for call, count in cost.aws_calls.items() if call.startswith("dynamodb ")) for cost, _ in costs
    ]
    return {
        "messages": messages,
        "runs": runs,
        "cpu_micros": round(median(cost.cpu_seconds for cost, _ in costs) / messages * 1e6, 1),
        "requests_per_1000": median(sent for _, sent in costs) / messages * 1000,
        "table_calls_per_1000": median(table_calls) / messages * 1000,
        "peak_mebibytes": round(median(cost.peak_bytes for cost, _ in costs) / _MEBIBYTE),
        "seconds": round(median(cost.wall_seconds for cost, _ in costs), 1),
    }


def report(result: dict[str, Any]) -> str:
    """Give the table."""
    rows = [
        (
            size["messages"],
            f"{size['cpu_micros']:.0f}",
            f"{size['requests_per_1000']:.1f}",
            f"{size['table_calls_per_1000']:.1f}",
            size["peak_mebibytes"],
        )
        for size in result["sizes"]
    ]
    header = ("messages", "µs of CPU a message", "requests a 1,000", "calls of the table a 1,000", "peak MiB")
    return f"{markdown_table(header, rows)}\n\nIn batches of {result['batch']:,}."
