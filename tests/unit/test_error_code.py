"""Does the table of error codes have every code once, and send people to a place that exists?"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from responsys_activation.error_code import ERROR_CODES, CodeMeaning, ErrorCode, advice
from tests.generated_part import with_part
from tests.template.runbook import headings_of
from tests.unit.error_code_tables import COMMAND, DOCS, tables

ROWS = list(dict.fromkeys(ERROR_CODES.values()))


@pytest.mark.parametrize("code", ErrorCode)
def test_each_of_our_codes_is_in_the_table(code: ErrorCode) -> None:
    assert ERROR_CODES[code].error_class is None


def test_what_is_not_ours_says_what_the_client_does_with_it() -> None:
    ours = {code for code, meaning in ERROR_CODES.items() if meaning.error_class is None}

    assert ours == set(ErrorCode)


def test_no_code_is_written_down_twice() -> None:
    assert set(Counter(code for row in ROWS for code in row.codes).values()) == {1}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.codes[0])
def test_a_code_sends_people_to_a_section_that_exists(row: CodeMeaning) -> None:
    page, _, section = row.see.partition("#")

    assert section in headings_of(DOCS / page)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.codes[0])
def test_its_texts_fit_into_a_sentence(row: CodeMeaning) -> None:
    for text in (row.meaning, row.advice, row.family.advice):
        assert text == text.strip().rstrip(".")
        assert "|" not in text, "it would end a column"


@pytest.mark.parametrize(("page", "name", "text"), tables(), ids=lambda value: str(value)[:40])
def test_the_pages_say_what_the_table_says(page: Path, name: str, text: str) -> None:
    assert page.read_text() == with_part(page, name, COMMAND, text), f"run: {COMMAND}"


def test_advice_is_plain_text_that_names_the_section() -> None:
    assert advice("UNKNOWN_CONNECTOR") == (
        "create the connector's parameter (it counts within half a minute), or correct connector in the message "
        "(docs/runbook.md#connector-check)"
    )


def test_there_is_no_advice_about_a_code_that_no_source_names() -> None:
    assert advice("A_CODE_OF_TOMORROW") is None
