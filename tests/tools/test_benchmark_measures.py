"""Do the benchmarks' measures measure what they say, and does the page take them?"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest

from tests.benchmarks.__main__ import DOCUMENT, NAMES
from tests.benchmarks.benchmark import as_benchmark
from tests.benchmarks.metered_dynamodb import MeteredDynamoDb, item_size
from tests.benchmarks.outage import greatest_overtaking
from tests.benchmarks.results import read_results
from tests.benchmarks.stack_defaults import read_stack_defaults
from tests.benchmarks.virtual_stack import VirtualStack
from tests.fakes.clock import NOW
from tests.fakes.told_metrics import ToldMetrics
from tests.generated_part import write_part


@pytest.mark.parametrize(
    ("accepted", "overtaking"),
    [
        ([11, 12, 13, 14], 0.0),
        ([11, 11, 11, 11], 0.0),
        ([14, 13, 12, 11], 40.0),
        ([11, 13, 12, 14], 10.0),
        ([13, 11, 12, 14], 20.0),
        ([12, 11, 12, 14], 10.0),
    ],
)
def test_overtaking_is_how_much_younger_one_was_that_came_before_an_older_one(
    accepted: list[float], overtaking: float
) -> None:
    # Given messages that came at these times / When they were accepted at those
    sent = [0.0, 10.0, 20.0, 40.0]

    # Then the greatest difference of age tells
    assert greatest_overtaking(sent, accepted) == overtaking


@pytest.mark.parametrize("name", NAMES)
def test_the_figures_on_the_page_were_made_with_the_templates_defaults(name: str) -> None:
    # Given the settings that bear on a benchmark, as its run found them
    result = read_results()[name]
    # When they are held against the template / Then they are its defaults
    assert result["settings"].items() <= read_stack_defaults().settings.items(), f"stale: make bench BENCHMARKS={name}"
    # And what the page says is the report of that run
    part = DOCUMENT.read_text().partition(f"<!-- results of {name}: make bench -->\n")[2]
    report = as_benchmark(importlib.import_module(f"tests.benchmarks.{name}")).report(result)
    assert part.startswith(report), f"the page is not what the results say: make bench BENCHMARKS={name}"


def test_results_are_there_for_what_is_measured_and_nothing_else() -> None:
    assert set(read_results()) == set(NAMES)


def test_an_items_size_is_that_of_its_names_and_values() -> None:
    item: dict[str, dict[str, Any]] = {
        "pk": {"S": "é"},
        "n": {"N": "1234.50"},
        "ns": {"NS": ["7", "100"]},
        "b": {"BOOL": True},
    }

    assert item_size(item) == (2 + 2) + (1 + 4) + (2 + 2 + 2) + (1 + 1)


def test_a_statement_costs_what_its_item_is_large_even_in_vain_and_a_consistent_read_twice_another() -> None:
    # Given a table, and items of one and of two units
    table = MeteredDynamoDb()
    items = [{"pk": {"S": f"{number}"}, "sk": {"S": "x" * size}} for number, size in enumerate((10, 1500))]
    insert = """INSERT INTO "delivery" VALUE {'pk': ?, 'sk': ?}"""
    update = 'UPDATE "delivery" SET "requestId"=? WHERE "pk"=? AND "sk"=? AND "requestId"=?'

    # When they are inserted, inserted again in vain, and one is changed in vain
    for _ in range(2):
        statements = [{"Statement": insert, "Parameters": [*item.values()]} for item in items]
        table.batch_execute_statement(Statements=statements)
    in_vain = {"Statement": update, "Parameters": [{"S": "r2"}, *items[1].values(), {"S": "r1"}]}
    table.batch_execute_statement(Statements=[in_vain])
    assert table.write_units == 2 * (1 + 2) + 2

    # And they are written and read in other ways
    table.put_item(TableName="delivery", Item=items[0] | {"expiresAt": {"N": f"{NOW + 2 * 86_400:.0f}"}})
    table.get_item(TableName="delivery", Key=items[0])
    table.get_item(TableName="delivery", Key=items[0], ConsistentRead=True)
    table.batch_get_item(RequestItems={"delivery": {"Keys": items, "ConsistentRead": True}})
    partition = {"KeyConditionExpression": "pk = :pk", "ExpressionAttributeValues": {":pk": {"S": "none"}}}
    table.query(TableName="delivery", ConsistentRead=True, **partition)

    # Then each has its price
    assert table.write_units == 2 * (1 + 2) + 2 + 1
    assert table.read_units == 0.5 + 1 + 2 + 1
    assert table.byte_days(NOW) == 2 * (item_size(table.items["0", "x" * 10]) + 100)


def test_a_virtual_stack_delivers_full_batches_within_their_window() -> None:
    # Given a stream of half the account's limit for a minute
    stack = VirtualStack(read_stack_defaults(), {"default": 20}, new_metrics=ToldMetrics)
    stack.send_steadily("default", 2_000, 1)

    # When it has been delivered
    stack.run()

    # Then each message was accepted once, soon, and none was put off
    journeys = stack.journeys["default"]
    assert (len(journeys.sent_at), journeys.lost, journeys.twice, sum(journeys.deferrals)) == (2_000, 0, 0, 0)
    assert all(0 < at - sent < 30 for at, sent in zip(journeys.accepted_at, journeys.sent_at, strict=True))
    assert sum(each.messages for each in stack.invocations) == 2_000
    assert 60 / 5 - 2 <= len(stack.invocations) <= 60 / 5 * 2 + 2


@pytest.mark.parametrize("name", NAMES)
def test_the_page_has_a_place_for_what_a_benchmark_reports(name: str, tmp_path: Path) -> None:
    # Given a copy of the page
    page = tmp_path / "performance.md"
    page.write_text(DOCUMENT.read_text())

    # When a report is written into it
    write_part(page, f"results of {name}", "make bench", "what was measured")

    # Then it stands there in place of the one before, and the rest of the page is as it was
    begin, end = f"<!-- results of {name}: make bench -->\n", f"\n<!-- end of results of {name} -->"
    before, _, rest = DOCUMENT.read_text().partition(begin)
    assert page.read_text() == f"{before}{begin}what was measured{end}{rest.partition(end)[2]}"


@pytest.mark.parametrize(("gather_rate", "least", "most"), [(100, 450, 525), (None, 1_000, 5_000)])
def test_a_slot_gathers_no_more_than_its_rate_in_a_window(gather_rate: float | None, least: int, most: int) -> None:
    # Given 3,000 messages within six seconds
    stack = VirtualStack(read_stack_defaults(), {"default": 200}, gather_rate=gather_rate, new_metrics=ToldMetrics)
    stack.send_steadily("default", 30_000, 0.1)

    # When two slots work them off
    stack.run()

    # Then no invocation has more than a window's worth
    assert least <= max(invocation.messages for invocation in stack.invocations) <= most
    assert stack.journeys["default"].lost == 0
