"""How does a test run a command line?"""

from __future__ import annotations

import io
import json
from typing import Any, NamedTuple, cast

from responsys_activation.aws.deployed_stack import DeployedStack
from responsys_activation.cli.command_line import run
from responsys_activation.cli.terminal import Terminal
from tests.fakes.stack import FakeStack


class Ended(NamedTuple):
    """What a command came to."""

    code: int
    out: str
    err: str

    def document(self) -> Any:
        """Read its output as a program would."""
        return json.loads(self.out)


def command(*arguments: str, stack: FakeStack | DeployedStack | None = None) -> Ended:
    """Run a command line, against a stack in memory where one is given."""
    out, err = io.StringIO(), io.StringIO()

    def open_terminal(*, as_json: bool) -> Terminal:
        return Terminal(as_json=as_json, out=out, err=err)

    open_stack = (lambda: cast("DeployedStack", stack)) if stack else None
    code = run(arguments, {}, open_terminal=open_terminal, open_stack=open_stack)
    return Ended(code, out.getvalue(), err.getvalue())
