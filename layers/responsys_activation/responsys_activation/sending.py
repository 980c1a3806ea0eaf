"""How does one planned request go, from its place in the budget to its place in the ledger?

Reserve a slot, claim the messages, post, mend what one bad recipient spoiled, record. Every message leaves with its
outcome, whatever happens on the way.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import chain

import requests

from responsys_activation.aws.faults import AwsUnavailableError
from responsys_activation.aws.ledger import ClaimState, Ledger
from responsys_activation.aws.request_pace import RequestPace, Slot
from responsys_activation.connector import Connector
from responsys_activation.observability import logger
from responsys_activation.outcome import Delivered, Duplicate, ErrorCode, Outcome, Rejected, Retried, Throttled
from responsys_activation.planning import PlannedRequest
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

__all__ = ["SHORTEST_REQUEST", "Answer", "Exchange", "Failure", "RequestSender", "outcome_of_error"]

SHORTEST_REQUEST = 5.0  # seconds; a request started with less left would likely end in an unknown outcome
_SHORTEST_REPLY = 2.0
_MOST_EXTRA_REQUESTS = 64  # to mend one request; a producer that spoils every recipient must not eat the budget

_DELIVERED = Delivered()
_DUPLICATE = Duplicate()

Failure = ResponsysError | AwsUnavailableError


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
    abandoned : int
        Messages that a killed sender may have sent before.
    doubtful : list of int
        Positions that were sent and got no trustworthy reply.
    unrecorded : int
        Messages sent while the ledger was out of reach.
    alone : bool
        The shared budget was out of reach.
    """

    connector: str
    request: PlannedRequest
    outcomes: list[Outcome]
    exchanges: list[Exchange] = field(default_factory=list)
    failure: Failure | None = None
    budget_wait: float = 0.0
    abandoned: int = 0
    doubtful: list[int] = field(default_factory=list)
    unrecorded: int = 0
    alone: bool = False


class RequestSender:
    """Sends one connector's planned requests; safe to use from several threads.

    Parameters
    ----------
    resend_unknown : bool
        Whether a message whose request got no trustworthy reply is sent again; else it is rejected.
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
        resend_unknown: bool,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._name = name
        self._connector = connector
        self._http = http
        self._session = session
        self._pace = pace
        self._ledger = ledger
        self._resend_unknown = resend_unknown
        self._clock = clock
        self._sleep = sleep
        self._throttled: ThrottledError | None = None

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
        try:
            slot = self._reserve(answer, deadline)
        except (ResponsysError, AwsUnavailableError) as exc:
            _fail(answer, range(len(request.items)), exc, self._clock())
            return answer
        positions: list[int] = []
        if (outcome := stopped()) is None:
            positions = self._claim(answer, deadline)
        else:
            _end(answer, range(len(request.items)), outcome)
        if positions:
            self._post_and_mend(answer, positions, slot, deadline)
        if positions or answer.failure:
            self._record(answer)
        if slot.probe and not answer.exchanges:
            self._pace.hand_back(slot.probe)
        return answer

    def _reserve(self, answer: Answer, deadline: float) -> Slot:
        """Wait for the next slot."""
        before = self._clock()
        slot = self._pace.reserve(
            lambda: self._session.call(lambda token: self._read_limit(token, deadline), deadline=deadline),
            deadline - SHORTEST_REQUEST,
        )
        answer.alone = answer.alone or not slot.shared
        self._sleep(max(0.0, slot.at - self._clock()))
        answer.budget_wait += self._clock() - before
        if self._throttled:  # another thread's reply, while this one waited
            raise self._throttled
        return slot

    def _read_limit(self, token: Token, deadline: float) -> int | None:
        return read_event_limit(self._http, token, seconds_left=deadline - self._clock())

    def _claim(self, answer: Answer, deadline: float) -> list[int]:
        """Claim the messages; those that are not ours to send get their outcome here.

        Returns
        -------
        list of int
            Positions to send.
        """
        keys = [item.ledger_key for item in answer.request.items]
        states, answer.abandoned = self._ledger.claim(keys, answer.request.request_id, deadline)
        out_of_reach: list[int] = []
        for position, state in enumerate(states):
            match state:
                case ClaimState.DELIVERED:
                    answer.outcomes[position] = _DUPLICATE
                case ClaimState.IN_FLIGHT:
                    answer.outcomes[position] = Retried(ErrorCode.IN_FLIGHT)
                case ClaimState.UNKNOWN | ClaimState.ABANDONED:
                    answer.outcomes[position] = Rejected(ErrorCode.OUTCOME_UNKNOWN, "sent before, and no reply came")
                case ClaimState.OUT_OF_REACH:
                    answer.outcomes[position] = Retried(ErrorCode.AWS_UNAVAILABLE)
                    out_of_reach.append(position)
                case _:
                    pass
        positions = [position for position, state in enumerate(states) if state is ClaimState.CLAIMED]
        if out_of_reach:
            positions += self._new(answer, out_of_reach)
            if not positions:
                answer.failure = AwsUnavailableError("delivery ledger out of reach")
        return positions

    def _new(self, answer: Answer, positions: Sequence[int]) -> list[int]:
        """Choose what cannot have been sent before, if the owner would rather send twice than not at all."""
        if not self._resend_unknown:
            return []
        new = [position for position in positions if answer.request.items[position].message.attempts == 1]
        answer.unrecorded = len(new)
        return new

    def _post_and_mend(self, answer: Answer, positions: Sequence[int], slot: Slot, deadline: float) -> None:
        """Post the recipients; when some spoil the request, post the others without them.

        One bad recipient in n costs 3 requests more where Responsys names it, else 2·log2(n) at most.
        """
        groups: deque[Sequence[int]] = deque([positions])
        first: Slot | None = slot
        while groups:
            group = groups.popleft()
            try:
                codes = self._post(answer, group, first, deadline)
            except RequestRefusedError as exc:
                if exc.scope in {RefusalScope.EVENT, RefusalScope.CONNECTOR}:
                    self._give_up(answer, group, [*chain(*groups)], exc)
                    return
                if exc.scope is not RefusalScope.RECIPIENTS or len(group) == 1:
                    _end(answer, group, outcome_of_error(exc, self._clock()))
                elif len(answer.exchanges) <= _MOST_EXTRA_REQUESTS:
                    groups.extendleft(reversed(_parts(group, exc.record)))
                else:  # the bad ones found so far are out; the others come back without them
                    _end(answer, group, Retried(exc.code))
            except (ResponsysError, AwsUnavailableError) as exc:
                self._give_up(answer, group, [*chain(*groups)], exc)
                return
            else:
                for position, code in zip(group, codes, strict=True):
                    answer.outcomes[position] = _DELIVERED if code is None else Rejected(code)
            first = None

    def _give_up(self, answer: Answer, group: Sequence[int], rest: Sequence[int], failure: Failure) -> None:
        """End the group that failed, and those that were not sent because of it."""
        _fail(answer, [*group, *rest], failure, self._clock())
        if isinstance(failure, OutcomeUnknownError):
            answer.doubtful.extend(group)
            if not self._resend_unknown:
                for position in group:
                    answer.outcomes[position] = Rejected(ErrorCode.OUTCOME_UNKNOWN, failure.title)

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
        if deadline - started < _SHORTEST_REPLY:
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
        except ResponsysError as exc:
            answer.exchanges.append(Exchange(request_id, len(recipients), self._clock() - started, failure=exc))
            if isinstance(exc, ThrottledError):
                self._throttled = exc
                exc.since, exc.age_share = self._pace.pause(exc.code, exc.clock)
            elif slot.probe:
                self._pace.lift(slot.probe)
            raise
        answer.exchanges.append(Exchange(request_id, len(recipients), self._clock() - started, reply=reply))
        if slot.probe:
            self._pace.lift(slot.probe)
        return reply

    def _record(self, answer: Answer) -> None:
        """Write the answer into the ledger. Where that fails, the claims stand as those of a killed sender.

        It names whatever was not delivered, claimed or not: a claim whose transaction got no reply may stand too.
        """
        undelivered = [
            position
            for position, outcome in enumerate(answer.outcomes)
            if position not in answer.doubtful and not isinstance(outcome, Delivered | Duplicate)
        ]
        try:
            self._ledger.record(answer.request.request_id, undelivered=undelivered, unknown=answer.doubtful)
        except AwsUnavailableError as exc:
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
            ours = failure.code if failure.code == ErrorCode.UNTRUSTED_ENDPOINT else ErrorCode.INVALID_CREDENTIALS
            return Throttled(ours, failure.clock, now)
        case RequestRefusedError():
            return Rejected(failure.code, failure.title)
        case ResponsysError():
            return Retried(failure.code)
        case AwsUnavailableError():
            return Retried(ErrorCode.AWS_UNAVAILABLE)


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
