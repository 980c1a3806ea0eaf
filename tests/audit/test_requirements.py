"""Is every package that ships, builds or tests pinned to one content, and is what is tested what ships?"""

import re
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.local_stack.environments import REPOSITORY

SHIPPED = REPOSITORY / "layers/dependencies/requirements.txt"
DEVELOPMENT = REPOSITORY / "tests/requirements/development.txt"
LAMBDA_RUNTIME = REPOSITORY / "tests/requirements/lambda_runtime.txt"
LISTS = [SHIPPED, *sorted((REPOSITORY / "tests/requirements").glob("*.txt"))]


def requirements(path: Path) -> list[tuple[Requirement, str]]:
    """Each requirement of a list, and its line with the hashes."""
    text = path.read_text().replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    return [(Requirement(line.partition(" --hash")[0]), line) for line in lines]


def pins(path: Path) -> dict[str, str]:
    """The version of each requirement that this interpreter and machine gets, by its name."""
    return {
        canonicalize_name(requirement.name): str(requirement.specifier)
        for requirement, _ in requirements(path)
        if requirement.marker is None or requirement.marker.evaluate()
    }


def asked_for(path: Path) -> set[str]:
    """The names in the file that a list was made from."""
    lines = [line.strip() for line in path.with_suffix(".in").read_text().splitlines()]
    return {canonicalize_name(Requirement(line).name) for line in lines if line and line[0] not in "#-"}


@pytest.mark.parametrize("path", LISTS, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_every_requirement_is_one_version_with_its_hashes(path: Path) -> None:
    # Given a list / When its requirements are read
    found = requirements(path)
    assert found
    for requirement, line in found:
        # Then each is pinned, and its files are named by their contents
        assert re.fullmatch(r"==[^,*]+", str(requirement.specifier)), requirement
        hashes = re.findall(r"--hash=(\S+)", line)
        assert hashes, requirement
        assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", each) for each in hashes), requirement
    # And none comes from elsewhere than the package index of whoever installs it
    assert not re.search(r"https?://|git\+|--index-url|--extra-index-url|--find-links|--trusted-host", path.read_text())


@pytest.mark.parametrize("path", LISTS, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_every_list_holds_what_it_was_made_for(path: Path) -> None:
    # Given the names that somebody asked for / When the list is read / Then it has them all
    assert asked_for(path) <= set(pins(path))


@pytest.mark.parametrize("path", [SHIPPED, LAMBDA_RUNTIME], ids=["the layer", "the runtime"])
def test_the_versions_that_are_tested_are_those_that_run(path: Path) -> None:
    # Given what runs in Lambda / When its versions are held against those of the tests / Then they are the same
    tested = pins(DEVELOPMENT)
    different = {name: (pin, tested.get(name)) for name, pin in pins(path).items() if tested.get(name) != pin}
    assert different == {}


def test_what_is_installed_here_is_what_is_pinned() -> None:
    # Given the packages of this environment
    pinned = {name: pin.removeprefix("==") for name, pin in pins(DEVELOPMENT).items()}
    installed = {canonicalize_name(each.name): each.version for each in metadata.distributions()}
    # When their versions are held against the list / Then none differs, and nothing is here that nobody pinned
    assert {name: version for name, version in installed.items() if pinned.get(name, version) != version} == {}
    assert set(installed) - set(pinned) <= {"pip", "setuptools", "wheel"}


def test_the_layer_ships_little() -> None:
    # Given what ships / When its packages are counted / Then each is there because one of three was asked for
    assert asked_for(SHIPPED) == {"aws-lambda-powertools", "pydantic", "requests"}
    assert not {"boto3", "botocore"} & set(pins(SHIPPED))
