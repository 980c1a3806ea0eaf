"""Where does the time go between SQS and Responsys?"""

from __future__ import annotations

from typing import Any, NamedTuple

from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tests.benchmarks.themes import Theme

_SHORT = 2_000  # ms: what takes longer has a scale of its own
_LETTER = 0.0085  # of the scale, that a letter takes
_SEEN = 0.005  # of the scale: a part that is shorter needs no name
_ROOM = 1.12  # of the longest bar, for its sum


class _Part(NamedTuple):
    """Where one part of one bar was drawn.

    Attributes
    ----------
    share : float
        Of the scale.
    """

    share: float
    axes: Axes
    middle: float
    place: int
    colour: str


def draw(result: dict[str, Any], theme: Theme) -> Figure:
    """Draw the mean of each part; cases without a window are much shorter, and have a scale of their own."""
    long = [case for case in result["cases"] if case["medianMs"] > _SHORT]
    short = [case for case in result["cases"] if case["medianMs"] <= _SHORT]
    figure, scales = plt.subplots(2, 1, figsize=(9, 4), height_ratios=(len(long), len(short)))
    drawn: dict[str, list[_Part]] = {}
    for axes, cases in zip(scales, (long, short), strict=True):
        axes.set_xlim(0, _ROOM * max(sum(mean for _, mean in _parts(case)) for case in cases))
        for place, case in enumerate(cases):
            _draw_case(axes, place, case, theme, drawn)
        axes.set_ylim(len(cases) - 0.3, -0.75)
        axes.set_axis_off()
    for name, parts in drawn.items():
        _name(name, parts, theme)
    scales[0].set_title("From SQS to Responsys, mean of each part", loc="left")
    apart = {"loc": "left", "color": theme.muted, "weight": "normal", "size": "medium"}
    scales[1].set_title("on a scale of their own:", **apart)
    return figure


def _draw_case(axes: Axes, place: int, case: dict[str, Any], theme: Theme, drawn: dict[str, list[_Part]]) -> None:
    colours = (theme.series[1], *theme.series[2:], theme.ours, theme.series[0])
    left = 0.0
    for (name, mean), colour in zip(_parts(case), colours, strict=True):
        axes.barh(place, mean, left=left, height=0.5, color=colour)
        share = mean / axes.get_xlim()[1]
        drawn.setdefault(name, []).append(_Part(share, axes, left + mean / 2, place, colour))
        left += mean
    axes.annotate(_time(left), (left, place), (5, 0), textcoords="offset points", va="center", weight="bold")
    axes.text(0, place - 0.34, case["case"].replace("`", ""), va="bottom", color=theme.muted)


def _name(name: str, parts: list[_Part], theme: Theme) -> None:
    """Write a part's name into each bar that has room for it; if none has, once below the longest."""
    roomy = [part for part in parts if part.share > _LETTER * len(name)]
    for part in roomy:
        part.axes.text(
            part.middle, part.place, name, ha="center", va="center", color=theme.background, size="small", weight="bold"
        )
    longest = max(parts, key=lambda part: part.share)
    if not roomy and longest.share > _SEEN:
        longest.axes.text(
            longest.middle, longest.place + 0.34, name, ha="center", va="top", color=longest.colour, size="small"
        )


def _parts(case: dict[str, Any]) -> list[tuple[str, float]]:
    """Return the parts in ms; a mean below zero is the clocks' error."""
    return [(name, max(0.0, mean)) for name, mean in case["parts"]]


def _time(milliseconds: float) -> str:
    return f"{milliseconds / 1000:.1f} s" if milliseconds > _SHORT else f"{milliseconds:.0f} ms"
