"""Is a connector's limit kept over all environments, used up under a backlog, and heeded while Responsys throttles?"""

from __future__ import annotations

import heapq
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import Any, cast

import pytest
from botocore.exceptions import ConnectTimeoutError
from hypothesis import given
from hypothesis import strategies as st

from responsys_activation.aws.request_budget import RequestBudget, Slot
from responsys_activation.outcome import ErrorCode
from responsys_activation.responsys.errors import ThrottledError
from tests.fakes.clock import NOW, Clock
from tests.fakes.dynamodb import InMemoryDynamoDb
from tests.property.simulation import Place, Simulation, threads_of

FAR = 10_000.0  # later than any slot of these tests


def budget(
    table: InMemoryDynamoDb,
    clock: Clock,
    *,
    environments: int = 2,
    time_scale: float = 1.0,
    skew: float = 0.0,
    name: str = "default",
) -> RequestBudget:
    return RequestBudget(
        "delivery",
        name,
        cast("Any", table),
        environments=environments,
        time_scale=time_scale,
        clock=lambda: clock() + skew,
        sleep=clock.sleep,
    )


def throttled(call: Callable[[], Slot]) -> ThrottledError:
    with pytest.raises(ThrottledError) as caught:
        call()
    return caught.value


def most_in_a_minute(times: list[float]) -> int:
    ordered = sorted(times)
    return max((place + 1 - bisect_left(ordered, at - 60 + 1e-6) for place, at in enumerate(ordered)), default=0)


# ---- the limit ------------------------------------------------------------------------------------------------


@given(
    rate=st.sampled_from([1, 2, 7, 10, 20, 60, 200, 600]),
    arrivals=st.lists(
        st.tuples(st.integers(0, 3), st.floats(0, 40) | st.just(0.0), st.floats(0, 2)), min_size=1, max_size=120
    ),
)
def test_no_minute_has_more_requests_than_the_limit(rate: int, arrivals: list[tuple[int, float, float]]) -> None:
    # Given four environments
    table, clock = InMemoryDynamoDb(), Clock()
    budgets = [budget(table, clock) for _ in range(4)]

    # When requests come in any pattern, and each goes up to two seconds late
    went = []
    for environment, pause, late in arrivals:
        clock.sleep(pause)
        slot = budgets[environment].reserve(rate, clock() + FAR)
        assert clock() - 1 <= slot.at < slot.until
        went.append(min(max(slot.at, clock()) + late, slot.until))

    # Then no minute has more than allowed
    assert most_in_a_minute(went) <= rate


@pytest.mark.parametrize("rate", [6, 60, 200, 600])
def test_a_backlog_uses_at_least_nine_tenths_of_the_limit(rate: int) -> None:
    # Given a backlog in four environments
    table, clock = InMemoryDynamoDb(), Clock()
    budgets = [budget(table, clock) for _ in range(4)]

    # When they send for ten minutes
    went: list[float] = []
    while not went or went[-1] < NOW + 600:
        slot = budgets[len(went) % 4].reserve(rate, clock() + FAR)
        clock.now = slot.at
        went.append(slot.at)

    # Then hardly anything of the limit is left over
    assert 0.9 * rate * 10 <= len(went) - 1 <= rate * 10


def test_the_busy_connectors_slot_costs_one_call() -> None:
    table, clock = InMemoryDynamoDb(), Clock()
    of_connector = budget(table, clock)
    of_connector.reserve(60, clock() + FAR)
    table.calls.clear()

    for _ in range(5):
        of_connector.reserve(60, clock() + FAR)

    assert table.calls == Counter({"UpdateItem": 5})


def test_idle_time_saves_nothing_up() -> None:
    # Given an environment that has been idle for an hour
    table, clock = InMemoryDynamoDb(), Clock()
    of_connector = budget(table, clock)
    of_connector.reserve(60, clock() + FAR)
    clock.sleep(3600)

    # When it has many requests at once
    slots = [of_connector.reserve(60, clock() + FAR).at for _ in range(3)]

    # Then the first goes at once and the others at the pace of always
    assert slots[0] == clock()
    assert slots[2] - slots[1] == pytest.approx(slots[1] - slots[0]) == pytest.approx(60 / (60 * 0.95), abs=0.002)


def test_the_moment_between_two_batches_costs_no_slot() -> None:
    # Given requests of 600 a minute, and nine tenths of a second in which nobody asks
    table, clock = InMemoryDynamoDb(), Clock()
    of_connector = budget(table, clock)
    first = of_connector.reserve(600, clock() + FAR)
    clock.sleep(0.9)

    # When the next batch asks
    slots = [of_connector.reserve(600, clock() + FAR) for _ in range(12)]

    # Then it gets the slots that were missed as well, none twice, and they end when they would have
    assert [round(after.at - before.at, 3) for before, after in pairwise([first, *slots])] == [0.105] * 12
    assert slots[0].at < clock() < slots[0].until
    assert slots[0].until - slots[0].at == pytest.approx(2)


class SlowTable:
    """A table that takes a while for each call, as any table does."""

    def __init__(self, simulation: Simulation, table: InMemoryDynamoDb) -> None:
        self._simulation = simulation
        self._table = table

    def update_item(self, **call: Any) -> Any:
        self._simulation.sleep(0.01)
        return self._table.update_item(**call)


class Asking:
    """Environments whose requests all ask for a slot at the same moment.

    Attributes
    ----------
    slots : list of (float, int)
        When each is, and whose, in order.
    refused : int
        Requests for which no slot was in time.
    """

    def __init__(self, *, environments: int, requests: int, seconds: float) -> None:
        simulation = Simulation(seed=1)
        self.table = InMemoryDynamoDb()
        self.slots: list[tuple[float, int]] = []
        self.refused = 0
        self._latest = NOW + seconds
        with threads_of(simulation):
            for number in range(environments):
                of_connector = RequestBudget(
                    "delivery",
                    "default",
                    cast("Any", SlowTable(simulation, self.table)),
                    environments=environments,
                    clock=lambda: simulation.now,
                    sleep=simulation.sleep,
                )
                for _ in range(requests):
                    simulation.spawn(partial(self._ask, of_connector, number), Place())
            simulation.run()
        self.slots.sort()

    def _ask(self, of_connector: RequestBudget, number: int) -> None:
        try:
            self.slots.append((of_connector.reserve(600, self._latest).at, number))
        except ThrottledError:
            self.refused += 1


def test_requests_that_wait_together_get_slots_in_a_row() -> None:
    # Given two environments / When each has twenty requests at the same moment
    asking = Asking(environments=2, requests=20, seconds=FAR)

    # Then no slot is given twice or left out
    assert asking.refused == 0
    assert {round(after - before, 3) for (before, _), (after, _) in pairwise(asking.slots)} == {0.105}
    # And but for the first ones each environment's are in a row, for few calls
    owners = [number for _, number in asking.slots]
    assert sum(before != after for before, after in pairwise(owners)) <= 3
    assert asking.table.calls["UpdateItem"] <= 8


def test_of_requests_that_wait_together_as_many_go_as_have_the_time() -> None:
    # Given one environment / When it has twenty requests and time for ten, at 0.105 s each
    asking = Asking(environments=1, requests=20, seconds=1.0)

    # Then those ten go, and no slot is reserved in vain
    assert (len(asking.slots), asking.refused) == (10, 10)
    assert asking.slots[-1][0] <= NOW + 1.0
    (item,) = asking.table.items.values()
    assert float(item["nextSlot"]["N"]) - asking.slots[-1][0] == pytest.approx(0.105, abs=0.001)


def test_two_connectors_have_two_budgets() -> None:
    table, clock = InMemoryDynamoDb(), Clock()
    budget(table, clock).reserve(1, clock() + FAR)

    assert budget(table, clock, name="second").reserve(1, clock() + FAR).at == clock()


@pytest.mark.parametrize("time_scale", [1.0, 10.0])
def test_without_a_slot_in_time_the_request_is_deferred_until_there_is_one(time_scale: float) -> None:
    # Given a connector whose next slot is 63 s away
    table, clock = InMemoryDynamoDb(), Clock()
    of_connector = budget(table, clock, time_scale=time_scale)
    of_connector.reserve(1, clock() + FAR)

    # When a request has less time than that
    error = throttled(lambda: of_connector.reserve(1, clock() + 5))

    # Then it is told the budget's clock, unscaled
    assert error.code == ErrorCode.BUDGET_EXHAUSTED
    assert error.clock == pytest.approx(60 / 0.95, abs=0.02)


def test_a_request_that_is_already_too_late_takes_no_slot() -> None:
    table, clock = InMemoryDynamoDb(), Clock()

    assert throttled(lambda: budget(table, clock).reserve(60, clock() - 1)).code == ErrorCode.BUDGET_EXHAUSTED
    assert table.items == {}


# ---- clocks that differ ---------------------------------------------------------------------------------------


@given(
    rate=st.sampled_from([10, 60, 200]),
    skews=st.lists(st.sampled_from([-300.0, -7.0, 0.0, 7.0, 300.0]), min_size=2, max_size=3),
    pauses=st.lists(st.sampled_from([0, 0, 0, 0, 90, 400]), min_size=10, max_size=30),
)
def test_environments_whose_clocks_differ_by_minutes_send_hardly_more_and_do_not_stall(
    rate: int, skews: list[float], pauses: list[int]
) -> None:
    # Given environments whose clocks are wrong, each with four requests in flight and now and then nothing to do
    table, clock = InMemoryDynamoDb(), Clock()
    budgets = [budget(table, clock, skew=skew) for skew in skews]
    went: list[float] = []
    waits: list[float] = []
    ahead = iter(pauses * 1000)
    asking = [(NOW, number) for number in range(len(budgets)) for _ in range(4)]
    while asking[0][0] < NOW + 900:
        clock.now, number = heapq.heappop(asking)
        try:
            slot = budgets[number].reserve(rate, clock() + skews[number] + 110)
        except ThrottledError as exc:  # comes back from ThrottledDLQ
            waits.append(exc.clock)
            heapq.heappush(asking, (clock.now + max(1.0, exc.clock), number))
            continue
        went.append(max(slot.at - skews[number], clock.now))
        heapq.heappush(asking, (went[-1] + next(ahead), number))

    # Then a minute has few requests more than allowed, and nobody waits longer than the clocks differ
    allowed = rate + 4 * len(skews)
    assert most_in_a_minute(went) <= allowed
    assert max(waits, default=0.0) <= 600 + 110


# ---- throttled by Responsys -----------------------------------------------------------------------------------


@pytest.mark.parametrize("time_scale", [1.0, 10.0])
def test_a_throttle_holds_up_every_environment_until_its_clock_has_run_out(time_scale: float) -> None:
    # Given two environments of a connector
    table, clock = InMemoryDynamoDb(), Clock()
    first, second = (budget(table, clock, time_scale=time_scale) for _ in range(2))
    first.reserve(60, clock() + FAR)

    # When Responsys throttles the first
    first.pause("INTERNAL_CAPACITY_LIMIT_EXCEEDED", 600.0)
    clock.sleep(200 / time_scale)

    # Then the second learns what, how long, and since when, so that who came first can come back first
    error = throttled(lambda: second.reserve(60, clock() + FAR))
    assert error.code == "INTERNAL_CAPACITY_LIMIT_EXCEEDED"
    assert error.clock == pytest.approx(400, abs=0.2)
    assert error.since == pytest.approx(clock() - 200 / time_scale)
    assert error.age_share == pytest.approx(0.1 * time_scale)
    assert budget(table, clock, name="second").reserve(60, clock() + FAR).probe is None


def test_after_a_throttle_one_request_probes_and_the_others_wait_for_what_it_learns() -> None:
    # Given a throttle whose clock has run out
    table, clock = InMemoryDynamoDb(), Clock()
    first, second = (budget(table, clock) for _ in range(2))
    first.pause("API_LIMIT_EXCEEDED", 60.0)
    clock.sleep(60)

    # When the first environment comes
    probe = first.reserve(60, clock() + FAR)

    # Then it probes, and the second waits until the probe has passed
    assert probe.probe
    assert probe.at == clock()
    began = clock()
    clock.sleep = sleeping_until(clock, began + 5, lambda: first.lift(cast("float", probe.probe)))  # type: ignore[assignment,method-assign]
    other = budget(table, clock).reserve(60, clock() + FAR)
    assert other.probe is None
    assert began + 5 <= other.at <= began + 6
    assert second.reserve(60, clock() + FAR).probe is None


def sleeping_until(clock: Clock, at: float, then: Callable[[], None]) -> Callable[[float], None]:
    pending = [then]

    def sleep(seconds: float) -> None:
        clock.now += seconds
        if clock.now >= at and pending:
            pending.pop()()

    return sleep


def test_a_probe_that_is_throttled_too_starts_the_clock_anew() -> None:
    table, clock = InMemoryDynamoDb(), Clock()
    first, second = (budget(table, clock) for _ in range(2))
    first.pause("API_LIMIT_EXCEEDED", 60.0)
    clock.sleep(60)
    assert first.reserve(60, clock() + FAR).probe

    first.pause("API_LIMIT_EXCEEDED", 60.0)

    assert throttled(lambda: second.reserve(60, clock() + FAR)).clock == pytest.approx(60, abs=0.01)


@pytest.mark.parametrize("time_scale", [1.0, 10.0])
def test_an_outage_of_many_clocks_is_one_to_whose_end_all_come_back_within_a_minute(time_scale: float) -> None:
    # Given an outage that three probes found to go on
    table, clock = InMemoryDynamoDb(), Clock()
    of_connector = budget(table, clock, time_scale=time_scale)
    began = clock()
    since, _ = of_connector.pause("INTERNAL_CAPACITY_LIMIT_EXCEEDED", 600.0)
    assert since == pytest.approx(began)

    # When each is told
    for _ in range(3):
        clock.sleep(600 / time_scale)
        assert of_connector.reserve(60, clock() + FAR).probe
        told = of_connector.pause("INTERNAL_CAPACITY_LIMIT_EXCEEDED", 600.0)

    # Then the outage is as old as it is, and its last message waits a minute longer than its first
    error = throttled(lambda: of_connector.reserve(60, clock() + FAR))
    assert (error.since, error.age_share) == pytest.approx(told)
    assert error.since == pytest.approx(began)
    assert error.age_share * (clock() + 600 / time_scale - began) == pytest.approx(60)

    # And the next outage is another
    clock.sleep(600 / time_scale)
    of_connector.lift(cast("float", of_connector.reserve(60, clock() + FAR).probe))
    clock.sleep(5)
    assert of_connector.pause("API_LIMIT_EXCEEDED", 60.0) == pytest.approx((clock(), 0.1 * time_scale))


def test_a_killed_probe_holds_the_others_up_for_a_minute() -> None:
    table, clock = InMemoryDynamoDb(), Clock()
    first, second = (budget(table, clock) for _ in range(2))
    first.pause("API_LIMIT_EXCEEDED", 60.0)
    clock.sleep(60)
    assert first.reserve(60, clock() + FAR).probe
    began = clock()

    successor = second.reserve(60, clock() + FAR)

    assert successor.probe
    assert began + 60 <= successor.at <= began + 61


def test_who_has_no_time_to_wait_for_a_probe_is_told_the_throttle() -> None:
    table, clock = InMemoryDynamoDb(), Clock()
    first, second = (budget(table, clock) for _ in range(2))
    first.pause("API_LIMIT_EXCEEDED", 60.0)
    clock.sleep(60)
    first.reserve(60, clock() + FAR)

    error = throttled(lambda: second.reserve(60, clock() + 10))

    assert error.code == "API_LIMIT_EXCEEDED"
    assert error.clock >= 50


def test_a_probe_handed_back_is_the_next_requests() -> None:
    table, clock = InMemoryDynamoDb(), Clock()
    first, second = (budget(table, clock) for _ in range(2))
    first.pause("API_LIMIT_EXCEEDED", 60.0)
    clock.sleep(60)
    probe = first.reserve(60, clock() + FAR).probe
    assert probe

    first.hand_back(probe)

    successor = second.reserve(60, clock() + FAR)
    assert successor.probe
    assert successor.at == clock()


def test_what_a_probe_learns_too_late_changes_nothing() -> None:
    # Given a probe that took longer than a minute, so that another follows it
    table, clock = InMemoryDynamoDb(), Clock()
    first, second = (budget(table, clock) for _ in range(2))
    first.pause("API_LIMIT_EXCEEDED", 60.0)
    clock.sleep(60)
    old = first.reserve(60, clock() + FAR).probe
    second.reserve(60, clock() + FAR)
    before = dict(table.items)
    assert old

    # When the first ends after all
    first.lift(old)
    first.hand_back(old)

    # Then the second is still the probe
    assert table.items == before


def test_a_shorter_throttle_does_not_shorten_a_longer_one() -> None:
    table, clock = InMemoryDynamoDb(), Clock()
    first, second = (budget(table, clock) for _ in range(2))
    first.pause("INTERNAL_CAPACITY_LIMIT_EXCEEDED", 600.0)

    second.pause("API_LIMIT_EXCEEDED", 60.0)

    assert throttled(lambda: second.reserve(60, clock() + FAR)).clock >= 600


def test_a_throttle_that_cannot_be_told_stops_nothing() -> None:
    table, clock = InMemoryDynamoDb(), Clock()
    table.fail("UpdateItem", times=2)
    of_connector = budget(table, clock)

    of_connector.pause("API_LIMIT_EXCEEDED", 60.0)
    of_connector.lift(1.0)


# ---- without the table ----------------------------------------------------------------------------------------


def test_without_the_table_an_environment_goes_on_at_its_own_share() -> None:
    # Given a table out of reach
    table, clock = InMemoryDynamoDb(), Clock()
    table.fail("UpdateItem", times=1, error=ConnectTimeoutError(endpoint_url="x"))
    of_connector = budget(table, clock, environments=4)

    # When requests go for half a minute
    slots = [of_connector.reserve(200, clock() + FAR) for _ in range(10)]

    # Then a quarter of the limit is used, without a further call, and each slot tells that it was not shared
    assert not any(slot.shared for slot in slots)
    assert slots[1].at - slots[0].at == pytest.approx(60 / (200 / 4 * 0.95))
    assert table.calls["UpdateItem"] == 1


@pytest.mark.parametrize("time_scale", [1.0, 10.0])
def test_the_table_is_tried_again_after_half_a_minute(time_scale: float) -> None:
    table, clock = InMemoryDynamoDb(), Clock()
    table.fail("UpdateItem", times=1)
    of_connector = budget(table, clock, time_scale=time_scale)
    assert not of_connector.reserve(600, clock() + FAR).shared

    clock.sleep(29 / time_scale)
    assert not of_connector.reserve(600, clock() + FAR).shared
    clock.sleep(2 / time_scale)
    assert of_connector.reserve(600, clock() + FAR).shared


def test_own_pace_knows_what_is_too_late() -> None:
    table, clock = InMemoryDynamoDb(), Clock()
    table.fail("UpdateItem", times=1)
    of_connector = budget(table, clock, environments=2)

    error = throttled(lambda: of_connector.reserve(1, clock() + 60))

    assert error.code == ErrorCode.BUDGET_EXHAUSTED
    assert error.clock > 60


@given(
    rate=st.sampled_from([4, 10, 60, 200, 600]),
    environments=st.integers(1, 12),
    before=st.floats(0, 90),
    offsets=st.lists(st.floats(0, 20), min_size=12, max_size=12),
)
def test_environments_that_all_lose_the_table_keep_the_limit_together(
    rate: int, environments: int, before: float, offsets: list[float]
) -> None:
    # Given environments with a backlog, fewer than the limit has requests
    environments = min(environments, rate)
    table, clock = InMemoryDynamoDb(), Clock()
    budgets = [budget(table, clock, environments=environments) for _ in range(environments)]
    went: list[float] = []
    while clock() < NOW + before:
        clock.now = budgets[len(went) % environments].reserve(rate, clock() + FAR).at
        went.append(clock())

    # When the table goes, and each finds out in its own time
    table.fail("UpdateItem", times=environments)
    lost = clock()
    for each, offset in zip(budgets, offsets, strict=False):
        clock.now = lost + offset
        own = [each.reserve(rate, clock() + FAR).at for _ in range(min(rate, 40))]
        went.extend(at for at in own if at < lost + offset + 30)

    # Then no minute has more than the limit
    assert most_in_a_minute(went) <= rate
