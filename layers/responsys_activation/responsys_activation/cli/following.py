"""Where is a membership on its way, and how does it end?

The delivery ledger tells whether it was delivered, the function's log everything else. No queue is read: to look at
a message on a queue hides it, and counts towards its end on another.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from responsys_activation.aws.claims import ClaimState
from responsys_activation.aws.connectors import ConnectorParameter
from responsys_activation.aws.deployed_stack import DeployedStack
from responsys_activation.change import Change
from responsys_activation.cli.advice import advice
from responsys_activation.cli.explain import terms_of
from responsys_activation.cli.log_line import last_settled
from responsys_activation.cli.message_file import record_of
from responsys_activation.delivery.rehearsal import Rehearsal, rehearse

__all__ = ["Sent", "Sighting", "changes_of", "follow", "rehearsed"]

_SECONDS_BETWEEN_LOOKS = 0.5
_CLOCK_SKEW = 60.0  # seconds, between here and CloudWatch Logs


class Sent(NamedTuple):
    """A membership on its way.

    Attributes
    ----------
    at : float
        Epoch seconds.
    changes : tuple of Change
        By which the ledger knows it; none when it cannot get that far.
    message_id : str or None
        SQS's, by which the log names it; ``None`` if somebody else put it on the queue.
    """

    at: float
    changes: tuple[Change, ...]
    message_id: str | None = None


@dataclass(frozen=True)
class Sighting:
    """Where a membership was seen.

    Attributes
    ----------
    text : str
        For a person.
    outcome, error_code, reason : str or None
        How it ended; ``None`` on the way.
    is_last : bool
        It is the end.
    """

    text: str
    outcome: str | None = None
    error_code: str | None = None
    reason: str | None = None
    is_last: bool = False

    @property
    def what_to_do(self) -> str | None:
        """What a person should do about its error code."""
        return advice(self.error_code) if self.error_code else None


def rehearsed(
    stack: DeployedStack, connectors: Mapping[str, ConnectorParameter], body: str, message_id: str
) -> Rehearsal:
    """Rehearse the delivery of one message with a stack's settings.

    Raises
    ------
    StackError
        The stack could not be looked at.
    """
    return rehearse([record_of(body, message_id)], connectors, terms_of(stack))


def changes_of(rehearsal: Rehearsal) -> tuple[Change, ...]:
    """Return the changes by which the ledger will know what would be sent."""
    return tuple(item.change for request in rehearsal.requests for item in request.items)


def follow(
    stack: DeployedStack, sent: Sent, patience: float, tell: Callable[[Sighting, float], None] = lambda *_: None
) -> Sighting:
    """Follow a membership until its end, or until the time is over; give where it was seen last.

    Parameters
    ----------
    patience : float
        Seconds.
    tell : callable
        Told each new sighting, and after how many seconds it came.

    Raises
    ------
    StackError, AwsCallError
        Ledger or log could not be read.
    """
    started = time.monotonic()
    seen = Sighting("")
    while (passed := time.monotonic() - started) < patience:
        sighting = _look(stack, sent)
        if sighting.text != seen.text:
            tell(sighting, passed)
        seen = sighting
        if seen.is_last:
            break
        time.sleep(_SECONDS_BETWEEN_LOOKS)
    return seen


def _look(stack: DeployedStack, sent: Sent) -> Sighting:
    states = {stack.ledger.look_up(change) for change in sent.changes}
    if states == {ClaimState.DELIVERED}:
        return Sighting("delivered: Responsys took the event.", "delivered", is_last=True)
    if ClaimState.IN_FLIGHT in states:
        return Sighting("the function is sending it to Responsys.")
    if sent.message_id and (line := _last_line(stack, sent.at, sent.message_id)):
        return _settled(line["outcome"], line.get("errorCode"), line.get("reason"))
    if ClaimState.IN_DOUBT in states:
        return Sighting("it was sent, and no trustworthy reply came.")
    if ClaimState.FREE in states:
        return Sighting("Responsys did not take it.")
    return Sighting("waits on SegmentEventsQueue, or the function just received it.")


def _last_line(stack: DeployedStack, at: float, message_id: str) -> Mapping[str, str] | None:
    return last_settled(list(stack.log_events(at - _CLOCK_SKEW, message_id)), message_id)


def _settled(outcome: str, code: str | None, reason: str | None) -> Sighting:
    why = f"{outcome}, {code}{f' ({reason})' if reason else ''}"
    match outcome:
        case "throttled":
            text = f"{why}: waits on ThrottledDLQ, comes back by itself."
        case "retried":
            text = f"{why}: stays on its queue and comes back by itself."
        case "rejected":
            return Sighting(f"{why}: waits on RejectedDLQ.", outcome, code, reason, is_last=True)
        case "ignored":
            return Sighting(f"{why}: nothing is sent for it any more.", outcome, code, reason, is_last=True)
        case _:
            text = "duplicate: it had been delivered before, and is not sent again."
            return Sighting(text, outcome, is_last=True)
    return Sighting(text, outcome, code, reason)
