"""`python -m tests.reliability.newcomers`: create who is missing, once, through kills and throttles.

10,000 memberships of which 3,000 are of people whom the profile list does not have, on the deployed local stack: first
undisturbed, then while the function is killed and events and merges are throttled.
"""

import argparse
import json
import random
import sys
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

from tests.generated_part import markdown_table, write_part
from tests.local_stack.processes import ending_on_signals
from tests.local_stack.repeating import eventually
from tests.local_stack.stack import LocalStack
from tests.reliability.trial import DOCUMENT, Trial
from tests.simulator.faults import ErrorReply

_MESSAGES, _NEW = 10_000, 3_000
_KILLS, _THROTTLES = 3, 4  # SQS gives up a message that met five kills
_RECIPIENTS = 200
_MOST_REQUESTS = 1.3  # times the least possible
# In real time: longer than a batch takes to fill and to be sent. What a killed function had comes back after it.
_VISIBILITY_SECONDS = 90
_TIMEOUT_SECONDS = 60
_REPLY_SECONDS = 5
_TIME_SCALE = 60.0
_REPLY_MILLISECONDS = 100
_LONGEST_LIFE = 4.0  # seconds, of an invocation that is to be killed


class NewcomersTrial(Trial):
    """A trial whose connector knows people by customer id and creates them; its first messages are of new people."""

    identifier_type = "CRM_ID"
    further_settings: ClassVar[Mapping[str, Any]] = {"missingRecipients": {"action": "CREATE", "permission": "OPTOUT"}}

    def __init__(self, stack: LocalStack, fault: str, new: int, requests_per_minute: int) -> None:
        self._new = new
        super().__init__(stack, fault, requests_per_minute=requests_per_minute)
        unknown = {"recipients": {"unknown": {"prefixes": ["new-"]}}, "replies": {"latencyMs": _REPLY_MILLISECONDS}}
        self.simulator.patch_account(self.name, unknown)

    def _body(self, profile: str, recipient: int, call_type: str) -> str:
        message = json.loads(super()._body(profile, recipient, call_type))
        kind = "new" if len(self._sent) <= self._new else "known"
        return json.dumps(message | {"identifiers": {"2001": f"{kind}-{profile}"}})


@dataclass(frozen=True)
class Joined:
    """What became of the messages and of the newcomers.

    Attributes
    ----------
    in_doubt
        Counted in `OutcomesUnknown`: so many may have come twice.
    not_delivered
        Messages that Responsys never accepted.
    created, created_again
        Newcomers in the list, and records beyond the first of each.
    requests, least_requests
        Events and merges; what an undisturbed sender who knows nothing beforehand needs at least.
    """

    disturbed_by: str
    messages: int
    not_delivered: int
    twice: int
    in_doubt: int
    created: int
    created_again: int
    requests: int
    least_requests: int
    seconds: float

    @property
    def holds(self) -> bool:
        """All delivered, each newcomer created once, twice only what was counted, and few requests."""
        whole = self.not_delivered == 0 and self.created_again == 0 and self.twice <= self.in_doubt
        return whole and self.requests <= _MOST_REQUESTS * self.least_requests


def measure(messages: int, new: int, kills: int, throttles: int) -> Joined:
    """Send messages, a share of them of new people, while killing workers and throttling."""
    # The emulated SQS hands over a few hundred messages per second: the window is as long as a batch takes to fill.
    parameters = {"BatchingWindowSeconds": "20", "MaximumConcurrency": "2"}
    with LocalStack(
        parameters, time_scale=_TIME_SCALE, visibility_seconds=_VISIBILITY_SECONDS, say=lambda _: None
    ) as stack:
        stack.set_function_environment({"REPLY_SECONDS": f"{_REPLY_SECONDS}"})
        stack.set_function_timeout(_TIMEOUT_SECONDS)
        disturbed_by = f"{kills} kills, {throttles} throttles" if kills or throttles else "nothing"
        trial = NewcomersTrial(stack, disturbed_by, new, requests_per_minute=600)
        chance = random.Random(1)  # noqa: S311 - repeatable, not secret
        bodies = trial.bodies(messages)
        chance.shuffle(bodies)
        with stack.paused_event_sources():
            trial.send(bodies)
        for path, times in (("event", throttles - throttles // 2), ("merge", throttles // 2)):
            if times:
                fault = ErrorReply(status=429, error_code="API_LIMIT_EXCEEDED", times=times)
                trial.simulator.add_fault(fault.model_copy(update={"account": trial.name, "path": path}))
        made = 0
        for _ in range(kills):
            eventually(lambda: stack.worker_counts()["running"] > 0, 30.0)
            time.sleep(chance.uniform(0.5, _LONGEST_LIFE))
            made += stack.kill_running_workers()
        trial.wait_settled(600)
        result = trial.result()
        members = Counter(member.record["CUSTOMER_ID_"] for member in trial.simulator.members(trial.name))
        requests = [len(trial.simulator.requests(trial.name, kind)) for kind in ("event", "merge")]
        least = -(-messages // _RECIPIENTS) + 2 * -(-new // _RECIPIENTS)
        return Joined(
            disturbed_by=f"{made} kills, {throttles} throttles" if kills or throttles else "nothing",
            messages=messages,
            not_delivered=messages - result.accepted,
            twice=result.duplicates,
            in_doubt=result.counted_unknown,
            created=len(members),
            created_again=members.total() - len(members),
            requests=sum(requests),
            least_requests=least,
            seconds=round(result.seconds, 1),
        )


def main() -> int:
    """Run both; the exit status is 1 where a promise was broken."""
    parser = argparse.ArgumentParser(prog="python -m tests.reliability.newcomers", description=__doc__)
    parser.add_argument("--messages", type=int, default=_MESSAGES)
    parser.add_argument("--new", type=int, default=_NEW)
    parser.add_argument("--kills", type=int, default=_KILLS)
    parser.add_argument("--throttles", type=int, default=_THROTTLES)
    chosen = parser.parse_args()
    with ending_on_signals():
        results = []
        for kills, throttles in ((0, 0), (chosen.kills, chosen.throttles)):
            result = measure(chosen.messages, chosen.new, kills, throttles)
            print(json.dumps({**asdict(result), "holds": result.holds}), flush=True)
            results.append(result)
    if (chosen.messages, chosen.new, chosen.kills, chosen.throttles) == (_MESSAGES, _NEW, _KILLS, _THROTTLES):
        _write(results)
    return 0 if all(result.holds for result in results) else 1


def _write(results: list[Joined]) -> None:
    header = (
        "disturbed by",
        "messages",
        "not delivered",
        "twice",
        "in doubt",
        "created",
        "created again",
        "requests",
        "least possible",
    )
    rows = [
        (
            each.disturbed_by,
            each.messages,
            each.not_delivered,
            each.twice,
            each.in_doubt,
            each.created,
            each.created_again,
            each.requests,
            each.least_requests,
        )
        for each in results
    ]
    write_part(DOCUMENT, "newcomers", "make newcomers", markdown_table(header, rows))


if __name__ == "__main__":
    sys.exit(main())
