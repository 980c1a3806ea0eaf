"""How late is a trickle to a small account, the more events it has?"""

from __future__ import annotations

from typing import Any

from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from tests.benchmarks.themes import Theme


def draw(result: dict[str, Any], theme: Theme) -> Figure:
    """Draw one line for each limit."""
    figure, axes = plt.subplots(figsize=(8, 3.2))
    limits = sorted({run["limit"] for run in result["trickles"]})
    colours = (theme.series[0], theme.series[2], theme.ours)
    for limit, colour in zip(limits, colours, strict=True):
        runs = [run for run in result["trickles"] if run["limit"] == limit]
        axes.plot(range(len(runs)), [run["p95"] for run in runs], color=colour, linewidth=2, marker="o")
        axes.annotate(
            f"{limit} requests per minute",
            (len(runs) - 1, runs[-1]["p95"]),
            (10, 0),
            textcoords="offset points",
            color=colour,
            weight="bold",
            va="center",
        )
    axes.set_title("Lag p95 of one message per second, by the account's limit", loc="left")
    axes.set_ylim(bottom=0)
    axes.yaxis.set_major_formatter("{x:g} s")
    axes.set_xticks(range(len(runs)), [f"{run['events']}" for run in runs])
    axes.set_xlabel("events that the messages are for")
    return figure
