"""Does a rehearsal tell just what the delivery would send, and how the rest would end?"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from responsys_activation.aws.connectors import ConnectorParameter
from responsys_activation.delivery.outcome import Outcome, Rejected
from responsys_activation.delivery.rehearsal import Rehearsal, Terms, rehearse
from responsys_activation.responsys.events import MAXIMUM_RECIPIENTS
from tests.fakes.function_output import captured_output
from tests.fakes.memberships import ABSENT, connector_document, document

TERMS = Terms("/stack/connectors/", "responsys.net", "24")


def record(number: int = 1, *, body: str | None = None, **changes: Any) -> dict[str, Any]:
    own = {"profileId": f"profile-{number}", "identifiers": {"27": str(1000 + number)}}
    return {
        "messageId": f"sqs-{number}",
        "body": body if body is not None else json.dumps(document(**own | changes)),
        "eventSourceARN": "arn:aws:sqs:eu-west-1:123456789012:any-queue",
    }


def rehearsed(*records: Mapping[str, Any], **connectors: dict[str, Any]) -> Rehearsal:
    settings = {"default": connector_document(), **connectors}
    return rehearse(
        records,
        {name: ConnectorParameter(json.dumps(each), encrypted=False) for name, each in settings.items()},
        TERMS,
    )


def test_what_can_be_sent_is_told_in_the_requests_that_would_be_made() -> None:
    # Given more recipients than a request takes
    records = [record(number) for number in range(MAXIMUM_RECIPIENTS + 1)]
    # When they are rehearsed
    with captured_output() as output:
        rehearsal = rehearsed(*records)
    # Then there are two requests, each with its recipients
    assert [len(request.items) for request in rehearsal.requests] == [MAXIMUM_RECIPIENTS, 1]
    first = rehearsal.requests[0]
    assert (first.connector, first.event_name) == ("default", "SEGMENT_CHANGED")
    assert json.loads(first.items[0].event.recipient_json)["recipient"]["recipientId"] == 1000
    # And nothing is left over, logged or counted
    assert rehearsal.endings == []
    assert output.text() == ""


THROTTLED_ATTRIBUTES = {
    "outcome": {"stringValue": "throttled"},
    "responsysActivation": {"stringValue": '{"firstSentAt":"2020-01-01T00:00:00+00:00"}'},
}


@pytest.mark.parametrize(
    ("given", "connectors", "code", "named"),
    [
        (record(body="{"), {}, "INVALID_MESSAGE", "body"),
        (record(callType="JOIN"), {}, "INVALID_MESSAGE", "callType"),
        (record(body=json.dumps(document(identifiers=ABSENT))), {}, "NO_IDENTIFIER", "identifiers"),
        (record(connector="nobody"), {}, "UNKNOWN_CONNECTOR", "/stack/connectors/nobody"),
        (record(), {"default": {"identifierType": "SHOE_SIZE"}}, "INVALID_CONNECTOR", "identifierType"),
        (
            record(),
            {"default": connector_document(authEndpoint="https://a.example")},
            "UNTRUSTED_ENDPOINT",
            "a.example",
        ),
        (record(), {"default": connector_document(defaultEventName=ABSENT)}, "NO_EVENT_NAME", "eventName"),
        (record() | {"messageAttributes": THROTTLED_ATTRIBUTES}, {}, "EXPIRED", ""),
    ],
)
def test_what_cannot_be_sent_has_its_code_and_names_the_field(
    given: dict[str, Any], connectors: dict[str, Any], code: str, named: str
) -> None:
    # Given a message with a mistake, and a good one / When they are rehearsed
    good = record(2, connector="other")
    rehearsal = rehearsed(given, good, **{"other": connector_document(), **connectors})
    # Then the mistake is told, and the other goes
    (ending,) = rehearsal.endings
    assert ending.message.message_id == given["messageId"]
    outcome: Outcome = ending.outcome
    assert isinstance(outcome, Rejected)
    assert outcome.error_code == code
    assert named in outcome.reason
    assert [request.connector for request in rehearsal.requests] == ["other"]


def test_a_recipients_messages_go_one_by_one_and_too_many_are_put_off() -> None:
    # Given more changes of one profile than a batch may have requests in a row
    changes = [record(number, profileId="p-1") for number in range(13)]
    # When they are rehearsed / Then each has a request of its own, and the last comes back
    rehearsal = rehearsed(*changes)
    assert [len(request.items) for request in rehearsal.requests] == [1] * 12
    assert [type(ending.outcome).__name__ for ending in rehearsal.endings] == ["Throttled"]


def test_of_a_change_that_comes_twice_the_second_is_a_duplicate() -> None:
    # Given the same change twice, and another of the same profile / When they are rehearsed
    twice = [record(1, messageId="m-1"), record(1, messageId="m-1"), record(1, messageId="m-2")]
    rehearsal = rehearsed(*twice)
    # Then two are sent
    assert [len(request.items) for request in rehearsal.requests] == [1, 1]
    assert [type(ending.outcome).__name__ for ending in rehearsal.endings] == ["Duplicate"]
