"""How does the command end?"""

from __future__ import annotations

from enum import IntEnum

__all__ = ["EXIT_CODES", "CommandError", "ExitCode"]


class ExitCode(IntEnum):
    """What a script is told."""

    DONE = 0
    NOT_DONE = 1
    USAGE = 2
    UNREACHABLE = 3
    INTERRUPTED = 130


EXIT_CODES = """\
exit codes:
  0    done: delivered, all chosen letters counted or moved, every connector would deliver, every message would be sent,
       nothing is wrong with the deployment
  1    not so: the output says what and why
  2    not started: an unknown option, a missing or wrong value, a question that was not answered with yes
  3    the stack could not be reached, or AWS refused: the error says what
  130  interrupted
"""


class CommandError(Exception):
    """Nothing was done; the text is one line that names the option and says what to do."""
