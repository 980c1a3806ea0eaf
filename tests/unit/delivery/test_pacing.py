"""Do requests go as fast as the account allows, and does a throttle or a doubt stop those that wait?"""

from __future__ import annotations

import math

import pytest

from responsys_activation.delivery.outcome import Delivered, Duplicate, Throttled
from tests.fakes.connected import Connected, is_told, outgoing, planned, request_of
from tests.fakes.responsys import Fault


def test_the_limit_of_a_connector_without_one_is_read_from_the_account() -> None:
    connected = Connected(requests_per_minute=None)
    connected.responsys.requests_per_minute = 10  # 94 % of it are used, a slot every 6.41 s
    sender = connected.sender()

    for number in range(3):
        connected.send(request_of(outgoing(number)), sender=sender)

    times = [seen.at for seen in connected.responsys.seen]
    assert connected.responsys.calls["ratelimit"] == 1
    assert times[2] - times[1] == pytest.approx(60 / (9.5 * 0.985), abs=0.01)


def test_without_the_budgets_table_requests_are_put_off_and_say_so() -> None:
    connected = Connected(requests_per_minute=600)
    sender = connected.sender()
    assert not connected.send(planned(2), sender=sender).budget_unavailable
    connected.table.fail("UpdateItem", times=math.inf)

    result = connected.send(request_of(outgoing(2), outgoing(3)), sender=sender)

    assert all(is_told(outcome, Throttled, "BUDGET_EXHAUSTED") for outcome in result.outcomes)
    assert result.budget_unavailable
    assert connected.responsys.calls["event"] == 1


def test_claims_are_made_before_the_slot_and_the_request_goes_with_it() -> None:
    # Given a request that waits for its slot, and a table that takes most of a second to claim
    connected = Connected(requests_per_minute=20)
    connected.responsys.requests_per_minute = 20
    sender = connected.sender()
    connected.send(request_of(outgoing(8)), sender=sender)
    first = connected.responsys.seen[-1].at
    slow(connected, 0.9)

    # When it goes / Then it is not late, as it claimed before
    connected.send(planned(2), sender=sender)
    assert connected.responsys.seen[-1].at - first == pytest.approx(60 / 19.7, abs=0.001)


def test_a_request_whose_claims_take_too_long_takes_another_slot() -> None:
    connected = Connected(requests_per_minute=20)
    connected.responsys.requests_per_minute = 20
    sender = connected.sender()
    connected.send(request_of(outgoing(8)), sender=sender)
    first = connected.responsys.seen[-1].at
    slow(connected, 2.0)

    connected.send(planned(2), sender=sender)

    assert connected.responsys.seen[-1].at - first == pytest.approx(2 * 60 / 19.7, abs=0.001)


def slow(connected: Connected, seconds: float) -> None:
    """Let each claim take so long."""

    def before(operation: str) -> None:
        if operation == "BatchExecuteStatement":
            connected.clock.sleep(seconds)

    connected.table.before = before


# ---- throttles -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "code", "retry_after"),
    [
        (Fault.API_LIMIT, "API_LIMIT_EXCEEDED", 60.0),
        (Fault.CAPACITY, "INTERNAL_CAPACITY_LIMIT_EXCEEDED", 600.0),
    ],
)
def test_a_throttle_stops_the_connector_in_all_environments_until_a_probe_gets_through(
    fault: Fault, code: str, retry_after: float
) -> None:
    # Given a throttle
    connected = Connected()
    connected.fail_event(fault)
    sender = connected.sender()

    # When a request meets it
    result = connected.send(planned(2), sender=sender)

    # Then nothing more goes before it has ended, from here or from elsewhere
    assert all(is_told(outcome, Throttled, code) for outcome in result.outcomes)
    for outcome in result.outcomes:
        assert isinstance(outcome, Throttled)
        assert outcome.delay == retry_after
        assert (outcome.since, outcome.age_share) == pytest.approx((connected.clock(), 0.1), abs=1.0)
    assert all(is_told(outcome, Throttled, code) for outcome in connected.send(planned(2)).outcomes)
    assert all(is_told(outcome, Throttled, code) for outcome in connected.send(planned(2), sender=sender).outcomes)
    assert connected.responsys.calls["event"] == 1

    # And then the first request lifts it
    connected.clock.sleep(retry_after + 0.001)
    sender.begin_batch()
    assert connected.send(planned(2), sender=sender).outcomes == [Delivered()] * 2
    assert not any("pausedUntil" in item for item in connected.table.items.values())


def test_a_request_that_waited_while_another_was_throttled_does_not_go() -> None:
    # Given a request that waits for its slot
    connected = Connected(requests_per_minute=20)
    sender = connected.sender()
    connected.send(request_of(outgoing(8)), sender=sender)
    connected.fail_event(Fault.API_LIMIT)
    pacing, sleep = sender._pacing, connected.clock.sleep

    # When another of its connector is throttled meanwhile
    def sleep_while_another_is_throttled(seconds: float) -> None:
        pacing._sleep = sleep
        sender.send(request_of(outgoing(9)), connected.clock() + 110)
        sleep(seconds)

    pacing._sleep = sleep_while_another_is_throttled
    result = connected.send(planned(2), sender=sender)

    # Then it is deferred too
    assert all(is_told(outcome, Throttled, "API_LIMIT_EXCEEDED") for outcome in result.outcomes)
    assert connected.responsys.calls["event"] == 2


@pytest.mark.parametrize("is_over", [False, True])
def test_a_slot_for_which_another_environment_was_throttled_meanwhile_is_void(is_over: bool) -> None:
    # Given a request that waits for its slot, for longer than a throttle lasts
    connected = Connected(requests_per_minute=1)
    connected.responsys.requests_per_minute = 1
    sender = connected.sender()
    connected.send(request_of(outgoing(8)), sender=sender)
    pacing, sleep, clock = sender._pacing, connected.clock.sleep, connected.clock
    other = connected.environment().open_pace("default", connected.connector)
    throttled_at = clock() + (1 if is_over else 40)

    # When another environment is throttled meanwhile
    def sleep_and_be_throttled(seconds: float) -> None:
        nonlocal throttled_at
        if clock() + seconds > throttled_at:
            throttled_at = math.inf
            other.pause("INTERNAL_CAPACITY_LIMIT_EXCEEDED", 30.0 if is_over else 600.0)
        sleep(seconds)

    pacing._sleep = sleep_and_be_throttled
    result = connected.send(planned(2), sender=sender, seconds=300)

    # Then it is told, before its slot has come
    assert all(is_told(outcome, Throttled, "INTERNAL_CAPACITY_LIMIT_EXCEEDED") for outcome in result.outcomes)
    assert connected.responsys.calls["event"] == 1
    assert clock() < connected.responsys.seen[0].at + 60 / 0.985


def test_a_request_that_is_ready_for_its_slot_does_not_go_into_its_environments_throttle() -> None:
    # Given a request that has its claims, and waits for the last second before its slot
    connected = Connected(requests_per_minute=20)
    connected.responsys.requests_per_minute = 20
    sender = connected.sender()
    connected.send(request_of(outgoing(8)), sender=sender)
    pacing, sleep = sender._pacing, connected.clock.sleep

    # When another of its connector is throttled then
    def sleep_and_be_throttled(seconds: float) -> None:
        if connected.table.calls["BatchExecuteStatement"] == 2:
            pacing.pause("API_LIMIT_EXCEEDED", 60.0)
        sleep(seconds)

    pacing._sleep = sleep_and_be_throttled
    result = connected.send(planned(2), sender=sender)

    # Then it is deferred, and its messages are taken again afterwards
    assert all(is_told(outcome, Throttled, "API_LIMIT_EXCEEDED") for outcome in result.outcomes)
    assert connected.responsys.calls["event"] == 1
    pacing._sleep = sleep
    sleep(60.001)
    sender.begin_batch()
    assert connected.send(planned(2), sender=sender).outcomes == [Delivered()] * 2


def test_a_probe_that_has_nothing_to_send_leaves_the_probing_to_the_next() -> None:
    # Given a throttle whose clock has run out, and a request of duplicates
    connected = Connected()
    connected.send(planned(2))
    connected.fail_event(Fault.API_LIMIT)
    connected.send(request_of(outgoing(7)))
    connected.clock.sleep(60.001)

    # When that request comes first
    assert connected.send(planned(2)).outcomes == [Duplicate()] * 2
    began = connected.clock()
    connected.clock.sleep(0.001)

    # Then the next does not wait for what it cannot learn
    assert connected.send(request_of(outgoing(7))).outcomes == [Delivered()]
    assert connected.responsys.seen[-1].at - began < 1


# ---- requests in doubt -----------------------------------------------------------------------------------------


def test_three_requests_in_a_row_in_doubt_pause_the_account_and_only_an_answer_ends_it() -> None:
    # Given a Responsys that takes requests and does not answer
    connected = Connected(maximum_resends=9)
    connected.responsys.fault = lambda kind: Fault.TIMEOUT_AFTER if kind == "event" else None
    sender = connected.sender()
    for number in range(3):
        connected.send(request_of(outgoing(number), outgoing(10 + number)), sender=sender)

    # When more comes, here and elsewhere / Then nothing goes for ten minutes
    for other in (sender, connected.sender()):
        (outcome,) = connected.send(request_of(outgoing(3)), sender=other).outcomes
        assert is_told(outcome, Throttled, "TIMEOUT")
        assert isinstance(outcome, Throttled)
        assert outcome.delay == pytest.approx(600, abs=70)
    assert connected.responsys.calls["event"] == 3

    # When they are over / Then a probe goes with one recipient, and in doubt too it renews the pause
    connected.clock.sleep(601)
    sender.begin_batch()
    result = connected.send(planned(5), sender=sender)
    assert [len(seen.recipients) for seen in connected.responsys.seen[3:]] == [1]
    assert result.outcome_unknown == {0}
    sender.begin_batch()
    assert all(
        is_told(outcome, Throttled, "TIMEOUT") for outcome in connected.send(planned(5), sender=sender).outcomes[1:]
    )

    # When its next probe meets a gateway / Then the pause does not end, and the next request is the probe
    connected.clock.sleep(601)
    sender.begin_batch()
    connected.fail_event(Fault.HTML_503)
    connected.send(planned(5), sender=sender)
    connected.responsys.fault = lambda kind: None
    connected.clock.sleep(1)
    result = connected.send(planned(5), sender=sender)
    assert [len(seen.recipients) for seen in connected.responsys.seen[-2:]] == [1, 4]

    # Then an result of Responsys has ended it
    assert result.outcomes == [Delivered()] * 5
    assert not any("pausedUntil" in item for item in connected.table.items.values())


def test_an_answer_in_between_means_that_responsys_speaks() -> None:
    connected = Connected()
    sender = connected.sender()
    connected.fail_event(Fault.TIMEOUT_AFTER, Fault.TIMEOUT_AFTER, None, Fault.TIMEOUT_AFTER, None)

    for number in range(5):
        connected.send(request_of(outgoing(number)), sender=sender)

    assert connected.responsys.calls["event"] == 5
