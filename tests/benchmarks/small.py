"""Do the defaults serve a small account: how late is a trickle of several events, and what does it cost?

In virtual time (:mod:`tests.benchmarks.virtual_stack`). A request carries one event, so that a trickle of ten events
makes more requests than a small account has, unless they become fuller. Nobody sets a pace: the limit is read.
"""

from __future__ import annotations

import math
import random
import statistics
import tomllib
from pathlib import Path
from typing import Any

from tests.benchmarks.metered_dynamodb import MeteredDynamoDb
from tests.benchmarks.pictures import picture
from tests.benchmarks.stack_defaults import StackDefaults, read_stack_defaults
from tests.benchmarks.virtual_stack import VirtualStack, membership_body, only_the_numbers
from tests.fakes.told_metrics import ToldMetrics
from tests.generated_part import markdown_table

__all__ = ["measure", "report", "run_trickle"]

_LIMITS = (20, 30, 60)
_EVENTS = (1, 2, 5, 10)
_PER_MINUTE = 60.0
_MINUTES = 60.0
_MINUTES_PER_MONTH = 365 / 12 * 24 * 60
_PRICES = Path(__file__).with_name("prices.toml")
_SEED = 3
# What else a small account meets, at the smallest limit.
_OTHERS: dict[str, dict[str, Any]] = {
    "5 connectors of one account, 2 events each": {"events": 2, "connectors": 5},
    "10 events, `MaximumConcurrency` 2": {"events": 10, "concurrency": 2},
    "beside another account, 2 events": {"events": 2, "beside": True},
    "beside another account, 10 events": {"events": 10, "beside": True},
    "300 messages in 10 s, every five minutes, 5 events": {"events": 5, "burst": 300, "every": 5.0},
    "one message each hour, 1 event": {"events": 1, "burst": 1, "every": 60.0, "minutes": 240.0},
}


def measure() -> dict[str, Any]:
    """Let trickles pass."""
    defaults = read_stack_defaults()
    return {
        "settings": defaults.settings,
        "trickles": [run_trickle(defaults, limit, events) for limit in _LIMITS for events in _EVENTS],
        "others": {what: run_trickle(defaults, min(_LIMITS), **how) for what, how in _OTHERS.items()},
    }


@only_the_numbers()
def run_trickle(
    defaults: StackDefaults,
    limit: int,
    events: int,
    *,
    connectors: int = 1,
    concurrency: int | None = None,
    beside: bool = False,
    burst: int = 0,
    every: float = 0.0,
    minutes: float = _MINUTES,
) -> dict[str, Any]:
    """Send one message per second to an account, each of an event by chance, and tell what became of them.

    Parameters
    ----------
    limit : int
        Requests per minute of the account.
    connectors : int
        That share the account and the messages.
    concurrency : int or None
        ``MaximumConcurrency``; ``None``: the default.
    beside : bool
        Whether another account gets as many messages, at a limit of 200.
    burst, every : int, float
        So many messages within ten seconds instead, every so many minutes.
    """
    chance = random.Random(_SEED)  # noqa: S311 - the same messages each time

    def body(connector: str, number: int, occurred_at: str) -> str:
        event = f'"eventName": "EVENT_{chance.randrange(events)}", "connector"'
        return membership_body(connector, number, occurred_at).replace('"connector"', event, 1)

    if concurrency:
        defaults = defaults.with_concurrency(concurrency)
    names = [f"connector-{number}" for number in range(connectors)]
    table = MeteredDynamoDb()
    stack = VirtualStack(
        defaults,
        dict.fromkeys(names, limit) | ({"other": 200} if beside else {}),
        table=table,
        new_metrics=ToldMetrics,
        body=body,
        one_account=not beside,
        names_pace=False,
    )
    if burst:
        for number in range(int(minutes / every)):
            stack.send_steadily(names[0], burst * 6, 1 / 6, after=number * every)
    else:
        for name in [*names, *(["other"] if beside else [])]:
            stack.send_steadily(name, _PER_MINUTE if beside else _PER_MINUTE / connectors, minutes)
    stack.run()
    lags = _lags(stack, names)
    deferrals = sum(sum(stack.journeys[name].deferrals) for name in names)
    result = {
        "limit": limit,
        "events": events,
        "messages": len(lags),
        "requestsPerMinute": round(len(stack.accounts[names[0]].seen) / max(minutes, stack.minute()), 2),
        **_percentiles(lags),
        # Later messages wait no longer than earlier ones where the lag is bounded.
        "p95OfFirstHalf": _percentiles(lags[: len(lags) // 2])["p95"],
        "p95OfSecondHalf": _percentiles(lags[len(lags) // 2 :])["p95"],
        "putOff": round(deferrals / len(lags), 3),
        "mostPutOff": max(max(stack.journeys[name].deferrals) for name in names),
        "lost": sum(stack.journeys[name].lost for name in names),
        "twice": sum(stack.journeys[name].twice for name in names),
        "perMonth": _per_month(stack, table, defaults, minutes),
    }
    return result | ({"p95OfOther": _percentiles(_lags(stack, ["other"]))["p95"]} if beside else {})


def _lags(stack: VirtualStack, names: list[str]) -> list[float]:
    """Return the messages' lags in seconds, by when they were sent."""
    journeys = [stack.journeys[name] for name in names]
    sent = sorted(pair for each in journeys for pair in zip(each.sent_at, each.accepted_at, strict=True))
    return [accepted_at - sent_at for sent_at, accepted_at in sent]


def _percentiles(lags: list[float]) -> dict[str, float]:
    twentieths = statistics.quantiles(lags, n=20, method="inclusive")
    return {"p50": round(twentieths[9], 1), "p95": round(twentieths[18], 1)}


def _per_month(
    stack: VirtualStack, table: MeteredDynamoDb, defaults: StackDefaults, minutes: float
) -> dict[str, float]:
    """Return what Lambda, SQS and DynamoDB use in a month, by the price's name; messages are received one by one."""
    quantities = {
        "lambda_gb_second": sum(each.seconds for each in stack.invocations) * defaults.memory_mb / 1024,
        "lambda_request": len(stack.invocations),
        "sqs_request": sum(each.messages + math.ceil(each.messages / 10) for each in stack.invocations)
        + stack.calls["sqs_send"],
        "dynamodb_write_unit": table.write_units,
        "dynamodb_read_unit": table.read_units,
    }
    return {name: round(quantity / minutes * _MINUTES_PER_MONTH) for name, quantity in quantities.items()}


def _dollars(run: dict[str, Any]) -> float:
    prices = tomllib.loads(_PRICES.read_text())
    used: dict[str, float] = run["perMonth"]
    return sum(quantity * float(prices[name]["dollars"] / prices[name]["per"]) for name, quantity in used.items())


def report(result: dict[str, Any]) -> str:
    """Tell how late each trickle is, and what it takes."""
    runs = [*result["trickles"], *result["others"].values()]
    messages, lost, twice = (sum(run[name] for run in runs) for name in ("messages", "lost", "twice"))
    columns = ("requests per minute", "lag p50", "p95", "put off per message", "at most", "$ per month")

    def cells(run: dict[str, Any]) -> tuple[str, ...]:
        return (
            f"{run['requestsPerMinute']:.1f}",
            *(f"{run[name]:.0f} s" for name in ("p50", "p95")),
            f"{run['putOff']:.2f}",
            f"{run['mostPutOff']}",
            f"${_dollars(run):.2f}",
        )

    others = " and ".join(f"{run['p95OfOther']:.0f} s" for run in result["others"].values() if "p95OfOther" in run)
    return "\n\n".join(
        [
            markdown_table(
                ("allowed", "events", *columns),
                [(run["limit"], run["events"], *cells(run)) for run in result["trickles"]],
            ),
            picture("small", "Lag of a trickle of one message per second, by its number of events, for each limit"),
            f"The same account of {min(_LIMITS)} requests per minute in other situations:",
            markdown_table(("", *columns), [(what, *cells(run)) for what, run in result["others"].items()]),
            f"Beside another account both are paid for; the other has a lag p95 of {others}. Of {messages:,} messages "
            f"{lost:,} were lost and {twice:,} accepted twice.",
        ]
    )
