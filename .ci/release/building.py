"""What does Lambda get for each function and layer?

What ``sam build`` makes of the template, for every architecture.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from release.archive import files_below
from release.error import ReleaseError
from release.template import ARCHITECTURES

__all__ = ["Built", "build"]

# Content by path within the archive, by architecture, by logical id.
Built = Mapping[str, Mapping[str, Mapping[str, bytes]]]


def build(source: Path, folder: Path, *, sam: Path, runtime: str, search_path: str) -> Built:
    """Build every function and layer of the template for each architecture.

    Parameters
    ----------
    source : Path
        The commit's files, with ``template.yaml`` among them.
    folder : Path
        Where to build, empty.
    sam : Path
        The SAM CLI.
    runtime : str
        The functions' runtime, such as ``python3.14``.
    search_path : str
        PATH; has the interpreter of that name, with pip.

    Raises
    ------
    ReleaseError
        There is no such interpreter, or the build failed.
    """
    environment = {**os.environ, "PATH": search_path, "LAYER_PYTHON": runtime, "SAM_CLI_TELEMETRY": "0"}
    _require(runtime, environment)
    built: dict[str, dict[str, dict[str, bytes]]] = {}
    for architecture in ARCHITECTURES:
        output = folder / architecture
        _run(
            [
                *(str(sam), "build", "--parallel", "--no-cached", "--template", "template.yaml"),
                *("--build-dir", str(output), "--parameter-overrides", f"Architecture={architecture}"),
            ],
            source,
            environment,
        )
        for artifact in sorted(path for path in output.iterdir() if path.is_dir()):
            built.setdefault(artifact.name, {})[architecture] = files_below(artifact)
    return built


def _require(runtime: str, environment: Mapping[str, str]) -> None:
    says = "import pip, sys; print('python%d.%d' % sys.version_info[:2])"
    try:
        version = subprocess.check_output([runtime, "-c", says], env=environment, stderr=subprocess.DEVNULL, text=True)
    except (OSError, subprocess.CalledProcessError):
        version = ""
    if version.strip() != runtime:
        raise ReleaseError(
            f"the functions run on {runtime}, and so it makes their bytecode: install it, with pip, and put it on PATH."
        )


def _run(command: list[str], folder: Path, environment: Mapping[str, str]) -> None:
    run = subprocess.run(
        command,
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if run.returncode != 0:
        raise ReleaseError(f"sam build failed:\n{run.stdout}")
