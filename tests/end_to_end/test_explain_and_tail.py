"""Does `explain` say beforehand what the deployed function then does, and `tail` afterwards what it did?"""

import itertools
import json
import time
from pathlib import Path

from responsys_activation.cli.exit_code import ExitCode
from responsys_activation.cli.tail import follow
from tests.end_to_end.connector_under_test import ConnectorUnderTest
from tests.end_to_end.observing import deployed
from tests.local_stack.repeating import eventually
from tests.unit.cli.commands import command


def test_what_is_explained_is_what_is_sent(connector: ConnectorUnderTest, tmp_path: Path) -> None:
    # Given messages for two events, and one that cannot be sent
    messages = [
        connector.message(variables={"CART_VALUE": 99.9, "NAME": "Zoë", "GONE": None}),
        connector.message(callType="REMOVE"),
        connector.message(eventName="CART_ABANDONED"),
        connector.message(identifiers={}),
    ]
    path = tmp_path / "messages.json"
    path.write_text(json.dumps(messages))
    # When they are explained with the settings of the stack, and then sent
    ended = command("explain", str(path), "--json", stack=deployed(connector.stack))
    connector.publish([json.dumps(each) for each in messages])
    # Then those of one event are told to share a request, and the requests are told to the byte
    assert ended.code == ExitCode.NOT_DONE
    (file,) = ended.document()
    assert [each["wouldBeSent"] for each in file["messages"]] == [True, True, True, False]
    assert eventually(lambda: len(connector.inbox()) == 3)
    told = {(each["path"], each["recipients"], each["bytes"]) for each in file["requests"]}
    assert told == {(each.path, each.recipients, each.received_bytes) for each in connector.event_requests()}
    # And the properties
    told_properties = file["messages"][0]["parts"][0]["optionalData"]
    first = next(event for event in connector.inbox() if event.value("NAME"))
    assert {each["name"]: each["value"] for each in told_properties[:-2]} == {
        each["name"]: each["value"] for each in first.properties[:-2]
    }


def test_outcomes_are_told_as_they_come(connector: ConnectorUnderTest) -> None:
    # Given a person who follows the log
    lines = follow(deployed(connector.stack), time.time(), sleep=lambda _seconds: time.sleep(0.2))
    # When a message is delivered, and one rejected
    connector.publish([json.dumps(connector.message()), json.dumps(connector.message(identifiers={}))])
    # Then she sees the request, the rejection and the batch, and nothing that tells of anybody
    seen: list[dict[str, object]] = []
    for line in itertools.islice(lines, 20):
        seen.append(line)
        if line["kind"] == "batch" and any(each["kind"] == "message" for each in seen):
            break
    by_kind = {
        line["kind"]: line for line in seen if line.get("connector") == connector.name or line["kind"] == "batch"
    }
    assert by_kind["request"]["results"] == {"delivered": 1}
    assert (by_kind["message"]["outcome"], by_kind["message"]["errorCode"]) == ("rejected", "NO_IDENTIFIER")
    assert (by_kind["batch"]["delivered"], by_kind["batch"]["rejected"]) == (1, 1)
    assert "profile-" not in json.dumps(seen)
