"""How does the source become the artifacts that are deployed locally?

By `sam build` itself, on a copy of the template that names the host's own interpreter and architecture, so
that neither a container nor another Python is needed. Nothing is built while its inputs stay the same.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from samtranslator.yaml_helper import yaml_parse  # type: ignore[import-untyped]

from tests.local_stack.environments import LOCAL_DIRECTORY, REPOSITORY, program
from tests.local_stack.processes import LocalStackError

HOST_RUNTIME = f"python{sys.version_info.major}.{sys.version_info.minor}"
HOST_ARCHITECTURE = {"aarch64": "arm64", "arm64": "arm64"}.get(platform.machine(), "x86_64")

# Where SAM keeps the sources of a resource, by its type.
SOURCE_PROPERTIES = {"AWS::Serverless::Function": "CodeUri", "AWS::Serverless::LayerVersion": "ContentUri"}


@dataclass(frozen=True)
class Build:
    """The built template, and the archive of each function and layer by its logical id."""

    template: dict[str, Any]
    archives: Mapping[str, Path]


def read_template(path: Path) -> dict[str, Any]:
    """Read a SAM template, its short intrinsic functions written out."""
    template: dict[str, Any] = yaml_parse(path.read_text())
    return template


@contextlib.contextmanager
def built(template_path: Path) -> Iterator[Build]:
    """Build a template if its inputs changed, and keep others from building while the result is read."""
    name = hashlib.sha256(str(template_path.resolve()).encode()).hexdigest()[:12]
    directory = LOCAL_DIRECTORY / "build" / name
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        template = for_this_host(read_template(template_path))
        sources = _sources(template, template_path.parent)
        digest = _digest(template, sources.values())
        stamp = directory / "inputs"
        if not stamp.exists() or stamp.read_text() != digest:
            stamp.unlink(missing_ok=True)
            _sam_build(template, template_path.parent, directory)
            for logical_id in sources:
                _archive(directory / "out" / logical_id, directory / f"{logical_id}.zip")
            stamp.write_text(digest)
        yield Build(template, {logical_id: directory / f"{logical_id}.zip" for logical_id in sources})


def for_this_host(node: Any) -> Any:
    """Return a template whose functions and layers are for the host's interpreter and architecture."""
    if isinstance(node, list):
        return [for_this_host(item) for item in node]
    if not isinstance(node, dict):
        return node
    own = {
        "Runtime": HOST_RUNTIME,
        "BuildMethod": "makefile" if node.get("BuildMethod") == "makefile" else HOST_RUNTIME,
        "CompatibleRuntimes": [HOST_RUNTIME],
        "BuildArchitecture": HOST_ARCHITECTURE,
        "Architectures": [HOST_ARCHITECTURE],
        "CompatibleArchitectures": [HOST_ARCHITECTURE],
    }
    return {key: own.get(key) or for_this_host(value) for key, value in node.items()}


def _sources(template: Mapping[str, Any], base: Path) -> dict[str, Path]:
    return {
        logical_id: base / resource["Properties"][SOURCE_PROPERTIES[resource["Type"]]]
        for logical_id, resource in template["Resources"].items()
        if resource["Type"] in SOURCE_PROPERTIES
    }


def _digest(template: Mapping[str, Any], sources: Iterable[Path]) -> str:
    digest = hashlib.sha256(json.dumps([template, sys.version]).encode())
    for source in sources:
        for path in sorted(source.rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                digest.update(f"{path.relative_to(source)}\0".encode() + path.read_bytes())
    return digest.hexdigest()


def _sam_build(template: Mapping[str, Any], base: Path, directory: Path) -> None:
    copy = directory / "template.json"
    copy.write_text(json.dumps(_with_nested_templates_from(base, template)))
    shutil.rmtree(directory / "out", ignore_errors=True)
    # SAM looks on PATH for an interpreter of the runtime's version that really runs, which the shims of version
    # managers need not be.
    interpreters = f"{REPOSITORY / '.venv' / 'bin'}{os.pathsep}{os.environ['PATH']}"
    command = [
        *(program(".venv-sam", "sam"), "build", "--parallel", "--template", copy, "--base-dir", base),
        *("--build-dir", directory / "out", "--cached", "--cache-dir", directory / "cache"),
    ]
    run = subprocess.run(
        [str(part) for part in command],
        env={**os.environ, "PATH": interpreters, "LAYER_PYTHON": HOST_RUNTIME, "SAM_CLI_TELEMETRY": "0"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    (directory / "build.log").write_text(run.stdout + run.stderr)
    if run.returncode != 0:
        lines = [line for line in run.stderr.splitlines() if line.strip()]
        reason = next((line for line in reversed(lines) if "Error" in line), lines[-1] if lines else "no output")
        shown = (directory / "build.log").relative_to(REPOSITORY)
        raise LocalStackError(f"sam build failed: {reason.strip()} (all of it: {shown})")


def _with_nested_templates_from(base: Path, template: Mapping[str, Any]) -> dict[str, Any]:
    """Return a template that finds the templates of its nested stacks wherever it lies itself."""
    resources = {**template["Resources"]}
    for logical_id, resource in resources.items():
        if resource["Type"] == "AWS::CloudFormation::Stack":
            url = str(base.resolve() / resource["Properties"]["TemplateURL"])
            resources[logical_id] = {**resource, "Properties": {**resource["Properties"], "TemplateURL": url}}
    return {**template, "Resources": resources}


def _archive(source: Path, archive: Path) -> None:
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as zipped:
        for path in sorted(source.rglob("*")):
            if path.is_file():
                zipped.write(path, path.relative_to(source))
        if not zipped.namelist():
            # S3 and Lambda take no archive without an entry.
            zipped.writestr("empty", "")


if __name__ == "__main__":
    with built(REPOSITORY / "template.yaml") as _build:
        print(f"Built for {HOST_RUNTIME} on {HOST_ARCHITECTURE}: {', '.join(_build.archives)}")
