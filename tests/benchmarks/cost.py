"""What do a million memberships cost, and how many can an account take? From counted calls and public prices.

The calls are counted over the real delivery code in virtual time (:mod:`tests.benchmarks.virtual_stack`); the prices
stand in prices.toml. The capacity table is a formula over the template's defaults and what was counted.
"""

from __future__ import annotations

import gc
import io
import json
import math
import time
import tomllib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, cast

import boto3
from botocore.awsrequest import AWSResponse

from responsys_activation.aws.delivery_table import DeliveryTable
from responsys_activation.aws.faults import CLIENT_CONFIG
from responsys_activation.aws.ledger import Ledger
from responsys_activation.aws.slots import USED_SHARE
from responsys_activation.change import Change, membership_change
from responsys_activation.membership import Membership
from responsys_activation.responsys.events import MAXIMUM_RECIPIENTS
from tests.benchmarks.metered_dynamodb import MeteredDynamoDb
from tests.benchmarks.stack_defaults import StackDefaults, read_stack_defaults
from tests.benchmarks.virtual_stack import AWS_SECONDS, MOST_EVENT_BYTES, VirtualStack
from tests.fakes.function_output import captured_output
from tests.generated_part import markdown_table
from tests.local_stack.environments import REPOSITORY

_RESULTS = REPOSITORY / "docs" / "performance" / "results.json"
_PRICES = Path(__file__).with_name("prices.toml")
_MILLION = 1_000_000
_DAYS_A_MONTH = 365 / 12
_MINUTES_A_MONTH = _DAYS_A_MONTH * 24 * 60
_VCPU_MB = 1_769  # of Lambda memory come with one processor
_SQS_CHUNK = 64 * 1024
_LOG_EVENT_OVERHEAD = 26  # bytes that CloudWatch adds to each line

_LIMIT = 200
_BUSY_A_MINUTE = 30_000.0  # four fifths of what that limit can take
_BUSY_MINUTES = 2.0
_TRICKLE_A_MINUTE = _MILLION / _MINUTES_A_MONTH
_TRICKLE_MINUTES = 60.0
_PATIENT_WINDOW_SECONDS = 60.0  # what a trickle costs with BatchingWindowSeconds=60

# AWS: Lambda reads an idle queue with five pollers, and with MaximumConcurrency with no fewer; a poll takes 20 s.
_IDLE_POLLS_A_MINUTE = 5 * 60 / 20

_LIMITS = (100, 200, 300, 500, 1_000, 2_000)
_LATENCIES = (0.3, 1.5)
_MARGIN = 1.5  # places in flight are idle while a batch gathers, is read and settles
_EVENT_SHARE = 0.8  # of what Lambda can hand over; messages differ in size
_NEW_TABLE_WRITES = 4_000  # units a second that a new on-demand table takes at once


def measure() -> dict[str, Any]:
    """Count, price, and size."""
    defaults = read_stack_defaults()
    cpu = _cpu_micros()
    busy, _ = _usage(defaults, cpu["micros"], _BUSY_A_MINUTE, _BUSY_MINUTES, receives_a_message=0.1)
    trickle, metrics = _usage(defaults, cpu["micros"], _TRICKLE_A_MINUTE, _TRICKLE_MINUTES, receives_a_message=1.0)
    patient = replace(defaults, segment_events=replace(defaults.segment_events, window_seconds=_PATIENT_WINDOW_SECONDS))
    waiting, _ = _usage(patient, cpu["micros"], _TRICKLE_A_MINUTE, _TRICKLE_MINUTES, receives_a_message=1.0)
    return {
        "prices": tomllib.loads(_PRICES.read_text()),
        "cpu": cpu,
        "memory_mb": defaults.memory_mb,
        "busy": busy | {"messages_a_minute": _BUSY_A_MINUTE},
        "trickle": trickle | {"messages_a_minute": _TRICKLE_A_MINUTE},
        "waiting": waiting | {"window_seconds": _PATIENT_WINDOW_SECONDS},
        "fixed": _fixed(defaults, metrics),
        "claims": _claims(),
        "capacity": [
            _setting(limit, latency, defaults, busy, cpu["micros"]) for limit in _LIMITS for latency in _LATENCIES
        ],
    }


def report(result: dict[str, Any]) -> str:
    """Give the bill, the largest item and the capacity."""
    return "\n\n".join(
        (_bill(result), _fixed_bill(result), _largest(result), _price_list(result), _capacity(result["capacity"]))
    )


def _cpu_micros() -> dict[str, Any]:
    """Give what a message costs, as benchmark `cpu` measured it on this machine, or else the virtual stack's own."""
    results = json.loads(_RESULTS.read_text()) if _RESULTS.exists() else {}
    if measured := results.get("cpu", {}).get("micros", {}).get("ours_with_ledger"):
        return {"micros": measured, "measured_by": "cpu"}
    stack = VirtualStack(read_stack_defaults(), {"default": _LIMIT})
    stack.send_steadily("default", _BUSY_A_MINUTE, 0.5)
    with captured_output():
        began = time.process_time()
        stack.run()
        seconds = time.process_time() - began
    return {"micros": seconds / len(stack.journeys["default"].sent_at) * 1e6, "measured_by": "virtual stack"}


def _usage(
    defaults: StackDefaults, cpu_micros: float, a_minute: float, minutes: float, *, receives_a_message: float
) -> tuple[dict[str, Any], list[list[str]]]:
    """Count what a steady stream uses for each million messages; and the metrics that it writes, by their dimensions.

    Parameters
    ----------
    receives_a_message : float
        Lambda receives ten messages a call where that many wait, and one where they come one by one.
    """
    table = MeteredDynamoDb()
    cpu_seconds = cpu_micros / 1e6 / min(1.0, defaults.memory_mb / _VCPU_MB)
    stack = VirtualStack(defaults, {"default": _LIMIT}, table=table, cpu_seconds=cpu_seconds)
    stack.send_steadily("default", a_minute, minutes)
    gc.disable()
    try:
        with captured_output() as output:
            stack.run()
    finally:
        gc.enable()
    journeys = stack.journeys["default"]
    if journeys.lost or journeys.twice or stack.calls["sqs_send"]:
        raise ValueError("that was no steady stream")
    messages = len(journeys.sent_at)
    requests = stack.accounts["default"].calls["event"]
    event_bytes = sum(each.event_bytes for each in stack.invocations)
    if event_bytes / messages > _SQS_CHUNK / 10:
        raise ValueError("ten of these messages are more than one chunk")
    log = output.text()
    log_bytes = len(log.encode()) + _LOG_EVENT_OVERHEAD * log.count("\n")
    seconds = sum(each.seconds for each in stack.invocations)
    quantities = {
        "lambda_request": len(stack.invocations),
        "lambda_gb_second": seconds * defaults.memory_mb / 1024,
        "sqs_receive": messages * receives_a_message,
        "sqs_delete": sum(math.ceil(each.messages / 10) for each in stack.invocations),
        "dynamodb_write_unit": table.write_units,
        "dynamodb_read_unit": table.read_units,
        "dynamodb_gb_month": table.byte_days(stack.now()) / _DAYS_A_MONTH / 1e9,
        "log_gb": log_bytes / 1e9,
        "ssm_call": stack.calls["ssm"],
        "secrets_call": stack.calls["secrets"],
    }
    counted = {
        "messages": messages,
        "recipients_a_request": messages / requests,
        "messages_an_invocation": messages / len(stack.invocations),
        "event_bytes_a_message": event_bytes / messages,
        "table_calls_a_request": sum(table.calls.values()) / requests,
        "table_calls": dict(table.calls),
        "a_million": {name: quantity * _MILLION / messages for name, quantity in quantities.items()},
    }
    metrics = {(name, tuple(sorted(dimensions))) for _, name, dimensions, _ in output.metrics()}
    return counted, [[name, *dimensions] for name, dimensions in sorted(metrics)]


def _fixed(defaults: StackDefaults, metrics: list[list[str]]) -> dict[str, Any]:
    kinds = Counter("+".join(dimensions) for _, *dimensions in metrics)
    # The connector check writes one more a connector, and one for all.
    by_connector, by_service = kinds["connector"] + 1, kinds["service"] + 1
    return {
        "metrics_of_the_stack": by_service,
        "metrics_a_connector": by_connector,
        "metrics_an_event": kinds["connector+eventName"],
        "metrics_an_error_code": 1,
        "alarm_metrics": defaults.alarm_metrics,
        "composite_alarms": defaults.composite_alarms,
        "dashboards": defaults.dashboards,
        "idle_polls": 2 * _IDLE_POLLS_A_MINUTE * _MINUTES_A_MONTH,
    }


def _claims() -> dict[str, Any]:
    """Compare two ways to claim a request's messages in the ledger: CPU of boto3, calls and write units."""
    changes = [_change(number) for number in range(MAXIMUM_RECIPIENTS)]
    statements, transactions = _ClaimClient(), _ClaimClient()
    ledger = Ledger(DeliveryTable("delivery", statements.client))
    table = MeteredDynamoDb()
    _claim(Ledger(DeliveryTable("delivery", cast("Any", table))), changes)
    items = list(table.items.values())

    def transact() -> None:
        for start in range(0, len(items), 100):
            transactions.client.transact_write_items(
                TransactItems=[
                    {
                        "Put": {
                            "TableName": "delivery",
                            "Item": item,
                            "ConditionExpression": "attribute_not_exists(pk)",
                            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
                        }
                    }
                    for item in items[start : start + 100]
                ]
            )

    units = table.write_units / len(items)
    return {
        name: {
            "write_units_a_message": units,
            "calls_a_request": client.calls_of(claim),
            "cpu_micros_a_message": _cpu_of(claim) / len(items) * 1e6,
        }
        for name, units, client, claim in (
            (
                "single statements in batches of 25 (PartiQL), ours",
                units,
                statements,
                partial(_claim, ledger, changes),
            ),
            ("transactions of 100", 2 * units, transactions, transact),
        )
    }


def _change(number: int) -> Change:
    membership = Membership.model_validate(
        {"profileId": f"{number:032x}", "callType": "ADD", "segment": {"type": "AUDIENCE", "id": "aud-42"}}
    )
    return membership_change("default", membership, f"default-{number:032x}", time.time(), time.time())


def _claim(ledger: Ledger, changes: Sequence[Change]) -> None:
    ledger.claim(changes, "0" * 32, time.time() + 60, [0] * len(changes))


class _ClaimClient:
    """A real client whose requests end where they would leave the process."""

    def __init__(self) -> None:
        self.client = boto3.client(
            "dynamodb",
            region_name="us-east-1",
            aws_access_key_id="testing",
            aws_secret_access_key="testing",
            config=CLIENT_CONFIG,
        )
        self.client.meta.events.register("before-send.dynamodb", cast("Any", self._answer))
        self._calls = 0

    def calls_of(self, claim: Any) -> int:
        """Count the calls of one claim."""
        before = self._calls
        claim()
        return self._calls - before

    def _answer(self, request: Any, **_event: Any) -> AWSResponse:
        self._calls += 1
        statements = b"BatchExecuteStatement" in request.headers["X-Amz-Target"]
        content = json.dumps({"Responses": [{"TableName": "delivery"}] * 25} if statements else {}).encode()
        return AWSResponse(request.url, 200, cast("Any", {"x-amzn-RequestId": "1"}), _Raw(content))


class _Raw(io.BytesIO):
    def stream(self) -> Iterator[bytes]:
        yield self.read()


def _cpu_of(claim: Any) -> float:
    """Give the least CPU time of several rounds."""
    seconds = []
    for _ in range(15):
        began = time.process_time()
        claim()
        seconds.append(time.process_time() - began)
    return min(seconds)


def _setting(
    limit: int, latency: float, defaults: StackDefaults, busy: dict[str, Any], cpu_micros: float
) -> dict[str, Any]:
    """Choose what an account of this limit needs: more in flight first, more environments then.

    A place in flight is taken for as long as a request and its calls to the table last. A batch has a request for each.
    """
    a_minute = limit * USED_SHARE
    seconds = latency + busy["table_calls_a_request"] * AWS_SECONDS
    places = a_minute / 60 * seconds * _MARGIN
    processors = (
        a_minute / 60 * MAXIMUM_RECIPIENTS * cpu_micros / 1e6 / min(1.0, defaults.memory_mb / _VCPU_MB) * _MARGIN
    )
    largest_batch = min(10_000, int(MOST_EVENT_BYTES * _EVENT_SHARE / busy["event_bytes_a_message"]) // 1_000 * 1_000)
    most_in_flight = largest_batch // MAXIMUM_RECIPIENTS
    concurrency = max(defaults.segment_events.concurrency, math.ceil(places / most_in_flight), math.ceil(processors))
    in_flight = max(defaults.requests_in_flight, math.ceil(places / concurrency))
    batch = max(defaults.segment_events.batch_size, math.ceil(in_flight * MAXIMUM_RECIPIENTS / 1_000) * 1_000)
    return {
        "requests_per_minute": limit,
        "latency": latency,
        "members_an_hour": round(a_minute * 60 * MAXIMUM_RECIPIENTS),
        "requests_in_flight": in_flight,
        "maximum_concurrency": concurrency,
        "batch_size": batch,
        "memory_mb": defaults.memory_mb,
        "write_units_a_second": round(
            a_minute / 60 * MAXIMUM_RECIPIENTS * busy["a_million"]["dynamodb_write_unit"] / _MILLION
        ),
    }


_LINES = (
    # what, the quantity's name, the price's name
    ("Lambda, GB-seconds", "lambda_gb_second", "lambda_gb_second"),
    ("Lambda, requests", "lambda_request", "lambda_request"),
    ("SQS, receives by Lambda", "sqs_receive", "sqs_request"),
    ("SQS, deletes by Lambda", "sqs_delete", "sqs_request"),
    ("DynamoDB, write units", "dynamodb_write_unit", "dynamodb_write_unit"),
    ("DynamoDB, read units", "dynamodb_read_unit", "dynamodb_read_unit"),
    ("DynamoDB, 14 days of storage, GB-months", "dynamodb_gb_month", "dynamodb_gb_month"),
    ("… and of its point-in-time recovery", "dynamodb_gb_month", "dynamodb_recovery_gb_month"),
    ("CloudWatch, logs and metric lines, GB", "log_gb", "log_gb"),
    ("Systems Manager, calls", "ssm_call", "ssm_call"),
    ("KMS, for those that read or write a token, at most", "ssm_call", "kms_call"),
    ("Secrets Manager, calls", "secrets_call", "secrets_call"),
)


_STREAMS = {
    "busy": "in full batches",
    "trickle": "spread over a month",
    "waiting": f"with a window of {_PATIENT_WINDOW_SECONDS:.0f} s",
}


def _dollars(result: dict[str, Any], price: str, quantity: float) -> float:
    of_item = result["prices"][price]
    return float(quantity * of_item["dollars"] / of_item["per"])


def _total(result: dict[str, Any], stream: str) -> float:
    a_million = result[stream]["a_million"]
    return sum(_dollars(result, price, a_million[quantity]) for _, quantity, price in _LINES)


def _bill(result: dict[str, Any]) -> str:
    rows = []
    for what, quantity, price in _LINES:
        row: list[str] = [what]
        for stream in _STREAMS:
            amount = result[stream]["a_million"][quantity]
            row += [f"{amount:,.0f}" if amount >= 10 else f"{amount:.3f}", _money(_dollars(result, price, amount))]
        rows.append(row)
    total = [f"**{_money(_total(result, stream))}**" for stream in _STREAMS]
    rows.append(["**this stack, a million memberships**", *(cell for cost in total for cell in ("", cost))])
    for how, sends in (("one by one", _MILLION), ("in tens", _MILLION / 10)):
        cost = _money(_dollars(result, "sqs_request", sends))
        rows.append([f"the producer's own sends, {how}", *[f"{sends:,.0f}", cost] * len(_STREAMS)])
    busy, trickle, waiting = (result[stream] for stream in _STREAMS)
    header = [
        "for each million memberships",
        f"in full batches, {busy['messages_a_minute']:,.0f} a minute",
        "$",
        f"spread over a month, {trickle['messages_a_minute']:.0f} a minute",
        "$",
        f"the same with `BatchingWindowSeconds={waiting['window_seconds']:.0f}`",
        "$",
    ]
    recipients = [f"{result[stream]['recipients_a_request']:.3g}" for stream in _STREAMS]
    messages = [f"{result[stream]['messages_an_invocation']:,.4g}" for stream in _STREAMS]
    return (
        f"{markdown_table(header, rows)}\n\n"
        f"A request carried {', '.join(recipients)} recipients, an invocation {', '.join(messages)} messages. CPU: "
        f"{result['cpu']['micros']:.0f} µs a message (measured by: {result['cpu']['measured_by']}), on the "
        f"{result['memory_mb'] / _VCPU_MB:.2f} processors that come with {result['memory_mb']} MB."
    )


def _fixed_bill(result: dict[str, Any]) -> str:
    fixed = result["fixed"]
    metrics = fixed["metrics_of_the_stack"] + fixed["metrics_a_connector"] + fixed["metrics_an_event"]
    lines = (
        ("custom metrics: one connector, one event", metrics, "metric_month"),
        ("alarms: their metrics", fixed["alarm_metrics"], "alarm_metric_month"),
        ("composite alarm", fixed["composite_alarms"], "composite_alarm_month"),
        ("dashboard", fixed["dashboards"], "dashboard_month"),
        ("secret, one a connector", 1, "secret_month"),
        ("Lambda's polls of two idle queues", fixed["idle_polls"], "sqs_request"),
    )
    rows: list[list[object]] = [
        [what, f"{quantity:,.0f}", _money(_dollars(result, price, quantity))] for what, quantity, price in lines
    ]
    total = sum(_dollars(result, price, quantity) for _, quantity, price in lines)
    rows.append(["**fixed**", "", f"**{_money(total)}**"])
    metric = _dollars(result, "metric_month", 1)
    return (
        f"{markdown_table(['each month, whatever is sent', '', '$'], rows)}\n\n"
        f"A further connector adds {_money(metric * fixed['metrics_a_connector'])} of metrics and its secret, a "
        f"further event of a connector {_money(metric * fixed['metrics_an_event'])}, an error code of a connector "
        f"{_money(metric)} in a month in which it occurs: metrics = {fixed['metrics_of_the_stack']} + "
        f"{fixed['metrics_a_connector']} a connector + {fixed['metrics_an_event']} an event + 1 an error code."
    )


def _largest(result: dict[str, Any]) -> str:
    tables = []
    for stream, named in _STREAMS.items():
        a_million = result[stream]["a_million"]
        what, cost = max(
            ((what, _dollars(result, price, a_million[quantity])) for what, quantity, price in _LINES),
            key=lambda line: line[1],
        )
        share = cost / _total(result, stream)
        tables.append(f"Largest item {named}: **{what}**, {_money(cost)}, {share:.0%} of it.")
    rows = [
        [
            way,
            f"{of_way['write_units_a_message']:g}",
            _money(_dollars(result, "dynamodb_write_unit", of_way["write_units_a_message"] * _MILLION)),
            of_way["calls_a_request"],
            f"{of_way['cpu_micros_a_message']:.1f}",
            _money(
                _dollars(
                    result,
                    "lambda_gb_second",
                    of_way["cpu_micros_a_message"]
                    * min(1.0, result["memory_mb"] / _VCPU_MB) ** -1
                    * result["memory_mb"]
                    / 1024,
                )
            ),
        ]
        for way, of_way in result["claims"].items()
    ]
    header = [
        "claiming a message",
        "write units",
        "$ a million",
        "calls a request",
        "µs of CPU in boto3",
        "$ of it a million",
    ]
    return "\n\n".join((" ".join(tables), markdown_table(header, rows)))


def _price_list(result: dict[str, Any]) -> str:
    prices = result["prices"]
    rows = [
        [
            name.replace("_", " "),
            f"${price['dollars']:.10f}".rstrip("0").rstrip("."),
            f"{price['per']:,} {price['unit']}" if price["per"] > 1 else price["unit"],
            price["page"],
            "yes" if price["checked"] else "no",
        ]
        for name, price in prices.items()
        if isinstance(price, dict)
    ]
    header = [f"price in {prices['region']}, {prices['as_of']}", "", "for", "public page", "checked"]
    return markdown_table(header, rows)


def _capacity(settings: list[dict[str, Any]]) -> str:
    rows = [
        [
            f"{each['requests_per_minute']:,}",
            each["members_an_hour"],
            f"{each['latency'] * 1000:,.0f}",
            each["requests_in_flight"],
            each["maximum_concurrency"],
            each["batch_size"],
            each["memory_mb"],
            f"{each['write_units_a_second']:,}{'*' if each['write_units_a_second'] > _NEW_TABLE_WRITES else ''}",
        ]
        for each in settings
    ]
    header = [
        "`requestsPerMinute`",
        "members an hour",
        "latency, ms",
        "`RequestsInFlight`",
        "`MaximumConcurrency`",
        "`BatchSize`",
        "`MemorySize`",
        "table's write units a second",
    ]
    return (
        f"{markdown_table(header, rows)}\n\n"
        f"\\* A new on-demand table takes {_NEW_TABLE_WRITES:,} a second at once and grows with its traffic; set its "
        "warm throughput before the first large campaign."
    )


def _money(dollars: float) -> str:
    return f"${dollars:.2f}" if dollars >= 0.01 or dollars == 0 else f"${dollars:.4f}"
