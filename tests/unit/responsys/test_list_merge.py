"""Is a list merge's request what Responsys expects, and is each record's result taken for what it is?"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest
import requests

from responsys_activation.responsys.errors import (
    OutcomeUnknownError,
    RefusalScope,
    RequestRefusedError,
    ThrottledError,
    TokenRefusedError,
    UnavailableError,
)
from responsys_activation.responsys.list_merge import (
    ListMerge,
    MatchColumn,
    MergeReply,
    MergeResult,
    PermissionStatus,
)
from responsys_activation.responsys.login import Token
from tests.fakes.clock import NOW
from tests.fakes.login_environment import CountingLogins, Environment, stored
from tests.fakes.login_state import SharedToken
from tests.fakes.responsys_transport import Answer, ResponsysTransport, refusing, replying

TOKEN = Token("EdjX-token_1", "https://api5-009.responsys.net", NOW)
RULE = {"insertOnNoMatch": True, "updateOnMatch": "NO_UPDATE", "matchColumnName1": "EMAIL_ADDRESS_"}


def merge(
    transport: ResponsysTransport,
    *values: str,
    list_name: str = "CONTACTS_LIST",
    column: MatchColumn = MatchColumn.EMAIL_ADDRESS,
    permission: PermissionStatus = "OPTOUT",
) -> MergeReply:
    environment = Environment(ResponsysTransport(), store=SharedToken(TOKEN))
    client = environment.client(transport, renews_token=False)
    return client.merge_list_members(
        ListMerge(list_name, column, values, permission), deadline=NOW + 30, attempt=lambda post: post("request-1")
    )


def merged(*cells: Any, field_names: Any = ("RIID_",)) -> Answer:
    """Answer as Responsys does, with one cell per record."""
    records = [[cell] for cell in cells]
    return replying({"recordData": {"fieldNames": field_names, "records": records}, "mergeRule": RULE, "links": []})


def results(*cells: Any, sent: Sequence[str] = ()) -> list[MergeResult]:
    """Read a reply with these cells."""
    values = sent or [f"person-{number}@example.org" for number in range(len(cells))]
    return merge(ResponsysTransport(merged(*cells)), *values).results


# --- the request ------------------------------------------------------------------------------------------------


def test_the_request_adds_who_is_missing_and_leaves_the_others_as_they_are() -> None:
    # Given two people / When they are merged by their customer id
    transport = ResponsysTransport(merged("1", "2"))
    merge(transport, "cust-1", "cust-2", column=MatchColumn.CUSTOMER_ID, permission="OPTIN")
    # Then the request names one column, matches by it, and updates nobody
    (request,) = transport.requests
    assert (request.method, request.url) == (
        "POST",
        "https://api5-009.responsys.net/rest/api/v1.3/lists/CONTACTS_LIST/members",
    )
    assert request.headers["Authorization"] == "EdjX-token_1"
    assert request.headers["Content-Type"] == "application/json"
    assert request.headers["X-Request-Id"] == "request-1"
    body = json.loads(request.body or b"")
    assert body["recordData"] == {
        "fieldNames": ["CUSTOMER_ID_"],
        "records": [["cust-1"], ["cust-2"]],
        "mapTemplateName": None,
    }
    rule = body["mergeRule"]
    assert (rule["matchColumnName1"], rule["matchColumnName2"], rule["matchOperator"]) == ("CUSTOMER_ID_", None, "NONE")
    assert (rule["insertOnNoMatch"], rule["updateOnMatch"]) == (True, "NO_UPDATE")
    assert rule["defaultPermissionStatus"] == "OPTIN"


@pytest.mark.parametrize("permission", ["OPTIN", "OPTOUT"])
def test_the_permission_is_always_said(permission: PermissionStatus) -> None:
    transport = ResponsysTransport(merged("1"))

    merge(transport, "a@example.org", permission=permission)

    assert json.loads(transport.requests[0].body or b"")["mergeRule"]["defaultPermissionStatus"] == permission


def test_the_body_is_ascii_and_the_list_name_one_percent_encoded_path_segment() -> None:
    transport = ResponsysTransport(merged("1"))

    merge(transport, "Zoë-🎈", list_name="Kunden/Ü 50%", column=MatchColumn.CUSTOMER_ID)

    (request,) = transport.requests
    assert (request.url or "").endswith("/lists/Kunden%2F%C3%9C%2050%25/members")
    assert isinstance(request.body, bytes)
    assert request.body.isascii()
    assert json.loads(request.body)["recordData"]["records"] == [["Zoë-🎈"]]


# --- the reply --------------------------------------------------------------------------------------------------


def test_a_recorded_reply_gives_each_riid_by_position() -> None:
    # Given the reply that was recorded, where two people had been merged
    recorded = (
        '{"recordData":{"fieldNames":["RIID_"],"records":[["470515045"],["470515065"]],"mapTemplateName":null},'
        '"mergeRule":{"textValue":"T","htmlValue":"H","optinValue":"I","insertOnNoMatch":true,"updateOnMatch":'
        '"REPLACE_ALL","matchColumnName1":"EMAIL_ADDRESS_","matchColumnName2":null,"matchOperator":null,"optoutValue":'
        '"O","rejectRecordIfChannelEmpty":null,"defaultPermissionStatus":"OPTIN","matchColumnName3":null},"links":[]}'
    )
    reply = merge(
        ResponsysTransport(Answer(200, recorded.encode(), {"X-CorrelationID": "Id-7 0"})), "a@example.org", "b@x.org"
    )
    # Then both are known by number
    assert reply == MergeReply([MergeResult(470515045), MergeResult(470515065)], 200, "Id-7 0")


@pytest.mark.parametrize(
    "cell", ["470500001", 470500001, 470500001.0, "470500001.0", " 470500001\r\n", "0470500001"], ids=repr
)
def test_a_riid_is_read_as_text_and_as_number(cell: Any) -> None:
    assert results(cell) == [MergeResult(470500001)]


@pytest.mark.parametrize(
    "cell",
    [None, "", " ", "-1", -1, 0, "0", True, [], {}, ["470500001"], {"RIID_": "1"}, "n/a", "1.5", 1.5, 1e300, "9" * 19],
    ids=repr,
)
def test_what_is_no_riid_leaves_it_to_the_event_to_tell_whether_the_member_is_there(cell: Any) -> None:
    # Given a reply that names one person, and says nothing usable of the other / Then neither counts as failed
    assert results(cell, "470500001") == [MergeResult(None), MergeResult(470500001)]


@pytest.mark.parametrize(
    ("cell", "code"),
    [
        ('MERGEFAILED: Record 0 = The value "1w" is not valid for the field type INTEGER\r\n', "MERGEFAILED"),
        ("MERGEFAILED: Record 3 = INVALID_PARAMETER: The value ssdcf is not valid", "INVALID_PARAMETER"),
        ("MERGEFAILED: Record 1 = API_LIMIT_EXCEEDED: too many\r\n", "API_LIMIT_EXCEEDED"),
        ("MERGEFAILED: Record 1 = A_CODE_OF_TOMORROW: odd", "A_CODE_OF_TOMORROW"),
        ("MERGEFAILED: INVALID_PARAMETER", "INVALID_PARAMETER"),
        ("MERGEFAILED", "MERGEFAILED"),
        ("MERGEFAILED: ", "MERGEFAILED"),
        ("MERGEFAILED:\r\n", "MERGEFAILED"),
        (" mergefailed : record 12 = Bad Email Format", "MERGEFAILED"),
        ("MERGE_FAILED: Record 0 = Bad Email Format", "MERGEFAILED"),
    ],
    ids=repr,
)
def test_a_record_that_was_not_merged_gives_its_code_and_never_its_text(cell: str, code: str) -> None:
    # Given one record that failed in place, under HTTP 200 / Then it alone has failed
    assert results("470500001", cell) == [MergeResult(470500001), MergeResult(None, code)]


def test_what_was_sent_never_passes_for_a_code() -> None:
    failed = "MERGEFAILED: Record 0 = ADA_LOVELACE: no such thing"

    assert results(failed, sent=["ada_lovelace"]) == [MergeResult(None, "MERGEFAILED")]


def test_a_failure_is_found_in_whichever_column_it_stands() -> None:
    # Given a reply that echoes what was sent, as a table's merge does
    document = {"recordData": {"fieldNames": ["RIID_", "EMAIL_ADDRESS_"], "records": [["1", "a"], ["", "MERGEFAILED"]]}}
    reply = merge(ResponsysTransport(replying(document)), "a@example.org", "b@example.org")
    assert reply.results == [MergeResult(1), MergeResult(None, "MERGEFAILED")]


@pytest.mark.parametrize("field_names", [["MOBILE_NUMBER_"], [], None, "RIID_", [None], ["EMAIL_ADDRESS_", "RIID_"]])
def test_digits_are_no_riid_unless_their_column_says_so(field_names: Any) -> None:
    # Given one cell per record, in a column that is another or not named / Then no digits are taken for a person
    reply = merge(ResponsysTransport(merged("4917012345", field_names=field_names)), "4917012345")
    assert reply.results == [MergeResult(None)]


def test_the_riid_column_may_stand_anywhere_in_any_letter_case() -> None:
    document = {"recordData": {"fieldNames": ["email_address_", "riid_"], "records": [["470500001", "7"]]}}

    assert merge(ResponsysTransport(replying(document)), "x").results == [MergeResult(7)]


def test_records_that_are_no_rows_are_read_as_one_cell() -> None:
    document = {"recordData": {"fieldNames": ["RIID_"], "records": ["7", None, [], "MERGEFAILED: x"]}}

    reply = merge(ResponsysTransport(replying(document)), "a", "b", "c", "d")

    assert reply.results == [MergeResult(7), MergeResult(None), MergeResult(None), MergeResult(None, "MERGEFAILED")]


def test_a_riid_that_two_records_have_is_nobodys() -> None:
    assert results("7", "8", "7") == [MergeResult(None), MergeResult(8), MergeResult(None)]


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(merged("1"), id="shorter"),
        pytest.param(merged("1", "2", "3"), id="longer"),
        pytest.param(merged(), id="empty"),
        pytest.param(
            replying({"recordData": {"fieldNames": ["RIID_"], "records": {"0": "1"}}}), id="object of records"
        ),
        pytest.param(replying({"recordData": {"fieldNames": ["RIID_"]}}), id="no records"),
        pytest.param(replying({"recordData": None}), id="recordData null"),
        pytest.param(replying({"recordData": [["1"], ["2"]]}), id="recordData a list"),
        pytest.param(replying({}), id="empty object"),
        pytest.param(replying([["1"], ["2"]]), id="list"),
        pytest.param(replying(None), id="null"),
        pytest.param(replying("OK"), id="text"),
        pytest.param(Answer(200, b'{"recordData": {"records": [["1"], ["2'), id="truncated JSON"),
        pytest.param(Answer(200, b"<html>It works!</html>"), id="HTML"),
        pytest.param(Answer(200, b""), id="no body"),
        pytest.param(Answer(204, b""), id="204"),
        pytest.param(replying({"requestId": "x", "status": "REQUEST_ACCEPTED"}, 202), id="accepted, to be polled"),
        pytest.param(Answer(502, b"<html>"), id="gateway"),
        pytest.param(refusing(500, "UNEXPECTED_EXCEPTION"), id="500"),
    ],
)
def test_a_reply_that_is_not_one_record_for_each_leaves_all_in_doubt(answer: Answer) -> None:
    with pytest.raises(OutcomeUnknownError) as raised:
        merge(ResponsysTransport(answer), "a@example.org", "b@example.org")

    assert raised.value.status == answer.status


def test_a_reply_that_does_not_come_leaves_all_in_doubt() -> None:
    with pytest.raises(OutcomeUnknownError):
        merge(ResponsysTransport(requests.ReadTimeout()), "a@example.org")


# --- a request that is refused as a whole -------------------------------------------------------------------------


@pytest.mark.parametrize(("detail", "record"), [("Record 0 = Bad Email Format", 0), ("Record 7 = x", 7), ("x", None)])
@pytest.mark.parametrize("status", [400, 200])
def test_a_record_that_spoils_the_request_is_named_where_responsys_names_it(
    detail: str, record: int | None, status: int
) -> None:
    with pytest.raises(RequestRefusedError) as raised:
        merge(ResponsysTransport(refusing(status, "INVALID_PARAMETER", detail=detail)), "a", "b")

    assert (raised.value.scope, raised.value.record) == (RefusalScope.RECIPIENTS, record)
    assert "Email" not in str(raised.value)


@pytest.mark.parametrize(
    ("answer", "scope"),
    [
        (refusing(400, "RECORD_LIMIT_EXCEEDED"), RefusalScope.RECIPIENTS),
        (refusing(400, "INVALID_FIELD_NAME"), RefusalScope.RECIPIENTS),
        (refusing(404, "LIST_NOT_FOUND"), RefusalScope.CONNECTOR),
        (refusing(401, "INSUFFICIENT_ACCESS"), RefusalScope.CONNECTOR),
        (refusing(401, "API_DISABLED_FOR_USER"), RefusalScope.CONNECTOR),
        (refusing(400, "API_BLOCKED"), RefusalScope.CONNECTOR),
        (refusing(405, "METHOD_NOT_SUPPORTED"), RefusalScope.CONNECTOR),
    ],
)
def test_a_refusal_says_what_else_it_stops(answer: Answer, scope: RefusalScope) -> None:
    with pytest.raises(RequestRefusedError) as raised:
        merge(ResponsysTransport(answer), "a@example.org")

    assert raised.value.scope is scope


@pytest.mark.parametrize(
    ("answer", "seconds"),
    [
        (refusing(400, "API_LIMIT_EXCEEDED", detail="… the mergeListMembers API function"), 60),
        (refusing(401, "API_LIMIT_EXCEEDED"), 60),
        (Answer(429, b"Too many requests"), 60),
        (refusing(400, "INTERNAL_CAPACITY_LIMIT_EXCEEDED"), 600),
    ],
)
def test_the_merges_own_throttle_and_the_accounts_have_their_clocks(answer: Answer, seconds: float) -> None:
    with pytest.raises(ThrottledError) as raised:
        merge(ResponsysTransport(answer), "a@example.org")

    assert raised.value.retry_after == seconds


# --- the token ----------------------------------------------------------------------------------------------------


def test_after_a_token_error_one_login_and_the_same_merge_again_in_an_attempt_of_its_own() -> None:
    # Given a token that Responsys no longer takes
    environment = Environment(ResponsysTransport(CountingLogins()), store=stored())
    transport = ResponsysTransport(refusing(401, "TOKEN_EXPIRED"), merged("7"))
    attempts: list[object] = []

    def attempt(post: Any) -> MergeReply:
        try:
            reply: MergeReply = post(f"r-{len(attempts)}")
        except TokenRefusedError as exc:
            attempts.append(type(exc))
            raise
        attempts.append(reply.results)
        return reply

    # When somebody is merged
    merge = ListMerge("L", MatchColumn.CUSTOMER_ID, ["c-1"], "OPTIN")
    reply = environment.client(transport).merge_list_members(merge, deadline=NOW + 60, attempt=attempt)
    # Then both requests carried the same, and who paces them saw both
    assert reply.results == [MergeResult(7)]
    first, second = transport.requests
    assert first.body == second.body
    assert [request.headers["X-Request-Id"] for request in transport.requests] == ["r-0", "r-1"]
    assert attempts == [TokenRefusedError, [MergeResult(7)]]


# --- whether one may merge ------------------------------------------------------------------------------------------


def try_merge(answer: Answer) -> ResponsysTransport:
    transport = ResponsysTransport(answer)
    client = Environment(ResponsysTransport(), store=SharedToken(TOKEN)).client(transport, renews_token=False)
    client.try_merge("CONTACTS_LIST", NOW + 30)
    return transport


def test_a_merge_that_is_only_tried_can_neither_insert_nor_update_anybody() -> None:
    # Given an account that lets the user merge / When that is tried
    (request,) = try_merge(merged("MERGEFAILED: Record 0 = no match")).requests
    # Then the request itself forbids both, for an address that is nobody's
    assert (request.url or "").endswith("/rest/api/v1.3/lists/CONTACTS_LIST/members")
    body = json.loads(request.body or b"")
    assert (body["mergeRule"]["insertOnNoMatch"], body["mergeRule"]["updateOnMatch"]) == (False, "NO_UPDATE")
    assert body["mergeRule"]["defaultPermissionStatus"] == "OPTOUT"
    assert body["recordData"]["records"] == [["connector-check@example.com"]]


@pytest.mark.parametrize("answer", [merged("1"), merged(), replying({}), replying([])])
def test_a_merge_may_be_made_whatever_an_answer_of_200_says(answer: Answer) -> None:
    try_merge(answer)


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (refusing(401, "INSUFFICIENT_ACCESS"), RequestRefusedError),
        (refusing(429, "API_LIMIT_EXCEEDED"), ThrottledError),
        (Answer(503, b""), UnavailableError),
    ],
)
def test_a_merge_that_was_tried_in_vain_says_why(answer: Answer, kind: type[Exception]) -> None:
    with pytest.raises(kind):
        try_merge(answer)
