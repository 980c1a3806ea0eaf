"""What must be true of every world once it has come to rest?"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter

from tests.fakes.responsys import UNKNOWN_RECIPIENT, Fault
from tests.property.scenario import Kind, Upstream
from tests.property.world import CONNECTORS, Told, World

_OUTCOMES = ("EventsDelivered", "EventsDuplicate", "EventsThrottled", "EventsRejected", "EventsRetried")
_SERVICE = (("service", "segment_events"),)
_REJECTED_AS = {
    Kind.SPOILING: {"INVALID_PARAMETER"},
    Kind.NOT_JSON: {"INVALID_MESSAGE"},
    Kind.NO_IDENTIFIER: {"NO_IDENTIFIER"},
    Kind.NO_CONNECTOR: {"UNKNOWN_CONNECTOR"},
}

_TABLE_CALLS = {"dynamodb", "TransactWriteItems", "BatchGetItem", "PutItem", "UpdateItem"}
_DOUBTFUL = {
    Fault.RESET_BEFORE,
    Fault.RESET_AFTER,
    Fault.TIMEOUT_BEFORE,
    Fault.TIMEOUT_AFTER,
    Fault.TRUNCATED,
    Fault.WRONG_LENGTH,
    Fault.EXCEPTION_BEFORE,
    Fault.EXCEPTION_AFTER,
}

Key = tuple[str, str, str]


def check(world: World) -> None:
    """Check every law."""
    accepted = acceptances(world)
    assert_nothing_is_lost(world, accepted)
    assert_nothing_is_sent_twice(world, accepted)
    assert_doubt_has_a_cause(world)
    for told in world.told:
        assert_outcomes_add_up(told)
    assert_rate_is_kept(world)


def acceptances(world: World) -> Counter[Key]:
    """Count how often Responsys accepted each message."""
    return Counter(
        (connector, event.event_name, event.properties["mark"])
        for connector in CONNECTORS
        for event in world.responsys[connector].accepted
    )


def assert_nothing_is_lost(world: World, accepted: Counter[Key]) -> None:
    """Each message was accepted, or waits in RejectedDLQ for a good reason, byte for byte."""
    rejected = {message.body: message.attributes for message in world.rejected.messages.values()}
    assert rejected.keys() <= world.bodies.keys(), "a body changed on its way to RejectedDLQ"
    for body, (message, mark) in world.bodies.items():
        if accepted[message.connector, message.event_name, mark]:
            continue
        assert body in rejected, f"lost: {message}"
        code = rejected[body].get("errorCode")
        # SQS moves after 5 receives what is killed so often, cannot be moved by us, or was moved and not deleted.
        moved_by_sqs = code is None or rejected[body].get("outcome") == "throttled"
        assert (moved_by_sqs and _five_receives_may_fail(world)) or code in _reasons(world, message), (
            f"{message} rejected as {code}"
        )


def _five_receives_may_fail(world: World) -> bool:
    scenario = world.scenario
    return bool(
        world.killed
        or scenario.refused_entries
        or scenario.not_deleted
        or any(fault.call == "sqs_send" for fault in scenario.aws_faults)
    )


def _reasons(world: World, message: Upstream) -> set[str]:
    unknown = set() if world.scenario.resend else {"OUTCOME_UNKNOWN"}
    if message.kind in _REJECTED_AS:
        return _REJECTED_AS[message.kind] | unknown
    return unknown | ({"NO_RECIPIENT_FOUND"} if message.recipient == UNKNOWN_RECIPIENT else set())


def assert_nothing_is_sent_twice(world: World, accepted: Counter[Key]) -> None:
    """Responsys accepted nothing twice but what was known to be in doubt."""
    duplicates = sum(count - 1 for count in accepted.values())
    allowed = world.unknown + world.out_of_reach if world.scenario.resend else 0
    assert duplicates <= allowed, f"{duplicates} duplicates, {allowed} in doubt: {accepted}"


def assert_doubt_has_a_cause(world: World) -> None:
    """No outcome is unknown, and nothing sent without the ledger, in a world that gives no reason for it."""
    scenario = world.scenario
    table_fails = any(fault.call in _TABLE_CALLS for fault in scenario.aws_faults)
    if not table_fails:
        assert world.total("SentWithoutLedger") == 0, "sent without a ledger that was there"
    reply_fails = any(fault.kind == "event" and fault.fault in _DOUBTFUL for fault in scenario.responsys_faults)
    if not (table_fails or reply_fails or world.killed or set(scenario.skews) != {0}):
        assert world.unknown == 0, f"{world.unknown} outcomes in doubt without a reason"


def assert_outcomes_add_up(told: Told) -> None:
    """``received = delivered + duplicate + throttled + rejected + retried``, and retried stays on the queue."""
    counts = told.counts[_SERVICE]
    assert counts["MessagesReceived"] == told.received == sum(counts[outcome] for outcome in _OUTCOMES), counts
    assert counts["EventsRetried"] == told.retried, f"{told.retried} left on the queue: {counts}"
    for dimensions, of_event in told.counts.items():
        if [name for name, _ in dimensions] == ["connector", "eventName"]:
            assert of_event["MessagesReceived"] == sum(of_event[outcome] for outcome in _OUTCOMES), of_event


def assert_rate_is_kept(world: World) -> None:
    """No minute has more requests than allowed, with the table and without, where environments agree on the time."""
    scenario = world.scenario
    limit = min((each for each in (scenario.requests_per_minute, scenario.account_limit) if each), default=None)
    if limit is None or set(scenario.skews) != {0}:
        return
    if limit != scenario.requests_per_minute and (
        world.killed or any(fault.kind in {"login", "ratelimit"} for fault in scenario.responsys_faults)
    ):
        return  # the account was not asked
    for account in world.responsys.values():
        times = [seen.at for seen in account.seen]
        for position, at in enumerate(times):
            in_a_minute = position + 1 - bisect_left(times, at - 60.0 + 1e-6)
            assert in_a_minute <= limit, f"{in_a_minute} requests in the minute before {at}"
