"""Would the law be seen to break? Each mutation breaks the delivery code on purpose; random worlds must tell.

``python -m tests.property.mutations`` prints how many worlds each took; names as arguments choose some.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from unittest.mock import patch

from hypothesis import HealthCheck, Phase, given, seed, settings

from responsys_activation import change, received
from responsys_activation.aws import claims, ledger
from responsys_activation.aws.claims import Claim, ClaimState
from responsys_activation.aws.delivery_table import DeliveryTable, Updated
from responsys_activation.aws.ledger import Ledger
from responsys_activation.aws.queues import DeadLetter, DeadLetterQueue
from responsys_activation.aws.request_pace import RequestPace
from responsys_activation.aws.slots import Slot, Wait
from responsys_activation.delivery import batch as delivery
from responsys_activation.delivery import dispatch, isolating, pacing, sending
from responsys_activation.delivery.custom_event import custom_event
from responsys_activation.delivery.outcome import Delivered, Duplicate, Throttled
from responsys_activation.delivery.pacing import Pacing
from responsys_activation.delivery.planning import plan_requests
from responsys_activation.delivery.posting import Posting
from responsys_activation.delivery.reporting import Reporting
from responsys_activation.delivery.sending import RequestSender
from responsys_activation.delivery.settling import Settling
from responsys_activation.membership import Membership
from responsys_activation.observability import InvocationMetrics, logger
from responsys_activation.received import Mark, ReceivedMessage
from responsys_activation.responsys import events
from responsys_activation.responsys.errors import UnavailableError
from responsys_activation.responsys.login_memory import LoginMemory
from responsys_activation.upstream.memberships import Part
from tests.property.law import check
from tests.property.scenario import Scenario, scenarios
from tests.property.world import World

_MOST_WORLDS = 3000

Mutation = Callable[[], Any]
MUTATIONS: dict[str, Mutation] = {}


def mutation(function: Callable[[], Iterator[None]]) -> Callable[[], Iterator[None]]:
    """Name a mutation after its function."""
    MUTATIONS[function.__name__.replace("_", " ")] = contextmanager(function)
    return function


# ---- claims ----------------------------------------------------------------------------------------------------


@mutation
def nothing_is_claimed() -> Iterator[None]:
    def claim(_self: Ledger, changes: Sequence[Any], *_rest: Any) -> list[Claim]:
        return [Claim(ClaimState.CLAIMED) for _ in changes]

    with patch.object(Ledger, "claim", claim):
        yield


@mutation
def nothing_is_recorded() -> Iterator[None]:
    with patch.object(Ledger, "record", lambda *_arguments, **_options: None):
        yield


@mutation
def what_was_not_delivered_is_not_recorded() -> Iterator[None]:
    record = Ledger.record

    def forgetful(self: Ledger, request_id: str, *, undelivered: Collection[int], unknown: Collection[int]) -> None:
        record(self, request_id, undelivered=[], unknown=unknown)

    with patch.object(Ledger, "record", forgetful):
        yield


@mutation
def unknown_outcomes_are_not_recorded() -> Iterator[None]:
    record = Ledger.record

    def forgetful(self: Ledger, request_id: str, *, undelivered: Collection[int], unknown: Collection[int]) -> None:
        record(self, request_id, undelivered=undelivered, unknown=[])

    with patch.object(Ledger, "record", forgetful):
        yield


@mutation
def answers_are_recorded_by_their_place_in_the_request() -> Iterator[None]:
    """The fault that this suite found: claims of a part of a request count from that part's beginning."""
    record = RequestSender._record

    def misplaced(self: RequestSender, request: Any, claims: Any, *rest: Any) -> None:
        ended = {place: claims.get(place, Claim(ClaimState.HELD_UP)) for place in range(len(request.items))}
        record(self, request, ended, *rest)

    with patch.object(RequestSender, "_record", misplaced):
        yield


@mutation
def only_claimed_messages_are_recorded() -> Iterator[None]:
    """The fault that this suite found: held back messages whose claim took effect read as delivered."""
    claim = Ledger.claim
    record = Ledger.record
    claimed: dict[str, list[int]] = {}

    def remember(self: Ledger, changes: Sequence[Any], request_id: str, *rest: Any) -> list[Claim]:
        claims = claim(self, changes, request_id, *rest)
        claimed[request_id] = [place for place, each in enumerate(claims) if each.state is ClaimState.CLAIMED]
        return claims

    def forgetful(self: Ledger, request_id: str, *, undelivered: Collection[int], unknown: Collection[int]) -> None:
        of_claimed = [position for position in undelivered if position in claimed[request_id]]
        record(self, request_id, undelivered=of_claimed, unknown=unknown)

    with patch.object(Ledger, "claim", remember), patch.object(Ledger, "record", forgetful):
        yield


@mutation
def claims_are_abandoned_at_once() -> Iterator[None]:
    state = claims.claim_state

    def impatient(claim: Any, answer: Any, now: float) -> tuple[ClaimState, bool]:
        return state(replace(claim, until=0.0), answer, now)

    with patch.object(claims, "claim_state", impatient):
        yield


@mutation
def delivered_messages_may_be_claimed() -> Iterator[None]:
    state = claims.claim_state

    def generous(claim: Any, answer: Any, now: float) -> tuple[ClaimState, bool]:
        found, killed = state(claim, answer, now)
        return (ClaimState.FREE if found is ClaimState.DELIVERED else found), killed

    with patch.object(claims, "claim_state", generous):
        yield


@mutation
def a_claim_is_taken_over_whoever_has_it_by_now() -> Iterator[None]:
    statement = Ledger._statement

    def careless(self: Ledger, claiming: Any, position: int) -> Any:
        made = statement(self, claiming, position)
        if claiming.open_over[position] is None:
            return made
        condition = ' AND "requestId"=?'
        assert made["Statement"].endswith(condition)
        return made | {"Statement": made["Statement"].removesuffix(condition), "Parameters": made["Parameters"][:-1]}

    with patch.object(Ledger, "_statement", careless):
        yield


@mutation
def a_fought_over_message_is_sent_without_a_claim() -> Iterator[None]:
    claim = Ledger.claim

    def careless(self: Ledger, *arguments: Any) -> list[Claim]:
        claims = claim(self, *arguments)
        for each in claims:
            if each.state in {ClaimState.IN_FLIGHT, ClaimState.HELD_UP}:
                each.state = ClaimState.OUT_OF_REACH
        return claims

    with patch.object(Ledger, "claim", careless):
        yield


# ---- what makes a message the same message ---------------------------------------------------------------------


def _naming(change_name: Callable[[Membership], Membership]) -> Any:
    name = change.membership_change

    def misnamed(connector: str, membership: Membership, *rest: Any) -> Any:
        return name(connector, change_name(membership), *rest)

    return patch.object(delivery, "membership_change", misnamed)


@mutation
def the_call_type_is_no_part_of_the_key() -> Iterator[None]:
    name = change.membership_change

    def misnamed(connector: str, membership: Membership, *rest: Any) -> Any:
        right = name(connector, membership, *rest)
        same = membership.model_copy(update={"call_type": type(membership.call_type)("ADD")})
        return right._replace(key=name(connector, same, *rest).key)

    with patch.object(delivery, "membership_change", misnamed):
        yield


@mutation
def the_segment_is_no_part_of_the_key() -> Iterator[None]:
    def same(membership: Membership) -> Membership:
        return membership.model_copy(update={"segment": membership.segment.model_copy(update={"id": "any"})})

    with _naming(same):
        yield


@mutation
def the_profile_is_no_part_of_the_key() -> Iterator[None]:
    with _naming(lambda membership: membership.model_copy(update={"profile_id": "any"})):
        yield


@mutation
def the_mapped_event_is_part_of_the_key() -> Iterator[None]:
    mapped = custom_event
    name = change.membership_change
    events_of: dict[int, str] = {}

    def remember(part: Part, *rest: Any) -> Any:
        event = mapped(part, *rest)
        events_of[id(part.membership)] = event.event_name
        return event

    def misnamed(connector: str, membership: Membership, *rest: Any) -> Any:
        renamed = membership.model_copy(update={"event_name": events_of[id(membership)]})
        return name(connector, renamed, *rest)

    with patch.object(delivery, "custom_event", remember), patch.object(delivery, "membership_change", misnamed):
        yield


@mutation
def attributes_of_the_producer_are_taken_for_ours() -> Iterator[None]:
    read_mark = received.read_mark
    with patch.object(received, "read_mark", lambda text: read_mark(text) or Mark()):
        yield


# ---- doubt -----------------------------------------------------------------------------------------------------


@mutation
def a_lost_reply_is_taken_for_not_sent() -> Iterator[None]:
    never = type("Never", (UnavailableError,), {})
    with patch.object(isolating, "OutcomeUnknownError", never), patch.object(pacing, "OutcomeUnknownError", never):
        yield


@mutation
def doubts_are_not_counted_in_the_claim() -> Iterator[None]:
    read = claims.read_claim
    with patch.object(ledger, "read_claim", lambda item: replace(read(item), doubts=0)):
        yield


@mutation
def doubts_do_not_bound_what_is_sent_again() -> Iterator[None]:
    with patch.object(RequestSender, "_allowed_doubts", lambda _self, _item: 1_000):
        yield


@mutation
def what_is_in_doubt_is_told_at_the_end_of_the_invocation() -> Iterator[None]:
    def later(self: InvocationMetrics, name: str, value: int, *dimension_sets: Any) -> None:
        for dimensions in dimension_sets:
            self.count(name, value, **dimensions)

    with patch("tests.property.world.RecordedMetrics.tell", later):
        yield


@mutation
def the_doubt_of_a_killed_sender_is_not_told() -> Iterator[None]:
    state = claims.claim_state
    with patch.object(claims, "claim_state", lambda *standing: (state(*standing)[0], False)):
        yield


@mutation
def a_doubt_is_told_again_when_it_is_taken_over() -> Iterator[None]:
    state = claims.claim_state

    def talkative(claim: Any, answer: Any, now: float) -> tuple[ClaimState, bool]:
        found, _ = state(claim, answer, now)
        return found, found is ClaimState.IN_DOUBT

    with patch.object(claims, "claim_state", talkative):
        yield


@mutation
def requests_start_without_time_for_their_reply() -> Iterator[None]:
    with (
        patch("responsys_activation.delivery.composition.shortest_request", lambda _reply_seconds: 2.0),
        patch.object(pacing, "shortest_request", lambda _reply_seconds: 2.0),
        patch.object(Posting, "_reply_seconds", property(lambda _self: 0.0, lambda *_: None), create=True),
    ):
        yield


@mutation
def what_goes_without_a_claim_is_not_told() -> Iterator[None]:
    doubted = Reporting.doubted

    def silent(self: Reporting, connector: str, *, sent_without_ledger: int = 0, **others: int) -> None:
        doubted(self, connector, **others)

    with patch.object(Reporting, "doubted", silent):
        yield


@mutation
def a_reply_of_wrong_length_is_taken_for_success() -> Iterator[None]:
    def trusting(reply: Any, recipients_json: Sequence[str]) -> list[str | None]:
        results = reply.document if isinstance(reply.document, list) else []
        codes = [None if result["success"] else "CODE" for result in results]
        return (codes + [None] * len(recipients_json))[: len(recipients_json)]

    with patch.object(events, "_results", trusting):
        yield


@mutation
def a_result_may_name_another_recipient() -> Iterator[None]:
    with patch.object(events, "_is_of_another", lambda _result, _sent: False):
        yield


# ---- order -----------------------------------------------------------------------------------------------------


@mutation
def a_change_is_not_held_back_behind_one_that_failed() -> Iterator[None]:
    with patch.object(dispatch.Lane, "hold_back", lambda _self, _request: None):
        yield


@mutation
def changes_of_a_membership_share_a_wave() -> Iterator[None]:
    plan = plan_requests

    def hasty(items: Sequence[Any]) -> Any:
        planned = plan(items)
        for request in planned.requests:
            request.wave = 1
        return planned

    with patch.object(delivery, "plan_requests", hasty):
        yield


@mutation
def what_comes_back_does_not_ask_for_newer_changes() -> Iterator[None]:
    with patch.object(RequestSender, "_superseded", lambda _self, _request: {}):
        yield


def _blind_to(*states: ClaimState) -> Any:
    newer = Ledger.newer

    def blind(self: Ledger, changes: Sequence[Any]) -> Any:
        return [[each for each in found if each.state not in states] for found in newer(self, changes)]

    return patch.object(Ledger, "newer", blind)


@mutation
def a_newer_change_in_doubt_does_not_count() -> Iterator[None]:
    with _blind_to(ClaimState.IN_DOUBT):
        yield


@mutation
def a_newer_change_in_flight_does_not_count() -> Iterator[None]:
    with _blind_to(ClaimState.IN_FLIGHT):
        yield


@mutation
def a_doubt_is_forgotten_by_a_request_that_took_nothing() -> Iterator[None]:
    """The fault that this suite found: an older change was sent after a newer one that was in doubt."""
    with patch.object(ledger, "state_for_others", lambda *standing: claims.claim_state(*standing)[0]):
        yield


@mutation
def an_addition_is_sent_whatever_is_newer() -> Iterator[None]:
    overtaken = sending._overtaken

    def generous(call_type: str, newer: Any) -> Any:
        return None if call_type == "ADD" else overtaken(call_type, newer)

    with patch.object(sending, "_overtaken", generous):
        yield


@mutation
def an_addition_is_overtaken_by_an_update() -> Iterator[None]:
    overtaken = sending._overtaken
    with patch.object(sending, "_overtaken", lambda _call_type, newer: overtaken("REMOVE", newer)):
        yield


@mutation
def a_deferral_forgets_when_sqs_had_the_message() -> Iterator[None]:
    text = Mark.text
    with patch.object(Mark, "text", lambda self: text(self._replace(first_sent_at=None))):
        yield


@mutation
def what_was_deferred_counts_as_new() -> Iterator[None]:
    read = received.read_record

    def forgetful(*arguments: Any) -> ReceivedMessage:
        message = read(*arguments)
        return message._replace(came_back=message.receive_count > 1)

    with patch.object(delivery, "read_record", forgetful):
        yield


# ---- pace and logins -------------------------------------------------------------------------------------------


@mutation
def a_throttle_is_not_shared() -> Iterator[None]:
    with patch.object(RequestPace, "pause", lambda _self, code, retry_after, **_options: Wait(code, retry_after)):
        yield


@mutation
def requests_that_wait_do_not_heed_a_throttle() -> Iterator[None]:
    class Heedless(Pacing):
        _throttled = property(lambda _self: None, lambda _self, _error: None)

    with patch("responsys_activation.delivery.composition.Pacing", Heedless):
        yield


@mutation
def wrong_passwords_are_tried_again_and_again() -> Iterator[None]:
    with patch.object(LoginMemory, "heed", lambda *_arguments, **_options: None):
        yield


@mutation
def wrong_passwords_are_remembered_by_secret() -> Iterator[None]:
    refused = LoginMemory._refused

    def own(self: LoginMemory, version: Any) -> Any:
        return refused(self, version)

    heed = LoginMemory.heed

    def narrow(self: LoginMemory, version: Any, now: float, **options: Any) -> None:
        if own(self, version) is not None:
            heed(self, version, now, **options)

    with patch.object(LoginMemory, "heed", narrow):
        yield


@mutation
def the_lease_of_a_killed_login_is_never_taken() -> Iterator[None]:
    update = DeliveryTable.update

    def modest(self: DeliveryTable, what: str, *change: Any, condition: str = "", values: Any = None) -> Updated:
        if what == "take login lease":
            condition = condition.replace("leaseUntil < :now OR ", "")
            values = {name: value for name, value in values.items() if name != ":now"}
        return update(self, what, *change, condition=condition, values=values)

    with patch.object(DeliveryTable, "update", modest):
        yield


# ---- settling --------------------------------------------------------------------------------------------------


@mutation
def messages_leave_before_their_dead_letter_queue_has_them() -> Iterator[None]:
    send = DeadLetterQueue.send

    def trusting(self: DeadLetterQueue, letters: Sequence[DeadLetter], *rest: Any) -> list[bool]:
        send(self, letters, *rest)
        return [True] * len(letters)

    with patch.object(DeadLetterQueue, "send", trusting):
        yield


@mutation
def throttled_messages_are_not_moved() -> Iterator[None]:
    move = Settling._move

    def forgetful(self: Settling, endings: Any, kind: Any, *rest: Any) -> None:
        if kind is not Throttled:
            move(self, endings, kind, *rest)

    with patch.object(Settling, "_move", forgetful):
        yield


@mutation
def the_shared_slot_does_not_move_on() -> Iterator[None]:
    def at_once(self: RequestPace, _read_limit: Any, _latest: float, **_options: Any) -> Slot:
        now = self._clock()
        return Slot(now, until=now + 60.0)

    with patch.object(RequestPace, "reserve", at_once):
        yield


@mutation
def nothing_is_kept_back_for_settling() -> Iterator[None]:
    with patch.object(delivery, "_SETTLING_SECONDS", 0.0), patch.object(delivery, "_SETTLED_A_SECOND", 10**9):
        yield


@mutation
def settling_takes_as_long_as_it_takes() -> Iterator[None]:
    settle = Settling.settle
    with patch.object(Settling, "settle", lambda self, endings, _until: settle(self, endings, 1e12)):
        yield


@mutation
def the_rest_of_a_failed_request_counts_as_delivered() -> Iterator[None]:
    post = isolating.post_isolating

    def optimistic(*arguments: Any) -> Any:
        ends, failure = post(*arguments)
        return ends | ({max(ends): Delivered()} if failure else {}), failure

    with patch.object(sending, "post_isolating", optimistic):
        yield


@mutation
def a_stopped_lane_forgets_its_last_request() -> Iterator[None]:
    learn = dispatch.Lane.learn

    def forgetful(self: dispatch.Lane, answer: Any, now: float) -> None:
        learn(self, answer, now)
        if self.stopped and self.waiting:
            self.waiting.pop()

    with patch.object(dispatch.Lane, "learn", forgetful):
        yield


@mutation
def duplicates_are_not_counted() -> Iterator[None]:
    count = Reporting._count

    def forgetful(self: Reporting, received: int, endings: Any) -> None:
        count(self, received, [ending for ending in endings if not isinstance(ending.outcome, Duplicate)])

    with patch.object(Reporting, "_count", forgetful):
        yield


def worlds_until_seen(name: str) -> tuple[int, str]:
    """Count the worlds until one breaks the law, and tell how; 0 where none did."""
    tried = 0

    @seed(2)
    @settings(
        max_examples=_MOST_WORLDS,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(scenarios())
    def try_worlds(scenario: Scenario) -> None:
        nonlocal tried
        tried += 1
        with MUTATIONS[name]():
            check(World(scenario).run())

    try:
        try_worlds()
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
