"""How does a command speak: to a person, or to a program?"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO, Any

from rich.console import Console, RenderableType
from rich.status import Status

from responsys_activation.cli.exit_code import CommandError

__all__ = ["Terminal", "counted"]

_WIDTH_WITHOUT_TERMINAL = 140


class Terminal:
    """Standard output for results, standard error for everything else.

    Parameters
    ----------
    as_json : bool
        Results are JSON, and nothing else is on standard output.
    """

    def __init__(self, *, as_json: bool = False, out: IO[str] | None = None, err: IO[str] | None = None) -> None:
        self.as_json = as_json
        self._out = _console(file=out)
        self._err = _console(file=err, stderr=err is None)
        self._status: Status | None = None

    def say(self, text: RenderableType, *, style: str | None = None) -> None:
        """Print for a person; a program does not get it."""
        if self.as_json:
            return
        with self._quiet_status():
            if isinstance(text, str):
                self._out.print(text, style=style, soft_wrap=True, markup=False)
            else:
                self._out.print(text)

    def document(self, document: Any, *, indent: int | None = 2) -> None:
        """Print JSON for a program; a person does not get it."""
        if self.as_json:
            with self._quiet_status():
                self._out.file.write(json.dumps(document, indent=indent, ensure_ascii=False) + "\n")
                self._out.file.flush()

    def error(self, text: str) -> None:
        """Print what went wrong, for whoever reads."""
        with self._quiet_status():
            self._err.print(f"error: {text}", style="red", soft_wrap=True, markup=False)

    def note(self, text: str) -> None:
        """Print what a person should know, and no program waits for."""
        with self._quiet_status():
            self._err.print(text, soft_wrap=True, markup=False)

    def ask(self, question: str, *, otherwise: str) -> bool:
        """Ask for a yes.

        Raises
        ------
        CommandError
            There is nobody to ask; the text says what to do otherwise.
        """
        if not (sys.stdin.isatty() and self._err.is_terminal):
            raise CommandError(f"{question} {otherwise}")
        return self._err.input(f"{question} Type yes to go on: ", markup=False).strip().lower() in {"y", "yes"}

    @contextmanager
    def progress(self, text: str) -> Iterator[Callable[[str], None] | None]:
        """Show that something goes on; gives what changes the text, or ``None`` where no terminal shows it."""
        if not self._err.is_terminal:
            yield None
            return
        with Status(text, console=self._err) as status:
            self._status = status
            try:
                yield status.update
            finally:
                self._status = None

    @contextmanager
    def _quiet_status(self) -> Iterator[None]:
        """Take the progress away while something is printed, for both may be on one screen."""
        status = self._status
        if status is None:
            yield
            return
        status.stop()
        try:
            yield
        finally:
            status.start()


def counted(number: int, of_what: str) -> str:
    """Say how many there are."""
    return f"{number:,} {of_what}{'' if number == 1 else 's'}"


def _console(**where: Any) -> Console:
    console = Console(highlight=False, **where)
    if not console.is_terminal:
        console.width = _WIDTH_WITHOUT_TERMINAL
    return console
