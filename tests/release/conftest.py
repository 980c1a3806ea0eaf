"""Which release do these tests look at? Two builds of the commit that is checked out, for this machine's Python."""

import zipfile
from pathlib import Path

import pytest

from release.making import make_release
from tests.local_stack.build import HOST_RUNTIME
from tests.local_stack.environments import REPOSITORY


@pytest.fixture(scope="session")
def builds(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Return the archives of two builds."""
    return [make_release(REPOSITORY, tmp_path_factory.mktemp("dist"), HOST_RUNTIME) for _ in range(2)]


@pytest.fixture(scope="session")
def release(builds: list[Path]) -> Path:
    """Return the archive that a person would download."""
    return builds[0]


@pytest.fixture(scope="session")
def unpacked(release: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder that it unpacks to."""
    directory = tmp_path_factory.mktemp("unpacked")
    zipfile.ZipFile(release).extractall(directory)
    return directory / release.stem
