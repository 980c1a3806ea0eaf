"""What do the commands print that the README shows?"""

from __future__ import annotations

import contextlib
import io
import os
import shlex
from unittest import mock

from responsys_activation.cli.command_line import run
from responsys_activation.cli.terminal import Terminal
from tests.generated_part import write_part
from tests.local_stack.environments import REPOSITORY

README = REPOSITORY / "README.md"
NAME, COMMAND = "command line", "PYTHONPATH=layers/responsys_activation python -m tests.unit.cli.shown_commands"
COMMAND_LINES = (
    "--help",
    "explain events/add_to_audience.json --connector-settings events/connectors",
    "explain events/invalid_message.json --connector-settings events/connectors",
    "replay --errorcode NO_RECIPIENT_FOUND --apply",
)


def shown_commands() -> str:
    """Return each command line with what it prints, as a session in a terminal."""
    sessions = "\n\n".join(f"$ responsys-activation {line}\n{_printed(line)}" for line in COMMAND_LINES)
    return f"```console\n{sessions}\n```"


def _printed(line: str) -> str:
    printed = io.StringIO()

    def open_terminal(*, as_json: bool) -> Terminal:
        return Terminal(as_json=as_json, out=printed, err=printed)

    with (
        contextlib.chdir(REPOSITORY),
        mock.patch.dict(os.environ, COLUMNS="100"),
        contextlib.redirect_stdout(printed),
        contextlib.redirect_stderr(printed),
        contextlib.suppress(SystemExit),  # argparse, after its help or a refusal
    ):
        run(shlex.split(line), {}, open_terminal=open_terminal)
    return printed.getvalue().strip()


if __name__ == "__main__":
    write_part(README, NAME, COMMAND, shown_commands())
