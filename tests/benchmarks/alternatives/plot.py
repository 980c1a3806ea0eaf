"""What does the comparison look like? Draws docs/performance/alternatives-{light,dark}.svg from alternatives.json.

Runs in an environment of its own with matplotlib, and so imports nothing of the project.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

DIRECTORY = Path(__file__).resolve().parents[3] / "docs" / "performance"

# By their key in the results. Of each, less is better.
_RIGHT = {
    "lost": "lost",
    "twice": "delivered twice",
    "last_state_wrong": "last state wrong",
    "wrong_passwords": "wrong-password tries",
}
_EFFORT = {
    "requests": "requests sent",
    "drain_minutes": "minutes to drain",
    "cpu_seconds_per_1000": "s of CPU per 1,000",
    "lines": "lines to write",
}
_OURS = "this_stack"


@dataclass(frozen=True)
class Theme:
    """Colours of a page."""

    name: str
    ink: str
    muted: str
    ours: str
    others: str


_THEMES = (
    Theme(name="light", ink="#1f2328", muted="#59636e", ours="#0065b3", others="#6e7781"),
    Theme(name="dark", ink="#f0f6fc", muted="#9198a1", ours="#58b4f5", others="#8b949e"),
)


def draw(result: dict[str, Any], theme: Theme) -> Figure:
    """Draw one small chart for each column, with the same four bars in each."""
    figure, rows = plt.subplots(2, len(_RIGHT), figsize=(9.5, 3.6), layout="constrained")
    for charts, columns in zip(rows, (_RIGHT, _EFFORT), strict=True):
        for axes, (key, title) in zip(charts, columns.items(), strict=True):
            _bars(axes, result["subjects"], key, theme)
            axes.set_title(title, loc="left", fontsize=9.5, color=theme.ink)
        for place, run in enumerate(result["subjects"].values()):
            name = run["title"].replace(" and ", "\nand ").replace(" with ", "\nwith ").replace(": ", ":\n")
            charts[0].annotate(
                name, (0, place), (-6, 0), textcoords="offset points", va="center", ha="right", fontsize=8.5
            )
    figure.suptitle("The same memberships and faults: less is better", x=0.01, ha="left", fontsize=11, weight="bold")
    return figure


def _bars(axes: Axes, runs: dict[str, Any], key: str, theme: Theme) -> None:
    values = [run[key] for run in runs.values()]
    for place, (subject, run) in enumerate(runs.items()):
        ours = subject == _OURS
        axes.barh(place, run[key], height=0.62, color=theme.ours if ours else theme.others)
        text = f"{run[key]:,.3g}" if isinstance(run[key], float) else f"{run[key]:,}"
        if key == "drain_minutes" and run["cut_off"]:
            text = f"> {text}"
        axes.annotate(
            text,
            (run[key], place),
            (4, 0),
            textcoords="offset points",
            va="center",
            fontsize=9,
            weight="bold" if ours else None,
        )
    axes.set_xlim(0, max([*values, 1]) * 1.35)
    axes.invert_yaxis()
    axes.set_axis_off()


def main() -> None:
    """Draw it for light pages and for dark ones."""
    mpl.use("svg")
    result = json.loads((DIRECTORY / "alternatives.json").read_text())
    for theme in _THEMES:
        # The same results give the same file; text as outlines, for a page's picture gets the reader's fonts.
        style = {"svg.hashsalt": "responsys-activation", "svg.fonttype": "path", "text.color": theme.ink}
        with mpl.rc_context(style):
            figure = draw(result, theme)
            path = DIRECTORY / f"alternatives-{theme.name}.svg"
            figure.savefig(path, metadata={"Date": None}, bbox_inches="tight", transparent=True)
            plt.close(figure)
        print(f"docs/performance/{path.name}")


if __name__ == "__main__":
    main()
