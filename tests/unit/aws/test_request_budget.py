"""Is a limit kept over all environments, used up under a backlog, and heeded while Responsys throttles?"""

from __future__ import annotations

import contextlib
import heapq
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from responsys_activation.aws.budget_reach import BudgetReach
from responsys_activation.aws.delivery_table import DeliveryTable, account_budget_key
from responsys_activation.aws.faults import AwsCallError
from responsys_activation.aws.request_budget import RequestBudget
from responsys_activation.aws.slots import NoSlotError, Timing, Wait
from responsys_activation.error_code import ErrorCode
from tests.fakes.clock import NOW, Clock
from tests.fakes.dynamodb import InMemoryDynamoDb
from tests.property.simulation import Place, Simulation, threads_of

FAR = 10_000.0  # later than any slot of these tests
TIMING = Timing(probe_seconds=60.0)


def budget(
    table: InMemoryDynamoDb,
    clock: Clock,
    *,
    time_scale: float = 1.0,
    skew: float = 0.0,
    account: str = "one",
    probe_seconds: float = 60.0,
) -> RequestBudget:
    timing = Timing(probe_seconds=probe_seconds, time_scale=time_scale)
    return RequestBudget(
        DeliveryTable("delivery", cast("Any", table)),
        account_budget_key(account),
        reach=BudgetReach(timing=timing, clock=clock),
        timing=timing,
        clock=lambda: clock() + skew,
        sleep=clock.sleep,
    )


def throttled(call: Callable[[], object]) -> Wait:
    with pytest.raises(NoSlotError) as caught:
        call()
    return caught.value.wait


def most_in_a_minute(times: list[float]) -> int:
    ordered = sorted(times)
    return max((place + 1 - bisect_left(ordered, at - 60 + 1e-6) for place, at in enumerate(ordered)), default=0)


# ---- the limit ------------------------------------------------------------------------------------------------


@given(
    rate=st.sampled_from([1, 2, 7, 10, 20, 60, 200, 600]),
    arrivals=st.lists(
        st.tuples(st.integers(0, 3), st.floats(0, 40) | st.just(0.0), st.floats(0, 1), st.floats(0.1, 0.4)),
        min_size=1,
        max_size=120,
    ),
)
def test_no_minute_has_more_requests_than_the_limit(rate: int, arrivals: list[tuple[int, float, float, float]]) -> None:
    # Given four environments
    table, clock = InMemoryDynamoDb(), Clock()
    budgets = [budget(table, clock) for _ in range(4)]

    # When requests come in any pattern, go as late as they may, and are on their way for longer or shorter
    went = []
    for environment, pause, late, way in arrivals:
        clock.sleep(pause)
        slot = budgets[environment].reserve(rate, clock() + FAR)
        assert clock() - 1 <= slot.at < slot.until
        went.append(min(max(slot.at, clock()) + late, slot.until) + way)

    # Then no minute has more than allowed
    assert most_in_a_minute(went) <= rate


@pytest.mark.parametrize("rate", [6, 60, 200, 600])
def test_a_backlog_uses_98_percent_of_the_limit(rate: int) -> None:
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
    assert 0.98 * rate * 10 <= len(went) - 1 <= rate * 10


@pytest.mark.parametrize("idle_seconds", [0, 100])
def test_a_slot_costs_one_call(idle_seconds: int) -> None:
    table, clock = InMemoryDynamoDb(), Clock()
    of_account = budget(table, clock)

    for _ in range(5):
        of_account.reserve(60, clock() + FAR)
        clock.sleep(idle_seconds)

    assert table.calls == Counter({"UpdateItem": 5})


def test_a_slot_costs_one_call_where_others_use_the_budget_too() -> None:
    # Given an environment with a request every five seconds, while another has a backlog
    table, clock = InMemoryDynamoDb(), Clock()
    busy, slow = budget(table, clock), budget(table, clock)

    # When it has had some
    for _ in range(10):
        while busy.reserve(60, clock() + FAR).at < clock() + 5:
            pass
        clock.sleep(5)
        table.calls.clear()
        slow.reserve(60, clock() + FAR)

    # Then it knows that
    assert table.calls == Counter({"UpdateItem": 1})


def test_idle_time_saves_nothing_up() -> None:
    # Given an environment that has been idle for an hour
    table, clock = InMemoryDynamoDb(), Clock()
    of_account = budget(table, clock)
    of_account.reserve(60, clock() + FAR)
    clock.sleep(3600)

    # When it has many requests at once
    slots = [of_account.reserve(60, clock() + FAR).at for _ in range(3)]

    # Then the first goes at once and the others at the pace of always
    assert slots[0] == clock()
    assert slots[2] - slots[1] == pytest.approx(slots[1] - slots[0]) == pytest.approx(60 / (60 * 0.985), abs=0.002)


def test_the_moment_between_two_batches_costs_no_slot() -> None:
    # Given requests of 600 a minute, and a moment in which nobody asks
    table, clock = InMemoryDynamoDb(), Clock()
    of_account = budget(table, clock)
    first = of_account.reserve(600, clock() + FAR)
    clock.sleep(0.39)

    # When the next batch asks
    slots = [of_account.reserve(600, clock() + FAR) for _ in range(12)]

    # Then it gets the slots that were missed as well, none twice, and they end when they would have
    assert [round(after.at - before.at, 3) for before, after in pairwise([first, *slots])] == [
        pytest.approx(0.1015, abs=0.001)
    ] * 12
    assert slots[0].at < clock() < slots[0].until
    assert slots[0].until - slots[0].at == pytest.approx(0.6)


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
                of_account = RequestBudget(
                    DeliveryTable("delivery", cast("Any", SlowTable(simulation, self.table))),
                    account_budget_key("one"),
                    reach=BudgetReach(timing=TIMING),
                    timing=TIMING,
                    clock=lambda: simulation.now,
                    sleep=simulation.sleep,
                )
                for _ in range(requests):
                    simulation.spawn(partial(self._ask, of_account, number), Place())
            simulation.run()
        self.slots.sort()

    def _ask(self, of_account: RequestBudget, number: int) -> None:
        try:
            self.slots.append((of_account.reserve(600, self._latest).at, number))
        except NoSlotError:
            self.refused += 1


def test_requests_that_wait_together_get_slots_in_a_row() -> None:
    # Given two environments / When each has twenty requests at the same moment
    asking = Asking(environments=2, requests=20, seconds=FAR)

    # Then no slot is given twice or left out
    assert asking.refused == 0
    assert {round(after - before, 3) for (before, _), (after, _) in pairwise(asking.slots)} == {0.102}
    # And but for the first ones each environment's are in a row, for few calls
    owners = [number for _, number in asking.slots]
    assert sum(before != after for before, after in pairwise(owners)) <= 3
    assert asking.table.calls["UpdateItem"] <= 8


@pytest.mark.parametrize("requests", [20, 60])
def test_of_requests_that_wait_together_as_many_go_as_have_the_time(requests: int) -> None:
    # Given one environment / When it has more requests than time: for ten, at 0.102 s each
    asking = Asking(environments=1, requests=requests, seconds=1.0)

    # Then those ten go, and no slot is reserved in vain
    assert (len(asking.slots), asking.refused) == (10, requests - 10)
    assert asking.table.calls["UpdateItem"] <= 3 + requests - 10  # the ten that go, and each that does not
    assert asking.slots[-1][0] <= NOW + 1.0
    (item,) = asking.table.items.values()
    assert float(item["nextSlot"]["N"]) - asking.slots[-1][0] == pytest.approx(0.1015, abs=0.001)


def test_a_slot_that_nobody_could_use_is_gone_with_its_time() -> None:
    # Given three requests that wait together, the third with less time than the slot that comes with the second's
    simulation = Simulation(seed=1)
    table = InMemoryDynamoDb()
    refused: list[str] = []
    with threads_of(simulation):
        of_account = RequestBudget(
            DeliveryTable("delivery", cast("Any", SlowTable(simulation, table))),
            account_budget_key("one"),
            reach=BudgetReach(timing=TIMING),
            timing=TIMING,
            clock=lambda: simulation.now,
            sleep=simulation.sleep,
        )

        def ask(seconds: float) -> None:
            try:
                of_account.reserve(60, NOW + seconds)
            except NoSlotError as exc:
                refused.append(exc.wait.code)

        for seconds in (FAR, FAR, 1.5):
            simulation.spawn(partial(ask, seconds), Place())
        simulation.run()
        assert refused == [ErrorCode.BUDGET_EXHAUSTED]
        later: list[float] = []

        def ask_later() -> None:
            simulation.sleep(50)
            later.append(of_account.reserve(60, NOW + FAR).at)

        # When the next request comes after that time
        simulation.spawn(ask_later, Place())
        simulation.run()

    # Then its slot is one of then
    assert later == [pytest.approx(NOW + 50, abs=1)]


def test_two_accounts_have_two_budgets() -> None:
    table, clock = InMemoryDynamoDb(), Clock()
    budget(table, clock).reserve(1, clock() + FAR)

    assert budget(table, clock, account="two").reserve(1, clock() + FAR).at == clock()


@pytest.mark.parametrize("time_scale", [1.0, 10.0])
def test_without_a_slot_in_time_the_request_is_deferred_until_there_is_one(time_scale: float) -> None:
    # Given a connector whose next slot is 63 s away
    table, clock = InMemoryDynamoDb(), Clock()
    of_account = budget(table, clock, time_scale=time_scale)
    of_account.reserve(1, clock() + FAR)

    # When a request has less time than that
    error = throttled(lambda: of_account.reserve(1, clock() + 5))

    # Then it is told the budget's clock, unscaled
    assert error.code == ErrorCode.BUDGET_EXHAUSTED
    assert error.retry_after == pytest.approx(60 / 0.985, abs=0.02)


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
        except NoSlotError as exc:  # comes back from ThrottledDLQ
            waits.append(exc.wait.retry_after)
            heapq.heappush(asking, (clock.now + max(1.0, exc.wait.retry_after), number))
            continue
        went.append(max(slot.at - skews[number], clock.now))
        heapq.heappush(asking, (went[-1] + next(ahead), number))

    # Then a minute has few requests more than allowed, and nobody waits longer than the clocks differ
    allowed = rate + 4 * len(skews)
    assert most_in_a_minute(went) <= allowed
    assert max(waits, default=0.0) <= 600 + 110


def test_a_slot_of_a_clock_hours_ahead_is_ignored() -> None:
    # Given one reservation by a clock six hours ahead
    table, clock = InMemoryDynamoDb(), Clock()
    budget(table, clock, skew=21_600).reserve(200, clock() + 21_600 + 100)

    # When an environment comes that knows the time
    slots = [budget(table, clock).reserve(200, clock() + 100).at for _ in range(3)]

    # Then it starts anew
    assert slots == [pytest.approx(clock() + number * 60 / 197, abs=0.001) for number in range(3)]


def test_a_slot_as_far_ahead_as_two_invocations_is_believed() -> None:
    table, clock = InMemoryDynamoDb(), Clock()
    budget(table, clock, skew=1_790).reserve(200, clock() + FAR)

    error = throttled(lambda: budget(table, clock).reserve(200, clock() + 100))

    assert error.code == ErrorCode.BUDGET_EXHAUSTED
    assert error.retry_after == pytest.approx(1_790, abs=1)


def test_two_who_start_the_same_slot_anew_do_not_both_have_it() -> None:
    # Given a slot of a wrong clock, and an environment that starts anew while another is about to
    table, clock = InMemoryDynamoDb(), Clock()
    budget(table, clock, skew=21_600).reserve(60, clock() + 21_600)
    second = budget(table, clock)
    taken: list[float] = []

    def another_comes_first(_operation: str) -> None:
        if table.calls["UpdateItem"] == calls + 1 and not taken:
            taken.append(0.0)
            taken.append(second.reserve(60, clock() + FAR).at)

    calls = table.calls["UpdateItem"]
    table.before = another_comes_first

    # When both have got theirs
    own = budget(table, clock).reserve(60, clock() + FAR).at

    # Then they are two
    assert own - taken[1] == pytest.approx(60 / 59.1, abs=0.001)


def test_a_wrong_clock_that_goes_on_takes_its_own_pace_and_no_more() -> None:
    # Given an environment that is hours ahead for good, and one that is not, both with a backlog
    table, clock = InMemoryDynamoDb(), Clock()
    skews = (0.0, 21_600.0)
    budgets = [budget(table, clock, skew=skew) for skew in skews]
    went: tuple[list[float], list[float]] = ([], [])
    asking = [(NOW, number) for number in range(2) for _ in range(4)]
    while asking[0][0] < NOW + 180:
        clock.now, number = heapq.heappop(asking)
        at = budgets[number].reserve(60, clock() + skews[number] + 110).at - skews[number]
        went[number].append(max(at, clock.now))
        heapq.heappush(asking, (went[number][-1], number))

    # Then neither stands still, nor is faster than one alone
    for times in went:
        assert 50 <= most_in_a_minute(times) <= 60


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
    assert error.retry_after == pytest.approx(400, abs=0.2)
    assert error.since == pytest.approx(clock() - 200 / time_scale)
    assert error.age_share == pytest.approx(0.1 * time_scale)
    assert budget(table, clock, account="two").reserve(60, clock() + FAR).probe is None


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

    assert throttled(lambda: second.reserve(60, clock() + FAR)).retry_after == pytest.approx(60, abs=0.01)


@pytest.mark.parametrize("time_scale", [1.0, 10.0])
def test_an_outage_of_many_clocks_is_one_to_whose_end_all_come_back_within_a_minute(time_scale: float) -> None:
    # Given an outage that three probes found to go on
    table, clock = InMemoryDynamoDb(), Clock()
    of_account = budget(table, clock, time_scale=time_scale)
    began = clock()
    assert of_account.pause("INTERNAL_CAPACITY_LIMIT_EXCEEDED", 600.0).since == pytest.approx(began)

    # When each is told
    for _ in range(3):
        clock.sleep(600 / time_scale)
        assert of_account.reserve(60, clock() + FAR).probe
        told = of_account.pause("INTERNAL_CAPACITY_LIMIT_EXCEEDED", 600.0)

    # Then the outage is as old as it is, and its last message waits a minute longer than its first
    error = throttled(lambda: of_account.reserve(60, clock() + FAR))
    assert (error.since, error.age_share) == pytest.approx((told.since, told.age_share))
    assert error.since == pytest.approx(began)
    assert error.age_share * (clock() + 600 / time_scale - began) == pytest.approx(60)

    # And the next outage is another
    clock.sleep(600 / time_scale)
    of_account.lift(cast("float", of_account.reserve(60, clock() + FAR).probe))
    clock.sleep(5)
    told = of_account.pause("API_LIMIT_EXCEEDED", 60.0)
    assert (told.since, told.age_share) == pytest.approx((clock(), 0.1 * time_scale))


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
    assert error.retry_after >= 50


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


def test_probes_that_did_not_get_through_keep_the_distance_of_requests() -> None:
    # Given a throttle that is over, and something else in the way now
    table, clock = InMemoryDynamoDb(), Clock()
    budgets = [budget(table, clock) for _ in range(2)]
    budgets[0].pause("API_LIMIT_EXCEEDED", 60.0)
    clock.sleep(60)
    began = clock()

    # When one probe after the other fails at once
    probes = 0
    while clock() < began + 60:
        for each in budgets:
            with contextlib.suppress(NoSlotError):
                each.hand_back(cast("float", each.reserve(12, clock() + 1).probe), tried=True)
                probes += 1
        clock.sleep(1)

    # Then a minute has no more of them than of other requests
    assert 6 <= probes <= 12


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

    assert throttled(lambda: second.reserve(60, clock() + FAR)).retry_after >= 600


@pytest.mark.parametrize("skew", [-300.0, 0.0, 300.0])
def test_a_pause_of_an_hour_is_heeded_by_all_clocks(skew: float) -> None:
    # Given a throttle that says to come back in an hour, told by a clock five minutes slow, right or fast
    table, clock = InMemoryDynamoDb(), Clock()
    first, second = budget(table, clock, skew=skew), budget(table, clock, skew=-skew)
    first.pause("API_LIMIT_EXCEEDED", 3600.0)

    # When another comes at once, and when the hour is over
    error = throttled(lambda: second.reserve(60, clock() - skew + 100))
    clock.sleep(3600 + 2 * 300)

    # Then it waits an hour, as near as the clocks agree, and then it probes
    assert error.retry_after == pytest.approx(3600 + 2 * skew, abs=0.1)
    assert second.reserve(60, clock() - skew + 100).probe


def test_a_pause_by_a_clock_hours_ahead_holds_up_nobody() -> None:
    # Given a pause by a clock six hours ahead, which would last until then
    table, clock = InMemoryDynamoDb(), Clock()
    first, second = (budget(table, clock) for _ in range(2))
    budget(table, clock, skew=21_600).pause("API_LIMIT_EXCEEDED", 60.0)

    # When environments come that know the time
    probe = first.reserve(60, clock() + FAR)

    # Then one finds out whether there is a throttle, and the others wait for that as ever
    assert probe.probe == pytest.approx(clock() + 60)
    assert throttled(lambda: second.reserve(60, clock() + 10)).retry_after == pytest.approx(50)


@pytest.mark.parametrize(("idle_seconds", "lost", "call"), [(0, False, 1), (100, False, 1), (0, True, 2)])
def test_no_request_goes_into_a_pause_that_began_while_it_asked(idle_seconds: int, lost: bool, call: int) -> None:
    # Given an environment that goes on, starts anew after idleness, or finds that the item is gone
    table, clock = InMemoryDynamoDb(), Clock()
    first, second = (budget(table, clock) for _ in range(2))
    first.reserve(60, clock() + FAR)
    clock.sleep(idle_seconds)
    if lost:
        table.items.clear()
    table.calls.clear()

    def a_throttle_comes_between(_operation: str) -> None:
        if table.calls["UpdateItem"] == call:
            second.pause("API_LIMIT_EXCEEDED", 60.0)

    table.before = a_throttle_comes_between

    # When another is throttled just before / Then it gets no slot
    assert throttled(lambda: first.reserve(60, clock() + FAR)).code == "API_LIMIT_EXCEEDED"


@pytest.mark.parametrize("told_by_itself", [True, False])
def test_a_pause_is_asked_for_once_in_ten_seconds(told_by_itself: bool) -> None:
    # Given an environment that paused the account, or has learned that another did
    table, clock = InMemoryDynamoDb(), Clock()
    first, second = (budget(table, clock) for _ in range(2))
    first.pause("API_LIMIT_EXCEEDED", 60.0)
    asking = first if told_by_itself else second
    if not told_by_itself:
        throttled(lambda: second.reserve(60, clock() + FAR))
    table.calls.clear()

    # When its next requests come
    errors = [throttled(asking.heed_pause), throttled(lambda: asking.reserve(60, clock() + FAR))]

    # Then they are told without a call
    assert [error.retry_after for error in errors] == pytest.approx([60, 60])
    assert not table.calls
    # And not much longer than the table says so
    clock.sleep(11)
    asking.heed_pause()
    assert throttled(lambda: asking.reserve(60, clock() + FAR)).retry_after == pytest.approx(49)
    assert table.calls["UpdateItem"] == 1


def test_a_probes_lease_is_as_long_as_a_request_may_take() -> None:
    # Given a probe that may wait two minutes for its reply
    table, clock = InMemoryDynamoDb(), Clock()
    first, second = (budget(table, clock, probe_seconds=150.0) for _ in range(2))
    first.pause("API_LIMIT_EXCEEDED", 60.0)
    clock.sleep(60)
    first.reserve(60, clock() + FAR)

    # When it takes that long / Then nobody else probes before
    began = clock()
    assert second.reserve(60, clock() + FAR).at == pytest.approx(began + 150, abs=1)


# ---- in doubt -------------------------------------------------------------------------------------------------


def test_the_probe_of_a_pause_in_doubt_carries_one_recipient_until_one_is_answered() -> None:
    # Given an account that does not answer
    table, clock = InMemoryDynamoDb(), Clock()
    first, second = (budget(table, clock) for _ in range(2))
    first.pause("TIMEOUT", 600.0, in_doubt=True)

    # When its probe is in doubt too, and the next one is handed back
    for _ in range(2):
        clock.sleep(600)
        assert first.reserve(60, clock() + FAR).one_recipient
        first.pause("TIMEOUT", 600.0, in_doubt=True)
    clock.sleep(600)
    first.hand_back(cast("float", first.reserve(60, clock() + FAR).probe))

    # Then the pause goes on, and so does the doubt
    clock.sleep(1)
    probe = second.reserve(60, clock() + FAR)
    assert probe.one_recipient
    # And an answer ends both, also for the next throttle
    second.lift(cast("float", probe.probe))
    assert not first.reserve(60, clock() + FAR).one_recipient
    first.pause("API_LIMIT_EXCEEDED", 60.0)
    clock.sleep(60)
    assert second.reserve(60, clock() + FAR).one_recipient is False


@pytest.mark.parametrize(("throttle", "lasts"), [(60.0, 600.0), (3600.0, 3600.0)])
@pytest.mark.parametrize("doubt_first", [True, False])
def test_a_throttle_and_a_doubt_together_last_as_long_as_the_longer(
    throttle: float, lasts: float, doubt_first: bool
) -> None:
    # Given an account that is in doubt and throttles too
    table, clock = InMemoryDynamoDb(), Clock()
    first, second = (budget(table, clock) for _ in range(2))
    pauses = [
        partial(first.pause, "TIMEOUT", 600.0, in_doubt=True),
        partial(first.pause, "INTERNAL_CAPACITY_LIMIT_EXCEEDED", throttle),
    ]
    for pause in pauses if doubt_first else reversed(pauses):
        pause()

    # When the others ask / Then they wait for the later end, and the probe carries one recipient
    assert throttled(lambda: second.reserve(60, clock() + FAR)).retry_after == pytest.approx(lasts)
    clock.sleep(lasts)
    assert second.reserve(60, clock() + FAR).one_recipient


# ---- the table out of reach -----------------------------------------------------------------------------------


def test_a_pause_that_cannot_be_told_is_heeded_by_the_environment_that_knows() -> None:
    # Given an environment that is throttled while the table is out of reach
    table, clock = InMemoryDynamoDb(), Clock()
    table.fail("UpdateItem", times=1)
    first, second = (budget(table, clock) for _ in range(2))
    first.pause("INTERNAL_CAPACITY_LIMIT_EXCEEDED", 600.0)

    # When the next requests come / Then its own wait, and nobody else knows
    clock.sleep(590)
    assert throttled(first.heed_pause).retry_after == pytest.approx(10)
    assert throttled(lambda: first.reserve(60, clock() + FAR)).retry_after == pytest.approx(10)
    assert second.reserve(60, clock() + FAR).at == clock()


def test_after_a_fault_the_table_is_left_alone_for_a_while() -> None:
    table, clock = InMemoryDynamoDb(), Clock()
    table.fail("UpdateItem", times=1)
    of_account = budget(table, clock)

    for _ in range(2):
        with pytest.raises(AwsCallError):
            of_account.reserve(60, clock() + FAR)

    assert table.calls["UpdateItem"] == 1
    clock.sleep(11)
    assert of_account.reserve(60, clock() + FAR).at == clock()


def test_a_throttle_that_cannot_be_told_stops_nothing() -> None:
    table, clock = InMemoryDynamoDb(), Clock()
    table.fail("UpdateItem", times=2)
    of_account = budget(table, clock)

    of_account.pause("API_LIMIT_EXCEEDED", 60.0)
    of_account.lift(1.0)


# ---- other accounts ---------------------------------------------------------------------------------------------


def test_what_is_new_waits_for_a_slot_that_is_near_and_gives_its_place_up_for_others() -> None:
    # Given an account with 19 slots a minute, one each 3.2 s
    table, clock = InMemoryDynamoDb(), Clock()
    one = budget(table, clock)

    # When five requests come at once that would make way
    slots = [one.reserve(20, clock() + FAR, returned=False).at - NOW for _ in range(2)]
    away = [throttled(lambda: one.reserve(20, clock() + FAR, returned=False)) for _ in range(3)]

    # Then those whose slot is near get it, and each of the others comes back by itself, a little early for its own
    assert slots == pytest.approx([0, 3.05], abs=0.01)
    assert [error.retry_after for error in away] == pytest.approx([3.09, 5.83, 8.57], abs=0.01)
    assert {(error.code, error.one_request) for error in away} == {(ErrorCode.BUDGET_EXHAUSTED, True)}


def test_what_came_back_waits_longer_than_what_is_new() -> None:
    table, clock = InMemoryDynamoDb(), Clock()
    one = budget(table, clock)

    slots = [one.reserve(20, clock() + FAR, returned=True).at - NOW for _ in range(5)]

    assert slots[-1] == pytest.approx(12.2, abs=0.1)
    assert throttled(lambda: one.reserve(20, clock() + FAR, returned=True)).one_request


def test_what_is_new_goes_behind_those_that_are_away() -> None:
    # Given requests that are away, for the next minute
    table, clock = InMemoryDynamoDb(), Clock()
    one, other = budget(table, clock), budget(table, clock)
    for _ in range(22):
        try:
            one.reserve(20, clock() + FAR, returned=False)
        except NoSlotError as exc:
            last = exc.wait.retry_after

    # When a new one and one that came back want the next slot, which is near
    clock.sleep(3.0)
    new = throttled(lambda: other.reserve(20, clock() + FAR, returned=False))
    slot = other.reserve(20, clock() + FAR, returned=True)

    # Then it is the latter's, and the new one comes back after all the others
    assert slot.at - clock() < 5
    assert new.retry_after + 3.0 > last


@pytest.mark.parametrize(("rate", "requests"), [(20, 60), (20, 600), (200, 2_000)])
def test_what_comes_back_finds_a_slot_near(rate: int, requests: int) -> None:
    # Given a burst of requests in two environments
    table, clock = InMemoryDynamoDb(), Clock()
    budgets = [budget(table, clock) for _ in range(2)]
    due = [(NOW, number) for number in range(requests)]
    away = Counter[int]()
    went = []

    # When each comes back when it is told to
    while due:
        at, number = heapq.heappop(due)
        clock.now = max(clock.now, at)
        try:
            went.append(budgets[number % 2].reserve(rate, clock() + 60, returned=bool(away[number])).at)
        except NoSlotError as exc:
            away[number] += 1
            heapq.heappush(due, (clock() + max(1.0, exc.wait.retry_after), number))

    # Then all go, hardly later than their slots allow, after few rounds
    shortest = requests / (rate * 0.985) * 60
    assert len(went) == requests
    assert max(went) - NOW < 1.05 * shortest + 15
    assert max(away.values()) <= 6
    assert sum(away.values()) / requests < 1.2 + shortest / 900
    # And the limit is kept
    assert most_in_a_minute(went) <= rate


def test_the_emptier_requests_are_the_more_of_them_come_back_for_one_slot() -> None:
    # Given an account whose near slots are taken
    table, clock = InMemoryDynamoDb(), Clock()
    one = budget(table, clock)
    for _ in range(2):
        one.reserve(20, clock() + FAR, returned=False)

    # When full requests give their places up, half full ones, and some with next to nobody
    away = [
        [throttled(partial(one.reserve, 20, clock() + FAR, returned=False, full=full)) for _ in range(3)]
        for full in (1.0, 0.5, 0.005)
    ]

    # Then they come back as far apart as the requests that they make together; the last are never without distance
    apart = 60 / 19.7 * 0.9
    for same, share in zip(away, (1.0, 0.5, 0.1), strict=True):
        waits = [error.retry_after for error in same]
        assert [waits[1] - waits[0], waits[2] - waits[1]] == pytest.approx([apart * share] * 2, abs=0.01)


def test_who_is_patient_gives_its_place_up_only_where_there_is_none_in_time() -> None:
    # Given no other account, whose messages would wait behind
    table, clock = InMemoryDynamoDb(), Clock()
    one = budget(table, clock)

    # When more requests come than there are slots in a minute
    slots = [one.reserve(20, clock() + 59, returned=False, patient=True).at - NOW for _ in range(20)]
    away = throttled(lambda: one.reserve(20, clock() + 59, returned=False, patient=True))

    # Then all that can wait do, and the others come back by themselves
    assert slots[-1] == pytest.approx(57.9, abs=0.1)
    assert away.one_request


def test_who_is_patient_follows_those_that_gave_their_places_up_within_a_minute() -> None:
    # Given a request that was away, and is back by now
    table, clock = InMemoryDynamoDb(), Clock()
    one, other = budget(table, clock), budget(table, clock)
    for _ in range(2):
        one.reserve(20, clock() + FAR, returned=False)
    back = clock() + throttled(lambda: one.reserve(20, clock() + FAR, returned=False)).retry_after
    clock.now = back
    returned = one.reserve(20, clock() + FAR, returned=True, patient=True)

    # When a new one comes, soon after that and a minute later
    soon = throttled(lambda: other.reserve(20, clock() + FAR, returned=False, patient=True))
    clock.now = back + 75
    one.reserve(20, clock() + FAR, returned=True, patient=True)  # so that the budget is in use
    later = other.reserve(20, clock() + FAR, returned=False, patient=True)

    # Then it goes behind the other's, and later takes the next slot
    assert returned.at - back < 5
    assert soon.one_request
    assert later.at - clock() < 5


@pytest.mark.parametrize("ahead", [901.0, 1_700.0])
def test_nobody_is_away_for_longer_than_sqs_allows(ahead: float) -> None:
    table, clock = InMemoryDynamoDb(), Clock()
    one = budget(table, clock)
    table.update_item(
        TableName="delivery",
        Key={"pk": {"S": "account#one"}, "sk": {"S": "budget"}},
        UpdateExpression="SET nextSlot = :slot, nextReturn = :return",
        ExpressionAttributeValues={":slot": {"N": str(NOW + 60)}, ":return": {"N": str(NOW + ahead)}},
    )

    assert throttled(lambda: one.reserve(20, clock() + FAR, returned=True)).retry_after == 900.0


def test_a_return_that_a_wrong_clock_gave_does_not_send_others_away() -> None:
    table, clock = InMemoryDynamoDb(), Clock()
    one = budget(table, clock)
    table.update_item(
        TableName="delivery",
        Key={"pk": {"S": "account#one"}, "sk": {"S": "budget"}},
        UpdateExpression="SET nextSlot = :slot, nextReturn = :return",
        ExpressionAttributeValues={":slot": {"N": str(NOW + 60)}, ":return": {"N": str(NOW + 86_400)}},
    )

    # When two give their places up
    away = [throttled(lambda: one.reserve(20, clock() + FAR, returned=False)).retry_after for _ in range(2)]

    # Then the row of those away begins anew
    assert away == pytest.approx([57.0, 59.74], abs=0.01)


def test_who_waits_leaves_those_that_are_away_alone() -> None:
    # Given a stack with one account
    table, clock = InMemoryDynamoDb(), Clock()
    one = budget(table, clock)

    # When its requests find the budget used up / Then they have the slot's own clock, as all of its requests have
    for _ in range(10):
        one.reserve(20, clock() + 30)
    exhausted = [throttled(lambda: one.reserve(20, clock() + 30)) for _ in range(2)]
    assert [error.retry_after for error in exhausted] == pytest.approx([30.5, 30.5], abs=0.1)
    assert not any(error.one_request for error in exhausted)
    assert (
        "nextReturn"
        not in table.get_item(TableName="delivery", Key={"pk": {"S": "account#one"}, "sk": {"S": "budget"}})["Item"]
    )
