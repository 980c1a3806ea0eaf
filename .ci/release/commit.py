"""Of which commit is the release?"""

from __future__ import annotations

import subprocess
import zipfile
from dataclasses import dataclass
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

from release.error import ReleaseError

__all__ = ["Commit"]


@dataclass(frozen=True)
class Commit:
    """The commit that is checked out, without what was changed since.

    Attributes
    ----------
    revision : str
        The full hash.
    time : datetime
        When it was committed, in UTC.
    """

    repository: Path
    revision: str
    time: datetime

    @classmethod
    def checked_out(cls, repository: Path) -> Commit:
        """Return it.

        Raises
        ------
        ReleaseError
            Files that git tracks were changed since, or there is no git repository.
        """
        if changed := _git(repository, "status", "--porcelain", "--untracked-files=no").decode().strip():
            raise ReleaseError(f"a release is made of a commit: commit or stash what was changed first.\n{changed}")
        revision, seconds = _git(repository, "show", "--no-patch", "--format=%H %ct", "HEAD").decode().split()
        return cls(repository, revision, datetime.fromtimestamp(int(seconds), UTC))

    def export(self, folder: Path) -> None:
        """Lay its files into a folder: what git ignores does not get into the release."""
        with zipfile.ZipFile(BytesIO(_git(self.repository, "archive", "--format=zip", self.revision))) as files:
            files.extractall(folder)


def _git(repository: Path, *arguments: str) -> bytes:
    run = subprocess.run(["git", "-C", str(repository), *arguments], capture_output=True, check=False)
    if run.returncode != 0:
        raise ReleaseError(run.stderr.decode(errors="replace").strip())
    return run.stdout
