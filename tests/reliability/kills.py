"""`python -m tests.reliability.kills`: kill the function again and again while messages flow.

With `UnknownOutcome=Reject`: nothing may be lost, nothing may arrive twice.
"""

import argparse
import json
import random
import sys
import time
from dataclasses import asdict

from tests.generated_part import markdown_table, write_part
from tests.local_stack.processes import ending_on_signals
from tests.local_stack.repeating import eventually
from tests.local_stack.stack import LocalStack
from tests.reliability.trial import DOCUMENT, Result, Trial

_MESSAGES = 20_000
_KILLS = 200
# A killed function's messages come back after this; deployed it is 1,380 s.
_VISIBILITY_SECONDS = 8
# What it had claimed waits until its end would have come, which is in real time: deployed after 180 s.
_TIMEOUT_SECONDS = 40
_REPLY_SECONDS = 5
_TIME_SCALE = 60.0
# Replies take as long as real ones, so that many kills hit a request in flight; and some invocations get through: a
# message that met five kills would be on RejectedDLQ, unsent.
_REPLY_MILLISECONDS = 800
_LONGEST_LIFE = 2.2  # seconds, of a cold start and one request
_SENT_AT_ONCE = 50


def measure(messages: int, kills: int) -> tuple[Result, int]:
    """Send messages while killing workers that run; return what became of them and the kills made."""
    parameters = {"UnknownOutcome": "Reject", "BatchingWindowSeconds": "1", "BatchSize": "500"}
    with LocalStack(
        parameters, time_scale=_TIME_SCALE, visibility_seconds=_VISIBILITY_SECONDS, say=lambda _: None
    ) as stack:
        stack.set_function_environment({"REPLY_SECONDS": f"{_REPLY_SECONDS}"})
        stack.set_function_timeout(_TIMEOUT_SECONDS)
        trial = Trial(stack, f"{kills} kills")
        trial.simulator.patch_account(trial.name, {"replies": {"latencyMs": _REPLY_MILLISECONDS}})
        made = 0
        chance = random.Random(1)  # noqa: S311 - repeatable, not secret
        for _ in range(messages // _SENT_AT_ONCE):
            trial.send(trial.bodies(_SENT_AT_ONCE))
            eventually(lambda: stack.worker_counts()["running"] > 0, 5.0)
            time.sleep(chance.uniform(0.0, _LONGEST_LIFE))
            made += stack.kill_running_workers() if made < kills else 0
        trial.wait_settled(300)
        return trial.result(), made


def main() -> int:
    """Run the loop; the exit status is 1 where a message was lost or came twice."""
    parser = argparse.ArgumentParser(prog="python -m tests.reliability.kills", description=__doc__)
    parser.add_argument("--messages", type=int, default=_MESSAGES)
    parser.add_argument("--kills", type=int, default=_KILLS)
    chosen = parser.parse_args()
    with ending_on_signals():
        result, made = measure(chosen.messages, chosen.kills)
    holds = result.lost == 0 and result.duplicates == 0
    print(json.dumps({**asdict(result), "kills": made, "holds": holds}))
    if (chosen.messages, chosen.kills) == (_MESSAGES, _KILLS):
        _write(result, made)
    return 0 if holds else 1


def _write(result: Result, made: int) -> None:
    codes = ", ".join(f"{count:,} {code}" for code, count in sorted(result.rejected_codes.items()))
    header = ("kills", "messages", "accepted", "lost", "twice", "on RejectedDLQ")
    row = (f"{made}", result.messages, result.accepted, result.lost, result.duplicates, codes)
    write_part(DOCUMENT, "kills", "make kills", markdown_table(header, [row]))


if __name__ == "__main__":
    sys.exit(main())
