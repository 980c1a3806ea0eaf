"""Which faults must be survived? One function each; it sends its messages and brings the fault about."""

import json
import random
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from tests.local_stack.repeating import eventually
from tests.local_stack.sqs_record import sqs_record
from tests.reliability.aws_faults import TABLE_CALLS, AwsFault, AwsFaultProxy
from tests.reliability.trial import Trial
from tests.simulator.faults import ConnectionReset, ErrorReply, Fault, SlowReply, TruncatedReply, WrongLengthReply

MESSAGES = 1_000
_AWS_MINUTE = 20.0  # real seconds, which the local clock makes twenty minutes of ours
_DENIED: dict[str, Any] = {"error": "AccessDeniedException", "status": 400}
_THROTTLED: dict[str, Any] = {"error": "ProvisionedThroughputExceededException", "status": 400}
_CLOCK_SKEW = Path(__file__).parent / "clock_skew"


@dataclass(frozen=True)
class Setting:
    """What a fault may use beside its trial.

    Attributes
    ----------
    time_scale
        Seconds of ours in a real one.
    """

    aws: AwsFaultProxy
    time_scale: float


FaultScenario = Callable[[Trial, Setting], None]


def _responsys(*faults: Callable[[str], Fault]) -> FaultScenario:
    def run(trial: Trial, _: Setting) -> None:
        for fault in faults:
            trial.simulator.add_fault(fault(trial.name))
        trial.send(trial.bodies(MESSAGES))
        trial.wait_settled(240)

    return run


def _table(**how: Any) -> list[Callable[[], AwsFault]]:
    """Let every call to the delivery table fail for a while."""
    return [partial(AwsFault, call, seconds=_AWS_MINUTE, **how) for call in TABLE_CALLS]


def _aws(*faults: Callable[[], AwsFault], spoiled: bool = False, known: bool = False) -> FaultScenario:
    def run(trial: Trial, setting: Setting) -> None:
        if known:  # without a login, which the table guards
            trial.send(trial.bodies(1))
            trial.wait_settled(60)
        setting.aws.faults[:] = [fault() for fault in faults]
        try:
            if spoiled:  # something must go to a dead-letter queue, or be put off, for these calls to be made
                trial.simulator.add_fault(ErrorReply(account=trial.name, times=2, status=503))
                trial.simulator.add_fault(ErrorReply(account=trial.name, status=429, error_code="API_LIMIT_EXCEEDED"))
            trial.send(trial.bodies(MESSAGES))
            trial.wait_settled(240)
        finally:
            setting.aws.faults.clear()

    return run


def token_expires(trial: Trial, _: Setting) -> None:
    """Every token dies after the first request, in the middle of a batch."""
    trial.send(trial.bodies(MESSAGES))
    eventually(lambda: trial.simulator.inbox_count(trial.name) > 0)
    trial.simulator.revoke_tokens(trial.name)
    trial.send(trial.bodies(MESSAGES))
    trial.wait_settled(120)


def secret_rotated(trial: Trial, _: Setting) -> None:
    """The password changes at Responsys first, and in the secret a little later."""
    trial.send(trial.bodies(MESSAGES))
    eventually(lambda: trial.simulator.inbox_count(trial.name) > 0)
    trial.simulator.patch_account(trial.name, {"password": "battery-staple"})
    trial.simulator.revoke_tokens(trial.name)
    trial.send(trial.bodies(MESSAGES))
    time.sleep(3)
    trial.password = "battery-staple"
    trial.put_connector()
    trial.wait_settled(120)


def login_refused(trial: Trial, _: Setting) -> None:
    """The secret is wrong from the start and mended later; five wrong passwords would lock the account."""
    trial.password = "wrong"
    trial.put_connector()
    trial.send(trial.bodies(MESSAGES))
    time.sleep(5)
    trial.password = "correct-horse"
    trial.put_connector()
    trial.wait_settled(120)


def killed(trial: Trial, _: Setting) -> None:
    """SIGKILL at random points while messages flow."""
    chance = random.Random(1)  # noqa: S311 - repeatable, not secret
    for _number in range(8):
        trial.send(trial.bodies(MESSAGES // 8))
        time.sleep(chance.uniform(0.2, 2.0))
        trial.stack.kill_running_workers()
    trial.wait_settled(240)


def poison(trial: Trial, _: Setting) -> None:
    """Whoever receives the batch is killed, each time, until SQS takes the messages away."""
    trial.send(trial.bodies(20))
    for _number in range(2_000):
        trial.stack.kill_running_workers()
        if not trial.accepted() and trial.on_their_way() == 0:
            break
        time.sleep(0.1)
    trial.wait_settled(60)


def same_batch_at_once(trial: Trial, _: Setting) -> None:
    """Four invocations get the same records at the same time, and once more afterwards."""
    queue_arn = trial.stack.outputs["SegmentEventsQueueArn"]
    bodies = enumerate(trial.bodies(MESSAGES))
    event = {"Records": [sqs_record(f"{trial.name}-sqs-{number}", body, queue_arn) for number, body in bodies]}
    payload = json.dumps(event).encode()

    def invoke(_number: int) -> Any:
        return trial.stack.endpoint.lambda_.invoke(FunctionName=trial.stack.function_name, Payload=payload)["Payload"]

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(invoke, range(4)))
    time.sleep(1)
    invoke(0)


def producer_repeats(trial: Trial, _: Setting) -> None:
    """The producer sends everything three times, the third time after everything was delivered."""
    bodies = trial.bodies(MESSAGES)
    trial.send([*bodies, *bodies])
    trial.wait_settled(120)
    trial.send(bodies)
    trial.wait_settled(120)


def clocks_differ(trial: Trial, setting: Setting) -> None:
    """Environments whose clocks are up to ten minutes apart share a budget and a ledger, through a throttle."""
    ahead = 300 / setting.time_scale
    skewed = {"PYTHONPATH": str(_CLOCK_SKEW), "CLOCK_SKEWS": f"{-ahead},0,{ahead}"}
    trial.simulator.add_fault(ErrorReply(account=trial.name, status=429, error_code="API_LIMIT_EXCEEDED"))
    for _number in range(5):
        trial.stack.set_function_environment({**setting.aws.environment, **skewed})  # new environments, new clocks
        trial.send(trial.bodies(MESSAGES // 5))
        time.sleep(2)
    trial.wait_settled(240)
    trial.stack.set_function_environment(setting.aws.environment)


def capacity_outage(trial: Trial, setting: Setting) -> None:
    """INTERNAL_CAPACITY_LIMIT_EXCEEDED for ten minutes, while messages go on arriving."""
    trial.send(trial.bodies(MESSAGES))
    trial.simulator.start_capacity_outage(trial.name, 600)
    for _ in range(10):
        trial.send(trial.bodies(MESSAGES // 10))
        time.sleep(60 / setting.time_scale)
    trial.wait_settled(240)


def replies_lost(trial: Trial, setting: Setting) -> None:
    """Responsys takes every request and answers none of them for an hour, while messages go on arriving."""
    lost = trial.simulator.add_fault(ConnectionReset(account=trial.name, times=None, accept_first=True))
    for _ in range(10):
        trial.send(trial.bodies(MESSAGES // 10))
        time.sleep(360 / setting.time_scale)
    trial.simulator.delete_faults(lost)
    trial.wait_settled(240)


def profiles_leave(trial: Trial, setting: Setting) -> None:
    """Profiles enter during ten minutes of HTML 503, and leave when these are over, before all came back."""
    outage = trial.simulator.add_fault(ErrorReply(account=trial.name, times=None, status=503, text="<p>"))
    entering = trial.bodies(MESSAGES // 2)
    trial.send(entering)
    time.sleep(600 / setting.time_scale)
    trial.simulator.delete_faults(outage)
    trial.send(trial.leaving(entering))
    trial.wait_settled(240)


def two_hours_down(trial: Trial, setting: Setting) -> None:
    """Nothing but HTML 503 for two hours, while messages go on arriving."""
    outage = trial.simulator.add_fault(ErrorReply(account=trial.name, path="any", times=None, status=503, text="<p>"))
    for _ in range(10):
        trial.send(trial.bodies(MESSAGES // 10))
        time.sleep(720 / setting.time_scale)
    trial.simulator.delete_faults(outage)
    trial.wait_settled(300)


def spoiled_recipient(trial: Trial, _: Setting) -> None:
    """Responsys refuses two whole requests for one record each, once naming it and once not."""
    trial.simulator.add_fault(
        ErrorReply(account=trial.name, status=400, error_code="INVALID_PARAMETER", detail="Record 7 = ?")
    )
    trial.simulator.add_fault(ErrorReply(account=trial.name, status=400, error_code="INVALID_PARAMETER"))
    trial.send(trial.bodies(MESSAGES))
    trial.wait_settled(120)


FAULTS: dict[str, FaultScenario] = {
    "none": _responsys(),
    "reply lost before Responsys accepted": _responsys(lambda account: ConnectionReset(account=account, times=3)),
    "reply lost after Responsys accepted": _responsys(
        lambda account: ConnectionReset(account=account, times=3, accept_first=True)
    ),
    "reply slower than our limit": _responsys(lambda account: SlowReply(account=account, times=1, seconds=50)),
    "every reply lost for an hour": replies_lost,
    "profiles leave while Responsys is down": profiles_leave,
    "truncated JSON after accepting": _responsys(lambda account: TruncatedReply(account=account, times=2)),
    "one result too few": _responsys(lambda account: WrongLengthReply(account=account, times=2)),
    "HTML 503": _responsys(lambda account: ErrorReply(account=account, times=6, status=503, text="<h1>busy</h1>")),
    "500 after accepting": _responsys(
        lambda account: ErrorReply(
            account=account, times=2, status=500, error_code="UNEXPECTED_EXCEPTION", accept_first=True
        )
    ),
    "API_LIMIT_EXCEEDED": _responsys(
        lambda account: ErrorReply(account=account, times=1, status=401, error_code="API_LIMIT_EXCEEDED")
    ),
    "one bad recipient refuses a request": spoiled_recipient,
    "token expires in mid-batch": token_expires,
    "secret rotated": secret_rotated,
    "login refused": login_refused,
    "SSM fails once": _aws(lambda: AwsFault("GetParameter", times=1)),
    "SSM fails for a while": _aws(lambda: AwsFault("GetParameter", seconds=_AWS_MINUTE)),
    "token cannot be shared": _aws(lambda: AwsFault("PutParameter", seconds=_AWS_MINUTE)),
    "Secrets Manager fails once": _aws(lambda: AwsFault("GetSecretValue", times=1)),
    "Secrets Manager fails for a while": _aws(lambda: AwsFault("GetSecretValue", seconds=_AWS_MINUTE)),
    "SQS send fails once": _aws(lambda: AwsFault("SendMessageBatch", times=1), spoiled=True),
    "SQS send fails for a while": _aws(lambda: AwsFault("SendMessageBatch", seconds=_AWS_MINUTE), spoiled=True),
    "SQS send succeeds, answer lost": _aws(
        lambda: AwsFault("SendMessageBatch", times=3, after_effect=True), spoiled=True
    ),
    "SQS send fails for half of a batch": _aws(
        lambda: AwsFault("SendMessageBatch", times=20, partial=True), spoiled=True
    ),
    "SQS visibility fails for a while": _aws(
        lambda: AwsFault("ChangeMessageVisibility", seconds=_AWS_MINUTE), spoiled=True
    ),
    "DynamoDB fails once": _aws(lambda: AwsFault("", times=1)),
    "claims fail once": _aws(lambda: AwsFault("BatchExecuteStatement", times=1)),
    "claims written, answer lost": _aws(lambda: AwsFault("BatchExecuteStatement", times=2, after_effect=True)),
    "claims fail for a while": _aws(lambda: AwsFault("BatchExecuteStatement", seconds=_AWS_MINUTE), known=True),
    "claims denied for a while": _aws(lambda: AwsFault("BatchExecuteStatement", seconds=_AWS_MINUTE, **_DENIED)),
    "every second claim throttled for a while": _aws(
        lambda: AwsFault("BatchExecuteStatement", seconds=_AWS_MINUTE, error="ThrottlingError", partial=True)
    ),
    "DynamoDB fails for a while": _aws(*_table(), known=True),
    "DynamoDB denies for a while": _aws(*_table(**_DENIED), known=True),
    "DynamoDB throttles for a while": _aws(*_table(**_THROTTLED), known=True),
    "function killed at random points": killed,
    "message crashes the function each time": poison,
    "same batch at once, and again": same_batch_at_once,
    "producer sends everything three times": producer_repeats,
    "clocks five minutes wrong": clocks_differ,
    "ten minutes without capacity": capacity_outage,
    "two hours down": two_hours_down,
}
