"""Does a replay move what was asked for, and ask before it moves everything on AWS?"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from responsys_activation.aws.stack_call import StackError
from responsys_activation.cli.exit_code import ExitCode
from responsys_activation.cli.terminal import Terminal
from tests.fakes.stack import FakeStack
from tests.unit.cli.commands import command

REPORT = {
    "source": "rejected",
    "examined": 5,
    "refused": 0,
    "left": 3,
    "arrivedSince": 0,
    "byErrorCode": {"NO_IDENTIFIER": 2},
    "leftByErrorCode": {"INVALID_MESSAGE": 1, "OUTCOME_UNKNOWN": 2},
    "end": "QUEUE_SEEN",
    "complete": True,
}


def answer(event: Mapping[str, Any], **changes: Any) -> dict[str, Any]:
    """Answer as the replay function does."""
    moved = {"wouldMove": 2, "moved": 0} if event["dryRun"] else {"wouldMove": 0, "moved": 2}
    return {**REPORT, **moved, "source": event["source"], "dryRun": event["dryRun"], **changes}


def stack(*, is_local: bool = True, replay: Callable[..., dict[str, Any]] = answer) -> FakeStack:
    return FakeStack(is_local=is_local, answers={"ReplayFunctionName": replay})


@pytest.mark.parametrize(
    ("arguments", "event"),
    [
        ([], {}),
        (["--error-code", "A"], {"errorCode": ["A"]}),
        (["--error-code", "A, B", "--error-code", "C"], {"errorCode": ["A", "B", "C"]}),
        (["--connector", "loyalty"], {"connector": ["loyalty"]}),
        (["--event", "CART_ABANDONED"], {"eventName": ["CART_ABANDONED"]}),
        (["--call-type", "ADD,REMOVE"], {"callType": ["ADD", "REMOVE"]}),
        (["--segment", "aud-42"], {"segmentId": ["aud-42"]}),
        (["--older-than-minutes", "10"], {"olderThanMinutes": 10.0}),
        (["--newer-than-minutes", "0.5"], {"newerThanMinutes": 0.5}),
        (["--source", "throttled"], {"source": "throttled"}),
        (["--limit", "10"], {"limit": 10}),
        (["--messages-per-second", "100"], {"messagesPerSecond": 100.0}),
        (["--in-doubt"], {"inDoubt": True}),
        (["--apply"], {"dryRun": False}),
    ],
)
def test_each_option_becomes_a_field_of_the_functions_event(arguments: list[str], event: dict[str, Any]) -> None:
    asked = stack()
    assert command("replay", *arguments, stack=asked).code == ExitCode.DONE
    assert asked.invoked == [("ReplayFunctionName", {"source": "rejected", "dryRun": True, **event})]


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--call-type", "JOIN"], "callType"),
        (["--messages-per-second", "5000"], "messagesPerSecond"),
        (["--older-than-minutes", "10", "--newer-than-minutes", "5"], "olderThanMinutes"),
    ],
)
def test_what_the_function_would_refuse_is_refused_before_it_is_asked(arguments: list[str], named: str) -> None:
    asked = stack()
    ended = command("replay", *arguments, "--apply", stack=asked)
    assert (ended.code, named in ended.err, asked.invoked) == (ExitCode.USAGE, True, [])


COUNTED = """\
Replay from RejectedDLQ of prod (local)
┏━━━━━━━━━━━━━━━━━┳━━━━━━━━━━━━┳━━━━━━━━━━━━┓
┃ error code      ┃ would move ┃ not chosen ┃
┡━━━━━━━━━━━━━━━━━╇━━━━━━━━━━━━╇━━━━━━━━━━━━┩
│ INVALID_MESSAGE │          0 │          1 │
│ NO_IDENTIFIER   │          2 │          0 │
│ OUTCOME_UNKNOWN │          0 │          2 │
├─────────────────┼────────────┼────────────┤
│ all             │          2 │          3 │
└─────────────────┴────────────┴────────────┘
OUTCOME_UNKNOWN: Responsys may have these. They only go, once more, with --in-doubt.
Complete: the whole queue was looked through.
Nothing was moved. To move them: the same with --apply.
"""


def test_a_person_reads_a_table_by_error_code() -> None:
    ended = command("replay", "--error-code", "NO_IDENTIFIER", stack=stack())
    assert [line.rstrip() for line in ended.out.splitlines()] == COUNTED.splitlines()
    assert ended.err == ""


def test_a_program_reads_the_functions_report() -> None:
    ended = command("replay", "--json", stack=stack())
    assert ended.document() == answer({"source": "rejected", "dryRun": True})


def test_an_incomplete_replay_goes_on_until_it_is_done_and_adds_up() -> None:
    # Given a function whose time is over twice
    def in_parts(event: Mapping[str, Any]) -> dict[str, Any]:
        part = event.get("limit", 6)
        unfinished = {"complete": False, "end": "OUT_OF_TIME", "continuation": {**event, "limit": part - 2}}
        return answer(event, **(unfinished if part > 2 else {}))

    asked = stack(replay=in_parts)
    # When messages are moved
    ended = command("replay", "--error-code", "NO_IDENTIFIER", "--apply", "--json", stack=asked)
    # Then it is invoked with each continuation, and the report is of all of them
    assert [event.get("limit") for _, event in asked.invoked] == [None, 4, 2]
    report = ended.document()
    assert (ended.code, report["moved"], report["byErrorCode"]) == (ExitCode.DONE, 6, {"NO_IDENTIFIER": 6})


def test_what_comes_no_further_ends_and_is_told() -> None:
    # Given a function that cannot move anything
    def stuck(event: Mapping[str, Any]) -> dict[str, Any]:
        return answer(event, moved=0, byErrorCode={}, complete=False, end="AWS_UNAVAILABLE", continuation=dict(event))

    asked = stack(replay=stuck)
    ended = command("replay", "--apply", stack=asked)
    assert (ended.code, len(asked.invoked)) == (ExitCode.NOT_DONE, 1)
    assert "Not complete: SQS did not answer, or refused." in ended.out


def test_what_goes_wrong_in_the_function_is_told() -> None:
    def fails(_event: Mapping[str, Any]) -> dict[str, Any]:
        raise StackError("prod-replay failed: boom")

    ended = command("replay", stack=stack(replay=fails))
    assert (ended.code, ended.err) == (ExitCode.UNREACHABLE, "error: prod-replay failed: boom\n")


@pytest.mark.parametrize("arguments", [["--apply"], ["--apply", "--limit", "10"], ["--apply", "--in-doubt"]])
def test_without_a_filter_nothing_is_moved_on_aws_where_nobody_can_be_asked(arguments: list[str]) -> None:
    # Given a stack on AWS, and no terminal / When everything is to be moved
    asked = stack(is_local=False)
    ended = command("replay", *arguments, stack=asked)
    # Then nothing is, and it is told how
    assert (ended.code, asked.invoked) == (ExitCode.USAGE, [])
    assert "RejectedDLQ of prod holds about 1,234 messages" in ended.err
    assert "--yes" in ended.err


@pytest.mark.parametrize(
    ("arguments", "is_local"),
    [
        (["--apply", "--yes"], False),
        (["--apply", "--error-code", "A"], False),
        (["--apply", "--newer-than-minutes", "5"], False),
        (["--apply"], True),
        ([], False),
    ],
)
def test_a_filter_a_yes_a_count_or_a_local_stack_needs_no_question(arguments: list[str], *, is_local: bool) -> None:
    asked = stack(is_local=is_local)
    assert command("replay", *arguments, stack=asked).code == ExitCode.DONE
    assert len(asked.invoked) == 1


class Person(io.StringIO):
    """A terminal with somebody before it."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("says", "goes_on"), [("yes", True), ("Y", True), ("no", False), ("", False)])
def test_a_person_is_asked(says: str, *, goes_on: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    # Given a person at a terminal / When she is asked
    monkeypatch.setattr("sys.stdin", Person(f"{says}\n"))
    screen = Person()
    terminal = Terminal(out=io.StringIO(), err=screen)
    # Then only a yes counts
    assert terminal.ask("Move them all?", otherwise="--yes") is goes_on
    assert "Move them all?" in screen.getvalue()
