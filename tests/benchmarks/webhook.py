"""Does the webhook keep what it says, at how many requests per second, and how long does an answer take?

locust posts to it for a minute, on the deployed local stack, while SQS fails now and then; then the queue is held
against the answers. The same again with the function's code alone behind HTTP: the emulator, and a process for each
environment, take most of the machine.
"""

import contextlib
import itertools
import os
import re
import subprocess
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from statistics import quantiles
from typing import Any

from tests.benchmarks.webhook_server import serving
from tests.local_stack.environments import REPOSITORY, program
from tests.local_stack.http_api import post
from tests.local_stack.queues import take_all
from tests.local_stack.stack import STACK_NAME, LocalStack
from tests.reliability.aws_faults import AwsFault, AwsFaultProxy

__all__ = ["measure", "report"]

_SECONDS = 60
_USERS = 20
# While SQS is out of order the connections wait, and do not catch up: so 200 are reached over the minute.
_RATE = 240
_WARM_UPS = 5 * _USERS
# SQS is out of order for a moment, again and again; each second time it takes the message, and only its answer is lost.
_SECONDS_BETWEEN_FAULTS = 10.0
_SECONDS_OF_FAULT = 1.5
_ID = re.compile(r"load-\d+")


@dataclass(frozen=True)
class _Answer:
    name: str
    status: int
    milliseconds: float


def measure() -> dict[str, Any]:
    """Return what became of the requests, on the deployed stack and with the code alone."""
    with (
        LocalStack(say=lambda _: None) as stack,
        stack.paused_event_sources(),
        AwsFaultProxy(stack.endpoint.url) as proxy,
    ):
        stack.set_function_environment(proxy.environment, f"{STACK_NAME}-webhook")
        deployed = _loaded(stack, proxy, stack.outputs["WebhookUrl"])
        with serving(stack, proxy.environment) as served:
            alone = _loaded(stack, proxy, served.url)
            alone["CPU"] = round(1000 * served.cpu_seconds() / (alone["answers"] + _WARM_UPS), 1)
    # No setting of the template bears on it: the emulator throttles nothing.
    return {"settings": {}, "seconds": _SECONDS, "rate": _RATE, "deployed": deployed, "code alone": alone}


def report(result: dict[str, Any]) -> str:
    """Return the table."""
    rows = [
        ("requests per second, answered", "requests per second"),
        ("answered with 202: on the queue", "taken"),
        ("… and lost", "lost"),
        ("answered with 503, and sent again until taken", "unavailable"),
        ("on the queue twice, under one id", "twice"),
        ("without the secret: answered with 401", "refused"),
        ("… and on the queue nevertheless", "let in"),
        ("time until a 202, p50 (ms)", "p50"),
        ("… p95", "p95"),
        ("… p99", "p99"),
    ]
    lines = ["| | deployed stack | code alone |", "|---|--:|--:|"]
    lines += [f"| {text} | {result['deployed'][name]:,} | {result['code alone'][name]:,} |" for text, name in rows]
    lines += [f"| processor time per request, HTTP server included (ms) | | {result['code alone']['CPU']} |"]
    lines += ["", f"{_USERS} connections asked for {result['rate']} requests per second for {result['seconds']} s."]
    return "\n".join(lines)


def _loaded(stack: LocalStack, proxy: AwsFaultProxy, url: str) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="responsys-load-") as directory:
        answers_file = Path(directory, "answers")
        environment = {
            **os.environ,
            "WEBHOOK_URL": url,
            "WEBHOOK_SECRET": stack.webhook_secret,
            "WEBHOOK_ANSWERS": str(answers_file),
            "WEBHOOK_RATE": str(_RATE),
            "WEBHOOK_USERS": str(_USERS),
        }
        command = [
            *(str(program(".venv-load", "locust")), "--headless", "--only-summary", "--loglevel", "WARNING"),
            *("--users", str(_USERS), "--spawn-rate", str(_USERS)),
            *("--run-time", f"{_SECONDS}s", "--stop-timeout", "20"),
            *("--locustfile", str(REPOSITORY / "tests/benchmarks/webhook_load.py")),
        ]
        _warm_up(url)
        with _failing_now_and_then(proxy):
            run = subprocess.run(
                command,
                cwd=directory,
                env=environment,
                check=False,
                capture_output=True,
                text=True,
                timeout=_SECONDS + 60,
            )
        assert run.returncode == 0, run.stderr
        answers = [_answer(line) for line in answers_file.read_text().splitlines()]
    on_queue = Counter(_id_in(message["Body"]) for message in take_all(stack.endpoint.sqs, _queue(stack)))
    return _compared(answers, on_queue)


def _warm_up(url: str) -> None:
    """Let there be an environment for each connection: how long one takes to start is measured elsewhere."""
    with ThreadPoolExecutor(_USERS) as pool:
        list(pool.map(lambda _: post(url, b"{}", {"Authorization": "Bearer guess"}), range(_WARM_UPS)))


@contextlib.contextmanager
def _failing_now_and_then(proxy: AwsFaultProxy) -> Iterator[None]:
    is_over = threading.Event()

    def fail() -> None:
        for answer_is_lost in itertools.cycle((False, True)):
            if is_over.wait(_SECONDS_BETWEEN_FAULTS):
                return
            fault = AwsFault("SendMessageBatch", seconds=_SECONDS_OF_FAULT, after_effect=answer_is_lost)
            proxy.faults[:] = [fault]

    thread = threading.Thread(target=fail, name="faults")
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()
        proxy.faults.clear()


def _answer(line: str) -> _Answer:
    name, status, milliseconds = line.split()
    return _Answer(name, int(status), float(milliseconds))


def _id_in(body: str) -> str:
    found = _ID.search(body)
    assert found, "a message that nobody posted"
    return found[0]


def _queue(stack: LocalStack) -> str:
    return stack.outputs["SegmentEventsQueueUrl"]


def _compared(answers: list[_Answer], on_queue: Counter[str]) -> dict[str, Any]:
    statuses = Counter(answer.status for answer in answers)
    taken = {answer.name for answer in answers if answer.status == 202}
    refused = {answer.name for answer in answers if answer.status == 401}
    percentiles = quantiles((answer.milliseconds for answer in answers if answer.status == 202), n=100)
    return {
        "requests per second": round(len(answers) / _SECONDS),
        "answers": len(answers),
        "statuses": {str(status): count for status, count in sorted(statuses.items())},
        "taken": len(taken),
        "lost": len(taken - on_queue.keys()),
        "unavailable": statuses[503],
        "twice": sum(count - 1 for count in on_queue.values()),
        "refused": len(refused),
        "let in": len(refused & on_queue.keys()),
        "p50": round(percentiles[49]),
        "p95": round(percentiles[94]),
        "p99": round(percentiles[98]),
    }
