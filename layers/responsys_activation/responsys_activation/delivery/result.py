"""How did a planned request end? The values that dispatching and reporting go by."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from responsys_activation.aws.faults import AwsCallError
from responsys_activation.aws.slots import NoSlotError, Wait
from responsys_activation.delivery.outcome import Outcome, Rejected, Retried, Throttled
from responsys_activation.delivery.planning import PlannedRequest
from responsys_activation.error_code import ErrorCode
from responsys_activation.responsys.errors import (
    LoginRefusedError,
    RequestRefusedError,
    ResponsysError,
    ThrottledError,
)
from responsys_activation.responsys.events import EventReply
from responsys_activation.responsys.list_merge import MergeReply

__all__ = ["FAILURES", "CreationResult", "Exchange", "Failure", "RequestResult", "deferred", "outcome_of_error"]

Failure = ResponsysError | NoSlotError | AwsCallError
FAILURES = (ResponsysError, NoSlotError, AwsCallError)


@dataclass(frozen=True, slots=True)
class Exchange:
    """One HTTP request and its end.

    Attributes
    ----------
    seconds : float
        From sending to the reply.
    """

    request_id: str
    recipients: int
    seconds: float
    reply: EventReply | MergeReply | None = None
    failure: ResponsysError | None = None


@dataclass(frozen=True, slots=True)
class RequestResult:
    """How one planned request ended.

    Attributes
    ----------
    outcomes : sequence of Outcome
        By position in ``request.items``.
    failure : Failure or None
        What kept the request, or what was left of it, from being answered.
    exchanges : sequence of Exchange
        Empty when nothing was sent; several when bad recipients were isolated.
    budget_wait : float
        Seconds spent waiting for slots.
    budget_unavailable : bool
        The shared budget was out of reach.
    outcome_unknown : collection of int
        Positions that were sent and got no trustworthy reply.
    goes_on : collection of int
        Positions of messages that have not ended: of those with a missing recipient, who is to be created first; of
        those whose recipient was created, which are to be sent again. The outcome that stands there is how they end if
        nothing more comes of it.
    """

    connector: str
    request: PlannedRequest
    outcomes: Sequence[Outcome]
    failure: Failure | None = None
    exchanges: Sequence[Exchange] = ()
    budget_wait: float = 0.0
    budget_unavailable: bool = False
    outcome_unknown: Collection[int] = frozenset()
    goes_on: Collection[int] = frozenset()


@dataclass(frozen=True, slots=True)
class CreationResult(RequestResult):
    """What came of creating the recipients that a batch's messages miss; ``exchanges`` are list merges.

    Attributes
    ----------
    riids : Mapping of str to int
        By :attr:`~responsys_activation.delivery.custom_event.CustomEvent.recipient`, where Responsys told it.
    created, not_created : int
        Recipients that the list has now, and that it does not take.
    """

    riids: Mapping[str, int] = field(default_factory=dict)
    created: int = 0
    not_created: int = 0


def outcome_of_error(failure: Failure, now: float) -> Outcome:
    """Return the outcome of the messages whose request failed as a whole.

    Parameters
    ----------
    now : float
        Epoch seconds of the failure.
    """
    match failure:
        case NoSlotError():
            return deferred(failure.wait, now)
        case ThrottledError():
            return Throttled(failure.code, failure.retry_after, now)
        case LoginRefusedError():
            about_the_host = failure.code in {ErrorCode.UNTRUSTED_ENDPOINT, ErrorCode.NO_LOGIN_AT_ENDPOINT}
            ours = failure.code if about_the_host else ErrorCode.INVALID_CREDENTIALS
            return Throttled(ours, failure.retry_after, now)
        case RequestRefusedError():
            return Rejected(failure.code, failure.title)
        case ResponsysError():
            return Retried(failure.code)
        case AwsCallError():
            return Retried(ErrorCode.AWS_UNAVAILABLE)


def deferred(wait: Wait, now: float) -> Throttled:
    """Return the outcome of a message that has to wait, from epoch seconds ``now``."""
    return Throttled(wait.code, wait.retry_after, now, wait.since, wait.age_share)
