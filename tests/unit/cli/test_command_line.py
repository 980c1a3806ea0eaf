"""Does a command line do what it says, and nothing that it does not say?"""

from __future__ import annotations

import json
import pkgutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from responsys_activation.aws.stack_call import StackError
from responsys_activation.cli.__main__ import main
from responsys_activation.cli.command_line import run, the_parser
from responsys_activation.cli.exit_code import ExitCode
from tests.fakes.stack import FakeStack
from tests.unit.cli.commands import command

COMMANDS = ("send", "replay", "check", "explain", "tail", "verify")


@pytest.mark.parametrize(
    "arguments",
    [
        ["replay", "--errorcode", "x"],
        ["replay", "--error", "NO_RECIPIENT_FOUND", "--apply"],  # no abbreviation either
        ["replay", "NO_RECIPIENT_FOUND", "--apply"],
        ["replay", "--limit", "0"],
        ["replay", "--limit", "ten"],
        ["replay", "--older-than-minutes", "-5"],
        ["replay", "--error-code", "A,,B"],
        ["replay", "--source", "segment-events"],
        ["send", "--profile-id", "p", "--segment", "s", "--id", "1", "--variables", "[1]"],
        ["send", "--profile-id", "p", "--segment", "s", "--id", "1", "--call-type", "JOIN"],
        ["send", "--profile-id", "p", "--segment", "s", "--id", "1", "--timeout", "soon"],
        ["check", "loyalty"],
        ["explain"],
        ["tail", "--since", "yesterday"],
        ["tail", "--since", "99999999999d"],
        ["tail", "--since", ""],
        ["verify", "prod"],
        ["verify", "--send", "--profile-id", "p", "--segment", "s", "--id", "1", "--message", "m.json"],
        ["purge"],
        [],
    ],
)
def test_what_is_not_known_is_refused_before_anything_is_done(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    # Given a command line with a mistake / When it is run
    stack = FakeStack()
    with pytest.raises(SystemExit) as refusal:
        command(*arguments, stack=stack)
    # Then it says so, with the exit code of a usage error, and did nothing
    assert refusal.value.code == ExitCode.USAGE
    assert "error: " in capsys.readouterr().err
    assert (stack.invoked, stack.sent) == ([], [])


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_of_each_command_has_examples_that_can_be_typed_and_exit_codes(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    # Given a command / When its help is asked for
    with pytest.raises(SystemExit) as end:
        run([name, "--help"], {})
    assert end.value.code == 0
    told = capsys.readouterr().out
    # Then there are exit codes, and examples that its own parser takes
    assert all(f"  {int(code)} " in told for code in ExitCode)
    examples = [line for line in told.splitlines() if line.startswith(f"  responsys-activation {name}")]
    assert len(examples) >= 3
    for example in examples:
        the_parser().parse_args(example.split(" # ")[0].split(" | ")[0].split()[1:])


def test_without_a_stack_it_is_said_where_one_is_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Given a folder without a local stack, and the name of one on AWS in the environment
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("STACK", "prod")
    # When a command needs a stack / Then the environment does not count, and both ways are named
    ended = command("replay")
    assert ended.code == ExitCode.USAGE
    assert ended.err == (
        "error: no local stack is running here: start `make local`, or name a stack on AWS with --stack NAME.\n"
    )


@pytest.mark.parametrize("option", ["--profile", "--region"])
def test_an_option_for_aws_without_a_stack_on_aws_is_refused(option: str) -> None:
    ended = command("send", "--profile-id", "p", "--segment", "s", "--id", "1", option, "x")
    assert (ended.code, ended.err.split(":")[1].strip()) == (ExitCode.USAGE, f"{option} is for a stack on AWS")


def test_what_aws_refuses_is_told_in_one_line_with_a_code_of_its_own() -> None:
    # Given a stack that may not be used
    class Denied(FakeStack):
        def invoke(self, *_arguments: object) -> dict[str, object]:
            raise StackError("cannot invoke prod-replay: not authorized to perform lambda:InvokeFunction")

    # When it is used / Then AWS's own words are told
    ended = command("replay", stack=Denied())
    assert ended == (
        ExitCode.UNREACHABLE,
        "",
        "error: cannot invoke prod-replay: not authorized to perform lambda:InvokeFunction\n",
    )


def test_what_pip_installs_as_the_command_is_this_one() -> None:
    # Given the project's entry point, and what its extra installs beside the functions' own packages
    project = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text())["project"]
    # Then it is the program that a checkout runs
    assert pkgutil.resolve_name(project["scripts"]["responsys-activation"]) is main
    assert project["optional-dependencies"]["cli"] == ["boto3", "rich"]


WITHOUT_THE_WORKSHOP = """
import sys
class Refuser:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"tests", "aiohttp", "samtranslator", "moto", "ministack", "pytest", "yaml"}:
            raise ImportError(f"{name} is not installed for operators")
sys.meta_path.insert(0, Refuser())
from responsys_activation.cli.__main__ import main
sys.argv = ["responsys-activation", *sys.argv[1:]]
sys.exit(main())
"""


def test_the_command_needs_neither_the_emulator_nor_the_tests(tmp_path: Path) -> None:
    # Given an interpreter that has only what an operator installs
    repository = Path(__file__).parents[3]
    settings = repository / "events" / "connectors"
    # When a message is explained
    ended = subprocess.run(
        [
            *(sys.executable, "-c", WITHOUT_THE_WORKSHOP, "explain", repository / "events" / "add_to_audience.json"),
            *("--connector-settings", settings, "--json"),
        ],
        cwd=tmp_path,
        env={"PYTHONPATH": str(repository / "layers" / "responsys_activation")},
        capture_output=True,
        text=True,
        check=False,
    )
    # Then it is
    assert (ended.returncode, ended.stderr) == (0, "")
    assert json.loads(ended.stdout)[0]["messages"][0]["wouldBeSent"] is True
