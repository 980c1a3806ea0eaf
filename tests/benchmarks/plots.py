"""What do the results look like? Draws docs/performance/*.svg from results.json.

Runs in an environment of its own with matplotlib, and so imports nothing of the project.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

DIRECTORY = Path(__file__).resolve().parents[2] / "docs" / "performance"

Draw = Callable[[dict[str, Any]], Figure]

# By the benchmark that it draws and the plot's name: docs/performance/{name}.svg.
PLOTS: dict[tuple[str, str], Draw] = {}


def draw_outage(result: dict[str, Any]) -> Figure:
    """Draw what waits on each queue, and what is delivered."""
    outage, series = result["ten_minutes"]["outage"], result["ten_minutes"]["series"]
    figure, (waiting, delivered) = plt.subplots(2, sharex=True, figsize=(8, 5.5), height_ratios=(3, 2))
    for axes in (waiting, delivered):
        axes.axvspan(outage["from_minute"], outage["to_minute"], color="tab:red", alpha=0.12, linewidth=0)
    waiting.plot(series["minute"], [count / 1000 for count in series["throttled"]], label="ThrottledDLQ")
    waiting.plot(series["minute"], [count / 1000 for count in series["segment_events"]], label="SegmentEventsQueue")
    middle = (outage["from_minute"] + outage["to_minute"]) / 2
    waiting.text(middle, 0.95, "no capacity", ha="center", va="top", transform=waiting.get_xaxis_transform())
    waiting.set_ylabel("messages waiting, thousands")
    waiting.legend(loc="upper right")
    minutes = range(len(series["delivered_a_minute"]))
    delivered.bar(minutes, [count / 1000 for count in series["delivered_a_minute"]], width=1, align="edge", alpha=0.8)
    delivered.axhline(outage["requests_per_minute"] * 0.2, color="black", linewidth=1, linestyle="--")
    delivered.text(0.1, outage["requests_per_minute"] * 0.2, "the account's limit, in full requests", va="bottom")
    delivered.set_ylim(0, outage["requests_per_minute"] * 0.2 * 1.25)
    delivered.set_ylabel("delivered a minute,\nthousands")
    delivered.set_xlabel("minutes")
    delivered.set_xlim(0, max(series["minute"]))
    delivered.set_xticks(range(0, len(minutes), 2))
    return figure


PLOTS[("outage", "outage")] = draw_outage


def main() -> None:
    """Draw every plot whose benchmark has a result."""
    mpl.use("svg")
    # The same results give the same files.
    mpl.rcParams["svg.hashsalt"] = "responsys-activation"
    plt.rcParams.update({"figure.figsize": (8, 4), "axes.grid": True, "grid.alpha": 0.3, "font.size": 10})
    results = json.loads((DIRECTORY / "results.json").read_text())
    for (benchmark, name), draw in PLOTS.items():
        if benchmark in results:
            figure = draw(results[benchmark])
            figure.savefig(DIRECTORY / f"{name}.svg", metadata={"Date": None}, bbox_inches="tight")
            plt.close(figure)
            print(f"docs/performance/{name}.svg")


if __name__ == "__main__":
    main()
