"""Which release does the command make?"""

import argparse
import hashlib
import sys
from pathlib import Path

from release.error import ReleaseError
from release.making import make_release

REPOSITORY = Path(__file__).parents[2]


def main() -> int:
    """Make the release, and say where it is."""
    parser = argparse.ArgumentParser(prog="release", description="Make the release of the commit that is checked out.")
    parser.add_argument("--runtime", help="in place of the template's, to try a release where that is not at hand")
    parser.add_argument("--output", type=Path, default=REPOSITORY / "dist", help="folder for the archive")
    options = parser.parse_args()
    try:
        path = make_release(REPOSITORY, options.output.resolve(), options.runtime)
    except ReleaseError as exc:
        print(f"error: {exc}", file=sys.stderr)
        return 1
    print(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
