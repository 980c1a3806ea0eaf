"""How does one planned request go, from its place in the budget to its place in the ledger?

Reserve a slot, look for newer changes, claim, post, mend what one bad recipient spoiled, record. Every message leaves
with its outcome, whatever happens on the way.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Protocol

import requests

from responsys_activation.aws.claims import Claim, ClaimState, NewerChange
from responsys_activation.aws.faults import AwsCallError
from responsys_activation.aws.ledger import Ledger
from responsys_activation.aws.request_pace import RequestPace, Slot
from responsys_activation.connector import Connector
from responsys_activation.delivery.outcome import Delivered, Duplicate, Ignored, Outcome, Rejected, Retried, Throttled
from responsys_activation.delivery.planning import Outgoing, PlannedRequest
from responsys_activation.error_code import ErrorCode
from responsys_activation.membership import CallType
from responsys_activation.observability import logger
from responsys_activation.responsys.classification import ErrorClass, class_of_code
from responsys_activation.responsys.errors import (
    LoginRefusedError,
    OutcomeUnknownError,
    RefusalScope,
    RequestRefusedError,
    ResponsysError,
    ThrottledError,
    UnavailableError,
)
from responsys_activation.responsys.events import EventReply, trigger_custom_event
from responsys_activation.responsys.login import Token
from responsys_activation.responsys.rate_limit import read_event_limit
from responsys_activation.responsys.session import Session

__all__ = ["Answer", "DoubtObserver", "Exchange", "Failure", "RequestSender", "outcome_of_error", "shortest_request"]

_CLAIM_SECONDS = 5.0  # kept back for what comes between a slot and its request
_MOST_EXTRA_REQUESTS = 64  # to mend one request; a producer that spoils every recipient must not eat the budget
# Refused one after the other without one that passes, under a code that nobody documented: it is not the recipients.
_MOST_ALIKE = 16
_UNKNOWN_EVENT_SECONDS = 60.0
_UNKNOWN_EVENTS_KEPT = 1_000
_DOUBTS_IN_A_ROW = 3  # then the account is paused: what Responsys does not answer, it may still take
_DOUBT_CLOCK = 600.0
_MINUTE_CLOCK = 60.0
_CAPACITY_CLOCK = 600.0
_NEWER_CLOCK = 60.0  # seconds after which a newer change that is being sent has an outcome

_DELIVERED = Delivered()
_DUPLICATE = Duplicate()
_NO_SUCH_EVENT = Rejected("CUSTOM_EVENT_NOT_FOUND")
_SUPERSEDED = Ignored(ErrorCode.SUPERSEDED)
# Under these, what stands between us and Responsys may have spoken.
_NOT_RESPONSYS = {ErrorCode.OTHER_ERROR, ErrorCode.TIMEOUT, ErrorCode.OUT_OF_TIME}
_PERHAPS_WRITTEN = {ClaimState.HELD_UP, ClaimState.OUT_OF_REACH}

Failure = ResponsysError | AwsCallError


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
    reply: EventReply | None = None
    failure: ResponsysError | None = None


@dataclass(slots=True)
class Answer:
    """How one planned request ended.

    Attributes
    ----------
    outcomes : list of Outcome
        By position in ``request.items``.
    exchanges : list of Exchange
        Empty when nothing was sent; several when the request was mended.
    failure : Failure or None
        What kept the request, or what was left of it, from being answered.
    budget_wait : float
        Seconds spent waiting for slots.
    claims : dict of int to Claim
        By position; what was sent while the ledger was out of reach has none that is known.
    doubtful : set of int
        Positions that were sent and got no trustworthy reply.
    alone : bool
        The shared budget was out of reach.
    """

    connector: str
    request: PlannedRequest
    outcomes: list[Outcome]
    exchanges: list[Exchange] = field(default_factory=list)
    failure: Failure | None = None
    budget_wait: float = 0.0
    claims: dict[int, Claim] = field(default_factory=dict)
    doubtful: set[int] = field(default_factory=set)
    alone: bool = False


class DoubtObserver(Protocol):
    """Who counts doubts, the messages that a person allowed to be sent in spite of them, and those without a claim."""

    def __call__(self, connector: str, *, doubts: int = 0, allowed: int = 0, unrecorded: int = 0) -> None:
        """Count them at once: the invocation may not live to do it later."""


def shortest_request(reply_seconds: float) -> float:
    """Give the seconds that must be left for a request to start: its claims, its connection and reply."""
    return _CLAIM_SECONDS + reply_seconds


class RequestSender:
    """Sends one connector's planned requests; safe to use from several threads.

    Parameters
    ----------
    maximum_resends : int
        How many times a message may be sent again whose request got no trustworthy reply; then it is rejected.
    reply_seconds : float
        How long a reply may take.
    observe_doubt : callable
        Counts doubts.
    several_accounts : callable
        Tells whether messages for other accounts may wait behind this one's.
    time_scale : float
        Divides how long an event that Responsys lacks is remembered; 1 but on the local stack.
    """

    def __init__(
        self,
        name: str,
        connector: Connector,
        *,
        http: requests.Session,
        session: Session,
        pace: RequestPace,
        ledger: Ledger,
        maximum_resends: int,
        reply_seconds: float,
        observe_doubt: DoubtObserver,
        several_accounts: Callable[[], bool] = lambda: False,
        time_scale: float = 1.0,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._name = name
        self._connector = connector
        self._http = http
        self._session = session
        self._pace = pace
        self._ledger = ledger
        self._maximum_resends = maximum_resends
        self._reply_seconds = reply_seconds
        self._observe_doubt = observe_doubt
        self._several_accounts = several_accounts
        self._time_scale = time_scale
        self._clock = clock
        self._sleep = sleep
        self._lock = threading.Lock()
        self._doubts_in_a_row = 0
        self._throttled: ThrottledError | None = None
        self._known_events = set(connector.configured_events)
        self._unknown_events: dict[str, float] = {}

    def knows_event(self, event_name: str) -> bool:
        """Tell whether the settings name an event, or Responsys took it from this environment before."""
        return event_name in self._known_events

    def begin_batch(self) -> None:
        """Forget the throttle of the batch before."""
        self._throttled = None

    def send(
        self, request: PlannedRequest, deadline: float, stopped: Callable[[], Outcome | None] = lambda: None
    ) -> Answer:
        """Send one planned request.

        Parameters
        ----------
        deadline : float
            Epoch seconds by which the last reply must be there.
        stopped : callable
            Gives the outcome that another answer decided for this request, while it waited for its slot.
        """
        answer = Answer(self._name, request, [Retried(ErrorCode.OUT_OF_TIME)] * len(request.items))
        if self._clock() < self._unknown_events.get(request.event_name, 0.0):
            _end(answer, range(len(request.items)), _NO_SUCH_EVENT)
            return answer
        try:
            slot = self._reserve(answer, deadline)
        except (ResponsysError, AwsCallError) as exc:
            _fail(answer, range(len(request.items)), exc, self._clock())
            return answer
        if (outcome := stopped()) is None:
            positions = self._claim(answer, self._not_superseded(answer, range(len(request.items))), deadline)
            if positions:
                self._post_and_mend(answer, positions, slot, deadline)
            self._record(answer)
        else:
            _end(answer, range(len(request.items)), outcome)
        if slot.probe and not answer.exchanges:
            self._pace.hand_back(slot.probe)
        return answer

    def _reserve(self, answer: Answer, deadline: float) -> Slot:
        """Wait for the next slot."""
        before = self._clock()
        slot = self._pace.reserve(
            lambda: self._session.call(lambda token: self._read_limit(token, deadline), deadline=deadline),
            deadline - shortest_request(self._reply_seconds),
            returned=self._returned(answer.request),
        )
        answer.alone = answer.alone or not slot.shared
        self._sleep(max(0.0, slot.at - self._clock()))
        answer.budget_wait += self._clock() - before
        if self._throttled:  # another thread's reply, while this one waited
            raise self._throttled
        return slot

    def _returned(self, request: PlannedRequest) -> bool | None:
        """Tell whether all of a request came back; ``None`` where it need not make way for other accounts."""
        return all(item.message.came_back for item in request.items) if self._several_accounts() else None

    def _read_limit(self, token: Token, deadline: float) -> int | None:
        return read_event_limit(self._http, token, seconds_left=deadline - self._clock())

    def _not_superseded(self, answer: Answer, positions: Sequence[int]) -> list[int]:
        """Look whether a newer change went out while a message was away; such messages get their outcome here.

        First receives ask nothing, so that an ordinary day costs nothing.
        """
        items = answer.request.items
        returned = [position for position in positions if items[position].message.came_back]
        if not returned:
            return list(positions)
        ended: dict[int, Outcome] = {}
        try:
            newer = self._ledger.newer([items[position].change for position in returned])
        except AwsCallError as exc:
            logger.warning("newer changes not read", extra={"connector": self._name, "fault": str(exc)})
            ended = dict.fromkeys(returned, Retried(ErrorCode.AWS_UNAVAILABLE))
        else:
            for position, others in zip(returned, newer, strict=True):
                if outcome := _overtaken(items[position].change.call_type, others):
                    ended[position] = outcome
        for position, outcome in ended.items():
            answer.outcomes[position] = outcome
        return [position for position in positions if position not in ended]

    def _claim(self, answer: Answer, positions: Sequence[int], deadline: float) -> list[int]:
        """Claim messages; those that are not ours to send get their outcome here.

        Returns
        -------
        list of int
            Positions to send.
        """
        items = [answer.request.items[position] for position in positions]
        allowed = [self._allowed_doubts(item) for item in items]
        claims = self._ledger.claim([item.change for item in items], answer.request.request_id, deadline, allowed)
        answer.claims = dict(zip(positions, claims, strict=True))
        to_send = [position for position, claim in answer.claims.items() if claim.state is ClaimState.CLAIMED]
        self._observe_doubt(
            self._name,
            doubts=sum(claim.abandoned and claim.written for claim in claims),
            allowed=sum(answer.claims[position].doubts > self._maximum_resends for position in to_send),
        )
        out_of_reach: list[int] = []
        for position, claim in answer.claims.items():
            match claim.state:
                case ClaimState.DELIVERED:
                    answer.outcomes[position] = _DUPLICATE
                case ClaimState.IN_FLIGHT:
                    answer.outcomes[position] = Retried(ErrorCode.IN_FLIGHT)
                case ClaimState.IN_DOUBT:
                    answer.outcomes[position] = Rejected(ErrorCode.OUTCOME_UNKNOWN, doubts=claim.doubts)
                case ClaimState.HELD_UP:
                    answer.outcomes[position] = Retried(ErrorCode.AWS_UNAVAILABLE)
                case ClaimState.OUT_OF_REACH:
                    answer.outcomes[position] = Retried(ErrorCode.AWS_UNAVAILABLE)
                    out_of_reach.append(position)
                case _:
                    pass
        if out_of_reach:
            to_send += self._new(answer, out_of_reach)
            if not to_send:
                answer.failure = AwsCallError("delivery ledger out of reach")
        return to_send

    def _allowed_doubts(self, item: Outgoing) -> int:
        return max(self._maximum_resends, item.message.mark.allowed_doubts)

    def _new(self, answer: Answer, positions: Sequence[int]) -> list[int]:
        """Choose what cannot have been sent before, if the owner would rather send twice than not at all."""
        if not self._maximum_resends:
            return []
        new = [position for position in positions if not answer.request.items[position].message.came_back]
        self._observe_doubt(self._name, unrecorded=len(new))
        return new

    def _post_and_mend(self, answer: Answer, positions: Sequence[int], slot: Slot, deadline: float) -> None:
        """Post the recipients; when some spoil the request, post the others without them.

        One bad recipient in n costs 3 requests more where Responsys names it, else 2·log2(n) at most.
        """
        groups: deque[Sequence[int]] = deque([positions])
        if slot.one_recipient and len(positions) > 1:
            groups = deque([positions[:1], positions[1:]])
        first: Slot | None = slot
        alike = 0
        while groups:
            group = groups.popleft()
            try:
                codes = self._post(answer, group, first, deadline)
            except RequestRefusedError as exc:
                alike = 0 if exc.documented else alike + 1
                if exc.scope is RefusalScope.EVENT:
                    self._forget_event(answer.request.event_name)
                if exc.scope in {RefusalScope.EVENT, RefusalScope.CONNECTOR}:
                    self._give_up(answer, group, [*chain(*groups)], exc)
                    return
                if alike >= _MOST_ALIKE:
                    _end(answer, [*group, *chain(*groups)], outcome_of_error(exc, self._clock()))
                    return
                if exc.scope is not RefusalScope.RECIPIENTS or len(group) == 1:
                    _end(answer, group, outcome_of_error(exc, self._clock()))
                elif len(answer.exchanges) <= _MOST_EXTRA_REQUESTS:
                    groups.extendleft(reversed(_parts(group, exc.record)))
                else:  # the bad ones found so far are out; the others come back without them
                    _end(answer, group, Retried(exc.code))
            except (ResponsysError, AwsCallError) as exc:
                self._give_up(answer, group, [*chain(*groups)], exc)
                return
            else:
                alike = 0
                self._known_events.add(answer.request.event_name)
                for position, code in zip(group, codes, strict=True):
                    answer.outcomes[position] = self._outcome_of_result(answer, position, code)
            first = None

    def _forget_event(self, event_name: str) -> None:
        """Remember for a while that Responsys lacks an event: each message that names it would cost a request."""
        self._known_events.discard(event_name)
        if len(self._unknown_events) >= _UNKNOWN_EVENTS_KEPT:
            self._unknown_events.clear()
        self._unknown_events[event_name] = self._clock() + _UNKNOWN_EVENT_SECONDS / self._time_scale

    def _outcome_of_result(self, answer: Answer, position: int, code: str | None) -> Outcome:
        """Give a recipient's outcome: by the same table as a whole request's."""
        if code is None:
            return _DELIVERED
        match class_of_code(code):
            case ErrorClass.THROTTLED_MINUTE:
                return outcome_of_error(self._paused(ThrottledError(code, clock=_MINUTE_CLOCK)), self._clock())
            case ErrorClass.THROTTLED_CAPACITY:
                return outcome_of_error(self._paused(ThrottledError(code, clock=_CAPACITY_CLOCK)), self._clock())
            case ErrorClass.TOKEN | ErrorClass.UNAVAILABLE:
                return Retried(code)
            case ErrorClass.FAILED if not answer.request.items[position].message.came_back:
                return Retried(code)
            case ErrorClass.UNKNOWN:
                self._observe_doubt(self._name, doubts=1)
                return self._doubted(answer, position, code)
            case _:
                return Rejected(code)

    def _paused(self, throttle: ThrottledError, *, in_doubt: bool = False) -> ThrottledError:
        """Hold up the account, and this environment's requests that wait; give the throttle with the pause's times."""
        since, age_share = self._pace.pause(throttle.code, throttle.clock, in_doubt=in_doubt)
        self._throttled = ThrottledError(
            throttle.code,
            clock=throttle.clock,
            since=since,
            age_share=age_share,
            status=throttle.status,
            correlation_id=throttle.correlation_id,
        )
        return self._throttled

    def _doubted(self, answer: Answer, position: int, code: str, title: str = "") -> Outcome:
        """Give the outcome of a message that Responsys may have taken: once more, or never again."""
        answer.doubtful.add(position)
        item, claim = answer.request.items[position], answer.claims[position]
        doubts = 1 + (claim.doubts if claim.state is ClaimState.CLAIMED else 0)
        if doubts > self._allowed_doubts(item):
            return Rejected(ErrorCode.OUTCOME_UNKNOWN, title, doubts=doubts)
        return Retried(code)

    def _give_up(self, answer: Answer, group: Sequence[int], rest: Sequence[int], failure: Failure) -> None:
        """End the group that failed, and those that were not sent because of it."""
        _fail(answer, [*group, *rest], failure, self._clock())
        if isinstance(failure, OutcomeUnknownError):
            for position in group:
                answer.outcomes[position] = self._doubted(answer, position, failure.code, failure.title)

    def _post(self, answer: Answer, group: Sequence[int], slot: Slot | None, deadline: float) -> list[str | None]:
        """Post one group and give each recipient's error code.

        A slot is one request's, and for its time: the second post after a token error waits for another, and so does
        a post that had to wait for a login.
        """
        recipients = [answer.request.items[position].event.recipient_json for position in group]
        slots = iter([slot] if slot else [])

        def post(token: Token) -> EventReply:
            used = next(slots, None)
            if used is None or self._clock() > used.until:
                used = self._reserve(answer, deadline)
            return self._exchange(answer, token, recipients, used, deadline)

        reply = self._session.call(post, deadline=deadline)
        return reply.error_codes

    def _exchange(
        self, answer: Answer, token: Token, recipients: Sequence[str], slot: Slot, deadline: float
    ) -> EventReply:
        started = self._clock()
        if deadline - started < self._reply_seconds:
            raise UnavailableError(ErrorCode.OUT_OF_TIME, title="too late for a reply")
        number = len(answer.exchanges)
        request_id = f"{answer.request.request_id}-{number}" if number else answer.request.request_id
        try:
            reply = trigger_custom_event(
                self._http,
                token,
                answer.request.event_name,
                recipients,
                request_id=request_id,
                seconds_left=deadline - started,
            )
        except ThrottledError as exc:
            answer.exchanges.append(Exchange(request_id, len(recipients), self._clock() - started, failure=exc))
            raise self._paused(exc) from None
        except ResponsysError as exc:
            answer.exchanges.append(Exchange(request_id, len(recipients), self._clock() - started, failure=exc))
            self._learn(exc, slot, len(recipients))
            raise
        answer.exchanges.append(Exchange(request_id, len(recipients), self._clock() - started, reply=reply))
        self._learn(None, slot, len(recipients))
        return reply

    def _learn(self, failure: ResponsysError | None, slot: Slot, recipients: int) -> None:
        """Let the account's pause know what a request met: only Responsys's own answer ends one."""
        match failure:
            case OutcomeUnknownError():
                self._observe_doubt(self._name, doubts=recipients)
                with self._lock:
                    self._doubts_in_a_row += 1
                    silent = self._doubts_in_a_row >= _DOUBTS_IN_A_ROW
                if slot.probe or silent:
                    self._paused(ThrottledError(failure.code, clock=_DOUBT_CLOCK), in_doubt=True)
            case UnavailableError() if failure.code in _NOT_RESPONSYS:
                if slot.probe:
                    self._pace.hand_back(slot.probe, tried=True)
            case _:
                self._doubts_in_a_row = 0
                if slot.probe:
                    self._pace.lift(slot.probe)

    def _record(self, answer: Answer) -> None:
        """Write the answer into the ledger. Where that fails, the claims stand as those of a killed sender.

        It names whatever was not delivered, claimed or not: a claim whose call got no reply may stand too. The ledger's
        positions are those among what was to be claimed.
        """
        if not any(claim.written or claim.state in _PERHAPS_WRITTEN for claim in answer.claims.values()):
            return
        undelivered: list[int] = []
        unknown: list[int] = []
        for claimed_as, position in enumerate(answer.claims):
            if position in answer.doubtful:
                unknown.append(claimed_as)
            elif not isinstance(answer.outcomes[position], Delivered | Duplicate):
                undelivered.append(claimed_as)
        try:
            self._ledger.record(answer.request.request_id, undelivered=undelivered, unknown=unknown)
        except AwsCallError as exc:
            logger.error("answer not recorded", extra={"connector": self._name, "fault": str(exc)})


def outcome_of_error(failure: Failure, now: float) -> Outcome:
    """Give the outcome of the messages whose request failed as a whole.

    Parameters
    ----------
    now : float
        Epoch seconds of the failure.
    """
    match failure:
        case ThrottledError():
            return Throttled(failure.code, failure.clock, now, failure.since, failure.age_share)
        case LoginRefusedError():
            about_the_host = failure.code in {ErrorCode.UNTRUSTED_ENDPOINT, ErrorCode.NO_LOGIN_AT_ENDPOINT}
            ours = failure.code if about_the_host else ErrorCode.INVALID_CREDENTIALS
            return Throttled(ours, failure.clock, now)
        case RequestRefusedError():
            return Rejected(failure.code, failure.title)
        case ResponsysError():
            return Retried(failure.code)
        case AwsCallError():
            return Retried(ErrorCode.AWS_UNAVAILABLE)


def _overtaken(call_type: str, newer: Iterable[NewerChange]) -> Outcome | None:
    """Decide on a change that comes back, by what is known of newer ones of its membership.

    Whoever was added and updated meanwhile must still be added.
    """
    states = {other.state for other in newer if not (call_type == CallType.ADD and other.call_type == CallType.UPDATE)}
    if states - {ClaimState.IN_FLIGHT}:
        return _SUPERSEDED
    return Throttled(ErrorCode.IN_FLIGHT, _NEWER_CLOCK) if states else None


def _end(answer: Answer, positions: Iterable[int], outcome: Outcome) -> None:
    for position in positions:
        answer.outcomes[position] = outcome


def _fail(answer: Answer, positions: Iterable[int], failure: Failure, now: float) -> None:
    answer.failure = failure
    _end(answer, positions, outcome_of_error(failure, now))


def _parts(group: Sequence[int], record: int | None) -> list[Sequence[int]]:
    """Part a refused group so that those without the bad recipient pass.

    Whether Responsys counts records from 0 or from 1 is not known, so both candidates are taken out.
    """
    named = [place for place in (record - 1, record) if 0 <= place < len(group)] if record is not None else []
    if named:
        rest = [position for place, position in enumerate(group) if place not in named]
        return [part for part in (rest, *([group[place]] for place in named)) if part]
    half = (len(group) + 1) // 2
    return [group[:half], group[half:]]
