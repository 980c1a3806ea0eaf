"""Does the simulated list merge behave as it was recorded and documented, and what do events find of newcomers?

One simulator process for the whole file, reset before each test.
"""

import hashlib
import json
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from tests.simulator.client import SimulatorClient, simulator_process
from tests.simulator.faults import ConnectionReset, ErrorReply, SlowReply, TruncatedReply, WrongLengthReply
from tests.simulator.settings import (
    AccountSettings,
    IdentifierSet,
    Limits,
    Newcomers,
    ProfileList,
    Recipients,
    Replies,
    SimulatorSettings,
)

TIMEOUT = 5
JSON_TYPE = "application/json"
NEW = IdentifierSet(prefixes=("new", "+new"))
BY_E_MAIL, BY_CUSTOMER_ID = "EMAIL_ADDRESS_", "CUSTOMER_ID_"


def rule(column: str = BY_E_MAIL, **changes: Any) -> dict[str, Any]:
    return {
        "insertOnNoMatch": True,
        "updateOnMatch": "NO_UPDATE",
        "matchColumnName1": column,
        "matchOperator": "NONE",
        "defaultPermissionStatus": "OPTIN",
    } | changes


class Caller:
    """Calls the API as a client of Responsys would."""

    def __init__(self, simulator: SimulatorClient) -> None:
        self.simulator = simulator
        self._token = ""

    def start(self, **settings: Any) -> None:
        """Start anew with one account whose list lacks the new."""
        settings = {"recipients": Recipients(unknown=NEW)} | settings
        self.simulator.reset(SimulatorSettings(accounts=(AccountSettings(**settings),)))
        form = {"user_name": "api_user", "password": "correct-horse", "auth_type": "password"}
        reply = requests.post(f"{self.simulator.url}/rest/api/v1.3/auth/token", data=form, timeout=TIMEOUT)
        self._token = reply.json()["authToken"]

    def post(self, path: str, body: object, *, data: bytes | None = None, **options: Any) -> requests.Response:
        headers = {"Authorization": self._token, "Content-Type": JSON_TYPE, "X-Request-Id": "request-1"}
        return requests.post(
            f"{self.simulator.url}/rest/api/v1.3/{path}",
            data=json.dumps(body).encode() if data is None else data,
            headers=headers | options.pop("headers", {}),
            timeout=options.pop("timeout", TIMEOUT),
            **options,
        )

    def merge(self, *values: Any, list_name: str = "CONTACTS_LIST", **changes: Any) -> requests.Response:
        """Merge one column of values."""
        merge_rule = changes.pop("mergeRule", rule())
        data = {"fieldNames": [merge_rule["matchColumnName1"]], "records": [[value] for value in values]}
        data |= changes.pop("recordData", {})
        return self.post(f"lists/{list_name}/members", {"recordData": data, "mergeRule": merge_rule}, **changes)

    def cells(self, *values: Any, **changes: Any) -> list[Any]:
        """Merge, and return the one cell of each record."""
        reply = self.merge(*values, **changes)
        assert reply.status_code == 200, reply.text
        return [cell for (cell,) in reply.json()["recordData"]["records"]]

    def trigger(self, **identifiers: Any) -> dict[str, Any]:
        """Trigger one event, and return its one result."""
        recipient = identifiers | {"listName": {"objectName": "CONTACTS_LIST"}}
        properties = [{"name": "profileId", "value": "p"}]
        record = {"recipient": recipient, "optionalData": properties}
        (result,) = self.post("events/SEGMENT_CHANGED", {"customEvent": {}, "recipientData": [record]}).json()
        return dict(result)


@pytest.fixture(scope="module")
def running_simulator() -> Iterator[SimulatorClient]:
    with simulator_process() as client:
        yield client


@pytest.fixture
def caller(running_simulator: SimulatorClient) -> Caller:
    caller = Caller(running_simulator)
    caller.start()
    return caller


NOT_FOUND = {"errorMessage": "NO_RECIPIENT_FOUND: Recipient Not Found", "success": False, "recipientId": -1}


class TestMerging:
    def test_newcomers_get_their_riids_as_text_in_order_and_the_reply_is_as_recorded(self, caller: Caller) -> None:
        reply = caller.merge("new-1@example.org", "new-2@example.org")

        assert reply.status_code == 200
        body = reply.json()
        assert body.keys() == {"recordData", "mergeRule", "links"}
        data = body["recordData"]
        assert (data["fieldNames"], data["mapTemplateName"]) == (["RIID_"], None)
        assert all(len(record) == 1 and record[0].isdecimal() for record in data["records"])
        assert body["mergeRule"] == {
            "textValue": None,
            "htmlValue": None,
            "optinValue": None,
            "insertOnNoMatch": True,
            "updateOnMatch": "NO_UPDATE",
            "matchColumnName1": "EMAIL_ADDRESS_",
            "matchColumnName2": None,
            "matchOperator": "NONE",
            "optoutValue": None,
            "rejectRecordIfChannelEmpty": None,
            "defaultPermissionStatus": "OPTIN",
            "matchColumnName3": None,
        }
        assert [link["rel"] for link in body["links"]] == [
            "self",
            "retrieveListRecipientsRIID",
            "deleteListRecipientsRIID",
        ]

    @pytest.mark.parametrize(("given", "written"), [("OPTIN", "OPTIN"), ("OPTOUT", "OPTOUT"), (None, "OPTOUT")])
    def test_who_is_new_is_written_with_the_permission_of_the_request(
        self, caller: Caller, given: str | None, written: str
    ) -> None:
        # Given a merge that says a permission, or none
        merge_rule = rule(BY_CUSTOMER_ID)
        del merge_rule["defaultPermissionStatus"]
        # When somebody new and somebody known are merged
        cells = caller.cells(
            "new-1", "known-1", mergeRule=merge_rule | ({"defaultPermissionStatus": given} if given else {})
        )
        # Then only the new one was written
        (member,) = caller.simulator.members("api_user")
        assert (member.list_name, member.action, member.permission) == ("CONTACTS_LIST", "inserted", written)
        assert (member.record, member.request_id) == ({"CUSTOMER_ID_": "new-1"}, "request-1")
        assert str(member.recipient_id) == cells[0]

    def test_who_is_merged_again_is_a_match_and_not_written_again(self, caller: Caller) -> None:
        first = caller.cells("new-1@example.org")

        assert caller.cells(" New-1@Example.org") == first
        assert len(caller.simulator.members()) == 1

    def test_a_match_that_is_not_updated_may_come_without_its_riid(self, caller: Caller) -> None:
        caller.start(replies=Replies(match_names_riid=False))

        assert caller.cells("known@example.org") == [None]
        # ... but who is new, or updated, has one
        new, updated = (
            caller.cells("new@example.org"),
            caller.cells("k@e.org", mergeRule=rule(updateOnMatch="REPLACE_ALL")),
        )
        assert (new[0].isdecimal(), updated[0].isdecimal()) == (True, True)
        assert [member.action for member in caller.simulator.members()] == ["inserted", "updated"]

    def test_two_hundred_records_pass_and_one_more_refuses_all(self, caller: Caller) -> None:
        assert len(caller.cells(*(f"new-{number}@example.org" for number in range(200)))) == 200

        reply = caller.merge(*(f"new-{number}@example.org" for number in range(200, 401)))

        assert (reply.status_code, reply.json()["errorCode"]) == (400, "RECORD_LIMIT_EXCEEDED")
        assert len(caller.simulator.members()) == 200

    def test_a_bad_record_fails_in_place_and_the_others_are_merged(self, caller: Caller) -> None:
        # Given one that Responsys does not take / When it is merged among others
        failing = Recipients(unknown=NEW, merge_failing=IdentifierSet(prefixes=("new-bad",)))
        caller.start(recipients=failing)
        cells = caller.cells("new-1", "new-bad", "new-2", mergeRule=rule(BY_CUSTOMER_ID))
        # Then its cell says so, as it was recorded, and the others are members
        assert cells[1] == 'MERGEFAILED: Record 1 = The value "new-bad" is not valid for the field type STR500\r\n'
        assert [member.record["CUSTOMER_ID_"] for member in caller.simulator.members()] == ["new-1", "new-2"]
        (logged,) = caller.simulator.requests(kind="merge")
        assert (logged.recipients, logged.accepted, logged.created) == (3, 2, 2)
        assert logged.result_codes == {"MERGEFAILED": 1}
        summary = caller.simulator.summary()
        assert (summary.merge_requests, summary.created_recipients) == (1, 2)
        assert (summary.accepted_recipients, summary.refused_recipients) == (0, 0)

    @pytest.mark.parametrize("value", ["", " ", None])
    def test_an_empty_match_value_fails_in_place(self, caller: Caller, value: str | None) -> None:
        (cell,) = caller.cells(value)

        assert cell.startswith("MERGEFAILED: Record 0 = ")

    def test_both_of_two_records_of_one_member_fail(self, caller: Caller) -> None:
        cells = caller.cells("new@example.org", "new-2@example.org", "NEW@example.org ")

        assert [str(cell).startswith("MERGEFAILED") for cell in cells] == [True, False, True]
        assert [member.record[BY_E_MAIL] for member in caller.simulator.members()] == ["new-2@example.org"]

    def test_records_can_be_counted_from_one(self, caller: Caller) -> None:
        caller.start(replies=Replies(first_record_number=1))

        assert caller.cells("")[0].startswith("MERGEFAILED: Record 1 = ")
        assert caller.merge("no-address").json()["detail"] == "Record 1 = Bad Email Format"

    @pytest.mark.parametrize("spoiler", ["no-address", "new-spoiler@example.org"])
    def test_one_record_can_spoil_the_whole_merge(self, caller: Caller, spoiler: str) -> None:
        caller.start(recipients=Recipients(unknown=NEW, merge_invalid=IdentifierSet(prefixes=("new-spoiler",))))

        reply = caller.merge("new-1@example.org", spoiler)

        assert (reply.status_code, reply.json()["errorCode"]) == (400, "INVALID_PARAMETER")
        assert reply.json()["detail"].startswith("Record 1 = ")
        assert caller.simulator.members() == []

    def test_nobody_is_inserted_where_the_rule_forbids_it_or_by_a_riid(self, caller: Caller) -> None:
        forbidden = caller.cells("new@example.org", mergeRule=rule(insertOnNoMatch=False))
        by_riid = caller.cells("4711", "new", mergeRule=rule("RIID_"))

        assert forbidden[0].startswith("MERGEFAILED")
        assert by_riid[0] == "4711"
        assert by_riid[1].startswith("MERGEFAILED: Record 1 = INVALID_PARAMETER: The value new is not valid")
        assert caller.simulator.members() == []

    def test_the_list_is_a_path_segment_and_must_exist(self, caller: Caller) -> None:
        caller.start(lists=(ProfileList(name="Kunden / Ü"),))

        assert caller.merge("new@example.org", list_name="Kunden%20%2F%20%C3%9C").status_code == 200
        unknown = caller.merge("new@example.org")
        assert (unknown.status_code, unknown.json()["errorCode"]) == (404, "LIST_NOT_FOUND")

    def test_a_user_who_may_not_merge_is_told_so(self, caller: Caller) -> None:
        caller.start(may_merge=False)

        reply = caller.merge("new@example.org")

        assert (reply.status_code, reply.json()["errorCode"]) == (401, "INSUFFICIENT_ACCESS")
        assert caller.trigger(recipientId=1)["success"] is True

    def test_two_columns_match_together(self, caller: Caller) -> None:
        both = rule(matchColumnName2=BY_CUSTOMER_ID, matchOperator="AND")
        columns = {"fieldNames": ["email_address_", BY_CUSTOMER_ID]}
        rows = [["known@example.org", "known"], ["known@example.org", "new"]]

        caller.cells(mergeRule=both, recordData=columns | {"records": rows})

        (member,) = caller.simulator.members()
        assert member.record == {"EMAIL_ADDRESS_": "known@example.org", "CUSTOMER_ID_": "new"}

    def test_with_an_action_it_is_another_function(self, caller: Caller) -> None:
        assert caller.merge("a@example.org", params={"action": "get"}).status_code == 404


class TestStrictness:
    @pytest.mark.parametrize(
        "changes",
        [
            {"mergeRule": rule() | {"more": 1}},
            {"mergeRule": rule(insertOnNoMatch="true")},
            {"mergeRule": rule(updateOnMatch="UPDATE")},
            {"mergeRule": rule("PHONE_")},
            {"mergeRule": rule(matchColumnName3="EMAIL_ADDRESS_")},
            {"mergeRule": rule(defaultPermissionStatus="optin")},
            {"mergeRule": rule(defaultPermissionStatus=None)},
            {"mergeRule": {key: value for key, value in rule().items() if key != "insertOnNoMatch"}},
            {"recordData": {"records": []}},
            {"recordData": {"records": {}}},
            {"recordData": {"fieldNames": []}},
            {"recordData": {"mapTemplateName": "T"}},
            {"recordData": {"more": 1}},
            {"data": b"{"},
            {"data": b"[]"},
            {"data": b'{"recordData": {}}'},
            {"data": '{"recordData": {"fieldNames": ["ü"], "records": [["a"]]}}'.encode()},
            {"headers": {"Content-Type": "text/plain"}},
        ],
        ids=str,
    )
    def test_another_body_is_refused(self, caller: Caller, changes: dict[str, Any]) -> None:
        reply = caller.merge("new@example.org", **changes)

        assert (reply.status_code, reply.json()["errorCode"]) == (400, "INVALID_REQUEST_CONTENT")
        assert caller.simulator.members() == []

    @pytest.mark.parametrize(
        ("columns", "code"),
        [
            (["EMAIL_ADDRESS_", "EMAIL_SHA256_HASH_"], "INVALID_FIELD_NAME"),
            (["EMAIL_ADDRESS_", "EMAIL_MD5_HASH_"], "INVALID_FIELD_NAME"),
            (["EMAIL_ADDRESS_", "email_address_"], "INVALID_FIELD_NAME"),
            (["EMAIL_ADDRESS_", "UNKNOWN"], "INVALID_FIELD_NAME"),
            (["EMAIL_ADDRESS_", "A" * 31], "INVALID_FIELD_NAME"),
            ([BY_CUSTOMER_ID, "MOBILE_NUMBER_"], "INVALID_PARAMETER"),
        ],
    )
    def test_only_the_lists_own_columns_can_be_written(self, caller: Caller, columns: list[str], code: str) -> None:
        caller.start(lists=(ProfileList(name="CONTACTS_LIST", fields=frozenset({"BIRTHDATE", "A" * 31})),))
        rows = [["new@example.org", "x"]]

        refused = caller.merge(recordData={"fieldNames": columns, "records": rows})
        taken = caller.merge(recordData={"fieldNames": ["EMAIL_ADDRESS_", "birthdate"], "records": rows})

        assert (refused.status_code, refused.json()["errorCode"]) == (400, code)
        assert taken.status_code == 200
        assert [member.record["BIRTHDATE"] for member in caller.simulator.members()] == ["x"]

    @pytest.mark.parametrize("column", ["EMAIL_SHA256_HASH_", "EMAIL_MD5_HASH_"])
    def test_nobody_is_inserted_by_a_hash(self, caller: Caller, column: str) -> None:
        refused = caller.merge("new", mergeRule=rule(column))

        assert (refused.status_code, refused.json()["errorCode"]) == (400, "INVALID_PARAMETER")
        assert caller.cells("known", mergeRule=rule(column, insertOnNoMatch=False))[0].isdecimal()

    @pytest.mark.parametrize(
        "changes",
        [
            {"matchColumnName2": "EMAIL_SHA256_HASH_", "matchOperator": "AND"},
            {"matchOperator": "AND"},
            {"matchColumnName2": "CUSTOMER_ID_"},
        ],
    )
    def test_columns_that_cannot_match_together_are_refused(self, caller: Caller, changes: dict[str, Any]) -> None:
        columns = ["EMAIL_ADDRESS_", *([changes["matchColumnName2"]] if "matchColumnName2" in changes else [])]
        rows = [["new@example.org"] + ["x"] * (len(columns) - 1)]

        reply = caller.merge(mergeRule=rule(**changes), recordData={"fieldNames": columns, "records": rows})

        assert reply.json()["errorCode"] == "INVALID_PARAMETER"

    @pytest.mark.parametrize("row", [[5], ["a@example.org", "b"], [], "a@example.org", {}, None, [["a@example.org"]]])
    def test_a_record_of_another_form_refuses_the_merge_and_is_named(self, caller: Caller, row: Any) -> None:
        reply = caller.merge(recordData={"records": [["new@example.org"], row]})

        assert (reply.status_code, reply.json()["errorCode"]) == (400, "INVALID_PARAMETER")
        assert reply.json()["detail"].startswith("Record 1 = ")
        assert caller.simulator.members() == []

    def test_a_token_is_needed(self, caller: Caller) -> None:
        assert caller.merge("a@example.org", headers={"Authorization": "x"}).json()["errorCode"] == "INVALID_TOKEN"


class TestNewcomers:
    def test_events_find_a_newcomer_by_riid_and_by_all_that_was_merged(self, caller: Caller) -> None:
        # Given somebody whom events do not find
        address = "new-ann@example.org"
        hashed = hashlib.sha256(address.encode()).hexdigest()
        caller.start(recipients=Recipients(unknown=IdentifierSet(identifiers=frozenset({address, hashed}))))
        assert caller.trigger(emailAddress=address) == caller.trigger(emailSHA256Hash=hashed) == NOT_FOUND
        # When they are merged / Then events do, and say the RIID that the merge said
        (cell,) = caller.cells(address)
        found = [
            caller.trigger(recipientId=int(cell)),
            caller.trigger(emailAddress=address.upper()),
            caller.trigger(emailSHA256Hash=hashed),
        ]
        assert [result["recipientId"] for result in found] == [int(cell)] * 3
        # And all are events of one recipient
        assert {event.recipient_id for event in caller.simulator.inbox()} == {int(cell)}
        assert caller.simulator.summary(duplicate_key=("profileId",)).duplicates == 2

    def test_somebody_known_by_a_hash_alone_is_not_known_by_the_address(self, caller: Caller) -> None:
        # Given a list that does not have the hash of an address / When that is merged / Then it is somebody new
        hashed = hashlib.sha256(b"ann@example.org").hexdigest()
        caller.start(recipients=Recipients(unknown=IdentifierSet(identifiers=frozenset({hashed}))))
        caller.cells("Ann@example.org")
        assert [member.action for member in caller.simulator.members()] == ["inserted"]

    @pytest.mark.parametrize("by_riid_at_once", [True, False])
    def test_a_newcomer_may_be_found_only_after_a_while(self, caller: Caller, by_riid_at_once: bool) -> None:
        # Given a list that takes half a minute
        caller.start(newcomers=Newcomers(visible_after_seconds=30, by_riid_at_once=by_riid_at_once))
        (cell,) = caller.cells("new-1", mergeRule=rule(BY_CUSTOMER_ID))
        # When events come at once / Then they do not find the newcomer, by RIID as it is set
        assert caller.trigger(customerId="new-1") == NOT_FOUND
        assert caller.trigger(recipientId=int(cell))["success"] is by_riid_at_once
        # But another merge does
        assert caller.cells("new-1", mergeRule=rule(BY_CUSTOMER_ID)) == [cell]
        # And after a while events do, too
        caller.simulator.advance_clock(30)
        assert caller.trigger(customerId="new-1")["recipientId"] == int(cell)
        assert caller.trigger(recipientId=int(cell))["success"] is True

    def test_accounts_and_lists_have_members_of_their_own(self, caller: Caller) -> None:
        caller.start(lists=(ProfileList(name="CONTACTS_LIST"), ProfileList(name="OTHER")))

        caller.cells("new-1", list_name="OTHER", mergeRule=rule(BY_CUSTOMER_ID))

        assert caller.trigger(customerId="new-1") == NOT_FOUND
        assert caller.simulator.members("another") == []


class TestThrottlesAndFaults:
    def test_merges_have_a_limit_of_their_own(self, caller: Caller) -> None:
        # Given two merges a minute, which are used / When there is one more
        caller.start(limits=Limits(merges_per_minute=2, requests_per_minute=2))
        assert [caller.merge("a@example.org").status_code for _ in range(2)] == [200, 200]
        reply = caller.merge("a@example.org")
        # Then it is refused by name, events are not, and a minute later it passes
        assert (reply.status_code, reply.json()["errorCode"]) == (429, "API_LIMIT_EXCEEDED")
        assert "to call the Merge List Recipients API function" in reply.json()["detail"]
        assert caller.trigger(recipientId=1)["success"] is True
        caller.simulator.advance_clock(60)
        assert caller.merge("a@example.org").status_code == 200

    def test_an_accounts_outage_holds_up_merges_too(self, caller: Caller) -> None:
        caller.simulator.start_capacity_outage("api_user")

        assert caller.merge("a@example.org").json()["errorCode"] == "INTERNAL_CAPACITY_LIMIT_EXCEEDED"

    def test_limits_of_merges_and_asynchronous_events_are_told(self, caller: Caller) -> None:
        caller.start(limits=Limits(merges_per_minute=1000, asynchronous_requests_per_minute=600))
        headers = {"Authorization": caller._token}

        rows = requests.get(f"{caller.simulator.url}/rest/api/ratelimit", headers=headers, timeout=TIMEOUT).json()

        limits = {row["api"]: (row["resource_path"], row["verb"], row["limit"]) for row in rows}
        assert limits["MERGE_LIST_MEMBERS"] == ("/lists/{listName}/members", "POST", 1000)
        assert limits["TRIGGER_CUSTOM_EVENT_ASYNC"] == ("/events/{eventName}", "POST", 600)

    @pytest.mark.parametrize(
        ("fault", "written"),
        [
            (ErrorReply(path="merge", status=503, text="Service Unavailable"), 0),
            (ErrorReply(path="merge", status=500, error_code="UNEXPECTED_EXCEPTION", accept_first=True), 1),
            (ErrorReply(path="merge", status=400, error_code="API_LIMIT_EXCEEDED"), 0),
            (ConnectionReset(path="merge"), 0),
            (ConnectionReset(path="merge", accept_first=True), 1),
            (TruncatedReply(path="merge"), 1),
            (TruncatedReply(path="merge", cut_connection=True), 1),
            (WrongLengthReply(path="merge"), 1),
            (WrongLengthReply(path="merge", difference=1), 1),
            (SlowReply(path="merge", seconds=1), 1),
        ],
    )
    def test_faults_hit_merges_before_or_after_the_work_and_leave_events_alone(
        self, caller: Caller, fault: Any, written: int
    ) -> None:
        # Given one fault
        caller.simulator.add_fault(fault)
        assert caller.trigger(recipientId=1)["success"] is True
        # When somebody is merged
        try:
            reply = caller.merge("new@example.org", timeout=0.3 if isinstance(fault, SlowReply) else TIMEOUT)
            whole = reply.status_code == 200 and len(reply.json()["recordData"]["records"]) == 1
        except (requests.RequestException, ValueError):
            whole = False
        # Then the answer is wrong, the work is done or not, and the next merge finds who is there already
        assert not whole
        assert len(caller.simulator.members()) == written
        assert caller.cells("new@example.org")[0].isdecimal()
        assert len(caller.simulator.members()) == 1
