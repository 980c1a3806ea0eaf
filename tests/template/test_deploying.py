"""Does the SAM CLI understand what the pages tell people to type, and does the template take what comes of it?"""

import json
import re
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.local_stack.environments import program
from tests.template.cloudformation import Stack, refusals
from tests.template.conftest import REPOSITORY, REQUIRED

PAGES = [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
SECRET_ARN = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:responsys/api-AbC123"


def blocks(language: str) -> list[str]:
    """The fenced blocks of all pages that are marked with a language."""
    return [text for page in PAGES for found, text in BLOCK.findall(page.read_text()) if found == language]


def sam_commands() -> list[list[str]]:
    """Every `sam build` and `sam deploy` of a block, split as a shell does it."""
    lines = [line for text in blocks("") for line in text.replace("\\\n", " ").splitlines()]
    found = [shlex.split(line, comments=True) for line in lines if re.match(r"sam (build|deploy)\b", line)]
    # A name in place of a value stands for whatever it is.
    return [[re.sub(r"\$\{?\w+\}?", "crm", word) for word in command] for command in found]


def parameter_files() -> dict[str, str]:
    """The parameter files that the pages show, by the name in their first line."""
    return {text.partition("\n")[0].removeprefix("# "): text for text in blocks("yaml") if text.startswith("# ")}


def sam_says(request: dict[str, Any], folder: Path) -> Any:
    """Ask the SAM CLI, in a folder with what a checkout has and the parameter files of the pages."""
    for name in ("template.yaml", "samconfig.toml"):
        (folder / name).write_text((REPOSITORY / name).read_text())
    for name, text in parameter_files().items():
        (folder / name).write_text(text)
    run = subprocess.run(
        [str(program(".venv-sam", "python")), str(Path(__file__).with_name("sam_cli.py"))],
        input=json.dumps(request),
        cwd=folder,
        env={"PATH": "/usr/bin:/bin", "HOME": str(folder), "SAM_CLI_TELEMETRY": "0", "AWS_DEFAULT_REGION": "eu-west-1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def parsed(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[list[str], dict[str, Any]]]:
    commands = sam_commands()
    folder = tmp_path_factory.mktemp("checkout")
    return list(zip(commands, sam_says({"commands": commands}, folder), strict=True))


def test_every_parameter_that_a_page_sets_arrives_and_is_taken(
    parsed: list[tuple[list[str], dict[str, Any]]], source: dict[str, Any]
) -> None:
    # Given the commands of all pages, as SAM itself reads them
    assert any(options["parameter_overrides"] for _, options in parsed)
    for command, options in parsed:
        # When what they set is given to the template, beside what it must have
        found = refusals(source, {**REQUIRED, **options["parameter_overrides"]})
        # Then nothing is refused
        assert found == [], command
        # And each name that was typed arrived
        typed = re.findall(r"(?:^| )([A-Z]\w+)=", " ".join(command))
        assert set(typed) <= set(options["parameter_overrides"]), command


def test_a_deployment_without_the_guide_needs_nothing_more(
    parsed: list[tuple[list[str], dict[str, Any]]], source: dict[str, Any]
) -> None:
    # Given the commands that deploy a new stack from a file of parameters
    from_file = [options for command, options in parsed if any(word.startswith("file://") for word in command)]
    assert from_file
    for options in from_file:
        # When the template is given these and no others / Then it takes them
        assert refusals(source, options["parameter_overrides"]) == []
        assert options["stack_name"]


def test_text_with_quotes_arrives_as_it_was_meant(parsed: list[tuple[list[str], dict[str, Any]]]) -> None:
    # Given the pages' values that are JSON / When SAM has read them / Then they still are
    values = [v for _, o in parsed for name, v in o["parameter_overrides"].items() if name == "EventNames"]
    assert values
    assert all(json.loads(value) for value in values)


def test_the_guide_deploys_with_a_secret_of_ones_own(
    source: dict[str, Any], translated: dict[str, Any], tmp_path: Path
) -> None:
    # Given answers to all questions of the guide: it takes no empty one for what it does not echo
    answers = {
        "ResponsysAuthEndpoint": REQUIRED["ResponsysAuthEndpoint"],
        "ProfileListName": REQUIRED["ProfileListName"],
        "CredentialsSecretArn": SECRET_ARN,
        "ResponsysUsername": "-",
        "ResponsysPassword": "-",
    }
    # When SAM asks its questions
    asked = {"parameters": source["Parameters"], "answers": [answers.get(name, "") for name in source["Parameters"]]}
    given = sam_says({"guided": asked}, tmp_path)
    # Then the template takes what comes of them, and uses that secret
    assert refusals(source, given) == []
    stack = Stack(translated, given)
    assert stack.of_type("AWS::SecretsManager::Secret") == {}
    (connector,) = stack.of_type("AWS::SSM::Parameter").values()
    assert json.loads(connector["Value"])["credentialsSecretId"] == SECRET_ARN


def test_the_guide_deploys_with_a_password(
    source: dict[str, Any], stack_with: Callable[..., Stack], tmp_path: Path
) -> None:
    # Given a user name and a password, and the return key for all that has a default
    answers = [REQUIRED.get(name, "") for name in source["Parameters"]]
    # When SAM asks its questions
    given = sam_says({"guided": {"parameters": source["Parameters"], "answers": answers}}, tmp_path)
    # Then the template takes what comes of them, and the stack is the one with the required parameters alone
    assert refusals(source, given) == []
    assert stack_with(**given).resources == stack_with().resources


def test_no_page_tells_to_change_by_hand_what_a_deployment_writes(stack: Stack) -> None:
    # Given what CloudFormation writes: the settings of the connector "default", and its secret
    written = [
        *[parameter["Name"] for parameter in stack.of_type("AWS::SSM::Parameter").values()],
        *[secret["Name"] for secret in stack.of_type("AWS::SecretsManager::Secret").values()],
    ]
    assert written == ["/crm/connectors/default", "crm/credentials/default"]
    # When the commands of all pages that write a parameter or a secret are read
    words = re.compile(
        r"\b(?:put-parameter|put-secret-value|update-secret|create-secret|delete-secret|delete-parameter)\b.*"
    )
    lines = [line for text in blocks("") for line in text.replace("\\\n", " ").splitlines()]
    commands = [match[0].replace("$STACK", "crm") for line in lines if (match := words.search(line))]
    assert len(commands) > 3
    # Then none is about these
    assert [command for command in commands for name in written if name in command] == []
