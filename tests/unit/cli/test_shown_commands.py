"""Does the README show what the commands print?"""

from tests.generated_part import with_part
from tests.unit.cli.shown_commands import COMMAND, NAME, README, shown_commands


def test_the_readme_shows_what_the_commands_print() -> None:
    assert README.read_text() == with_part(README, NAME, COMMAND, shown_commands()), f"run: {COMMAND}"
