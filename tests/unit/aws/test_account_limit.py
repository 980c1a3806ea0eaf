"""Is an account asked for its limit now and then, and is what it says and what it refuses heeded by everybody?"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

import pytest

from responsys_activation.aws.account_limit import AccountLimit
from responsys_activation.aws.delivery_table import DeliveryTable, account_limit_key
from responsys_activation.aws.faults import AwsCallError
from responsys_activation.aws.slots import Timing
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

TIMING = Timing(probe_seconds=60.0)


def limit_of(table: InMemoryDynamoDb, clock: Clock, account: str = "one", *, timing: Timing = TIMING) -> AccountLimit:
    return AccountLimit(
        DeliveryTable("delivery", cast("Any", table)),
        account_limit_key(account),
        timing=timing,
        clock=clock,
        sleep=clock.sleep,
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


def test_environments_together_ask_every_five_minutes() -> None:
    # Given three environments, one of which started later
    table, clock, account = InMemoryDynamoDb(), Clock(), Account()
    environments = [limit_of(table, clock) for _ in range(3)]

    # When each sends something every ten seconds for two hours
    for _ in range(720):
        for environment in environments:
            assert environment.requests_per_minute(account) == 380
        clock.sleep(10)

    # Then the account was asked as often as one would
    assert account.asked == 24


def test_two_accounts_have_two_limits() -> None:
    table, clock = InMemoryDynamoDb(), Clock()

    assert limit_of(table, clock).requests_per_minute(Account(400)) == 380
    assert limit_of(table, clock, "two").requests_per_minute(Account(50)) == 47.5


def test_a_changed_limit_counts_everywhere_within_half_a_minute_of_being_read() -> None:
    table, clock, account = InMemoryDynamoDb(), Clock(), Account(400)
    first, second = (limit_of(table, clock) for _ in range(2))
    for environment in (first, second):
        environment.requests_per_minute(account)
    account.limit = 100
    clock.sleep(290)
    assert second.requests_per_minute(account) == 380
    clock.sleep(11)

    assert first.requests_per_minute(account) == 95
    clock.sleep(30)
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
        other = AccountLimit(
            DeliveryTable("delivery", cast("Any", table)), key, timing=TIMING, clock=clock, sleep=answer_comes
        )
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


# ---- refused requests -----------------------------------------------------------------------------------------


def test_after_a_refusal_half_the_pace_is_used_everywhere_until_it_rises_by_itself() -> None:
    # Given two environments
    table, clock, account = InMemoryDynamoDb(), Clock(), Account(400)
    first, second = (limit_of(table, clock) for _ in range(2))
    for environment in (first, second):
        environment.requests_per_minute(account)

    # When the account refuses what the limit allows, that it still names, from one of them
    first.refused()

    # Then both are slower before the pause of a minute is over, and as fast as before within minutes
    assert first.requests_per_minute(account) == 190
    clock.sleep(60)
    assert second.requests_per_minute(account) == 190
    rising = []
    for _ in range(10):
        clock.sleep(60)
        rising.append(second.requests_per_minute(account))
    assert rising == pytest.approx([209, 209, 247, 247, 323, 323, 380, 380, 380, 380])


@pytest.mark.parametrize("limit", [200, 390, 800])
def test_a_refusal_has_the_limit_read_at_once_and_another_limit_explains_it(limit: int) -> None:
    # Given an account whose limit has just changed
    table, clock, account = InMemoryDynamoDb(), Clock(), Account(400)
    first, second = (limit_of(table, clock) for _ in range(2))
    for environment in (first, second):
        environment.requests_per_minute(account)
    account.limit = limit

    # When it refuses a request / Then the new limit is used, all of it
    first.refused()
    assert first.requests_per_minute(account) == limit * 0.95
    clock.sleep(60)
    assert second.requests_per_minute(account) == limit * 0.95
    # And is soon followed if it changes again
    account.limit = 400
    clock.sleep(61)
    assert first.requests_per_minute(account) == 380
    assert account.asked == 3 + 1


def test_what_was_under_way_at_a_refusal_and_is_refused_too_lowers_nothing_more() -> None:
    # Given an account that names a new limit once it refuses
    table, clock, account = InMemoryDynamoDb(), Clock(), Account(400)
    environments = [limit_of(table, clock) for _ in range(3)]
    for environment in environments:
        environment.requests_per_minute(account)
    account.limit = 100

    # When requests of all environments are refused, some after another has read it
    for environment in environments:
        environment.refused()
        environment.requests_per_minute(account)
        clock.sleep(10)

    # Then it is used as if there had been one
    assert [environment.requests_per_minute(account) for environment in environments] == [95] * 3


def test_refusals_that_go_on_lower_the_pace_further_but_never_below_one_request() -> None:
    table, clock, account = InMemoryDynamoDb(), Clock(), Account(20)
    environment = limit_of(table, clock)
    used = [environment.requests_per_minute(account)]

    for _ in range(8):
        environment.refused()
        clock.sleep(61)
        used.append(environment.requests_per_minute(account))

    assert used == pytest.approx([19, 9.5, 4.75, 2.375, 1.1875, 1, 1, 1, 1])


def test_who_comes_while_the_limit_is_read_after_a_refusal_waits_a_moment_for_it() -> None:
    # Given an account whose limit has changed, and that has refused a request
    table, clock, account = InMemoryDynamoDb(), Clock(), Account(400)
    first = limit_of(table, clock)
    first.requests_per_minute(account)
    first.refused()
    meanwhile: list[float] = []

    def read_slowly() -> int:
        # When another environment comes while it is read
        meanwhile.append(limit_of(table, clock).requests_per_minute(account))
        return 100

    assert first.requests_per_minute(read_slowly) == 95

    # Then that has half of the old one, and soon what was read
    second = limit_of(table, clock)
    assert meanwhile == [190]
    assert clock() - NOW == pytest.approx(10)
    assert second.requests_per_minute(account) == 95


def test_a_refusal_without_the_table_slows_the_environment_that_knows() -> None:
    table, clock, account = InMemoryDynamoDb(), Clock(), Account(400)
    environment = limit_of(table, clock)
    environment.requests_per_minute(account)
    table.fail("*", times=float("inf"))

    for _ in range(2):
        environment.refused()

    assert environment.requests_per_minute(account) == 190


def test_a_refusal_that_a_wrong_clock_told_slows_nobody() -> None:
    table, clock, account = InMemoryDynamoDb(), Clock(), Account(400)
    ahead = limit_of(table, Clock(clock() + 21_600))
    ahead.requests_per_minute(account)
    ahead.refused()

    assert limit_of(table, clock).requests_per_minute(account) == 380


def test_on_a_faster_clock_all_of_it_is_faster() -> None:
    table, clock, account = InMemoryDynamoDb(), Clock(), Account(400)
    environment = limit_of(table, clock, timing=Timing(probe_seconds=60.0, time_scale=60.0))
    environment.requests_per_minute(account)
    environment.refused()
    assert environment.requests_per_minute(account) == 190

    clock.sleep(8)

    assert environment.requests_per_minute(account) == 380


def test_the_person_on_call_is_told_that_the_pace_was_lowered_and_why(caplog: pytest.LogCaptureFixture) -> None:
    table, clock, account = InMemoryDynamoDb(), Clock(), Account(400)
    environment = limit_of(table, clock)
    environment.requests_per_minute(account)
    account.limit = 300

    for _ in range(2):
        environment.refused()
        environment.requests_per_minute(account)

    assert [record.message for record in caplog.records] == [
        "account refused what its limit allows, pace lowered",
        "account limit changed",
    ]
    lowered, changed = caplog.records
    assert (lowered.__dict__["usedShare"], lowered.__dict__["minutesUntilRaised"]) == (0.5, 2)
    assert (changed.__dict__["before"], changed.__dict__["limit"]) == (400, 300)
