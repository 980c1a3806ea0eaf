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


def _latency(result: dict[str, Any]) -> Figure:
    """Draw where the time goes: the cases without a window are much shorter, and have a scale of their own."""
    figure, scales = plt.subplots(2, 1, figsize=(9, 4.5), layout="constrained")
    cases = result["cases"]
    long = [case for case in cases if case["medianMs"] > 2_000]
    short = [case for case in cases if case["medianMs"] <= 2_000]
    for axes, some in zip(scales, (long, short), strict=True):
        names = [case["case"].replace("`", "").replace(", ", "\n", 1) for case in some]
        left = [0.0] * len(some)
        for same_part in zip(*(case["parts"] for case in some), strict=True):
            seconds = [mean_ms / 1000 for _, mean_ms in same_part]
            axes.barh(names, seconds, left=left, height=0.6, label=same_part[0][0])
            left = [before + more for before, more in zip(left, seconds, strict=True)]
        axes.grid(visible=False, axis="y")
        axes.invert_yaxis()
        axes.xaxis.set_major_formatter("{x:g} s")
    figure.legend(*scales[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    figure.suptitle("From SQS to Responsys, mean of each part", fontsize=11)
    return figure


def _outage(result: dict[str, Any]) -> Figure:
    """Draw what waits on each queue, and what is delivered."""
    outage, series = (result["outages"]["ten_minutes"][name] for name in ("outage", "series"))
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


# By benchmark: docs/performance/{name}.svg.
PLOTS: dict[str, Draw] = {"latency": _latency, "outage": _outage}


def main() -> None:
    """Draw every plot."""
    mpl.use("svg")
    # The same results give the same files.
    mpl.rcParams["svg.hashsalt"] = "responsys-activation"
    plt.rcParams.update({"figure.figsize": (8, 4), "axes.grid": True, "grid.alpha": 0.3, "font.size": 10})
    results = json.loads((DIRECTORY / "results.json").read_text())
    for name, draw in PLOTS.items():
        figure = draw(results[name])
        figure.savefig(DIRECTORY / f"{name}.svg", metadata={"Date": None}, bbox_inches="tight")
        plt.close(figure)
        print(f"docs/performance/{name}.svg")


if __name__ == "__main__":
    main()
