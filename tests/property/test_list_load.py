"""Does a list that is loaded an hour later cost anybody their message?"""

from __future__ import annotations

from tests.fakes.clock import NOW
from tests.property.law import check
from tests.property.scenario import ListLoad, Scenario, Upstream
from tests.property.world import World


def test_a_list_loaded_an_hour_later_gets_everything_and_nothing_is_rejected_or_retried() -> None:
    # Given connectors that wait, and 40 messages of which half are for people whom a load brings in an hour
    late = tuple(range(1, 21))
    messages = tuple(Upstream(profile=profile) for profile in range(1, 41))
    world = World(Scenario(messages=messages, list_load=ListLoad(action="WAIT", missing=late, after=3600)))

    # When it comes to rest
    world.run()

    # Then all were delivered once, the late ones within a quarter of an hour after the load
    check(world)
    assert world.total("EventsDelivered", service="segment_events") == len(messages)
    assert world.total("EventsRejected", service="segment_events") == 0
    assert not world.rejected.messages
    accepted = {str(event.recipient): event.at for event in world.accounts["default"].accepted}
    assert len(accepted) == len(messages)
    assert all(3600 <= accepted[str(profile)] - NOW <= 3600 + 960 for profile in late)
    # Each wait is a message of its own: no receive of it was for nothing.
    assert world.total("EventsRetried", service="segment_events") == 0
