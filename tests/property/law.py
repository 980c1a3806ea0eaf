"""What must be true of every world once it has come to rest?"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Mapping

from responsys_activation.received import MARK
from tests.fakes.clock import NOW
from tests.fakes.responsys import Accepted, Fault
from tests.local_stack.published_metrics import OUTCOMES
from tests.property.bodies import Sent
from tests.property.scenario import CONNECTORS, Kind, Upstream
from tests.property.world import Told, World
from tests.simulator.event_request import Identifier
from tests.simulator.recipient_results import stable_recipient_id

_SERVICE = (("service", "segment_events"),)
_REJECTED_AS = {
    Kind.SPOILING: {"INVALID_PARAMETER"},
    Kind.NOT_JSON: {"INVALID_MESSAGE"},
    Kind.NO_IDENTIFIER: {"NO_IDENTIFIER"},
    Kind.NO_CONNECTOR: {"UNKNOWN_CONNECTOR"},
}
_ON_EVERY_LETTER = {"connector", "eventName", "originalMessageId", "attempts", "firstReceivedAt", "reason", "errorCode"}
_MOST_WRONG_PASSWORDS = 2  # in a row; the fifth locks the account
_REMEMBERING_SECONDS = 5.0
_FINAL = {"delivered", "duplicate", "rejected", "ignored"}  # after these a message does not come again

_TABLE_CALLS = {
    "dynamodb",
    "BatchExecuteStatement",
    "between statements",
    "Query",
    "BatchGetItem",
    "GetItem",
    "PutItem",
    "UpdateItem",
}
# After these it is certain what became of each recipient.
_CERTAIN = {
    None,
    Fault.CONNECTION_REFUSED,
    Fault.CONNECT_TIMEOUT,
    Fault.REDIRECT,
    Fault.UNREADABLE_REDIRECT,
    Fault.HTML_503,
    Fault.TOKEN_EXPIRED,
    Fault.TOKEN_NOT_VALID,
    Fault.API_LIMIT,
    Fault.CAPACITY,
    Fault.LOGIN_REFUSED,
    Fault.THROTTLED_RECIPIENT,
}
_THROTTLES = {Fault.API_LIMIT: 60.0, Fault.CAPACITY: 600.0}
_PAUSING_SECONDS = 1.0  # until all of an environment have learnt of a throttle


class Deliveries:
    """What Responsys accepted.

    Attributes
    ----------
    by_mark : dict of str to list of Accepted
    by_key : dict of str to list of Accepted
        By pair.
    """

    def __init__(self, world: World) -> None:
        keys = {(sent.mark, sent.number): key for key, sent in world.sent.items()}
        self.by_mark: defaultdict[str, list[Accepted]] = defaultdict(list)
        self.by_key: defaultdict[str, list[Accepted]] = defaultdict(list)
        for account in {id(account): account for account in world.accounts.values()}.values():
            for event in account.accepted:
                mark = event.properties["mark"]
                self.by_mark[mark].append(event)
                self.by_key[keys[mark, event.properties["number"]]].append(event)


def check(world: World) -> None:
    """Check every law."""
    deliveries = Deliveries(world)
    assert_nothing_is_lost(world, deliveries)
    assert_letters_tell_their_lives(world)
    assert_nothing_is_sent_twice(world, deliveries)
    assert_resends_are_bounded(world, deliveries)
    assert_doubt_has_a_cause(world)
    assert_doubts_are_told_once(world)
    assert_pauses_are_kept(world)
    assert_order_is_kept(world, deliveries)
    assert_a_batch_holds_back(world, deliveries)
    assert_no_account_is_locked(world)
    assert_nobody_is_created_twice(world)
    assert_who_is_created_was_to_be(world)
    assert_events_reach_whom_they_are_for(world, deliveries)
    for told in world.told:
        assert_outcomes_add_up(told)
        assert_outcomes_are_fed(world, told)
    assert_whoever_was_sent_is_told_of(world, deliveries)
    assert_rate_is_kept(world)
    assert world.timed_out == 0, f"{world.timed_out} invocations took too long"


def assert_nothing_is_lost(world: World, deliveries: Deliveries) -> None:
    """Each pair was accepted, waits in RejectedDLQ for a good reason, byte for byte, or was overtaken."""
    letters: defaultdict[str, list[Mapping[str, str]]] = defaultdict(list)
    for message in world.rejected.messages.values():
        keys = world.keys_of(message.body, message.attributes)
        assert keys, "a body changed on its way to RejectedDLQ"
        for key in keys:
            letters[key].append(message.attributes)
    overtaken, gone = 0, defaultdict[str, list[Sent]](list)
    for key, sent in world.sent.items():
        if deliveries.by_mark[sent.mark]:
            continue
        if key not in letters:
            if _may_be_overtaken(world, deliveries, key):
                overtaken += not sent.message.of_platform or sent.connector in _certain(world, sent)
            else:
                gone[sent.alone].append(sent)
        for attributes in letters[key]:
            code = attributes["errorCode"] if MARK in attributes else None
            # SQS moves after 5 receives what is killed so often, cannot be moved by us, or was moved and not deleted.
            moved_by_sqs = code is None or attributes.get("outcome") == "throttled"
            assert (moved_by_sqs and _five_receives_may_fail(world)) or code in _reasons(world, sent), (
                f"{sent} rejected as {code}"
            )
    for pairs in gone.values():
        assert all(sent.message.of_platform for sent in pairs), f"lost: {pairs}"
        missing = {sent.connector for sent in pairs}
        assert not missing & _certain(world, pairs[0]), f"lost: {pairs}"
        assert missing != set(CONNECTORS), f"lost to all connectors: {pairs}"
    ignored = world.total("EventsIgnored", service="segment_events")
    assert overtaken <= ignored, f"{overtaken} are gone, {ignored} were ignored"


def _certain(world: World, sent: Sent) -> set[str]:
    """Return the connectors to which a platform's membership went whenever it came."""
    routes = [
        {name for name in CONNECTORS if mapping.maps(name, sent.message.segment)} or {CONNECTORS[0]}
        for mapping in [world.scenario.first_mapping, *world.scenario.mapping]
    ]
    return set.intersection(*routes)


def _may_be_overtaken(world: World, deliveries: Deliveries, key: str) -> bool:
    """Return whether a pair that came back may have found a newer change that was delivered or in doubt."""
    sent = world.sent[key]
    # Before somebody is created it is asked at the first receive, too.
    missing = world.scenario.list_load.creates and sent.message.profile in world.scenario.list_load.missing
    # A repetition is known by the claim of the one before it.
    receives = sum(world.receives[other] for other, said in world.sent.items() if said.mark == sent.mark)
    if sent.message.kind not in {Kind.VALID, Kind.SPOILING} or (receives < 2 and not missing):
        return False
    # A claim whose answer was not recorded is in doubt, too.
    doubts = world.killed or world.table_failed_at or world.total("OutcomesUnknown", connector=sent.connector)
    return any(
        _newer(other, sent)
        and not _harmless(other, sent)
        and (doubts or deliveries.by_mark[other.mark] or (missing and other.message.call_type == "REMOVE"))
        for other in world.sent.values()
    )


def _newer(other: Sent, sent: Sent) -> bool:
    """Return whether another change is newer; what has the same id is the same change, said again."""
    return other.group == sent.group and other.order > sent.order and other.mark != sent.mark


def _harmless(newer: Sent, older: Sent) -> bool:
    """Whoever was added, and updated meanwhile, must still be added."""
    return older.message.call_type == "ADD" and newer.message.call_type == "UPDATE"


def _five_receives_may_fail(world: World) -> bool:
    scenario = world.scenario
    return bool(
        world.killed
        or scenario.refused_entries
        or scenario.not_deleted
        or scenario.received_twice
        or any(fault.call == "sqs_send" for fault in scenario.aws_faults)
    )


def _reasons(world: World, sent: Sent) -> set[str]:
    """Return the codes under which a message may be rejected."""
    message, scenario = sent.message, world.scenario
    reasons: set[str] = set()
    if world.total("OutcomesUnknown", connector=sent.connector):
        reasons.add("OUTCOME_UNKNOWN")
    if scenario.passwords or any(fault.kind == "login" for fault in scenario.responsys_faults):
        reasons.add("EXPIRED")  # while nobody put the right password into the secret
    if scenario.known_events is not None:
        reasons.add("CUSTOM_EVENT_NOT_FOUND")
    if message.of_platform and sent.connector != CONNECTORS[0] and scenario.mapping:
        reasons.add("NO_EVENT_NAME")  # nobody maps it there any more
    if message.kind is Kind.SPOILING:  # it may wait behind an older change that waits for the list
        reasons |= _reasons_of_missing(world, message) & {"EXPIRED"}
    if message.kind in _REJECTED_AS:
        return reasons | _REJECTED_AS[message.kind]
    return reasons | _reasons_of_missing(world, message)


def _reasons_of_missing(world: World, message: Upstream) -> set[str]:
    """Return the codes under which a message may be rejected whose recipient the list does not have."""
    load = world.scenario.list_load
    if message.profile not in load.missing:
        return set()
    if load.action == "WAIT":
        return {"EXPIRED"} if load.after is None else set()
    if load.creates and message.call_type != "REMOVE":
        return {"RECIPIENT_NOT_CREATED"} if message.profile in {*load.refused, *load.spoiling} else set()
    return {"NO_RECIPIENT_FOUND"}


def assert_letters_tell_their_lives(world: World) -> None:
    """What the function put into RejectedDLQ says what it is, and under which id it first came."""
    for message in world.rejected.messages.values():
        attributes = message.attributes
        if MARK not in attributes:
            continue  # moved by SQS, with nothing but what its producer set
        assert attributes.keys() >= _ON_EVERY_LETTER, attributes
        for key in world.keys_of(message.body, attributes):
            assert attributes["originalMessageId"] in world.sent[key].message_ids, attributes
        assert len(attributes["reason"]) <= 300


def assert_nothing_is_sent_twice(world: World, deliveries: Deliveries) -> None:
    """Responsys accepted nothing twice but what was told to be in doubt."""
    for connector in CONNECTORS:
        counts = {
            mark: len(events)
            for mark, events in deliveries.by_mark.items()
            if mark.startswith(f"{connector} ") and len(events) > 1
        }
        duplicates = sum(counts.values()) - len(counts)
        unknown = world.total("OutcomesUnknown", connector=connector)
        out_of_reach = world.total("SentWithoutLedger", connector=connector)
        assert duplicates <= unknown + out_of_reach, (
            f"{duplicates} duplicates, {unknown} told in doubt, {out_of_reach} sent without ledger: {counts}"
        )
    by_connector = sum(world.total("OutcomesUnknown", connector=connector) for connector in CONNECTORS)
    by_service = world.total("OutcomesUnknown", service="segment_events")
    assert by_service == by_connector, f"{by_service} doubts of the service, {by_connector} of its connectors"


def assert_resends_are_bounded(world: World, deliveries: Deliveries) -> None:
    """A message in doubt is sent again at most ``MaximumResends`` times, and once more for each permission."""
    permissions = sum(replay.in_doubt for replay in world.scenario.replays)
    for mark, events in deliveries.by_mark.items():
        out_of_reach = world.total("SentWithoutLedger", connector=mark.partition(" ")[0])
        most = 1 + world.scenario.resends + permissions + out_of_reach
        assert len(events) <= most, f"{mark} accepted {len(events)} times, {most} allowed"


def assert_doubt_has_a_cause(world: World) -> None:
    """No outcome is unknown, and nothing sent without the ledger, in a world that gives no reason for it."""
    scenario = world.scenario
    unknown = world.total("OutcomesUnknown", service="segment_events")
    table_fails = any(fault.call in _TABLE_CALLS for fault in scenario.aws_faults)
    if not table_fails:
        without = sum(world.total("SentWithoutLedger", connector=connector) for connector in CONNECTORS)
        assert without == 0, "sent without a ledger that was there"
    reply_fails = any(fault.kind == "event" and fault.fault not in _CERTAIN for fault in scenario.responsys_faults)
    late = max(scenario.latencies) > scenario.reply_seconds
    if not (table_fails or reply_fails or late or world.killed or set(scenario.skews) != {0}):
        assert unknown == 0, f"{unknown} outcomes in doubt without a reason"


def assert_doubts_are_told_once(world: World) -> None:
    """As many doubts are told as there were messages in doubt, where nothing but Responsys and kills make them."""
    if world.table_failed_at or world.scenario.statement_faults or set(world.scenario.skews) != {0}:
        return
    for connector, account in world.accounts.items():
        if world.scenario.one_user:
            return  # whose request it was, the account does not know
        uncertain = sum(each.recipients for each in account.exchanged if each.late or each.fault not in _CERTAIN)
        abandoned = sum(invocation.pairs for invocation in world.killed)
        told = world.total("OutcomesUnknown", connector=connector)
        assert told <= uncertain + abandoned, (
            f"{told} doubts told, {uncertain} replies lost, {abandoned} perhaps killed"
        )


def assert_pauses_are_kept(world: World) -> None:
    """While an account is known to be throttled, the only environment sends it nothing."""
    scenario = world.scenario
    if scenario.pollers > 1 or scenario.kills or scenario.one_user or set(scenario.skews) != {0}:
        return
    if world.table_failed_at:
        return
    for account in world.accounts.values():
        for refused in account.exchanged:
            if refused.late or refused.fault not in _THROTTLES:
                continue
            seconds = _THROTTLES[refused.fault]
            for each in account.exchanged:
                known = refused.ended_at + _PAUSING_SECONDS
                assert not known < each.began_at < refused.ended_at + seconds - 1, (
                    f"sent at {each.began_at:.3f}, throttled from {refused.ended_at:.3f} for {seconds} s"
                )


def assert_order_is_kept(world: World, deliveries: Deliveries) -> None:
    """Nothing is accepted after a newer change of its profile and segment, but for what is not promised."""
    groups: defaultdict[tuple[str, ...], list[tuple[Sent, str, Accepted]]] = defaultdict(list)
    for key, events in deliveries.by_key.items():
        sent = world.sent[key]
        groups[sent.group].extend((sent, key, event) for event in events)
    for group in groups.values():
        for older, key, late in group:
            for newer, newer_key, early in group:
                if _newer(newer, older) and early.at < late.at and not _harmless(newer, older):
                    assert _not_promised(world, (key, late), (newer_key, early)), (
                        f"{older} accepted at {late.at:.3f}, after {newer} at {early.at:.3f}"
                    )


def assert_a_batch_holds_back(world: World, deliveries: Deliveries) -> None:
    """Where a change of a batch comes back, no newer one of its profile and segment was sent in that batch.

    One that RejectedDLQ did not take comes back, too, but nothing newer had to wait for it.
    """
    scenario = world.scenario
    if scenario.refused_entries or any(fault.call == "sqs_send" for fault in scenario.aws_faults):
        return
    for key, events in deliveries.by_key.items():
        for event in events:
            for held in event.errand.put_off:
                newer, older = world.sent[key], world.sent[held]
                if any(each.errand is event.errand for each in deliveries.by_key.get(held, ())):
                    continue  # it was sent, and only its message came back
                assert not _newer(newer, older), f"{newer} was sent at {event.at:.3f} although {older} was put off"


def _not_promised(world: World, late: tuple[str, Accepted], early: tuple[str, Accepted]) -> bool:
    """Return whether an older change may have been accepted after a newer one."""
    (key, older), (newer_key, newer) = late, early
    sender, before = older.errand, newer.errand
    if older.at - older.began_at > world.scenario.reply_seconds:
        return True  # Responsys took it when nobody waited for it any more
    if sender is before:
        return False  # one batch goes in order
    if key in sender.fresh:
        return True  # first receives ask nothing: the producer sent it late, or both were in flight
    if newer.began_at >= sender.began_at:
        return True  # both in flight at the same moment
    # The newer one left no trace: it was new, and the table out of reach.
    failures = any(before.began_at <= at <= newer.began_at for at in world.table_failed_at)
    return newer_key in before.fresh and failures


def assert_no_account_is_locked(world: World) -> None:
    """Wrong passwords never come in such a row that Responsys locks the account.

    A person who writes a secret wants it to be tried. What no answer told cannot be counted, and what the table did not
    take at the moment cannot be remembered.
    """
    written = [NOW + change.after for change in world.scenario.passwords if change.where != "responsys"]
    for account in world.accounts.values():
        in_a_row, since = 0, NOW
        for login in account.logins:
            if login.right or any(since < at <= login.at for at in written):
                in_a_row = 0
            forgotten = any(0 <= at - login.at <= _REMEMBERING_SECONDS for at in world.table_failed_at)
            in_a_row += not login.right and login.told and not forgotten
            since = login.at
            assert in_a_row <= _MOST_WRONG_PASSWORDS, f"{in_a_row} wrong passwords in a row by {login.at:.0f}"


def assert_nobody_is_created_twice(world: World) -> None:
    """No two merges of one person are under way at the same moment, so that the second finds whom the first added."""
    for account in world.accounts.values():
        until: dict[str, float] = {}
        for merge in sorted(account.merges):
            for value in merge.values:
                assert until.get(value, NOW) <= merge.began_at, f"{value} is merged twice at {merge.began_at:.3f}"
                until[value] = merge.at
        created = [member.record["CUSTOMER_ID_"] for member in account.members.merged()]
        assert len(set(created)) == len(created), f"created twice: {created}"


def assert_who_is_created_was_to_be(world: World) -> None:
    """Nobody is created but who entered, was missing, and may be."""
    load = world.scenario.list_load
    entered = {
        (id(world.accounts[sent.connector]), str(sent.message.profile))
        for sent in world.sent.values()
        if sent.message.call_type != "REMOVE" and sent.message.kind in {Kind.VALID, Kind.SPOILING}
    }
    for account in world.accounts.values():
        for member in account.members.merged():
            value = str(member.record["CUSTOMER_ID_"])
            assert load.creates, f"{value} was created"
            assert value in map(str, load.missing), f"{value} was created although known"
            assert (id(account), value) in entered, f"{value} was created, and never entered"


def assert_events_reach_whom_they_are_for(world: World, deliveries: Deliveries) -> None:
    """An event is accepted for its profile, or for the RIID that a merge told of it, whether it created it or not."""
    corrected = any(mapping.identifier_from for mapping in world.scenario.mapping)
    for key, events in deliveries.by_key.items():
        sent = world.sent[key]
        profile = str(sent.message.profile)
        riid = stable_recipient_id(Identifier("customerId", profile))
        for event in events:
            reached = str(event.recipient)
            assert corrected or reached in {profile, str(riid)}, f"{sent} reached {reached}"


def assert_outcomes_add_up(told: Told) -> None:
    """What was received is the sum of the outcomes, and retried stays on the queue."""
    counts = told.counts[_SERVICE]
    assert counts["MessagesReceived"] == sum(counts[outcome] for outcome in OUTCOMES), counts
    least, most = told.received
    assert least <= counts["MessagesReceived"] <= most, f"{least} to {most} received: {counts}"
    least, most = told.retried
    assert least <= counts["EventsRetried"] <= most, f"{least} messages with {most} left on the queue: {counts}"
    for dimensions, of_event in told.counts.items():
        if [name for name, _ in dimensions] == ["connector", "eventName"]:
            assert of_event["MessagesReceived"] == sum(of_event[outcome] for outcome in OUTCOMES), of_event


def assert_outcomes_are_fed(world: World, told: Told) -> None:
    """The feed has each outcome that the metrics have, once, or it is counted as not fed."""
    if not world.scenario.outcome_feed:
        assert not told.invocation.fed
        assert not told.invocation.not_fed
        return
    counts, not_fed = told.counts[_SERVICE], told.invocation.not_fed
    events = {event["id"]: event for event in told.invocation.fed}  # one whose answer got lost was written twice
    fed = Counter(outcome["outcome"] for event in events.values() for outcome in event["outcomes"])
    metrics = {word: counts[f"Events{word.capitalize()}"] for word in _FINAL | {"throttled", "retried"}}
    assert fed <= Counter(metrics), f"fed {fed}, counted {metrics}"
    if any(fault.call == "events" for fault in world.scenario.aws_faults):
        # Some may be there although nobody knows it.
        assert fed.total() + not_fed >= counts["MessagesReceived"], f"fed {fed}, not fed {not_fed}, counted {metrics}"
    else:
        assert len(events) == len(told.invocation.fed), "written twice without a reason"
        assert fed.total() + not_fed == counts["MessagesReceived"], f"fed {fed}, not fed {not_fed}, counted {metrics}"


def assert_whoever_was_sent_is_told_of(world: World, deliveries: Deliveries) -> None:
    """Of each pair that Responsys accepted the feed has a last word, whoever was killed before it could be written.

    A killed environment's messages come again, and are told of then.
    """
    if not world.scenario.outcome_feed or world.total("OutcomesNotFed", service="segment_events"):
        return
    told = {
        (outcome["messageId"], outcome["connector"], outcome["callType"], outcome["segment"]["id"])
        for event in world.fed
        for outcome in event["outcomes"]
        if outcome["outcome"] in _FINAL and "segment" in outcome and "connector" in outcome
    }
    # What SQS itself moved after five receives nobody was told of.
    moved = {
        key
        for message in world.rejected.messages.values()
        if MARK not in message.attributes or message.attributes.get("outcome") == "throttled"
        for key in world.keys_of(message.body, message.attributes)
    }
    for key in deliveries.by_key.keys() - moved:
        sent = world.sent[key]
        number = sent.message.message_id
        ids = sent.message_ids if number is None else [f"id-{number}"]
        what = (sent.connector, sent.message.call_type, sent.message.segment)
        assert any((message_id, *what) in told for message_id in ids), f"nobody was told of {sent}"


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
    if scenario.one_user:
        limit *= len(CONNECTORS)  # a budget for each secret
    for account in world.accounts.values():
        times = sorted(each.began_at for each in account.exchanged)  # how long they are under way is not ours
        for position, at in enumerate(times):
            in_a_minute = position + 1 - bisect_left(times, at - 60.0 + 1e-6)
            assert in_a_minute <= limit, f"{in_a_minute} requests in the minute before {at:.3f}"
