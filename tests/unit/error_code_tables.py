"""What do the pages' tables of error codes say? Made from the table in the code.

After a change of the table write them anew with::

    PYTHONPATH=layers/responsys_activation python -m tests.unit.error_code_tables
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from responsys_activation.error_code import ERROR_CODES, CodeMeaning, ErrorClass, ErrorCode
from tests.generated_part import markdown_table, write_part
from tests.template.runbook import headings_of

COMMAND = "PYTHONPATH=layers/responsys_activation python -m tests.unit.error_code_tables"
DOCS = Path(__file__).parents[2] / "docs"
REFERENCE, RUNBOOK = DOCS / "reference.md", DOCS / "runbook.md"

_ROWS = list(dict.fromkeys(ERROR_CODES.values()))
_LOGIN = ERROR_CODES[ErrorCode.INVALID_CREDENTIALS].family


def tables() -> list[tuple[Path, str, str]]:
    """Return page, name and text of each table."""
    return [
        (REFERENCE, "error codes", _all_codes()),
        (RUNBOOK, "codes of refused logins", _refused_logins()),
        (RUNBOOK, "families of error codes", _families()),
    ]


def _all_codes() -> str:
    header = ("code", "outcome", "it means", "what to do", "more")
    rows = [(_names(row.codes), _outcome(row), row.meaning, row.advice, _link(row.see, REFERENCE)) for row in _ROWS]
    return markdown_table(header, rows, of_text=True)


def _refused_logins() -> str:
    rows = [
        (
            _names(row.codes),
            row.meaning,
            row.advice if row.see == _LOGIN.see else f"{row.advice}: {_link(row.see, RUNBOOK)}",
        )
        for row in _ROWS
        if row.family == _LOGIN
    ]
    return markdown_table(("code", "it means", "what to do"), rows, of_text=True)


def _families() -> str:
    """Name the codes that messages can have: of a refused login they have ours."""
    rows = []
    for family in dict.fromkeys(row.family for row in _ROWS):
        of_messages = [row for row in _ROWS if row.family == family and row.error_class is not ErrorClass.CREDENTIALS]
        codes = _names(code for row in of_messages for code in row.codes)
        rows.append((family.title, codes, f"{family.advice}: {_link(family.see, RUNBOOK)}"))
    return markdown_table(("family", "codes", "what to do"), rows, of_text=True)


def _names(codes: Iterable[str]) -> str:
    return ", ".join(f"`{code}`" for code in codes)


def _outcome(row: CodeMeaning) -> str:
    as_ours = f"throttled, as `{ErrorCode.INVALID_CREDENTIALS}`"
    if row.error_class is ErrorClass.CREDENTIALS:
        return as_ours
    outcomes = " or ".join(", ".join(row.outcomes).rsplit(", ", 1))
    return f"{outcomes}; at a login {as_ours}" if row.error_class and row.family == _LOGIN else outcomes


def _link(see: str, page: Path) -> str:
    name, _, anchor = see.partition("#")
    heading = headings_of(DOCS / name)[anchor]
    text = heading.replace("-", " ") if heading == anchor else heading
    return f"[{text}]({see.removeprefix(page.name)})"


if __name__ == "__main__":
    for page, name, text in tables():
        write_part(page, name, COMMAND, text)
