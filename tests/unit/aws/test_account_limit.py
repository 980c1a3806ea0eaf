"""Is an account asked for its limit once an hour, and is what it said used by everybody?"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

import pytest

from responsys_activation.aws.account_limit import AccountLimit
from responsys_activation.aws.delivery_table import DeliveryTable, account_limit_key
from responsys_activation.aws.faults import AwsCallError
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


def limit_of(table: InMemoryDynamoDb, clock: Clock, account: str = "one") -> AccountLimit:
    return AccountLimit(
        DeliveryTable("delivery", cast("Any", table)), account_limit_key(account), clock=clock, sleep=clock.sleep
    )


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


@pytest.mark.parametrize(
    ("limit", "wanted", "used"),
    [
        (400, None, 380),
        (400, 20, 380),  # of the account; the connector has a budget of its own
        (400, 390, 390),
        (400, 400, 400),
        (400, 500, 400),
        (None, None, 100),
        (None, 20, 20),
        (None, 500, 500),
    ],
)
def test_more_than_our_share_of_the_limit_is_used_where_the_owner_says_so_and_never_more_than_the_limit(
    limit: int | None, wanted: int | None, used: float
) -> None:
    assert limit_of(InMemoryDynamoDb(), Clock()).requests_per_minute(Account(limit), wanted) == used


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


def test_two_accounts_have_two_limits() -> None:
    table, clock = InMemoryDynamoDb(), Clock()

    assert limit_of(table, clock).requests_per_minute(Account(400)) == 380
    assert limit_of(table, clock, "two").requests_per_minute(Account(50)) == 47.5


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


def test_an_environment_that_comes_while_another_asks_for_the_first_time_waits_a_moment() -> None:
    # Given an environment that asks
    table, clock, account = InMemoryDynamoDb(), Clock(), Account()

    def ask_slowly() -> int:
        # When another one comes meanwhile, and the answer a moment later
        def answer_comes(seconds: float) -> None:
            clock.sleep(seconds)
            if clock() > NOW + 2:
                table.items["account#one", "limit"]["perMinute"] = {"N": "200"}

        key = account_limit_key("one")
        other = AccountLimit(DeliveryTable("delivery", cast("Any", table)), key, clock=clock, sleep=answer_comes)
        meanwhile.append(other.requests_per_minute(account))
        return 200

    meanwhile: list[float] = []
    limit_of(table, clock).requests_per_minute(ask_slowly)

    # Then it takes no slots of a slower pace, and does not ask itself
    assert (meanwhile, account.asked) == ([190], 0)
    assert 2 < clock() - NOW < 3


def test_an_environment_is_careful_while_another_asks_for_long() -> None:
    # Given an environment that is about to learn that the account allows very little
    table, clock = InMemoryDynamoDb(), Clock()
    other = limit_of(table, clock)
    meanwhile: list[float] = []

    def ask_slowly() -> int:
        meanwhile.extend(other.requests_per_minute(Account(), wanted) for wanted in (None, 4, 500))
        return 20

    # When another one comes meanwhile
    assert limit_of(table, clock).requests_per_minute(ask_slowly) == 19

    # Then it does not take a default for granted, and soon has what was read
    assert meanwhile == [10, 4, 10]
    clock.sleep(5)
    assert other.requests_per_minute(Account()) == 19


def test_who_loses_the_race_to_ask_is_careful_too() -> None:
    table, clock, account = InMemoryDynamoDb(), Clock(), Account()
    item = {
        "pk": {"S": "account#one"},
        "sk": {"S": "limit"},
        "readAgainAt": {"N": f"{clock() + 60:.3f}"},
    }

    def another_takes_the_turn(operation: str) -> None:
        if operation == "UpdateItem":
            table.items["account#one", "limit"] = item

    table.before = another_takes_the_turn

    assert limit_of(table, clock).requests_per_minute(account) == 10
    assert account.asked == 0


def test_after_a_reader_that_was_killed_another_reads() -> None:
    # Given a reader that was killed
    table, clock, account = InMemoryDynamoDb(), Clock(), Account()

    def killed() -> int:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        limit_of(table, clock).requests_per_minute(killed)

    # When another comes / Then it is careful for a minute, and then reads
    assert (limit_of(table, clock).requests_per_minute(account), account.asked) == (10, 0)
    clock.sleep(61)
    assert (limit_of(table, clock).requests_per_minute(account), account.asked) == (380, 1)


NO_ANSWER: list[ResponsysError] = [ThrottledError("API_LIMIT_EXCEEDED", retry_after=60), UnavailableError("TIMEOUT")]
REFUSED = RequestRefusedError("INSUFFICIENT_ACCESS", scope=RefusalScope.CONNECTOR)


@pytest.mark.parametrize("failure", NO_ANSWER, ids=lambda failure: type(failure).__name__)
def test_until_a_read_that_failed_is_done_again_few_requests_go(failure: ResponsysError) -> None:
    # Given an account that has never told its limit, and fails to answer
    table, clock, account = InMemoryDynamoDb(), Clock(), Account(30, failure)
    first, second = (limit_of(table, clock) for _ in range(2))

    # When environments come / Then they make few requests, but for what their owner said
    for _ in range(5):
        assert [each.requests_per_minute(account, wanted) for each in (first, second) for wanted in (None, 60)] == [
            10,
            60,
            10,
            60,
        ]
        clock.sleep(50)
    assert account.asked == 1
    # And after five minutes it is asked again
    account.failure = None
    clock.sleep(51)
    assert first.requests_per_minute(account) == 28.5
    clock.sleep(5)
    assert second.requests_per_minute(account) == 28.5
    assert account.asked == 2


@pytest.mark.parametrize("failure", [*NO_ANSWER, REFUSED], ids=lambda failure: type(failure).__name__)
def test_a_limit_that_was_known_stays_in_use_while_it_cannot_be_read(failure: ResponsysError) -> None:
    # Given an account whose limit was read an hour ago
    table, clock, account = InMemoryDynamoDb(), Clock(), Account(400)
    first, second = (limit_of(table, clock) for _ in range(2))
    first.requests_per_minute(account)
    clock.sleep(3_601)

    # When it does not tell it again for another hour
    account.failure = failure
    used = set()
    for _ in range(12):
        used |= {environment.requests_per_minute(account) for environment in (first, second)}
        clock.sleep(300)

    # Then it is still used, and the account asked again each five minutes, if there is hope
    assert used == {380}
    assert account.asked == (2 if failure is REFUSED else 1 + 12)


def test_an_account_that_may_not_be_asked_has_a_safe_number_and_is_left_alone_for_an_hour() -> None:
    # Given an API user who may not read limits
    table, clock, account = InMemoryDynamoDb(), Clock(), Account(failure=REFUSED)

    # When environments come for an hour / Then that is as if it named none
    for _ in range(11):
        assert limit_of(table, clock).requests_per_minute(account) == 100
        assert limit_of(table, clock).requests_per_minute(account, 300) == 300
        clock.sleep(300)
    assert account.asked == 1


def test_an_account_that_has_not_told_for_long_is_taken_for_one_that_never_does() -> None:
    # Given something in Responsys's way that answers every question for the limit, and no other request
    table, clock, account = InMemoryDynamoDb(), Clock(), Account(failure=UnavailableError("OTHER_ERROR"))
    environment = limit_of(table, clock)

    # When a quarter of an hour has gone by
    used = []
    for _ in range(8):
        used.append(environment.requests_per_minute(account))
        clock.sleep(300)

    # Then the safe number is used, and the account still asked each five minutes
    assert used == [10] * 3 + [100] * 5
    assert account.asked == 8
    account.failure = None
    assert environment.requests_per_minute(account) == 380


def test_a_turn_that_a_wrong_clock_took_is_over() -> None:
    # Given an account that was read by a clock six hours ahead
    table, clock = InMemoryDynamoDb(), Clock()
    limit_of(table, Clock(clock() + 21_600)).requests_per_minute(Account(400))

    # When the limit has changed / Then who knows the time reads it
    assert limit_of(table, clock).requests_per_minute(Account(30)) == 28.5


@pytest.mark.parametrize("failure", [LoginRefusedError("PASSWORD_EXPIRED"), AwsCallError("SSM")])
def test_a_limit_that_could_not_be_asked_for_is_asked_for_later(failure: Exception) -> None:
    # Given a connector that cannot log in
    table, clock, account = InMemoryDynamoDb(), Clock(), Account(400, failure)
    environment = limit_of(table, clock)
    ask: Callable[[], float] = lambda: environment.requests_per_minute(account)  # noqa: E731
    if isinstance(failure, LoginRefusedError):
        with pytest.raises(LoginRefusedError):
            ask()
    else:
        assert ask() == 10

    # When it can
    account.failure = None
    clock.sleep(5)

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


@pytest.mark.parametrize("operation", ["GetItem", "UpdateItem"])
def test_an_environment_that_never_reached_the_table_asks_for_itself(operation: str) -> None:
    # Given two environments that begin while the table is out of reach
    table, clock, account = InMemoryDynamoDb(), Clock(), Account(30)
    table.fail(operation, times=float("inf"))

    # When they send something for ten minutes / Then each knows the limit, and asked once
    for environment in (limit_of(table, clock) for _ in range(2)):
        for _ in range(3):
            assert environment.requests_per_minute(account) == 28.5
            clock.sleep(200)
    assert account.asked == 2
