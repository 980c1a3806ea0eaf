"""What became of the demo's memberships, and is it what should have become of them?

Everything is read from outside: Responsys' inbox and request log, the queues, CloudWatch.
"""

import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.local_stack.demo_memberships import (
    Arrival,
    Nothing,
    PublishedMembership,
    Rejection,
    Repetition,
    least_requests,
)
from tests.local_stack.demo_progress import Flow
from tests.local_stack.published_metrics import OUTCOMES, PublishedMetrics
from tests.local_stack.queues import take_all
from tests.local_stack.stack import LocalStack
from tests.simulator.inbox import InboxEvent
from tests.simulator.request_log import THROTTLE_CODES, RequestRecord

if TYPE_CHECKING:
    from mypy_boto3_sqs.type_defs import MessageTypeDef

SERVICE = "segment_events"
# In which counter a membership ends.
FATES = {
    "EventsDelivered": Arrival,
    "EventsDuplicate": Repetition,
    "EventsRejected": Rejection,
    "EventsIgnored": Nothing,
}
MOST_REQUESTS = 1.2
_SHOWN_DIFFERENCES = 20
_SECONDS_FOR_METRICS = 10.0


@dataclass(frozen=True)
class Results:
    """What was found once everything had settled.

    Attributes
    ----------
    outcomes
        `MessagesReceived` and the counter of each outcome.
    errors
        The metric `Errors` by connector and error code.
    alarms
        State by alarm name.
    """

    inbox: list[InboxEvent]
    rejected: list[tuple[str, str]]
    left_over: Flow
    requests: list[RequestRecord]
    logins: int
    outcomes: Mapping[str, int]
    errors: Mapping[tuple[str, ...], int]
    alarms: Mapping[str, str]

    @property
    def event_requests(self) -> list[RequestRecord]:
        """The requests that trigger events, but for those that met the throttle."""
        return [r for r in self.requests if r.kind == "event" and r.error_code not in THROTTLE_CODES]

    @property
    def throttled_requests(self) -> list[RequestRecord]:
        """The requests of any kind that met the throttle."""
        return [record for record in self.requests if record.error_code in THROTTLE_CODES]


def read_results(stack: LocalStack) -> Results:
    """Read everything, and take the messages from RejectedDLQ."""
    assert stack.simulator is not None
    outcomes = _settled_outcomes(PublishedMetrics(stack.endpoint.cloudwatch))
    alarms = {
        alarm["AlarmName"]: str(alarm["StateValue"])
        for page in stack.endpoint.cloudwatch.get_paginator("describe_alarms").paginate()
        for alarm in page["MetricAlarms"]
    }
    left_over = Flow.of(stack)
    rejected = [
        (message["Body"], _error_code(message))
        for message in take_all(stack.endpoint.sqs, stack.outputs["RejectedDeadLetterQueueUrl"])
    ]
    return Results(
        inbox=stack.simulator.inbox(),
        rejected=rejected,
        left_over=left_over,
        requests=stack.simulator.requests(),
        logins=stack.simulator.summary().logins,
        outcomes=outcomes,
        errors=PublishedMetrics(stack.endpoint.cloudwatch).totals("Errors", ("connector", "errorCode")),
        alarms=alarms,
    )


def differences(memberships: list[PublishedMembership], results: Results) -> list[str]:
    """Return what is not as it should be, a line each; nothing when all is well.

    Memberships are named by their place among the published: what they say is about somebody.
    """
    return [
        *_inbox_differences(memberships, results.inbox),
        *_rejection_differences(memberships, results.rejected),
        *_sum_differences(memberships, results),
        *_request_differences(memberships, results),
    ]


def _error_code(message: "MessageTypeDef") -> str:
    attributes = message.get("MessageAttributes", {})
    return attributes["errorCode"]["StringValue"] if "errorCode" in attributes else "none"


def _settled_outcomes(metrics: PublishedMetrics) -> Mapping[str, int]:
    """Read the counters once they stand still: metrics follow the logs, and logs the function."""
    deadline = time.monotonic() + _SECONDS_FOR_METRICS
    before: Mapping[str, int] = {}
    while (now := metrics.outcomes(service=SERVICE)) != before and time.monotonic() < deadline:
        before = now
        time.sleep(1.0)
    return now


def _inbox_differences(memberships: list[PublishedMembership], inbox: list[InboxEvent]) -> Iterator[str]:
    expected = Counter(membership.fate for membership in memberships if isinstance(membership.fate, Arrival))
    arrived = Counter(
        Arrival(
            event.account,
            event.event_name,
            event.identifier_kind,
            event.identifier,
            frozenset((entry["name"], entry["value"]) for entry in event.properties),
        )
        for event in inbox
    )
    names = {membership.fate: _name(place) for place, membership in enumerate(memberships)}
    yield from _listed("did not arrive", expected - arrived, names)
    yield from _listed("arrived but should not have, or not like this", arrived - expected, names)


def _name(place: int) -> str:
    return f"membership {place + 1}"


def _listed(what: str, arrivals: Counter[Arrival], names: Mapping[Any, str]) -> Iterator[str]:
    for arrival, times in list(arrivals.items())[:_SHOWN_DIFFERENCES]:
        name = f"{names.get(arrival, 'an event')} ({arrival.event_name})"
        yield f"{name} {what}" + (f" ({times} times)" if times > 1 else "")
    if len(arrivals) > _SHOWN_DIFFERENCES:
        yield f"{len(arrivals) - _SHOWN_DIFFERENCES} more {what}"


def _rejection_differences(memberships: list[PublishedMembership], rejected: list[tuple[str, str]]) -> Iterator[str]:
    expected = Counter((m.body, m.fate.error_code) for m in memberships if isinstance(m.fate, Rejection))
    found = Counter(rejected)
    names = {membership.body: _name(place) for place, membership in enumerate(memberships)}
    for (body, error_code), times in (expected - found).items():
        yield f"{names[body]} is not on RejectedDLQ as {error_code}, {times} times"
    for (body, error_code), times in (found - expected).items():
        name = names.get(body, "a message that was not published")
        yield f"{name} is on RejectedDLQ as {error_code}, {times} times more than it should be"


def _sum_differences(memberships: list[PublishedMembership], results: Results) -> Iterator[str]:
    outcomes = results.outcomes
    parts = sum(outcomes[metric] for metric in OUTCOMES)
    if outcomes["MessagesReceived"] != parts:
        yield f"received {outcomes['MessagesReceived']} is not the sum of the outcomes, {parts}"
    fates = Counter(type(membership.fate) for membership in memberships)
    for metric, fate in FATES.items():
        if outcomes[metric] != fates[fate]:
            yield f"{metric} is {outcomes[metric]}, and should be {fates[fate]}"
    if not outcomes["EventsThrottled"]:
        yield "no message was throttled: the throttle episode did not happen"
    if not results.left_over.is_settled:
        yield f"still on their way: {results.left_over.queued} queued, {results.left_over.waiting} on ThrottledDLQ"


def _request_differences(memberships: list[PublishedMembership], results: Results) -> Iterator[str]:
    least = least_requests(memberships).total()
    sent = len(results.event_requests)
    if sent > MOST_REQUESTS * least:
        yield f"{sent} requests were sent where {least} are the least: more than {MOST_REQUESTS} times as many"
