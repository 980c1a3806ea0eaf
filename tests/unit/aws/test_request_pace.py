"""Do all connectors of an account keep its limit together, each at its own pace, with and without the table?"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from typing import Any, cast

import pytest
from botocore.exceptions import ConnectTimeoutError
from hypothesis import given, settings
from hypothesis import strategies as st

from responsys_activation.aws.account_limit import AccountLimit
from responsys_activation.aws.budget_reach import BudgetReach
from responsys_activation.aws.delivery_table import (
    DeliveryTable,
    Key,
    account_budget_key,
    account_limit_key,
    connector_budget_key,
)
from responsys_activation.aws.request_budget import RequestBudget
from responsys_activation.aws.request_pace import RequestPace
from responsys_activation.aws.slots import BudgetOutOfReachError, NoSlotError, Slot, Timing, Wait
from responsys_activation.error_code import ErrorCode
from responsys_activation.responsys.errors import UnavailableError
from tests.fakes.clock import NOW, Clock
from tests.fakes.dynamodb import InMemoryDynamoDb
from tests.property.simulation import Place, Simulation, threads_of

FAR = 10_000.0  # later than any slot of these tests
ACCOUNT = ("account#one", "budget")


class Environment:
    """One environment's paces, as many connectors as it is asked for."""

    def __init__(
        self,
        table: Any,
        clock: Callable[[], float],
        sleep: Callable[[float], None],
        *,
        time_scale: float = 1.0,
    ) -> None:
        self._table = DeliveryTable("delivery", table)
        self._times: dict[str, Any] = {"clock": clock, "sleep": sleep}
        self._timed = {"timing": Timing(probe_seconds=90.0, time_scale=time_scale)} | self._times
        self._reach = BudgetReach(**self._timed)

    def pace(
        self, requests_per_minute: int | None = None, *, name: str = "default", account: str = "one"
    ) -> RequestPace:
        def budget(key: Key) -> RequestBudget:
            return RequestBudget(self._table, key, reach=self._reach, **self._timed)

        return RequestPace(
            requests_per_minute,
            limit=AccountLimit(self._table, account_limit_key(account), **self._timed),
            account=budget(account_budget_key(account)),
            own=budget(connector_budget_key(name)),
            reach=self._reach,
            **self._times,
        )


def at(limit: int | None) -> Callable[[], int | None]:
    return lambda: limit


def environment(table: InMemoryDynamoDb, clock: Clock, **options: Any) -> Environment:
    return Environment(cast("Any", table), clock, clock.sleep, **options)


def throttled(call: Callable[[], Slot]) -> Wait:
    with pytest.raises(NoSlotError) as caught:
        call()
    return caught.value.wait


def most_in_a_minute(times: Sequence[float]) -> int:
    ordered = sorted(times)
    return max((place + 1 - bisect_left(ordered, time - 60 + 1e-6) for place, time in enumerate(ordered)), default=0)


class Backlog:
    """Environments whose connectors always have the next request.

    Attributes
    ----------
    went : dict of str to list of float
        When, by connector.
    """

    def __init__(
        self,
        wanted: dict[str, int | None],
        *,
        limit: int | None,
        environments: int = 2,
        minutes: float = 10.0,
        in_flight: int = 4,
        out_of_reach: Callable[[int, float], bool] = lambda number, seconds: False,
        late: Callable[[], float] = lambda: 0.0,
    ) -> None:
        self._simulation = Simulation(seed=1)
        self._end = NOW + minutes * 60
        self._limit = limit
        self._late = late
        self.table = InMemoryDynamoDb()
        self.went: dict[str, list[float]] = {name: [] for name in wanted}
        with threads_of(self._simulation):
            for number in range(environments):
                of_environment = Environment(
                    Reaching(self.table, self._seconds, partial(out_of_reach, number)),
                    lambda: self._simulation.now,
                    self._simulation.sleep,
                )
                for name, requests_per_minute in wanted.items():
                    pace = of_environment.pace(requests_per_minute, name=name)
                    for _ in range(in_flight):
                        self._simulation.spawn(partial(self._send, name, pace), Place())
            self._simulation.run()

    def _seconds(self) -> float:
        return self._simulation.now - NOW

    def _send(self, name: str, pace: RequestPace) -> None:
        now = self._simulation
        while now.now < self._end:
            try:
                slot = pace.reserve(at(self._limit), now.now + 100)
            except NoSlotError as exc:
                now.sleep(max(1.0, exc.wait.retry_after))
                continue
            now.sleep(slot.at - now.now)
            now.sleep(min(self._late(), slot.until - now.now))
            self.went[name].append(now.now)

    @property
    def all(self) -> list[float]:
        return [time for times in self.went.values() for time in times if time < self._end]


class Reaching:
    """A table that is out of reach now and then."""

    def __init__(
        self, table: InMemoryDynamoDb, seconds: Callable[[], float], out_of_reach: Callable[[float], bool]
    ) -> None:
        self._table = table
        self._seconds = seconds
        self._out_of_reach = out_of_reach

    def __getattr__(self, operation: str) -> Any:
        if self._out_of_reach(self._seconds()):
            raise ConnectTimeoutError(endpoint_url="dynamodb")
        return getattr(self._table, operation)


# ---- one limit for all of an account --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wanted", "limit", "used"),
    [
        ({"a": 200}, 200, 0.985 * 200),  # all of the limit, as its owner says
        ({"a": 400}, 200, 0.985 * 200),
        ({"a": None}, 200, 0.985 * 0.95 * 200),
        ({"a": None, "b": None}, 200, 0.985 * 0.95 * 200),
        ({"a": 20, "b": None}, 200, 0.985 * 0.95 * 200),
        ({"a": 20}, 200, 0.985 * 20),
        ({"a": 20, "b": 30}, 200, 0.985 * 50),
        ({"a": 300}, None, 0.985 * 300),
        ({"a": None}, None, 0.985 * 100),
    ],
)
def test_connectors_use_what_they_want_of_the_limit_and_no_more(
    wanted: dict[str, int | None], limit: int | None, used: float
) -> None:
    # Given two environments / When the connectors of an account have a backlog for ten minutes
    backlog = Backlog(wanted, limit=limit)

    # Then they use as much, and no minute has more than the limit, nor than a connector wants that nobody holds up
    assert len(backlog.all) / 10 == pytest.approx(used, rel=0.02)
    assert most_in_a_minute(backlog.all) <= (limit or FAR)
    for name, requests_per_minute in wanted.items():
        held_up = len(wanted) > 1
        assert most_in_a_minute(backlog.went[name]) <= (requests_per_minute or FAR) + held_up


def test_a_slow_connector_gets_its_pace_beside_a_fast_one() -> None:
    # Given a connector that leaves nothing of the limit / When another of the account wants a little
    backlog = Backlog({"busy": None, "slow": 20}, limit=200)

    # Then it gets it, but for what waiting for its turn in the account takes
    assert len(backlog.went["slow"]) / 10 == pytest.approx(19.7, rel=0.1)


def test_a_slot_costs_a_call_and_one_more_where_the_connector_is_slower_than_its_account() -> None:
    table, clock = InMemoryDynamoDb(), Clock()
    paces = [environment(table, clock).pace(wanted, name=str(wanted)) for wanted in (None, 200, 300, 20)]
    calls = []
    for pace in paces:
        for _ in range(6):
            table.calls.clear()
            clock.now = max(clock.now, pace.reserve(at(200), clock() + FAR).at)
        calls.append(Counter(table.calls))

    assert calls == [Counter(UpdateItem=count) for count in (1, 1, 1, 2)]


def test_a_slot_of_the_account_is_only_taken_by_who_may_use_it() -> None:
    # Given a slow connector that has to wait a minute
    table, clock = InMemoryDynamoDb(), Clock()
    slow, fast = (environment(table, clock).pace(wanted, name=str(wanted)) for wanted in (1, None))
    slow.reserve(at(200), clock() + FAR)
    began = clock()

    # When it has got its slot
    slot = slow.reserve(at(200), clock() + FAR)

    # Then it waited for its own, and then took the account's of that time
    assert began + 60 < clock() == slot.at
    assert fast.reserve(at(200), clock() + FAR).at == pytest.approx(clock() + 60 / (190 * 0.985), abs=0.001)


@pytest.mark.parametrize("limit", [12, None])
def test_who_does_not_know_the_limit_yet_keeps_the_connectors_pace_with_who_does(limit: int | None) -> None:
    # Given an environment that comes while another reads the account's limit for the first time
    table, clock = InMemoryDynamoDb(), Clock()
    first, second = (environment(table, clock).pace(6) for _ in range(2))
    meanwhile: list[float] = []

    def read() -> int | None:
        meanwhile.append(second.reserve(at(limit), clock() + FAR).at)
        return limit

    # When both have their slots / Then they are as far apart as the connector wants
    slots = [first.reserve(read, clock() + FAR).at for _ in range(2)]
    assert [after - before for before, after in pairwise([*meanwhile, *slots])] == pytest.approx(
        [60 / 5.91] * 2, abs=0.01
    )


def test_two_accounts_do_not_know_each_other() -> None:
    # Given an account that is paused and whose slots are far away
    table, clock = InMemoryDynamoDb(), Clock()
    one = environment(table, clock)
    one.pace(1).reserve(at(1), clock() + FAR)
    one.pace().pause("API_LIMIT_EXCEEDED", 60.0)

    # When another's connector asks / Then it has its slot at once
    assert one.pace(name="other", account="two").reserve(at(200), clock() + FAR).at == clock()


def test_a_moved_connector_does_not_take_the_old_accounts_limit_along() -> None:
    # Given a connector that used an account of a thousand requests a minute
    table, clock = InMemoryDynamoDb(), Clock()
    environment(table, clock).pace(account="large").reserve(at(1000), clock() + FAR)

    # When it moves to one of thirty
    pace = environment(table, clock).pace(account="small")
    slots = [pace.reserve(at(30), clock() + FAR).at for _ in range(2)]

    # Then it keeps that one's
    assert slots[1] - slots[0] == pytest.approx(60 / (0.985 * 0.95 * 30), abs=0.001)


# ---- one pause for all of an account --------------------------------------------------------------------------


def test_a_throttle_of_one_connector_holds_up_all_of_its_account() -> None:
    # Given two connectors of an account in two environments
    table, clock = InMemoryDynamoDb(), Clock()
    first, second = (environment(table, clock).pace(60, name=name) for name in ("a", "b"))
    for pace in (first, second):
        pace.reserve(at(200), clock() + FAR)

    # When one is throttled
    told = first.pause("INTERNAL_CAPACITY_LIMIT_EXCEEDED", 600.0)
    began = clock()

    # Then the other is told the same, and one request probes for both
    error = throttled(lambda: second.reserve(at(200), clock() + FAR))
    assert error.code == "INTERNAL_CAPACITY_LIMIT_EXCEEDED"
    assert (error.since, error.age_share) == (told.since, told.age_share)
    assert error.retry_after == pytest.approx(began + 600 - clock())
    clock.sleep(600)
    probe = second.reserve(at(200), clock() + FAR).probe
    assert probe
    assert throttled(lambda: first.reserve(at(200), clock() + 5)).code == "INTERNAL_CAPACITY_LIMIT_EXCEEDED"
    # And what it learns is for both
    second.lift(probe)
    assert first.reserve(at(200), clock() + FAR).probe is None


def test_a_probe_handed_back_is_another_connectors() -> None:
    table, clock = InMemoryDynamoDb(), Clock()
    first, second = (environment(table, clock).pace(name=name) for name in ("a", "b"))
    first.pause("TIMEOUT", 600.0, in_doubt=True)
    clock.sleep(600)

    first.hand_back(cast("float", first.reserve(at(200), clock() + FAR).probe))

    successor = second.reserve(at(200), clock() + FAR)
    assert successor.probe
    assert successor.one_recipient


def test_a_pause_uses_up_no_slot_of_the_connectors_own() -> None:
    # Given a slow connector that knows of a pause
    table, clock = InMemoryDynamoDb(), Clock()
    pace = environment(table, clock).pace(1)
    pace.pause("API_LIMIT_EXCEEDED", 60.0)

    # When its requests ask / Then they are told, and the first after the pause does not wait for them
    for _ in range(5):
        throttled(lambda: pace.reserve(at(200), clock() + FAR))
    clock.sleep(60)
    assert pace.reserve(at(200), clock() + FAR).at == pytest.approx(NOW + 60)


# ---- time -----------------------------------------------------------------------------------------------------


def test_a_request_whose_time_went_by_while_the_limit_was_read_takes_no_slot() -> None:
    table, clock = InMemoryDynamoDb(), Clock()

    def read_slowly() -> int:
        clock.sleep(40)
        return 200

    with pytest.raises(UnavailableError) as caught:
        environment(table, clock).pace().reserve(read_slowly, clock() + 30)

    assert caught.value.code == ErrorCode.OUT_OF_TIME
    assert ACCOUNT not in table.items


@pytest.mark.parametrize("wanted", [1, 20])
def test_a_slot_that_is_too_late_is_told_whoevers_it_is(wanted: int) -> None:
    # Given a connector of one request a minute, its own or its account's
    table, clock = InMemoryDynamoDb(), Clock()
    pace = environment(table, clock).pace(wanted)
    limit = 200 if wanted == 1 else 1
    pace.reserve(at(limit), clock() + FAR)

    error = throttled(lambda: pace.reserve(at(limit), clock() + 5))

    assert error.code == ErrorCode.BUDGET_EXHAUSTED
    assert error.retry_after == pytest.approx(60 / 0.985, abs=0.1)


# ---- without the table ----------------------------------------------------------------------------------------


_INTERVALS = st.lists(st.tuples(st.integers(0, 200), st.integers(1, 300)), max_size=3)


@settings(max_examples=40)
@given(
    limit=st.sampled_from([40, 100, 200, 300]),
    out_of_reach=st.lists(_INTERVALS | st.just([(0, 1000)]), min_size=1, max_size=5),
    late=st.lists(st.floats(0, 1), min_size=1, max_size=30),
)
def test_environments_in_and_out_of_reach_of_the_table_keep_the_limit_together(
    limit: int, out_of_reach: list[list[tuple[int, int]]], late: list[float]
) -> None:
    # Given environments with a backlog, each of which cannot reach the table now and then, or never
    delays = iter(late * 10_000)
    backlog = Backlog(
        {"default": limit},
        limit=limit,
        environments=len(out_of_reach),
        minutes=4,
        out_of_reach=lambda number, seconds: any(
            begin <= seconds < begin + length for begin, length in out_of_reach[number]
        ),
        late=lambda: next(delays),
    )

    # When each request goes as late as it may / Then no minute has more than the limit
    assert most_in_a_minute(backlog.all) <= limit


@pytest.mark.parametrize("out", [1, 3, 4])
def test_the_others_go_on_at_their_pace_beside_environments_without_the_table(out: int) -> None:
    # Given four environments of a limit of 200, some of which never reach the table
    backlog = Backlog({"default": 200}, limit=200, environments=4, out_of_reach=lambda number, _: number < out)

    # When they have a backlog for ten minutes / Then those send nothing, and the others all that there is
    assert len(backlog.all) / 10 == pytest.approx(197 if out < 4 else 0, rel=0.02)


def test_nothing_goes_before_the_table_is_back() -> None:
    # Given an account / When nobody reaches the table for three minutes
    backlog = Backlog({"a": 200, "b": None}, limit=200, environments=4, out_of_reach=lambda _, seconds: seconds < 180)

    # Then nothing goes until it is back, and then all at once
    assert min(backlog.all) == pytest.approx(NOW + 180, abs=15)
    assert len(backlog.all) / 7 == pytest.approx(197, rel=0.03)


def test_who_cannot_reach_the_table_waits_for_it_once_and_does_not_hold_the_function_longer() -> None:
    # Given a table that stays out of reach
    table, clock = InMemoryDynamoDb(), Clock()
    table.fail("*", times=float("inf"))
    pace = environment(table, clock).pace(20)

    # When a request wants a slot within a long invocation
    with pytest.raises(BudgetOutOfReachError) as caught:
        pace.reserve(at(20), clock() + 120)

    # Then it is put off after the table was tried twice
    assert clock() == NOW + 10
    assert caught.value.wait.code == ErrorCode.BUDGET_EXHAUSTED
    assert caught.value.wait.retry_after == pytest.approx(10)


@pytest.mark.parametrize("time_scale", [1.0, 10.0])
def test_one_fault_costs_ten_seconds_and_no_deferral(time_scale: float) -> None:
    # Given a connector whose table fails once
    table, clock = InMemoryDynamoDb(), Clock()
    pace = environment(table, clock, time_scale=time_scale).pace(200)
    pace.reserve(at(200), clock() + FAR)
    table.fail("UpdateItem", times=1)
    began = clock()

    # When its next requests come
    slots = [pace.reserve(at(200), clock() + FAR) for _ in range(3)]

    # Then they wait until the table is tried again
    assert slots[0].at == pytest.approx(began + 10 / time_scale)
    # And what has less time is told so
    table.fail("UpdateItem", times=1)
    error = throttled(lambda: pace.reserve(at(200), clock() + 5 / time_scale))
    assert error.code == ErrorCode.BUDGET_EXHAUSTED
    assert error.retry_after == pytest.approx(10)


# ---- a pause, or a lower limit, while requests wait -----------------------------------------------------------


@pytest.mark.parametrize("code", ["API_LIMIT_EXCEEDED", "OTHER_ERROR"])
def test_a_throttle_because_of_the_limit_lowers_the_pace_of_all_connectors(code: str) -> None:
    # Given two connectors of an account in two environments / When one is throttled
    table, clock = InMemoryDynamoDb(), Clock()
    first, second = (environment(table, clock).pace(200, name=name) for name in ("a", "b"))
    first.reserve(at(200), clock() + FAR)
    first.pause(code, 60.0)  # 429 without a code of Responsys's own is one, too
    clock.sleep(60)

    # Then the other goes half as fast when that is over
    second.lift(cast("float", second.reserve(at(200), clock() + FAR).probe))
    slots = [second.reserve(at(200), clock() + FAR).at for _ in range(2)]
    assert slots[1] - slots[0] == pytest.approx(60 / (0.985 * 100), abs=0.001)


@pytest.mark.parametrize(("code", "in_doubt"), [("INTERNAL_CAPACITY_LIMIT_EXCEEDED", False), ("TIMEOUT", True)])
def test_other_pauses_say_nothing_of_the_limit(code: str, in_doubt: bool) -> None:
    table, clock = InMemoryDynamoDb(), Clock()
    pace = environment(table, clock).pace(200)
    pace.reserve(at(200), clock() + FAR)
    pace.pause(code, 600.0, in_doubt=in_doubt)
    clock.sleep(600)

    pace.lift(cast("float", pace.reserve(at(200), clock() + FAR).probe))

    slots = [pace.reserve(at(200), clock() + FAR).at for _ in range(2)]
    assert slots[1] - slots[0] == pytest.approx(60 / 197, abs=0.001)


def test_who_waits_for_a_slot_learns_of_another_environments_pause() -> None:
    table, clock = InMemoryDynamoDb(), Clock()
    first, second = (environment(table, clock).pace(200) for _ in range(2))
    first.reserve(at(200), clock() + FAR)
    assert not first.is_paused()

    second.pause("API_LIMIT_EXCEEDED", 60.0)

    assert first.is_paused()


@pytest.mark.parametrize(("code", "asked"), [("API_LIMIT_EXCEEDED", 1), ("INTERNAL_CAPACITY_LIMIT_EXCEEDED", 0)])
def test_a_paused_account_is_asked_for_its_limit_only_if_that_is_what_it_is_about(code: str, asked: int) -> None:
    # Given an account whose limit was read long ago, and that another environment has found throttled
    table, clock = InMemoryDynamoDb(), Clock()
    first, second = (environment(table, clock).pace(200) for _ in range(2))
    second.reserve(at(200), clock() + FAR)
    clock.sleep(400)
    first.pause(code, 600.0)
    reads: list[float] = []

    def read() -> int:
        reads.append(clock())
        return 200

    # When a request comes in that time, or after it when nobody has probed yet / Then the account is asked or not
    assert throttled(lambda: second.reserve(read, clock() + FAR)).code == code
    assert len(reads) == asked
    clock.sleep(600)
    assert second.reserve(read, clock() + FAR).probe
    assert len(reads) == 2 * asked


def test_where_the_table_is_out_of_reach_nobody_knows_of_a_pause() -> None:
    table, clock = InMemoryDynamoDb(), Clock()
    pace = environment(table, clock).pace(200)
    table.fail("GetItem", times=1)

    assert not pace.is_paused()
