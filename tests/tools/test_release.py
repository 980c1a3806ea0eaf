"""Is a release made of a commit alone, the same each time, and is it refused where it could not be?"""

import io
import json
import os
import subprocess
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import pytest

from release.archive import archive_of, checksums, files_below
from release.bill_of_materials import bill_of_materials
from release.building import build
from release.commit import Commit
from release.error import ReleaseError

TIME = datetime(2026, 11, 26, 3, 4, 6, tzinfo=UTC)


def test_an_archive_does_not_tell_who_made_it_when() -> None:
    # Given the same files, come by in another order
    files = {"python/b.py": b"two", "python/a.py": b"one"}
    # When they are written
    archive = archive_of(files, TIME)
    # Then the bytes are the same
    assert archive == archive_of(dict(sorted(files.items())), TIME)
    entries = zipfile.ZipFile(io.BytesIO(archive)).infolist()
    # And entries are in order, of the given time, and readable by the user that Lambda runs functions as
    assert [entry.filename for entry in entries] == ["python/a.py", "python/b.py"]
    assert {entry.date_time for entry in entries} == {(2026, 11, 26, 3, 4, 6)}
    assert {entry.external_attr >> 16 for entry in entries} == {0o100644}
    assert [zipfile.ZipFile(io.BytesIO(archive)).read(entry) for entry in entries] == [b"one", b"two"]


def test_what_is_deployed_has_no_time_at_all() -> None:
    # Given a file that another release has as well / When it is archived / Then its archive tells no release
    (entry,) = zipfile.ZipFile(io.BytesIO(archive_of({"app.py": b""}))).infolist()
    assert entry.date_time == (1980, 1, 1, 0, 0, 0)


def test_files_are_found_in_every_folder(tmp_path: Path) -> None:
    # Given a file in a folder in a folder
    (tmp_path / "python" / "package").mkdir(parents=True)
    (tmp_path / "python" / "package" / "module.py").write_bytes(b"1")
    # When files are looked for / Then it is there by its path
    assert files_below(tmp_path) == {"python/package/module.py": b"1"}


def test_checksums_are_what_the_ordinary_program_checks(tmp_path: Path) -> None:
    # Given files and their checksums, then one that changed
    files = {"a": b"one", "b c": b"two"}
    (tmp_path / "SHA256SUMS").write_bytes(checksums(files))
    for contents, status in ((files, 0), ({**files, "a": b"other"}, 1)):
        for name, content in contents.items():
            (tmp_path / name).write_bytes(content)
        # When they are checked / Then it tells
        check = ["sha256sum", "--check", "--strict", "SHA256SUMS"]
        assert subprocess.run(check, cwd=tmp_path, capture_output=True, check=False).returncode == status


def test_a_release_is_made_of_the_commit(tmp_path: Path) -> None:
    # Given a repository with a commit, and a file beside it that git does not know
    repository, exported = tmp_path / "repository", tmp_path / "exported"
    git(tmp_path, "init", "--quiet", str(repository))
    (repository / "a").write_text("committed")
    git(repository, "add", "a")
    git(repository, "commit", "--quiet", "--message", "A", date="2026-11-26T03:04:06Z")
    (repository / "junk").write_text("")
    # When it is exported
    commit = Commit.checked_out(repository)
    commit.export(exported)
    # Then the commit's files are, and nothing else, and its time is known
    assert files_below(exported) == {"a": b"committed"}
    assert commit.time == TIME
    # And with a change since, there is no release
    (repository / "a").write_text("changed")
    with pytest.raises(ReleaseError, match=r"commit or stash what was changed first.\nM a"):
        Commit.checked_out(repository)


def test_without_a_repository_there_is_no_release(tmp_path: Path) -> None:
    # Given a folder that is none / When its commit is asked for / Then git's own words say why there is none
    with pytest.raises(ReleaseError, match="not a git repository"):
        Commit.checked_out(tmp_path)


def test_a_missing_interpreter_is_named(tmp_path: Path) -> None:
    # Given a machine without the runtime, and one where the name belongs to another Python
    (tmp_path / "python3.99").write_text("#!/bin/sh\necho python3.11\n")
    (tmp_path / "python3.99").chmod(0o755)
    for path in ("/nowhere", str(tmp_path)):
        # When a build is asked for / Then it says what to do, before anything is built
        with pytest.raises(ReleaseError, match=r"the functions run on python3.99, .* put it on PATH"):
            build(tmp_path, tmp_path, sam=Path("/nowhere/sam"), runtime="python3.99", search_path=path)


def test_the_bill_names_packages_licences_and_who_needs_whom(tmp_path: Path) -> None:
    # Given two installed packages, of which one needs the other, and a third one under a condition only
    package(
        tmp_path, "Upper_One", "2.0", "License: MIT", "Requires-Dist: lower>=1", 'Requires-Dist: lower; extra == "x"'
    )
    package(tmp_path, "lower", "1.5", "License-Expression: BSD-3-Clause", 'Requires-Dist: upper-one; extra == "all"')
    package(tmp_path, "old", "3", "Classifier: License :: OSI Approved :: Apache Software License")
    # When the bill is written
    written = bill_of_materials(tmp_path, "1.2.3", revision="abc", time=TIME)
    bill = json.loads(written)
    # Then it has them, by the names that registries use
    assert [(c["purl"], c["licenses"]) for c in bill["components"]] == [
        ("pkg:pypi/lower@1.5", [{"expression": "BSD-3-Clause"}]),
        ("pkg:pypi/old@3", [{"license": {"name": "Apache Software License"}}]),
        ("pkg:pypi/upper-one@2.0", [{"license": {"name": "MIT"}}]),
    ]
    # And who needs whom, the release what nobody else does
    assert {entry["ref"]: entry["dependsOn"] for entry in bill["dependencies"]} == {
        "pkg:generic/responsys-activation@1.2.3": ["pkg:pypi/old@3", "pkg:pypi/upper-one@2.0"],
        "pkg:pypi/lower@1.5": [],
        "pkg:pypi/old@3": [],
        "pkg:pypi/upper-one@2.0": ["pkg:pypi/lower@1.5"],
    }
    # And is the same each time, and another for another commit
    assert bill["metadata"]["timestamp"] == "2026-11-26T03:04:06+00:00"
    assert written == bill_of_materials(tmp_path, "1.2.3", revision="abc", time=TIME)
    other = json.loads(bill_of_materials(tmp_path, "1.2.3", revision="abd", time=TIME))
    assert other["serialNumber"] != bill["serialNumber"]


def git(folder: Path, *arguments: str, date: str = "") -> None:
    person = {
        f"GIT_{who}_{what}": "somebody@example.com" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")
    }
    dates = {"GIT_AUTHOR_DATE": date, "GIT_COMMITTER_DATE": date} if date else {}
    command = ["git", *arguments]
    subprocess.run(command, cwd=folder, check=True, env={**os.environ, **person, **dates})


def package(folder: Path, name: str, version: str, *lines: str) -> None:
    information = folder / f"{name}-{version}.dist-info"
    information.mkdir()
    metadata = ("Metadata-Version: 2.4", f"Name: {name}", f"Version: {version}", *lines)
    (information / "METADATA").write_text("\n".join(metadata) + "\n")
