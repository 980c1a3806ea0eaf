"""Does what a budget's item says lead to the right next step, at whatever time and for whatever is asked?"""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from responsys_activation.aws.pace import (
    BeProbe,
    BudgetItem,
    MoveOn,
    Pause,
    StartAnew,
    WaitForProbe,
    Wish,
    furthest_slot,
    next_step,
    read_budget_item,
    start_of_row,
)
from responsys_activation.aws.slots import Timing, Wait
from responsys_activation.error_code import ErrorCode
from tests.fakes.clock import NOW

TIMING = Timing(probe_seconds=90.0)
WISH = Wish(apart=1.0, latest=NOW + 100)
PAUSE = Pause(NOW + 60, NOW - 30, "API_LIMIT_EXCEEDED")

_NEAR_NOW = st.sampled_from([-2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 5.0, 99.0, 100.0, 1_800.0]) | st.floats(-100, 5_000)
_TIMES = _NEAR_NOW.map(lambda seconds: NOW + seconds)

timings = st.sampled_from([TIMING, Timing(probe_seconds=90.0, time_scale=20.0)])
pauses = st.builds(Pause, until=_TIMES, since=_TIMES, code=st.just("X"), probing=st.booleans(), in_doubt=st.booleans())
free_items = st.builds(BudgetItem, next_slot=st.none() | _TIMES, next_return=st.none() | _TIMES)
wishes = st.builds(
    Wish,
    apart=st.floats(0.03, 70),
    latest=st.floats(0, 900).map(lambda seconds: NOW + seconds),
    count=st.integers(1, 64),
    nobody_away_after=st.none() | st.just(NOW - 60) | st.just(NOW + 100),
)
attempts = st.just(StartAnew()) | st.builds(MoveOn, count=st.integers(1, 64))


def may_be_taken(step: MoveOn | StartAnew, item: BudgetItem, wish: Wish, timing: Timing) -> bool:
    """Say whether the item's update would go through, but for what rounding costs."""
    slot = item.next_slot
    if isinstance(step, StartAnew):
        return slot is None or slot < NOW or slot > furthest_slot(NOW)
    if slot is None or (wish.nobody_away_after is not None and (item.next_return or 0) > wish.nobody_away_after):
        return False
    return NOW - timing.late_already <= slot <= wish.latest - wish.apart * (step.count - 1) + 1e-6


# ---- a pause --------------------------------------------------------------------------------------------------


@given(item=free_items, pause=pauses, wish=wishes, tried=attempts, timing=timings)
def test_nothing_goes_during_a_pause_and_its_probe_alone_when_it_is_over(
    item: BudgetItem, pause: Pause, wish: Wish, tried: MoveOn | StartAnew, timing: Timing
) -> None:
    step = next_step(replace(item, pause=pause), NOW, wish, tried, timing)

    if pause.is_over(NOW, timing):
        assert step == BeProbe(pause)
    elif pause.probing and wish.latest >= NOW + timing.poll:
        assert step == WaitForProbe()
    else:
        assert isinstance(step, Wait)
        assert (step.code, step.since, step.one_request) == (pause.code, pause.since, False)
        assert step.retry_after == pytest.approx(timing.there(pause.until - NOW))


@pytest.mark.parametrize(
    ("until", "over"), [(-1, True), (0, True), (0.001, False), (3_600 + 90 + 600, False), (3_600 + 90 + 601, True)]
)
def test_a_pause_is_over_when_it_has_run_out_or_is_longer_than_any(until: float, over: bool) -> None:
    assert replace(PAUSE, until=NOW + until).is_over(NOW, TIMING) is over


@pytest.mark.parametrize(("lasts", "share"), [(0, 0.1), (90, 0.1), (600, 0.1), (1_200, 0.05), (6_000, 0.01)])
@pytest.mark.parametrize("time_scale", [1.0, 10.0])
def test_what_came_later_comes_back_later_within_a_minute(lasts: float, share: float, time_scale: float) -> None:
    # Given a pause of a while, which passes faster on the local stack
    timing = Timing(probe_seconds=90.0, time_scale=time_scale)
    pause = Pause(NOW + 60 / time_scale, NOW + 60 / time_scale - max(lasts, 20) / time_scale, "X")

    # When a request is refused / Then it learns its share of the wait, in seconds that are told for seconds here
    assert pause.wait(NOW, timing).age_share == pytest.approx(share * time_scale)


# ---- slots ----------------------------------------------------------------------------------------------------


@given(item=free_items, wish=wishes, tried=attempts, timing=timings)
def test_without_a_pause_the_next_step_is_one_that_the_item_allows_or_there_is_no_slot_in_time(
    item: BudgetItem, wish: Wish, tried: MoveOn | StartAnew, timing: Timing
) -> None:
    # Given something that was tried in vain
    assume(not may_be_taken(tried, item, wish, timing))

    # When the item is looked at
    step = next_step(item, NOW, wish, tried, timing)

    # Then what it leads to can be done, or nothing could
    if isinstance(step, MoveOn | StartAnew):
        assert may_be_taken(step, item, wish, timing)
    else:
        assert isinstance(step, Wait)
        assert step.code == ErrorCode.BUDGET_EXHAUSTED
        assert not may_be_taken(MoveOn(1), item, wish, timing)
        assert item.is_in_use(NOW, timing)


@given(slot=st.floats(-0.3, 100), apart=st.floats(0.03, 70), tried=st.integers(1, 64), seconds=st.floats(0, 100))
def test_as_many_slots_in_a_row_are_taken_as_there_is_time_for(
    slot: float, apart: float, tried: int, seconds: float
) -> None:
    # Given a budget in use from which so many slots could not be had
    item = BudgetItem(NOW + slot)
    wish = Wish(apart, NOW + slot + seconds, tried)

    # When the item is looked at / Then fewer are tried, and no fewer than fit
    step = next_step(item, NOW, wish, MoveOn(tried), TIMING)
    assert isinstance(step, MoveOn)
    assert 1 <= step.count <= max(1, tried - 1)
    if step.count < tried - 1:
        assert step.count * apart > seconds - 1e-6


@pytest.mark.parametrize(
    ("slot", "step"),
    [
        (None, StartAnew()),
        (NOW - 0.301, StartAnew()),  # half of the lateness is over
        (NOW - 0.3, MoveOn(1)),
        (NOW + 100, MoveOn(1)),
        (NOW + 1_801, StartAnew()),  # further than anybody reserves
    ],
)
def test_a_slot_of_no_use_begins_a_new_row(slot: float | None, step: MoveOn | StartAnew) -> None:
    assert next_step(BudgetItem(slot), NOW, WISH, MoveOn(1), TIMING) == step


@pytest.mark.parametrize("slot", [100.001, 500, 1_800])
@pytest.mark.parametrize("time_scale", [1.0, 20.0])
def test_a_request_whose_slot_is_too_late_is_told_how_far_it_is(slot: float, time_scale: float) -> None:
    timing = Timing(probe_seconds=90.0, time_scale=time_scale)

    step = next_step(BudgetItem(NOW + slot), NOW, WISH, MoveOn(1), timing)

    assert isinstance(step, Wait)
    assert step.code == ErrorCode.BUDGET_EXHAUSTED
    assert step.retry_after == pytest.approx(slot * time_scale)


@pytest.mark.parametrize(("next_return", "goes"), [(None, True), (100.0, True), (100.1, False)])
def test_what_is_new_goes_behind_those_that_are_away(next_return: float | None, goes: bool) -> None:
    item = BudgetItem(NOW + 3, next_return=None if next_return is None else NOW + next_return)

    wishes = (replace(WISH, nobody_away_after=WISH.latest), WISH)
    steps = [next_step(item, NOW, wish, StartAnew(), TIMING) for wish in wishes]

    assert [isinstance(step, MoveOn) for step in steps] == [goes, True]


@pytest.mark.parametrize(
    ("after_last", "first"), [(-1.0, 0.0), (0.0, 0.0), (30.0, 30.0), (1_800.0, 1_800.0), (1_801.0, 0.0)]
)
def test_a_new_row_keeps_the_distance_to_this_environments_last_slot(after_last: float, first: float) -> None:
    assert start_of_row(NOW + after_last, NOW) == NOW + first


# ---- returns --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("slot", "next_return", "first"),
    [
        (None, None, 5.0),
        (2.0, None, 5.0),  # never so near that it could have waited
        (60.0, None, 60.0),
        (60.0, -1.0, 60.0),
        (900.0, None, 900.0),
        (901.0, None, 5.0),  # a wrong clock's
        (60.0, 901.0, None),  # SQS delays nobody for longer
        (60.0, 1_801.0, 60.0),
    ],
)
def test_who_gives_the_place_up_first_comes_back_for_the_next_slot(
    slot: float | None, next_return: float | None, first: float | None
) -> None:
    item = BudgetItem(slot and NOW + slot, next_return=next_return and NOW + next_return)

    assert item.first_return(NOW, TIMING) == (None if first is None else NOW + first)


# ---- the item -------------------------------------------------------------------------------------------------


def test_an_item_is_read_as_the_updates_write_it() -> None:
    item = {
        "nextSlot": {"N": "100.5"},
        "nextReturn": {"N": "130"},
        "pausedUntil": {"N": "200"},
        "pausedSince": {"N": "90"},
        "pauseCode": {"S": "TIMEOUT"},
        "probing": {"BOOL": True},
        "inDoubt": {"BOOL": True},
    }
    assert read_budget_item(item) == BudgetItem(100.5, Pause(200.0, 90.0, "TIMEOUT", True, True), 130.0)
    assert read_budget_item({}) == BudgetItem()
