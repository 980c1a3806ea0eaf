"""Does every link in the pages lead somewhere?"""

import re
from pathlib import Path

import pytest

from tests.template.runbook import headings_of

REPOSITORY = Path(__file__).parents[2]
PAGES = sorted([*REPOSITORY.glob("*.md"), *(REPOSITORY / "docs").rglob("*.md"), *REPOSITORY.glob("events/*.md")])


def links(page: Path) -> set[str]:
    """The targets within the repository, code blocks left out."""
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    targets = re.findall(r"\]\(([^)\s]+)\)", text) + re.findall(r'(?:src|srcset|href)="([^"\s]+)"', text)
    return {target for target in targets if not target.startswith("https://")}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(REPOSITORY)))
def test_links_lead_to_files_and_headings_that_are_there(page: Path) -> None:
    # Given a page / When its links are followed
    for target in links(page):
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page

        # Then the file is there, and the heading in it
        assert file.is_file(), target
        assert not anchor or anchor in headings_of(file), target
