"""What is in a release, and how is it made of a commit?"""

from __future__ import annotations

import json
import os
import re
import sys
import tempfile
from pathlib import Path
from typing import Any

from samtranslator.yaml_helper import yaml_parse  # type: ignore[import-untyped]

from release.archive import CHECKSUMS, archive_of, checksums
from release.bill_of_materials import bill_of_materials
from release.building import Built, build
from release.commit import Commit
from release.error import ReleaseError
from release.template import ARCHITECTURES, archive_name, has_archive, nested_templates, release_template

__all__ = ["make_release"]

_VERSION = "layers/responsys_activation/responsys_activation/__init__.py"
_FOR_WHO_DEPLOYS = ".ci/release/README.md", ".ci/release/parameters.json", "CHANGELOG.md", "LICENSE"


def make_release(repository: Path, output: Path, runtime: str | None = None) -> Path:
    """Make the archive of the commit that is checked out, and return its path.

    The same commit gives the same bytes wherever Python and zlib are the same.

    Parameters
    ----------
    repository : Path
        Holds the SAM CLI in an environment of its own, beside the sources.
    output : Path
        Folder for the archive.
    runtime : str or None
        In place of the template's runtime, to try a release where that is not at hand.

    Raises
    ------
    ReleaseError
        It cannot be made.
    """
    commit = Commit.checked_out(repository)
    with tempfile.TemporaryDirectory(prefix="responsys-release-") as directory:
        source, folder = Path(directory, "source"), Path(directory, "built")
        commit.export(source)
        template, runtime = _for_runtime(source / "template.yaml", runtime)
        built = build(
            source,
            folder,
            sam=repository / ".venv-sam" / "bin" / "sam",
            runtime=runtime,
            search_path=os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"])),
        )
        version = _version(source)
        files = {Path(name).name: (source / name).read_bytes() for name in _FOR_WHO_DEPLOYS}
        files |= _deployed(template, built)
        files |= {path: (source / path).read_bytes() for path in nested_templates(template)}
        files["sbom.cdx.json"] = bill_of_materials(
            folder / next(iter(ARCHITECTURES)) / "DependenciesLayer" / "python",
            version,
            revision=commit.revision,
            time=commit.time,
        )
    files[CHECKSUMS] = checksums(files)
    root = f"responsys-activation-{version}"
    path = output / f"{root}.zip"
    output.mkdir(parents=True, exist_ok=True)
    path.write_bytes(archive_of({f"{root}/{name}": content for name, content in files.items()}, commit.time))
    return path


def _for_runtime(template_path: Path, runtime: str | None) -> tuple[dict[str, Any], str]:
    text = template_path.read_text()
    written = str(yaml_parse(text)["Globals"]["Function"]["Runtime"])
    runtime = runtime or written
    template_path.write_text(text.replace(written, runtime))
    return yaml_parse(template_path.read_text()), runtime


def _deployed(template: dict[str, Any], built: Built) -> dict[str, bytes]:
    files = {}
    of_one_architecture = set()
    for logical_id, contents in built.items():
        if not has_archive(template["Resources"][logical_id]):
            continue
        differ = any(content != contents[next(iter(ARCHITECTURES))] for content in contents.values())
        if differ:
            of_one_architecture.add(logical_id)
        for architecture, content in contents.items():
            name = f"{logical_id}{ARCHITECTURES[architecture]}" if differ else logical_id
            # Without the commit's time: what is as it was in the last release is neither uploaded nor replaced.
            files[archive_name(template["Resources"][logical_id]["Type"], name)] = archive_of(content)
    files["template.json"] = json.dumps(release_template(template, of_one_architecture), indent=2).encode() + b"\n"
    return files


def _version(source: Path) -> str:
    found = re.search(r'^__version__ = "(.+)"$', (source / _VERSION).read_text(), re.MULTILINE)
    if found is None:
        raise ReleaseError(f"{_VERSION} has no __version__.")
    return found[1]
