"""Is an event request what Responsys expects, and is each recipient's result taken for what it is?"""

from __future__ import annotations

import json
from typing import Any

import pytest

from responsys_activation.error_code import ErrorCode
from responsys_activation.responsys.errors import (
    OutcomeUnknownError,
    RequestRefusedError,
    ThrottledError,
    TokenRefusedError,
)
from responsys_activation.responsys.events import EventReply, recipient_error_code
from responsys_activation.responsys.login import Token
from tests.fakes.clock import NOW
from tests.fakes.login_environment import Environment
from tests.fakes.login_state import SharedToken
from tests.fakes.memberships import connector, event_of, membership
from tests.fakes.responsys_transport import Answer, ResponsysTransport, refusing, replying

TOKEN = Token("EdjX-token_1", "https://api5-009.responsys.net", NOW)
RECIPIENT = '{"recipient":{"recipientId":364470825},"optionalData":[]}'
SUCCESS = {"errorMessage": None, "success": True, "recipientId": 364470825}


def trigger(transport: ResponsysTransport, event_name: str = "E", recipients: int = 1) -> EventReply:
    return send(transport, [f'{{"n":{number}}}' for number in range(recipients)], event_name)


def send(transport: ResponsysTransport, recipients_json: list[str], event_name: str = "E") -> EventReply:
    environment = Environment(ResponsysTransport(), store=SharedToken(TOKEN))
    client = environment.client(transport, renews_token=False)
    return client.trigger(event_name, recipients_json, deadline=NOW + 30, attempt=lambda post: post("request-1"))


def test_the_request_carries_the_bare_token_our_id_and_the_recipients_in_order() -> None:
    transport = ResponsysTransport(replying([SUCCESS] * 3))

    trigger(transport, recipients=3)

    request = transport.requests[0]
    assert request.method == "POST"
    assert request.url == "https://api5-009.responsys.net/rest/api/v1.3/events/E"
    assert request.headers["Authorization"] == "EdjX-token_1"
    assert request.headers["Content-Type"] == "application/json"
    assert request.headers["X-Request-Id"] == "request-1"
    assert isinstance(request.body, bytes)
    assert json.loads(request.body)["recipientData"] == [{"n": 0}, {"n": 1}, {"n": 2}]


@pytest.mark.parametrize(
    ("event_name", "segment"),
    [
        ("SEGMENT_CHANGED", "SEGMENT_CHANGED"),
        ("[TEST]_EVENT", "%5BTEST%5D_EVENT"),
        ("50% off", "50%25%20off"),
        ("a%2Fb", "a%252Fb"),
        ("a?b#c&d=e", "a%3Fb%23c%26d%3De"),
        ("Café", "Caf%C3%A9"),
        ("a+b", "a%2Bb"),
        ("a/b", "a%2Fb"),
        ("...", "..."),
    ],
)
def test_the_event_name_is_one_percent_encoded_path_segment(event_name: str, segment: str) -> None:
    transport = ResponsysTransport(replying([SUCCESS]))

    trigger(transport, event_name)

    assert transport.requests[0].url == f"https://api5-009.responsys.net/rest/api/v1.3/events/{segment}"


@pytest.mark.parametrize(
    ("recorded", "code"),
    [
        ('[{"errorMessage":null,"success":true,"recipientId":364470825}]', None),
        ('[{"success":true}]', None),
        (
            '[{"errorMessage":"PROFILE_LIST_NOT_FOUND","recipientId":-1,"success":false}]',
            "PROFILE_LIST_NOT_FOUND",
        ),
        (
            '[{"success":false,"errorMessage":"NO_RECIPIENT_FOUND: Recipient Not Found","recipientId":-1}]',
            "NO_RECIPIENT_FOUND",
        ),
        (
            '[{"errorMessage":"RECIPIENT_STATUS_UNDELIVERABLE: Recipient deliverability status is undeliverable",'
            '"recipientId":-1,"success":false}]',
            "RECIPIENT_STATUS_UNDELIVERABLE",
        ),
    ],
)
def test_a_recorded_result_is_read_whatever_its_key_order(recorded: str, code: str | None) -> None:
    reply = trigger(ResponsysTransport(Answer(200, recorded.encode(), {"X-CorrelationID": "Id-7 0"})))

    assert reply == EventReply([code], 200, "Id-7 0")


def test_results_belong_to_recipients_by_position() -> None:
    failure = {"success": False, "errorMessage": "NO_RECIPIENT_FOUND: x"}

    reply = trigger(ResponsysTransport(replying([SUCCESS, failure, SUCCESS])), recipients=3)

    assert reply.error_codes == [None, "NO_RECIPIENT_FOUND", None]


def test_a_200_in_which_every_recipient_failed_delivers_nobody() -> None:
    failure = {"success": False, "errorMessage": "PROFILE_LIST_NOT_FOUND"}

    reply = trigger(ResponsysTransport(replying([failure] * 200)), recipients=200)

    assert reply.error_codes == ["PROFILE_LIST_NOT_FOUND"] * 200


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(replying([SUCCESS]), id="shorter"),
        pytest.param(replying([SUCCESS] * 3), id="longer"),
        pytest.param(replying([]), id="empty list"),
        pytest.param(replying({}), id="object"),
        pytest.param(replying({"results": [SUCCESS, SUCCESS]}), id="list in an object"),
        pytest.param(replying("OK"), id="text"),
        pytest.param(replying(None), id="null"),
        pytest.param(replying([SUCCESS, None]), id="null as result"),
        pytest.param(replying([SUCCESS, "ok"]), id="text as result"),
        pytest.param(replying([SUCCESS, {"success": "true"}]), id="success as text"),
        pytest.param(replying([SUCCESS, {"recipientId": 1}]), id="result without success"),
        pytest.param(replying([SUCCESS, {"success": None}]), id="success null"),
        pytest.param(Answer(200, b'[{"success": true}, {"succ'), id="truncated JSON"),
        pytest.param(Answer(200, b"<html>It works!</html>"), id="HTML"),
        pytest.param(Answer(200, b""), id="no body"),
        pytest.param(replying([SUCCESS, SUCCESS], 202), id="202"),
        pytest.param(Answer(204, b""), id="204"),
    ],
)
def test_a_reply_that_is_not_one_result_for_each_recipient_leaves_all_in_doubt(answer: Answer) -> None:
    with pytest.raises(OutcomeUnknownError) as raised:
        trigger(ResponsysTransport(answer), recipients=2)

    assert raised.value.status == answer.status


def success(riid: Any) -> dict[str, Any]:
    return {"errorMessage": None, "success": True, "recipientId": riid}


NOT_FOUND = {"success": False, "errorMessage": "NO_RECIPIENT_FOUND", "recipientId": -1}


def trigger_for(identifiers: list[dict[str, str]], results: list[Any], **settings: Any) -> EventReply:
    """Send recipients as the mapping writes them."""
    events = [event_of(membership(identifiers=each), connector(**settings)) for each in identifiers]
    return send(ResponsysTransport(replying(results)), [event.recipient_json for event in events])


@pytest.mark.parametrize(
    "results",
    [
        pytest.param([NOT_FOUND, success(12)], id="reversed, one not found"),
        pytest.param([success(123), success(12)], id="reversed"),
        pytest.param([success(12), success(1234)], id="longer number"),
        pytest.param([success(1), success(123)], id="shorter number"),
        pytest.param([success(12), success(10**18 - 1)], id="nobody of the request"),
    ],
)
def test_results_in_another_order_leave_all_in_doubt(results: list[Any]) -> None:
    # Given recipients that are sent by RIID
    # When a result says success of another recipient than the one in its place / Then no result can be believed
    with pytest.raises(OutcomeUnknownError) as raised:
        trigger_for([{"27": "12"}, {"27": "0123"}], results)

    assert raised.value.status == 200
    assert "12" not in raised.value.title


@pytest.mark.parametrize(
    "results",
    [
        pytest.param([success(12), success(123)], id="in order"),
        pytest.param([success(-1), success(-1)], id="RIIDs not known"),
        pytest.param([success(0), success(None)], id="RIIDs null"),
        pytest.param([success("123"), success(True)], id="RIIDs no numbers"),
        pytest.param([{"success": True}, {"success": True}], id="RIIDs left out"),
    ],
)
def test_results_are_believed_that_name_no_other_recipient(results: list[Any]) -> None:
    assert trigger_for([{"27": "12"}, {"27": "123"}], results).error_codes == [None, None]


def test_a_failure_is_believed_whatever_recipient_it_names() -> None:
    reply = trigger_for([{"27": "12"}, {"27": "123"}], [success(12), NOT_FOUND | {"recipientId": 7}])

    assert reply.error_codes == [None, "NO_RECIPIENT_FOUND"]


@pytest.mark.parametrize(
    ("kind", "identifiers"), [("CRM_ID", {"2001": "12"}), ("EMAIL", {"EMAIL": '{"recipientId":12,@x'})]
)
def test_a_recipient_sent_by_another_identifier_may_have_any_riid(kind: str, identifiers: dict[str, str]) -> None:
    assert trigger_for([identifiers], [success(364470825)], identifierType=kind).error_codes == [None]


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (refusing(200, "CUSTOM_EVENT_NOT_FOUND"), RequestRefusedError),
        (refusing(200, "TOKEN_EXPIRED"), TokenRefusedError),
        (refusing(200, "API_LIMIT_EXCEEDED"), ThrottledError),
        (refusing(401, "INVALID_TOKEN", detail="Not a valid authentication token"), TokenRefusedError),
        (refusing(500, "UNEXPECTED_EXCEPTION", detail="Not a valid authentication token"), TokenRefusedError),
        (refusing(400, "RECIPIENT_LIMIT_EXCEEDED"), RequestRefusedError),
        (refusing(404, "CUSTOM_EVENT_NOT_FOUND"), RequestRefusedError),
    ],
)
def test_an_error_object_is_an_error_even_under_200(answer: Answer, kind: type[Exception]) -> None:
    with pytest.raises(kind):
        trigger(ResponsysTransport(answer))


@pytest.mark.parametrize(
    ("error_message", "code"),
    [
        ("NO_RECIPIENT_FOUND", "NO_RECIPIENT_FOUND"),
        ("NO_RECIPIENT_FOUND: Recipient Not Found", "NO_RECIPIENT_FOUND"),
        ("MULTIPLE_RECIPIENTS_FOUND : two", "MULTIPLE_RECIPIENTS_FOUND"),
        (" FAILURE: generic", "FAILURE"),
        ("FAILURE", "FAILURE"),
        ("A_CODE_OF_TOMORROW: text", "A_CODE_OF_TOMORROW"),
        ("Recipient Not Found", "NO_RECIPIENT_FOUND"),
        ("recipient not found ", "NO_RECIPIENT_FOUND"),
        ("No list member ann@example.com", ErrorCode.OTHER_ERROR),
        ("NO RECIPIENT", ErrorCode.OTHER_ERROR),
        ("", ErrorCode.OTHER_ERROR),
        (None, ErrorCode.OTHER_ERROR),
        (7, ErrorCode.OTHER_ERROR),
        ({"code": "X"}, ErrorCode.OTHER_ERROR),
        ("X" * 500, "X" * 64),
    ],
)
def test_an_error_message_gives_its_code_and_never_its_text(error_message: Any, code: str) -> None:
    assert recipient_error_code(error_message, RECIPIENT) == code


@pytest.mark.parametrize(
    ("error_message", "code"),
    [
        ("C_12345: not found", ErrorCode.OTHER_ERROR),
        ("ADA_LOVELACE: not found", ErrorCode.OTHER_ERROR),
        ("C_99999: not found", "C_99999"),
        ("NO_RECIPIENT_FOUND: C_12345", "NO_RECIPIENT_FOUND"),
    ],
)
def test_what_was_sent_of_a_recipient_never_passes_for_a_code(error_message: str, code: str) -> None:
    recipient = '{"recipient":{"customerId":"c_12345"},"optionalData":[{"name":"NAME","value":"Ada_Lovelace"},'
    recipient += '{"name":"LAST","value":"no_recipient_found"}]}'

    assert recipient_error_code(error_message, recipient) == code


def test_an_error_message_beside_success_does_not_undo_it() -> None:
    reply = trigger(ResponsysTransport(replying([{"success": True, "errorMessage": "FAILURE: odd"}])))

    assert reply.error_codes == [None]
