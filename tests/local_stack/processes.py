"""How does the local stack start the programs it is made of, and end every one of them?

Each child gets a session of its own, so that Ctrl-C reaches us alone and the stack comes down in order. Should we be
killed, nothing comes down in order: then a shell beside each child, which waits for us to be gone, kills it.
"""

import contextlib
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

LOOPBACK = "127.0.0.1"
_SECONDS_TO_END = 5.0


class LocalStackError(Exception):
    """The local stack cannot start; the message is one line that says what to do."""


def free_port() -> int:
    """Return a loopback port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port


def require_free_port(port: int, variable: str) -> None:
    """Refuse a port in use, naming the variable that moves it.

    Raises
    ------
    LocalStackError
        Something listens on the port.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError as exc:
            raise LocalStackError(
                f"Port {port} is in use: stop what listens there, or choose another with {variable}=<port>."
            ) from exc


@contextlib.contextmanager
def child_process(command: Sequence[str | Path], **options: Any) -> Iterator[subprocess.Popen[Any]]:
    """Run a program for as long as the context lasts; `options` are those of `subprocess.Popen`."""
    process = subprocess.Popen([str(part) for part in command], start_new_session=True, **options)
    with gone_with_us(process.pid):
        try:
            yield process
        finally:
            end_process(process)


@contextlib.contextmanager
def gone_with_us(group: int) -> Iterator[None]:
    """Let a process group be killed if we end before the context does, be it by SIGKILL.

    The shell reads from a pipe that nobody else holds: a line at the end of the context, the end of file without us.
    """
    command = ["/bin/sh", "-c", 'read -r _ || kill -s KILL -- "-$0"', str(group)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True) as shell:
        try:
            yield
        finally:
            shell.communicate(b"\n")


def end_process(process: subprocess.Popen[Any]) -> None:
    """Ask a child to end, and make it end if it does not."""
    process.terminate()
    try:
        process.wait(_SECONDS_TO_END)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@contextlib.contextmanager
def ending_on_signals() -> Iterator[None]:
    """Make SIGTERM and SIGINT raise KeyboardInterrupt once; a second one does not disturb the clean-up."""
    signals = (signal.SIGINT, signal.SIGTERM)
    previous: dict[signal.Signals, Callable[[int, FrameType | None], object] | int | None] = {}

    def interrupt(_signal: int, _frame: FrameType | None) -> None:
        for each in signals:
            signal.signal(each, signal.SIG_IGN)
        raise KeyboardInterrupt

    for each in signals:
        previous[each] = signal.signal(each, interrupt)
    try:
        yield
    finally:
        for each in signals:
            signal.signal(each, previous[each])
