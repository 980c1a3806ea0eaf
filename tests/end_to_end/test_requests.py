"""What does the deployed function do when Responsys answers something else than 200 results?"""

import json
from collections import Counter
from collections.abc import Iterator

import pytest

from tests.end_to_end.connector_under_test import EVENT, OTHER_EVENT, ConnectorUnderTest, message_ids
from tests.end_to_end.observing import REJECTED, THROTTLED, attributes, invoke, rejected, settle, sqs_event, waiting
from tests.local_stack.queues import take_all
from tests.local_stack.repeating import eventually
from tests.local_stack.stack import LocalStack
from tests.simulator.faults import FAULT, ConnectionReset, ErrorReply, TruncatedReply, WrongLengthReply
from tests.simulator.request_log import THROTTLE_CODES


def test_a_token_that_expires_in_the_middle_of_a_batch_is_renewed_and_nothing_is_accepted_twice(
    stack: LocalStack, connector: ConnectorUnderTest
) -> None:
    # Given requests that take a while
    connector.simulator.patch_account(connector.name, {"replies": {"latencyMs": 300}})
    bodies = connector.bodies(1500)
    connector.publish(bodies)

    # When the token becomes invalid between them
    assert eventually(lambda: connector.simulator.inbox_count(connector.name) > 0)
    connector.simulator.revoke_tokens(connector.name)
    settle(stack)

    # Then there is one login more, and each message was accepted once
    assert connector.accepted() == Counter(message_ids(bodies))
    assert connector.simulator.summary(connector.name).logins == 2


def test_messages_whose_answer_cannot_be_trusted_are_counted_and_sent_again(stack: LocalStack) -> None:
    # Given accounts that accept one request, and whose answer then goes wrong, each in another way
    connectors = {
        "too short": (ConnectorUnderTest(stack), WrongLengthReply(difference=-1)),
        "too long": (ConnectorUnderTest(stack), WrongLengthReply(difference=1)),
        "half of the JSON": (ConnectorUnderTest(stack), TruncatedReply()),
        "half of the bytes": (ConnectorUnderTest(stack), TruncatedReply(cut_connection=True)),
        "reset": (ConnectorUnderTest(stack), ConnectionReset(accept_first=True)),
        "error": (ConnectorUnderTest(stack), ErrorReply(status=500, accept_first=True)),
    }
    for connector, fault in connectors.values():
        connector.simulator.add_fault(FAULT.validate_python(fault.model_dump() | {"account": connector.name}))
    bodies = {name: connector.bodies(210) for name, (connector, _) in connectors.items()}

    # When two requests' worth of messages goes to each
    next(iter(connectors.values()))[0].publish([body for each in bodies.values() for body in each])
    settle(stack)

    # Then all arrived, and those of one request at most twice and no more than were counted as unknown
    for name, (connector, _) in connectors.items():
        accepted = connector.accepted()
        twice = accepted.total() - len(accepted)
        assert set(accepted) == set(message_ids(bodies[name])), name
        assert max(accepted.values()) <= 2, name
        assert 10 <= twice <= 200, name
        assert eventually(lambda connector=connector: connector.metric("OutcomesUnknown")) == twice, name  # type: ignore[misc]


def test_with_reject_such_messages_wait_for_a_person_and_are_never_sent_twice(
    stack: LocalStack, connector: ConnectorUnderTest
) -> None:
    # Given a stack that would rather send not at all than twice, and an answer that is lost
    stack.set_function_environment({"UNKNOWN_OUTCOME": "Reject"})
    try:
        connector.simulator.add_fault(ConnectionReset(account=connector.name, accept_first=True))
        bodies = connector.bodies(5)

        # When messages are published
        connector.publish(bodies)
        settle(stack)
    finally:
        stack.set_function_environment({})

    # Then Responsys has them once, and a person is told of each
    assert connector.accepted() == Counter(message_ids(bodies))
    found = rejected(stack, connector.name)
    assert sorted(message["Body"] for message in found) == sorted(bodies)
    assert {attributes(message)["errorCode"] for message in found} == {"OUTCOME_UNKNOWN"}
    assert eventually(lambda: connector.metric("OutcomesUnknown") == 5)


def throttled_requests(connector: ConnectorUnderTest) -> int:
    """Count the requests of any kind that met a throttle."""
    return sum(record.error_code in THROTTLE_CODES for record in connector.simulator.requests(connector.name))


@pytest.fixture
def without_capacity(stack: LocalStack) -> Iterator[tuple[ConnectorUnderTest, ConnectorUnderTest]]:
    """Return connectors whose accounts have no capacity, the one logged in, the other not."""
    known, new = ConnectorUnderTest(stack), ConnectorUnderTest(stack)
    known.publish(known.bodies(1))
    settle(stack)
    for connector in (known, new):
        connector.simulator.start_capacity_outage(connector.name)
    yield known, new
    for connector in (known, new):
        connector.simulator.end_capacity_outage(connector.name)


def test_a_throttle_stops_a_connector_until_its_clock_has_run_out_and_then_one_probe_goes(
    stack: LocalStack, connector: ConnectorUnderTest, without_capacity: tuple[ConnectorUnderTest, ConnectorUnderTest]
) -> None:
    known, new = without_capacity

    # When messages for several requests come, and later more of them, to another environment
    known_bodies = known.bodies(500)
    new_bodies = [*new.bodies(250), *new.bodies(250, eventName=OTHER_EVENT)]
    known.publish([*known_bodies, *new_bodies])
    assert eventually(lambda: waiting(stack, THROTTLED) == 1000)
    asked = throttled_requests(known)
    stack.set_function_environment({})
    later, others = known.bodies(5), connector.bodies(5)
    known.publish([*later, *others])
    assert eventually(lambda: waiting(stack, THROTTLED) == 1005 and len(connector.inbox()) == 5)

    # Then Responsys was asked with what was in flight at first, with a single login where nobody was logged in, and
    # with nothing afterwards; the other connector is untouched
    assert 1 <= asked <= 3
    assert (throttled_requests(known), throttled_requests(new)) == (asked, 1)
    new.simulator.end_capacity_outage(new.name)

    # And when the ten minutes are over, a single request finds out that the one throttle is not
    assert eventually(lambda: throttled_requests(known) > asked)
    known.simulator.end_capacity_outage(known.name)
    assert eventually(lambda: len(new.inbox()) == 500)
    assert (throttled_requests(known), throttled_requests(new)) == (asked + 1, 1)

    # And after as long again another opens the way for all
    settle(stack)
    assert known.accepted().keys() > set(message_ids([*known_bodies, *later]))
    assert len(known.inbox()) == 506
    assert new.accepted() == Counter(message_ids(new_bodies))
    assert throttled_requests(known) == asked + 1


def test_what_only_a_person_can_mend_is_not_tried_with_every_request(stack: LocalStack) -> None:
    # Given connectors that name an event or a profile list that does not exist
    unknown_event = ConnectorUnderTest(stack, defaultEventName="NO_SUCH_EVENT")
    unknown_list = ConnectorUnderTest(stack)
    unknown_list.profile_list = {"name": "NO_SUCH_LIST", "folder": "!MasterData"}
    unknown_list.put()
    unknown_folder = ConnectorUnderTest(stack)
    unknown_folder.profile_list = {"name": "CONTACTS_LIST", "folder": "NO_SUCH_FOLDER"}
    unknown_folder.put()
    good = unknown_event.bodies(10, eventName=OTHER_EVENT)

    # When messages for several requests come in one batch, some of them for an event that exists
    bodies = [*unknown_event.bodies(900), *good, *unknown_list.bodies(30), *unknown_folder.bodies(30)]
    assert invoke(stack, sqs_event(stack, bodies)) == {"batchItemFailures": []}

    # Then each is rejected under Responsys' own code, and the unknown event cost the requests in flight at most
    kept = take_all(stack.endpoint.sqs, stack.outputs[REJECTED])
    codes = Counter((attributes(message)["connector"], attributes(message)["errorCode"]) for message in kept)
    assert codes == {
        (unknown_event.name, "CUSTOM_EVENT_NOT_FOUND"): 900,
        (unknown_list.name, "PROFILE_LIST_NOT_FOUND"): 30,
        (unknown_folder.name, "PROFILE_LIST_NOT_FOUND_IN_FOLDER"): 30,
    }
    assert unknown_event.error_codes()["CUSTOM_EVENT_NOT_FOUND"] <= 4
    assert unknown_event.accepted() == Counter(message_ids(good))


@pytest.mark.parametrize(
    ("replies", "most_extra_requests"),
    [({"firstRecordNumber": 0}, 3), ({"firstRecordNumber": 1}, 3), ({"invalidRecordIsNamed": False}, 17)],
    ids=["named, counted from 0", "named, counted from 1", "not named"],
)
def test_one_bad_recipient_among_two_hundred_does_not_sink_the_others(
    stack: LocalStack, connector: ConnectorUnderTest, replies: dict[str, object], most_extra_requests: int
) -> None:
    # Given a recipient for whom Responsys refuses whole requests
    bodies = connector.bodies(200)
    bad = json.loads(bodies[123])
    invalid = {"identifiers": [bad["identifiers"]["27"]]}
    connector.simulator.patch_account(connector.name, {"recipients": {"invalid": invalid}, "replies": replies})

    # When it comes among 199 others
    connector.publish(bodies)
    settle(stack)

    # Then these arrive, once, that one is rejected, and few requests were needed for it
    assert connector.accepted() == Counter(message_ids(bodies)) - Counter([bad["messageId"]])
    (message,) = rejected(stack, connector.name)
    assert (message["Body"], attributes(message)["errorCode"]) == (bodies[123], "INVALID_PARAMETER")
    assert attributes(message)["eventName"] == EVENT
    assert len(connector.event_requests()) <= 1 + most_extra_requests
