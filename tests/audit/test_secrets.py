"""Does anything in the repository look like a secret that was not looked at by a person?"""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.local_stack.environments import REPOSITORY

# The hashes of pinned packages are random by nature; ARNs of the account that AWS keeps for examples are long words;
# a connector names its secret, below a stack's name that recipes leave open; what a stream holds is JSON in base64;
# platforms name people by hashes of their addresses.
_NO_SECRETS = (
    r"--hash=sha256:[0-9a-f]{64}",
    r"arn:aws:[a-z]+:[a-z0-9-]+:123456789012:",
    r'^ *"credentialsSecretId": "STACK/credentials/carts",$',
    r'^ *"data": "eyJ[A-Za-z0-9+/]+=*",?$',
    r'^ *"(?:id|value)": "(?:[0-9A-Fa-f]{32}|[0-9A-Fa-f]{64})",?$',
)
# Tests give invented credentials to simulators and emulators, under the names that credentials have. There a word
# like "password" says nothing; what looks like a key, a token or something random is found there as well.
_BY_WORD = "KeywordDetector"

# Lines that were looked at: by file, how the line begins, and why it is no secret.
REVIEWED = {
    "events/connectors/default.json": {
        '"credentialsSecretId": "responsys-activation/credentials/default"': "the name of a secret",
    },
    "layers/responsys_activation/responsys_activation/connector_check/findings.py": {
        'SECRET = "secret"': "what a check is about",
    },
    "template.yaml": {
        "Instead of user name and password: ": "the description of a parameter",
        "Action: secretsmanager:GetSecretValue": "what a role may do",
        "GenerateSecretString: ": "how a secret is made",
    },
    "tests/fakes/platform_events.py": {
        'NORA = "09b48f': "the hash of an invented address",
        'OLAV = "a280e4': "the hash of an invented address",
        'NORA_NEW = "32efce': "the hash of an invented address",
    },
    "tests/unit/upstream/reading.py": {
        'SHA256 = "6cc7ed': "an invented hash",
        'MD5 = "9e107d': "an invented hash",
    },
    "tests/unit/upstream/test_samples.py": {
        'ENTERED, LEFT = "a1b2c3': "invented ids of profiles",
    },
    "tests/unit/delivery/test_custom_event.py": {
        'SHA256 = "b4c9a2': "the hash of an invented address",
        'MD5 = "23463b': "the hash of an invented address",
    },
    "tests/unit/test_recipient.py": {
        'SHA256 = "b4c9a2': "the hash of an invented address",
        'MD5 = "23463b': "the hash of an invented address",
        '*("3.644708250E8"': "spellings of an invented RIID",
    },
    "tests/unit/responsys/test_endpoint.py": {
        '"https://login5.responsys.net:': "an address that must be refused",
    },
}


def files() -> list[str]:
    """What is, or would be, committed."""
    git = shutil.which("git")
    assert git, "git is needed to tell what is committed"
    listed = subprocess.run(
        [git, "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split("\0")
    return [name for name in listed if name and (REPOSITORY / name).is_file()]


def scanned(names: Sequence[str], folder: Path, *options: str) -> Iterator[tuple[str, str]]:
    """Return file and line of each finding."""
    command = [sys.executable, "-m", "detect_secrets", "scan", "--no-verify"]
    excluded = [f"--exclude-lines={pattern}" for pattern in _NO_SECRETS]
    run = subprocess.run(
        [*command, *excluded, *options, *names], cwd=folder, capture_output=True, text=True, check=True
    )
    results: dict[str, list[dict[str, Any]]] = json.loads(run.stdout)["results"]
    for name, findings in results.items():
        lines = (folder / name).read_text().splitlines()
        for finding in findings:
            yield name, lines[finding["line_number"] - 1].strip()


@pytest.fixture(scope="module")
def findings() -> list[tuple[str, str]]:
    names = files()
    tests = [name for name in names if name.startswith("tests/")]
    others = [name for name in names if not name.startswith("tests/")]
    assert tests
    assert others
    return [*scanned(others, REPOSITORY), *scanned(tests, REPOSITORY, "--disable-plugin", _BY_WORD)]


def test_nothing_looks_like_a_secret_that_nobody_looked_at(findings: list[tuple[str, str]]) -> None:
    # Given what a scanner finds / When what was looked at is taken away / Then nothing is left
    assert [(name, line) for name, line in findings if not line.startswith(tuple(REVIEWED.get(name, {})))] == []


def test_no_line_was_looked_at_in_vain(findings: list[tuple[str, str]]) -> None:
    # Given the lines that were looked at / When they are looked for among the findings / Then each is there
    reviewed = [(name, beginning) for name, beginnings in REVIEWED.items() for beginning in beginnings]
    for name, beginning in reviewed:
        assert any(found == name and line.startswith(beginning) for found, line in findings), beginning


@pytest.mark.parametrize(
    ("line", "is_test"),
    [
        ('PASSWORD = "Tr0ub4dor&3-not-invented"', False),
        ("key = 'AKIA' 'IOSFODNN7EXAMPLA'".replace("' '", ""), True),
        ("-----BEGIN " + "RSA PRIVATE KEY-----", True),
        ('token = "E1a9XbQz71LmnoPqrs83TuvWxyz0123' + '456789abcdefABCDEFghij"', True),
    ],
    ids=["password", "AWS key", "private key", "token"],
)
def test_the_scanner_would_find_one(tmp_path: Path, line: str, is_test: bool) -> None:
    # Given a file with a secret
    (tmp_path / "settings.py").write_text(f"{line}\n")
    # When it is scanned as the repository is
    options = ["--disable-plugin", _BY_WORD] if is_test else []
    # Then it is found
    assert [name for name, _ in scanned(["settings.py"], tmp_path, "--all-files", *options)] == ["settings.py"]


def test_credentials_have_no_place_in_the_settings_of_deployments() -> None:
    # Given the defaults of deployments, with what `sam deploy --guided` may have saved
    # When they are searched for the parameters that hold one / Then none is there
    assert not re.search(r"Password|Username", (REPOSITORY / "samconfig.toml").read_text())
