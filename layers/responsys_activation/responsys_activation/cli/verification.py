"""What does each thing that is looked at say of a deployment, and what is to be done about it? Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from responsys_activation.aws.deployment import DeployedAlarm, DeployedFunction, EventSource
from responsys_activation.cli.following import Sighting
from responsys_activation.cli.gathering import Gathering
from responsys_activation.cli.terminal import counted

__all__ = [
    "Result",
    "Step",
    "alarm_steps",
    "connector_steps",
    "dead_letter_step",
    "event_source_step",
    "function_step",
    "message_step",
    "metrics_step",
    "not_looked_at",
    "skipped",
    "stack_step",
    "subscriber_step",
    "throttled_step",
    "traffic_step",
    "version_step",
]

_DEPLOY = "deploy this release again"


class Result(StrEnum):
    """What a step came to."""

    OK = "ok"
    NOTE = "note"  # right, and something that a person should know
    WRONG = "wrong"
    UNKNOWN = "unknown"  # AWS refused to tell
    SKIPPED = "skipped"

    @property
    def is_good(self) -> bool:
        """Nothing must be done."""
        return self not in {Result.WRONG, Result.UNKNOWN}


@dataclass(frozen=True)
class Step:
    """One thing that was looked at.

    Attributes
    ----------
    name : str
        What was looked at.
    seen : str
        What was found there.
    what_to_do : str or None
        What to do about it.
    """

    name: str
    result: Result
    seen: str
    what_to_do: str | None = None

    def document(self) -> dict[str, Any]:
        """Return it as JSON."""
        return {"step": self.name, "result": self.result, "seen": self.seen, "whatToDo": self.what_to_do}


def skipped(name: str, why: str, what_to_do: str | None = None) -> Step:
    """Return a step that was not done on purpose."""
    return Step(name, Result.SKIPPED, why, what_to_do)


def not_looked_at(name: str, fault: Exception) -> Step:
    """Return a step at which AWS refused or did not answer."""
    return Step(
        name, Result.UNKNOWN, str(fault), "allow it for these credentials, or look by hand; then run this again"
    )


def stack_step(status: str) -> Step:
    """Judge how CloudFormation's last deployment ended."""
    name = "stack"
    if status.endswith("_IN_PROGRESS"):
        return Step(name, Result.WRONG, status, "wait until the deployment has ended, and run this again")
    if "ROLLBACK" in status or "FAILED" in status:
        what_to_do = "the last deployment failed: the stack's events say at which resource and why"
        return Step(name, Result.WRONG, status, what_to_do)
    return Step(name, Result.OK, status)


def version_step(deployed: str | None, own: str) -> Step:
    """Judge whether the release that was deployed is the one that this command belongs to."""
    name = "version"
    if deployed == own:
        return Step(name, Result.OK, own)
    what_to_do = "deploy this release, or verify with the command of the one that is deployed"
    return Step(name, Result.WRONG, f"deployed: {deployed or 'not known'}; this command: {own}", what_to_do)


def function_step(name: str, function: DeployedFunction) -> Step:
    """Judge whether a function runs what was deployed."""
    seen = f"version {function.version}, {function.state}, last update {function.last_update}"
    reason = f" ({function.reason})" if function.reason else ""
    if function.state != "Active" or function.last_update != "Successful":
        under_way = {"Pending", "InProgress"} & {function.state, function.last_update}
        what_to_do = "wait a minute, and run this again" if under_way else f"fix what the reason names, and {_DEPLOY}"
        return Step(name, Result.WRONG, seen + reason, what_to_do)
    if not function.is_latest:
        what_to_do = f"if somebody went back to it on purpose, deploy the fixed release; else {_DEPLOY}"
        return Step(name, Result.WRONG, f"{seen}; not what was deployed last", what_to_do)
    return Step(name, Result.OK, seen)


def event_source_step(
    queue: str, sources: Sequence[EventSource], function: str, deployed_with: Mapping[str, str]
) -> Step:
    """Judge whether the function, and nothing else, reads a queue as it should.

    Parameters
    ----------
    deployed_with : Mapping of str to str
        The stack's parameters that are settings of this event source.
    """
    name = f"event source {queue}"
    ours = [each for each in sources if f":function:{function}:" in f"{each.function}:"]
    others = [each.function for each in sources if each not in ours]
    if others:
        what_to_do = "delete their event source mappings: what they receive never comes here"
        return Step(name, Result.WRONG, f"also read by {', '.join(others)}", what_to_do)
    if not ours:
        return Step(name, Result.WRONG, "nobody reads the queue", _DEPLOY)
    if len(ours) > 1:
        return Step(name, Result.WRONG, f"{len(ours)} mappings to {function}", "delete those that you made by hand")
    (source,) = ours
    if source.state in {"Disabled", "Disabling"}:
        enable = f"aws lambda update-event-source-mapping --uuid {source.uuid} --enabled"
        return Step(name, Result.WRONG, source.state, f"if nobody stopped it on purpose: {enable}")
    if source.state != "Enabled":
        return Step(name, Result.WRONG, source.state, "wait a minute, and run this again")
    if not source.function.endswith(f":{function}:live"):
        return Step(name, Result.WRONG, f"it invokes {source.function}, not the alias live", _DEPLOY)
    if not source.reports_failures:
        return Step(name, Result.WRONG, "ReportBatchItemFailures is off: one message repeats its whole batch", _DEPLOY)
    given = {setting: str(source.settings.get(setting, "not set")) for setting in deployed_with}
    changed = [
        f"{setting} is {given[setting]}, deployed with {value}"
        for setting, value in deployed_with.items()
        if given[setting] != value
    ]
    if changed:
        what_to_do = "somebody changed it by hand: set the parameter and deploy, or set it back"
        return Step(name, Result.WRONG, "; ".join(changed), what_to_do)
    settings = ", ".join(f"{setting} {value:,}" for setting, value in source.settings.items())
    return Step(name, Result.OK, f"enabled, {settings}")


def connector_steps(report: Mapping[str, Any]) -> list[Step]:
    """Judge the connector check's report."""
    steps = [_connector_step(each) for each in report["connectors"]]
    what_to_do = "create a connector (README.md#add-a-second-connector)"
    return steps or [Step("connectors", Result.WRONG, "there is none, so nothing can be delivered", what_to_do)]


def _connector_step(checked: Mapping[str, Any]) -> Step:
    name = f"connector {checked['connector']}"
    pace = checked["requestsPerMinute"]
    would = f"would deliver, {'at an unknown pace' if pace is None else f'{pace:,} requests per minute'}"
    findings = "; ".join(f"{finding['level']}: {finding['message']}" for finding in checked["findings"])
    if not checked["ok"]:
        return Step(
            name, Result.WRONG, findings, "change what it names, and run this again (docs/runbook.md#connector-check)"
        )
    return Step(name, Result.NOTE if findings else Result.OK, f"{would}; {findings}" if findings else would)


def message_step(way: str, seen: Sighting, seconds: float, what_to_do: str) -> Step:
    """Judge how a message that was sent on purpose ended.

    Parameters
    ----------
    way : str
        By which it came to SegmentEventsQueue.
    what_to_do : str
        If it was not seen at all.
    """
    name = f"message by {way}"
    if seen.outcome == "delivered":
        return Step(name, Result.OK, f"delivered within {seconds:.0f} s")
    where = seen.text.rstrip(".")
    if not seen.is_last:
        where = f"not delivered after {seconds:.0f} s: {where}"
    return Step(name, Result.WRONG, where, seen.what_to_do or what_to_do)


def traffic_step(found: Gathering | None) -> Step:
    """Return how batches were filled; no wrong answer is known."""
    name = "batches, last hour"
    if found is None:
        return skipped(name, "none was settled")
    per_batch = f"{found.median:,} in the median, {found.most:,} at most"
    rate = "" if found.rate is None else f"; gathered at {found.rate:,.0f} per second and environment"
    batches = f"{found.batches:,} batch{'es' * (found.batches != 1)}"
    return Step(name, Result.OK, f"{batches}, {counted(found.received, 'message')}: {per_batch}{rate}")


def metrics_step(stack: str, received: float | None, unknown: float | None, *, settled_long_ago: bool) -> Step:
    """Judge the metrics of the last hour.

    Parameters
    ----------
    received, unknown : float or None
        ``MessagesReceived`` and ``OutcomesUnknown``; ``None``: CloudWatch has none.
    settled_long_ago : bool
        A batch was settled so long ago that its metrics must be there.
    """
    name = "metrics, last hour"
    if received is None and settled_long_ago:
        what_to_do = "look whether the log group holds the metric lines (_aws), and is of the class Standard"
        return Step(name, Result.WRONG, f"batches were settled, and no MessagesReceived has stack={stack}", what_to_do)
    if received is None:
        return skipped(name, "none yet", "run this again a few minutes after a message was sent")
    seen = f"stack={stack}: MessagesReceived {received:,.0f}, OutcomesUnknown {unknown or 0:,.0f}"
    if unknown:
        return Step(name, Result.WRONG, seen, "see docs/runbook.md#outcomes-unknown")
    return Step(name, Result.OK, seen)


def alarm_steps(alarms: Sequence[DeployedAlarm], stack: str, runbook: str) -> list[Step]:
    """Judge the alarms: a step for each that rings or cannot, and one for all others."""
    ringing = [each for each in alarms if each.state == "ALARM"]
    gone = [each for each in alarms if each.state is None]
    silent = [each for each in alarms if each.state not in {None, "ALARM"} and not each.acts]
    good = len(alarms) - len(ringing) - len(gone) - len(silent)
    without_data = sum(each.state == "INSUFFICIENT_DATA" and each.acts for each in alarms)
    enable = "aws cloudwatch enable-alarm-actions --alarm-names"
    wrong = [(each.name, "ALARM", f"see {runbook}#{each.name.removeprefix(f'{stack}-')}") for each in ringing]
    wrong += [(each.name, "it was deleted by hand", _DEPLOY) for each in gone]
    wrong += [(each.name, "its actions are switched off", f"{enable} {each.name}") for each in silent]
    steps = [
        Step(f"alarm {name.removeprefix(f'{stack}-')}", Result.WRONG, seen, what_to_do)
        for name, seen, what_to_do in wrong
    ]
    if not alarms:
        return [Step("alarms", Result.WRONG, "the stack has none", _DEPLOY)]
    if good:
        waiting = f", {without_data:,} of them without data yet" if without_data else ""
        steps.append(Step("other alarms" if steps else "alarms", Result.OK, f"{counted(good, 'alarm')} quiet{waiting}"))
    return steps


def subscriber_step(confirmed: int, pending: int) -> Step:
    """Judge whether somebody hears of alarms."""
    name = "who hears of alarms"
    seen = counted(confirmed, "subscription")
    if pending:
        return Step(name, Result.NOTE, f"{seen}, {pending:,} not confirmed", "click the link in the mail that AWS sent")
    if not confirmed:
        return Step(name, Result.NOTE, "nobody", "set AlarmEmail, or subscribe to AlarmTopicArn")
    return Step(name, Result.OK, seen)


def dead_letter_step(messages: int, count: str) -> Step:
    """Judge RejectedDLQ.

    Parameters
    ----------
    count : str
        The command that counts its messages.
    """
    if not messages:
        return Step("RejectedDLQ", Result.OK, "empty")
    return Step("RejectedDLQ", Result.WRONG, counted(messages, "message"), f"`{count}` counts them by error code")


def throttled_step(messages: int) -> Step:
    """Judge ThrottledDLQ, which empties itself."""
    if not messages:
        return Step("ThrottledDLQ", Result.OK, "empty")
    return Step("ThrottledDLQ", Result.NOTE, f"{counted(messages, 'message')} that will be sent again by themselves")
