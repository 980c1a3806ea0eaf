"""Which places does the runbook have?"""

import re
from pathlib import Path

from tests.template.conftest import REPOSITORY

RUNBOOK = REPOSITORY / "docs/runbook.md"


def anchors_of(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub and GitLab make them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.strip().lower()).replace(" ", "-") for heading in headings}
