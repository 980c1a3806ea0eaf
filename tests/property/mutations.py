"""Would the law be seen to break? Each mutation breaks the delivery code on purpose; random worlds must tell.

``python -m tests.property.mutations`` prints how many worlds each took; names as arguments choose some.
"""

from __future__ import annotations

import logging
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import replace
from typing import Any
from unittest.mock import patch

from hypothesis import Phase

from responsys_activation import received
from responsys_activation.aws import claims, ledger
from responsys_activation.aws.claims import Claim, ClaimState
from responsys_activation.aws.delivery_table import DeliveryTable, Updated
from responsys_activation.aws.event_bus import EventBus, Written
from responsys_activation.aws.ledger import Ledger
from responsys_activation.aws.newcomers import Newcomers
from responsys_activation.aws.queues import DeadLetterQueue
from responsys_activation.aws.request_pace import RequestPace
from responsys_activation.aws.slots import Slot, Wait
from responsys_activation.delivery import batch as delivery
from responsys_activation.delivery import (
    composition,
    isolating,
    lane,
    pacing,
    receiving,
    sending,
    settling,
)
from responsys_activation.delivery.custom_event import custom_event
from responsys_activation.delivery.lane import Lane
from responsys_activation.delivery.outcome import Delivered, Duplicate, Ending, Retried, Throttled
from responsys_activation.delivery.outcome_feed import OutcomeFeed
from responsys_activation.delivery.pacing import Pacing
from responsys_activation.delivery.posting import Posting
from responsys_activation.delivery.reporting import Reporting
from responsys_activation.delivery.sending import RequestSender
from responsys_activation.delivery.settling import Settling
from responsys_activation.membership import Membership
from responsys_activation.observability import logger
from responsys_activation.received import Mark
from responsys_activation.responsys import events
from responsys_activation.responsys.errors import UnavailableError
from responsys_activation.responsys.login_memory import LoginMemory
from responsys_activation.upstream.memberships import Part
from tests.property.law import check
from tests.property.scenario import Scenario, scenarios
from tests.property.soaking import try_round
from tests.property.world import RecordedMetrics, World

_MOST_WORLDS = 3000

Patches = AbstractContextManager[Any]


def around(owner: Any, name: str, wrapper: Callable[..., Any]) -> Patches:
    """Let `wrapper` stand for a function; it gets the function itself before the arguments."""
    original = getattr(owner, name)
    return patch.object(owner, name, lambda *arguments, **options: wrapper(original, *arguments, **options))


def together(*patches: Patches) -> Patches:
    """Break several places at once."""
    stack = ExitStack()
    for each in patches:
        stack.enter_context(each)
    return stack


# ---- claims ----------------------------------------------------------------------------------------------------


def _misplaced(record: Any, sender: RequestSender, request: Any, claimed: Any, *rest: Any) -> None:
    ended = {place: claimed.get(place, Claim(ClaimState.HELD_UP)) for place in range(len(request.items))}
    record(sender, request, ended, *rest)


def only_claimed_messages_are_recorded() -> Patches:
    claimed: dict[str, list[int]] = {}

    def remember(claim: Any, ledger: Ledger, changes: Sequence[Any], request_id: str, *rest: Any) -> list[Claim]:
        claims: list[Claim] = claim(ledger, changes, request_id, *rest)
        claimed[request_id] = [place for place, each in enumerate(claims) if each.state is ClaimState.CLAIMED]
        return claims

    def forgetful(record: Any, ledger: Ledger, request_id: str, *, undelivered: Any, unknown: Any) -> None:
        of_claimed = [position for position in undelivered if position in claimed[request_id]]
        record(ledger, request_id, undelivered=of_claimed, unknown=unknown)

    return together(around(Ledger, "claim", remember), around(Ledger, "record", forgetful))


def _free_where_delivered(state: Any, *arguments: Any) -> tuple[ClaimState, bool]:
    found, killed = state(*arguments)
    return (ClaimState.FREE if found is ClaimState.DELIVERED else found), killed


def _without_condition(statement: Any, ledger: Ledger, claiming: Any, position: int) -> Any:
    made = statement(ledger, claiming, position)
    if claiming.open_over[position] is None:
        return made
    condition = ' AND "requestId"=?'
    assert made["Statement"].endswith(condition)
    return made | {"Statement": made["Statement"].removesuffix(condition), "Parameters": made["Parameters"][:-1]}


def _sent_without_claim(claim: Any, *arguments: Any) -> list[Claim]:
    claims: list[Claim] = claim(*arguments)
    for each in claims:
        if each.state in {ClaimState.IN_FLIGHT, ClaimState.HELD_UP}:
            each.state = ClaimState.OUT_OF_REACH
    return claims


CLAIMS: dict[str, Callable[[], Patches]] = {
    "nothing is claimed": lambda: patch.object(
        Ledger, "claim", lambda _self, changes, *_rest: [Claim(ClaimState.CLAIMED) for _ in changes]
    ),
    "nothing is recorded": lambda: patch.object(Ledger, "record", lambda *_arguments, **_options: None),
    "what was not delivered is not recorded": lambda: around(
        Ledger, "record", lambda record, *rest, unknown, **_: record(*rest, undelivered=[], unknown=unknown)
    ),
    "unknown outcomes are not recorded": lambda: around(
        Ledger, "record", lambda record, *rest, undelivered, **_: record(*rest, undelivered=undelivered, unknown=[])
    ),
    # A fault that this suite found: claims of a part of a request count from that part's beginning.
    "answers are recorded by their place in the request": lambda: around(RequestSender, "_record", _misplaced),
    # A fault that this suite found: held back messages whose claim took effect read as delivered.
    "only claimed messages are recorded": only_claimed_messages_are_recorded,
    "claims are abandoned at once": lambda: around(
        claims, "claim_state", lambda state, claim, answer, now: state(replace(claim, until=0.0), answer, now)
    ),
    "delivered messages may be claimed": lambda: around(claims, "claim_state", _free_where_delivered),
    "a claim is taken over whoever has it by now": lambda: around(Ledger, "_statement", _without_condition),
    "a fought over message is sent without a claim": lambda: around(Ledger, "claim", _sent_without_claim),
}

# ---- what makes a message the same message ---------------------------------------------------------------------


def _named(change_name: Callable[[Membership], Membership]) -> Patches:
    def misnamed(name: Any, connector: str, membership: Membership, *rest: Any) -> Any:
        return name(connector, change_name(membership), *rest)

    return around(delivery, "membership_change", misnamed)


def _called_add(name: Any, connector: str, membership: Membership, *rest: Any) -> Any:
    same = membership.model_copy(update={"call_type": type(membership.call_type)("ADD")})
    return name(connector, membership, *rest)._replace(key=name(connector, same, *rest).key)


def the_mapped_event_is_part_of_the_key() -> Patches:
    events_of: dict[int, str] = {}

    def remember(part: Part, *rest: Any) -> Any:
        event = custom_event(part, *rest)
        events_of[id(part.membership)] = event.event_name
        return event

    return together(
        patch.object(delivery, "custom_event", remember),
        _named(lambda membership: membership.model_copy(update={"event_name": events_of[id(membership)]})),
    )


SAMENESS: dict[str, Callable[[], Patches]] = {
    "the call type is no part of the key": lambda: around(delivery, "membership_change", _called_add),
    "the segment is no part of the key": lambda: _named(
        lambda membership: membership.model_copy(
            update={"segment": membership.segment.model_copy(update={"id": "any"})}
        )
    ),
    "the profile is no part of the key": lambda: _named(
        lambda membership: membership.model_copy(update={"profile_id": "any"})
    ),
    "the mapped event is part of the key": the_mapped_event_is_part_of_the_key,
    "attributes of the producer are taken for ours": lambda: around(
        received, "read_mark", lambda read_mark, text: read_mark(text) or Mark()
    ),
}

# ---- doubt -----------------------------------------------------------------------------------------------------


def _at_the_end(self: RecordedMetrics, name: str, value: int, *dimension_sets: Any) -> None:
    for dimensions in dimension_sets:
        self.count(name, value, **dimensions)


class _NeverError(UnavailableError):
    """What nobody raises."""


def _told_when_taken_over(state: Any, *arguments: Any) -> tuple[ClaimState, bool]:
    found, _ = state(*arguments)
    return found, found is ClaimState.IN_DOUBT


def _trusting(reply: Any, recipients_json: Sequence[str]) -> list[str | None]:
    results = reply.document if isinstance(reply.document, list) else []
    codes = [None if result["success"] else "CODE" for result in results]
    return (codes + [None] * len(recipients_json))[: len(recipients_json)]


DOUBT: dict[str, Callable[[], Patches]] = {
    "a lost reply is taken for not sent": lambda: together(
        patch.object(isolating, "OutcomeUnknownError", _NeverError),
        patch.object(pacing, "OutcomeUnknownError", _NeverError),
    ),
    "doubts are not counted in the claim": lambda: around(
        ledger, "read_claim", lambda read, item: replace(read(item), doubts=0)
    ),
    "doubts do not bound what is sent again": lambda: patch.object(
        RequestSender, "_allowed_doubts", lambda _self, _item: 1_000
    ),
    "what is in doubt is told at the end of the invocation": lambda: patch.object(RecordedMetrics, "tell", _at_the_end),
    "the doubt of a killed sender is not told": lambda: around(
        claims, "claim_state", lambda state, *standing: (state(*standing)[0], False)
    ),
    "a doubt is told again when it is taken over": lambda: around(claims, "claim_state", _told_when_taken_over),
    "requests start without time for their reply": lambda: together(
        patch.object(composition, "shortest_request", lambda _reply_seconds: 2.0),
        patch.object(pacing, "shortest_request", lambda _reply_seconds: 2.0),
        patch.object(Posting, "_reply_seconds", property(lambda _self: 0.0, lambda *_: None), create=True),
    ),
    "what goes without a claim is not told": lambda: around(
        Reporting,
        "doubted",
        lambda doubted, *who, sent_without_ledger=0, **others: doubted(*who, **others),
    ),
    "a reply of wrong length is taken for success": lambda: patch.object(events, "_results", _trusting),
    "a result may name another recipient": lambda: patch.object(events, "_is_of_another", lambda _result, _sent: False),
}

# ---- order -----------------------------------------------------------------------------------------------------


def _in_one_wave(plan: Any, items: Sequence[Any]) -> Any:
    planned = plan(items)
    for request in planned.requests:
        request.wave = 1
    return planned


def _blind_to(*states: ClaimState) -> Patches:
    def blind(newer: Any, ledger: Ledger, changes: Sequence[Any]) -> Any:
        return [[each for each in found if each.state not in states] for found in newer(ledger, changes)]

    return around(Ledger, "newer", blind)


def _forgotten_when_first_sent(text: Any, mark: Mark) -> Any:
    return text(mark._replace(first_sent_at=None))


def _counted_as_new(read: Any, *arguments: Any) -> Any:
    message = read(*arguments)
    return message._replace(came_back=message.receive_count > 1)


ORDER: dict[str, Callable[[], Patches]] = {
    "a change is not held back behind one that failed": lambda: patch.object(
        Lane, "hold_back", lambda _self, _request: None
    ),
    "changes of a membership share a wave": lambda: around(delivery, "plan_requests", _in_one_wave),
    "what comes back does not ask for newer changes": lambda: patch.object(
        RequestSender, "_superseded", lambda _self, _request: {}
    ),
    "a newer change in doubt does not count": lambda: _blind_to(ClaimState.IN_DOUBT),
    "a newer change in flight does not count": lambda: _blind_to(ClaimState.IN_FLIGHT),
    # A fault that this suite found: an older change was sent after a newer one that was in doubt.
    "a doubt is forgotten by a request that took nothing": lambda: patch.object(
        ledger, "state_for_others", lambda *standing: claims.claim_state(*standing)[0]
    ),
    "an addition is sent whatever is newer": lambda: around(
        sending,
        "overtaken",
        lambda overtaken, call_type, newer: None if call_type == "ADD" else overtaken(call_type, newer),
    ),
    "an addition is overtaken by an update": lambda: around(
        sending, "overtaken", lambda overtaken, _call_type, newer: overtaken("REMOVE", newer)
    ),
    "a deferral forgets when sqs had the message": lambda: around(Mark, "text", _forgotten_when_first_sent),
    "what was deferred counts as new": lambda: around(delivery, "read_record", _counted_as_new),
}

# ---- pace and logins -------------------------------------------------------------------------------------------


class _Heedless(Pacing):
    _throttled = property(lambda _self: None, lambda _self, _error: None)


def _narrow(heed: Any, memory: LoginMemory, version: Any, now: float, **options: Any) -> None:
    if memory._refused(version) is not None:
        heed(memory, version, now, **options)


def _modest(
    update: Any, table: DeliveryTable, what: str, *change: Any, condition: str = "", values: Any = None
) -> Updated:
    if what == "take login lease":
        condition = condition.replace("leaseUntil < :now OR ", "")
        values = {name: value for name, value in values.items() if name != ":now"}
    updated: Updated = update(table, what, *change, condition=condition, values=values)
    return updated


def _slot_at_once(self: RequestPace, _read_limit: Any, _latest: float, **_options: Any) -> Slot:
    return Slot(self._clock(), until=self._clock() + 60.0)


PACE: dict[str, Callable[[], Patches]] = {
    "a throttle is not shared": lambda: patch.object(
        RequestPace, "pause", lambda _self, code, retry_after, **_options: Wait(code, retry_after)
    ),
    "requests that wait do not heed a throttle": lambda: patch.object(composition, "Pacing", _Heedless),
    "wrong passwords are tried again and again": lambda: patch.object(
        LoginMemory, "heed", lambda *_arguments, **_options: None
    ),
    "wrong passwords are remembered by secret": lambda: around(LoginMemory, "heed", _narrow),
    "the lease of a killed login is never taken": lambda: around(DeliveryTable, "update", _modest),
    "the shared slot does not move on": lambda: patch.object(RequestPace, "reserve", _slot_at_once),
}

# ---- settling --------------------------------------------------------------------------------------------------


def _trusted(send: Any, queue: DeadLetterQueue, letters: Iterable[Any], *rest: Any) -> set[int]:
    letters = list(letters)
    send(queue, letters, *rest)
    return set(range(len(letters)))


def _rest_delivered(post: Any, *arguments: Any) -> Any:
    ends, failure = post(*arguments)
    return ends | ({max(ends): Delivered()} if failure else {}), failure


def _last_forgotten(learn: Any, lane: Lane, answer: Any, now: float) -> None:
    learn(lane, answer, now)
    if lane.stopped and lane.waiting:
        lane.waiting.pop()


SETTLING: dict[str, Callable[[], Patches]] = {
    "messages leave before their dead letter queue has them": lambda: around(DeadLetterQueue, "send", _trusted),
    "throttled messages are not moved": lambda: around(
        Settling,
        "_move",
        lambda move, self, endings, kind, *rest: None if kind is Throttled else move(self, endings, kind, *rest),
    ),
    "nothing is kept back for settling": lambda: together(
        patch.object(delivery, "_SETTLING_SECONDS", 0.0), patch.object(delivery, "_SETTLED_A_SECOND", 10**9)
    ),
    "settling takes as long as it takes": lambda: around(
        Settling, "settle", lambda settle, self, endings, _until: settle(self, endings, 1e12)
    ),
    "the rest of a failed request counts as delivered": lambda: around(sending, "post_isolating", _rest_delivered),
    "a stopped lane forgets its last request": lambda: around(Lane, "learn", _last_forgotten),
    "duplicates are not counted": lambda: around(
        Reporting,
        "_count",
        lambda count, self, received, endings: count(
            self, received, [ending for ending in endings if not isinstance(ending.outcome, Duplicate)]
        ),
    ),
}

# ---- several memberships of one message ------------------------------------------------------------------------


def _letters_without(**forgotten: Any) -> Patches:
    return around(Mark, "text", lambda text, mark: text(mark._replace(**forgotten)))


def _deleted_for_its_neighbours(settle: Any, *arguments: Any) -> list[Ending]:
    endings: list[Ending] = settle(*arguments)
    ended = {each.message.message_id for each in endings if not isinstance(each.outcome, Retried)}
    return [
        each._replace(outcome=Throttled("X", 0.0))
        if isinstance(each.outcome, Retried) and each.message.message_id in ended
        else each
        for each in endings
    ]


def _first(routed: Any) -> Any:
    return routed[:1] if isinstance(routed, list) else routed


SEVERAL: dict[str, Callable[[], Patches]] = {
    "a letter forgets its key": lambda: _letters_without(key=""),
    "a letter forgets its position": lambda: _letters_without(position=0),
    "a letter holds the whole message": lambda: patch.object(
        settling, "split", lambda body, _arrived_at: defaultdict(lambda: body)
    ),
    "a message leaves although one of its letters was not taken": lambda: around(
        Settling, "settle", _deleted_for_its_neighbours
    ),
    "only the first membership of a message counts": lambda: around(
        receiving, "read", lambda read, *arguments: (found := read(*arguments))._replace(parts=found.parts[:1])
    ),
    "a membership goes to its first connector alone": lambda: around(
        receiving, "route", lambda route, *arguments: _first(route(*arguments))
    ),
}

# ---- newcomers -------------------------------------------------------------------------------------------------

NEWCOMERS: dict[str, Callable[[], Patches]] = {
    "newcomers are taken by everybody": lambda: patch.object(
        Newcomers, "take", lambda _self, keys, _owner: [True] * len(keys)
    ),
    "a removal creates": lambda: around(
        sending, "outcome_of_missing", lambda outcome, action, **_options: outcome(action, may_create=True)
    ),
    "riids are mixed up": lambda: around(
        lane, "addressed_by_riid", lambda addressed, event, riid: addressed(event, riid + 1)
    ),
    "later changes do not wait for the creation": lambda: patch.object(lane, "_whose", lambda _item: set()),
}

# ---- the outcome feed --------------------------------------------------------------------------------------------


def _told_as_meant() -> Patches:
    meant: list[Ending] = []

    def remember(settle: Any, self: Settling, endings: Sequence[Ending], until: float) -> list[Ending]:
        meant[:] = endings
        settled: list[Ending] = settle(self, endings, until)
        return settled

    return together(
        around(Settling, "settle", remember),
        around(OutcomeFeed, "tell", lambda tell, self, _settled, deadline: tell(self, list(meant), deadline)),
    )


def _all_taken(write: Any, bus: EventBus, details: Sequence[str], until: float) -> Written:
    write(bus, details, until)
    return Written(set(range(len(details))), set())


FEED: dict[str, Callable[[], Patches]] = {
    "the last outcome of a batch is not told": lambda: around(
        OutcomeFeed, "tell", lambda tell, self, settled, deadline: tell(self, list(settled)[:-1], deadline)
    ),
    "duplicates are not told": lambda: around(
        OutcomeFeed,
        "tell",
        lambda tell, self, settled, deadline: tell(
            self, [each for each in settled if not isinstance(each.outcome, Duplicate)], deadline
        ),
    ),
    "an outcome is told as it was meant, not as it was settled": _told_as_meant,
    "what is not fed is not counted": lambda: patch.object(Reporting, "outcomes_not_fed", lambda *_arguments: None),
    "events without an answer are taken for written": lambda: around(
        EventBus, "write", lambda write, self, details, until: _all_taken(write, self, list(details), until)
    ),
}

MUTATIONS = CLAIMS | SAMENESS | DOUBT | ORDER | PACE | SETTLING | SEVERAL | NEWCOMERS | FEED


def worlds_until_seen(name: str) -> tuple[int, str]:
    """Count the worlds until one breaks the law, and tell how; 0 where none did."""
    tried = 0

    def try_worlds(scenario: Scenario) -> None:
        nonlocal tried
        tried += 1
        with MUTATIONS[name]():
            check(World(scenario).run())

    try:
        try_round(try_worlds, scenarios(), examples=_MOST_WORLDS, seed=2, phases=[Phase.generate])
    except Exception as exc:  # noqa: BLE001 - whatever it is, the mutation was seen
        return tried, f"{type(exc).__name__}: {next(iter(str(exc).splitlines()), '')}"
    return 0, "never"


def main() -> int:
    """Try every mutation."""
    logger.setLevel(logging.CRITICAL)
    missed = 0
    for name in sys.argv[1:] or MUTATIONS:
        worlds, how = worlds_until_seen(name)
        missed += not worlds
        print(f"{worlds:>6}  {name}: {how[:110]}", flush=True)
    return min(missed, 1)


if __name__ == "__main__":
    sys.exit(main())
