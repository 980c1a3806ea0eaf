"""Does a replay move exactly what was mended, on the deployed stack, and let everything else be?"""

import json
import os
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.end_to_end.connector_under_test import ConnectorUnderTest, message_ids
from tests.end_to_end.observing import REJECTED, Seen, deployed, rejected_messages, replay, settle, waiting
from tests.local_stack.environments import REPOSITORY
from tests.local_stack.repeating import eventually
from tests.local_stack.stack import STACK_NAME, LocalStack
from tests.unit.cli.commands import command

EACH = 200


class Mistakes:
    """Five things that are wrong, so that messages end on RejectedDLQ; one of them can be mended."""

    def __init__(self, stack: LocalStack) -> None:
        self.connector = ConnectorUnderTest(stack, {"recipients": {"unknown": {"prefixes": ["9"]}}})
        self.forgotten = ConnectorUnderTest(stack)
        stack.endpoint.client("ssm").delete_parameter(
            Name=f"{stack.outputs['ConnectorParameterPrefix']}{self.forgotten.name}"
        )

    def bodies(self, each: int) -> dict[str, list[str]]:
        """Make messages, by the error code that they must get."""
        bodies = self.connector.bodies
        unknown = [f"9{number:08}" for number in range(each)]
        return {
            "INVALID_MESSAGE": bodies(each, callType="JOIN"),
            "NO_IDENTIFIER": bodies(each, identifiers={}),
            "CUSTOM_EVENT_NOT_FOUND": bodies(each, eventName="NO_SUCH_EVENT"),
            "NO_RECIPIENT_FOUND": [body for riid in unknown for body in bodies(1, identifiers={"27": riid})],
            "UNKNOWN_CONNECTOR": self.forgotten.bodies(each),
        }

    def mend(self) -> None:
        """Put the connector that was forgotten."""
        self.forgotten.put()


@pytest.fixture
def mistakes(stack: LocalStack) -> Mistakes:
    return Mistakes(stack)


def without(seen: Seen, code: str) -> Seen:
    return {message_id: each for message_id, each in seen.items() if each[1]["errorCode"] != code}


def test_of_a_thousand_rejected_messages_exactly_those_of_one_code_move(stack: LocalStack, mistakes: Mistakes) -> None:
    # Given 1,000 rejected messages of five codes, and one of the causes mended
    bodies = mistakes.bodies(EACH)
    mistakes.connector.publish([body for of_code in bodies.values() for body in of_code])
    assert eventually(lambda: waiting(stack, REJECTED) == 5 * EACH, 40)
    settle(stack)
    before = rejected_messages(stack)
    assert Counter(each["errorCode"] for _, each in before.values()) == dict.fromkeys(bodies, EACH)
    mistakes.mend()
    # When it is tried what a replay of that code would do
    predicted = replay(stack, errorCode="UNKNOWN_CONNECTOR")
    # Then all thousand are as they were
    assert (predicted["wouldMove"], predicted["examined"], predicted["complete"]) == (EACH, 5 * EACH, True)
    assert rejected_messages(stack) == before
    # And when it is done
    report = replay(stack, errorCode="UNKNOWN_CONNECTOR", dryRun=False)
    settle(stack)
    # Then as many move as were predicted, and each of them reaches Responsys, once
    assert (report["moved"], report["byErrorCode"]) == (predicted["wouldMove"], predicted["byErrorCode"])
    assert mistakes.forgotten.accepted() == dict.fromkeys(message_ids(bodies["UNKNOWN_CONNECTOR"]), 1)
    # And the other 800 are untouched, bodies and attributes
    assert rejected_messages(stack) == without(before, "UNKNOWN_CONNECTOR")
    assert mistakes.connector.accepted() == {}


def test_two_replays_at_once_move_each_message_once_and_what_fails_again_does_not_go_round(
    stack: LocalStack, mistakes: Mistakes
) -> None:
    # Given rejected messages whose cause is not mended
    mistakes.connector.publish(mistakes.bodies(EACH)["CUSTOM_EVENT_NOT_FOUND"])
    assert eventually(lambda: waiting(stack, REJECTED) == EACH)
    before = rejected_messages(stack)
    # When two persons replay them at the same time
    now = datetime.now(UTC).isoformat()
    with ThreadPoolExecutor(2) as pool:
        runs = [pool.submit(replay, stack, dryRun=False, messagesPerSecond=100, arrivedBefore=now) for _ in range(2)]
    settle(stack)
    # Then each message moved once
    assert sum(run.result()["moved"] for run in runs) == EACH
    # And waits again as a new SQS message, under its first id
    after = rejected_messages(stack)
    assert not set(before) & set(after)
    first_ids = [sorted(each["originalMessageId"] for _, each in seen.values()) for seen in (before, after)]
    assert first_ids[0] == first_ids[1]
    # And its life began anew
    assert {each["attempts"] for _, each in after.values()} == {"1"}


def test_a_person_is_told_what_a_replay_came_to(stack: LocalStack, mistakes: Mistakes) -> None:
    # Given three rejected messages of two codes
    bodies = mistakes.bodies(2)
    mistakes.connector.publish([*bodies["NO_IDENTIFIER"], bodies["INVALID_MESSAGE"][0]])
    assert eventually(lambda: waiting(stack, REJECTED) == 3)
    # When a replay of one is tried
    ended = command("replay", "--error-code", "NO_IDENTIFIER,OTHER", "--limit", "10", stack=deployed(stack))
    # Then both codes are told, and how to move them
    cells = [line.split("│") for line in ended.out.splitlines() if "│" in line]
    rows = {cell[1].strip(): (cell[2].strip(), cell[3].strip()) for cell in cells}
    assert rows == {"INVALID_MESSAGE": ("0", "1"), "NO_IDENTIFIER": ("2", "0"), "all": ("2", "1")}
    assert "--apply" in ended.out
    # And no body, id or identifier is in the function's answer
    told = command("replay", "--json", stack=deployed(stack)).out
    assert all(text not in told for text in ("profile-", "message-", mistakes.connector.name))


class Checkout:
    """A folder in which real make runs this project's targets, beside a local stack of its own.

    Parameters
    ----------
    stack
        What `make local` would run here.
    """

    def __init__(self, folder: Path, stack: LocalStack) -> None:
        self._folder = folder
        for name in ("Makefile", "layers"):
            (folder / name).symlink_to(REPOSITORY / name)
        # Environments that are made already: newer than their requirements.
        (folder / "tests" / "requirements").mkdir(parents=True)
        (folder / "tests" / "requirements" / "development.txt").touch()
        (folder / ".venv" / "bin").mkdir(parents=True)
        (folder / ".venv" / "bin" / "python").symlink_to(sys.executable)
        (folder / ".venv" / "pyvenv.cfg").symlink_to(Path(sys.prefix) / "pyvenv.cfg")
        (folder / ".venv" / "lib").symlink_to(Path(sys.prefix) / "lib")
        (folder / ".venv" / ".complete").touch()
        where = {"stackName": STACK_NAME, "awsEndpointUrl": stack.endpoint.url, "region": stack.endpoint.region}
        (folder / ".local").mkdir()
        (folder / ".local" / "outputs.json").write_text(json.dumps(where))

    def make(self, *arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
        """Run make as a person does."""
        return subprocess.run(
            ["make", *arguments],  # noqa: S607 - whichever this machine has
            cwd=self._folder,
            env={"PATH": os.environ["PATH"], **environment},
            capture_output=True,
            text=True,
            check=False,
        )


def test_a_variable_that_make_replay_does_not_know_is_refused_and_moves_nothing(
    stack: LocalStack, mistakes: Mistakes, tmp_path: Path
) -> None:
    # Given rejected messages of two codes
    bodies = mistakes.bodies(2)
    mistakes.connector.publish([*bodies["NO_IDENTIFIER"], *bodies["INVALID_MESSAGE"]])
    assert eventually(lambda: waiting(stack, REJECTED) == 4)
    settle(stack)
    before = rejected_messages(stack)
    checkout = Checkout(tmp_path, stack)
    # When a filter is mistyped, or empty / Then make fails and names it, and nothing moves
    for mistyped in ("ERRORCODE=NO_IDENTIFIER", "ERROR_CODE="):
        refused = checkout.make("replay", mistyped, "APPLY=1")
        assert refused.returncode != 0
        assert mistyped.partition("=")[0].lower().replace("_", "-") in refused.stderr
        assert rejected_messages(stack) == before
    # And when it is spelled right / Then those of that code move, whatever stack the environment names
    done = checkout.make("replay", "ERROR_CODE=NO_IDENTIFIER", "APPLY=1", "JSON=1", STACK="prod")
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["byErrorCode"] == {"NO_IDENTIFIER": 2}
    settle(stack)
    assert without(rejected_messages(stack), "NO_IDENTIFIER") == without(before, "NO_IDENTIFIER")


def test_make_send_and_make_check_connector_pass_their_options_on(
    stack: LocalStack, mistakes: Mistakes, tmp_path: Path
) -> None:
    # Given a connector / When it is checked, and a membership is sent, by make
    checkout, name = Checkout(tmp_path, stack), mistakes.connector.name
    checked = checkout.make("check-connector", f"CONNECTOR={name}")
    sent = checkout.make(
        *("send", "PROFILE_ID=p-1", "SEGMENT=aud-42", "ID=364470825", f"CONNECTOR={name}"),
        *("CALL_TYPE=REMOVE", """VARIABLES={"NOTE": "it's"}""", "TIMEOUT=40"),
    )
    # Then both succeed, and Responsys has what was typed
    assert (checked.returncode, name in checked.stdout) == (0, True)
    assert (sent.returncode, "delivered" in sent.stdout) == (0, True)
    (event,) = mistakes.connector.inbox()
    assert (event.value("callType"), event.value("NOTE")) == ("REMOVE", "it's")
