"""How do results get into a page? As Markdown, between two comments that name the part and its command."""

from collections.abc import Sequence
from pathlib import Path


def write_part(page: Path, name: str, command: str, text: str) -> None:
    """Replace the part of a page.

    Raises
    ------
    ValueError
        The page has no place for it.
    """
    page.write_text(with_part(page, name, command, text))


def with_part(page: Path, name: str, command: str, text: str) -> str:
    """Return the page's text as it is once the part is replaced.

    Raises
    ------
    ValueError
        The page has no place for it.
    """
    begin, end = f"<!-- {name}: {command} -->", f"<!-- end of {name} -->"
    before, found, rest = page.read_text().partition(begin)
    _, ended, after = rest.partition(end)
    if not (found and ended):
        raise ValueError(f"{page.name} has no place for {name}: {begin} … {end}")
    return f"{before}{begin}\n{text}\n{end}{after}"


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[object]], *, of_text: bool = False) -> str:
    """Write a table: the first column to the left, the others to the right; numbers with thousands separators.

    Parameters
    ----------
    of_text
        All columns hold text, and go to the left.
    """
    lines = [
        f"| {' | '.join(header)} |",
        f"|---|{('---|' if of_text else '--:|') * (len(header) - 1)}",
        *(f"| {' | '.join(map(_cell, row))} |" for row in rows),
    ]
    return "\n".join(lines)


def _cell(value: object) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return f"{value:,.3g}" if isinstance(value, float) else str(value)
