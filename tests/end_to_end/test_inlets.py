"""Do events of upstream arrive through the inlet, and what it could not deliver after a replay?"""

import json
import time
from typing import Any

from tests.end_to_end.conftest import TIME_SCALE
from tests.end_to_end.connector_under_test import OTHER_EVENT, ConnectorUnderTest
from tests.end_to_end.observing import REJECTED, replay, settle
from tests.local_stack.environments import REPOSITORY
from tests.local_stack.published_metrics import PublishedMetrics
from tests.local_stack.repeating import eventually
from tests.local_stack.stack import LocalStack

SOURCE = "com.example.cdp/segment"


def an_audience(connector: ConnectorUnderTest) -> dict[str, Any]:
    """Return an event of Segment's whose audience this connector alone maps."""
    event: dict[str, Any] = json.loads((REPOSITORY / "events/upstream/segment_entered.json").read_text())
    event["detail"]["context"]["personas"]["computation_id"] = f"aud_{connector.name}"
    event["detail"]["messageId"] = f"personas-{connector.name}"
    return event


def mapping(stack: LocalStack) -> ConnectorUnderTest:
    connector = ConnectorUnderTest(stack)
    connector.optional = {"eventNames": {f"aud_{connector.name}": OTHER_EVENT}}
    connector.put(identifier_type="CRM_ID")
    time.sleep(5 * 60 / TIME_SCALE)  # until its mapping certainly counts
    return connector


def arrived(connector: ConnectorUnderTest) -> list[tuple[str, str, str | None]]:
    return [(event.event_name, event.identifier, event.value("callType")) for event in connector.inbox()]


def test_events_of_the_source_become_custom_events_and_others_stay_out(stack: LocalStack) -> None:
    # Given a connector that maps the audience, and the same event by two sources
    connector = mapping(stack)
    event = an_audience(connector)
    metrics = PublishedMetrics(stack.endpoint.cloudwatch)
    received_before = metrics.total("MessagesReceived", service="segment_events")

    # When both are put on the bus, the stranger's first
    entries = [
        {"Source": source, "DetailType": event["detail-type"], "Detail": json.dumps(event["detail"])}
        for source in ("org.example.cdp", SOURCE)
    ]
    assert stack.endpoint.client("events").put_events(Entries=entries)["FailedEntryCount"] == 0

    # Then the one of the source becomes an event of its recipient
    assert eventually(lambda: arrived(connector) == [(OTHER_EVENT, "cust-4711", "ADD")])
    settle(stack)
    # And the other one was never on the queue
    received = eventually(lambda: metrics.total("MessagesReceived", service="segment_events") - received_before)
    assert received == 1


def test_an_event_that_the_rule_left_on_the_rejected_queue_is_sent_on_by_a_replay(stack: LocalStack) -> None:
    # Given an event as EventBridge leaves it when SegmentEventsQueue did not take it
    connector = mapping(stack)
    texts = {
        "ERROR_CODE": "NO_PERMISSIONS",
        "ERROR_MESSAGE": "SegmentEventsQueue may not be sent to.",
        "RETRY_ATTEMPTS": "0",
        "RULE_ARN": "arn:aws:events:eu-west-1:000000000000:rule/responsys-activation-upstream-events",
        "TARGET_ARN": stack.outputs["SegmentEventsQueueArn"],
    }
    stack.endpoint.sqs.send_message(
        QueueUrl=stack.outputs[REJECTED],
        MessageBody=json.dumps(an_audience(connector)),
        MessageAttributes={name: {"DataType": "String", "StringValue": text} for name, text in texts.items()},
    )

    # When what nobody gave a code to is replayed
    report = replay(stack, errorCode="NONE", dryRun=False)
    settle(stack)

    # Then it becomes the event that it would have been
    assert (report["moved"], report["byErrorCode"]) == (1, {"NONE": 1})
    assert arrived(connector) == [(OTHER_EVENT, "cust-4711", "ADD")]
