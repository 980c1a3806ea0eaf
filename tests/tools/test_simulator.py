"""Does the simulated Responsys behave as responsys-api.md says the real one does?

One simulator process for the whole file, reset before each test.
"""

import hashlib
import json
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.local_stack.processes import child_process
from tests.simulator.client import PROJECT_ROOT, SimulatorClient, simulator_process
from tests.simulator.faults import (
    ConnectionReset,
    ErrorReply,
    Redirect,
    SlowReply,
    TruncatedReply,
    WrongLengthReply,
)
from tests.simulator.settings import (
    AccountSettings,
    IdentifierSet,
    Limits,
    ProfileList,
    Recipients,
    Replies,
    SimulatorSettings,
)

TIMEOUT = 5
PASSWORD = "correct-horse"
LIST_NAME = {"objectName": "CONTACTS_LIST", "folderName": "!MasterData"}
JSON_TYPE = "application/json"


class Caller:
    """Calls the API as a client of Responsys would."""

    def __init__(self, url: str) -> None:
        self.url = url

    def login(self, username: str = "api_user", password: str = PASSWORD, **changes: Any) -> requests.Response:
        parts: dict[str, Any] = {"data": {"user_name": username, "password": password, "auth_type": "password"}}
        return requests.post(f"{self.url}/rest/api/v1.3/auth/token", timeout=TIMEOUT, **parts | changes)

    def refresh(self, token: str) -> requests.Response:
        return self.login(data={"auth_type": "token"}, headers={"Authorization": token})

    def token(self, **credentials: str) -> str:
        return str(self.login(**credentials).json()["authToken"])

    def get(self, path: str, token: str) -> requests.Response:
        return requests.get(f"{self.url}/rest/api/{path}", headers={"Authorization": token}, timeout=TIMEOUT)

    def trigger(
        self,
        token: str,
        records: list[dict[str, Any]] | None = None,
        *,
        event_name: str = "SEGMENT_CHANGED",
        data: bytes | None = None,
        headers: dict[str, str] | None = None,
        timeout: float = TIMEOUT,
        **changes: Any,
    ) -> requests.Response:
        body = {"customEvent": {}, "recipientData": [record(1)] if records is None else records}
        return requests.post(
            f"{self.url}/rest/api/v1.3/events/{event_name}",
            data=json.dumps(body).encode() if data is None else data,
            headers={"Authorization": token, "Content-Type": JSON_TYPE} | (headers or {}),
            timeout=timeout,
            **changes,
        )


def record(recipient_id: int | None = None, /, **identifiers: Any) -> dict[str, Any]:
    identifier = {"recipientId": recipient_id} if recipient_id is not None else {}
    properties = [{"name": "profileId", "value": "p"}, {"name": "callType", "value": "ADD"}]
    return {
        "recipient": identifier | identifiers | {"listName": LIST_NAME},
        "optionalData": properties,
    }


def envelope(title: str, error_code: str, detail: str) -> dict[str, object]:
    return {"type": "", "title": title, "errorCode": error_code, "detail": detail, "errorDetails": []}


def only(**settings: Any) -> SimulatorSettings:
    """Return a simulator whose one account differs from the default."""
    return SimulatorSettings(accounts=(AccountSettings(**settings),))


@pytest.fixture(scope="module")
def running_simulator() -> Iterator[SimulatorClient]:
    with simulator_process() as client:
        yield client


@pytest.fixture
def simulator(running_simulator: SimulatorClient) -> SimulatorClient:
    running_simulator.reset(SimulatorSettings())
    return running_simulator


@pytest.fixture
def caller(simulator: SimulatorClient) -> Caller:
    return Caller(simulator.url)


@pytest.fixture
def token(caller: Caller) -> str:
    return caller.token()


class TestLogin:
    def test_a_password_login_returns_a_token_and_the_end_point(
        self, simulator: SimulatorClient, caller: Caller
    ) -> None:
        # When
        reply = caller.login()

        # Then
        assert reply.status_code == 200
        body = reply.json()
        assert body.keys() == {"authToken", "issuedAt", "endPoint"}
        assert re.fullmatch(r"E[A-Za-z0-9_-]{53}", body["authToken"])
        assert abs(body["issuedAt"] - time.time() * 1000) < 10_000
        assert body["endPoint"] == simulator.url
        assert simulator.summary().logins == 1

    def test_replies_carry_the_recorded_headers_and_close_the_connection(self, caller: Caller) -> None:
        headers = caller.login().headers

        assert headers["Content-Type"] == "application/json;charset=UTF-8"
        assert headers["Connection"] == "close"
        assert headers["Server"] == "Apache"
        assert re.fullmatch(r"Id-[0-9a-f]+ 0", headers["X-CorrelationID"])
        assert headers["Via"].startswith("1.0 oag")

    def test_the_connection_really_ends_after_a_reply(self, simulator: SimulatorClient) -> None:
        # Given a caller that would like to go on with the same connection
        port = int(simulator.url.rsplit(":", 1)[1])
        with socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT) as connection:
            # When
            connection.sendall(b"GET /rest/api/v1.3/events HTTP/1.1\r\nHost: x\r\nConnection: keep-alive\r\n\r\n")
            received = b"".join(iter(lambda: connection.recv(65536), b""))

        # Then the server has ended it, after one whole reply
        assert received.startswith(b"HTTP/1.1 401")

    @pytest.mark.parametrize(
        "credentials", [{"password": "wrong"}, {"username": "nobody"}], ids=["password", "user name"]
    )
    def test_a_wrong_user_or_password_is_refused_as_recorded(self, caller: Caller, credentials: dict[str, str]) -> None:
        reply = caller.login(**credentials)

        assert reply.status_code == 400
        assert reply.json() == envelope("Invalid username or password", "INVALID_USER_NAME_PASSWORD", "")

    @pytest.mark.parametrize(
        "request_parts",
        [
            {"params": {"user_name": "api_user", "password": "correct-horse", "auth_type": "password"}, "data": ""},
            {"json": {"user_name": "api_user", "password": "correct-horse", "auth_type": "password"}, "data": None},
            {"data": {"user_name": "api_user", "password": "correct-horse"}},
            {"data": {"user_name": "api_user", "password": "correct-horse", "auth_type": "other"}},
        ],
        ids=["credentials in the query", "JSON", "no auth_type", "unknown auth_type"],
    )
    def test_only_the_documented_form_is_taken(self, caller: Caller, request_parts: dict[str, Any]) -> None:
        reply = caller.login(**request_parts)

        assert reply.status_code == 400
        assert "authToken" not in reply.text

    def test_credentials_are_form_decoded(self, simulator: SimulatorClient, caller: Caller) -> None:
        simulator.put_account(AccountSettings(username="ä&b", password="p+q %=ü"))

        assert caller.login("ä&b", "p+q %=ü").status_code == 200

    def test_wrong_passwords_in_a_row_lock_the_account_until_it_is_unlocked(
        self, simulator: SimulatorClient, caller: Caller
    ) -> None:
        # Given four wrong passwords, a right one that starts the count anew, and five more
        simulator.patch_account("api_user", {"limits": {"loginsPerMinute": 100}})
        for _ in range(4):
            caller.login(password="wrong")
        assert caller.login().status_code == 200
        assert [caller.login(password="wrong").status_code for _ in range(5)] == [400] * 5

        # When
        reply = caller.login()

        # Then even the right password is refused
        assert reply.status_code == 401
        assert reply.json()["errorCode"] == "PASSWORD_LOCKOUT"
        simulator.unlock_account("api_user")
        assert caller.login().status_code == 200
        assert simulator.summary().refused_logins == 10

    def test_logins_are_throttled_to_ten_a_minute_for_each_account(
        self, simulator: SimulatorClient, caller: Caller
    ) -> None:
        # Given
        simulator.put_account(AccountSettings(username="other"))
        assert [caller.login().status_code for _ in range(10)] == [200] * 10

        # When
        reply = caller.login()

        # Then
        assert reply.status_code == 429
        assert reply.json() == envelope(
            "Request limit exceeded.",
            "API_LIMIT_EXCEEDED",
            "You exceeded your allowable limit to call the Login API function. Please try again in a minute.",
        )
        assert caller.login("other").status_code == 200
        simulator.advance_clock(60)
        assert caller.login().status_code == 200

    def test_a_live_token_is_refreshed_and_the_old_one_stays_valid(self, caller: Caller, token: str) -> None:
        reply = caller.refresh(token)

        assert reply.status_code == 200
        assert reply.json()["authToken"] != token
        assert caller.trigger(token).status_code == 200
        assert caller.trigger(reply.json()["authToken"]).status_code == 200

    def test_an_expired_token_is_not_refreshed(self, simulator: SimulatorClient, caller: Caller, token: str) -> None:
        simulator.advance_clock(7200)

        assert caller.refresh(token).json()["errorCode"] == "TOKEN_EXPIRED"

    def test_older_tokens_survive_a_newer_login(self, caller: Caller, token: str) -> None:
        assert caller.token() != token
        assert caller.trigger(token).status_code == 200

    @pytest.mark.parametrize("end_point", ["api.responsys.example", "https://evil.example"])
    def test_the_end_point_can_be_any_other(self, simulator: SimulatorClient, caller: Caller, end_point: str) -> None:
        simulator.reset(only(replies=Replies(end_point=end_point)))

        assert caller.login().json()["endPoint"] == end_point


class TestToken:
    @pytest.mark.parametrize("scheme", ["", "Bearer ", "garbage"])
    def test_anything_but_a_raw_token_is_refused_as_recorded(
        self, simulator: SimulatorClient, caller: Caller, token: str, scheme: str
    ) -> None:
        # When: no token at all for the empty scheme
        reply = caller.trigger(scheme + token if scheme else "")

        # Then
        assert reply.status_code == 401
        assert reply.json() == envelope("Not a valid token", "INVALID_TOKEN", "Not a valid authentication token")
        assert simulator.inbox_count() == 0
        expected = {"": "absent", "Bearer ": "with scheme", "garbage": "token"}[scheme]
        assert simulator.requests(kind="event")[0].authorization == expected

    def test_a_token_expires_at_the_end_of_its_lifetime(
        self, simulator: SimulatorClient, caller: Caller, token: str
    ) -> None:
        simulator.advance_clock(7190)
        assert caller.trigger(token).status_code == 200

        simulator.advance_clock(10)
        reply = caller.trigger(token)

        assert reply.status_code == 401
        assert reply.json() == envelope("Authentication token expired", "TOKEN_EXPIRED", "Token expired")

    def test_use_does_not_extend_a_lifetime_and_the_time_scale_shortens_it(
        self, simulator: SimulatorClient, caller: Caller
    ) -> None:
        # Given a lifetime of 300 simulated seconds, of which 1000 pass in a real one
        account = AccountSettings(limits=Limits(token_lifetime_seconds=300, requests_per_minute=10_000))
        simulator.reset(SimulatorSettings(time_scale=1000, accounts=(account,)))
        token = caller.token()

        # When
        deadline = time.monotonic() + TIMEOUT
        while caller.trigger(token).status_code == 200 and time.monotonic() < deadline:
            time.sleep(0.02)

        # Then
        assert caller.trigger(token).json()["errorCode"] == "TOKEN_EXPIRED"

    def test_revoked_tokens_are_invalid(self, simulator: SimulatorClient, caller: Caller, token: str) -> None:
        simulator.revoke_tokens("api_user")

        assert caller.trigger(token).json()["errorCode"] == "INVALID_TOKEN"


class TestTriggerCustomEvent:
    def test_accepted_recipients_are_answered_in_order_and_kept_in_the_inbox(
        self, simulator: SimulatorClient, caller: Caller, token: str
    ) -> None:
        # Given
        before = time.time() * 1000
        hashed = hashlib.sha256(b"a@example.com").hexdigest()
        records = [record(364470825), record(customerId="C-1"), record(emailSHA256Hash=hashed)]

        # When
        reply = caller.trigger(token, records, headers={"X-Request-Id": "request-1"})

        # Then
        assert reply.status_code == 200
        results = reply.json()
        assert [result["success"] for result in results] == [True] * 3
        assert [result["errorMessage"] for result in results] == [None] * 3
        assert results[0]["recipientId"] == 364470825
        assert all(10**9 <= result["recipientId"] < 10**10 for result in results[1:])

        inbox = simulator.inbox()
        assert [(event.identifier_kind, event.identifier, event.position) for event in inbox] == [
            ("recipientId", "364470825", 0),
            ("customerId", "C-1", 1),
            ("emailSHA256Hash", hashed, 2),
        ]
        assert [event.recipient_id for event in inbox] == [result["recipientId"] for result in results]
        first = inbox[0]
        assert first.account == "api_user"
        assert first.event_name == "SEGMENT_CHANGED"
        assert first.list_name == "CONTACTS_LIST"
        assert first.properties == [{"name": "profileId", "value": "p"}, {"name": "callType", "value": "ADD"}]
        assert first.request_id == "request-1"
        assert [event.sequence_number for event in inbox] == [0, 1, 2]
        assert before <= first.arrived_at_ms <= time.time() * 1000

    def test_the_same_identifier_always_has_the_same_recipient_id(self, caller: Caller, token: str) -> None:
        ids = {
            caller.trigger(token, [record(emailAddress=address)]).json()[0]["recipientId"]
            for address in ("a@example.com", "A@Example.com ", "a@example.com")
        }

        assert len(ids) == 1

    def test_the_key_order_of_results_varies(self, caller: Caller, token: str) -> None:
        orders = {tuple(caller.trigger(token).json()[0]) for _ in range(4)}

        assert len(orders) > 1

    @pytest.mark.parametrize(
        "body",
        [
            {"customEvent": {}, "recipientData": [record(1) | {"optionalData": None}]},
            {"customEvent": {"eventStringDataMapping": ""}, "recipientData": [record(1)]},
            {
                "customEvent": {"eventNumberDataMapping": None, "eventDateDataMapping": None},
                "recipientData": [record(1, customerId=None, mobileNumber=None, emailFormat="HTML_FORMAT")],
            },
            {
                "customEvent": {},
                "recipientData": [{"recipient": {"recipientId": 1, "listName": {"objectName": "CONTACTS_LIST"}}}],
            },
        ],
        ids=["null properties", "empty mapping", "nulls", "no properties and no folder"],
    )
    def test_forms_seen_on_the_wire_are_accepted(self, caller: Caller, token: str, body: dict[str, Any]) -> None:
        reply = caller.trigger(token, data=json.dumps(body).encode())

        assert reply.status_code == 200
        assert reply.json()[0]["success"] is True

    def test_an_event_name_is_one_percent_decoded_path_segment(
        self, simulator: SimulatorClient, caller: Caller, token: str
    ) -> None:
        simulator.patch_account("api_user", {"events": [{"name": "[T] a/b%ü"}]})

        assert caller.trigger(token, event_name="%5BT%5D%20a%2Fb%25%C3%BC").status_code == 200
        assert simulator.inbox()[0].event_name == "[T] a/b%ü"

    def test_an_unknown_event_is_not_found(self, caller: Caller, token: str) -> None:
        reply = caller.trigger(token, event_name="UNKNOWN")

        assert reply.status_code == 404
        assert reply.json()["errorCode"] == "CUSTOM_EVENT_NOT_FOUND"

    def test_two_hundred_recipients_pass_and_one_more_refuses_all(
        self, simulator: SimulatorClient, caller: Caller, token: str
    ) -> None:
        assert len(caller.trigger(token, [record(n) for n in range(1, 201)]).json()) == 200

        reply = caller.trigger(token, [record(n) for n in range(1, 202)])

        assert reply.status_code == 400
        assert reply.json()["errorCode"] == "RECIPIENT_LIMIT_EXCEEDED"
        assert reply.json()["detail"] == (
            "Recipient limit exceeded, maximum of 200 recipients are allowed per each api call"
        )
        assert simulator.inbox_count() == 200

    def test_more_than_ten_megabytes_cut_the_connection(
        self, simulator: SimulatorClient, caller: Caller, token: str
    ) -> None:
        with pytest.raises(requests.ConnectionError):
            caller.trigger(token, data=b" " * 10_000_001)

        logged = simulator.requests(kind="event")[0]
        assert (logged.status, logged.accepted) == (None, 0)
        assert simulator.summary().unanswered_requests == 1

    def test_a_length_announced_as_too_much_cuts_the_connection_before_the_body_is_read(
        self, simulator: SimulatorClient, token: str
    ) -> None:
        # Given a caller that announces a body and waits before it sends it
        head = (
            "POST /rest/api/v1.3/events/SEGMENT_CHANGED HTTP/1.1\r\nHost: x\r\n"
            f"Authorization: {token}\r\nContent-Type: {JSON_TYPE}\r\nContent-Length: 10000001\r\n\r\n"
        )
        port = int(simulator.url.rsplit(":", 1)[1])
        with socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT) as connection:
            connection.sendall(head.encode())

            # Then
            with pytest.raises(ConnectionResetError):
                connection.recv(1)

    def test_ten_megabytes_in_chunks_cut_the_connection(
        self, simulator: SimulatorClient, caller: Caller, token: str
    ) -> None:
        # Given a body whose length is not known beforehand
        simulator.patch_account("api_user", {"limits": {"maximumRequestBytes": 1000}})

        with pytest.raises(requests.ConnectionError):
            requests.post(
                f"{caller.url}/rest/api/v1.3/events/SEGMENT_CHANGED",
                data=(b" " * 600 for _ in range(200)),
                headers={"Authorization": token, "Content-Type": JSON_TYPE},
                timeout=TIMEOUT,
            )

    @pytest.mark.parametrize(
        "data",
        [
            b"",
            b"{",
            b"[]",
            b"null",
            b'{"recipientData": []}',
            b'{"customEvent": {}}',
            b'{"customEvent": {}, "recipientData": []}',
            b'{"customEvent": {}, "recipientData": {}}',
            b'{"customEvent": {}, "recipientData": [], "more": 1}',
            b'{"customEvent": null, "recipientData": [{"recipient": {}}]}',
            b'{"customEvent": {"x": 1}, "recipientData": [{"recipient": {}}]}',
            b'{"customEvent": {}, "recipientData": [NaN]}',
            b"[" * 200_000,
            b'{"customEvent": {}, "recipientData": [{"recipient": {"customerId": "\\ud800"}}]}',
            json.dumps({"customEvent": {}, "recipientData": [record(customerId="ü")]}, ensure_ascii=False).encode(),
        ],
        ids=[str(number) for number in range(14)] + ["raw non-ASCII"],
    )
    def test_content_that_is_not_a_trigger_request_is_refused(
        self, simulator: SimulatorClient, caller: Caller, token: str, data: bytes
    ) -> None:
        reply = caller.trigger(token, data=data)

        assert reply.status_code == 400
        assert reply.json()["errorCode"] == "INVALID_REQUEST_CONTENT"
        assert simulator.inbox_count() == 0

    def test_another_content_type_is_refused(self, caller: Caller, token: str) -> None:
        reply = caller.trigger(token, headers={"Content-Type": "text/plain"})

        assert reply.json()["errorCode"] == "INVALID_REQUEST_CONTENT"

    def test_escaped_text_arrives_as_it_was(self, simulator: SimulatorClient, caller: Caller, token: str) -> None:
        text = "Zoë 🎈 日本"
        properties = [{"name": "greeting", "value": text}, {"name": "empty", "value": ""}]

        caller.trigger(token, [record(1) | {"optionalData": properties}])

        assert simulator.inbox()[0].properties == properties

    @pytest.mark.parametrize(
        "bad_record",
        [
            record(1) | {"unknown": 1},
            record(1, unknown=1),
            record(recipientId="364470825"),
            record(recipientId=1.0),
            record(recipientId=True),
            record(recipientId=2**63),
            record(customerId=5),
            record(1, emailFormat="MULTIPART_FORMAT"),
            record(1) | {"optionalData": {"name": "a", "value": "b"}},
            record(1) | {"optionalData": [{"name": "a"}]},
            record(1) | {"optionalData": [{"name": "a", "value": None}]},
            record(1) | {"optionalData": [{"name": "a", "value": 5}]},
            record(1) | {"optionalData": [{"name": "", "value": "b"}]},
            record(1) | {"optionalData": [{"name": "a", "value": "b", "type": "c"}]},
            {"optionalData": []},
            {"recipient": None},
            "text",
        ],
    )
    def test_a_bad_record_refuses_the_request_and_is_named(
        self, simulator: SimulatorClient, caller: Caller, token: str, bad_record: Any
    ) -> None:
        reply = caller.trigger(token, [record(1), record(2), bad_record, record(4)])

        assert reply.status_code == 400
        assert reply.json()["errorCode"] == "INVALID_PARAMETER"
        assert reply.json()["detail"].startswith("Record 2 = ")
        assert simulator.inbox_count() == 0

    def test_a_recipient_set_as_invalid_refuses_the_request_whenever_it_is_in_one(
        self, simulator: SimulatorClient, caller: Caller, token: str
    ) -> None:
        # Given a recipient that Responsys takes no request with
        simulator.patch_account("api_user", {"recipients": {"invalid": {"identifiers": ["2"]}}})

        # When it comes with others, and the others come without it
        refused = [caller.trigger(token, [record(1), record(2)]) for _ in range(2)]
        taken = caller.trigger(token, [record(1)])

        # Then its record is named, each time
        assert {(reply.status_code, reply.json()["errorCode"]) for reply in refused} == {(400, "INVALID_PARAMETER")}
        assert refused[0].json()["detail"].startswith("Record 1 = ")
        assert (taken.status_code, simulator.inbox_count()) == (200, 1)

    @pytest.mark.parametrize(
        ("replies", "start"),
        [
            (Replies(first_record_number=1), "Record 2 = recipient.recipientId"),
            (Replies(invalid_record_is_named=False), "recipient.recipientId"),
        ],
    )
    def test_records_can_be_counted_from_one_or_not_named(
        self, simulator: SimulatorClient, caller: Caller, replies: Replies, start: str
    ) -> None:
        simulator.reset(only(replies=replies))

        reply = caller.trigger(caller.token(), [record(1), record(recipientId="x")])

        assert reply.json()["detail"].startswith(start)


class TestRecipientResults:
    def test_recipients_outside_the_list_get_their_recorded_results(
        self, simulator: SimulatorClient, caller: Caller
    ) -> None:
        # Given
        recipients = Recipients(
            unknown=IdentifierSet(identifiers=frozenset({"404"}), prefixes=("unknown-",)),
            ambiguous=IdentifierSet(prefixes=("double-",)),
            undeliverable=IdentifierSet(prefixes=("bounced-",)),
            failing=IdentifierSet(prefixes=("broken-",)),
            failure_text="FAILURE: no luck",
        )
        simulator.reset(only(recipients=recipients))
        names = ["unknown-1", "double-1", "bounced-1", "broken-1", "good-1"]

        # When
        reply = caller.trigger(caller.token(), [record(404), *(record(customerId=name) for name in names)])

        # Then
        assert reply.status_code == 200
        unknown = {"errorMessage": "NO_RECIPIENT_FOUND: Recipient Not Found", "success": False, "recipientId": -1}
        assert reply.json()[:2] == [unknown, unknown]
        assert [result["errorMessage"] for result in reply.json()[2:]] == [
            "MULTIPLE_RECIPIENTS_FOUND",
            "RECIPIENT_STATUS_UNDELIVERABLE: Recipient deliverability status is undeliverable",
            "FAILURE: no luck",
            None,
        ]
        assert [(event.identifier, event.position) for event in simulator.inbox()] == [("good-1", 5)]
        assert simulator.summary().result_codes == {
            "NO_RECIPIENT_FOUND": 2,
            "MULTIPLE_RECIPIENTS_FOUND": 1,
            "RECIPIENT_STATUS_UNDELIVERABLE": 1,
            "FAILURE": 1,
        }

    @pytest.mark.parametrize(
        ("list_name", "message"),
        [
            (None, "PROFILE_LIST_NOT_FOUND"),
            ({"objectName": None, "folderName": "!MasterData"}, "PROFILE_LIST_NOT_FOUND"),
            ({"objectName": "OTHER", "folderName": "!MasterData"}, "PROFILE_LIST_NOT_FOUND"),
            ({"objectName": "CONTACTS_LIST", "folderName": "Elsewhere"}, "PROFILE_LIST_NOT_FOUND_IN_FOLDER"),
        ],
    )
    def test_a_wrong_profile_list_fails_each_recipient_under_http_200(
        self, caller: Caller, token: str, list_name: dict[str, str] | None, message: str
    ) -> None:
        records = [record(n) for n in (1, 2)]
        for each in records:
            each["recipient"]["listName"] = list_name

        reply = caller.trigger(token, records)

        assert reply.status_code == 200
        failed = {"errorMessage": message, "recipientId": -1, "success": False}
        assert reply.json() == [failed, failed]

    def test_a_recipient_without_an_identifier_is_not_found(self, caller: Caller, token: str) -> None:
        reply = caller.trigger(token, [record(), record(customerId=""), record(0)])

        assert {result["errorMessage"] for result in reply.json()} == {"NO_RECIPIENT_FOUND: Recipient Not Found"}

    @pytest.mark.parametrize(
        ("identifiers", "kind"),
        [
            ({"mobileNumber": "1", "customerId": "2", "emailAddress": "3", "recipientId": 4}, "recipientId"),
            ({"mobileNumber": "1", "customerId": "2", "emailAddress": "3"}, "emailAddress"),
            ({"mobileNumber": "1", "customerId": "2"}, "customerId"),
            ({"emailMD5Hash": "1", "emailSHA256Hash": "2", "mobileNumber": "3"}, "mobileNumber"),
            ({"emailMD5Hash": "1", "emailSHA256Hash": "2"}, "emailSHA256Hash"),
        ],
    )
    def test_the_first_identifier_in_the_documented_order_counts_and_the_others_are_noted(
        self,
        simulator: SimulatorClient,
        caller: Caller,
        token: str,
        identifiers: dict[str, Any],
        kind: str,
    ) -> None:
        caller.trigger(token, [record(**identifiers)])

        assert simulator.inbox()[0].identifier_kind == kind
        (warning,) = simulator.summary().warnings
        assert warning.startswith(f"several identifiers: {kind}, ")

    def test_system_column_names_are_noted_but_not_refused(
        self, simulator: SimulatorClient, caller: Caller, token: str
    ) -> None:
        properties = [{"name": "EMAIL_ADDRESS_", "value": "x"}]

        reply = caller.trigger(token, [record(n) | {"optionalData": properties} for n in (1, 2)])

        assert [result["success"] for result in reply.json()] == [True, True]
        assert simulator.summary().warnings == {"system column name: EMAIL_ADDRESS_": 2}

    @pytest.mark.parametrize(
        "records",
        [
            [record(7), record(1), record(7)],
            [record(emailAddress="a@example.com"), record(1), record(emailAddress=" A@example.com")],
            [record(7) | {"optionalData": [{"name": "a", "value": "1"}, {"name": "A", "value": "2"}]}, record(1)],
        ],
        ids=["recipient", "e-mail address in other letters", "property name in other letters"],
    )
    def test_duplicates_fail_the_recipients_concerned(
        self, caller: Caller, token: str, records: list[dict[str, Any]]
    ) -> None:
        messages = [result["errorMessage"] for result in caller.trigger(token, records).json()]

        assert messages == ["MULTIPLE_RECIPIENTS_FOUND", None, "MULTIPLE_RECIPIENTS_FOUND"][: len(records)]


class TestReadCalls:
    def test_events_lists_fields_and_end_point_are_shown(self, caller: Caller, token: str) -> None:
        events = caller.get("v1.3/events", token).json()
        lists = caller.get("v1.3/lists", token).json()
        fields = caller.get("v1.3/lists/CONTACTS_LIST/fields", token).json()

        assert events[0] == {"eventName": "SEGMENT_CHANGED", "description": "", "eventType": "1"}
        assert lists == [fields]
        assert (fields["name"], fields["folderName"]) == ("CONTACTS_LIST", "!MasterData")
        assert {"fieldName": "RIID_", "fieldType": "INTEGER"} in fields["fields"]
        assert caller.get("v1.3/settings/account/endpoint", token).json() == {
            "apiType": "rest",
            "endPoint": caller.url,
        }
        unknown_list = caller.get("v1.3/lists/OTHER/fields", token)
        assert (unknown_list.status_code, unknown_list.json()["errorCode"]) == (404, "LIST_NOT_FOUND")

    def test_an_account_without_events_has_none_to_show(
        self, simulator: SimulatorClient, caller: Caller, token: str
    ) -> None:
        simulator.patch_account("api_user", {"events": []})

        assert caller.get("v1.3/events", token).json() == envelope(
            "Custom event not found",
            "CUSTOM_EVENT_NOT_FOUND",
            "Account : api_user : does not have any custom events.",
        )

    def test_throttling_limits_are_shown_without_a_version_in_the_path(self, caller: Caller, token: str) -> None:
        rows = caller.get("ratelimit", token).json()

        limits = {(row["resource_path"], row["verb"]): row["limit"] for row in rows}
        assert limits["/events/{eventName}", "POST"] == 200
        assert limits["/auth/token", "POST"] == 10
        assert rows[0].keys() == {"limit", "api", "resource_path", "verb", "description"}

        with_version = caller.get("v1.3/ratelimit", token)
        assert with_version.status_code == 404
        assert with_version.headers["Content-Type"].startswith("text/html")

    def test_throttling_limits_answer_500_to_a_bad_token(self, caller: Caller) -> None:
        reply = caller.get("ratelimit", "garbage")

        assert reply.status_code == 500
        assert reply.json()["errorCode"] == "UNEXPECTED_EXCEPTION"
        assert reply.json()["detail"] == "Not a valid authentication token"

    def test_a_wrong_path_is_an_html_page_and_a_wrong_method_an_envelope(self, caller: Caller, token: str) -> None:
        wrong_path = caller.get("v1.3/event", token)
        wrong_method = caller.get("v1.3/events/SEGMENT_CHANGED", token)

        assert wrong_path.status_code == 404
        assert wrong_path.text.startswith("<html>")
        assert wrong_method.status_code == 405
        assert wrong_method.json()["errorCode"] == "METHOD_NOT_SUPPORTED"


class TestThrottles:
    def test_requests_are_limited_in_any_minute_for_each_account_and_function(
        self, simulator: SimulatorClient, caller: Caller
    ) -> None:
        # Given three requests a minute, two used at the start and one 40 s later
        three = Limits(requests_per_minute=3)
        simulator.reset(
            SimulatorSettings(accounts=(AccountSettings(limits=three), AccountSettings(username="other", limits=three)))
        )
        token, other = caller.token(), caller.token(username="other")
        caller.trigger(token)
        caller.trigger(token)
        simulator.advance_clock(40)
        caller.trigger(token)

        # When
        reply = caller.trigger(token)

        # Then
        assert reply.status_code == 429
        assert reply.json() == envelope(
            "Request limit exceeded.",
            "API_LIMIT_EXCEEDED",
            "You exceeded your allowable limit to call the Trigger Custom Event API function. "
            "Please try again in a minute.",
        )
        assert caller.trigger(other).status_code == 200
        assert caller.get("v1.3/events", token).status_code == 200
        # ... and the window slides: 20 s later the first two are forgotten, the third is not
        simulator.advance_clock(21)
        assert [caller.trigger(token).status_code for _ in range(3)] == [200, 200, 429]
        assert simulator.summary("api_user").throttled_requests == 2
        assert simulator.inbox_count("api_user") == 5

    def test_refused_requests_count_when_so_set(self, simulator: SimulatorClient, caller: Caller) -> None:
        simulator.reset(only(limits=Limits(requests_per_minute=1, refused_requests_count=True)))
        token = caller.token()
        caller.trigger(token)
        simulator.advance_clock(50)
        assert caller.trigger(token).status_code == 429
        simulator.advance_clock(50)

        assert caller.trigger(token).status_code == 429

    def test_throttled_requests_are_refused_before_anything_else_is_looked_at(
        self, simulator: SimulatorClient, caller: Caller
    ) -> None:
        simulator.reset(only(limits=Limits(requests_per_minute=0)))

        assert caller.trigger(caller.token(), data=b"{").status_code == 429

    def test_an_outage_lasts_its_simulated_seconds_or_until_ended(
        self, simulator: SimulatorClient, caller: Caller, token: str
    ) -> None:
        simulator.start_capacity_outage("api_user", seconds=600)
        assert caller.trigger(token).json()["errorCode"] == "INTERNAL_CAPACITY_LIMIT_EXCEEDED"
        simulator.advance_clock(600)
        assert caller.trigger(token).status_code == 200

        simulator.start_capacity_outage()
        simulator.advance_clock(3600)
        assert caller.trigger(token).status_code == 400
        simulator.end_capacity_outage()
        assert caller.trigger(token).status_code == 200

    def test_the_clock_can_run_faster(self, simulator: SimulatorClient, caller: Caller) -> None:
        simulator.reset(only(limits=Limits(requests_per_minute=1)))
        token = caller.token()
        caller.trigger(token)
        assert caller.trigger(token).status_code == 429

        simulator.run_clock_at(600)
        time.sleep(0.15)

        assert caller.trigger(token).status_code == 200


class TestFaults:
    @pytest.mark.parametrize(
        ("fault", "expected"),
        [
            (ErrorReply(status=503, text="Service Unavailable", content_type="text/plain"), (503, "Service")),
            (ErrorReply(status=502, text="<html>Bad Gateway</html>"), (502, "<html>")),
            (ErrorReply(status=200, text="<html>Hello</html>"), (200, "<html>")),
            (ErrorReply(status=401, error_code="ACCOUNT_SUSPENDED"), (401, '"errorCode": "ACCOUNT_SUSPENDED"')),
            (ErrorReply(status=200, error_code="API_BLOCKED"), (200, '"errorCode": "API_BLOCKED"')),
        ],
    )
    def test_any_error_can_be_answered_once_without_carrying_out_the_request(
        self, simulator: SimulatorClient, caller: Caller, token: str, fault: ErrorReply, expected: tuple[int, str]
    ) -> None:
        simulator.add_fault(fault)

        reply = caller.trigger(token)

        assert reply.status_code == expected[0]
        assert expected[1] in reply.text
        assert simulator.inbox_count() == 0
        assert simulator.requests(kind="event")[0].fault == "error"
        assert caller.trigger(token).status_code == 200

    def test_an_error_can_hide_that_the_request_was_carried_out(
        self, simulator: SimulatorClient, caller: Caller, token: str
    ) -> None:
        simulator.add_fault(ErrorReply(status=500, error_code="UNEXPECTED_EXCEPTION", accept_first=True))

        assert caller.trigger(token).status_code == 500
        assert simulator.inbox_count() == 1

    def test_a_reset_before_the_work_loses_the_request_and_one_after_it_only_the_reply(
        self, simulator: SimulatorClient, caller: Caller, token: str
    ) -> None:
        simulator.add_fault(ConnectionReset())
        with pytest.raises(requests.ConnectionError):
            caller.trigger(token)
        assert simulator.inbox_count() == 0

        simulator.add_fault(ConnectionReset(accept_first=True))
        with pytest.raises(requests.ConnectionError):
            caller.trigger(token)
        assert simulator.inbox_count() == 1
        assert simulator.summary().unanswered_requests == 2

    @pytest.mark.parametrize("accept_first", [True, False])
    def test_a_slow_reply_outlasts_the_callers_patience(
        self, simulator: SimulatorClient, caller: Caller, token: str, accept_first: bool
    ) -> None:
        # Given
        simulator.add_fault(SlowReply(seconds=1, accept_first=accept_first))

        # When
        with pytest.raises(requests.ReadTimeout):
            caller.trigger(token, timeout=0.2)

        # Then
        deadline = time.monotonic() + TIMEOUT
        while not simulator.requests(kind="event") and time.monotonic() < deadline:
            time.sleep(0.01)
        (logged,) = simulator.requests(kind="event")
        assert logged.status is None
        assert simulator.inbox_count() == int(accept_first)

    def test_a_slow_reply_arrives_after_all(self, simulator: SimulatorClient, caller: Caller, token: str) -> None:
        simulator.add_fault(SlowReply(seconds=0.2))

        reply = caller.trigger(token)

        assert reply.json()[0]["success"] is True
        assert reply.elapsed.total_seconds() >= 0.2

    def test_truncated_json_follows_an_accepted_request(
        self, simulator: SimulatorClient, caller: Caller, token: str
    ) -> None:
        simulator.add_fault(TruncatedReply())

        reply = caller.trigger(token)

        assert reply.status_code == 200
        with pytest.raises(requests.JSONDecodeError):
            reply.json()
        assert simulator.inbox_count() == 1

    def test_a_reply_can_end_before_its_promised_length(
        self, simulator: SimulatorClient, caller: Caller, token: str
    ) -> None:
        simulator.add_fault(TruncatedReply(cut_connection=True))

        with pytest.raises(requests.exceptions.ChunkedEncodingError, match="IncompleteRead"):
            caller.trigger(token)

        assert simulator.inbox_count() == 1

    @pytest.mark.parametrize(("difference", "length"), [(-1, 1), (1, 3)])
    def test_a_reply_can_have_the_wrong_number_of_results(
        self, simulator: SimulatorClient, caller: Caller, token: str, difference: Any, length: int
    ) -> None:
        simulator.add_fault(WrongLengthReply(difference=difference))

        reply = caller.trigger(token, [record(1), record(2)])

        assert len(reply.json()) == length
        assert simulator.inbox_count() == 2

    def test_a_redirect_points_elsewhere(self, simulator: SimulatorClient, caller: Caller, token: str) -> None:
        simulator.add_fault(Redirect(url="https://elsewhere.example/"))

        reply = caller.trigger(token, allow_redirects=False)

        assert (reply.status_code, reply.headers["Location"]) == (302, "https://elsewhere.example/")

    def test_faults_hit_only_what_they_are_meant_for(
        self, simulator: SimulatorClient, caller: Caller, token: str
    ) -> None:
        # Given
        simulator.put_account(AccountSettings(username="other"))
        simulator.add_fault(ErrorReply(account="other", path="any"))
        simulator.add_fault(ErrorReply(event_name="CART_ABANDONED", status=503))
        simulator.add_fault(ErrorReply(path="login", status=504, times=2))

        # Then
        assert caller.trigger(token).status_code == 200
        assert caller.trigger(token, event_name="CART_ABANDONED").status_code == 503
        assert [caller.login().status_code for _ in range(3)] == [504, 504, 200]
        assert [caller.login("other").status_code for _ in range(2)] == [500, 200]

    def test_lasting_faults_stay_until_deleted(self, simulator: SimulatorClient, caller: Caller, token: str) -> None:
        fault_id = simulator.add_fault(ErrorReply(status=503, times=None))
        assert [caller.trigger(token).status_code for _ in range(3)] == [503] * 3

        simulator.delete_faults(fault_id)

        assert caller.trigger(token).status_code == 200

    def test_a_refused_token_or_throttle_uses_no_fault_up(
        self, simulator: SimulatorClient, caller: Caller, token: str
    ) -> None:
        simulator.add_fault(ErrorReply(status=503))
        simulator.start_capacity_outage()

        assert caller.trigger("garbage").status_code == 401
        assert caller.trigger(token).status_code == 400
        simulator.end_capacity_outage()
        assert caller.trigger(token).status_code == 503

    def test_an_unknown_fault_is_refused_with_its_reason(self, simulator: SimulatorClient) -> None:
        reply = requests.post(
            f"{simulator.url}/_simulator/faults", json={"kind": "error", "sattus": 1}, timeout=TIMEOUT
        )

        assert reply.status_code == 400
        assert "sattus" in reply.text


class TestObservation:
    def test_the_request_log_holds_what_a_test_wants_to_know(
        self, simulator: SimulatorClient, caller: Caller, token: str
    ) -> None:
        reply = caller.trigger(token, [record(1), record(0)], headers={"X-Request-Id": "request-1"})

        login, event = simulator.requests()
        assert (login.kind, login.status, login.authorization) == ("login", 200, "absent")
        assert (event.kind, event.status, event.account) == ("event", 200, "api_user")
        assert (event.recipients, event.accepted, event.event_name) == (2, 1, "SEGMENT_CHANGED")
        assert (event.request_id, event.authorization) == ("request-1", "token")
        assert event.content_type == JSON_TYPE
        assert event.received_bytes == int(reply.request.headers["Content-Length"])
        assert event.correlation_id == reply.headers["X-CorrelationID"]
        assert (event.result_codes, event.error_code) == ({"NO_RECIPIENT_FOUND": 1}, None)

    def test_a_recipient_in_two_requests_at_once_is_an_overlap(
        self, simulator: SimulatorClient, caller: Caller, token: str
    ) -> None:
        # Given replies that take a while
        simulator.patch_account("api_user", {"replies": {"latencyMs": 300}})

        # When
        with ThreadPoolExecutor(3) as pool:
            sent = [pool.submit(caller.trigger, token, [record(n), record(n + 1)]) for n in (1, 2, 10)]
        assert [each.result().status_code for each in sent] == [200] * 3
        caller.trigger(token, [record(1)])

        # Then
        overlaps = [recipient for logged in simulator.requests(kind="event") for recipient in logged.overlaps]
        assert overlaps == ["recipientId=2"]
        assert simulator.summary().overlaps == 1
        assert simulator.summary().most_concurrent_requests == 3

    def test_latency_delays_every_answer_of_its_account(
        self, simulator: SimulatorClient, caller: Caller, token: str
    ) -> None:
        simulator.patch_account("api_user", {"replies": {"latencyMs": 100}})

        assert caller.trigger(token).elapsed.total_seconds() >= 0.1

    def test_duplicates_are_counted_by_the_properties_asked_for(
        self, simulator: SimulatorClient, caller: Caller, token: str
    ) -> None:
        # Given message m1 twice and m2 once for one recipient, m1 once for another, and one without an id
        def send(recipient_id: int, *properties: tuple[str, str]) -> None:
            named = [{"name": name, "value": value} for name, value in properties]
            caller.trigger(token, [record(recipient_id) | {"optionalData": named}])

        for message_id, recipient_id in (("m1", 1), ("m1", 1), ("m2", 1), ("m1", 2)):
            send(recipient_id, ("messageId", message_id), ("callType", "ADD"))
        send(1)

        # Then
        assert simulator.summary(duplicate_key=("messageId",)).duplicates == 1
        assert simulator.summary(duplicate_key=("messageid", "callType")).duplicates == 1
        assert simulator.summary(duplicate_key=("callType",)).duplicates == 2
        assert simulator.summary().duplicates == 0

    def test_the_inbox_is_filtered_and_paged(self, simulator: SimulatorClient, caller: Caller, token: str) -> None:
        # Given
        simulator.put_account(AccountSettings(username="other", lists=(ProfileList(name="CONTACTS_LIST"),)))
        caller.trigger(token, [record(n) for n in range(1, 6)])
        caller.trigger(token, [record(9)], event_name="CART_ABANDONED")
        caller.trigger(token, [record(n) for n in range(6, 9)])
        caller.trigger(caller.token(username="other"), [record(1)])

        # When
        query: dict[str, str | int] = {"account": "api_user", "eventName": "SEGMENT_CHANGED", "offset": 4, "limit": 3}
        page = requests.get(f"{simulator.url}/_simulator/inbox", params=query, timeout=TIMEOUT).json()

        # Then
        assert page["total"] == 8
        assert [event["identifier"] for event in page["events"]] == ["5", "6", "7"]
        assert [event.sequence_number for event in simulator.inbox(event_name="CART_ABANDONED")] == [5]
        assert simulator.inbox_count() == 10
        assert simulator.inbox_count("other") == 1

    def test_a_reset_forgets_everything_but_the_settings_it_was_given(
        self, simulator: SimulatorClient, caller: Caller, token: str
    ) -> None:
        simulator.reset(only(username="another"))
        caller.trigger(caller.token(username="another"))
        simulator.add_fault(ErrorReply(path="any"))

        simulator.reset()

        assert simulator.inbox_count() == 0
        assert caller.trigger(token).status_code == 401
        assert caller.login("another").status_code == 200

    def test_accounts_are_apart_and_can_be_changed_while_running(
        self, simulator: SimulatorClient, caller: Caller, token: str
    ) -> None:
        simulator.put_account(AccountSettings(username="other", events=(), password="tulip"))

        changed = simulator.patch_account("other", {"limits": {"requestsPerMinute": 7}})

        assert (changed.limits.requests_per_minute, changed.limits.logins_per_minute) == (7, 10)
        assert simulator.account("other") == changed
        other = caller.token(username="other", password="tulip")
        assert caller.trigger(other).json()["errorCode"] == "CUSTOM_EVENT_NOT_FOUND"
        assert caller.trigger(token).status_code == 200

    def test_ten_thousand_recipients_in_fifty_requests_take_well_under_a_second_of_work(
        self, simulator: SimulatorClient, caller: Caller, token: str
    ) -> None:
        requests_of_200 = [[record(start + n) for n in range(200)] for start in range(1, 10_001, 200)]

        for records in requests_of_200:
            caller.trigger(token, records)

        # The simulator's own measure, so that a busy machine's client side does not count.
        assert simulator.inbox_count() == 10_000
        assert sum(logged.duration_ms for logged in simulator.requests(kind="event")) < 1000


class TestCommandLine:
    @contextmanager
    def start(self, *arguments: str) -> Iterator["subprocess.Popen[str]"]:
        command = [sys.executable, "-m", "tests.simulator", *arguments]
        with child_process(
            command, cwd=PROJECT_ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as process:
            yield process

    @pytest.mark.parametrize("stop_signal", [signal.SIGTERM, signal.SIGINT])
    def test_it_announces_its_url_takes_settings_and_ends_cleanly(
        self, tmp_path: Path, stop_signal: signal.Signals
    ) -> None:
        # Given
        settings_file = tmp_path / "settings.json"
        settings_file.write_text(json.dumps({"accounts": [{"username": "from file"}]}))
        with self.start("--settings", str(settings_file), "--time-scale", "60") as process:
            assert process.stdout is not None
            url = json.loads(process.stdout.readline())["url"]
            assert Caller(url).login("from file").status_code == 200

            # When
            process.send_signal(stop_signal)
            _, errors = process.communicate(timeout=TIMEOUT)

        # Then
        assert (process.returncode, errors) == (0, "")

    @pytest.mark.parametrize(
        ("arguments", "reason"),
        [
            (["--host", "0.0.0.0"], "not a loopback address"),  # noqa: S104 - must be refused
            (["--settings", "missing.json"], "settings cannot be used"),
            (["--time-scale", "0"], "timeScale"),
        ],
    )
    def test_it_refuses_what_it_cannot_use(self, arguments: list[str], reason: str) -> None:
        with self.start(*arguments) as process:
            _, errors = process.communicate(timeout=TIMEOUT)

        assert process.returncode == 2
        assert reason in errors

    def test_a_port_in_use_gets_one_clear_line(self, simulator: SimulatorClient) -> None:
        port = simulator.url.rsplit(":", 1)[1]

        with self.start("--port", port) as process:
            _, errors = process.communicate(timeout=TIMEOUT)

        assert process.returncode == 1
        assert errors.startswith(f"cannot listen on 127.0.0.1:{port}: ")
        assert errors.count("\n") == 1
