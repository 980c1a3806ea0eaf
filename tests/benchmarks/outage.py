"""What becomes of 200,000 messages that arrive while Responsys has no capacity for ten minutes?

In virtual time (:mod:`tests.benchmarks.virtual_stack`). Two connectors: the account of one refuses every request during
the outage, the other's is well all the time.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

from responsys_activation.aws.slots import USED_SHARE
from responsys_activation.error_code import ErrorCode
from responsys_activation.responsys.events import MAXIMUM_RECIPIENTS
from tests.benchmarks.pictures import picture
from tests.benchmarks.stack_defaults import read_stack_defaults
from tests.benchmarks.virtual_stack import Journeys, VirtualStack, only_the_numbers
from tests.fakes.responsys import Fault
from tests.fakes.told_metrics import ToldMetrics
from tests.generated_part import markdown_table

_SAMPLE_SECONDS = 60.0
_QUIET_MINUTES = 2.0  # before the outage
_HIT, _OTHER = "hit by the outage", "other"
_CONNECTORS = {_HIT: "default", _OTHER: "loyalty"}


@dataclass(frozen=True)
class Outage:
    """One outage and what arrives.

    Attributes
    ----------
    during, otherwise, of_other : float
        Messages per minute: of the connector that is hit, in and out of the outage, and of the other.
    minutes_after : float
        How long messages arrive after the outage.
    batch_size : int or None
        In place of the template's.
    """

    requests_per_minute: int
    minutes: float
    during: float
    otherwise: float
    of_other: float
    minutes_after: float
    batch_size: int | None = None
    is_drawn: bool = False


_SMALL_ACCOUNT = Outage(20, 25, during=2_000, otherwise=600, of_other=300, minutes_after=28)
_OUTAGES = {
    "ten_minutes": Outage(200, 10, during=20_000, otherwise=6_000, of_other=3_000, minutes_after=10, is_drawn=True),
    "small_account": _SMALL_ACCOUNT,
    "small_account_and_batches": replace(_SMALL_ACCOUNT, batch_size=1_000),
}


def measure() -> dict[str, Any]:
    """Let each outage pass."""
    outages = {name: _pass(outage) for name, outage in _OUTAGES.items()}
    return {"settings": read_stack_defaults().settings, "outages": outages}


def report(result: dict[str, Any]) -> str:
    """Compare what happened with what should."""
    return "\n\n".join(
        [
            _table([result["outages"][name] for name in _OUTAGES]),
            picture("outage", "Waiting and delivered messages around the outage"),
        ]
    )


@only_the_numbers()
def _pass(outage: Outage) -> dict[str, Any]:
    hit, other = _CONNECTORS[_HIT], _CONNECTORS[_OTHER]
    defaults = read_stack_defaults()
    if outage.batch_size:
        defaults = defaults.with_batch_size(outage.batch_size)
    stack = VirtualStack(
        defaults,
        {hit: outage.requests_per_minute, other: outage.requests_per_minute},
        new_metrics=ToldMetrics,
    )
    end = _QUIET_MINUTES + outage.minutes
    stack.send_steadily(hit, outage.otherwise, _QUIET_MINUTES)
    stack.send_steadily(hit, outage.during, outage.minutes, after=_QUIET_MINUTES)
    stack.send_steadily(hit, outage.otherwise, outage.minutes_after, after=end)
    stack.send_steadily(other, outage.of_other, end + outage.minutes_after)
    refused_at: list[float] = []

    def fault(kind: str) -> Fault | None:
        if kind != "event" or not _QUIET_MINUTES <= stack.minute() < end:
            return None
        refused_at.append((stack.minute() - _QUIET_MINUTES) * 60)
        return Fault.CAPACITY

    stack.accounts[hit].fault = fault
    series = _watch(stack)
    stack.run()
    return {
        "outage": {
            "requests_per_minute": outage.requests_per_minute,
            "batch_size": defaults.segment_events.batch_size,
            "minutes": outage.minutes,
            "from_minute": _QUIET_MINUTES,
            "to_minute": end,
        },
        "requests_that_found_it": sum(second < 60 for second in refused_at),
        "probes": sum(second >= 60 for second in refused_at),
        **_drain(stack, outage, end),
        "connectors": {name: _connector(stack, stack.journeys[name], end) for name in (hit, other)},
        # Of the first alone, which is drawn.
        "series": series | {"delivered_a_minute": _by_minute(stack, stack.journeys[hit])} if outage.is_drawn else None,
    }


def _watch(stack: VirtualStack) -> dict[str, list[float]]:
    series: dict[str, list[float]] = {"minute": [], "segment_events": [], "throttled": []}

    def look() -> None:
        series["minute"].append(round(stack.minute(), 2))
        series["segment_events"].append(len(stack.source.messages))
        series["throttled"].append(len(stack.throttled.messages))

    stack.watch(_SAMPLE_SECONDS, look)
    return series


def _drain(stack: VirtualStack, outage: Outage, end: float) -> dict[str, Any]:
    """Tell how the messages that had to wait were delivered."""
    journeys = stack.journeys[_CONNECTORS[_HIT]]
    waited = _waited(stack, end)
    sent = [journeys.sent_at[number] for number in waited]
    accepted = [journeys.accepted_at[number] for number in waited]
    deferrals = [journeys.deferrals[number] for number in waited]
    a_minute = outage.requests_per_minute * USED_SHARE * MAXIMUM_RECIPIENTS
    return {
        "messages_deferred": len(waited),
        "drain_minutes": (max(accepted) - stack.began_at) / 60 - end,
        "minutes_until_end_found": (min(accepted) - stack.began_at) / 60 - end,
        "ideal_drain_minutes": len(waited) / (a_minute - outage.otherwise),
        "greatest_overtaking_seconds": greatest_overtaking(sent, accepted),
        "deferrals_a_message": sum(deferrals) / len(waited),
        "most_deferrals": max(deferrals),
        "deferrals_by_budget": stack.deferrals[ErrorCode.BUDGET_EXHAUSTED],
        "most_receives": stack.most_receives,
        "longest_invocation_seconds": max(each.seconds for each in stack.invocations),
        "rejected": len(stack.rejected.messages),
    }


def _waited(stack: VirtualStack, end: float) -> list[int]:
    """Return the numbers of the messages that were there before the outage ended, and got through after it."""
    journeys, ended_at = stack.journeys[_CONNECTORS[_HIT]], stack.began_at + end * 60
    return [
        number
        for number, (sent, accepted) in enumerate(zip(journeys.sent_at, journeys.accepted_at, strict=True))
        if sent < ended_at <= accepted and journeys.deferrals[number]
    ]


def _connector(stack: VirtualStack, journeys: Journeys, end: float) -> dict[str, Any]:
    """Tell how old messages became that the outage did not hold up: before it, beside it and while it drained."""
    accepted = stack.journeys[_CONNECTORS[_HIT]].accepted_at
    drained = (max(accepted[number] for number in _waited(stack, end)) - stack.began_at) / 60
    periods = {"before": (0.0, _QUIET_MINUTES), "in_outage": (_QUIET_MINUTES, end), "in_drain": (end, drained)}
    held_up = set(_waited(stack, end)) if journeys is stack.journeys[_CONNECTORS[_HIT]] else set()
    return {
        "messages": len(journeys.sent_at),
        "lost": journeys.lost,
        "twice": journeys.twice,
        "lag_seconds": {
            name: _quantiles(
                journeys.accepted_at[number] - sent
                for number, sent in enumerate(journeys.sent_at)
                if begin <= (sent - stack.began_at) / 60 < until and number not in held_up
            )
            for name, (begin, until) in periods.items()
        },
    }


def _quantiles(lags: Iterator[float]) -> dict[str, float] | None:
    ordered = sorted(lags)
    if not ordered:
        return None
    return {name: ordered[int(len(ordered) * share)] for name, share in (("p50", 0.5), ("p95", 0.95))}


def _by_minute(stack: VirtualStack, journeys: Journeys) -> list[int]:
    minutes = array("d", sorted((at - stack.began_at) / 60 for at in journeys.accepted_at))
    return [bisect_left(minutes, minute + 1) - bisect_left(minutes, minute) for minute in range(int(minutes[-1]) + 1)]


def greatest_overtaking(sent: Sequence[float], accepted: Sequence[float]) -> float:
    """Return how much younger, in seconds, a message can be that was delivered before an older one."""
    greatest, youngest = 0.0, 0.0
    for _, together in groupby(sorted(zip(accepted, sent, strict=True)), key=lambda pair: pair[0]):
        ages = [at for _, at in together]
        greatest = max(greatest, youngest - min(ages))
        youngest = max(youngest, *ages)
    return greatest


def _table(outages: Sequence[dict[str, Any]]) -> str:
    def each(name: str) -> list[Any]:
        return [outage[name] for outage in outages]

    def both(name: str) -> list[int]:
        return [sum(connector[name] for connector in outage["connectors"].values()) for outage in outages]

    def lag(connector: str, period: str) -> list[str]:
        return [_lag(outage["connectors"][_CONNECTORS[connector]]["lag_seconds"][period]) for outage in outages]

    rows: dict[str, list[Any]] = {
        "outage, minutes": [outage["outage"]["minutes"] for outage in outages],
        "messages of both connectors": both("messages"),
        "… deferred to ThrottledDLQ": each("messages_deferred"),
        "… lost": both("lost"),
        "… delivered twice": both("twice"),
        "… rejected": each("rejected"),
        "requests that found the outage": each("requests_that_found_it"),
        "probes in it, in all its clock periods": each("probes"),
        "minutes from its end until the last deferred message was delivered": each("drain_minutes"),
        "… until a probe found that it had ended": each("minutes_until_end_found"),
        "… ideal, from then: all that the budget leaves beside new messages": each("ideal_drain_minutes"),
        "greatest overtaking, seconds of age": [round(seconds) for seconds in each("greatest_overtaking_seconds")],
        "deferrals per deferred message, mean": each("deferrals_a_message"),
        "… most": each("most_deferrals"),
        "… because the budget was used up": each("deferrals_by_budget"),
        "most receives of an SQS message (of 5)": each("most_receives"),
        "lag of new messages, before the outage, p50 / p95 s": lag(_HIT, "before"),
        "… while the backlog drained": lag(_HIT, "in_drain"),
        "lag of the other connector, before the outage, p50 / p95 s": lag(_OTHER, "before"),
        "… in the outage": lag(_OTHER, "in_outage"),
        "… while the backlog of the first drained": lag(_OTHER, "in_drain"),
        "longest invocation, seconds": each("longest_invocation_seconds"),
    }
    setting = "{requests_per_minute} requests per minute, `BatchSize` {batch_size:,}"
    header = ["", *(setting.format(**outage["outage"]) for outage in outages)]
    return markdown_table(header, [[name, *values] for name, values in rows.items()])


def _lag(quantiles: dict[str, float] | None) -> str:
    return f"{quantiles['p50']:.1f} / {quantiles['p95']:.1f}" if quantiles else "none"
