"""How much of an account's limit is used, for each rate at which Lambda gathers?"""

from __future__ import annotations

from typing import Any

from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from tests.benchmarks.themes import Theme


def draw(result: dict[str, Any], theme: Theme) -> Figure:
    """Draw one line for each rate, and one for what more batches at once make of the slowest."""
    backlogs = result["backlogs"]
    slowest, *faster = sorted({run["rate"] for run in backlogs})
    by_rate = {rate: [run for run in backlogs if run["rate"] == rate] for rate in (slowest, *faster)}
    figure, axes = plt.subplots(figsize=(8, 3.2))
    limits = [run["limit"] for run in by_rate[slowest]]
    places = {limit: place for place, limit in enumerate(limits)}

    def line(runs: list[dict[str, Any]], name: str, colour: str, shift: int, **style: Any) -> None:
        where = [places[run["limit"]] for run in runs]
        axes.plot(where, [run["share"] for run in runs], color=colour, **style)
        last = (where[-1], runs[-1]["share"])
        axes.annotate(name, last, (10, shift), textcoords="offset points", color=colour, weight="bold", va="center")

    fast = min((by_rate[rate] for rate in faster), key=lambda runs: min(run["share"] for run in runs))
    concurrency = result["settings"]["MaximumConcurrency"]
    more = [run for run in by_rate[slowest] if run["limit"] not in {each["limit"] for each in result["moreAtOnce"]}]
    line(fast, f"{min(faster)} per second and more", theme.ours, 8, linewidth=5)
    line(by_rate[slowest], f"{slowest} per second", theme.series[0], 0, linewidth=2, marker="o")
    line(
        [more[-1], *result["moreAtOnce"]],
        f"{slowest} per second, MaximumConcurrency\na 25th of the limit instead of {concurrency}",
        theme.series[0],
        -16,
        linewidth=2,
        linestyle="--",
        marker="o",
    )
    axes.set_title("Share of the account's limit used, by messages gathered per second and batch", loc="left")
    axes.set_ylim(0, 1.05)
    axes.set_yticks([0, 0.25, 0.5, 0.75, 1.0])
    axes.yaxis.set_major_formatter(lambda share, _: f"{share:.0%}")
    axes.set_xticks(range(len(limits)), [f"{limit:,}" for limit in limits])
    axes.set_xlabel("requests per minute allowed")
    return figure
