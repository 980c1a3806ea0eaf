"""What goes next of one connector's requests, and what does each result mean for those that wait?"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from responsys_activation.aws.slots import NoSlotError, Wait
from responsys_activation.delivery.custom_event import addressed_by_riid
from responsys_activation.delivery.missing import BEING_CREATED
from responsys_activation.delivery.outcome import Outcome, Retried, Throttled
from responsys_activation.delivery.planning import Outgoing, PlannedCreation, PlannedRequest, plan_requests
from responsys_activation.delivery.result import CreationResult, RequestResult, outcome_of_error
from responsys_activation.error_code import ErrorCode
from responsys_activation.responsys.errors import (
    LoginRefusedError,
    OutcomeUnknownError,
    RefusalScope,
    RequestRefusedError,
    ThrottledError,
)
from responsys_activation.responsys.list_merge import MAXIMUM_RECORDS

__all__ = ["Lane"]

# So many event names of a batch that Responsys does not know, and those that nobody configured wait: each would cost a
# request, and a producer may write an id there.
_UNKNOWN_EVENTS = 5
_PERHAPS_UNKNOWN_TOO = Throttled(
    "CUSTOM_EVENT_NOT_FOUND",
    300.0,
    reason="the settings do not name this event, and too many others of its batch do not exist in Responsys",
)
_FAILURES_IN_A_ROW = 3  # then Responsys is down: the rest of the connector's requests would only make it worse


@dataclass(slots=True)
class Lane:
    """One connector's requests of this invocation.

    Attributes
    ----------
    send : callable
        Sends one request, given the epoch seconds by which its reply must be there, and what tells, while it waits, the
        outcome that another result decided for it.
    knows_event : callable
        Tells of an event's name whether the settings name it, or Responsys took it before.
    create : callable or None
        Creates the recipients that messages miss, likewise; ``None`` where nobody is created.
    held_back : dict of str to Outcome
        By membership, how a change ended that comes back: a newer one must not go before it.
    missing : list of Outgoing
        Messages whose recipients are to be created: gathered until they fill a merge, or nothing else is left to do.
    afterwards : list of Outgoing
        What is planned anew when that has been done: those messages, and others of the same memberships and recipients.
    away : set of str
        The memberships and the recipients of both.
    riids : dict of str to int
        Those of created recipients, by what identified them before.
    """

    connector: str
    send: Callable[[PlannedRequest, float, Callable[[], Outcome | None]], RequestResult]
    waiting: deque[PlannedRequest]
    create: Callable[[PlannedRequest, float], RequestResult] | None = None
    in_flight: int = 0
    wave: int = 0
    failures_in_a_row: int = 0
    stopped: Outcome | None = None
    stopped_events: dict[str, Outcome] = field(default_factory=dict)
    exhausted: Outcome | None = None
    held_back: dict[str, Outcome] = field(default_factory=dict)
    missing: list[Outgoing] = field(default_factory=list)
    afterwards: list[Outgoing] = field(default_factory=list)
    away: set[str] = field(default_factory=set)
    riids: dict[str, int] = field(default_factory=dict)
    knows_event: Callable[[str], bool] = lambda _event_name: True

    @property
    def is_unfinished(self) -> bool:
        """Whether there is anything left to send or to create."""
        return bool(self.waiting or self.missing or self.afterwards)

    def plan_on(self, *, short_of_time: bool) -> RequestResult | None:
        """Plan who is created, and when all requests have ended, the messages that waited for that.

        Parameters
        ----------
        short_of_time : bool
            After another reply there may be no time for a merge. What came back may have met that before, and is
            gathered no longer.

        Returns
        -------
        RequestResult or None
            What does not go in this batch any more.
        """
        idle = not self.waiting and not self.in_flight
        at_once = idle or (short_of_time and any(item.message.came_back for item in self.missing))
        while len(self.missing) >= MAXIMUM_RECORDS or (at_once and self.missing):
            self.waiting.appendleft(PlannedCreation("", self.wave, self.missing[:MAXIMUM_RECORDS]))
            del self.missing[:MAXIMUM_RECORDS]
        if idle and not self.waiting and self.afterwards:
            self.create = None  # who is still not found after that comes back
            plan = plan_requests([_by_riid(item, self.riids) for item in self.afterwards])
            self.afterwards = []
            self.away.clear()
            self.waiting.extend(plan.requests)
            if plan.put_off:
                left = PlannedRequest("", 0, plan.put_off)
                return RequestResult(self.connector, left, [BEING_CREATED] * len(plan.put_off))
        return None

    def next_may_start(self) -> bool:
        """Return whether the next request shares a wave with those in flight, or none is in flight."""
        return bool(self.waiting) and (self.in_flight == 0 or self.waiting[0].wave == self.wave)

    def stop_for(self, request: PlannedRequest) -> Outcome | None:
        """Return the outcome that earlier results already decided for this request."""
        if outcome := self.stopped or self.stopped_events.get(request.event_name):
            return outcome
        if len(self.stopped_events) < _UNKNOWN_EVENTS or isinstance(request, PlannedCreation):
            return None
        return None if self.knows_event(request.event_name) else _PERHAPS_UNKNOWN_TOO

    def hold_back(self, request: PlannedRequest) -> RequestResult | None:
        """Take out of a request what would overtake an older change of its membership; it shares its outcome.

        What waits for its recipient lets wait all of the same membership and recipient.
        """
        if self.away and not isinstance(request, PlannedCreation):
            waits = [position for position, item in enumerate(request.items) if not self.away.isdisjoint(_whose(item))]
            self.afterwards += request.take_out(waits).items
        if not self.held_back:
            return None
        positions = [
            position for position, item in enumerate(request.items) if item.change.membership in self.held_back
        ]
        if not positions:
            return None
        held = request.take_out(positions)
        return RequestResult(self.connector, held, [self.held_back[item.change.membership] for item in held.items])

    def learn(self, result: RequestResult, now: float) -> None:
        """Decide what a result means for the messages and requests still waiting."""
        for position, (item, outcome) in enumerate(zip(result.request.items, result.outcomes, strict=True)):
            if position in result.goes_on:
                (self.afterwards if isinstance(result, CreationResult) else self.missing).append(item)
                self.away |= _whose(item)
            elif isinstance(outcome, Retried | Throttled):
                self.held_back[item.change.membership] = outcome
        if isinstance(result, CreationResult):
            self.riids |= result.riids
        else:
            self._learn_failure(result, now)

    def _learn_failure(self, result: RequestResult, now: float) -> None:
        match result.failure:
            case None:
                self.failures_in_a_row = 0
            case NoSlotError(wait=Wait(one_request=True)):
                pass
            case NoSlotError(wait=Wait(code=ErrorCode.BUDGET_EXHAUSTED)) as failure:
                # Those that wait for a slot have one that nobody else can use.
                self.exhausted = self.exhausted or outcome_of_error(failure, now)
            case (
                NoSlotError()
                | ThrottledError()
                | LoginRefusedError()
                | RequestRefusedError(scope=RefusalScope.CONNECTOR) as failure
            ):
                self.stopped = self.stopped or outcome_of_error(failure, now)
            case RequestRefusedError(scope=RefusalScope.EVENT) as failure:
                self.stopped_events[result.request.event_name] = outcome_of_error(failure, now)
            case RequestRefusedError():
                self.failures_in_a_row = 0
            case OutcomeUnknownError():
                pass  # the sender counts these itself, and pauses the account
            case failure:
                self.failures_in_a_row += 1
                if self.failures_in_a_row >= _FAILURES_IN_A_ROW:
                    self.stopped = self.stopped or outcome_of_error(failure, now)


def _whose(item: Outgoing) -> set[str]:
    return {f"membership {item.change.membership}", f"recipient {item.event.recipient}"}


def _by_riid(item: Outgoing, riids: Mapping[str, int]) -> Outgoing:
    riid = riids.get(item.event.recipient)
    return item if riid is None else item._replace(event=addressed_by_riid(item.event, riid))
