"""How much processor time do the processes of a subject take, those included that end on the way? Linux only."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["ProcessorTime", "measuring"]

_SECONDS_BETWEEN_LOOKS = 0.25
_TICKS = os.sysconf("SC_CLK_TCK")
_PARENT, _USER, _SYSTEM, _STARTED = 1, 11, 12, 19  # places behind the name in /proc/…/stat


class ProcessorTime:
    """Looks at the descendants of this process whose command line holds a text; what one took last is kept.

    Parameters
    ----------
    command
        The text, or several that must all be there.
    """

    def __init__(self, *command: str) -> None:
        self._command = command
        self._seconds: dict[tuple[int, str], float] = {}

    @property
    def seconds(self) -> float:
        """User and system time of all of them up to the last look."""
        return sum(self._seconds.values())

    def look(self) -> None:
        """Read the times."""
        stats = dict(_processes())
        ours = {os.getpid()}
        while more := {pid for pid, stat in stats.items() if int(stat[_PARENT]) in ours} - ours:
            ours |= more
        for pid in ours - {os.getpid()}:
            stat = stats[pid]
            key = pid, stat[_STARTED]
            if key in self._seconds or self._is_meant(pid):
                self._seconds[key] = (int(stat[_USER]) + int(stat[_SYSTEM])) / _TICKS

    def _is_meant(self, pid: int) -> bool:
        try:
            line = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
        except OSError:
            return False
        return all(text in line for text in self._command)


def _processes() -> Iterator[tuple[int, list[str]]]:
    for name in os.listdir("/proc"):
        if name.isdecimal():
            try:
                stat = Path(f"/proc/{name}/stat").read_text()
            except OSError:
                continue  # it has ended
            yield int(name), stat.rpartition(")")[2].split()


@contextmanager
def measuring(*command: str) -> Iterator[ProcessorTime]:
    """Look again and again, as long as the context lasts."""
    meter = ProcessorTime(*command)
    ending = threading.Event()

    def look_again() -> None:
        while not ending.wait(_SECONDS_BETWEEN_LOOKS):
            meter.look()

    thread = threading.Thread(target=look_again, name="processor-time")
    thread.start()
    try:
        yield meter
    finally:
        ending.set()
        thread.join()
