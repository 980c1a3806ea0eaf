"""Does `make send` follow a membership to where it really ends?"""

import io
import json
from collections.abc import Mapping
from pathlib import Path

import pytest
from rich.console import Console

from responsys_activation.aws.connector_parameters import ConnectorParameters
from responsys_activation.aws.connector_settings import ConnectorSettings
from tests.end_to_end.connector_under_test import ConnectorUnderTest
from tests.local_stack import send as send_command
from tests.local_stack.processes import LocalStackError
from tests.local_stack.stack import STACK_NAME, LocalStack
from tests.local_stack.stack_in_use import StackInUse


class Sender:
    """The command line, with what it prints."""

    def __init__(self, stack: LocalStack) -> None:
        self._stack = StackInUse(STACK_NAME, stack.outputs, stack.endpoint.client)
        parameters = ConnectorParameters(stack.outputs["ConnectorParameterPrefix"], stack.endpoint.client("ssm"))
        self._settings = ConnectorSettings(parameters)
        self._console = Console(file=io.StringIO(), width=200)

    def send(self, variables: Mapping[str, str], seconds: float = 40) -> int:
        body = send_command.membership_body(variables, self._settings)
        sending = send_command.send(self._stack, self._settings, body, self._console)
        return send_command.follow(self._stack, sending, seconds, self._console)

    @property
    def printed(self) -> str:
        assert isinstance(self._console.file, io.StringIO)
        return self._console.file.getvalue()


@pytest.fixture
def sender(stack: LocalStack) -> Sender:
    return Sender(stack)


def variables(connector: ConnectorUnderTest, **changes: str) -> dict[str, str]:
    return {"CONNECTOR": connector.name, "PROFILE": "p-1", "SEGMENT": "aud-42", "ID": "364470825", **changes}


def test_a_delivered_membership_is_followed_to_responsys(connector: ConnectorUnderTest, sender: Sender) -> None:
    # Given variables as on the command line
    given = variables(connector, CALL_TYPE="REMOVE", VARIABLES='{"X": 1.50}', MESSAGE_ID="m-1")
    # When they are sent
    status = sender.send(given)
    # Then it says delivered, with success, and Responsys has just that
    assert (status, "delivered" in sender.printed) == (0, True)
    (event,) = connector.inbox()
    assert (event.value("profileId"), event.value("callType"), event.value("X")) == ("p-1", "REMOVE", "1.5")
    # And the same change is not sent again under its messageId
    with pytest.raises(LocalStackError, match="MESSAGE_ID"):
        sender.send(given)
    assert len(connector.inbox()) == 1


def test_a_rejected_membership_is_told_with_its_code_and_what_to_do(
    connector: ConnectorUnderTest, sender: Sender
) -> None:
    # Given an identifier that is none / When it is sent / Then code and advice are told, without success
    assert sender.send(variables(connector, ID="not-a-number")) == 1
    assert "rejected, NO_IDENTIFIER" in sender.printed
    assert "What to do: fix the producer, or the connector's identifierType" in sender.printed


def test_a_throttled_membership_is_followed_until_it_is_delivered(
    connector: ConnectorUnderTest, sender: Sender
) -> None:
    # Given a Responsys without capacity for a few seconds
    connector.simulator.start_capacity_outage(connector.name, seconds=240)
    # When a membership is sent and followed for too short a time
    assert sender.send(variables(connector, MESSAGE_ID="m-1"), seconds=4) == 1
    # Then it is told where it is, and that it goes on
    assert "throttled, INTERNAL_CAPACITY_LIMIT_EXCEEDED" in sender.printed
    assert "Not at its end after 4 s" in sender.printed
    # And when another is followed long enough / Then its end is delivered
    assert sender.send(variables(connector, MESSAGE_ID="m-2")) == 0
    assert len(connector.inbox()) == 2


def test_a_file_is_sent_as_it_is(connector: ConnectorUnderTest, sender: Sender, tmp_path: Path) -> None:
    # Given a file with a message that lacks a field, and has no messageId
    path = tmp_path / "membership.json"
    path.write_text(json.dumps(connector.message(messageId=None, callType=None)))
    # When it is sent / Then it is told beforehand and afterwards why it fails
    assert sender.send({"MESSAGE": str(path)}) == 1
    assert "It will be rejected: callType" in sender.printed
    assert "rejected, INVALID_MESSAGE" in sender.printed


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"PROFILE": "p", "SEGMENT": "s"}, "ID"),
        ({"MESSAGE": "/no/such/file"}, "MESSAGE"),
        ({"PROFILE": "p", "SEGMENT": "s", "ID": "1", "CONNECTOR": "nobody"}, "nobody"),
        ({"PROFILE": "p", "SEGMENT": "s", "ID": "1", "VARIABLES": "{"}, "VARIABLES"),
    ],
)
def test_what_is_missing_or_wrong_is_named_and_nothing_sent(sender: Sender, given: dict[str, str], named: str) -> None:
    # Given a mistake / When it is to be sent / Then the variable is named
    with pytest.raises(LocalStackError, match=named):
        sender.send(given)
