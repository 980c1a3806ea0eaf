"""What do a million memberships cost? From counted calls and public prices.

The calls are counted over the real delivery code in virtual time (:mod:`tests.benchmarks.virtual_stack`); the prices
stand in prices.toml.
"""

from __future__ import annotations

import gc
import math
import tomllib
from collections import Counter
from pathlib import Path
from typing import Any

from tests.benchmarks.metered_dynamodb import MeteredDynamoDb
from tests.benchmarks.results import read_results
from tests.benchmarks.stack_defaults import StackDefaults, read_stack_defaults
from tests.benchmarks.virtual_stack import VirtualStack
from tests.fakes.function_output import captured_output
from tests.generated_part import markdown_table

__all__ = ["measure", "report"]

_PRICES = Path(__file__).with_name("prices.toml")
_MILLION = 1_000_000
_DAYS_PER_MONTH = 365 / 12
_MINUTES_PER_MONTH = _DAYS_PER_MONTH * 24 * 60
_VCPU_MB = 1_769  # of Lambda memory come with one processor
_LOG_EVENT_OVERHEAD = 26  # bytes that CloudWatch adds to each line
_LIMIT = 200  # requests per minute
# Lambda receives ten messages per call where that many wait, and one where they come one by one.
_STREAMS: dict[str, dict[str, float]] = {
    "in full batches": {"per_minute": 30_000.0, "minutes": 2.0, "receives": 0.1},  # four fifths of the limit
    "spread over a month": {"per_minute": _MILLION / _MINUTES_PER_MONTH, "minutes": 60.0, "receives": 1.0},
}
# AWS: Lambda reads an idle queue with five pollers, and with MaximumConcurrency with no fewer; a poll takes 20 s.
_IDLE_POLLS_PER_MINUTE = 5 * 60 / 20

# What, the quantity's name, the price's name.
_LINES = (
    ("Lambda, GB-seconds", "lambda_gb_second", "lambda_gb_second"),
    ("Lambda, requests", "lambda_request", "lambda_request"),
    ("SQS, receives and deletes by Lambda", "sqs_request", "sqs_request"),
    ("DynamoDB, write units", "dynamodb_write_unit", "dynamodb_write_unit"),
    ("DynamoDB, read units", "dynamodb_read_unit", "dynamodb_read_unit"),
    ("DynamoDB, 14 days of storage, GB-months", "dynamodb_gb_month", "dynamodb_gb_month"),
    ("… and of its point-in-time recovery", "dynamodb_gb_month", "dynamodb_recovery_gb_month"),
    ("CloudWatch, logs and metric lines, GB", "log_gb", "log_gb"),
    ("KMS, for those that read or write a token, at most", "ssm_call", "kms_call"),
    ("Secrets Manager, calls", "secrets_call", "secrets_call"),
)


def measure() -> dict[str, Any]:
    """Count, and price."""
    defaults = read_stack_defaults()
    micros = read_results()["cpu"]["micros"]["ours_with_ledger"]
    usage, metrics = {}, set()
    for stream, how in _STREAMS.items():
        usage[stream], found = _usage(defaults, micros, **how)
        metrics |= found
    return {"settings": defaults.settings, "cpu_micros": micros, "usage": usage, "fixed": _fixed(defaults, metrics)}


def _usage(
    defaults: StackDefaults, cpu_micros: float, *, per_minute: float, minutes: float, receives: float
) -> tuple[dict[str, float], set[tuple[str, ...]]]:
    """Count what a steady stream uses for each million messages; and the metrics that it writes, by their dimensions.

    Parameters
    ----------
    receives : float
        Calls by which Lambda receives a message.
    """
    table = MeteredDynamoDb()
    cpu_seconds = cpu_micros / 1e6 / min(1.0, defaults.memory_mb / _VCPU_MB)
    stack = VirtualStack(defaults, {"default": _LIMIT}, table=table, cpu_seconds=cpu_seconds)
    stack.send_steadily("default", per_minute, minutes)
    gc.disable()
    try:
        with captured_output() as output:
            stack.run()
    finally:
        gc.enable()
    journeys = stack.journeys["default"]
    if journeys.lost or journeys.twice or stack.calls["sqs_send"]:
        raise ValueError("that was no steady stream")
    messages, log = len(journeys.sent_at), output.text()
    deletes = sum(math.ceil(each.messages / 10) for each in stack.invocations)
    quantities = {
        "lambda_request": len(stack.invocations),
        "lambda_gb_second": sum(each.seconds for each in stack.invocations) * defaults.memory_mb / 1024,
        "sqs_request": messages * receives + deletes,
        "dynamodb_write_unit": table.write_units,
        "dynamodb_read_unit": table.read_units,
        "dynamodb_gb_month": table.byte_days(stack.now()) / _DAYS_PER_MONTH / 1e9,
        "log_gb": (len(log.encode()) + _LOG_EVENT_OVERHEAD * log.count("\n")) / 1e9,
        "ssm_call": stack.calls["ssm"],
        "secrets_call": stack.calls["secrets"],
    }
    metrics = {(name, *sorted(dimensions.keys() - {"stack"})) for _, name, dimensions, _ in output.metrics()}
    return {name: round(quantity * _MILLION / messages, 6) for name, quantity in quantities.items()}, metrics


def _fixed(defaults: StackDefaults, metrics: set[tuple[str, ...]]) -> dict[str, float]:
    """Count what a month takes, whatever is sent, by the price's name."""
    kinds = Counter(tuple(dimensions) for _, *dimensions in metrics)
    if unknown := kinds.keys() - {("connector",), ("service",), ("connector", "eventName")}:
        raise ValueError(f"metrics that the bill does not know: {unknown}")
    # The connector check writes one more per connector, and one for all.
    written = kinds["connector",] + 1 + kinds["service",] + 1 + kinds["connector", "eventName"]
    return {
        "metric_month": written,
        "alarm_metric_month": defaults.alarm_metrics,
        "composite_alarm_month": defaults.composite_alarms,
        "dashboard_month": defaults.dashboards,
        "secret_month": 1,
        "sqs_request": 2 * _IDLE_POLLS_PER_MINUTE * _MINUTES_PER_MONTH,
    }


def report(result: dict[str, Any]) -> str:
    """Return both bills."""
    prices = tomllib.loads(_PRICES.read_text())
    usage = result["usage"]

    def dollars(price: str, quantity: float) -> float:
        return float(quantity * prices[price]["dollars"] / prices[price]["per"])

    def bill(cells: list[str], costs: list[float]) -> list[str]:
        return [cells[0], *(cell for pair in zip(cells[1:], map(_money, costs), strict=True) for cell in pair)]

    rows, totals = [], [0.0] * len(usage)
    for what, quantity, price in _LINES:
        amounts = [used[quantity] for used in usage.values()]
        costs = [dollars(price, amount) for amount in amounts]
        totals = [total + cost for total, cost in zip(totals, costs, strict=True)]
        rows.append(bill([what, *(f"{amount:,.0f}" if amount >= 10 else f"{amount:.3f}" for amount in amounts)], costs))
    rows.append(bill(["**this stack**", *[""] * len(usage)], totals))
    header = ["for each million memberships", *(cell for stream in usage for cell in (stream, "$"))]
    fixed = {price: dollars(price, result["fixed"][price]) for price in _FIXED}
    named = ", ".join(
        f"{what} {_money(fixed[price])} ({result['fixed'][price]:,.0f})" for price, what in _FIXED.items()
    )
    return (
        f"{markdown_table(header, rows)}\n\n"
        f"Fixed: **{_money(sum(fixed.values()))} per month** with one connector and one event: {named}. "
        f"CPU: {result['cpu_micros']:.0f} µs per message, on the {result['settings']['MemorySize'] / _VCPU_MB:.2f} "
        f"processors that come with {result['settings']['MemorySize']} MB. "
        f"Prices of {prices['region']}, {prices['as_of']}."
    )


_FIXED = {
    "metric_month": "custom metrics",
    "alarm_metric_month": "metrics of alarms",
    "composite_alarm_month": "composite alarm",
    "dashboard_month": "dashboard",
    "secret_month": "secret",
    "sqs_request": "Lambda's polls of two idle queues",
}


def _money(dollars: float) -> str:
    return f"${dollars:.2f}" if dollars >= 0.01 or dollars == 0 else f"${dollars:.4f}"
