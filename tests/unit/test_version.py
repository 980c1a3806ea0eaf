"""Does the changelog know the version that the package has?"""

import re
from pathlib import Path

from responsys_activation import __version__

CHANGELOG = Path(__file__).parents[2] / "CHANGELOG.md"


def test_the_newest_section_of_the_changelog_is_the_version_and_says_how_to_upgrade() -> None:
    # Given the changelog's newest section / When its heading is read
    newest = re.split(r"^## ", CHANGELOG.read_text(), flags=re.MULTILINE)[1]

    # Then it is that of the package's version, and has its Upgrade
    assert newest.startswith(f"[{__version__}] - ")
    assert "\n### Upgrade\n- " in newest
