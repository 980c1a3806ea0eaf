"""What do the results look like? Draws docs/performance/*.svg from results.json, for light pages and for dark ones.

Runs in an environment of its own with matplotlib, and so imports nothing of the project but what draws.
"""

import io
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from tests.benchmarks.drawings import cpu, gather, latency, outage, small
from tests.benchmarks.themes import THEMES, Theme

DIRECTORY = Path(__file__).resolve().parents[2] / "docs" / "performance"

Draw = Callable[[dict[str, Any], Theme], Figure]

# By benchmark, whose result each is given: docs/performance/{name}-{theme}.svg.
PLOTS: dict[str, Draw] = {
    "cpu": cpu.draw,
    "gather": gather.draw,
    "small": small.draw,
    "latency": latency.draw,
    "outage": outage.draw,
}


def main() -> None:
    """Draw every plot in every theme."""
    mpl.use("svg")
    results = json.loads((DIRECTORY / "results.json").read_text())
    for name, draw in PLOTS.items():
        for theme in THEMES:
            with mpl.rc_context(_style(theme)):
                figure = draw(results[name], theme)
                text = io.StringIO()
                figure.savefig(text, format="svg", metadata={"Date": None}, bbox_inches="tight", transparent=True)
                plt.close(figure)
            path = DIRECTORY / f"{name}-{theme.name}.svg"
            path.write_text(_without_layout(text.getvalue()))
            print(f"docs/performance/{path.name}")


def _without_layout(svg: str) -> str:
    """Leave out comments and the layout of the text, a fifth of the bytes."""
    svg = re.sub(r"<!--.*?-->|<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    return re.sub(r"\s+", " ", svg).replace("> <", "><") + "\n"


def _style(theme: Theme) -> dict[str, Any]:
    return {
        "svg.hashsalt": "responsys-activation",  # the same results give the same files
        # Text as outlines: a page's picture gets the reader's fonts, and those have other widths.
        "svg.fonttype": "path",
        "font.size": 10,
        "figure.constrained_layout.use": True,
        "text.color": theme.ink,
        "axes.titlesize": 11,
        "axes.titleweight": "bold",
        "axes.titlepad": 10,
        "axes.labelcolor": theme.muted,
        "axes.grid": True,
        "axes.grid.axis": "y",
        "axes.axisbelow": True,
        "axes.edgecolor": theme.grid,
        "axes.spines.left": False,
        "axes.spines.right": False,
        "axes.spines.top": False,
        "grid.color": theme.grid,
        "xtick.color": theme.grid,
        "xtick.labelcolor": theme.muted,
        "ytick.color": theme.grid,
        "ytick.labelcolor": theme.muted,
        "ytick.major.size": 0,
    }


if __name__ == "__main__":
    main()
