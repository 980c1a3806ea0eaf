"""Which connectors' settings are on disk?"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from responsys_activation.aws.connectors import ConnectorParameter
from responsys_activation.cli.exit_code import CommandError
from responsys_activation.cli.message_file import read_text

__all__ = ["read_connector_files"]


def read_connector_files(sources: Sequence[str]) -> dict[str, ConnectorParameter]:
    """Read the settings, by the connector's name, as SSM would have them.

    Parameters
    ----------
    sources : sequence of str
        ``NAME=FILE``, or a folder with a file ``NAME.json`` for each connector.

    Raises
    ------
    CommandError
        A file cannot be read, or a source is neither.
    """
    files: dict[str, str] = {}
    for source in sources:
        name, equals, path = source.partition("=")
        if Path(source).is_dir():
            files |= {each.stem: str(each) for each in sorted(Path(source).glob("*.json"))}
        elif equals and name and path:
            files[name] = path
        else:
            raise CommandError(
                f"--connector-settings must be NAME=FILE, or a folder with NAME.json files, not {source}."
            )
    if not files:
        raise CommandError(f"--connector-settings: no *.json file in {' or '.join(sources)}.")
    return {name: ConnectorParameter(read_text(path), encrypted=False) for name, path in files.items()}
