"""Is a membership sent as it was typed, and followed to where it really ends?"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from responsys_activation.aws.claims import ClaimState
from responsys_activation.change import membership_change
from responsys_activation.cli import following
from responsys_activation.cli.exit_code import ExitCode
from tests.fakes.memberships import ABSENT, connector_document, document, membership
from tests.fakes.stack import FakeStack
from tests.unit.cli.commands import Ended, command

TYPED = ("--profile-id", "p-1", "--segment", "aud-42", "--id", "364470825")


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "_SECONDS_BETWEEN_LOOKS", 0.0)


def settled(outcome: str, code: str = "-", reason: str = "-") -> dict[str, Any]:
    """Return a line of the function's log."""
    return {
        "level": "INFO",
        "message": "message settled",
        "timestamp": "2026-11-23T17:00:00.000Z",
        "originalMessageId": "sqs-message-1",
        "outcome": outcome,
        "errorCode": code,
        "reason": reason,
        "connector": "default",
    }


def send(*arguments: str, stack: FakeStack) -> Ended:
    return command("send", *arguments, stack=stack)


def delivering() -> FakeStack:
    """Return a stack whose ledger knows nothing, then that it is in flight, then that it is delivered."""
    return FakeStack(states=[None, None, ClaimState.IN_FLIGHT, ClaimState.DELIVERED])


def test_the_options_become_the_message_of_the_contract() -> None:
    # Given every option
    stack = delivering()
    stack.connectors["loyalty"] = connector_document(identifierType="CRM_ID")
    arguments = (
        *("--profile-id", "p-1", "--segment", "jrn-7", "--id", "C-1001", "--call-type", "UPDATE"),
        *("--segment-type", "JOURNEY", "--connector", "loyalty", "--event", "POINTS", "--message-id", "m-1"),
        *("--variables", '{"POINTS": 1.50, "CITY": "Zürich"}'),
    )
    # When it is sent / Then the message has them, numbers as they were typed
    assert send(*arguments, stack=stack).code == ExitCode.DONE
    (body,) = stack.sent
    assert json.loads(body) == {
        "messageId": "m-1",
        "profileId": "p-1",
        "callType": "UPDATE",
        "segment": {"type": "JOURNEY", "id": "jrn-7"},
        "connector": "loyalty",
        "identifiers": {"CRM_ID": "C-1001"},
        "eventName": "POINTS",
        "variables": {"POINTS": 1.5, "CITY": "Zürich"},
    }
    assert '"POINTS":1.50' in body


def test_a_delivered_membership_is_followed_to_its_end() -> None:
    # Given a stack that delivers / When a membership is sent
    ended = send(*TYPED, stack=delivering())
    # Then each place is told once
    lines = [line.partition(" s  ")[2] or line for line in ended.out.splitlines()]
    assert lines == [
        "connector default, event SEGMENT_CHANGED",
        "sent to prod (local): SQS message sqs-message-1",
        "waits on SegmentEventsQueue, or the function just received it.",
        "the function is sending it to Responsys.",
        "delivered: Responsys took the event.",
    ]
    assert (ended.code, ended.err) == (ExitCode.DONE, "")


def test_a_program_reads_the_end() -> None:
    document = send(*TYPED, "--json", stack=delivering()).document()
    assert document.pop("seconds") >= 0
    assert document == {
        "stack": "prod",
        "sqsMessageId": "sqs-message-1",
        "events": [{"connector": "default", "eventName": "SEGMENT_CHANGED"}],
        "outcome": "delivered",
        "errorCode": None,
        "reason": None,
        "whatToDo": None,
        "ended": True,
    }


@pytest.mark.parametrize(
    ("line", "told", "ended"),
    [
        (settled("rejected", "NO_RECIPIENT_FOUND", "gone"), "rejected, NO_RECIPIENT_FOUND (gone): waits on", True),
        (settled("ignored", "SUPERSEDED"), "ignored, SUPERSEDED: nothing is sent for it any more", True),
        (settled("duplicate"), "duplicate: it had been delivered before", True),
        (settled("throttled", "API_LIMIT_EXCEEDED", "a"), "throttled, API_LIMIT_EXCEEDED (a): waits on", False),
        (settled("retried", "TIMEOUT"), "retried, TIMEOUT: stays on its queue", False),
    ],
)
def test_another_end_is_told_with_what_to_do(line: dict[str, Any], told: str, *, ended: bool) -> None:
    # Given a log that tells of an end / When a membership is followed
    stack = FakeStack(logged=[[settled("retried", "EARLIER"), {"message": "sqs-message-1 is not JSON of ours"}, line]])
    result = send(*TYPED, "--timeout", "0.05", stack=stack)
    # Then the last line counts, and only what comes back by itself is followed on
    assert result.code == ExitCode.NOT_DONE
    assert told in result.out
    assert ("What to do: " in result.out) is (line["errorCode"] != "-")
    assert ("Not at its end after 0 s; it goes on by itself" in result.out) is not ended
    assert "EARLIER" not in result.out


@pytest.mark.parametrize(
    ("state", "told"),
    [
        (ClaimState.IN_DOUBT, "it was sent, and no trustworthy reply came"),
        (ClaimState.FREE, "Responsys did not take it"),
        (None, "waits on SegmentEventsQueue"),
    ],
)
def test_what_the_ledger_knows_is_told_where_the_log_says_nothing(state: ClaimState | None, told: str) -> None:
    assert told in send(*TYPED, "--timeout", "0.01", stack=FakeStack(states=[state])).out


def test_a_message_without_an_id_is_looked_for_under_that_of_sqs(tmp_path: Path) -> None:
    # Given a message without an id / When it is sent and followed
    path = tmp_path / "membership.json"
    path.write_text(json.dumps(document()))
    stack = delivering()
    assert send("--message", str(path), stack=stack).code == ExitCode.DONE
    # Then the ledger is asked for the change that the function claims
    claimed = membership_change("default", membership(), "sqs-message-1", 0.0, 0.0)
    assert {(each.membership, each.key) for each in stack.looked_up[1:]} == {(claimed.membership, claimed.key)}


def test_the_same_message_id_is_not_sent_again() -> None:
    stack = FakeStack(states=[ClaimState.DELIVERED])
    ended = send(*TYPED, "--message-id", "m-1", stack=stack)
    assert (ended.code, "--message-id" in ended.err, stack.sent) == (ExitCode.USAGE, True, [])


def test_a_file_is_sent_as_it_is_and_its_mistake_is_told_before(tmp_path: Path) -> None:
    # Given a message without a call type
    path = tmp_path / "membership.json"
    path.write_text(json.dumps(document(callType=ABSENT), indent=3))
    stack = FakeStack(logged=[[settled("rejected", "INVALID_MESSAGE", "callType: is missing")]])
    # When it is sent
    ended = send("--message", str(path), stack=stack)
    # Then it goes byte for byte, and is told to be wrong
    assert stack.sent == [path.read_text()]
    assert "It will be rejected, INVALID_MESSAGE: callType: is missing." in ended.out
    assert "rejected, INVALID_MESSAGE (callType: is missing): waits on RejectedDLQ." in ended.out


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--profile-id", "p", "--segment", "s"], "--id must be given"),
        ([], "--profile-id, --segment, --id must be given"),
        (["--message", "m.json", "--segment", "s", "--event", "E"], "leave out --segment, --event"),
        (["--message", "/no/such/file"], "/no/such/file: No such file or directory"),
        ([*TYPED, "--connector", "nobody"], "--connector nobody: the stack has default"),
    ],
)
def test_what_is_missing_or_wrong_is_named_and_nothing_sent(arguments: list[str], named: str) -> None:
    stack = FakeStack()
    ended = send(*arguments, stack=stack)
    assert (ended.code, stack.sent) == (ExitCode.USAGE, [])
    assert named in ended.err


def test_a_connector_whose_settings_are_wrong_is_named() -> None:
    stack = FakeStack(connectors={"default": connector_document(identifierType="SHOE_SIZE")})
    ended = send(*TYPED, stack=stack)
    assert (ended.code, stack.sent) == (ExitCode.USAGE, [])
    assert "--connector default: identifierType" in ended.err
