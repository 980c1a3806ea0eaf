"""How much of an account's limit is used if Lambda gathers no faster than this, and what does a trickle cost?

In virtual time (:mod:`tests.benchmarks.virtual_stack`). How many messages Lambda gathers per second for one batch AWS
does not say, so that is varied: a backlog for each limit, rate and time to reply, and one message per second for small
accounts.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any

from responsys_activation.responsys.events import MAXIMUM_RECIPIENTS
from tests.benchmarks.pictures import picture
from tests.benchmarks.stack_defaults import StackDefaults, read_stack_defaults
from tests.benchmarks.virtual_stack import VirtualStack, only_the_numbers
from tests.fakes.told_metrics import ToldMetrics
from tests.generated_part import markdown_table
from tests.local_stack.polling import DOCUMENTED, MESSAGES_A_RECEIVE, Polling

__all__ = ["limit_used", "measure", "report"]

_RATES = (100, 500, 1_000)  # messages per second
_REPLIES = (0.3, 3.0)  # seconds
# By the account's limit, how many minutes of it wait: several batches for each of those that gather.
_BACKLOGS = {60: 4.0, 200: 1.5, 500: 0.75, 1_000: 0.5}
_SLOWEST = min(_RATES)
# What uses limits that the defaults do not, at the slowest rate: limit, MaximumConcurrency, minutes.
_MORE_AT_ONCE = ((500, 20, 1.5), (1_000, 40, 1.75))
_QUICK = (200, 500, 0.75)  # limit, rate, minutes
_AMPLE = 1.2  # of the limit: batches do not come evenly
_STEADY = (0.2, 0.8)  # of the messages accepted: neither the beginning nor the end
_TRICKLE_LIMITS = (20, 60, 200)
_TRICKLE_PER_MINUTE = 60.0
_TRICKLE_MINUTES = 30.0
_CONNECTOR = "default"


def measure() -> dict[str, Any]:
    """Let backlogs and trickles pass."""
    defaults = read_stack_defaults()
    return {
        "settings": defaults.settings,
        "backlogs": [
            _backlog(defaults, limit, rate, minutes, reply)
            for limit, minutes in _BACKLOGS.items()
            for rate in _RATES
            for reply in _REPLIES
        ],
        "moreAtOnce": [
            _backlog(defaults.with_concurrency(concurrency), limit, _SLOWEST, minutes, reply)
            for limit, concurrency, minutes in _MORE_AT_ONCE
            for reply in _REPLIES
        ],
        "trickles": [_trickle(defaults, limit) for limit in _TRICKLE_LIMITS],
    }


def limit_used() -> float:
    """Return which share of an ordinary limit a backlog uses, in seconds."""
    limit, rate, minutes = _QUICK
    return float(_backlog(read_stack_defaults(), limit, rate, minutes, min(_REPLIES))["share"])


def report(result: dict[str, Any]) -> str:
    """Tell the shares of the limits, and the trickles."""
    backlogs, settings = [*result["backlogs"], *result["moreAtOnce"]], result["settings"]
    messages, lost, twice = (sum(run[name] for run in backlogs) for name in ("messages", "lost", "twice"))
    return "\n\n".join(
        [
            markdown_table(
                (
                    "requests per minute allowed",
                    "`MaximumConcurrency`",
                    "gathered per second and batch",
                    *(f"of the limit, replies after {reply:g} s" for reply in _REPLIES),
                    "put off per message",
                ),
                [
                    (
                        runs[0]["limit"],
                        runs[0]["concurrency"],
                        runs[0]["rate"],
                        *(_share(run) for run in runs),
                        f"{max(run['putOff'] for run in runs):.2f}",
                    )
                    for runs in zip(*(backlogs[place :: len(_REPLIES)] for place in range(len(_REPLIES))), strict=True)
                ],
            ),
            f"In brackets, where it is less than {_AMPLE:.0%} of the limit: the most that so many batches bring, each "
            "of which is gathered before it is sent.",
            f"With `BatchSize` {settings['BatchSize']:,} and `BatchingWindowSeconds` "
            f"{settings['BatchingWindowSeconds']}. Of {messages:,} messages {lost:,} were lost and {twice:,} "
            "accepted twice.",
            picture("gather", "Share of the account's limit used, for each rate at which Lambda gathers"),
            f"A trickle of {_TRICKLE_PER_MINUTE:.0f} messages per minute, each batch gathering at most "
            f"{DOCUMENTED.messages_a_second:.0f} per second:",
            markdown_table(
                ("requests per minute allowed", "made", "lag p50", "p95"),
                [
                    (
                        run["limit"],
                        f"{run['requestsPerMinute']:.1f}",
                        *(f"{run[name]:.0f} s" for name in ("p50", "p95")),
                    )
                    for run in result["trickles"]
                ],
            ),
        ]
    )


def _share(run: dict[str, Any]) -> str:
    brought = f" (of {run['brought']:.0%})" if run["brought"] < _AMPLE else ""
    return f"{run['share']:.1%}{brought}"


@only_the_numbers()
def _backlog(defaults: StackDefaults, limit: int, rate: int, minutes: float, reply: float) -> dict[str, Any]:
    stack = VirtualStack(
        defaults,
        {_CONNECTOR: limit},
        latency=reply,
        polling=Polling(receives_a_second=rate / MESSAGES_A_RECEIVE),
        new_metrics=ToldMetrics,
    )
    messages = round(limit * MAXIMUM_RECIPIENTS * minutes)
    stack.send_at_once(_CONNECTOR, messages)
    stack.run()
    journeys = stack.journeys[_CONNECTOR]
    first, last = (sorted(journeys.accepted_at)[int(messages * share)] for share in _STEADY)
    a_minute = messages * (_STEADY[1] - _STEADY[0]) / (last - first) * 60
    batch_size, at_once = defaults.segment_events.batch_size, defaults.segment_events.concurrency
    return {
        "limit": limit,
        "rate": rate,
        "reply": reply,
        "brought": round(at_once * batch_size / (batch_size / rate + reply) * 60 / MAXIMUM_RECIPIENTS / limit, 4),
        "concurrency": defaults.segment_events.concurrency,
        "share": round(a_minute / MAXIMUM_RECIPIENTS / limit, 4),
        "putOff": round(sum(journeys.deferrals) / messages, 4),
        "messages": messages,
        "lost": journeys.lost,
        "twice": journeys.twice,
    }


@only_the_numbers()
def _trickle(defaults: StackDefaults, limit: int) -> dict[str, Any]:
    stack = VirtualStack(defaults, {_CONNECTOR: limit}, new_metrics=ToldMetrics)
    stack.send_steadily(_CONNECTOR, _TRICKLE_PER_MINUTE, _TRICKLE_MINUTES)
    stack.run()
    journeys = stack.journeys[_CONNECTOR]
    lags: Sequence[float] = [
        accepted_at - sent_at for sent_at, accepted_at in zip(journeys.sent_at, journeys.accepted_at, strict=True)
    ]
    twentieths = statistics.quantiles(lags, n=20, method="inclusive")
    return {
        "limit": limit,
        "requestsPerMinute": round(len(stack.accounts[_CONNECTOR].seen) / _TRICKLE_MINUTES, 2),
        "p50": round(twentieths[9], 2),
        "p95": round(twentieths[18], 2),
    }
