"""Which places does the runbook have?"""

import re
from pathlib import Path

RUNBOOK = Path(__file__).parents[2] / "docs/runbook.md"


def headings_of(page: Path) -> dict[str, str]:
    """Return a page's headings by their anchors, as GitHub and GitLab make them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.strip().lower()).replace(" ", "-"): heading for heading in headings}
