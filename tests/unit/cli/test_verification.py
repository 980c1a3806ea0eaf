"""Is each thing that can be wrong with a deployment found, and said what to do about it?"""

from __future__ import annotations

from typing import Any

import pytest

from responsys_activation.aws.deployment import DeployedAlarm, EventSource
from responsys_activation.aws.stack_call import StackError
from responsys_activation.cli.following import Sighting
from responsys_activation.cli.gathering import Gathering
from responsys_activation.cli.verification import (
    Result,
    Step,
    alarm_steps,
    connector_steps,
    dead_letter_step,
    event_source_step,
    function_step,
    message_step,
    metrics_step,
    not_looked_at,
    stack_step,
    subscriber_step,
    throttled_step,
    traffic_step,
    version_step,
)
from tests.fakes.stack import deployed_function, event_source

OF_ANOTHER = "arn:aws:lambda:eu-west-1:123456789012:function:staging-segment-events:live"
OF_LATEST = "arn:aws:lambda:eu-west-1:123456789012:function:SegmentEventsFunctionName"
OF_OLD = f"{OF_LATEST}-old:live"


def told(step: Step) -> tuple[Result, str, str]:
    return step.result, step.seen, step.what_to_do or ""


def require(step: Step, result: Result, seen: str, what_to_do: str) -> None:
    """Assert that a step tells all this; what is not good always comes with something to do."""
    assert (step.result, seen in step.seen, what_to_do in (step.what_to_do or "")) == (result, True, True), step
    assert bool(step.what_to_do) or step.result.is_good


@pytest.mark.parametrize(
    ("status", "result", "what_to_do"),
    [
        ("CREATE_COMPLETE", Result.OK, ""),
        ("UPDATE_COMPLETE", Result.OK, ""),
        ("UPDATE_COMPLETE_CLEANUP_IN_PROGRESS", Result.WRONG, "wait until the deployment has ended"),
        ("UPDATE_ROLLBACK_COMPLETE", Result.WRONG, "the stack's events say at which resource"),
        ("UPDATE_ROLLBACK_FAILED", Result.WRONG, "the stack's events say at which resource"),
        ("CREATE_FAILED", Result.WRONG, "the stack's events say at which resource"),
    ],
)
def test_a_deployment_that_failed_or_goes_on_is_no_good_one(status: str, result: Result, what_to_do: str) -> None:
    require(stack_step(status), result, status, what_to_do)


def test_a_release_that_is_not_the_commands_own_is_told_with_both() -> None:
    assert told(version_step("1.2.0", "1.2.0")) == (Result.OK, "1.2.0", "")
    require(version_step("1.1.0", "1.2.0"), Result.WRONG, "deployed: 1.1.0; this command: 1.2.0", "deploy this release")
    require(version_step(None, "1.2.0"), Result.WRONG, "deployed: not known", "deploy this release")


@pytest.mark.parametrize(
    ("changes", "seen", "what_to_do"),
    [
        ({"state": "Failed", "reason": "no such subnet"}, "Failed, last update Successful (no such", "fix what the"),
        ({"last_update": "Failed", "reason": "key denied"}, "last update Failed (key denied)", "fix what the reason"),
        ({"state": "Pending"}, "Pending", "wait a minute"),
        ({"last_update": "InProgress"}, "InProgress", "wait a minute"),
        ({"is_latest": False, "version": "6"}, "version 6, Active", "deploy the fixed release"),
    ],
)
def test_a_function_that_does_not_run_what_was_deployed_is_told(
    changes: dict[str, Any], seen: str, what_to_do: str
) -> None:
    require(function_step("function x", deployed_function(**changes)), Result.WRONG, seen, what_to_do)


def test_a_function_that_runs_what_was_deployed_is_good() -> None:
    require(
        function_step("function x", deployed_function()), Result.OK, "version 7, Active, last update Successful", ""
    )


def sourced(*sources: EventSource) -> Step:
    deployed_with = {"BatchSize": "5000", "BatchingWindowSeconds": "5", "MaximumConcurrency": "2"}
    return event_source_step("SegmentEventsQueue", sources, "SegmentEventsFunctionName", deployed_with)


@pytest.mark.parametrize(
    ("sources", "seen", "what_to_do"),
    [
        ([], "nobody reads the queue", "deploy this release again"),
        ([event_source(), event_source(function=OF_ANOTHER)], f"also read by {OF_ANOTHER}", "never comes here"),
        ([event_source(function=OF_OLD)], f"also read by {OF_OLD}", "never comes here"),  # a name that begins alike
        ([event_source(), event_source(uuid="2")], "2 mappings", "delete those that you made by hand"),
        ([event_source(state="Disabled")], "Disabled", "update-event-source-mapping --uuid uuid-1 --enabled"),
        ([event_source(state="Updating")], "Updating", "wait a minute"),
        ([event_source(function=OF_LATEST)], "not the alias live", "deploy this release again"),
        ([event_source(reports_failures=False)], "ReportBatchItemFailures is off", "deploy this release again"),
        (
            [event_source(settings={"BatchSize": 10, "BatchingWindowSeconds": 5})],
            "BatchSize is 10, deployed with 5000; MaximumConcurrency is not set, deployed with 2",
            "changed it by hand",
        ),
    ],
)
def test_a_queue_that_is_not_read_as_deployed_is_told(sources: list[EventSource], seen: str, what_to_do: str) -> None:
    require(sourced(*sources), Result.WRONG, seen, what_to_do)


def test_a_queue_that_is_read_as_deployed_is_good() -> None:
    settings = "enabled, BatchSize 5,000, BatchingWindowSeconds 5, MaximumConcurrency 2"
    require(sourced(event_source()), Result.OK, settings, "")


def checked(*findings: tuple[str, str], ok: bool = True, pace: int | None = 180) -> list[Step]:
    connector = {
        "connector": "default",
        "ok": ok,
        "findings": [{"level": level, "check": "events", "message": message} for level, message in findings],
        "requestsPerMinute": pace,
    }
    return connector_steps({"ok": ok, "connectors": [connector]})


def test_each_connector_is_told_with_what_the_check_found() -> None:
    (good,) = checked()
    require(good, Result.OK, "would deliver, 180 requests per minute", "")
    (warned,) = checked(("warning", "the limit is not known"), pace=None)
    require(warned, Result.NOTE, "would deliver, at an unknown pace; warning: the limit is not known", "")
    (wrong,) = checked(("error", "no such list"), ok=False)
    require(wrong, Result.WRONG, "error: no such list", "docs/runbook.md#connector-check")
    (none,) = connector_steps({"ok": False, "connectors": []})
    require(none, Result.WRONG, "nothing can be delivered", "create a connector")


@pytest.mark.parametrize(
    ("seen", "result", "text", "what_to_do"),
    [
        (Sighting("delivered.", "delivered", is_last=True), Result.OK, "delivered within 3 s", ""),
        (
            Sighting("rejected, NO_IDENTIFIER.", "rejected", "NO_IDENTIFIER", is_last=True),
            Result.WRONG,
            "rejected, NO_IDENTIFIER",
            "fix the producer",
        ),
        (
            Sighting("throttled, API_LIMIT_EXCEEDED: waits.", "throttled", "API_LIMIT_EXCEEDED"),
            Result.WRONG,
            "not delivered after 3 s: throttled",
            "",
        ),
        (Sighting("waits on SegmentEventsQueue."), Result.WRONG, "not delivered after 3 s: waits", "look there"),
        (Sighting("ignored.", "ignored", "SUPERSEDED", is_last=True), Result.WRONG, "ignored", ""),
    ],
)
def test_a_message_is_good_only_if_delivered(seen: Sighting, result: Result, text: str, what_to_do: str) -> None:
    require(message_step("SQS", seen, 3.2, "look there"), result, text, what_to_do)


def test_batches_are_told_with_their_gather_rate_where_one_is_known() -> None:
    found = Gathering(batches=40, received=170_000, median=4200, most=5000, rate=812.4)
    seen = (
        "40 batches, 170,000 messages: 4,200 in the median, 5,000 at most; gathered at 812 per second and environment"
    )
    assert told(traffic_step(found)) == (Result.OK, seen, "")
    trickle = Gathering(batches=1, received=1, median=1, most=1, rate=None)
    assert told(traffic_step(trickle)) == (Result.OK, "1 batch, 1 message: 1 in the median, 1 at most", "")
    assert traffic_step(None).result is Result.SKIPPED


@pytest.mark.parametrize(
    ("counted", "settled_long_ago", "result", "seen", "what_to_do"),
    [
        ((2000.0, 0.0), True, Result.OK, "stack=prod: MessagesReceived 2,000, OutcomesUnknown 0", ""),
        ((2000.0, None), True, Result.OK, "OutcomesUnknown 0", ""),
        ((2000.0, 3.0), True, Result.WRONG, "OutcomesUnknown 3", "docs/runbook.md#outcomes-unknown"),
        ((None, None), True, Result.WRONG, "no MessagesReceived has stack=prod", "class Standard"),
        ((None, None), False, Result.SKIPPED, "none yet", "a few minutes after a message was sent"),
    ],
)
def test_metrics_are_there_once_batches_were_settled_and_count_no_doubt(
    counted: tuple[float | None, float | None], *, settled_long_ago: bool, result: Result, seen: str, what_to_do: str
) -> None:
    require(metrics_step("prod", *counted, settled_long_ago=settled_long_ago), result, seen, what_to_do)


def test_an_alarm_that_rings_or_cannot_is_told_and_the_others_are_counted() -> None:
    # Given an alarm of each kind
    alarms = [
        DeployedAlarm("prod-page", "OK", acts=True),
        DeployedAlarm("prod-near-timeout", "INSUFFICIENT_DATA", acts=True),
        DeployedAlarm("prod-rejected-messages", "ALARM", acts=True),
        DeployedAlarm("prod-function-errors", "OK", acts=False),
        DeployedAlarm("prod-notifications", None, acts=True),
    ]
    # When they are looked at
    steps = alarm_steps(alarms, "prod", "https://wiki/runbook.md")
    # Then each that is not right has a step of its own, with what to do
    assert {step.name: told(step) for step in steps} == {
        "alarm rejected-messages": (Result.WRONG, "ALARM", "see https://wiki/runbook.md#rejected-messages"),
        "alarm notifications": (Result.WRONG, "it was deleted by hand", "deploy this release again"),
        "alarm function-errors": (
            Result.WRONG,
            "its actions are switched off",
            "aws cloudwatch enable-alarm-actions --alarm-names prod-function-errors",
        ),
        "other alarms": (Result.OK, "2 alarms quiet, 1 of them without data yet", ""),
    }


def test_a_stack_without_an_alarm_is_not_a_quiet_one() -> None:
    (step,) = alarm_steps([], "prod", "docs/runbook.md")
    require(step, Result.WRONG, "the stack has none", "deploy this release again")


def test_who_hears_of_alarms_is_noted() -> None:
    require(subscriber_step(1, 0), Result.OK, "1 subscription", "")
    require(subscriber_step(0, 1), Result.NOTE, "0 subscriptions, 1 not confirmed", "click the link")
    require(subscriber_step(0, 0), Result.NOTE, "nobody", "AlarmEmail")


def test_dead_letters_are_a_persons_and_throttled_ones_are_not() -> None:
    assert told(dead_letter_step(0, "count")) == (Result.OK, "empty", "")
    require(dead_letter_step(1200, "count them"), Result.WRONG, "1,200 messages", "`count them`")
    assert told(throttled_step(0)) == (Result.OK, "empty", "")
    require(throttled_step(3), Result.NOTE, "3 messages", "")


def test_what_aws_does_not_tell_is_not_taken_for_good() -> None:
    step = not_looked_at("alarms", StackError("cannot look at the alarms: not authorized"))
    require(step, Result.UNKNOWN, "not authorized", "allow it for these credentials")
    assert not step.result.is_good
