"""What does the outcome feed add to a message's CPU, and to the bill?"""

import math
import tomllib
from pathlib import Path
from statistics import median
from typing import Any

from responsys_activation.delivery.outcome import Delivered, Ending
from responsys_activation.delivery.outcome_feed import fed_events
from responsys_activation.received import read_record
from responsys_activation.upstream.memberships import Part, read
from tests.benchmarks.arena import arena
from tests.benchmarks.memberships import EVENT_NAME, batches
from tests.generated_part import markdown_table

__all__ = ["measure", "report"]

_PRICES = Path(__file__).with_name("prices.toml")
_MESSAGES = 10_000
_ROUNDS = 7
_RECIPIENTS = 200
_MILLION = 1_000_000
_BILLED_BYTES = 64 * 1024
_OFF, _ON = "ours_with_ledger", "ours_with_feed"


def measure() -> dict[str, Any]:
    """Run the function with and without its feed, in turn; a ratio is of two neighbours in time."""
    micros: dict[str, list[float]] = {_OFF: [], _ON: []}
    with arena() as running:
        settings = running.settings("BatchSize", "RequestsInFlight")
        for _ in range(_ROUNDS):
            for name, values in micros.items():
                cost, _ = running.run(name, _MESSAGES, settings["BatchSize"])
                values.append(cost.cpu_seconds / _MESSAGES * 1e6)
    ratios = [on / off for on, off in zip(micros[_ON], micros[_OFF], strict=True)]
    return {
        "settings": settings,
        "messages": _MESSAGES,
        "rounds": _ROUNDS,
        "micros": {name: round(median(values), 1) for name, values in micros.items()},
        "on_over_off": {
            "median": round(median(ratios), 3),
            "min": round(min(ratios), 3),
            "max": round(max(ratios), 3),
        },
        "event_bytes": _event_bytes(),
    }


def _event_bytes() -> int:
    """Return the size of a full request's event."""
    endings = []
    (batch,) = batches(
        _RECIPIENTS, _RECIPIENTS, "arn:aws:sqs:us-east-1:123456789012:queue", connector="c", run="0" * 12
    )
    for record in batch["Records"]:
        message = read_record(record, 0.0, "throttled")
        (part,) = read(message.body, 0.0).parts
        assert isinstance(part, Part)
        endings.append(Ending(message, Delivered(), "default", EVENT_NAME, "0" * 32, part=part))
    (event,) = fed_events("responsys-activation", endings, 0.0)
    return len(event.detail)


def report(result: dict[str, Any]) -> str:
    """Return the table."""
    price = tomllib.loads(_PRICES.read_text())["event_of_64_kb"]
    billed = math.ceil(result["event_bytes"] / _BILLED_BYTES)
    full = _MILLION / _RECIPIENTS * billed * price["dollars"] / price["per"]
    single = _MILLION * price["dollars"] / price["per"]
    micros, ratio = result["micros"], result["on_over_off"]
    table = markdown_table(
        ("`OutcomeFeed`", "µs of CPU per message"), [("`Off`", f"{micros[_OFF]:.0f}"), ("`On`", f"{micros[_ON]:.0f}")]
    )
    return (
        f"{table}\n\n"
        f"With the feed a message takes **{ratio['median']:.2f} times** the CPU ({ratio['min']:.2f} to "
        f"{ratio['max']:.2f}): medians of {result['rounds']} rounds of {result['messages']:,} messages. The event of a "
        f"full request has {result['event_bytes']:,} bytes; AWS bills it as {billed} of 64 KB. A million memberships "
        f"in full requests cost **${full:.3f}**, each in a request of its own ${single:.2f}."
    )
