"""Which outcomes come, as they come?"""

from __future__ import annotations

import time
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

from responsys_activation.aws.deployed_stack import DeployedStack
from responsys_activation.cli.exit_code import ExitCode
from responsys_activation.cli.log_line import TERM, read_log_line, told
from responsys_activation.cli.options import since
from responsys_activation.cli.terminal import Terminal

__all__ = ["DESCRIPTION", "EXAMPLES", "HELP", "NAME", "add_options", "follow", "run"]

NAME = "tail"
HELP = "outcomes as they come, until Ctrl-C"
DESCRIPTION = """\
Follows the log of the function that delivers: one line per request and per batch, one per message that was not
delivered at the first attempt, logins and warnings. Ctrl-C ends it. The log holds no personal data."""
EXAMPLES = """\
  responsys-activation tail    # from now on, on the local stack
  responsys-activation tail --stack prod --since 1h    # begin an hour ago
  responsys-activation tail --stack prod --json | jq 'select(.kind == "message")'
"""

_SECONDS_BETWEEN_LOOKS = 2.0
_LATE = 120.0  # seconds that a line may take to be found, clocks that differ included; older ones are not looked for
_STYLES = {"WARNING": "yellow", "ERROR": "red", "CRITICAL": "red"}


def add_options(parser: ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument(
        "--since", type=since, metavar="AGO", help="begin so long ago: 30s, 10m, 2h, 1d, or an ISO time"
    )


def run(options: Namespace, terminal: Terminal, open_stack: Callable[[], DeployedStack]) -> ExitCode:
    """Print lines until interrupted."""
    stack = open_stack()
    begin = options.since or datetime.now(UTC)
    terminal.note(f"Following {stack.title} since {begin:%Y-%m-%d %H:%M:%S} UTC. Ctrl-C ends it.")
    for line in follow(stack, begin.timestamp()):
        terminal.document(line, indent=None)
        terminal.say(f"{line['time'][11:19]}  {line['kind']:<8} {told(line)}", style=_STYLES.get(line["level"]))
    return ExitCode.DONE


def follow(
    stack: DeployedStack,
    begin: float,
    *,
    clock: Callable[[], float] = time.time,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[dict[str, Any]]:
    """Yield the log's lines for an operator, each once, in the order of their time; without end.

    Parameters
    ----------
    begin : float
        Epoch seconds.

    Raises
    ------
    StackError
        The log could not be read.
    """
    seen: dict[str, float] = {}
    while True:
        next_begin = max(begin, clock() - _LATE)
        events = [event for event in stack.log_events(begin, TERM) if event["eventId"] not in seen]
        for event in sorted(events, key=lambda event: event["timestamp"]):
            seen[event["eventId"]] = event["timestamp"] / 1000
            if line := read_log_line(event):
                yield line
        begin = next_begin
        seen = {event_id: at for event_id, at in seen.items() if at >= begin}
        sleep(_SECONDS_BETWEEN_LOOKS)
