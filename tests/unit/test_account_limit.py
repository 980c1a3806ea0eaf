"""Is an account asked for its limit at most once an hour, and is what it said used by everybody?"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

import pytest

from responsys_activation.aws.account_limit import AccountLimit
from responsys_activation.aws.faults import AwsUnavailableError
from responsys_activation.aws.request_budget import RequestBudget
from responsys_activation.responsys.errors import (
    LoginRefusedError,
    RefusalScope,
    RequestRefusedError,
    ResponsysError,
    ThrottledError,
    UnavailableError,
)
from tests.fakes.clock import NOW, Clock
from tests.fakes.dynamodb import InMemoryDynamoDb


def limit_of(table: InMemoryDynamoDb, clock: Clock, name: str = "default") -> AccountLimit:
    return AccountLimit("delivery", name, cast("Any", table), clock=clock)


class Account:
    """Counts how often it is asked."""

    def __init__(self, limit: int | None = 400, failure: Exception | None = None) -> None:
        self.limit = limit
        self.failure = failure
        self.asked = 0

    def __call__(self) -> int | None:
        self.asked += 1
        if self.failure:
            raise self.failure
        return self.limit


def test_nine_tenths_of_the_accounts_limit_are_used() -> None:
    # Given an account that names its limit, and a backlog
    table, clock = InMemoryDynamoDb(), Clock()
    limit = limit_of(table, clock)
    budget = RequestBudget("delivery", "default", cast("Any", table), environments=2, clock=clock)

    # When requests go for ten minutes
    requests = 0
    while clock() < NOW + 600:
        clock.now = budget.reserve(limit.requests_per_minute(Account(400)), NOW + 1_000).at
        requests += 1

    # Then nine tenths of what the account allows are used
    assert requests / (10 * 400) == pytest.approx(0.9, abs=0.005)


def test_an_account_that_names_no_limit_gets_a_safe_number() -> None:
    assert limit_of(InMemoryDynamoDb(), Clock()).requests_per_minute(Account(None)) == 100


def test_environments_together_ask_once_an_hour() -> None:
    # Given three environments, one of which started later
    table, clock, account = InMemoryDynamoDb(), Clock(), Account()
    environments = [limit_of(table, clock) for _ in range(3)]

    # When each sends something every ten seconds for two hours
    for _ in range(720):
        for environment in environments:
            assert environment.requests_per_minute(account) == 380
        clock.sleep(10)

    # Then the account was asked at the beginning and after an hour
    assert account.asked == 2


def test_two_connectors_ask_for_themselves() -> None:
    table, clock = InMemoryDynamoDb(), Clock()

    assert limit_of(table, clock).requests_per_minute(Account(400)) == 380
    assert limit_of(table, clock, "second").requests_per_minute(Account(50)) == 47.5


def test_a_changed_limit_counts_everywhere_within_five_minutes_of_being_read() -> None:
    table, clock, account = InMemoryDynamoDb(), Clock(), Account(400)
    first, second = (limit_of(table, clock) for _ in range(2))
    for environment in (first, second):
        environment.requests_per_minute(account)
    account.limit = 100
    clock.sleep(3_601)

    assert first.requests_per_minute(account) == 95
    clock.sleep(300)
    assert second.requests_per_minute(account) == 95


def test_threads_of_an_environment_wait_for_the_one_that_asks() -> None:
    table, account = InMemoryDynamoDb(), Account(50)
    environment = limit_of(table, Clock())
    all_there = threading.Barrier(4)

    def ask() -> float:
        all_there.wait()
        return environment.requests_per_minute(account)

    with ThreadPoolExecutor(4) as pool:
        answers = [future.result() for future in [pool.submit(ask) for _ in range(4)]]

    assert (answers, account.asked) == ([47.5] * 4, 1)


def test_an_environment_that_comes_while_another_asks_for_the_first_time_is_careful() -> None:
    # Given an environment that is about to learn that the account allows very little
    table, clock = InMemoryDynamoDb(), Clock()
    other = limit_of(table, clock)
    meanwhile: list[float] = []

    def ask_slowly() -> int:
        meanwhile.append(other.requests_per_minute(Account()))
        return 20

    # When another one comes meanwhile
    assert limit_of(table, clock).requests_per_minute(ask_slowly) == 19

    # Then it does not take a default for granted, and soon has what was read
    assert meanwhile == [10]
    clock.sleep(5)
    assert other.requests_per_minute(Account()) == 19


def test_who_loses_the_race_to_ask_is_careful_too() -> None:
    table, clock, account = InMemoryDynamoDb(), Clock(), Account()
    item = {
        "pk": {"S": "connector#default"},
        "sk": {"S": "limit"},
        "readAt": {"N": f"{clock():.3f}"},
    }

    def another_takes_the_turn(operation: str) -> None:
        if operation == "UpdateItem":
            table.items["connector#default", "limit"] = item

    table.before = another_takes_the_turn

    assert limit_of(table, clock).requests_per_minute(account) == 10
    assert account.asked == 0


def test_a_reader_that_was_killed_leaves_the_others_the_default_after_a_minute() -> None:
    table, clock, account = InMemoryDynamoDb(), Clock(), Account()

    def killed() -> int:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        limit_of(table, clock).requests_per_minute(killed)
    clock.sleep(61)

    assert limit_of(table, clock).requests_per_minute(account) == 100
    assert account.asked == 0


NO_ANSWER: list[ResponsysError] = [
    ThrottledError("API_LIMIT_EXCEEDED", clock=60),
    UnavailableError("TIMEOUT"),
    RequestRefusedError("INSUFFICIENT_ACCESS", scope=RefusalScope.CONNECTOR),
]


@pytest.mark.parametrize("failure", NO_ANSWER, ids=lambda failure: type(failure).__name__)
@pytest.mark.parametrize(("known_before", "used"), [(None, 100), (400, 380)])
def test_an_account_that_does_not_tell_is_not_asked_again_for_an_hour(
    failure: ResponsysError, known_before: int | None, used: float
) -> None:
    # Given an account whose limit was, or was not, read before
    table, clock = InMemoryDynamoDb(), Clock()
    if known_before:
        limit_of(table, clock).requests_per_minute(Account(known_before))
        clock.sleep(3_601)
    account = Account(failure=failure)

    # When it fails to answer
    for _ in range(10):
        assert limit_of(table, clock).requests_per_minute(account) == used
        clock.sleep(300)

    # Then it was asked once, and what was known before is still used
    assert account.asked == 1


@pytest.mark.parametrize("failure", [LoginRefusedError("PASSWORD_EXPIRED", clock=600), AwsUnavailableError("SSM")])
def test_a_limit_that_could_not_be_asked_for_is_asked_for_later(failure: Exception) -> None:
    # Given a connector that cannot log in
    table, clock, account = InMemoryDynamoDb(), Clock(), Account(400, failure)
    environment = limit_of(table, clock)
    ask: Callable[[], float] = lambda: environment.requests_per_minute(account)  # noqa: E731
    if isinstance(failure, LoginRefusedError):
        with pytest.raises(LoginRefusedError):
            ask()
    else:
        assert ask() == 100

    # When it can
    account.failure = None
    clock.sleep(300)

    # Then the hour has not begun
    assert ask() == 380


@pytest.mark.parametrize("operation", ["GetItem", "UpdateItem"])
def test_without_the_table_the_last_known_limit_goes_on(operation: str) -> None:
    table, clock, account = InMemoryDynamoDb(), Clock(), Account(400)
    environment = limit_of(table, clock)
    environment.requests_per_minute(account)
    clock.sleep(3_601)
    table.fail(operation, times=2)

    assert environment.requests_per_minute(account) == 380
    assert account.asked == 1
