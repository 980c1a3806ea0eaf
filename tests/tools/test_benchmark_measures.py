"""Do the benchmarks' measures measure what they say, and does the page take them?"""

from __future__ import annotations

import importlib
import platform
from pathlib import Path
from typing import Any

import pytest

from tests.benchmarks.__main__ import DOCUMENT, NAMES
from tests.benchmarks.benchmark import as_benchmark
from tests.benchmarks.machine import made_by, this_machine
from tests.benchmarks.metered_dynamodb import MeteredDynamoDb, item_size
from tests.benchmarks.outage import greatest_overtaking
from tests.benchmarks.results import read_results
from tests.benchmarks.stack_defaults import read_stack_defaults
from tests.fakes.clock import NOW
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
    made = made_by(name, result["machine"])
    assert part.startswith(f"{report}\n\n{made}\n"), (
        f"the page is not what the results say: make bench BENCHMARKS={name}"
    )


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


def test_the_line_below_a_result_tells_the_machine_and_how_to_measure_again() -> None:
    # Given what is noted of the machine
    machine = this_machine()

    # When the line is written
    line = made_by("cpu", machine)

    # Then it has the command, the processor, its cores and the Python; and the machine keeps its name to itself
    assert "`make bench BENCHMARKS=cpu`" in line
    assert all(str(machine[part]) in line for part in ("cpu", "cores", "python", "date"))
    assert platform.node() not in line
