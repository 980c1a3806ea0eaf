"""Does every message of a planned request get its outcome, once, whatever its request meets on the way?"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError

from responsys_activation.delivery.outcome import (
    Delivered,
    Duplicate,
    Ignored,
    Outcome,
    Rejected,
    Retried,
    Throttled,
    reason_of,
)
from responsys_activation.delivery.planning import Outgoing
from responsys_activation.error_code import ErrorCode
from responsys_activation.received import Mark
from responsys_activation.responsys.errors import RefusalScope, RequestRefusedError
from tests.fakes.clock import NOW
from tests.fakes.connected import Connected, is_told, outgoing, planned, request_of
from tests.fakes.dynamodb import client_error
from tests.fakes.parameters import InMemoryParameters
from tests.fakes.responsys import UNKNOWN_RECIPIENT, Fault, refusal

# ---- the straight way -----------------------------------------------------------------------------------------


def test_a_full_request_is_delivered_with_one_request() -> None:
    connected = Connected()

    result = connected.send(planned(200))

    assert result.outcomes == [Delivered()] * 200
    assert result.failure is None
    assert [exchange.recipients for exchange in result.exchanges] == [200]
    assert connected.deliveries() == {f"m{number}": 1 for number in range(200)}


def test_what_was_delivered_is_not_sent_again() -> None:
    connected = Connected()
    connected.send(planned(3))

    result = connected.send(planned(3))

    assert result.outcomes == [Duplicate()] * 3
    assert result.exchanges == []
    assert connected.responsys.calls["event"] == 1


def test_only_what_was_not_delivered_before_is_sent() -> None:
    connected = Connected()
    connected.send(request_of(outgoing(1)))

    result = connected.send(planned(3))

    assert result.outcomes == [Delivered(), Duplicate(), Delivered()]
    assert connected.deliveries() == {"m0": 1, "m1": 1, "m2": 1}


def test_each_recipient_has_its_own_result_and_a_refused_one_may_be_sent_again() -> None:
    # Given a recipient that is not in the list
    connected = Connected()
    request = request_of(outgoing(0), outgoing(1, recipient=UNKNOWN_RECIPIENT), outgoing(2))

    # When the request is sent, and once more
    first = connected.send(request)
    again = connected.send(request_of(*request.items))

    # Then its neighbours are delivered, and only it is tried again
    assert first.outcomes == [Delivered(), Rejected("NO_RECIPIENT_FOUND"), Delivered()]
    assert again.outcomes == [Duplicate(), Rejected("NO_RECIPIENT_FOUND"), Duplicate()]
    assert connected.responsys.seen[-1].recipients == (UNKNOWN_RECIPIENT,)


def test_a_connector_that_waits_for_its_list_tries_again_in_a_quarter_of_an_hour() -> None:
    # Given a recipient that is not in the list of a connector that waits for it
    connected = Connected(missingRecipients={"action": "WAIT"})
    request = request_of(outgoing(0), outgoing(1, recipient=UNKNOWN_RECIPIENT))

    # When the request is sent
    result = connected.send(request)

    # Then only that message waits, and says what for
    assert result.outcomes[0] == Delivered()
    assert is_told(result.outcomes[1], Throttled, "NO_RECIPIENT_FOUND")
    assert result.outcomes[1].delay == 900.0  # type: ignore[union-attr]
    assert "missingRecipients" in reason_of(result.outcomes[1])  # type: ignore[arg-type]

    # And when the list has it, it is delivered
    connected.responsys.unknown.clear()
    assert connected.send(request_of(request.items[1])).outcomes == [Delivered()]


def test_a_whole_request_that_is_refused_for_a_missing_recipient_waits_too() -> None:
    connected = Connected(missingRecipients={"action": "WAIT"})
    connected.responsys.instead["event"] = refusal(404, "NO_RECIPIENT_FOUND")

    result = connected.send(request_of(outgoing(0)))

    assert is_told(result.outcomes[0], Throttled, "NO_RECIPIENT_FOUND")


def test_a_message_that_another_environment_is_sending_waits_for_its_next_receive() -> None:
    connected = Connected()
    connected.environment().ledger.claim([outgoing(0).change], "another", connected.clock() + 100, [2])

    result = connected.send(planned(2))

    assert result.outcomes == [Retried(ErrorCode.IN_FLIGHT), Delivered()]


def test_a_request_that_waited_while_another_answer_stopped_it_is_neither_claimed_nor_sent() -> None:
    # Given a request that another result has stopped by the time of its slot
    connected = Connected()

    # When it is sent
    outcome = Retried("SERVICE_UNAVAILABLE")
    result = connected.sender().send(planned(3), connected.clock() + 110, lambda: outcome)

    # Then it ends so, and leaves nothing behind
    assert result.outcomes == [outcome] * 3
    assert (result.exchanges, connected.responsys.calls["event"]) == ([], 0)
    assert connected.table.calls["BatchExecuteStatement"] == 0
    assert connected.send(planned(3)).outcomes == [Delivered()] * 3


def test_a_refused_login_defers_everything_and_sends_nothing() -> None:
    connected = Connected()
    connected.responsys.fault = lambda kind: Fault.LOGIN_REFUSED if kind == "login" else None

    result = connected.send(planned(2))

    refused = Throttled(ErrorCode.INVALID_CREDENTIALS, 600.0, decided_at=connected.clock())
    assert result.outcomes == [refused] * 2
    assert connected.responsys.calls == {"login": 1}

    # And the messages are free when it is repaired, and the login may be tried again
    connected.responsys.fault = lambda kind: None
    connected.clock.sleep(3600)
    assert connected.send(planned(2)).outcomes == [Delivered()] * 2


def test_a_token_store_out_of_reach_leaves_the_messages_on_the_queue() -> None:
    connected = Connected()

    def fail(_service: str, _effect: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        raise EndpointConnectionError(endpoint_url="ssm")

    connected.surroundings.ssm = InMemoryParameters({}, fail)

    result = connected.send(planned(2))

    assert result.outcomes == [Retried(ErrorCode.AWS_UNAVAILABLE)] * 2
    assert connected.responsys.calls == {}


# ---- outcomes that nobody knows --------------------------------------------------------------------------------

IN_DOUBT = [
    (Fault.RESET_AFTER, True),
    (Fault.RESET_BEFORE, False),
    (Fault.TIMEOUT_AFTER, True),
    (Fault.TIMEOUT_BEFORE, False),
    (Fault.TRUNCATED, True),
    (Fault.WRONG_LENGTH, True),
    (Fault.EXCEPTION_AFTER, True),
    (Fault.EXCEPTION_BEFORE, False),
]


@pytest.mark.parametrize(("fault", "accepted"), IN_DOUBT, ids=str)
def test_resend_sends_again_what_may_have_been_taken(fault: Fault, accepted: bool) -> None:
    connected = Connected(resend=True)
    connected.fail_event(fault)

    first = connected.send(planned(2))
    second = connected.send(planned(2))

    assert all(isinstance(outcome, Retried) for outcome in first.outcomes)
    assert (first.outcome_unknown, second.outcome_unknown) == ({0, 1}, set())
    assert connected.told.unknown == 2
    assert second.outcomes == [Delivered()] * 2
    assert connected.deliveries() == {"m0": 1 + accepted, "m1": 1 + accepted}


@pytest.mark.parametrize(("fault", "accepted"), IN_DOUBT, ids=str)
def test_reject_never_sends_again_what_may_have_been_taken(fault: Fault, accepted: bool) -> None:
    connected = Connected(resend=False)
    connected.fail_event(fault)

    first = connected.send(planned(2))
    second = connected.send(planned(2))

    for result in (first, second):
        assert all(is_told(outcome, Rejected, ErrorCode.OUTCOME_UNKNOWN) for outcome in result.outcomes)
    assert first.outcome_unknown == {0, 1}
    assert connected.told.unknown == 2
    assert second.exchanges == []
    assert connected.deliveries() == ({"m0": 1, "m1": 1} if accepted else {})


@pytest.mark.parametrize("fault", [Fault.CONNECTION_REFUSED, Fault.CONNECT_TIMEOUT, Fault.HTML_503])
@pytest.mark.parametrize("resend", [True, False])
def test_what_was_certainly_not_taken_is_sent_again_in_any_case(fault: Fault, resend: bool) -> None:
    connected = Connected(resend=resend)
    connected.fail_event(fault)

    first = connected.send(planned(2))
    second = connected.send(planned(2))

    assert all(isinstance(outcome, Retried) for outcome in first.outcomes)
    assert (first.outcome_unknown, connected.told.unknown) == (set(), 0)
    assert second.outcomes == [Delivered()] * 2
    assert connected.deliveries() == {"m0": 1, "m1": 1}


@pytest.mark.parametrize("resend", [True, False])
def test_only_the_part_whose_reply_was_lost_is_in_doubt(resend: bool) -> None:
    # Given a request that is mended in parts, the second of which gets no reply
    connected = Connected(resend=resend)
    connected.fail_event(None, None, Fault.TIMEOUT_AFTER)

    # When it is sent: all 8, then 0 to 3, then 4 to 7
    result = connected.send(planned(8, [6]))

    # Then that part is in doubt
    assert result.outcomes[:4] == [Delivered()] * 4
    assert result.outcome_unknown == {4, 5, 6, 7}

    # And parts that were never sent are not
    connected = Connected(resend=resend)
    connected.fail_event(None, Fault.TIMEOUT_AFTER)
    result = connected.send(planned(8, [6]))
    assert result.outcome_unknown == {0, 1, 2, 3}
    assert all(isinstance(outcome, Retried) for outcome in result.outcomes[4:])
    connected.clock.sleep(60)
    assert connected.send(request_of(outgoing(4), outgoing(5))).outcomes == [Delivered()] * 2


@pytest.mark.parametrize("resend", [True, False])
def test_a_killed_sender_leaves_its_messages_in_doubt(resend: bool) -> None:
    # Given an environment that is killed before its result is recorded
    connected = Connected(resend=resend)

    def kill(operation: str) -> None:
        if operation == "PutItem":
            raise KeyboardInterrupt

    connected.table.before = kill
    with pytest.raises(KeyboardInterrupt):
        connected.send(planned(2))
    connected.table.before = lambda operation: None

    # When SQS hands its messages to another, too early and then late enough
    early = connected.send(planned(2))
    connected.clock.sleep(110 + 300)
    late = connected.send(planned(2))

    # Then it waits as long as the first may live, and goes on as the owner wants it
    assert early.outcomes == [Retried(ErrorCode.IN_FLIGHT)] * 2
    assert connected.told.unknown == 2
    if resend:
        assert late.outcomes == [Delivered()] * 2
    else:
        assert all(is_told(outcome, Rejected, ErrorCode.OUTCOME_UNKNOWN) for outcome in late.outcomes)
    assert connected.deliveries() == {"m0": 1 + resend, "m1": 1 + resend}


@pytest.mark.parametrize("resends", [0, 1, 2, 3])
@pytest.mark.parametrize("fault", [Fault.EXCEPTION_AFTER, Fault.TIMEOUT_AFTER, Fault.TRUNCATED])
def test_what_is_in_doubt_again_and_again_is_sent_as_often_as_the_owner_allows(fault: Fault, resends: int) -> None:
    # Given a Responsys that takes every request and never gives a usable answer
    connected = Connected(maximum_resends=resends)
    connected.responsys.fault = lambda kind: fault if kind == "event" else None

    # When a message comes back as long as it is retried
    ends: list[Outcome] = []
    while not ends or isinstance(ends[-1], Retried | Throttled):
        ends += connected.send(planned(1, attempts=1 + len(ends))).outcomes
        connected.clock.sleep(700)  # longer than the pause of a connector that is in doubt

    # Then it is sent once more than the resends, each doubt is counted, and it waits for a person
    assert connected.deliveries() == {"m0": 1 + resends}
    assert connected.told.unknown == 1 + resends
    assert is_told(ends[-1], Rejected, ErrorCode.OUTCOME_UNKNOWN)
    assert isinstance(ends[-1], Rejected)
    assert ends[-1].doubts == 1 + resends

    # And without that person it is never sent again
    again = connected.send(planned(1))
    assert all(is_told(outcome, Rejected, ErrorCode.OUTCOME_UNKNOWN) for outcome in again.outcomes)
    assert connected.deliveries() == {"m0": 1 + resends}


def test_a_person_lets_a_message_go_once_more_in_spite_of_its_doubts() -> None:
    # Given a message that was rejected as in doubt
    connected = Connected(resend=False)
    connected.fail_event(Fault.TIMEOUT_AFTER)
    (rejected,) = connected.send(planned(1)).outcomes
    assert isinstance(rejected, Rejected)

    # When a person sends it back with leave, and that ends in doubt too, and SQS hands it over again
    allowed = Mark(doubts=rejected.doubts, in_doubt_allowed=True)
    connected.fail_event(Fault.TIMEOUT_AFTER)
    first = connected.send(planned(1, mark=allowed))
    again = connected.send(planned(1, mark=allowed, attempts=2))

    # Then it was sent once more, which was told, and not again
    assert connected.deliveries() == {"m0": 2}
    assert connected.told.told == {"OutcomesUnknown": 2, "SentInDoubt": 1}
    for result in (first, again):
        assert all(is_told(outcome, Rejected, ErrorCode.OUTCOME_UNKNOWN) for outcome in result.outcomes)


def test_a_doubt_is_told_before_anything_else_can_be_killed() -> None:
    # Given an environment that is killed before it can record that a reply was lost
    connected = Connected()
    connected.fail_event(Fault.TIMEOUT_AFTER)

    def kill(operation: str) -> None:
        if operation == "PutItem":
            raise KeyboardInterrupt

    connected.table.before = kill
    with pytest.raises(KeyboardInterrupt):
        connected.send(planned(2))

    # Then the doubt has been told
    assert connected.told.unknown == 2


# ---- events that do not exist ----------------------------------------------------------------------------------


def test_an_event_that_responsys_lacks_costs_one_request_a_minute() -> None:
    # Given an event that does not exist
    connected = Connected()
    connected.responsys.known_events = {"ANOTHER"}
    sender = connected.sender()
    for number in range(5):
        # When its messages come again and again / Then one request tells
        result = connected.send(request_of(outgoing(number)), sender=sender)
        assert all(is_told(outcome, Rejected, "CUSTOM_EVENT_NOT_FOUND") for outcome in result.outcomes)
    assert connected.responsys.calls["event"] == 1
    assert not sender.knows_event("SEGMENT_CHANGED"), "though the settings name it"

    # When somebody makes it / Then it is found a minute later
    connected.responsys.known_events = None
    connected.clock.sleep(60)
    assert connected.send(request_of(outgoing(9)), sender=sender).outcomes == [Delivered()]
    assert sender.knows_event("SEGMENT_CHANGED")


# ---- a table that answers, but does not do it -----------------------------------------------------------------


@pytest.mark.parametrize("code", ["AccessDeniedException", "ResourceNotFoundException", "ValidationException"])
def test_a_table_that_denies_keeps_everything_on_the_queue(code: str) -> None:
    connected = Connected()
    connected.table.fail("BatchExecuteStatement", 1, error=client_error(code, "BatchExecuteStatement"))

    result = connected.send(planned(3))

    assert result.outcomes == [Retried(ErrorCode.AWS_UNAVAILABLE)] * 3
    assert (connected.told.told["SentWithoutLedger"], connected.responsys.calls["event"]) == (0, 0)


def test_a_table_that_throttles_for_long_keeps_everything_on_the_queue() -> None:
    connected = Connected()
    error = client_error("ProvisionedThroughputExceededException", "BatchExecuteStatement")
    connected.table.fail("BatchExecuteStatement", 1, error=error)

    result = connected.send(planned(3))

    assert result.outcomes == [Retried(ErrorCode.AWS_UNAVAILABLE)] * 3
    assert (connected.told.told["SentWithoutLedger"], connected.responsys.calls["event"]) == (0, 0)
    assert connected.send(planned(3)).outcomes == [Delivered()] * 3


# ---- a newer change of the same membership ---------------------------------------------------------------------


def change(number: int, call_type: str, at: float, *, attempts: int = 1, recipient: int = 1000) -> Outgoing:
    return outgoing(number, attempts=attempts, recipient=recipient, happened_at=at, profileId="p", callType=call_type)


@pytest.mark.parametrize("back", ["attempts", "mark"])
def test_a_change_that_comes_back_after_a_newer_one_was_delivered_is_ignored(back: str) -> None:
    # Given a profile that left
    connected = Connected()
    connected.send(request_of(change(1, "REMOVE", NOW + 10)))

    # When its entering comes back
    late = change(0, "ADD", NOW, attempts=2)
    if back == "mark":
        late = late._replace(message=late.message._replace(attempts=1, mark=Mark(first_sent_at=NOW)))
    result = connected.send(request_of(late))

    # Then it is not sent
    assert result.outcomes == [Ignored(ErrorCode.SUPERSEDED)]
    assert [event.properties["callType"] for event in connected.responsys.accepted] == ["REMOVE"]


def test_a_repetition_of_a_change_that_was_overtaken_is_not_sent_either() -> None:
    # Given an entering that came back after the leaving, and was ignored
    connected = Connected()
    connected.send(request_of(change(1, "REMOVE", NOW + 10)))
    connected.send(request_of(change(0, "ADD", NOW, attempts=2)))
    # When its producer sends it again, as a message that nobody received before
    result = connected.send(request_of(change(0, "ADD", NOW)))
    # Then it is known
    assert result.outcomes == [Ignored(ErrorCode.SUPERSEDED)]
    assert [event.properties["callType"] for event in connected.responsys.accepted] == ["REMOVE"]


def during_its_claims(connected: Connected, leave: Callable[[], None]) -> None:
    connected.table.before = lambda operation: leave() if operation == "BatchExecuteStatement" else None


def during_a_slow_look(connected: Connected, leave: Callable[[], None]) -> None:
    def look(operation: str) -> None:
        if operation == "Query":
            connected.table.after = lambda _: None
            connected.clock.sleep(20)  # its slot is over
            leave()

    connected.table.after = look


def while_its_token_is_refused(connected: Connected, leave: Callable[[], None]) -> None:
    def fault(kind: str) -> Fault | None:
        if kind != "event" or connected.responsys.calls["event"] > 1:
            return None
        leave()
        return Fault.TOKEN_EXPIRED

    connected.responsys.fault = fault


def while_its_request_is_refused(connected: Connected, leave: Callable[[], None]) -> None:
    connected.responsys.fault = lambda kind: leave() if kind == "event" else None


@pytest.mark.parametrize(
    "meanwhile",
    [during_its_claims, during_a_slow_look, while_its_token_is_refused, while_its_request_is_refused],
)
def test_a_change_that_came_back_is_overtaken_while_its_own_request_is_under_way(
    meanwhile: Callable[[Connected, Callable[[], None]], None],
) -> None:
    # Given a profile whose entering has come back, and shares its request
    connected = Connected()
    connected.send(request_of(outgoing(9)))  # the limit is read, and a token is there
    connected.responsys.calls.clear()
    spoiling = meanwhile is while_its_request_is_refused
    entering = [change(0, "ADD", NOW, attempts=2), outgoing(5), outgoing(6, spoiling=spoiling)]
    # When its leaving is sent by another environment, after the entering got its slot
    another = connected.sender()
    left: list[Outcome] = []

    def leave() -> None:
        if not left:
            left.append(Retried("not yet"))
            left[:] = connected.send(request_of(change(1, "REMOVE", NOW + 10)), sender=another).outcomes

    meanwhile(connected, leave)
    result = connected.send(request_of(*entering))
    # Then the entering is not sent after it, and its neighbours are not held up
    assert left == [Delivered()]
    assert result.outcomes[:2] == [Ignored(ErrorCode.SUPERSEDED), Delivered()]
    assert "ADD" not in [
        event.properties["callType"] for event in connected.responsys.accepted if event.properties["mark"] == "m0"
    ]
    # And it stands as not sent
    assert connected.send(request_of(change(0, "ADD", NOW, attempts=3))).outcomes == [Ignored(ErrorCode.SUPERSEDED)]


@pytest.mark.parametrize(
    ("older", "newer", "outcome"),
    [
        ("ADD", "UPDATE", Delivered()),
        ("ADD", "ADD", Ignored(ErrorCode.SUPERSEDED)),
        ("ADD", "REMOVE", Ignored(ErrorCode.SUPERSEDED)),
        ("UPDATE", "UPDATE", Ignored(ErrorCode.SUPERSEDED)),
        ("UPDATE", "ADD", Ignored(ErrorCode.SUPERSEDED)),
        ("UPDATE", "REMOVE", Ignored(ErrorCode.SUPERSEDED)),
        ("REMOVE", "ADD", Ignored(ErrorCode.SUPERSEDED)),
        ("REMOVE", "UPDATE", Ignored(ErrorCode.SUPERSEDED)),
    ],
)
def test_only_who_was_added_and_then_updated_must_still_be_added(older: str, newer: str, outcome: Outcome) -> None:
    connected = Connected()
    connected.send(request_of(change(1, newer, NOW + 10)))

    assert connected.send(request_of(change(0, older, NOW, attempts=2))).outcomes == [outcome]


@pytest.mark.parametrize(
    ("happened", "arrived", "outcome"),
    [
        (NOW - 1, NOW + 5, Delivered()),
        (NOW, NOW - 1, Delivered()),
        (NOW, NOW + 1, Ignored(ErrorCode.SUPERSEDED)),
        (NOW + 1, NOW - 5, Ignored(ErrorCode.SUPERSEDED)),
    ],
)
def test_newer_is_what_happened_later_then_what_sqs_had_later(
    happened: float, arrived: float, outcome: Outcome
) -> None:
    connected = Connected()
    other = change(1, "REMOVE", happened)
    connected.send(request_of(other._replace(change=other.change._replace(arrived_at=arrived))))

    assert connected.send(request_of(change(0, "ADD", NOW, attempts=2))).outcomes == [outcome]


def test_a_newer_change_that_was_not_taken_stands_in_nobodys_way() -> None:
    connected = Connected()
    connected.send(request_of(change(1, "REMOVE", NOW + 10, recipient=UNKNOWN_RECIPIENT)))

    assert connected.send(request_of(change(0, "ADD", NOW, attempts=2))).outcomes == [Delivered()]


def test_what_is_ignored_takes_nobody_elses_place_in_the_ledger() -> None:
    # Given a change that is ignored, at the head of a request that Responsys takes
    connected = Connected()
    connected.send(request_of(change(1, "REMOVE", NOW + 10)))
    others = [outgoing(5), outgoing(6, recipient=UNKNOWN_RECIPIENT)]
    result = connected.send(request_of(change(0, "ADD", NOW, attempts=2), *others))
    assert result.outcomes == [Ignored(ErrorCode.SUPERSEDED), Delivered(), Rejected("NO_RECIPIENT_FOUND")]

    # When the others come again / Then each is known by its own result
    others[1] = outgoing(6)
    assert connected.send(request_of(*others)).outcomes == [Duplicate(), Delivered()]


def test_a_newer_change_in_doubt_may_have_been_taken() -> None:
    connected = Connected()
    connected.fail_event(Fault.TIMEOUT_AFTER)
    connected.send(request_of(change(1, "REMOVE", NOW + 10)))

    assert connected.send(request_of(change(0, "ADD", NOW, attempts=2))).outcomes == [Ignored(ErrorCode.SUPERSEDED)]


def test_a_newer_change_stays_in_doubt_when_its_next_request_takes_nothing() -> None:
    # Given a newer change that may have been taken, and whose next request certainly was not
    connected = Connected()
    connected.fail_event(Fault.TIMEOUT_AFTER, Fault.CONNECTION_REFUSED)
    for attempts in (1, 2):
        connected.send(request_of(change(1, "REMOVE", NOW + 10, attempts=attempts)))

    # When the older one comes back / Then it is not sent after it
    assert connected.send(request_of(change(0, "ADD", NOW, attempts=2))).outcomes == [Ignored(ErrorCode.SUPERSEDED)]


def test_a_change_in_doubt_stays_as_new_as_it_was_when_it_comes_again_with_an_older_time() -> None:
    # Given a change that may have been taken, and that its producer sends again with another time
    connected = Connected()
    connected.fail_event(Fault.TIMEOUT_AFTER, Fault.CONNECTION_REFUSED)
    for happened_at in (NOW + 10, NOW):
        connected.send(request_of(change(1, "REMOVE", happened_at)))

    # When one from in between comes back / Then it is not sent after it
    between = change(0, "ADD", NOW + 5, attempts=2)
    assert connected.send(request_of(between)).outcomes == [Ignored(ErrorCode.SUPERSEDED)]


def test_a_newer_change_that_is_being_sent_is_waited_for_a_minute() -> None:
    connected = Connected()
    newer = change(1, "REMOVE", NOW + 10)
    connected.environment().ledger.claim([newer.change], "another", connected.clock() + 100, [2])

    assert connected.send(request_of(change(0, "ADD", NOW, attempts=2))).outcomes == [
        Throttled(ErrorCode.IN_FLIGHT, 60.0)
    ]


def test_another_membership_is_no_newer_change() -> None:
    connected = Connected()
    others: tuple[dict[str, Any], ...] = (
        {"profileId": "q"},
        {"segment": {"type": "JOURNEY", "id": "aud-42"}},
        {"segment": {"type": "AUDIENCE", "id": "x"}},
    )
    for number, other in enumerate(others):
        fields = {"profileId": "p", "callType": "REMOVE"} | other
        connected.send(request_of(outgoing(number, happened_at=NOW + 10, **fields)))

    assert connected.send(request_of(change(9, "ADD", NOW, attempts=2))).outcomes == [Delivered()]


def test_a_first_receive_asks_nothing() -> None:
    connected = Connected()
    connected.send(planned(200))

    assert connected.table.calls["Query"] == 0
    assert connected.table.calls["BatchGetItem"] == 0


def test_where_newer_changes_cannot_be_read_what_came_back_waits_and_the_others_go() -> None:
    connected = Connected()
    connected.table.fail("Query", 1)

    result = connected.send(request_of(outgoing(0), outgoing(1, attempts=2)))

    assert result.outcomes == [Delivered(), Retried(ErrorCode.AWS_UNAVAILABLE)]


# ---- refusals of the whole request -----------------------------------------------------------------------------


def test_an_event_that_does_not_exist_rejects_its_request_with_the_reason() -> None:
    connected = Connected()
    connected.responsys.known_events = {"ANOTHER"}

    result = connected.send(planned(2))

    assert all(is_told(outcome, Rejected, "CUSTOM_EVENT_NOT_FOUND") for outcome in result.outcomes)
    assert isinstance(result.failure, RequestRefusedError)
    assert result.failure.scope is RefusalScope.EVENT
    assert len(result.exchanges) == 1


# ---- without the ledger ----------------------------------------------------------------------------------------


def test_without_the_ledger_only_what_cannot_have_been_sent_goes() -> None:
    # Given a ledger out of reach
    connected = Connected(resend=True)
    connected.send(request_of(outgoing(9)))
    connected.table.fail("BatchExecuteStatement", times=1)

    # When a request has messages that come for the first time, and one that may have been sent
    result = connected.send(request_of(outgoing(0), outgoing(1, attempts=2), outgoing(2)))

    # Then the first ones go, told apart in a metric, and the connector is not stopped for it
    assert result.outcomes == [Delivered(), Retried(ErrorCode.AWS_UNAVAILABLE), Delivered()]
    assert connected.told.told["SentWithoutLedger"] == 2
    assert result.failure is None


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_what_was_held_back_without_the_ledger_is_sent_later(after: bool) -> None:
    # Given a claim that fails, perhaps after it was written
    connected = Connected(resend=True)
    connected.table.fail("BatchExecuteStatement", times=1, after=after)

    # When one message is held back, and comes again
    connected.send(request_of(outgoing(0), outgoing(1, attempts=2)))
    again = connected.send(request_of(outgoing(1, attempts=3)))

    # Then it does not read as delivered because its neighbour was
    assert again.outcomes == [Delivered()]
    assert connected.deliveries() == {"m0": 1, "m1": 1}


def test_what_the_ledger_took_before_it_failed_is_told_apart() -> None:
    # Given a ledger that takes a hundred messages, 25 a call, and then fails
    connected = Connected(resend=True)

    def fail_second(operation: str) -> None:
        if operation == "BatchExecuteStatement" and connected.table.calls[operation] == 5:
            raise EndpointConnectionError(endpoint_url="dynamodb")

    connected.table.before = fail_second

    # When 150 messages come, the last fifty of them not for the first time
    items = [outgoing(number, attempts=1 if number < 100 else 2) for number in range(150)]
    result = connected.send(request_of(*items))

    # Then the hundred go with a record, and the fifty stay
    assert result.outcomes == [Delivered()] * 100 + [Retried(ErrorCode.AWS_UNAVAILABLE)] * 50
    assert connected.told.told["SentWithoutLedger"] == 0
    connected.table.before = lambda operation: None
    assert connected.send(request_of(*items)).outcomes == [Duplicate()] * 100 + [Delivered()] * 50


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_reject_sends_nothing_without_the_ledger_and_everything_later(after: bool) -> None:
    connected = Connected(resend=False)
    connected.table.fail("BatchExecuteStatement", times=1, after=after)

    first = connected.send(planned(2))
    second = connected.send(planned(2))

    assert first.outcomes == [Retried(ErrorCode.AWS_UNAVAILABLE)] * 2
    assert first.failure is not None
    assert second.outcomes == [Delivered()] * 2
    assert connected.deliveries() == {"m0": 1, "m1": 1}


def test_an_answer_that_cannot_be_recorded_does_not_undo_the_delivery() -> None:
    connected = Connected()
    connected.table.fail("PutItem", times=1)

    result = connected.send(planned(2))

    assert result.outcomes == [Delivered()] * 2
