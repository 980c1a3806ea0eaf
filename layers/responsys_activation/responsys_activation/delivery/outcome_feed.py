"""What do others learn of the outcomes? Events of one request's outcomes each; nothing of a person is in them.

The model of an event is :class:`OutcomesSettled`, from which ``docs/outcome.schema.json`` is made.
"""

from __future__ import annotations

import json
import time
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Annotated, NamedTuple, NotRequired, get_args

from pydantic import Field
from typing_extensions import TypedDict  # before Python 3.12 pydantic knows no other

from responsys_activation.aws.event_bus import MOST_BYTES, EventBus
from responsys_activation.delivery.outcome import NOT_KNOWN, Delivered, Duplicate, Ending, Outcome
from responsys_activation.delivery.reporting import Reporting
from responsys_activation.membership import CallType
from responsys_activation.moment import as_iso_8601

__all__ = ["DETAIL_TYPE", "SOURCE", "FedEvent", "OutcomeFeed", "OutcomesSettled", "SettledOutcome", "fed_events"]

SOURCE = "responsys-activation"
DETAIL_TYPE = "Outcomes Settled"

_MOST_OUTCOMES = 200  # of one event: a request has no more
_LONGEST_TEXT = 1_000  # characters; a producer may write any
_SECONDS = 5.0  # that a batch waits for its events at most
_SECONDS_TO_ANSWER = 1.0  # left of the invocation

OutcomeWord = Annotated[str, Field(json_schema_extra={"enum": [kind.__name__.lower() for kind in get_args(Outcome)]})]
SegmentType = Annotated[str, Field(json_schema_extra={"enum": ["AUDIENCE", "JOURNEY"]})]
Text = Annotated[str, Field(max_length=_LONGEST_TEXT)]
Moment = Annotated[str, Field(json_schema_extra={"format": "date-time"})]


class FedSegment(TypedDict):
    """The audience or journey."""

    type: SegmentType
    id: Text


class SettledOutcome(TypedDict):
    """What became of one membership, for one connector, at one receive."""

    messageId: Text
    outcome: OutcomeWord
    errorCode: NotRequired[str]
    connector: NotRequired[str]
    eventName: NotRequired[Text]
    segment: NotRequired[FedSegment]
    callType: NotRequired[CallType]
    occurredAt: NotRequired[Moment]
    receivedAt: Moment


class OutcomesSettled(TypedDict):
    """The outcomes of one request, or of messages that were in none: the detail of one EventBridge event."""

    id: str
    stack: str
    requestId: NotRequired[str]
    settledAt: Moment
    outcomes: Annotated[list[SettledOutcome], Field(min_length=1, max_length=_MOST_OUTCOMES)]


class FedEvent(NamedTuple):
    """An event as it is written.

    Attributes
    ----------
    detail : str
        JSON in ASCII, so that its length is its size.
    outcomes : int
        How many it tells.
    """

    detail: str
    outcomes: int


class OutcomeFeed:
    """Tells the outcomes of settled batches.

    Parameters
    ----------
    stack : str
        The stack's name.
    """

    def __init__(
        self, stack: str, bus: EventBus, reporting: Reporting, *, clock: Callable[[], float] = time.time
    ) -> None:
        self._stack = stack
        self._bus = bus
        self._reporting = reporting
        self._clock = clock

    def tell(self, settled: Iterable[Ending], deadline: float) -> None:
        """Write the events of a batch. Whatever fails is counted and logged, and holds nothing up.

        Parameters
        ----------
        settled : iterable of Ending
            As they really ended.
        deadline : float
            Epoch seconds at which Lambda ends the invocation.
        """
        now = self._clock()
        endings = [ending for ending in settled if not _is_event_of_ours(ending)]
        outcomes: list[int] = []  # by event

        def details() -> Iterator[str]:
            for event in fed_events(self._stack, endings, now):
                outcomes.append(event.outcomes)
                yield event.detail

        try:
            taken, faults = self._bus.write(details(), min(now + _SECONDS, deadline - _SECONDS_TO_ANSWER))
        except Exception as exc:  # noqa: BLE001 - what it is, nobody knows, and the batch is settled
            taken, faults = set(), {type(exc).__name__}
        if not_fed := len(endings) - sum(outcomes[position] for position in taken):
            self._reporting.outcomes_not_fed(not_fed, faults)


def fed_events(stack: str, endings: Iterable[Ending], settled_at: float) -> Iterator[FedEvent]:
    """Write the events of a batch's outcomes: one for each request, and for those that were in none.

    More than 200 outcomes, or more than an event may carry, make several.

    Parameters
    ----------
    settled_at : float
        Epoch seconds.
    """
    by_request: defaultdict[str, list[Ending]] = defaultdict(list)
    for ending in endings:
        by_request[ending.request_id].append(ending)
    moment = as_iso_8601(settled_at)
    for request_id, of_request in by_request.items():
        for start in range(0, len(of_request), _MOST_OUTCOMES):
            outcomes = [_outcome(ending) for ending in of_request[start : start + _MOST_OUTCOMES]]
            yield from _events(stack, request_id, moment, outcomes)


def _events(stack: str, request_id: str, settled_at: str, outcomes: Sequence[SettledOutcome]) -> Iterator[FedEvent]:
    event: OutcomesSettled = {
        "id": uuid.uuid4().hex,
        "stack": stack,
        "settledAt": settled_at,
        "outcomes": list(outcomes),
    }
    if request_id != NOT_KNOWN:
        event["requestId"] = request_id
    detail = json.dumps(event, separators=(",", ":"))
    if len(detail) <= MOST_BYTES:
        yield FedEvent(detail, len(outcomes))
        return
    half = len(outcomes) // 2
    yield from _events(stack, request_id, settled_at, outcomes[:half])
    yield from _events(stack, request_id, settled_at, outcomes[half:])


def _outcome(ending: Ending) -> SettledOutcome:
    message, part, outcome = ending.message, ending.part, ending.outcome
    told: SettledOutcome = {
        "messageId": _text(part.producers_id(message.original_message_id) if part else message.original_message_id),
        "outcome": type(outcome).__name__.lower(),
        "receivedAt": as_iso_8601(message.arrived_at),
    }
    if not isinstance(outcome, Delivered | Duplicate):
        told["errorCode"] = outcome.error_code
    if ending.connector != NOT_KNOWN:
        told["connector"] = ending.connector
    if ending.event_name != NOT_KNOWN:
        told["eventName"] = _text(ending.event_name)
    if part:
        membership = part.membership
        occurred_at = membership.occurred_at
        told["segment"] = {"type": membership.segment.type, "id": _text(membership.segment.id)}
        told["callType"] = membership.call_type
        told["occurredAt"] = as_iso_8601(max(0.0, occurred_at.timestamp())) if occurred_at else told["receivedAt"]
    return told


def _text(value: str) -> str:
    """Return a producer's text as an event may carry it: of bounded length, and without halves of characters."""
    if len(value) > _LONGEST_TEXT:
        value = f"{value[: _LONGEST_TEXT - 1]}…"
    return value if value.isascii() else value.encode("utf-8", "replace").decode()


def _is_event_of_ours(ending: Ending) -> bool:
    """Return whether this is an event of ours that a rule brought back: told of, it would come back for ever."""
    body = ending.message.body
    return ending.part is None and DETAIL_TYPE in body and SOURCE in body
