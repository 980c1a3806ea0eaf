"""In which colours is a plot drawn, for light pages and for dark ones?

The plots have no background of their own: they lie on that of GitHub's page. Series differ for the colour-blind, too.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["THEMES", "Theme"]


@dataclass(frozen=True)
class Theme:
    """Colours, as ``#rrggbb``.

    Attributes
    ----------
    background : str
        Of the page: what is written on bars has its colour.
    ink, muted, grid : str
        What is read first; what explains it; lines behind it.
    ours : str
        The stack.
    series : tuple of str
        Others beside it, in the order in which they are needed.
    fault : str
        While something fails.
    """

    name: str
    background: str
    ink: str
    muted: str
    grid: str
    ours: str
    series: tuple[str, ...]
    fault: str


THEMES = (
    Theme(
        name="light",
        background="#ffffff",
        ink="#1f2328",
        muted="#59636e",
        grid="#d8dee4",
        ours="#0065b3",
        series=("#c04a00", "#6e7781", "#a0428a", "#00745c"),
        fault="#cf222e",
    ),
    Theme(
        name="dark",
        background="#0d1117",
        ink="#f0f6fc",
        muted="#9198a1",
        grid="#30363d",
        ours="#58b4f5",
        series=("#f09a2c", "#8b949e", "#e08cc4", "#2fbf9a"),
        fault="#ff7b72",
    ),
)
