"""Are newcomers added and then found, over real connections? The client, and the simulated Responsys."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from responsys_activation.responsys.client import ResponsysClient
from responsys_activation.responsys.errors import (
    OutcomeUnknownError,
    RefusalScope,
    RequestRefusedError,
    ThrottledError,
)
from responsys_activation.responsys.http import HttpSession
from responsys_activation.responsys.list_merge import ListMerge, MatchColumn, MergeResult, PermissionStatus
from responsys_activation.responsys.login import Token
from tests.fakes.clock import NOW
from tests.fakes.login_environment import Environment
from tests.fakes.login_state import SharedToken
from tests.fakes.responsys_transport import ResponsysTransport
from tests.simulator.client import SimulatorClient, simulator_process
from tests.simulator.faults import ConnectionReset, TruncatedReply, WrongLengthReply
from tests.simulator.settings import (
    AccountSettings,
    IdentifierSet,
    Limits,
    Newcomers,
    Recipients,
    Replies,
    SimulatorSettings,
)

NEW = IdentifierSet(prefixes=("new-",))


class Account:
    """An account whose list lacks the new, and a client that has logged in."""

    def __init__(self, simulator: SimulatorClient, http: HttpSession) -> None:
        self.simulator = simulator
        self._http = http
        self.client: ResponsysClient

    def start(self, **settings: Any) -> None:
        settings = {"recipients": Recipients(unknown=NEW)} | settings
        self.simulator.reset(SimulatorSettings(accounts=(AccountSettings(**settings),)))
        form = {"user_name": "api_user", "password": "correct-horse", "auth_type": "password"}
        reply = requests.post(f"{self.simulator.url}/rest/api/v1.3/auth/token", data=form, timeout=5)
        url = self.simulator.url
        token = SharedToken(Token(reply.json()["authToken"], url, NOW))
        environment = Environment(ResponsysTransport(), store=token, host=url, trusted=("127.0.0.1",))
        self.client = ResponsysClient(self._http, environment.tokens, observer=environment.seen)

    def merge(
        self, *values: str, column: MatchColumn = MatchColumn.CUSTOMER_ID, permission: PermissionStatus = "OPTIN"
    ) -> list[MergeResult]:
        merge = ListMerge("CONTACTS_LIST", column, values, permission)
        deadline = time.time() + 10
        return self.client.merge_list_members(merge, deadline=deadline, attempt=lambda post: post("request-1")).results

    def trigger(self, *identifiers: str) -> list[str | None]:
        """Trigger one event, for recipients as a request writes them."""
        recipients = [
            f'{{"recipient":{{{each},"listName":{{"objectName":"CONTACTS_LIST"}}}},"optionalData":[]}}'
            for each in identifiers
        ]
        reply = self.client.trigger(
            "SEGMENT_CHANGED", recipients, deadline=time.time() + 10, attempt=lambda post: post("request-2")
        )
        return reply.error_codes


@pytest.fixture(scope="module")
def simulator() -> Iterator[SimulatorClient]:
    with simulator_process() as running:
        yield running


@pytest.fixture
def account(simulator: SimulatorClient) -> Iterator[Account]:
    with HttpSession(5) as http:
        account = Account(simulator, http)
        account.start()
        yield account


def test_who_is_missed_by_an_event_is_merged_and_then_found_by_riid(account: Account) -> None:
    # Given an event that misses two of three recipients
    recipients = ['"customerId":"new-1"', '"customerId":"known"', '"customerId":"new-2"']
    assert account.trigger(*recipients) == ["NO_RECIPIENT_FOUND", None, "NO_RECIPIENT_FOUND"]
    # When these are merged
    merged = account.merge("new-1", "new-2")
    # Then each has a RIID, by which the event finds them
    assert [result.error_code for result in merged] == [None, None]
    assert account.trigger(*(f'"recipientId":{result.riid}' for result in merged)) == [None, None]
    # And nobody else was written
    written = [(member.record, member.action, member.permission) for member in account.simulator.members()]
    assert written == [
        ({"CUSTOMER_ID_": "new-1"}, "inserted", "OPTIN"),
        ({"CUSTOMER_ID_": "new-2"}, "inserted", "OPTIN"),
    ]


@pytest.mark.parametrize("fault", [ConnectionReset(path="merge", accept_first=True), TruncatedReply(path="merge")])
def test_a_merge_whose_reply_was_lost_can_be_made_again(account: Account, fault: Any) -> None:
    # Given a merge that Responsys carries out, and whose reply does not come
    account.simulator.add_fault(fault)
    with pytest.raises(OutcomeUnknownError):
        account.merge("new-1", "new-2")
    # When it is made again / Then it gives the RIIDs, and nobody was created twice
    assert [member.recipient_id for member in account.simulator.members()] == [
        result.riid for result in account.merge("new-1", "new-2")
    ]


@pytest.mark.parametrize("difference", [-1, 1])
def test_a_reply_of_another_length_is_not_believed(account: Account, difference: Any) -> None:
    account.simulator.add_fault(WrongLengthReply(path="merge", difference=difference))

    with pytest.raises(OutcomeUnknownError):
        account.merge("new-1", "new-2")


def test_a_match_without_a_riid_is_left_to_its_own_identifier(account: Account) -> None:
    # Given an account that names no RIID of those whom it knows, and somebody who was created meanwhile
    account.start(replies=Replies(match_names_riid=False))
    account.merge("new-1")
    # When they are merged again / Then there is no RIID and no error, and the event finds them
    assert account.merge("new-1") == [MergeResult(None)]
    assert account.trigger('"customerId":"new-1"') == [None]


def test_a_newcomer_whom_events_do_not_find_yet_is_found_by_riid(account: Account) -> None:
    account.start(newcomers=Newcomers(visible_after_seconds=600))
    (merged,) = account.merge("new-1")

    assert account.trigger('"customerId":"new-1"', f'"recipientId":{merged.riid}') == ["NO_RECIPIENT_FOUND", None]


def test_a_record_that_is_not_taken_fails_alone(account: Account) -> None:
    account.start(recipients=Recipients(unknown=NEW, merge_failing=IdentifierSet(prefixes=("new-bad",))))

    good, bad = account.merge("new-1", "new-bad")

    assert (good.error_code, bad) == (None, MergeResult(None, "MERGEFAILED"))


@pytest.mark.parametrize(("named", "record"), [(True, 1), (False, None)])
def test_a_record_that_spoils_the_merge_is_named_or_not(account: Account, named: bool, record: int | None) -> None:
    account.start(replies=Replies(invalid_record_is_named=named))

    with pytest.raises(RequestRefusedError) as refused:
        account.merge("new-1@example.org", "new-2", column=MatchColumn.EMAIL_ADDRESS)

    assert (refused.value.code, refused.value.scope, refused.value.record) == (
        "INVALID_PARAMETER",
        RefusalScope.RECIPIENTS,
        record,
    )
    assert account.simulator.members() == []


def test_more_than_200_records_are_refused(account: Account) -> None:
    with pytest.raises(RequestRefusedError) as refused:
        account.merge(*(f"new-{number}" for number in range(201)))

    assert refused.value.code == "RECORD_LIMIT_EXCEEDED"


def test_the_throttle_of_merges_is_theirs_alone(account: Account) -> None:
    account.start(limits=Limits(merges_per_minute=1))
    account.merge("new-1")

    with pytest.raises(ThrottledError):
        account.merge("new-2")
    assert account.trigger('"customerId":"known"') == [None]


def test_whether_one_may_merge_is_found_out_without_writing(account: Account) -> None:
    # Given a user who may merge / When that is tried / Then nobody was written
    account.client.try_merge("CONTACTS_LIST", time.time() + 10)
    assert account.simulator.members() == []
    assert account.simulator.summary().created_recipients == 0
    # And a user who may not is told so
    account.start(may_merge=False)
    with pytest.raises(RequestRefusedError) as refused:
        account.client.try_merge("CONTACTS_LIST", time.time() + 10)
    assert (refused.value.code, refused.value.scope) == ("INSUFFICIENT_ACCESS", RefusalScope.CONNECTOR)


def test_the_three_limits_are_read(account: Account) -> None:
    account.start(limits=Limits(requests_per_minute=300, asynchronous_requests_per_minute=900, merges_per_minute=1000))

    assert account.client.limits(time.time() + 10) == (300, 900, 1000)
    assert account.client.event_limit(time.time() + 10) == 300
