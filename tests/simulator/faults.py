"""What shall go wrong, for whom, and how often?

A fault is one of a closed set of misbehaviours plus the requests it is meant for. They wait in a queue: the first one
that fits a request is played, and leaves the queue when it has been played often enough.
"""

from itertools import count
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from tests.simulator.json_model import JsonModel

FaultPath = Literal["login", "event", "merge", "any"]


class Target(JsonModel):
    """Which requests a fault is meant for.

    Faults are played after the token and the throttles were checked, so a request refused by those uses none up.
    """

    account: str | None = None
    path: FaultPath = "event"
    event_name: str | None = None
    times: int | None = Field(default=1, ge=1)
    """How many requests it hits; none: all, until faults are deleted."""

    def fits(self, path: str, account: str | None, event_name: str | None) -> bool:
        """Return whether a request is one of them."""
        return self.path in ("any", path) and self.account in (None, account) and self.event_name in (None, event_name)


class ErrorReply(Target):
    """Any other answer: an envelope when `error_code` is given, else `text`; also under HTTP 200."""

    kind: Literal["error"] = "error"
    status: int = Field(default=500, ge=200, le=599)
    error_code: str | None = None
    title: str = ""
    detail: str = ""
    text: str = ""
    content_type: str = "text/html"
    accept_first: bool = False
    """The request is carried out all the same, and only its answer is wrong."""


class SlowReply(Target):
    """The answer takes long; when not `accept_first`, so does the work."""

    kind: Literal["slow"] = "slow"
    seconds: float = Field(gt=0)
    accept_first: bool = True


class ConnectionReset(Target):
    """The connection is reset, before anything is carried out or, with `accept_first`, after."""

    kind: Literal["reset"] = "reset"
    accept_first: bool = False


class TruncatedReply(Target):
    """The request is carried out, and its JSON ends half way; with `cut_connection` the HTTP reply does, too."""

    kind: Literal["truncated"] = "truncated"
    cut_connection: bool = False


class WrongLengthReply(Target):
    """The request is carried out, and its results, or records, are one too few or too many."""

    kind: Literal["wrong_length"] = "wrong_length"
    path: Literal["event", "merge"] = "event"
    difference: Literal[-1, 1] = -1


class Redirect(Target):
    """The caller is sent elsewhere."""

    kind: Literal["redirect"] = "redirect"
    url: str
    status: Literal[301, 302, 303, 307, 308] = 302


Fault = ErrorReply | SlowReply | ConnectionReset | TruncatedReply | WrongLengthReply | Redirect
FAULT: TypeAdapter[Fault] = TypeAdapter(Annotated[Fault, Field(discriminator="kind")])


class Faults:
    """The queue of faults, each with the number of times that it still has to be played; none: until it is deleted."""

    def __init__(self) -> None:
        self._queue: dict[int, tuple[Fault, int | None]] = {}
        self._ids = count(1)

    def add(self, fault: Fault) -> int:
        """Queue a fault and return its id."""
        fault_id = next(self._ids)
        self._queue[fault_id] = fault, fault.times
        return fault_id

    def clear(self) -> None:
        """Delete all faults."""
        self._queue.clear()

    def remove(self, fault_id: int) -> None:
        """Delete one fault, if it is still there."""
        self._queue.pop(fault_id, None)

    def take(self, path: str, account: str | None, event_name: str | None = None) -> Fault | None:
        """Return the fault to play on this request, if there is one."""
        for fault_id, (fault, times) in self._queue.items():
            if fault.fits(path, account, event_name):
                if times is not None:
                    self._queue[fault_id] = fault, times - 1
                if times == 1:
                    del self._queue[fault_id]
                return fault
        return None
