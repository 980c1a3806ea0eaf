"""How does the command begin?"""

from __future__ import annotations

import os
import sys

from responsys_activation.cli.command_line import run
from responsys_activation.observability import logger

__all__ = ["main"]


def main() -> int:
    """Run the command line of this process."""
    logger.setLevel("CRITICAL")  # a function's log lines are not for a terminal
    try:
        return run(sys.argv[1:], os.environ)
    except BrokenPipeError:  # whoever read the output has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


if __name__ == "__main__":
    sys.exit(main())
