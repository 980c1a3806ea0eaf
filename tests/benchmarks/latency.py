"""How long does a single membership take from SQS to Responsys, and where does the time go?

On the whole local stack in real time: emulated SQS, the local event source with its batching window, the deployed
function, and a Responsys that answers at once.
"""

import json
import statistics
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from tests.benchmarks.pictures import picture
from tests.generated_part import markdown_table
from tests.local_stack.stack import LocalStack
from tests.reliability.trial import Trial

_ROUNDS = 10
_LOW_LATENCY = {"BatchSize": "10", "BatchingWindowSeconds": "0"}
_REQUESTS_PER_MINUTE = 200
# Fewer, so that the emulated SQS hands over more than the limit takes.
_BACKLOG_REQUESTS_PER_MINUTE = 60
_BACKLOG = 3_000
_SECONDS_BETWEEN_PROBES = 1.2
_SECONDS_TO_ARRIVE = 90.0

# From first to last; together they are the whole latency.
_PARTS = ("SQS and batching window", "start of the function", "place in the budget", "the function itself", "Responsys")


@dataclass(frozen=True)
class _Invocation:
    """What the logs tell of one invocation.

    Attributes
    ----------
    began_ms, entered_ms
        When Lambda was asked for it, and when our code got the batch; milliseconds since 1970.
    budget_waits_ms
        By request id.
    """

    began_ms: float
    entered_ms: float
    budget_waits_ms: Mapping[str, float]


class _Probes:
    """Single memberships of one connector, and when each was sent."""

    def __init__(self, stack: LocalStack, requests_per_minute: int) -> None:
        self.trial = Trial(stack, "none", requests_per_minute=requests_per_minute)
        self.trial.remove_other_connectors()
        self._sent: dict[str, tuple[str, int]] = {}

    def send(self, case: str, *, and_wait: bool = True) -> None:
        """Send one, and perhaps wait until it has arrived and its batch has settled."""
        (body,) = self.trial.bodies(1)
        self._sent[json.loads(body)["messageId"]] = case, time.time_ns() // 1_000_000
        self.trial.send([body])
        if and_wait:
            self.wait()

    def wait(self) -> None:
        """Wait until everything has arrived and settled."""
        deadline = time.monotonic() + _SECONDS_TO_ARRIVE
        while self.trial.on_their_way():
            if time.monotonic() > deadline:
                raise RuntimeError(f"not arrived after {_SECONDS_TO_ARRIVE:.0f} s")
            time.sleep(0.1)

    def journeys(self) -> dict[str, list[dict[str, float]]]:
        """Return each probe's parts in milliseconds, by case."""
        simulator, name = self.trial.simulator, self.trial.name
        invocations = _invocations(self.trial.stack)
        invocation_of = {request: each for each in invocations for request in each.budget_waits_ms}
        requests = {request.request_id: request for request in simulator.requests(name, "event")}
        journeys: dict[str, list[dict[str, float]]] = defaultdict(list)
        for event in simulator.inbox(name):
            probe = self._sent.get(event.value("MESSAGE_ID") or "")
            if probe is None or event.request_id is None:
                continue
            case, sent_ms = probe
            request, invocation = requests[event.request_id], invocation_of[event.request_id]
            budget = invocation.budget_waits_ms[event.request_id]
            times = (
                invocation.began_ms - sent_ms,
                invocation.entered_ms - invocation.began_ms,
                budget,
                request.received_at_ms - invocation.entered_ms - budget,
                request.duration_ms,
            )
            journeys[case].append(dict(zip(_PARTS, times, strict=True)))
        return journeys


def measure() -> dict[str, Any]:
    """Send memberships one by one while nothing else happens, and among a backlog."""
    with ExitStack() as resources:
        stacks = LocalStack(say=lambda _: None), LocalStack(_LOW_LATENCY, say=lambda _: None)
        with ThreadPoolExecutor(2) as pool:
            defaults, low_latency = pool.map(resources.enter_context, stacks)
        settings = {name: int(defaults.parameters[name]) for name in ("BatchSize", "BatchingWindowSeconds")}
        idle = f"idle, defaults (window {settings['BatchingWindowSeconds']} s)"
        fast = "idle, `BatchSize` 10, window 0 s"
        cold = f"{fast}, cold start"
        backlog = "within a backlog at the limit"
        slow_probes, fast_probes = (_Probes(stack, _REQUESTS_PER_MINUTE) for stack in (defaults, low_latency))
        slow_probes.send("warming up")
        fast_probes.send("warming up")
        for _ in range(_ROUNDS):
            # While the one waits for its window, the other two are under way and back.
            slow_probes.send(idle, and_wait=False)
            fast_probes.send(fast)
            low_latency.set_function_environment({})  # replaces the warm worker
            fast_probes.send(cold)
            slow_probes.wait()
        probes = _Probes(defaults, _BACKLOG_REQUESTS_PER_MINUTE)
        probes.trial.send(probes.trial.bodies(_BACKLOG))
        for _ in range(_ROUNDS):
            probes.send(backlog, and_wait=False)
            time.sleep(_SECONDS_BETWEEN_PROBES)
        probes.wait()
        time.sleep(1.0)  # the last lines reach the logs
        journeys = {**slow_probes.journeys(), **fast_probes.journeys(), **probes.journeys()}
        return {
            "settings": settings,
            "backlog": {"messages": _BACKLOG, "requestsPerMinute": _BACKLOG_REQUESTS_PER_MINUTE},
            "cases": [{"case": case, **_summary(journeys[case])} for case in (idle, fast, cold, backlog)],
        }


def report(result: dict[str, Any]) -> str:
    """Tell how long it took, and where the time went."""
    rows = [
        (
            case["case"],
            case["probes"],
            *(_seconds(case[name]) for name in ("medianMs", "p95Ms")),
            *(_seconds(mean_ms) for _, mean_ms in case["parts"]),
        )
        for case in result["cases"]
    ]
    backlog = result["backlog"]
    return "\n\n".join(
        [
            markdown_table(("seconds", "memberships", "median", "95 %", *_PARTS), rows),
            f"The parts are means, and add up to the mean. The backlog: {backlog['messages']:,} messages before the "
            f"first of the memberships, at a limit of {backlog['requestsPerMinute']} requests per minute.",
            picture("latency", "Where the time goes between SQS and Responsys, mean of each part"),
        ]
    )


def _seconds(milliseconds: float) -> str:
    return f"{milliseconds / 1000:.3f}"


def _summary(journeys: Iterable[Mapping[str, float]]) -> dict[str, Any]:
    journeys = list(journeys)
    wholes = [sum(journey.values()) for journey in journeys]
    return {
        "probes": len(journeys),
        "medianMs": round(statistics.median(wholes), 1),
        "p95Ms": round(statistics.quantiles(wholes, n=20, method="inclusive")[-1], 1),
        "parts": [[part, round(statistics.mean(journey[part] for journey in journeys), 1)] for part in _PARTS],
    }


def _invocations(stack: LocalStack) -> list[_Invocation]:
    """Read each invocation's times from the function's log."""
    pages = stack.endpoint.logs.get_paginator("filter_log_events").paginate(
        logGroupName=f"/aws/lambda/{stack.function_name}"
    )
    lines: dict[str, list[tuple[int, str]]] = defaultdict(list)
    began_ms: dict[str, float] = {}
    for event in (event for page in pages for event in page["events"]):
        lines[event["logStreamName"]].append((event["timestamp"], event["message"]))
        if event["message"].startswith("REPORT RequestId: "):
            words = event["message"].split()
            began_ms[words[2]] = event["timestamp"] - float(words[4])
    return [
        _Invocation(began_ms[invocation], entered_ms, waits)
        for stream in lines.values()
        for invocation, entered_ms, waits in _batches(stream)
    ]


def _batches(lines: Iterable[tuple[int, str]]) -> Iterable[tuple[str, float, dict[str, float]]]:
    """Return each batch's invocation id, when it was entered, and the wait of each request, of one worker's lines.

    The metrics follow the line that ends the batch, with the waits in the order in which the requests were logged.
    """
    requests: list[str] = []
    settled: tuple[str, float] | None = None
    for timestamp, line in lines:
        document = json.loads(line) if line.startswith("{") else {}
        match document.get("message"):
            case "request answered":
                requests.append(document["requestId"])
            case "batch settled":
                settled = document["function_request_id"], timestamp - document["milliseconds"]
        if settled and "BudgetWait" in document:
            yield *settled, dict(zip(requests, document["BudgetWait"], strict=True))
            requests, settled = [], None
