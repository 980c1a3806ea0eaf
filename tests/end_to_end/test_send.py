"""Does `responsys-activation send` follow a membership to where it really ends?"""

import json
from pathlib import Path

from responsys_activation.cli.exit_code import ExitCode
from tests.end_to_end.connector_under_test import ConnectorUnderTest
from tests.end_to_end.observing import deployed
from tests.unit.cli.commands import Ended, command


def send(connector: ConnectorUnderTest, *arguments: str, **changes: str) -> Ended:
    """Send what is typed: a membership of the connector, unless a file is given."""
    typed = {"connector": connector.name, "profile-id": "p-1", "segment": "aud-42", "id": "364470825", **changes}
    options = [] if "--message" in arguments else [each for name in typed for each in (f"--{name}", typed[name])]
    return command("send", "--timeout", "40", *options, *arguments, stack=deployed(connector.stack))


def test_a_delivered_membership_is_followed_to_responsys(connector: ConnectorUnderTest) -> None:
    # Given a membership as it is typed
    given = {"call-type": "REMOVE", "variables": '{"X": 1.50}', "message-id": "m-1"}
    # When it is sent
    ended = send(connector, **given)
    # Then it says delivered, with success, and Responsys has just that, to the digit
    assert (ended.code, "delivered" in ended.out) == (ExitCode.DONE, True)
    (event,) = connector.inbox()
    assert (event.value("profileId"), event.value("callType"), event.value("X")) == ("p-1", "REMOVE", "1.50")
    # And the same change is not sent again under its messageId
    again = send(connector, **given)
    assert (again.code, "--message-id" in again.err) == (ExitCode.USAGE, True)
    assert len(connector.inbox()) == 1


def test_a_program_is_told_the_end_of_a_message_without_an_id(connector: ConnectorUnderTest, tmp_path: Path) -> None:
    # Given a file whose message has no id of its own
    path = tmp_path / "membership.json"
    path.write_text(json.dumps(connector.message(messageId=None)))
    # When it is sent for a program / Then the end is told, found by SQS's id
    ended = send(connector, "--message", str(path), "--json")
    assert (ended.code, ended.document()["outcome"]) == (ExitCode.DONE, "delivered")


def test_a_rejected_membership_is_told_with_its_code_and_what_to_do(connector: ConnectorUnderTest) -> None:
    # Given an identifier that is none / When it is sent / Then code and advice are told, without success
    ended = send(connector, id="not-a-number")
    assert ended.code == ExitCode.NOT_DONE
    assert "It will be rejected, NO_IDENTIFIER: identifiers: " in ended.out
    assert "rejected, NO_IDENTIFIER (" in ended.out
    assert "What to do: fix the producer, or the connector's identifierType" in ended.out


def test_a_throttled_membership_is_followed_until_it_is_delivered(connector: ConnectorUnderTest) -> None:
    # Given a Responsys without capacity for some seconds
    connector.simulator.start_capacity_outage(connector.name, seconds=480)
    # When a membership is sent and followed for too short a time
    ended = send(connector, "--timeout", "4", **{"message-id": "m-1"})
    # Then it is told where it is, and that it goes on
    assert ended.code == ExitCode.NOT_DONE
    assert "throttled, INTERNAL_CAPACITY_LIMIT_EXCEEDED" in ended.out
    assert "Not at its end after 4 s" in ended.out
    # And when another is followed long enough / Then its end is delivered
    assert send(connector, **{"message-id": "m-2"}).code == ExitCode.DONE
    assert len(connector.inbox()) == 2


def test_a_file_is_sent_as_it_is(connector: ConnectorUnderTest, tmp_path: Path) -> None:
    # Given a file with a message that lacks a field, and has no messageId
    path = tmp_path / "membership.json"
    path.write_text(json.dumps(connector.message(messageId=None, callType=None)))
    # When it is sent / Then it is told beforehand and afterwards why it fails
    ended = send(connector, "--message", str(path))
    assert ended.code == ExitCode.NOT_DONE
    assert "It will be rejected, INVALID_MESSAGE: callType" in ended.out
    assert "rejected, INVALID_MESSAGE (callType" in ended.out
