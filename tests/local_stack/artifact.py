"""What does Lambda unpack for a function? Its archive and those of its layers, as `sam build` made them."""

import os
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.local_stack.build import built
from tests.local_stack.environments import REPOSITORY


@dataclass(frozen=True)
class Artifact:
    """The built function and its layers, unpacked as Lambda does."""

    task_root: Path
    layer_root: Path

    @property
    def path(self) -> str:
        """What Lambda puts on PYTHONPATH."""
        return f"{self.task_root}{os.pathsep}{self.layer_root / 'python'}"


@contextmanager
def unpacked(function: str) -> Iterator[Artifact]:
    """Unpack a function, given its logical id, built for this machine."""
    with (
        tempfile.TemporaryDirectory(prefix="responsys-artifact-") as directory,
        built(REPOSITORY / "template.yaml") as build,
    ):
        artifact = Artifact(Path(directory) / "task", Path(directory) / "opt")
        zipfile.ZipFile(build.archives[function]).extractall(artifact.task_root)
        for layer in build.template["Globals"]["Function"]["Layers"]:
            zipfile.ZipFile(build.archives[layer["Ref"]]).extractall(artifact.layer_root)
        yield artifact
