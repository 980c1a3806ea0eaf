"""Does each sample of a platform's message become the custom events that its story asks for?"""

from __future__ import annotations

import json

import pytest

from responsys_activation.aws.connectors import ConnectorParameter
from responsys_activation.delivery.outcome import Ending, Ignored, Rejected
from responsys_activation.delivery.planning import Outgoing
from responsys_activation.delivery.rehearsal import Terms, rehearse
from tests.fakes.memberships import ABSENT, connector_document
from tests.fakes.platform_events import ARRIVING, ENDING, SETTINGS, Event
from tests.hostile.platforms import ARRIVED_AT, SAMPLES

TERMS = Terms("/stack/connectors/", "responsys.net", maximum_event_age_hours="1000000")
PLATFORMS = {story: body for story, body in SAMPLES.items() if not story.startswith("own_")}


def event(connector: str, name: str, item: Outgoing) -> Event:
    document = json.loads(item.event.recipient_json)
    (identifier,) = (value for field, value in document["recipient"].items() if field != "listName")
    *properties, profile_id, call_type = [(each["name"], each["value"]) for each in document["optionalData"]]
    return Event(connector, name, identifier, profile_id[1], call_type[1], tuple(properties))


def code(ending: Ending) -> str:
    assert isinstance(ending.outcome, Ignored | Rejected)
    return str(ending.outcome.error_code)


def test_each_sample_has_its_events_here() -> None:
    assert PLATFORMS.keys() == ARRIVING.keys()
    assert ENDING.keys() <= ARRIVING.keys()


@pytest.mark.parametrize("story", PLATFORMS)
def test_a_sample_becomes_the_events_of_its_story(story: str) -> None:
    # Given a connector that finds people by customer id, and one by hashed address, which chooses variables
    connectors = {
        name: ConnectorParameter(json.dumps(connector_document(defaultEventName=ABSENT, **settings)), encrypted=False)
        for name, settings in SETTINGS.items()
    }
    record = {
        "messageId": "sqs-1",
        "body": PLATFORMS[story],
        "attributes": {"SentTimestamp": str(int(ARRIVED_AT * 1000))},
    }

    # When the sample is rehearsed
    rehearsal = rehearse([record], connectors, TERMS)

    # Then each gets its events, and what does not arrive ends as it should
    events = [event(each.connector, each.event_name, item) for each in rehearsal.requests for item in each.items]
    assert sorted(events) == sorted(ARRIVING[story])
    assert sorted(map(code, rehearsal.endings)) == sorted(ENDING.get(story, []))
