"""Would the connectors of a stack deliver?"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Mapping
from typing import Any

from rich.table import Table
from rich.text import Text

from responsys_activation.aws.deployed_stack import DeployedStack
from responsys_activation.cli.exit_code import CommandError, ExitCode
from responsys_activation.cli.options import names
from responsys_activation.cli.terminal import Terminal

__all__ = ["DESCRIPTION", "EXAMPLES", "HELP", "NAME", "add_options", "run", "show"]

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

_STYLES = {"error": "bold red", "warning": "yellow"}


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
    with terminal.progress(f"Checking the connectors of {stack.name}; each takes a second or two"):
        report = stack.invoke("ConnectorCheckFunctionName", event)
    terminal.document(report)
    show(report, terminal)
    return ExitCode.DONE if report["ok"] else ExitCode.NOT_DONE


def show(report: Mapping[str, Any], terminal: Terminal) -> None:
    """Print a report for a person."""
    table = Table(title="Connector check", title_justify="left", show_lines=True)
    for heading in ("connector", "requests\nper minute", "findings"):
        table.add_column(heading, overflow="fold")
    for connector in report["connectors"]:
        name = Text(connector["connector"], style="bold green" if connector["ok"] else "bold red")
        findings = Text("\n").join(
            Text.assemble(
                (finding["level"], _STYLES[finding["level"]]), f" ({finding['check']}): {finding['message']}."
            )
            for finding in connector["findings"]
        )
        table.add_row(name, _pace(connector), findings or Text("ok", style="green"))
    if report["connectors"]:
        terminal.say(table)
    terminal.say(report["report"].partition("\n")[0], style="green" if report["ok"] else "red")


def _pace(connector: Mapping[str, Any]) -> str:
    pace, limit = connector["requestsPerMinute"], connector["accountRequestsPerMinute"]
    if pace is None:
        return "not known"
    return f"{pace} of {limit}" if limit else str(pace)
