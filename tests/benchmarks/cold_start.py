"""How long until a new environment's first request leaves, against a process that only makes one AWS client?"""

import json
import os
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from statistics import median
from typing import Any

from tests.benchmarks.arena import Arena, arena
from tests.benchmarks.memberships import body, record
from tests.generated_part import markdown_table
from tests.local_stack.artifact import unpacked
from tests.local_stack.environments import program

__all__ = ["fresh_python", "measure", "measure_in", "report"]

_ROUNDS = 11
_SUBJECT = "ours_with_ledger"
_FUNCTION = "SegmentEventsFunction"
_FIRST_REQUEST = """
import json, sys
from types import SimpleNamespace
from app import handler
context = SimpleNamespace(function_name="f", memory_limit_in_mb=512, invoked_function_arn="a", aws_request_id="r",
                          get_remaining_time_in_millis=lambda: 120_000)
if handler(json.load(sys.stdin), context)["batchItemFailures"]:
    raise SystemExit("not delivered")
"""
_ONE_CLIENT = "import boto3; boto3.client('ssm')"


def fresh_python(code: str, environment: Mapping[str, str]) -> list[str]:
    """Return the command that runs code with the managed runtime's packages, and no other variables than these."""
    # /var/task and /opt cannot be written on Lambda, so nothing is kept for the next start.
    variables = {"PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1", **environment}
    assignments = [f"{name}={value}" for name, value in variables.items()]
    return ["env", "-i", *assignments, str(program(".venv-lambda", "python")), "-c", code]


def measure() -> dict[str, Any]:
    """Start both in turn."""
    with arena() as running:
        return measure_in(running, rounds=_ROUNDS)


def measure_in(running: Arena, *, rounds: int) -> dict[str, Any]:
    """Start both `rounds` times in turn, after one start that logs in and fills the disk cache."""
    with unpacked(_FUNCTION) as artifact:
        environment = running.function_environment()
        deployed = environment | {"PYTHONPATH": artifact.path}
        _first_request(running, deployed)
        ours, boto3 = [], []
        for _ in range(rounds):
            boto3.append(_one_client(environment))
            ours.append(_first_request(running, deployed))
        return {
            "settings": {},  # none of them bears on it
            "rounds": rounds,
            "cold_start_over_boto3": round(median(a / b for a, b in zip(ours, boto3, strict=True)), 2),
            "ours_ms": round(median(ours) * 1000),
            "boto3_ms": round(median(boto3) * 1000),
            "layers_megabytes": round(_size(artifact.layer_root) / 1e6, 1),
        }


def _first_request(running: Arena, environment: Mapping[str, str]) -> float:
    """Return the seconds from the start of a process until Responsys gets its first request."""
    message = body(time.time_ns() % 10**12, _SUBJECT.replace("_", "-"), "cold")
    event = {"Records": [record(1, message, running.queue_arn)]}
    started = time.time()
    subprocess.run(
        fresh_python(_FIRST_REQUEST, environment),
        input=json.dumps(event),
        text=True,
        stdout=subprocess.DEVNULL,
        check=True,
    )
    return running.last_request_at(_SUBJECT) - started


def _one_client(environment: Mapping[str, str]) -> float:
    started = time.time()
    subprocess.run(fresh_python(_ONE_CLIENT, environment), check=True)
    return time.time() - started


def _size(directory: Path) -> int:
    return sum(path.stat().st_size for path in directory.rglob("*") if path.is_file())


def report(result: dict[str, Any]) -> str:
    """Return the tables."""
    times = markdown_table(
        ("a fresh process", "ms"),
        [
            ("imports boto3 and makes one SSM client", result["boto3_ms"]),
            ("this function, until its first request arrives at Responsys", result["ours_ms"]),
        ],
    )
    return (
        f"{times}\n\nThe second takes **{result['cold_start_over_boto3']} times** as long as the first (median of "
        f"{result['rounds']} pairs). Both layers together: {result['layers_megabytes']} MB unpacked."
    )
