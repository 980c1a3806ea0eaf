"""How many recipients per minute are sent, as a share of what the account's limit allows?

The emulated SQS hands over 300 to 500 messages per second, and a limit of 1,000 requests per minute takes 3,333. So the
deployed function is given SQS events directly, as many at once as `MaximumConcurrency` says, and everything behind it
is as always: the shared budget and ledger in the emulated DynamoDB, HTTP to the simulator and its strict throttle.
"""

import json
import threading
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from typing import Any

from tests.benchmarks.memberships import record
from tests.generated_part import markdown_table
from tests.local_stack.stack import LocalStack
from tests.reliability.trial import Trial

_RECIPIENTS = 200
_LATENCIES_MS = (300, 1_500)
_HARD = (500, 1_500)
_IN_FLIGHT = (1, 2, 4)
_SECONDS = {
    200: 80.0,
    500: 80.0,
    1_000: 20.0,
}  # by the account's limit; more than its minute where the machine bears it
_SECONDS_OF_A_CURVE = 10.0


@dataclass(frozen=True)
class Setting:
    """What is run against what.

    Attributes
    ----------
    limit
        Requests per minute of the account; the connector's `requestsPerMinute` is the same.
    latency_ms
        Of a reply.
    concurrency
        Invocations at once.
    seconds
        For which batches are handed over.
    """

    limit: int
    latency_ms: int
    concurrency: int
    in_flight: int
    batch_size: int
    seconds: float


class _Feed:
    """Gives the function batch after batch, `concurrency` at once, as an event source with a backlog does."""

    def __init__(self, trial: Trial) -> None:
        self._trial = trial
        self._making = threading.Lock()
        self.messages = 0

    def warm(self, concurrency: int) -> None:
        """Start the workers, and let each send one message: connections and token are there then."""
        with ThreadPoolExecutor(concurrency) as pool:
            list(pool.map(self._give, [1] * concurrency))

    def run(self, setting: Setting) -> None:
        """Return when the last batch has settled."""
        end = time.monotonic() + setting.seconds

        def give_all(_: int) -> None:
            while time.monotonic() < end:
                self._give(setting.batch_size)

        with ThreadPoolExecutor(setting.concurrency) as pool:
            list(pool.map(give_all, range(setting.concurrency)))

    def _give(self, count: int) -> None:
        stack = self._trial.stack
        with self._making:
            bodies = self._trial.bodies(count)
            self.messages += count
        payload = json.dumps({"Records": _records(bodies, stack.outputs["SegmentEventsQueueArn"])})
        answer = stack.endpoint.lambda_.invoke(FunctionName=stack.function_name, Payload=payload)
        if "FunctionError" in answer:
            raise RuntimeError(f"the function failed: {answer['Payload'].read()!r}")


def measure() -> dict[str, Any]:
    """Run the limits and latencies with the template's defaults, and some with fewer requests at once."""
    with LocalStack(say=lambda _: None) as stack:
        names = {"concurrency": "MaximumConcurrency", "in_flight": "RequestsInFlight", "batch_size": "BatchSize"}
        defaults = {field: int(stack.parameters[name]) for field, name in names.items()}
        settings = [
            Setting(limit, latency, **defaults, seconds=seconds)
            for limit, seconds in _SECONDS.items()
            for latency in _LATENCIES_MS
        ]
        hard = Setting(*_HARD, **defaults, seconds=_SECONDS_OF_A_CURVE)
        return {
            "settings": {name: defaults[field] for field, name in names.items()},
            "limits": [_run(stack, setting) for setting in settings],
            "inFlight": [_run(stack, replace(hard, in_flight=in_flight)) for in_flight in _IN_FLIGHT],
        }


def report(result: dict[str, Any]) -> str:
    """Tell the share of each limit, and the curve."""
    runs = [*result["limits"], *result["inFlight"]]
    messages, accepted = (sum(run[name] for run in runs) for name in ("messages", "accepted"))
    duplicates, throttled = (sum(run[name] for run in runs) for name in ("duplicates", "throttled"))
    settings = result["settings"]
    return "\n\n".join(
        [
            markdown_table(
                (
                    "requests per minute allowed",
                    "reply after",
                    "`MaximumConcurrency`",
                    "recipients per minute",
                    "of the limit",
                    "throttled",
                    "most requests at once",
                ),
                [
                    (
                        f"{run['limit']:,}",
                        f"{run['latency_ms']:,} ms",
                        run["concurrency"],
                        round(run["recipientsPerMinute"], -2),
                        f"{run['share']:.1%}",
                        run["throttled"],
                        run["mostAtOnce"],
                    )
                    for run in result["limits"]
                ],
            ),
            f"With `BatchSize` {settings['BatchSize']:,} and `RequestsInFlight` {settings['RequestsInFlight']}. In all "
            f"runs of this section {messages:,} messages were handed over and {accepted:,} accepted, {duplicates:,} of "
            f"them twice; {throttled:,} requests were throttled.",
            f"A limit of {_HARD[0]} with replies after {_HARD[1]:,} ms, `MaximumConcurrency` "
            f"{settings['MaximumConcurrency']}:",
            _curve(
                [*result["inFlight"], *(run for run in result["limits"] if (run["limit"], run["latency_ms"]) == _HARD)]
            ),
        ]
    )


def _curve(runs: Sequence[dict[str, Any]]) -> str:
    return markdown_table(
        ["`RequestsInFlight`", *(f"{run['in_flight']}" for run in runs)],
        [["of the limit", *(f"{run['share']:.1%}" for run in runs)]],
    )


def _run(stack: LocalStack, setting: Setting) -> dict[str, Any]:
    """Keep the function busy, and read from the simulator's log how fast the requests came."""
    assert stack.simulator is not None
    stack.set_function_environment({"REQUESTS_IN_FLIGHT": str(setting.in_flight)})
    trial = Trial(stack, "none", requests_per_minute=setting.limit)
    trial.remove_other_connectors()
    stack.simulator.patch_account(trial.name, {"replies": {"latencyMs": setting.latency_ms}})
    feed = _Feed(trial)
    feed.warm(setting.concurrency)
    feed.run(setting)
    log = stack.simulator.requests(trial.name, "event")
    summary = stack.simulator.summary(trial.name, ("MESSAGE_ID",))
    # Steady: neither the beginning nor the end, when there is no further batch.
    came = sorted((request.received_at_ms, request.accepted) for request in log if request.recipients > 1)
    steady = came[len(came) // 10 : -len(came) // 10]
    minutes = (steady[-1][0] - steady[0][0]) / 60_000
    per_minute = sum(accepted for _, accepted in steady[1:]) / minutes
    return asdict(setting) | {
        "messages": feed.messages,
        "accepted": summary.accepted_recipients,
        "duplicates": summary.duplicates,
        "throttled": summary.throttled_requests,
        "mostAtOnce": summary.most_concurrent_requests,
        "recipientsPerMinute": round(per_minute),
        "share": round(per_minute / (setting.limit * _RECIPIENTS), 4),
    }


def _records(bodies: Iterable[str], queue_arn: str) -> list[dict[str, Any]]:
    """Return messages as Lambda gives them, as long as they are there."""
    return [record(number, body, queue_arn) for number, body in enumerate(bodies)]
