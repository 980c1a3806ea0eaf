"""How much memory does a batch need, and what should `MemorySize` be?

Lambda gives processor time in proportion to memory, so less memory is cheaper per second and takes more seconds.
"""

import json
import subprocess
from collections.abc import Mapping
from itertools import islice
from statistics import median
from typing import Any

from tests.benchmarks.arena import Arena, arena
from tests.benchmarks.cold_start import fresh_python
from tests.benchmarks.memberships import batches
from tests.benchmarks.stack_defaults import read_stack_defaults
from tests.generated_part import markdown_table
from tests.local_stack.artifact import unpacked

__all__ = ["measure", "report"]

_SUBJECT = "ours_with_ledger"
_FUNCTION = "SegmentEventsFunction"
_BATCHES = (100, 1_000, 2_000, 5_000)
_LARGEST_EVENT = 6_000_000  # bytes; Lambda's limit of an invocation's payload is 6 MB
_RUNS = 3
_MEGABYTES_OF_ONE_PROCESSOR = 1_769  # AWS Lambda: the memory at which a function has one vCPU
_SIZES = (256, 384, 512, 768, 1_024, 1_769)
_REPLY_SECONDS = 0.3
_MEBIBYTE = 1024 * 1024
# As the runtime client does: the event's text is there while it is read. The first event warms up.
_INVOKE = """
import json, resource, sys
from types import SimpleNamespace
from app import handler
context = SimpleNamespace(function_name="f", memory_limit_in_mb=512, invoked_function_arn="a", aws_request_id="r",
                          get_remaining_time_in_millis=lambda: 120_000)
def cpu():
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime
def peak():
    return next(int(line.split()[1]) * 1024 for line in open("/proc/self/status") if line.startswith("VmHWM:"))
first, text = sys.stdin.readline(), sys.stdin.readline()
handler(json.loads(first), context)
before, started = peak(), cpu()
if handler(json.loads(text), context)["batchItemFailures"]:
    raise SystemExit("not delivered")
print(json.dumps({"before": before, "peak": peak(), "cpu": cpu() - started}), file=sys.stderr)
"""


def measure() -> dict[str, Any]:
    """Run one warm invocation for each batch, each in a new process of the built function."""
    with arena() as running, unpacked(_FUNCTION) as artifact:
        environment = running.function_environment() | {"PYTHONPATH": artifact.path}
        numbers = iter(range(0, 10**9, 20_000))
        largest = _records_of_largest_event(running)
        curve = [
            _measured(running, environment, messages, numbers_of_runs=list(islice(numbers, _RUNS)))
            for messages in (*_BATCHES, largest)
        ]
    settings = read_stack_defaults().settings
    batch, in_flight = settings["BatchSize"], settings["RequestsInFlight"]
    usual = next(point for point in curve if point["messages"] == batch)
    return {
        "settings": {name: settings[name] for name in ("BatchSize", "MemorySize", "RequestsInFlight")},
        "curve": curve,
        "runs": _RUNS,
        "sizes": [_cost(size, usual["cpu_seconds"], batch, in_flight) for size in _SIZES],
    }


def _records_of_largest_event(running: Arena) -> int:
    some = next(batches(1_000, 1_000, running.queue_arn, connector=_SUBJECT))
    return int(_LARGEST_EVENT / (len(json.dumps(some, ensure_ascii=False).encode()) / 1_000))


def _measured(
    running: Arena, environment: Mapping[str, str], messages: int, *, numbers_of_runs: list[int]
) -> dict[str, Any]:
    told = []
    for first in numbers_of_runs:
        events = [
            next(batches(count, count, running.queue_arn, connector=_SUBJECT.replace("_", "-"), run="mem", first=start))
            for count, start in ((200, first), (messages, first + 200))
        ]
        run = subprocess.run(
            fresh_python(_INVOKE, environment),
            input="\n".join(json.dumps(event, ensure_ascii=False) for event in events) + "\n",
            text=True,
            capture_output=True,
            check=True,
        )
        told.append(json.loads(run.stderr.splitlines()[-1]))
    return {
        "messages": messages,
        "event_megabytes": round(len(json.dumps(events[1], ensure_ascii=False).encode()) / 1e6, 2),
        "before_mebibytes": round(median(each["before"] for each in told) / _MEBIBYTE),
        "peak_mebibytes": round(median(each["peak"] for each in told) / _MEBIBYTE),
        "cpu_seconds": round(median(each["cpu"] for each in told), 3),
    }


def _cost(megabytes: int, cpu_seconds: float, batch: int, in_flight: int) -> dict[str, Any]:
    """Reckon an invocation of a full batch: the processor's part grows as memory shrinks, Responsys's part stays."""
    rounds = -(-batch // (200 * in_flight))
    seconds = rounds * _REPLY_SECONDS + cpu_seconds * _MEGABYTES_OF_ONE_PROCESSOR / megabytes
    return {
        "megabytes": megabytes,
        "seconds": round(seconds, 2),
        "gigabyte_seconds_a_million": round(seconds * megabytes / 1_024 / batch * 1e6),
    }


def report(result: dict[str, Any]) -> str:
    """Return both curves."""
    settings = result["settings"]
    curve = markdown_table(
        ("messages in the batch", "MB of event", "MiB before", "MiB at the peak", "s of CPU"),
        [
            (
                point["messages"],
                point["event_megabytes"],
                point["before_mebibytes"],
                point["peak_mebibytes"],
                point["cpu_seconds"],
            )
            for point in result["curve"]
        ],
    )
    sizes = markdown_table(
        ("MemorySize", "s per batch", "GB-s per million messages"),
        [(size["megabytes"], size["seconds"], size["gigabyte_seconds_a_million"]) for size in result["sizes"]],
    )
    return (
        f"{curve}\n\nThe last is the largest event that Lambda takes. Medians of {result['runs']} processes."
        f"\n\n{sizes}\n\nFor batches of {settings['BatchSize']:,}, {settings['RequestsInFlight']} requests at once and "
        f"replies after {_REPLY_SECONDS * 1000:.0f} ms. The template has `MemorySize` {settings['MemorySize']:,}."
    )
