"""Would the connectors of a stack deliver?"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Mapping
from typing import Any

from responsys_activation.aws.deployed_stack import DeployedStack
from responsys_activation.cli.exit_code import CommandError, ExitCode
from responsys_activation.cli.options import names
from responsys_activation.cli.terminal import Terminal

__all__ = ["DESCRIPTION", "EXAMPLES", "HELP", "NAME", "add_options", "run"]

NAME = "check"
HELP = "would the connectors deliver, and if not, what is to be changed?"
DESCRIPTION = """\
Checks settings, secret, a real login, profile list, custom events and limits of each connector.
No event is sent, and at most one login is made per API user."""
EXAMPLES = """\
  responsys-activation check    # all connectors of the local stack
  responsys-activation check --stack prod --connector loyalty    # one connector of a stack on AWS
  responsys-activation check --stack prod --json | jq -r .report
  responsys-activation check --stack prod --connector loyalty --forget-refused-login
"""

_STYLES = {"error": "red", "warning": "yellow"}


def add_options(parser: ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument(
        "--connector", action="extend", type=names, metavar="NAME", help="check this one only; several with commas"
    )
    parser.add_argument(
        "--forget-refused-login",
        action="store_true",
        help="log in whatever was refused before; once per use, for a wrong password counts towards the user's lock",
    )


def run(options: Namespace, terminal: Terminal, open_stack: Callable[[], DeployedStack]) -> ExitCode:
    """Check, print the report, and tell whether every connector would deliver."""
    if options.forget_refused_login and not options.connector:
        raise CommandError("--forget-refused-login: name the connector that it is meant for with --connector.")
    event: dict[str, Any] = {"connectors": options.connector} if options.connector else {}
    if options.forget_refused_login:
        event["forgetRefusedLogin"] = True
    stack = open_stack()
    with terminal.progress(f"Checking the connectors of {stack.title}"):
        report = stack.invoke("ConnectorCheckFunctionName", event)
    terminal.document(report)
    terminal.say(f"Connectors of {stack.title}", style="bold")
    _show(report, terminal)
    return ExitCode.DONE if report["ok"] else ExitCode.NOT_DONE


def _show(report: Mapping[str, Any], terminal: Terminal) -> None:
    """Print the function's own report, what is wrong in colour."""
    for line in report["report"].splitlines():
        style = next((style for beginning, style in _STYLES.items() if line.strip().startswith(beginning)), None)
        terminal.say(line, style=style)
