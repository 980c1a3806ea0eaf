"""Which interpreter runs which part of the local stack?

The emulator, SAM and the Lambda runtime each pin packages that the project must not share, so each has an
environment of its own beside the project's; `make setup` makes them.
"""

from pathlib import Path

from tests.local_stack.processes import LocalStackError

REPOSITORY = Path(__file__).resolve().parents[2]
LOCAL_DIRECTORY = REPOSITORY / ".local"


def program(environment: str, name: str) -> Path:
    """Return a program of one of the environments.

    Parameters
    ----------
    environment
        Folder of the environment, such as `.venv-sam`.
    name
        Name of the program, such as `sam`.

    Raises
    ------
    LocalStackError
        The environment was not made.
    """
    path = REPOSITORY / environment / "bin" / name
    if not path.exists():
        raise LocalStackError(f"{environment} has no {name}: run `make setup` first.")
    return path
