"""Does the tests' queue let quiet neighbours' messages go first, as SQS does?"""

from __future__ import annotations

import pytest

from tests.fakes.clock import Clock
from tests.property.sqs import Queue


def queue_of(clock: Clock, *groups: str | None) -> Queue:
    queue = Queue("segment-events", clock, visibility_timeout=600)
    for group in groups:
        queue.send("busy" if group == "busy" else "idle", group=group)
    return queue


@pytest.mark.parametrize("group", ["idle", None])
def test_a_quiet_message_goes_before_a_noisy_neighbours(group: str | None) -> None:
    # Given 100 messages of a group, of which 30 are in flight, and another's behind them
    queue = queue_of(Clock(), *["busy"] * 100, group)
    queue.receive(30)

    assert [message.body for message in queue.receive(2)] == ["idle", "busy"]


@pytest.mark.parametrize(("in_flight", "busy"), [(29, "busy"), (30, None)])
def test_who_has_few_messages_in_flight_or_no_group_is_not_noisy(in_flight: int, busy: str | None) -> None:
    queue = queue_of(Clock(), *[busy] * 100, "idle")
    first = queue.receive(in_flight)

    assert queue.receive(1)[0].message_id > first[-1].message_id
    assert queue.messages["segment-events-0"].receives == 1


def test_what_is_deleted_is_not_in_flight() -> None:
    queue = queue_of(Clock(), *["busy"] * 100, "idle")
    queue.delete(message.message_id for message in queue.receive(30))

    assert queue.receive(1)[0].body == "busy"
