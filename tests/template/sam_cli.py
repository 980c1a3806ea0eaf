"""What does the SAM CLI itself make of a command line, or of the answers to its guide?

Run by SAM's own interpreter, in the folder of the command: takes JSON on standard input and writes JSON.
"""

import json
import sys
from typing import Any


def parsed(command_line: list[str]) -> dict[str, Any]:
    """Return the options of `sam build` or `sam deploy`, as the command would get them."""
    from samcli.commands.build.command import cli as build  # type: ignore[import-not-found]
    from samcli.commands.deploy.command import cli as deploy  # type: ignore[import-not-found]

    sam, command, *arguments = command_line
    assert sam == "sam"
    context = {"build": build, "deploy": deploy}[command].make_context(command, arguments)
    return {name: context.params.get(name) for name in ("parameter_overrides", "stack_name", "guided")}


def guided(parameters: dict[str, dict[str, Any]], answers: list[str]) -> dict[str, str]:
    """Return the parameters that `sam deploy --guided` makes of answers to its questions."""
    import click
    from click.testing import CliRunner
    from samcli.commands.deploy.guided_context import GuidedContext  # type: ignore[import-not-found]

    guide = GuidedContext(
        "template.yaml", "crm", None, None, None, None, config_section=None, config_env=None, config_file=None
    )
    found: dict[str, str] = {}

    @click.command()
    def ask() -> None:
        given = guide.prompt_parameters(parameters, {}, "", "")
        found.update({name: answer["Value"] for name, answer in given.items()})

    result = CliRunner().invoke(ask, input="".join(f"{answer}\n" for answer in answers))
    if result.exception:
        raise result.exception
    return found


if __name__ == "__main__":
    request = json.load(sys.stdin)
    made = guided(**request["guided"]) if "guided" in request else [parsed(each) for each in request["commands"]]
    json.dump(made, sys.stdout)
