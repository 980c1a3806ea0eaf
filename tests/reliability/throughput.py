"""`python -m tests.reliability.throughput`: is the account's limit kept, and used?

Keeps a backlog of messages for two connectors before the deployed function, and reads from the
simulator's request log how fast requests came. The simulator throttles by the strictest reading: no 60 s may hold more
than the limit.
"""

import argparse
import json
import sys
import time
from dataclasses import asdict, dataclass

from tests.generated_part import markdown_table, write_part
from tests.local_stack.processes import ending_on_signals
from tests.local_stack.stack import LocalStack
from tests.reliability.trial import DOCUMENT, Trial

_MESSAGES = 120_000  # a minute and a half of two limits, so that a minute that holds too much would show
_CONCURRENCY = [2, 10]
REQUESTS_PER_MINUTE = 200
RECIPIENTS = 200
# As much as keeps the function busy. The emulated SQS searches a queue for each receive, so that a queue of 50,000
# hands over 300 messages a second; it is topped up instead.
_BACKLOG = 4_000
_TOP_UP = 1_000


@dataclass(frozen=True)
class Pace:
    """How one connector's backlog went.

    Attributes
    ----------
    budget_use
        Requests a minute between the first and the last, over the limit.
    """

    concurrency: int
    messages: int
    accepted: int
    duplicates: int
    requests: int
    throttled: int
    budget_use: float

    @property
    def holds(self) -> bool:
        """Everything accepted once, no throttle met, at least 95 % of the budget used."""
        whole = self.accepted == self.messages and self.duplicates == 0
        return whole and self.throttled == 0 and self.budget_use >= 0.95


def measure(messages: int, concurrency: int, time_scale: float) -> list[Pace]:
    """Work off `messages`, half for each of two connectors, with a backlog at all times."""
    parameters = {"MaximumConcurrency": str(concurrency), "BatchingWindowSeconds": "1"}
    with LocalStack(parameters, time_scale=time_scale, say=lambda _: None) as stack:
        trials = [Trial(stack, "backlog", requests_per_minute=REQUESTS_PER_MINUTE) for _ in range(2)]
        bodies = [trial.bodies(messages // 2) for trial in trials]
        turns = [body for pair in zip(*bodies, strict=True) for body in pair]
        for start in range(0, messages, _TOP_UP):
            while trials[0].waiting() > _BACKLOG:
                time.sleep(0.1)
            trials[0].send(turns[start : start + _TOP_UP])
        trials[0].wait_settled(300)
        return [_pace(trial, concurrency, time_scale) for trial in trials]


def _pace(trial: Trial, concurrency: int, time_scale: float) -> Pace:
    result = trial.result()
    # The log keeps real time; the limit is of the simulator's own, faster minutes.
    times = [request.received_at_ms / 1000 for request in trial.simulator.requests(trial.name, "event")]
    minutes = (max(times) - min(times)) / 60 * time_scale
    return Pace(
        concurrency=concurrency,
        messages=result.messages,
        accepted=result.accepted,
        duplicates=result.duplicates,
        requests=len(times),
        throttled=result.throttled_requests,
        budget_use=round((len(times) - 1) / minutes / REQUESTS_PER_MINUTE, 3),
    )


def main() -> int:
    """Measure at each concurrency; the exit status is 1 where the promise does not hold."""
    parser = argparse.ArgumentParser(prog="python -m tests.reliability.throughput", description=__doc__)
    parser.add_argument("--messages", type=int, default=_MESSAGES)
    parser.add_argument("--concurrency", type=int, nargs="+", default=_CONCURRENCY)
    parser.add_argument(
        "--time-scale", type=float, default=0.4, help="of the clock; the emulated SQS cannot keep up with 1"
    )
    chosen = parser.parse_args()
    paces = []
    with ending_on_signals():
        for concurrency in chosen.concurrency:
            for pace in measure(chosen.messages, concurrency, chosen.time_scale):
                print(json.dumps({**asdict(pace), "holds": pace.holds}), flush=True)
                paces.append(pace)
    if chosen.messages == _MESSAGES and chosen.concurrency == _CONCURRENCY:
        _write(paces)
    return 0 if all(pace.holds for pace in paces) else 1


def _write(paces: list[Pace]) -> None:
    header = ("concurrency", "messages", "accepted", "twice", "requests", "throttled requests", "budget used")
    rows = [
        (
            f"{pace.concurrency}",
            pace.messages,
            pace.accepted,
            pace.duplicates,
            pace.requests,
            pace.throttled,
            f"{pace.budget_use:.1%}",
        )
        for pace in paces
    ]
    table = markdown_table(header, rows)
    write_part(DOCUMENT, "backlog", "make backlog", f"{table}\n\nA row is one of the two connectors.")


if __name__ == "__main__":
    sys.exit(main())
