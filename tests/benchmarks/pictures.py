"""How does a page show a plot in the colours of its reader's theme?"""

from __future__ import annotations

from tests.benchmarks.themes import THEMES

__all__ = ["picture"]


def picture(name: str, what: str) -> str:
    """Return the plot of a benchmark for docs/performance.md: GitHub takes the source that fits the reader's theme.

    Parameters
    ----------
    what : str
        What it shows, for who cannot see it.
    """
    light, dark = (f"performance/{name}-{theme.name}.svg" for theme in THEMES)
    return (
        "<picture>\n"
        f'  <source media="(prefers-color-scheme: dark)" srcset="{dark}">\n'
        f'  <img alt="{what}" src="{light}">\n'
        "</picture>"
    )
