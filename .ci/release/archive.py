"""How do the same files become the same bytes, on any day and from any folder?"""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Mapping
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

__all__ = ["CHECKSUMS", "archive_of", "checksums", "files_below"]

CHECKSUMS = "SHA256SUMS"
_EARLIEST = datetime(1980, 1, 1, tzinfo=UTC)  # that the format can say
_UNIX = 3
_READABLE_FILE = 0o100644  # by everybody: Lambda runs functions as a user of its own


def files_below(folder: Path) -> dict[str, bytes]:
    """Return the content of each file below a folder, by its path there with ``/`` between names."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()
    }


def archive_of(files: Mapping[str, bytes], modified: datetime = _EARLIEST) -> bytes:
    """Return a zip archive: entries in order of their names, each readable by everybody and of the same time.

    Parameters
    ----------
    files : Mapping
        Content by path within the archive.
    modified : datetime
        What every entry says, in UTC; the format knows even seconds from 1980 on.
    """
    written = BytesIO()
    with zipfile.ZipFile(written, "w") as archive:
        for name in sorted(files):
            entry = zipfile.ZipInfo(name, modified.astimezone(UTC).timetuple()[:6])
            entry.create_system = _UNIX
            entry.external_attr = _READABLE_FILE << 16
            archive.writestr(entry, files[name], zipfile.ZIP_DEFLATED, compresslevel=9)
    return written.getvalue()


def checksums(files: Mapping[str, bytes]) -> bytes:
    """Return what ``sha256sum --check`` reads: a line per file."""
    return "".join(f"{hashlib.sha256(files[name]).hexdigest()}  {name}\n" for name in sorted(files)).encode()
