"""Does one environment at a time take a newcomer?"""

from __future__ import annotations

from typing import Any, cast

import pytest

from responsys_activation.aws.delivery_table import DeliveryTable, Key, newcomer_key
from responsys_activation.aws.faults import AwsCallError
from responsys_activation.aws.newcomers import Newcomers
from tests.fakes.clock import Clock
from tests.fakes.dynamodb import InMemoryDynamoDb, client_error


def newcomers(table: InMemoryDynamoDb, clock: Clock) -> Newcomers:
    return Newcomers(DeliveryTable("delivery", cast("Any", table)), clock=clock)


def keys(count: int) -> list[Key]:
    return [newcomer_key("account", "LIST", "CUSTOMER_ID_", f"new-{number}") for number in range(count)]


def test_newcomers_are_taken_once() -> None:
    table, clock = InMemoryDynamoDb(), Clock()

    assert newcomers(table, clock).take(keys(30), "a") == [True] * 30
    assert newcomers(table, clock).take(keys(31), "b") == [*[False] * 30, True]
    assert table.calls["BatchExecuteStatement"] == 4  # 25 in each


def test_who_was_taken_by_someone_killed_can_be_taken_after_a_quarter_of_an_hour() -> None:
    table, clock = InMemoryDynamoDb(), Clock()
    newcomers(table, clock).take(keys(2), "killed")

    clock.sleep(899)
    assert newcomers(table, clock).take(keys(2), "b") == [False, False]
    clock.sleep(1)
    assert newcomers(table, clock).take(keys(2), "b") == [True, True]
    assert newcomers(table, clock).take(keys(2), "c") == [False, False]


def test_of_two_who_take_over_at_the_same_moment_one_does() -> None:
    # Given somebody whose time is past, and an environment that has seen it
    table, clock = InMemoryDynamoDb(), Clock()
    newcomers(table, clock).take(keys(1), "killed")
    clock.sleep(901)
    taken: list[bool] = []

    def overtake(operation: str) -> None:
        if operation == "BatchGetItem":
            table.after = lambda _operation: None
            taken.extend(newcomers(table, clock).take(keys(1), "faster"))

    table.after = overtake

    # When another one is faster
    slower = newcomers(table, clock).take(keys(1), "slower")

    # Then only that one has them
    assert taken == [True]
    assert slower == [False]


def test_who_was_released_can_be_taken_at_once_but_only_by_their_owner() -> None:
    table, clock = InMemoryDynamoDb(), Clock()
    watched = newcomers(table, clock)
    watched.take(keys(2), "a")

    watched.release(keys(1), "a")
    watched.release(keys(2)[1:], "somebody else")

    assert watched.take(keys(2), "b") == [True, False]


def test_a_call_that_was_made_twice_takes_once() -> None:
    # Given a first call whose answer was lost
    table, clock = InMemoryDynamoDb(), Clock()
    newcomers(table, clock).take(keys(1), "a")

    assert newcomers(table, clock).take(keys(1), "a") == [True]


@pytest.mark.parametrize("code", ["ThrottlingError", "AccessDenied"])
def test_who_could_not_be_taken_is_left_to_another_time(code: str) -> None:
    table, clock = InMemoryDynamoDb(), Clock()
    table.fail_statements(None, code)

    assert newcomers(table, clock).take(keys(3), "a") == [True, False, True]
    assert newcomers(table, clock).take(keys(3), "b") == [False, True, False]


def test_without_the_table_nobody_is_taken() -> None:
    table, clock = InMemoryDynamoDb(), Clock()
    table.fail("BatchExecuteStatement", error=client_error("ThrottlingException", "BatchExecuteStatement"))

    with pytest.raises(AwsCallError):
        newcomers(table, clock).take(keys(1), "a")


def test_no_item_names_a_person() -> None:
    table, clock = InMemoryDynamoDb(), Clock()

    newcomers(table, clock).take(keys(1), "a")

    assert "new-" not in str(table.items)
