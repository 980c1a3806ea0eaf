"""Does what platforms write arrive at Responsys as the events that it stands for, through the deployed stack?"""

from collections import Counter
from datetime import UTC, datetime
from typing import Any

from tests.end_to_end.connector_under_test import ConnectorUnderTest
from tests.end_to_end.observing import REJECTED, attributes, settle
from tests.fakes.platform_events import ARRIVING, ENDING, SETTINGS, Event
from tests.hostile.platforms import SAMPLES
from tests.local_stack.published_metrics import PublishedMetrics
from tests.local_stack.queues import send_all, take_all
from tests.local_stack.stack import LocalStack

_PROFILES = ("cust-47", "-812345", "9912007", '"5512"')


def of_their_own(story: str, text: str) -> str:
    """Return the samples profiles of their own: some tell the same story of the same person."""
    if any(profile in SAMPLES[story] for profile in _PROFILES):  # the only one in base64 stays as it is
        for profile in _PROFILES:
            text = text.replace(profile, f"{profile[:-2]}{list(ARRIVING).index(story):02}{profile[-2:]}")
    return text


def arrived(connector: ConnectorUnderTest, name: str) -> Counter[Event]:
    return Counter(
        Event(
            name,
            event.event_name,
            event.identifier,
            event.value("profileId") or "",
            event.value("callType") or "",
            tuple((each["name"], str(each["value"])) for each in event.properties[:-2]),
        )
        for event in connector.inbox()
    )


def test_every_sample_arrives_as_the_events_of_its_story(stack: LocalStack) -> None:
    # Given two connectors that map the samples' segments
    connectors: dict[str, ConnectorUnderTest] = {}
    for name, settings in SETTINGS.items():
        optional: dict[str, Any] = {each: value for each, value in settings.items() if each != "identifierType"}
        connectors[name] = ConnectorUnderTest(stack, **optional)
        connectors[name].put(identifier_type=settings["identifierType"])
    stack.set_function_environment({})  # new environments, which remember no list of connectors

    # When every sample is put on the queue
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    bodies = [
        of_their_own(story, SAMPLES[story]).replace("2026-11-20T08:15:02Z", now)  # what is new at Adobe
        for story in ARRIVING
    ]
    metrics = PublishedMetrics(stack.endpoint.cloudwatch)
    ignored_before = metrics.total("EventsIgnored", service="segment_events")
    send_all(stack.endpoint.sqs, stack.outputs["SegmentEventsQueueUrl"], bodies)
    settle(stack, 120)

    # Then Responsys has the events of each story, at each connector
    expected = Counter(
        each._replace(
            identifier=of_their_own(story, each.identifier),
            profile_id=of_their_own(story, f'"{each.profile_id}"')[1:-1],
            properties=tuple((name, of_their_own(story, value)) for name, value in each.properties),
        )
        for story in ARRIVING
        for each in ARRIVING[story]
    )
    came = arrived(connectors["crm"], "crm") + arrived(connectors["mail"], "mail")
    assert came - expected == Counter()
    assert expected - came == Counter()

    # And the rest is ignored, or waits on RejectedDLQ, each alone
    codes = Counter(code for of_story in ENDING.values() for code in of_story)
    kept = take_all(stack.endpoint.sqs, stack.outputs[REJECTED])
    rejected = Counter(attributes(message)["errorCode"] for message in kept)
    assert rejected == Counter({code: codes[code] for code in ("INVALID_MESSAGE", "NO_IDENTIFIER")})
    ignored = metrics.total("EventsIgnored", service="segment_events") - ignored_before
    assert ignored == codes.total() - rejected.total()
