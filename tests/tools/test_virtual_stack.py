"""What do the template's defaults come to, where Lambda reads the queues as documented?"""

from __future__ import annotations

from dataclasses import replace

import pytest

from responsys_activation.responsys.events import MAXIMUM_RECIPIENTS
from tests.benchmarks.small import run_trickle
from tests.benchmarks.stack_defaults import EventSource, read_stack_defaults
from tests.benchmarks.virtual_stack import VirtualStack, membership_body
from tests.fakes.told_metrics import ToldMetrics
from tests.local_stack.polling import DOCUMENTED, Polling

_FAST = Polling(receives_a_second=100)


def test_a_virtual_stack_delivers_full_batches_within_their_window() -> None:
    # Given a stream of half the account's limit for a minute
    defaults = read_stack_defaults()
    stack = VirtualStack(defaults, {"default": 20}, new_metrics=ToldMetrics)
    stack.send_steadily("default", 2_000, 1)

    # When it has been delivered
    stack.run()

    # Then each message was accepted once, soon, and none was put off
    journeys = stack.journeys["default"]
    assert (len(journeys.sent_at), journeys.lost, journeys.twice, sum(journeys.deferrals)) == (2_000, 0, 0, 0)
    window = defaults.segment_events.window_seconds
    latest = window + DOCUMENTED.longest_poll + 5
    assert all(0 < at - sent < latest for at, sent in zip(journeys.accepted_at, journeys.sent_at, strict=True))
    # In as many batches as five that gather at once fill in their windows
    assert sum(each.messages for each in stack.invocations) == 2_000
    assert len(stack.invocations) <= DOCUMENTED.first * (60 / window + 1)


def test_a_slot_gathers_no_more_than_its_rate_in_a_window() -> None:
    # Given 5,000 messages within six seconds, and windows that are too short for a full batch
    defaults = read_stack_defaults()
    short = replace(defaults, segment_events=EventSource(batch_size=2_000, window_seconds=5, concurrency=2))
    stack = VirtualStack(short, {"default": 200}, new_metrics=ToldMetrics)
    stack.send_steadily("default", 50_000, 0.1)

    # When two slots work them off
    stack.run()

    # Then no invocation has more than a window's worth
    assert 480 <= max(invocation.messages for invocation in stack.invocations) <= 520
    assert stack.journeys["default"].lost == 0


def test_a_message_late_in_a_window_waits_for_the_rest_of_it_only() -> None:
    # Given windows that began when the stack did, three quarters of them ago
    defaults = read_stack_defaults()
    window = defaults.segment_events.window_seconds
    stack = VirtualStack(defaults, {"default": 200}, polling=Polling(longest_poll=0.5), new_metrics=ToldMetrics)
    stack.send_steadily("default", 60, 1 / 60, after=0.75 * window / 60)

    # When a message comes
    stack.run()

    # Then it does not begin a window of its own
    journeys = stack.journeys["default"]
    assert len(journeys.sent_at) == 1
    assert journeys.accepted_at[0] - journeys.sent_at[0] < 0.5 * window


@pytest.mark.parametrize("limit", [20, 200])
def test_a_trickle_makes_one_request_per_window_of_five_pollers_at_most(limit: int) -> None:
    # Given one message per second, which is read by more environments than Lambda has pollers for few messages
    defaults = read_stack_defaults()
    minutes, pollers, window = 6, 5, defaults.segment_events.window_seconds
    assert defaults.segment_events.concurrency > pollers
    stack = VirtualStack(defaults, {"default": limit}, new_metrics=ToldMetrics)
    stack.send_steadily("default", 60, minutes)

    # When it has been delivered
    stack.run()

    # Then there were no more requests than the page says, and none waited for longer than a window and a long poll
    journeys = stack.journeys["default"]
    assert len(stack.accounts["default"].seen) <= pollers * 60 / window * minutes
    assert (journeys.lost, journeys.twice, sum(journeys.deferrals)) == (0, 0, 0)
    lags = [at - sent for at, sent in zip(journeys.accepted_at, journeys.sent_at, strict=True)]
    # A message may wait as long as Lambda's longest poll, whatever the window
    assert window < max(lags) < window + DOCUMENTED.longest_poll + 5


@pytest.mark.parametrize("beside", [False, True])
def test_a_trickle_of_more_events_than_an_account_has_requests_stays_as_late_as_it_is(beside: bool) -> None:
    # Given one message per second, of ten events, for an account of 20 requests per minute / When some time passes
    run = run_trickle(read_stack_defaults(), 20, 10, beside=beside, minutes=16)

    # Then the account's pace is used, and requests become so full that nobody waits for ever longer
    assert (run["lost"], run["twice"]) == (0, 0)
    assert run["requestsPerMinute"] > 15
    assert run["p95"] < 300
    assert run["p95OfSecondHalf"] < 1.6 * run["p95OfFirstHalf"]
    # And another account notices nothing
    assert run.get("p95OfOther", 0.0) < 40


# As many requests as a full batch of the defaults has; here each is for an event of its own, so that few messages do.
_REQUESTS = read_stack_defaults().segment_events.batch_size // MAXIMUM_RECIPIENTS


def _each_its_own_event(connector: str, number: int, occurred_at: str) -> str:
    body = membership_body(connector, number, occurred_at)
    return body.replace('"connector"', f'"eventName": "EVENT_{number % _REQUESTS}", "connector"', 1)


def _with_full_batches_for_all(limit: int) -> VirtualStack:
    """Return a stack on its first day that has a batch with as many requests as a full one for each environment."""
    defaults = read_stack_defaults().with_batch_size(_REQUESTS)
    stack = VirtualStack(defaults, {"default": limit}, polling=_FAST, new_metrics=ToldMetrics, body=_each_its_own_event)
    stack.send_at_once("default", defaults.segment_events.concurrency * _REQUESTS)
    return stack


@pytest.mark.parametrize(
    ("limit", "reply_seconds"),
    [
        (60, 0.3),  # small, so that the last requests wait for their slots for long
        (200, 60.0),  # the slowest reply that is waited for
    ],
)
def test_full_batches_of_all_environments_at_once_end_in_time(limit: int, reply_seconds: float) -> None:
    # Given a full batch for each environment, an account whose limit nobody has read yet, and perhaps slow replies
    stack = _with_full_batches_for_all(limit)
    account, defaults = stack.accounts["default"], stack.defaults
    account.latency = lambda: reply_seconds if account.calls["event"] else 0.3

    # When all environments work at the same time
    stack.run()

    # Then all requests get their slots: nothing is put off
    assert [each.messages for each in stack.invocations] == [_REQUESTS] * defaults.segment_events.concurrency
    assert len(account.seen) == defaults.segment_events.concurrency * _REQUESTS
    journeys = stack.journeys["default"]
    assert (journeys.lost, journeys.twice, sum(journeys.deferrals)) == (0, 0, 0)
    # And every batch ends without the alarm that one is near its time-out
    longest = max(each.seconds for each in stack.invocations)
    assert reply_seconds < longest < defaults.timeout_seconds * defaults.duration_percent_allowed / 100


def test_what_gets_no_slot_before_the_time_out_is_put_off_once() -> None:
    # Given a limit for which the default batches are too large, and a full batch for each environment
    stack = _with_full_batches_for_all(30)

    # When all environments work at the same time
    stack.run()

    # Then the last requests come back from ThrottledDLQ, and are delivered once
    journeys = stack.journeys["default"]
    assert 0 < sum(journeys.deferrals) < len(journeys.sent_at) / 2
    assert (max(journeys.deferrals), journeys.lost, journeys.twice) == (1, 0, 0)
