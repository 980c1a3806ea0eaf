"""How much CPU does a message take, beside the least that could work and beside common practice?"""

from __future__ import annotations

from typing import Any

from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from tests.benchmarks.themes import Theme

_SUBJECTS = {
    "floor": "the least that could work",
    "ours": "this function, without its table",
    "ours_with_ledger": "this function",
    "common": "common practice",
}


def draw(result: dict[str, Any], theme: Theme) -> Figure:
    """Draw one bar for each subject, as multiples of the floor."""
    figure, axes = plt.subplots(figsize=(8, 2.2))
    for place, (subject, name) in enumerate(_SUBJECTS.items()):
        times = result["over_floor"][subject]["median"]
        axes.barh(place, times, height=0.62, color=theme.ours if subject.startswith("ours") else theme.series[1])
        axes.annotate(
            f"{times:.2g} \N{MULTIPLICATION SIGN}",
            (times, place),
            (5, 0),
            textcoords="offset points",
            va="center",
            weight="bold",
        )
        axes.annotate(name, (0, place), (-6, 0), textcoords="offset points", va="center", ha="right")
    axes.invert_yaxis()
    axes.set_axis_off()
    axes.set_title("CPU per message, as multiples of the least that could work", loc="left", x=0)
    return figure
