"""What becomes of 200,000 messages that arrive while Responsys has no capacity for ten minutes?

In virtual time (:mod:`tests.benchmarks.virtual_stack`). Two connectors: the account of one refuses every request during
the outage, the other's is well all the time.
"""

from __future__ import annotations

import gc
import logging
from array import array
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

from responsys_activation.aws.slots import USED_SHARE
from responsys_activation.error_code import ErrorCode
from responsys_activation.responsys.events import MAXIMUM_RECIPIENTS
from tests.benchmarks.stack_defaults import read_stack_defaults
from tests.benchmarks.virtual_stack import Journeys, VirtualStack
from tests.fakes.responsys import Fault
from tests.fakes.told_metrics import ToldMetrics
from tests.generated_part import markdown_table

_SAMPLE_SECONDS = 15.0
_QUIET_MINUTES = 2.0  # before the outage
_HIT, _OTHER = "hit by the outage", "other"
_CONNECTORS = {_HIT: "default", _OTHER: "loyalty"}


@dataclass(frozen=True)
class Outage:
    """One outage and what arrives.

    Attributes
    ----------
    during, otherwise, of_other : float
        Messages a minute: of the connector that is hit, in and out of the outage, and of the other.
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


_SMALL_ACCOUNT = Outage(20, 25, during=2_000, otherwise=600, of_other=300, minutes_after=28)
_OUTAGES = {
    "ten_minutes": Outage(200, 10, during=20_000, otherwise=6_000, of_other=3_000, minutes_after=10),
    "small_account": _SMALL_ACCOUNT,
    "small_account_and_batches": replace(_SMALL_ACCOUNT, batch_size=1_000),
}


def measure() -> dict[str, Any]:
    """Let each outage pass."""
    with _only_the_numbers():
        return {name: _pass(outage) for name, outage in _OUTAGES.items()}


def report(result: dict[str, Any]) -> str:
    """Compare what happened with what should."""
    return "\n\n".join([_table(result), "![Waiting and delivered messages around the outage](performance/outage.svg)"])


@contextmanager
def _only_the_numbers() -> Iterator[None]:
    """Neither logs nor looks for garbage: there are millions of objects, and none is in a circle."""
    logging.disable(logging.CRITICAL)
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        logging.disable(logging.NOTSET)


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
        "refused_requests_after_seconds": [round(second, 1) for second in refused_at],
        **_drain(stack, outage, end),
        "connectors": {name: _connector(stack, stack.journeys[name], end) for name in (hit, other)},
        "series": series | {"delivered_a_minute": _by_minute(stack, stack.journeys[hit])},
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
    waited = [number for number, times in enumerate(journeys.deferrals) if times]
    sent = [journeys.sent_at[number] for number in waited]
    accepted = [journeys.accepted_at[number] for number in waited]
    drained = (max(accepted) - stack.began_at) / 60 - end
    a_minute = outage.requests_per_minute * USED_SHARE * MAXIMUM_RECIPIENTS
    lives = sum(journeys.deferrals)
    return {
        "messages_deferred": len(waited),
        "drain_minutes": drained,
        "minutes_until_end_found": (min(accepted) - stack.began_at) / 60 - end,
        "ideal_drain_minutes": len(waited) / (a_minute - outage.otherwise),
        "age_rank_correlation": rank_correlation(sent, accepted),
        "greatest_overtaking_seconds": greatest_overtaking(sent, accepted),
        "deferrals_a_message": lives / len(waited),
        "deferrals_by_code": dict(stack.deferrals),
        "most_deferrals": max(journeys.deferrals),
        "most_receives": stack.most_receives,
        # A deferral is sent by us in tens, and received and deleted by Lambda in tens once more.
        "sqs_requests_a_deferred_message": (stack.calls["sqs_send"] + 2 * lives / 10) / len(waited),
        "largest_event_bytes": max(each.event_bytes for each in stack.invocations),
        "longest_invocation_seconds": max(each.seconds for each in stack.invocations),
        "rejected": len(stack.rejected.messages),
    }


def _connector(stack: VirtualStack, journeys: Journeys, end: float) -> dict[str, Any]:
    """Tell how old messages were that never had to wait, before the outage and while it drained."""
    lags = {"before": (0.0, _QUIET_MINUTES), "in_outage": (_QUIET_MINUTES, end), "in_drain": (end, _drained(stack))}
    return {
        "messages": len(journeys.sent_at),
        "lost": journeys.lost,
        "twice": journeys.twice,
        "lag_seconds": {
            name: _quantiles(
                journeys.accepted_at[number] - sent
                for number, sent in enumerate(journeys.sent_at)
                if begin <= (sent - stack.began_at) / 60 < until and not journeys.deferrals[number]
            )
            for name, (begin, until) in lags.items()
        },
    }


def _drained(stack: VirtualStack) -> float:
    journeys = stack.journeys[_CONNECTORS[_HIT]]
    last = max(at for at, times in zip(journeys.accepted_at, journeys.deferrals, strict=True) if times)
    return (last - stack.began_at) / 60


def _quantiles(lags: Iterator[float]) -> dict[str, float] | None:
    ordered = sorted(lags)
    if not ordered:
        return None
    return {name: ordered[int(len(ordered) * share)] for name, share in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99))}


def _by_minute(stack: VirtualStack, journeys: Journeys) -> list[int]:
    minutes = array("d", sorted((at - stack.began_at) / 60 for at in journeys.accepted_at))
    return [bisect_left(minutes, minute + 1) - bisect_left(minutes, minute) for minute in range(int(minutes[-1]) + 1)]


def greatest_overtaking(sent: Sequence[float], accepted: Sequence[float]) -> float:
    """Give how much younger, in seconds, a message can be that was delivered before an older one."""
    greatest, youngest = 0.0, 0.0
    for _, together in groupby(sorted(zip(accepted, sent, strict=True)), key=lambda pair: pair[0]):
        ages = [at for _, at in together]
        greatest = max(greatest, youngest - min(ages))
        youngest = max(youngest, *ages)
    return greatest


def rank_correlation(one: Sequence[float], other: Sequence[float]) -> float:
    """Give Spearman's: 1 where both are in the same order."""
    first, second = _ranks(one), _ranks(other)
    mean = (len(one) - 1) / 2
    products = sum((a - mean) * (b - mean) for a, b in zip(first, second, strict=True))
    squares = [sum((rank - mean) ** 2 for rank in ranks) for ranks in (first, second)]
    return float(products / (squares[0] * squares[1]) ** 0.5)


def _ranks(values: Sequence[float]) -> list[float]:
    ranks = [0.0] * len(values)
    place = 0
    for _, together in groupby(sorted(range(len(values)), key=values.__getitem__), key=values.__getitem__):
        same = list(together)
        for position in same:
            ranks[position] = place + (len(same) - 1) / 2
        place += len(same)
    return ranks


def _table(result: dict[str, Any]) -> str:
    outages = list(result.values())

    def row(name: str, values: Sequence[object]) -> list[object]:
        return [name, *values]

    def lag(connector: str, period: str) -> list[object]:
        return [_lag(outage["connectors"][_CONNECTORS[connector]]["lag_seconds"][period]) for outage in outages]

    def both(name: str) -> list[object]:
        return [sum(connector[name] for connector in outage["connectors"].values()) for outage in outages]

    rows = [
        row("outage, minutes", [outage["outage"]["minutes"] for outage in outages]),
        row("messages of both connectors", both("messages")),
        row("… deferred to ThrottledDLQ", [outage["messages_deferred"] for outage in outages]),
        row("… lost", both("lost")),
        row("… delivered twice", both("twice")),
        row("… rejected", [outage["rejected"] for outage in outages]),
        row("requests that found the outage", [_found(outage) for outage in outages]),
        row("probes in it, in all its clock periods", [_probes(outage) for outage in outages]),
        row("minutes from its end until the last deferred message was delivered", _each(outages, "drain_minutes")),
        row("… until a probe found that it had ended", _each(outages, "minutes_until_end_found")),
        row(
            "… ideal, from then: all that the budget leaves beside new messages", _each(outages, "ideal_drain_minutes")
        ),
        row(
            "rank correlation of arrival and delivery", [f"{outage['age_rank_correlation']:.4f}" for outage in outages]
        ),
        row("greatest overtaking, seconds of age", [round(v) for v in _each(outages, "greatest_overtaking_seconds")]),
        row("deferrals a deferred message, mean", _each(outages, "deferrals_a_message")),
        row("… most", _each(outages, "most_deferrals")),
        row(
            "… because the budget was used up",
            [outage["deferrals_by_code"].get(ErrorCode.BUDGET_EXHAUSTED, 0) for outage in outages],
        ),
        row("most receives of an SQS message (of 5)", _each(outages, "most_receives")),
        row("SQS requests that deferrals cost, a deferred message", _each(outages, "sqs_requests_a_deferred_message")),
        row("lag of new messages before the outage, p50 / p95 s", lag(_HIT, "before")),
        row("… while the backlog drained", lag(_HIT, "in_drain")),
        row("lag of the other connector before the outage, p50 / p95 s", lag(_OTHER, "before")),
        row("… in the outage", lag(_OTHER, "in_outage")),
        row("… while the backlog drained", lag(_OTHER, "in_drain")),
        row("longest invocation, seconds (of 120)", _each(outages, "longest_invocation_seconds")),
        row("largest event, MB (of 6)", [size / 2**20 for size in _each(outages, "largest_event_bytes")]),
    ]
    setting = "{requests_per_minute} requests a minute, `BatchSize` {batch_size:,}"
    header = ["", *(setting.format(**outage["outage"]) for outage in outages)]
    return markdown_table(header, rows)


def _each(outages: Sequence[dict[str, Any]], name: str) -> list[Any]:
    return [outage[name] for outage in outages]


def _found(outage: dict[str, Any]) -> int:
    return sum(second < 60 for second in outage["refused_requests_after_seconds"])


def _probes(outage: dict[str, Any]) -> int:
    return len(outage["refused_requests_after_seconds"]) - _found(outage)


def _lag(quantiles: dict[str, float] | None) -> str:
    return f"{quantiles['p50']:.1f} / {quantiles['p95']:.1f}" if quantiles else "none"
