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
