"""Is everybody who is missing created once, and then sent what they were missing for? In the whole delivery."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Callable
from hashlib import sha256
from typing import Any

import pytest
import requests

from responsys_activation.delivery import lane
from tests.fakes.account import REJECTED, THROTTLED, Account, Record, record
from tests.fakes.clock import NOW
from tests.fakes.dynamodb import client_error
from tests.fakes.responsys import SPOILING, Fault, refusal
from tests.simulator.event_request import Identifier
from tests.simulator.recipient_results import stable_recipient_id
from tests.simulator.settings import IdentifierSet, Newcomers, Recipients, Replies

CREATE = {"action": "CREATE", "permission": "OPTOUT"}


class Joining(Account):
    """An account whose list lacks the customers ``new-…``, and a connector that creates them."""

    def __init__(self, **changes: Any) -> None:
        super().__init__(**{"identifierType": "CRM_ID", "missingRecipients": CREATE} | changes)
        self.there = self.responsys["default"]
        self.there.unknown |= {f"new-{number}" for number in range(1000)}

    def created(self) -> Counter[str]:
        """Count how often the list got each customer."""
        return Counter(str(member.record["CUSTOMER_ID_"]) for member in self.there.members.merged())

    def requests(self) -> dict[str, int]:
        """Count what was asked of Responsys."""
        return {kind: self.there.calls[kind] for kind in ("event", "merge")}

    def go_wrong(self, kind: str, *faults: Fault | None) -> None:
        """Let the next requests of a kind go wrong, one fault each."""
        planned = dict(enumerate(faults, self.there.calls[kind] + 1))
        self.there.fault = lambda of: planned.get(self.there.calls[kind]) if of == kind else None


def joins(number: int, **changes: Any) -> Record:
    """Write a message for a customer who is not in the list."""
    return record(number, **{"identifiers": {"2001": f"new-{number}"}} | changes)


def known(number: int) -> Record:
    return record(number, identifiers={"2001": f"known-{number}"})


# ---- the straight way


def test_who_is_missing_is_created_and_sent_by_the_riid_in_the_same_invocation() -> None:
    # Given a batch in which two of three customers are new
    account = Joining()

    # When it is delivered
    delivered = account.deliver([known(1), joins(2), joins(3)])

    # Then all are delivered, the new ones by the RIID that the merge told, in three requests
    assert delivered.outcomes == {"delivered": 3}
    assert account.accepted() == {"profile-1": 1, "profile-2": 1, "profile-3": 1}
    assert account.created() == {"new-2": 1, "new-3": 1}
    assert account.requests() == {"event": 2, "merge": 1}
    riids = {member.recipient_id for member in account.there.members.merged()}
    assert set(account.there.seen[-1].recipients) == riids
    assert {member.permission for member in account.there.members.merged()} == {"OPTOUT"}


def test_many_new_ones_among_many_take_the_least_requests() -> None:
    # Given 600 new customers spread over a batch of 2,000
    account = Joining()
    records = [joins(number) if number % 10 < 3 else known(number) for number in range(2000)]
    account.there.unknown |= {f"new-{number}" for number in range(2000)}

    # When it is delivered
    delivered = account.deliver(records, seconds=600)

    # Then they are gathered: 10 requests for all, 3 merges, and 3 requests for the new ones
    assert delivered.outcomes == {"delivered": 2000}
    assert account.created().total() == len(account.created()) == 600
    assert account.requests() == {"event": 13, "merge": 3}


def test_nothing_is_asked_or_written_more_where_everybody_is_in_the_list() -> None:
    # Given a connector that creates, and one that does not
    def calls(**settings: Any) -> tuple[dict[str, int], Counter[str]]:
        account = Joining(**settings)
        account.deliver([known(number) for number in range(300)])
        return dict(account.there.calls), account.surroundings.table.calls

    # Then both ask the same of Responsys and of the table
    assert calls() == calls(missingRecipients={"action": "REJECT"})


def test_a_customer_of_two_segments_is_created_once() -> None:
    account = Joining()
    other = {"type": "JOURNEY", "id": "journey-1"}

    delivered = account.deliver([joins(1), joins(1, segment=other, messageId="other"), joins(1, eventName="LEFT")])

    assert delivered.outcomes == {"delivered": 3}
    assert account.created() == {"new-1": 1}


def test_later_changes_of_a_missing_customer_follow_in_their_order() -> None:
    account = Joining()
    changes = [
        joins(1, messageId=word, callType=word, occurredAt=f"2026-01-0{day}T00:00:00Z")
        for day, word in enumerate(["ADD", "UPDATE", "REMOVE"], 1)
    ]

    delivered = account.deliver(changes)

    assert delivered.outcomes == {"delivered": 3}
    assert [event.properties["callType"] for event in account.there.accepted] == ["ADD", "UPDATE", "REMOVE"]
    assert account.created() == {"new-1": 1}


def test_a_match_without_a_riid_is_sent_by_its_own_identifier() -> None:
    # Given a customer whom somebody else added meanwhile, and an account that names no RIID then
    account = Joining()
    account.there.settings = account.there.settings.model_copy(update={"replies": Replies(match_names_riid=False)})

    def added_elsewhere(kind: str) -> None:
        if kind == "merge":
            account.there.unknown.discard("new-1")

    account.there.fault = added_elsewhere

    delivered = account.deliver([joins(1)])

    assert delivered.outcomes == {"delivered": 1}
    assert account.created() == {}
    assert account.there.seen[-1].recipients == ("new-1",)


def test_a_customer_id_that_is_anothers_riid_is_not_taken_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    # Given a newcomer whose customer id is the RIID that another newcomer gets, each in a merge of their own
    account = Joining()
    riid = stable_recipient_id(Identifier("customerId", "new-1"))
    account.there.unknown.add(str(riid))
    monkeypatch.setattr(lane, "MAXIMUM_RECORDS", 1)

    # When both come
    account.deliver([record(2, identifiers={"2001": str(riid)}), joins(1)], in_flight=1)

    # Then each event reaches whom it is for
    reached = {event.properties["profileId"]: event.recipient for event in account.there.accepted}
    assert reached == {"profile-1": riid, "profile-2": stable_recipient_id(Identifier("customerId", str(riid)))}


# ---- who is created, and who is not


def test_a_remove_creates_nobody() -> None:
    account = Joining()

    account.deliver([joins(1, callType="REMOVE")])

    assert account.codes(REJECTED) == {"sqs-1": "NO_RECIPIENT_FOUND"}
    assert account.requests() == {"event": 1, "merge": 0}


@pytest.mark.parametrize("is_known", [False, True])
def test_nobody_is_created_who_has_left_meanwhile(is_known: bool) -> None:
    # Given a REMOVE that came before the ADD it follows, and was delivered or not, for the list had nobody to leave
    account = Joining()
    if is_known:
        account.there.unknown.discard("new-1")
    account.deliver([joins(1, messageId="left", callType="REMOVE", occurredAt="2026-01-02T00:00:00Z")])
    account.there.unknown.add("new-1")

    # When the ADD comes
    delivered = account.deliver([joins(1, messageId="entered", occurredAt="2026-01-01T00:00:00Z")])

    # Then it is over
    assert delivered.outcomes == {"ignored": 1}
    assert account.created() == {}


def test_a_hash_is_created_by_the_address_beside_it() -> None:
    address = "Nora@Example.org"
    digest = sha256(address.lower().encode()).hexdigest()
    account = Joining(identifierType="HASHED_EMAIL")
    account.there.unknown |= {digest, address}

    delivered = account.deliver([record(1, identifiers={"7001": digest, "EMAIL": address})])

    assert delivered.outcomes == {"delivered": 1}
    (member,) = account.there.members.merged()
    assert member.record == {"EMAIL_ADDRESS_": address}


def test_the_address_of_a_hash_may_be_where_it_always_is_when_the_hash_is_elsewhere() -> None:
    digest = sha256(b"nora@example.org").hexdigest()
    account = Joining(identifierType="HASHED_EMAIL", identifierFrom=["variables.hash"])
    account.there.unknown |= {digest, "nora@example.org"}
    message = record(1, identifiers={"EMAIL": "nora@example.org"}, variables={"hash": digest})

    assert account.deliver([message]).outcomes == {"delivered": 1}


def test_a_hash_alone_is_rejected_with_what_is_needed() -> None:
    digest = sha256(b"nora@example.org").hexdigest()
    account = Joining(identifierType="HASHED_EMAIL")
    account.there.unknown.add(digest)

    delivered = account.deliver([record(1, identifiers={"7001": digest})])

    assert account.codes(REJECTED) == {"sqs-1": "RECIPIENT_NOT_CREATED"}
    (entry,) = account.sqs.sent[REJECTED]
    reason = entry["MessageAttributes"]["reason"]["StringValue"]
    assert reason.startswith("identifiers: connector default needs EMAIL beside HASHED_EMAIL")
    assert delivered.output.total("RecipientsNotCreated", connector="default") == 1
    assert account.requests()["merge"] == 0


def test_one_record_that_spoils_a_merge_keeps_nobody_else_out() -> None:
    # Given a value for which Responsys refuses the whole merge, and one whose record alone fails
    account = Joining()
    recipients = Recipients(
        merge_invalid=IdentifierSet(identifiers=("new-2",)), merge_failing=IdentifierSet(identifiers=("new-5",))
    )
    account.there.settings = account.there.settings.model_copy(update={"recipients": recipients})

    # When they come with others
    delivered = account.deliver([joins(number) for number in range(1, 9)])

    # Then only these two are rejected, and no letter or log line has a value
    assert delivered.outcomes == {"delivered": 6, "rejected": 2}
    assert account.codes(REJECTED) == {"sqs-2": "RECIPIENT_NOT_CREATED", "sqs-5": "RECIPIENT_NOT_CREATED"}
    assert account.created().total() == 6
    assert delivered.output.total("RecipientsCreated", connector="default") == 6
    assert delivered.output.total("RecipientsNotCreated", connector="default") == 2
    assert "new-" not in delivered.output.text()
    letters = json.dumps([entry["MessageAttributes"] for entry in account.sqs.sent[REJECTED]])
    assert "new-" not in letters
    assert "MERGEFAILED" in letters


def test_who_may_not_merge_is_told_so_and_asks_no_more_for_a_while() -> None:
    # Given a user without the right to merge
    account = Joining()
    account.there.instead["merge"] = refusal(403, "INSUFFICIENT_ACCESS")
    environment = account.environment()

    # When more newcomers come than one merge takes, in two batches
    account.there.unknown |= {f"new-{number}" for number in range(1000, 1300)}
    environment.invoke([known(1), *(joins(number) for number in range(2, 302))], 120)
    tried = account.requests()["merge"]
    environment.invoke([joins(number) for number in range(302, 402)], 120)

    # Then only merges that went together were tried, the others' events went, and the letters name the code
    assert 1 <= tried == account.requests()["merge"] <= 2
    assert account.accepted() == {"profile-1": 1}
    assert set(account.codes(REJECTED).values()) == {"RECIPIENT_NOT_CREATED"}
    assert len(account.codes(REJECTED)) == 400

    # And after five minutes it is tried again
    account.clock.sleep(301)
    del account.there.instead["merge"]
    environment.invoke([joins(403)], 120)
    assert account.accepted()["profile-403"] == 1


# ---- what goes wrong on the way


def test_a_throttled_merge_is_put_off_and_events_go_on() -> None:
    # Given merges are throttled
    account = Joining()
    environment = account.environment()
    account.go_wrong("merge", Fault.API_LIMIT)
    environment.invoke([joins(1)], 120)
    assert account.codes(THROTTLED) == {"sqs-1": "API_LIMIT_EXCEEDED"}

    # When other events come, and after its minute the newcomer again
    environment.invoke([known(2), joins(3)], 120)
    account.clock.sleep(61)
    environment.invoke([joins(1)], 120)

    # Then the events went at once, and the newcomers once the minute was past
    assert account.accepted() == {"profile-2": 1, "profile-1": 1}
    assert account.requests()["merge"] == 2


def test_isolating_others_leaves_time_to_create_who_is_missing() -> None:
    # Given replies that take 30 s, and a message that spoils its whole request, with a newcomer and others in it
    account = Joining()
    account.there.fault = lambda _kind: account.clock.sleep(30)
    spoiling = record(16, identifiers={"2001": "known-16"}, variables={SPOILING: "yes"})

    # When an invocation is too short to find the spoiling one
    account.deliver([joins(1), *(known(number) for number in range(2, 16)), spoiling], seconds=240)

    # Then the newcomer was created all the same: else it would come back to the same, until it expired
    assert account.created() == {"new-1": 1}


def test_a_merge_without_capacity_pauses_the_account() -> None:
    account = Joining()
    environment = account.environment()
    account.go_wrong("merge", Fault.CAPACITY)

    environment.invoke([joins(1)], 120)
    environment.invoke([known(2)], 120)

    assert set(account.codes(THROTTLED).values()) == {"INTERNAL_CAPACITY_LIMIT_EXCEEDED"}
    assert account.accepted() == {}


def test_nobody_is_merged_while_the_account_is_paused() -> None:
    # Given an account that another environment finds paused, between the event and the merge
    account = Joining()
    other = account.environment()

    def pause(kind: str) -> None:
        if kind == "event":
            other.open_pace("default", other._connector_settings.read("default")).pause("API_LIMIT_EXCEEDED", 60.0)

    account.there.fault = pause

    account.deliver([joins(1)])

    assert account.codes(THROTTLED) == {"sqs-1": "API_LIMIT_EXCEEDED"}
    assert account.requests() == {"event": 1, "merge": 0}


@pytest.mark.parametrize("fault", [Fault.TIMEOUT_AFTER, Fault.RESET_AFTER, Fault.EXCEPTION_AFTER, Fault.TRUNCATED])
def test_a_merge_whose_reply_is_lost_adds_nobody_twice(fault: Fault) -> None:
    # Given a merge that is made, and whose reply is lost
    account = Joining()
    account.go_wrong("merge", fault)
    first = account.deliver([joins(1)], seconds=240)
    assert set(account.codes(THROTTLED)) == {"sqs-1"}
    assert first.output.lines("outcome unknown") == []

    # When the message comes back
    account.clock.sleep(301)
    delivered = account.deliver([joins(1, receives=2)])

    # Then the event finds who was added, and nothing is in doubt
    assert delivered.outcomes == {"delivered": 1}
    assert account.created() == {"new-1": 1}
    assert account.requests() == {"event": 2, "merge": 1}


def test_a_merge_that_did_not_arrive_is_made_again_when_nobody_can_be_at_it_any_more() -> None:
    account = Joining()
    account.go_wrong("merge", Fault.TIMEOUT_BEFORE)
    account.deliver([joins(1)], seconds=240)

    account.clock.sleep(301)
    account.deliver([joins(1, receives=2)])
    assert account.requests()["merge"] == 1
    account.clock.sleep(600)
    delivered = account.deliver([joins(1, receives=2)])

    assert delivered.outcomes == {"delivered": 1}
    assert account.created() == {"new-1": 1}


def test_a_merge_that_was_refused_for_sure_is_made_again_at_once() -> None:
    account = Joining()
    account.go_wrong("merge", Fault.HTML_503)
    account.deliver([joins(1)])

    delivered = account.deliver([joins(1, receives=2)])

    assert delivered.outcomes == {"delivered": 1}


def test_whom_another_environment_creates_is_put_off_for_a_minute() -> None:
    # Given an environment that is killed while it merges
    account = Joining()

    def killed(kind: str) -> Fault | None:
        if kind == "merge":
            raise KeyboardInterrupt
        return None

    account.there.fault = killed
    with pytest.raises(KeyboardInterrupt):
        account.deliver([joins(1)])
    account.there.fault = lambda _kind: None

    # When the message comes to another one
    delivered = account.deliver([joins(1, receives=2)])

    # Then that one merges nobody, until the first cannot be at it any more
    assert delivered.outcomes == {"throttled": 1}
    assert account.codes(THROTTLED) == {"sqs-1": "NO_RECIPIENT_FOUND"}
    assert account.requests()["merge"] == 1
    account.clock.sleep(901)
    assert account.deliver([joins(1, receives=2)]).outcomes == {"delivered": 1}
    assert account.created() == {"new-1": 1}


def test_who_was_created_is_never_rejected_while_events_do_not_find_them() -> None:
    # Given a list that shows newcomers to events after half an hour, by their RIID too
    account = Joining()
    slow = Newcomers(visible_after_seconds=1800, by_riid_at_once=False)
    account.there.settings = account.there.settings.model_copy(update={"newcomers": slow})

    # When the message comes back each minute
    outcomes = Counter[str]()
    for _ in range(32):
        outcomes.update(account.deliver([joins(1, receives=2)]).outcomes)
        account.clock.sleep(60)

    # Then it is put off until it is delivered, and the customer is added once
    assert outcomes["delivered"] == 1
    assert outcomes["rejected"] == 0
    assert account.created() == {"new-1": 1}
    assert account.requests()["merge"] <= 3


def test_who_is_not_found_after_the_merge_is_not_created_again_in_the_same_invocation() -> None:
    account = Joining()
    slow = Newcomers(visible_after_seconds=1800, by_riid_at_once=False)
    account.there.settings = account.there.settings.model_copy(update={"newcomers": slow})

    delivered = account.deliver([joins(1)])

    assert delivered.outcomes == {"throttled": 1}
    assert account.requests() == {"event": 2, "merge": 1}
    assert account.surroundings.table.calls["Query"] == 2  # for who has left meanwhile, before each


def test_without_time_for_a_merge_nobody_is_created_in_this_invocation() -> None:
    # Given an event request after which a merge would have no time for its reply
    account = Joining()
    account.there.latency = lambda: 20.0 if account.there.calls["event"] else 0.1

    # When it is made
    delivered = account.deliver([joins(1)], seconds=95)

    # Then its message comes back
    assert delivered.outcomes == {"retried": 1}
    assert account.requests() == {"event": 1, "merge": 0}


def test_nobody_is_created_for_a_message_whose_answer_is_not_recorded() -> None:
    account = Joining()
    account.surroundings.table.fail("PutItem", error=client_error("InternalServerError", "PutItem"))

    delivered = account.deliver([joins(1)])

    assert delivered.outcomes == {"throttled": 1}
    assert account.requests() == {"event": 1, "merge": 0}


def test_without_the_table_nobody_is_created() -> None:
    account = Joining()
    account.surroundings.table.fail("BatchExecuteStatement", times=2)
    first = account.deliver([joins(1)])

    assert set(first.outcomes) <= {"retried", "throttled"}
    assert account.requests()["merge"] == 0


def test_a_merge_is_one_log_line_that_names_nobody() -> None:
    account = Joining()

    delivered = account.deliver([joins(1), joins(2)])

    (line,) = delivered.output.lines("list merge answered")
    assert line["recipients"] == 2
    assert line["results"] == {"merged": 2}
    assert line["connector"] == "default"
    assert "new-" not in delivered.output.text()
    assert delivered.output.total("ListMerges", connector="default") == 1
    assert delivered.output.total("RecipientsCreated", connector="default") == 2
    assert delivered.output.total("RecipientsNotCreated", connector="default") == 0


def test_a_first_receive_sent_at_the_age_limit_still_ends() -> None:
    account = Joining()
    account.there.settings = account.there.settings.model_copy(
        update={"newcomers": Newcomers(visible_after_seconds=10**6, by_riid_at_once=False)}
    )

    account.deliver([joins(1, sent_at=NOW - 86_401)])

    assert account.codes(REJECTED) == {"sqs-1": "EXPIRED"}


# ---- kills


class _KilledError(BaseException):
    """The function was killed."""


def _kill_at(account: Joining, step: int | None) -> Callable[[], int]:
    """Let the function be killed at a step, before or after a call to the table, a login or request; count them."""
    steps = itertools.count()
    taken = 0

    def take(_operation: str = "") -> None:
        nonlocal taken
        taken = next(steps) + 1
        if taken - 1 == step:
            raise _KilledError

    send = type(account.there).send

    def send_in_steps(*arguments: Any, **options: Any) -> requests.Response:
        take()
        response = send(account.there, *arguments, **options)
        take()
        return response

    account.there.send = send_in_steps  # type: ignore[method-assign]
    account.surroundings.table.before = account.surroundings.table.after = take
    return lambda: taken


def _steps_of_a_creation() -> int:
    account = Joining()
    count = _kill_at(account, None)
    account.deliver([joins(1), known(2)])
    return count()


@pytest.mark.parametrize("step", range(_steps_of_a_creation()))
def test_a_kill_at_any_step_loses_nobody_and_creates_nobody_twice(step: int) -> None:
    # Given a function that is killed there, between a newcomer's event and its second event
    account = Joining()
    _kill_at(account, step)
    with pytest.raises(_KilledError):
        account.deliver([joins(1, messageId="m-1"), known(2)])
    _kill_at(account, None)

    # When the messages come back until they have ended
    outcomes, doubts = Counter[str](), 0.0
    while not outcomes["delivered"] + outcomes["duplicate"]:
        account.clock.sleep(400)
        delivered = account.deliver([joins(1, messageId="m-1", receives=2)])
        outcomes.update(delivered.outcomes)
        doubts += sum(each["messages"] for each in delivered.output.lines("outcome unknown"))

    # Then the newcomer is in the list once, and was sent the event, more than once only if that was told
    assert outcomes["rejected"] == 0
    assert account.created() == {"new-1": 1}
    assert 1 <= account.accepted()["profile-1"] <= 1 + doubts
