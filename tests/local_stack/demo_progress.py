"""Where are the demo's messages now, told while they flow?

Bars on a terminal, and a line now and then elsewhere.
"""

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from tests.local_stack.queues import depth
from tests.local_stack.stack import LocalStack

_POLL_SECONDS = 0.5
_SECONDS_BETWEEN_LINES = 2.0
# Both queues have to stay empty as long as this: a message that changes queues is on neither for a moment.
_QUIET_SECONDS = 1.5


@dataclass(frozen=True)
class Flow:
    """How many messages are where."""

    queued: int
    waiting: int
    delivered: int
    rejected: int

    @classmethod
    def of(cls, stack: LocalStack) -> "Flow":
        """Look at the queues and the inbox."""
        assert stack.simulator is not None
        sqs = stack.endpoint.sqs
        return cls(
            queued=depth(sqs, stack.outputs["SegmentEventsQueueUrl"]),
            waiting=depth(sqs, stack.outputs["ThrottledDeadLetterQueueUrl"]),
            delivered=stack.simulator.inbox_count(),
            rejected=depth(sqs, stack.outputs["RejectedDeadLetterQueueUrl"]),
        )

    @property
    def is_settled(self) -> bool:
        """Whether nothing is on its way."""
        return self.queued == 0 and self.waiting == 0


def follow(stack: LocalStack, console: Console, messages: int, timeout: float, observe: Callable[[Flow], None]) -> None:
    """Show the flow, and tell `observe` of it, until nothing is on its way or the time is over."""
    deadline = time.monotonic() + timeout
    with _display(console, messages) as show:
        quiet_since: float | None = None
        while (now := time.monotonic()) < deadline:
            flow = Flow.of(stack)
            show(flow)
            observe(flow)
            if not flow.is_settled:
                quiet_since = None
            elif quiet_since is None:
                quiet_since = now
            elif now - quiet_since >= _QUIET_SECONDS:
                return
            time.sleep(_POLL_SECONDS)


@contextlib.contextmanager
def _display(console: Console, messages: int) -> Iterator[Callable[[Flow], None]]:
    if not console.is_terminal:
        yield _Lines(console)
        return
    with Progress(TextColumn("{task.description}"), BarColumn(50), MofNCompleteColumn(), console=console) as progress:
        bars = {
            field: progress.add_task(description, total=messages)
            for field, description in (
                ("queued", "on SegmentEventsQueue"),
                ("delivered", "delivered to Responsys"),
                ("waiting", "waiting on ThrottledDLQ"),
                ("rejected", "rejected"),
            )
        }

        def show(flow: Flow) -> None:
            for field, bar in bars.items():
                progress.update(bar, completed=getattr(flow, field))

        yield show


class _Lines:
    """A line whenever something changed, but not too often."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._started = time.monotonic()
        self._shown: Flow | None = None
        self._next = 0.0

    def __call__(self, flow: Flow) -> None:
        now = time.monotonic()
        if flow == self._shown or (now < self._next and not flow.is_settled):
            return
        self._shown, self._next = flow, now + _SECONDS_BETWEEN_LINES
        self._console.print(
            f"  {now - self._started:4.0f} s   queued {flow.queued:5,}   delivered {flow.delivered:5,}"
            f"   waiting on ThrottledDLQ {flow.waiting:5,}   rejected {flow.rejected:5,}"
        )
