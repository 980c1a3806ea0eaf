"""Are the plots seen, on light pages and on dark ones, by the colour-blind too? And has the page all of them?"""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence

import pytest

from tests.benchmarks.__main__ import DOCUMENT
from tests.benchmarks.results import RESULTS
from tests.benchmarks.themes import THEMES, Theme

Colour = tuple[float, float, float]  # linear red, green and blue, 0 to 1

# Who lacks one kind of cones sees this instead: Machado, Oliveira and Fernandes (2009), severity 1.
_SEEN_BY: dict[str, Sequence[Colour]] = {
    "everybody": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "protanopia": (
        (0.152286, 1.052583, -0.204868),
        (0.114503, 0.786281, 0.099216),
        (-0.003882, -0.048116, 1.051998),
    ),
    "deuteranopia": (
        (0.367322, 0.860646, -0.227968),
        (0.280085, 0.672501, 0.047413),
        (-0.011820, 0.042940, 0.968881),
    ),
    "tritanopia": (
        (1.255528, -0.076749, -0.178779),
        (-0.078411, 0.930809, 0.147602),
        (0.004733, 0.691367, 0.303900),
    ),
}
_TEXT, _SHAPE = 4.5, 3.0  # contrast: WCAG 2.2, 1.4.3 and 1.4.11
_NOTICED = 10.0  # of CIE76's distance, where 2.3 is just noticed


def _linear(colour: str) -> Colour:
    channels = (int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5))
    red, green, blue = (each / 12.92 if each <= 0.04045 else ((each + 0.055) / 1.055) ** 2.4 for each in channels)
    return red, green, blue


def _contrast(one: str, other: str) -> float:
    darker, lighter = sorted(
        sum(share * part for share, part in zip((0.2126, 0.7152, 0.0722), _linear(colour), strict=True))
        for colour in (one, other)
    )
    return (lighter + 0.05) / (darker + 0.05)


def _lab(colour: str, seen_by: str) -> Sequence[float]:
    linear = _linear(colour)
    seen = [
        min(1.0, max(0.0, sum(share * part for share, part in zip(row, linear, strict=True))))
        for row in _SEEN_BY[seen_by]
    ]
    to_xyz = ((0.4124, 0.3576, 0.1805), (0.2126, 0.7152, 0.0722), (0.0193, 0.1192, 0.9505))
    x, y, z = (
        (sum(share * part for share, part in zip(row, seen, strict=True)) / white) ** (1 / 3)
        for row, white in zip(to_xyz, (0.9505, 1.0, 1.089), strict=True)
    )
    return 116 * y - 16, 500 * (x - y), 200 * (y - z)


@pytest.mark.parametrize("theme", THEMES, ids=lambda theme: theme.name)
def test_everything_drawn_stands_out_from_the_page(theme: Theme) -> None:
    for text in (theme.ink, theme.muted):
        assert _contrast(text, theme.background) >= _TEXT, text
    # Names are written in a series' colour, and onto its bars
    for colour in (theme.ours, *theme.series):
        assert _contrast(colour, theme.background) >= _TEXT, colour
    assert _contrast(theme.fault, theme.background) >= _SHAPE


@pytest.mark.parametrize("seen_by", _SEEN_BY)
@pytest.mark.parametrize("theme", THEMES, ids=lambda theme: theme.name)
def test_no_two_series_look_the_same(theme: Theme, seen_by: str) -> None:
    for one, other in itertools.combinations((theme.ours, *theme.series), 2):
        apart = sum((a - b) ** 2 for a, b in zip(_lab(one, seen_by), _lab(other, seen_by), strict=True)) ** 0.5
        assert apart >= _NOTICED, (one, other)


def test_the_page_shows_every_plot_in_the_readers_theme() -> None:
    # Given the plots that were drawn
    drawn = {path.name for path in RESULTS.parent.glob("*.svg")}
    # When the page's pictures are read
    pictures = re.findall(
        r'<source media="\(prefers-color-scheme: dark\)" srcset="performance/(.+?)-dark\.svg">\s*'
        r'<img alt="(.+?)" src="performance/(.+?)-light\.svg">',
        DOCUMENT.read_text(),
    )
    # Then each has both of its plots, and what it shows in words; and no plot is left over
    assert drawn == {f"{name}-{theme.name}.svg" for name, _, _ in pictures for theme in THEMES}
    assert all(dark == light for dark, _, light in pictures)
    # And they are small: text is drawn as outlines, each letter once
    assert all((RESULTS.parent / name).stat().st_size < 80_000 for name in drawn)
