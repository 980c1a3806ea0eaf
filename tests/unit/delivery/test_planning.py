"""Do requests fill up without a recipient twice in one of them, or out of order?"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from responsys_activation.change import Change
from responsys_activation.delivery.custom_event import CustomEvent
from responsys_activation.delivery.planning import (
    MAXIMUM_WAVES,
    Outgoing,
    Plan,
    PlannedRequest,
    plan_requests,
)
from responsys_activation.received import Mark, ReceivedMessage
from responsys_activation.responsys.events import MAXIMUM_RECIPIENTS, MAXIMUM_REQUEST_BYTES, request_body
from responsys_activation.upstream.memberships import Part
from tests.fakes.clock import NOW
from tests.fakes.memberships import membership as read

ANY_PART = Part(read())


def outgoing(
    arrival: int,
    recipient: str,
    *,
    event_name: str = "E",
    happened_at: float = NOW,
    size: int = 2,
    membership: str = "",
    key: str = "",
) -> Outgoing:
    message = ReceivedMessage(
        message_id=f"sqs-{arrival}",
        original_message_id=f"sqs-{arrival}",
        receipt_handle="h",
        body="{}",
        queue_name="q",
        receive_count=1,
        attempts=1,
        arrived_at=NOW + arrival,
        age_from=NOW + arrival,
        first_received_at=NOW + arrival,
        came_back=False,
        last_error_code="",
        mark=Mark(),
    )
    change = Change(membership or f"of {recipient}", key or f"m-{arrival}", "ADD", happened_at, NOW + arrival)
    return Outgoing(message, ANY_PART, CustomEvent(event_name, recipient, "x" * size, 0), change)


def check(items: Sequence[Outgoing], plan: Plan) -> None:
    """Whatever the plan, these hold."""
    planned = plan.requests
    of_requests = [item for request in planned for item in request.items]
    every = [*of_requests, *plan.put_off]
    assert sorted(map(id, every)) == sorted(map(id, items)), "every item in exactly one request, or put off"
    turns: defaultdict[str, int] = defaultdict(int)
    for item in sorted(items, key=lambda item: item.change.order):
        both = f"recipient {item.event.recipient}", f"membership {item.change.membership}"
        turn = 1 + max(turns[name] for name in both)
        turns.update(dict.fromkeys(both, turn))
        assert (item in plan.put_off) == (turn > MAXIMUM_WAVES), "put off without need, or too late a wave"
    assert [request.wave for request in planned] == sorted(request.wave for request in planned)
    assert len({request.request_id for request in planned}) == len(planned)
    waves: defaultdict[int, list[str]] = defaultdict(list)
    of_one: defaultdict[tuple[str, str], list[tuple[int, Outgoing]]] = defaultdict(list)
    for request in planned:
        assert 1 <= len(request.items) <= MAXIMUM_RECIPIENTS
        assert {item.event.event_name for item in request.items} == {request.event_name}
        body = request_body(item.event.recipient_json for item in request.items)
        assert len(request.items) == 1 or len(body) < 10_000_000
        for item in request.items:
            waves[request.wave] += [f"recipient {item.event.recipient}", f"membership {item.change.membership}"]
            of_one["recipient", item.event.recipient].append((request.wave, item))
            of_one["membership", item.change.membership].append((request.wave, item))
    for names in waves.values():
        assert len(set(names)) == len(names), "a recipient or a membership twice among requests that fly together"
    for item in plan.put_off:  # after all that goes
        of_one["recipient", item.event.recipient].append((MAXIMUM_WAVES + 1, item))
        of_one["membership", item.change.membership].append((MAXIMUM_WAVES + 1, item))
    for changes in of_one.values():
        orders = [item.change.order for _, item in sorted(changes, key=lambda change: change[0])]
        assert orders == sorted(orders), "a recipient's messages or a membership's changes out of order"


def requests_of(items: Sequence[Outgoing]) -> list[PlannedRequest]:
    """Plan what goes as a whole."""
    plan = plan_requests(items)
    check(items, plan)
    assert not plan.put_off
    return plan.requests


ITEMS = st.lists(
    st.tuples(
        st.integers(0, 8),
        st.integers(0, 8),
        st.sampled_from(["A", "B", "C"]),
        st.integers(0, 3),
        st.integers(1, 4_000_000),
    ),
    max_size=60,
).map(
    lambda rows: [
        outgoing(
            arrival,
            f"r{recipient}",
            membership=f"s{membership}",
            event_name=event_name,
            happened_at=NOW + moment,
            size=size,
        )
        for arrival, (recipient, membership, event_name, moment, size) in enumerate(rows)
    ]
)


@given(ITEMS)
def test_any_batch_is_planned_whole_in_order_and_within_the_limits(items: list[Outgoing]) -> None:
    check(items, plan_requests(items))


def test_a_message_leaves_waves_for_those_that_follow_it() -> None:
    # Given a recipient whose thirteen messages open a request of event B in the last wave
    items = [outgoing(arrival, "many", event_name="A") for arrival in range(MAXIMUM_WAVES - 1)]
    items += [outgoing(MAXIMUM_WAVES, "many", event_name="B"), outgoing(MAXIMUM_WAVES + 1, "many", event_name="A")]
    # And another whose first message is of that event
    items += [outgoing(20, "two", event_name="B"), outgoing(21, "two", event_name="A")]

    plan = plan_requests(items)

    # Then its second has a wave left
    check(items, plan)
    assert [item.event.recipient for item in plan.put_off] == ["many"]


def test_what_follows_a_message_that_is_put_off_is_put_off_with_it() -> None:
    # Given a membership with too many changes, whose last one has another recipient by now
    items = [outgoing(arrival, "r1", membership="s") for arrival in range(MAXIMUM_WAVES)]
    items += [outgoing(20, "r2", membership="s"), outgoing(21, "r2", membership="other")]

    plan = plan_requests(items)

    # Then that recipient's newer message does not go before it
    check(items, plan)
    assert [item.message.message_id for item in plan.put_off] == ["sqs-20", "sqs-21"]


@given(st.permutations(range(MAXIMUM_WAVES + 8)))
def test_the_time_of_the_change_decides_the_order_not_the_arrival(moments: list[int]) -> None:
    items = [outgoing(arrival, "r", happened_at=NOW + moment) for arrival, moment in enumerate(moments)]

    plan = plan_requests(items)

    goes = [request.items[0].change.happened_at - NOW for request in plan.requests]
    put_off = [item.change.happened_at - NOW for item in plan.put_off]
    assert [*goes, *put_off] == [*range(MAXIMUM_WAVES + 8)]
    assert len(goes) == MAXIMUM_WAVES


def test_arrival_decides_between_changes_of_the_same_time() -> None:
    items = [outgoing(arrival, "r") for arrival in range(5)]

    planned = requests_of(items)

    assert [request.items[0].message.message_id for request in planned] == [f"sqs-{n}" for n in range(5)]


@pytest.mark.parametrize("count", [1, 199, 200, 201, 400, 1999, 2000, 2001, 10_000])
def test_unique_recipients_take_the_least_possible_number_of_requests_in_one_wave(count: int) -> None:
    items = [outgoing(arrival, f"r{arrival}") for arrival in range(count)]

    planned = requests_of(items)

    assert len(planned) == math.ceil(count / MAXIMUM_RECIPIENTS)
    assert {request.wave for request in planned} == {1}


@given(st.lists(st.integers(0, 700), min_size=1, max_size=4))
def test_unique_recipients_take_the_least_possible_number_of_requests_for_each_event(counts: list[int]) -> None:
    items = [
        outgoing(1000 * event + number, f"r{event}-{number}", event_name=f"E{event}")
        for event, count in enumerate(counts)
        for number in range(count)
    ]

    planned = plan_requests(items).requests

    assert len(planned) == sum(math.ceil(count / MAXIMUM_RECIPIENTS) for count in counts)


def test_a_recipient_of_two_events_is_never_in_two_requests_of_one_wave() -> None:
    items = [outgoing(0, "r", event_name="A"), outgoing(1, "r", event_name="B")]

    planned = requests_of(items)

    assert [(request.wave, request.event_name) for request in planned] == [(1, "A"), (2, "B")]


def test_later_waves_fill_up_with_recipients_who_come_once() -> None:
    twice = [outgoing(n, "hot") for n in range(2)]
    once = [outgoing(2 + n, f"r{n}") for n in range(398)]

    planned = requests_of([*twice, *once])

    assert [len(request.items) for request in planned] == [200, 200]


def test_a_request_is_closed_before_it_reaches_ten_megabytes() -> None:
    size = MAXIMUM_REQUEST_BYTES // 3
    items = [outgoing(n, f"r{n}", size=size) for n in range(5)]

    planned = requests_of(items)

    assert [len(request.items) for request in planned] == [2, 2, 1]


def test_changes_of_a_membership_go_one_after_another_even_for_another_recipient_and_event() -> None:
    # Given a profile whose identifier changed while it entered, changed and left a segment
    times = [NOW + 2, NOW, NOW + 1]
    items = [outgoing(n, f"r{n}", event_name=f"E{n}", membership="same", happened_at=at) for n, at in enumerate(times)]

    # When they are planned / Then each is in a later wave than the one before it
    planned = requests_of(items)
    assert [(request.wave, request.items[0].change.happened_at) for request in planned] == [
        (1, NOW),
        (2, NOW + 1),
        (3, NOW + 2),
    ]


def test_a_recipient_in_thousands_of_messages_takes_a_few_requests_and_the_rest_is_put_off() -> None:
    # Given a placeholder in half of a batch
    items = [outgoing(number, "0" if number % 2 else f"r{number}") for number in range(2000)]

    # When it is planned
    plan = plan_requests(items)

    # Then the others share its requests, and its own later messages wait, the oldest having gone first
    assert len(plan.requests) == MAXIMUM_WAVES
    assert [item.message.message_id for item in plan.put_off[:2]] == ["sqs-25", "sqs-27"]
    assert len(plan.put_off) == 1000 - MAXIMUM_WAVES


def test_who_has_as_many_messages_as_go_at_once_starts_in_the_first_wave_though_the_second_has_room() -> None:
    # Given a first request that is full, and a second that has room
    full = [outgoing(number, f"r{number}") for number in range(MAXIMUM_RECIPIENTS)]
    again = outgoing(MAXIMUM_RECIPIENTS, "r0")
    # When somebody has as many messages as there are waves
    many = [outgoing(1_000 + number, "many") for number in range(MAXIMUM_WAVES)]
    plan = plan_requests([*full, again, *many])
    # Then theirs start at once
    assert [request.wave for request in plan.requests if many[0] in request.items] == [1]
    assert max(request.wave for request in plan.requests) == MAXIMUM_WAVES
    assert not plan.put_off


def test_what_is_put_off_is_not_overtaken_by_its_memberships_newer_change() -> None:
    # Given a recipient with more messages than go at once, and another of its last one's membership
    of_recipient = [outgoing(n, "placeholder", membership=f"m{n}") for n in range(MAXIMUM_WAVES + 1)]
    newer = outgoing(99, "another", membership=f"m{MAXIMUM_WAVES}")
    # When they are planned / Then both wait, and a stranger's message does not
    stranger = outgoing(100, "stranger")
    plan = plan_requests([*of_recipient, newer, stranger])
    assert plan.put_off == [of_recipient[-1], newer]
    assert stranger in plan.requests[0].items


def test_the_same_message_twice_goes_in_two_waves_even_for_two_recipients() -> None:
    items = [outgoing(0, "r1", membership="same", key="m"), outgoing(1, "r2", membership="same", key="m")]

    assert [request.wave for request in requests_of(items)] == [1, 2]


def test_at_the_same_moment_the_place_in_the_message_decides() -> None:
    items = [outgoing(0, f"r{n}", membership="same", key=f"part-{n}") for n in range(5)]

    planned = requests_of(items)

    assert [request.items[0].change.key for request in planned] == [f"part-{n}" for n in range(5)]


def test_what_is_taken_out_of_a_request_leaves_the_others_in_their_order() -> None:
    # Given a request of five / When two are taken out
    (request,) = requests_of([outgoing(n, f"r{n}") for n in range(5)])
    out = request.take_out([3, 1])

    # Then they are a request of their own, which nobody takes for the first
    assert [item.event.recipient for item in request.items] == ["r0", "r2", "r4"]
    assert [item.event.recipient for item in out.items] == ["r3", "r1"]
    assert (out.event_name, out.wave) == (request.event_name, request.wave)
    assert out.request_id != request.request_id


def test_nothing_to_send_is_no_request() -> None:
    assert requests_of([]) == []
