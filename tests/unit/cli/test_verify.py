"""Is a deployment looked at in all its parts, and is nothing sent that was not asked for?"""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from responsys_activation.aws.claims import ClaimState
from responsys_activation.aws.deployment import DeployedAlarm
from responsys_activation.aws.stack_call import StackError
from responsys_activation.cli import following, trial
from responsys_activation.cli.exit_code import ExitCode
from tests.fakes.stack import FakeDeployment, FakeStack, deployed_function, event_source
from tests.unit.cli.commands import Ended, command

TYPED = ("--profile-id", "p-1", "--segment", "aud-42", "--id", "364470825")


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "_SECONDS_BETWEEN_LOOKS", 0.0)
    monkeypatch.setattr(trial, "_SECONDS_TO_TAKE_EFFECT", 0.0)


def report(*, ok: bool = True) -> dict[str, Any]:
    findings = [] if ok else [{"level": "error", "check": "events", "message": "no such event"}]
    connector = {"connector": "default", "ok": ok, "findings": findings, "requestsPerMinute": 180}
    return {"ok": ok, "connectors": [connector], "report": ""}


def deployed(*, connectors_ok: bool = True, **changes: Any) -> FakeStack:
    """Return a stack with which nothing is wrong."""
    given: dict[str, Any] = {"is_local": False, "held": 0, "states": [ClaimState.DELIVERED], **changes}
    return FakeStack(answers={"ConnectorCheckFunctionName": lambda _event: report(ok=connectors_ok)}, **given)


def verify(stack: FakeStack, *arguments: str) -> Ended:
    return command("verify", *arguments, stack=stack)


def results(ended: Ended) -> dict[str, str]:
    return {step["step"]: step["result"] for step in ended.document()["steps"]}


def test_every_part_is_looked_at_and_nothing_is_sent_unasked() -> None:
    # Given a stack that works / When it is verified
    stack = deployed()
    ended = verify(stack, "--json")
    # Then every part was looked at, and no message was sent
    assert results(ended) == {
        "stack": "ok",
        "version": "ok",
        "function SegmentEventsFunctionName": "ok",
        "function ConnectorCheckFunctionName": "ok",
        "function ReplayFunctionName": "ok",
        "event source SegmentEventsQueue": "ok",
        "event source ThrottledDLQ": "ok",
        "connector default": "ok",
        "messages": "skipped",
        "batches, last hour": "skipped",
        "metrics, last hour": "skipped",
        "alarms": "ok",
        "who hears of alarms": "ok",
        "RejectedDLQ": "ok",
        "ThrottledDLQ": "ok",
    }
    assert (ended.code, ended.document()["ok"], ended.document()["stack"]) == (ExitCode.DONE, True, "prod")
    assert (stack.sent, stack.made) == ([], [])


def test_a_person_reads_what_was_seen_and_below_it_what_to_do() -> None:
    # Given a stack with dead letters / When it is verified
    ended = verify(deployed(held=3))
    # Then both stand in the table, and how many steps have something to do below it
    lines = [line.strip("│ ") for line in ended.out.splitlines()]
    at = next(number for number, line in enumerate(lines) if line.startswith("RejectedDLQ"))
    assert [part.strip() for part in lines[at].split("│")] == ["RejectedDLQ", "wrong", "3 messages"]
    assert "→ `responsys-activation replay --stack prod` counts them by error code" in lines[at + 1]
    assert "1 step with something to do." in lines
    assert (ended.code, ended.err) == (ExitCode.NOT_DONE, "")


def test_a_stack_that_works_is_said_to() -> None:
    ended = verify(deployed())
    assert "Nothing is wrong." in ended.out
    assert "3 steps skipped, as the table says." in ended.out


@pytest.mark.parametrize(
    ("changes", "wrong"),
    [
        ({"status": "UPDATE_ROLLBACK_COMPLETE"}, "stack"),
        ({"outputs": {"Version": "0.0.1"}}, "version"),
        ({"outputs": {}}, "version"),
        (
            {"functions": {"ReplayFunctionName": deployed_function(is_latest=False)}},
            "function ReplayFunctionName",
        ),
        (
            {"sources": {"arn:of:ThrottledDeadLetterQueueUrl": [event_source(state="Disabled")]}},
            "event source ThrottledDLQ",
        ),
        (
            {"parameters": {"BatchSize": "5000", "MaximumConcurrency": "5"}},
            "event source SegmentEventsQueue",
        ),
        ({"connectors_ok": False}, "connector default"),
        ({"totals": {"MessagesReceived": 9.0, "OutcomesUnknown": 1.0}}, "metrics, last hour"),
        ({"every_alarm": [DeployedAlarm("prod-page", "ALARM", acts=True)]}, "alarm page"),
    ],
)
def test_one_thing_that_is_wrong_is_the_only_thing_told_and_the_exit_code(changes: dict[str, Any], wrong: str) -> None:
    # Given a stack with one thing wrong / When it is verified
    of_deployment = {name: changes.pop(name) for name in list(changes) if hasattr(FakeDeployment(), name)}
    ended = verify(deployed(deployment=FakeDeployment(**of_deployment), **changes), "--json")
    # Then that one is told
    assert ended.code == ExitCode.NOT_DONE
    assert [name for name, result in results(ended).items() if result == "wrong"] == [wrong]


@pytest.mark.parametrize("method", ["function", "event_sources", "alarms", "subscribers", "total"])
def test_what_may_not_be_looked_at_is_told_and_the_rest_is_looked_at(method: str) -> None:
    # Given credentials that lack a permission / When it is verified
    ended = verify(deployed(deployment=FakeDeployment(refuses={method})), "--json")
    # Then the step says so, and does not count as good
    unknown = [step for step in ended.document()["steps"] if step["result"] == "unknown"]
    assert unknown
    assert all(step["seen"] == f"{method}: not authorized" for step in unknown)
    assert results(ended)["RejectedDLQ"] == "ok"
    assert ended.code == ExitCode.NOT_DONE


def test_a_stack_that_is_not_there_is_no_table_but_an_error() -> None:
    class Absent(FakeStack):
        def output(self, name: str) -> str:
            raise StackError(f"stack prod has no output {name}: is it a stack of responsys-activation?")

    ended = verify(Absent())
    assert (ended.code, ended.out) == (ExitCode.UNREACHABLE, "")
    assert "is it a stack of responsys-activation?" in ended.err


def settled_batch(ago: float) -> dict[str, Any]:
    return {"message": "batch settled", "received": 200, "milliseconds": 900, "ended": time.time() - ago}


def test_the_batches_of_the_last_hour_are_told_and_their_metrics_must_be_there() -> None:
    # Given batches of minutes ago without a metric, gathered for almost as long as a window of 5 s allows
    stack = deployed(
        parameters={"BatchingWindowSeconds": "5"}, logged=[[settled_batch(ago=325.0), settled_batch(ago=300.2)]]
    )
    # When the stack is verified / Then the batches are told, and the metrics are missed
    steps = {step["step"]: step for step in verify(stack, "--json").document()["steps"]}
    assert steps["batches, last hour"]["seen"] == (
        "2 batches, 400 messages: 200 in the median, 200 at most; gathered at 8 per second and environment"
    )
    assert steps["metrics, last hour"]["result"] == "wrong"
    # And of a batch that was only just settled they are not
    assert results(verify(deployed(logged=[[settled_batch(ago=2.0)]]), "--json"))["metrics, last hour"] == "skipped"


def test_a_membership_is_sent_once_by_each_way_that_is_allowed() -> None:
    # Given a stack that delivers / When SQS, SNS and EventBridge are allowed
    stack = deployed()
    ended = verify(stack, "--json", "--send", *TYPED, "--temporary-topic", "--temporary-rule")
    # Then each took the same membership under an id of its own
    told = results(ended)
    assert [told[f"message by {way}"] for way in ("SQS", "SNS", "EventBridge")] == ["ok", "ok", "ok"]
    bodies = [json.loads(body) for body in stack.sent]
    assert len({body.pop("messageId") for body in bodies}) == 3
    assert bodies[0]["profileId"] == "p-1"
    assert bodies == [bodies[0]] * 3
    # And what was made for it is removed
    assert stack.made == ["topic made", "topic removed", "rule made", "rule removed"]


def test_without_leave_no_topic_and_no_rule_is_made() -> None:
    stack = deployed()
    ended = verify(stack, "--json", "--send", *TYPED)
    assert (len(stack.sent), stack.made) == (1, [])
    steps = {step["step"]: step for step in ended.document()["steps"]}
    assert steps["message by SNS"]["result"] == "skipped"
    assert "--temporary-rule" in steps["message by EventBridge"]["whatToDo"]
    assert ended.code == ExitCode.DONE


def test_a_membership_that_does_not_come_through_is_not_sent_by_other_ways() -> None:
    # Given a stack whose function does not run / When a membership is sent
    stack = deployed(states=[None])
    ended = verify(stack, "--json", "--timeout", "0.02", "--send", *TYPED, "--temporary-topic")
    # Then it is told where to look, and no topic is made
    steps = {step["step"]: step for step in ended.document()["steps"]}
    assert steps["message by SQS"]["result"] == "wrong"
    assert "tail --stack prod --since 10m" in steps["message by SQS"]["whatToDo"]
    assert steps["message by SNS"]["seen"] == "the one by SQS was not delivered"
    assert (len(stack.sent), stack.made) == (1, [])


def test_what_only_a_topic_loses_is_told_with_its_metric_and_policies() -> None:
    # Given a stack that delivers what comes by SQS, and nothing else
    stack = deployed(states=[ClaimState.DELIVERED, None])
    # When a membership is sent by SNS too
    ended = verify(stack, "--json", "--timeout", "0.02", "--send", *TYPED, "--temporary-topic")
    # Then it is told where to look, and the topic is removed
    step = next(step for step in ended.document()["steps"] if step["step"] == "message by SNS")
    assert step["result"] == "wrong"
    assert "NumberOfNotificationsFailed" in step["whatToDo"]
    assert stack.made == ["topic made", "topic removed"]


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (TYPED, "--profile-id, --segment, --id: nothing is sent without --send."),
        (["--temporary-topic"], "--temporary-topic: nothing is sent without --send."),
        (["--send"], "--send: --profile-id, --segment, --id must be given too"),
        (["--send", *TYPED, "--connector", "nobody"], "--connector nobody: the stack has default"),
    ],
)
def test_what_is_missing_or_wrong_is_named_before_anything_is_done(arguments: list[str], named: str) -> None:
    stack = deployed()
    ended = verify(stack, *arguments)
    assert (ended.code, ended.out, stack.sent, stack.invoked) == (ExitCode.USAGE, "", [], [])
    assert named in ended.err
