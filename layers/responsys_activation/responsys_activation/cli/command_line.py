"""What does a command line ask for, and how does that end?"""

from __future__ import annotations

from argparse import ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from responsys_activation import __version__
from responsys_activation.aws.deployed_stack import DeployedStack
from responsys_activation.aws.faults import AwsCallError
from responsys_activation.aws.stack_call import StackError
from responsys_activation.cli import check, explain, replay, send, tail, verify
from responsys_activation.cli.exit_code import EXIT_CODES, CommandError, ExitCode
from responsys_activation.cli.stack import add_stack_options, stack_in_use
from responsys_activation.cli.terminal import Terminal

__all__ = ["run", "the_parser"]

_COMMANDS = (send, replay, check, explain, tail, verify)


def the_parser() -> ArgumentParser:
    """Return the parser of all commands."""
    parser = ArgumentParser(
        prog="responsys-activation",
        description="Work with a stack of responsys-activation: on AWS with --stack NAME, else with the local one.",
        epilog=f"{EXIT_CODES}\n`responsys-activation COMMAND --help` has the options of a command, and examples.",
        formatter_class=RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for command in _COMMANDS:
        own = commands.add_parser(
            command.NAME,
            help=command.HELP,
            description=command.DESCRIPTION,
            epilog=f"examples:\n{command.EXAMPLES}\n{EXIT_CODES}",
            formatter_class=RawDescriptionHelpFormatter,
            allow_abbrev=False,  # a mistyped filter must not be taken for another
        )
        command.add_options(own)
        add_stack_options(own)
        own.add_argument("--json", action="store_true", help="print JSON for a program")
        own.set_defaults(run=command.run)
    return parser


def run(
    arguments: Sequence[str],
    environment: Mapping[str, str],
    *,
    open_terminal: Callable[..., Terminal] = Terminal,
    open_stack: Callable[[], DeployedStack] | None = None,
) -> int:
    """Do what a command line asks for, and give its exit code.

    Parameters
    ----------
    open_stack : callable or None
        Gives the stack; ``None``: the one that the options name.

    Raises
    ------
    SystemExit
        argparse's: the command line is wrong, or asks for help.
    """
    options = the_parser().parse_args(arguments)
    terminal = open_terminal(as_json=options.json)
    try:
        code: ExitCode = options.run(
            options, terminal, open_stack or (lambda: stack_in_use(options, environment, Path.cwd()))
        )
    except CommandError as exc:
        terminal.error(str(exc))
        return ExitCode.USAGE
    except (StackError, AwsCallError) as exc:
        terminal.error(str(exc))
        return ExitCode.UNREACHABLE
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED
    return code
