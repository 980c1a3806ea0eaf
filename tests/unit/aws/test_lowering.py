"""Does one refusal halve the pace, and does it come back by itself?"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from responsys_activation.aws.lowering import Lowering, lowered
from tests.fakes.clock import NOW

MINUTE = 60.0


def after(lowering: Lowering, minutes: float) -> float:
    return round(lowering.share_at(NOW + minutes * MINUTE, MINUTE), 3)


def refused_again(lowering: Lowering, minutes: float) -> Lowering:
    return lowering.next(NOW + minutes * MINUTE, MINUTE)


def test_one_refusal_halves_the_pace_and_eight_minutes_without_another_bring_it_back() -> None:
    shares = [after(lowered(NOW), minutes) for minutes in (0, 1.9, 2, 3.9, 4, 6, 8, 100)]

    assert shares == [0.5, 0.5, 0.55, 0.55, 0.65, 0.85, 1, 1]


@pytest.mark.parametrize(("minutes", "share"), [(3, 0.5), (5, 0.55), (7, 0.65), (9, 0.85), (20, 0.85)])
def test_a_refusal_on_the_way_up_leads_back_to_the_step_before_for_twice_as_long(minutes: float, share: float) -> None:
    again = refused_again(lowered(NOW), minutes)

    assert again.share == pytest.approx(share)
    assert (again.since, again.hold) == (NOW + minutes * MINUTE, 4)


def test_a_refusal_before_the_first_step_halves_once_more() -> None:
    assert refused_again(lowered(NOW), 1) == Lowering(0.25, NOW + MINUTE, 2)


def test_a_refusal_long_after_the_last_is_a_first_one() -> None:
    assert refused_again(Lowering(0.85, NOW, 16), 60) == lowered(NOW + 60 * MINUTE)


def test_a_refusal_that_another_limit_explained_is_over() -> None:
    assert refused_again(Lowering(1.0, NOW, 2), 1) == lowered(NOW + MINUTE)


@given(st.lists(st.floats(0.75, 40), max_size=60))
def test_whenever_refusals_come_a_quarter_of_an_hour_later_the_pace_rises_and_nothing_ever_stops(
    pauses: list[float],
) -> None:
    lowering, now = lowered(NOW), NOW
    for pause in pauses:
        now += pause * MINUTE
        lowering = lowering.next(now, MINUTE)
        assert 1 / 64 <= lowering.share_at(now, MINUTE) < 1
        assert lowering.share_at(now + 16 * MINUTE, MINUTE) > lowering.share
        assert lowering.share_at(now + 30 * MINUTE, MINUTE) == 1
