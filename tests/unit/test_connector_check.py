"""Does the connector check find each mistake, say what to change, and do no harm while it looks?"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import pytest
import requests
from botocore.exceptions import ClientError

from responsys_activation.aws.connector_parameters import ConnectorParameters
from responsys_activation.aws.faults import AwsUnavailableError
from responsys_activation.check_report import all_ok, count_failures, log_checked, report_document
from responsys_activation.check_request import InvalidCheckRequestError, read_check_request
from responsys_activation.checked_connector import CheckedConnector
from responsys_activation.connector import Connector
from responsys_activation.connector_check import ConnectorCheck
from responsys_activation.endpoint import TrustedDomains
from responsys_activation.finding import Check, Level
from responsys_activation.observability import InvocationMetrics
from responsys_activation.outcome import ErrorCode
from responsys_activation.proving_login import NewTokensOnly
from responsys_activation.responsys.errors import LoginRefusedError
from responsys_activation.responsys.login import Credentials, Token
from responsys_activation.responsys.session import RefusedLogin, Session
from tests.fakes.clock import NOW, Clock
from tests.fakes.login_state import LoginState, SeenLogins, SharedGuard, SharedToken
from tests.fakes.memberships import ABSENT, connector_document
from tests.fakes.responsys_transport import Answer, ResponsysTransport, refusing, replying

END_POINT = "https://api5-009.responsys.net"
PASSWORD = "marked-password"
USERNAME = "marked-user"
AUTH_TOKEN = "marked-token"
LOGIN, LISTS, EVENTS, LIMITS = (
    "/rest/api/v1.3/auth/token",
    "/rest/api/v1.3/lists",
    "/rest/api/v1.3/events",
    "/rest/api/ratelimit",
)


class Account:
    """A Responsys account behind a transport; `instead` replaces the reply of a path."""

    def __init__(self) -> None:
        self.lists = [{"name": "CONTACTS_LIST", "folderName": "!MasterData", "fields": []}]
        self.events = ["SEGMENT_CHANGED", "CART_ABANDONED"]
        self.limits: Any = [
            {"limit": 200, "api": "trigger", "resource_path": "/events/{eventName}", "verb": "POST"},
            {"limit": 10, "api": "login", "resource_path": "/auth/token", "verb": "POST"},
        ]
        self.end_point = END_POINT
        self.instead: dict[str, Answer | Exception] = {}
        self.calls: Counter[str] = Counter()
        self.transport = ResponsysTransport(self._answer)

    def _answer(self, request: requests.PreparedRequest) -> Answer:
        path = request.path_url
        self.calls[path] += 1
        if isinstance(instead := self.instead.get(path), Exception):
            raise instead
        if instead:
            return instead
        if path == LOGIN:
            if f"password={PASSWORD}" not in str(request.body):
                return refusing(400, "INVALID_USER_NAME_PASSWORD", title="Invalid username or password")
            return replying({"authToken": AUTH_TOKEN, "issuedAt": 1, "endPoint": self.end_point})
        assert request.headers["Authorization"] == AUTH_TOKEN
        assert request.method == "GET"
        events = [{"eventName": name, "description": "", "eventType": "1"} for name in self.events]
        return replying({LISTS: self.lists, EVENTS: events, LIMITS: self.limits}[path])


class Parameters:
    """SSM with two parameters a page."""

    def __init__(self) -> None:
        self.stored: dict[str, tuple[str, str]] = {}
        self.asked_for: list[str] = []

    def get_parameter(self, *, Name: str) -> dict[str, Any]:  # noqa: N803
        self.asked_for.append(Name)
        if Name not in self.stored:
            raise ClientError({"Error": {"Code": "ParameterNotFound"}}, "GetParameter")
        return {"Parameter": self._parameter(Name)}

    def get_parameters_by_path(self, *, Path: str, NextToken: str = "0") -> dict[str, Any]:  # noqa: N803
        names = [name for name in self.stored if name.startswith(f"{Path}/")]
        start = int(NextToken)
        page: dict[str, Any] = {"Parameters": [self._parameter(name) for name in names[start : start + 2]]}
        return page | ({"NextToken": str(start + 2)} if len(names) > start + 2 else {})

    def _parameter(self, name: str) -> dict[str, str]:
        text, kind = self.stored[name]
        return {"Name": name, "Value": text, "Type": kind}


@dataclass
class Stack:
    """A stack without connectors, and the account that they lead to."""

    account: Account = field(default_factory=Account)
    parameters: Parameters = field(default_factory=Parameters)
    passwords: dict[str, str] = field(default_factory=lambda: {"stack/default": PASSWORD})
    tokens: dict[str, SharedToken] = field(default_factory=dict)
    logins: dict[str, LoginState] = field(default_factory=dict)
    seen: SeenLogins = field(default_factory=SeenLogins)
    clock: Clock = field(default_factory=Clock)
    unreadable: str = ""

    def put(self, name: str = "default", *, kind: str = "String", text: str | None = None, **changes: Any) -> None:
        value = json.dumps(connector_document(**changes)) if text is None else text
        self.parameters.stored[f"/stack/connectors/{name}"] = (value, kind)

    def check(self, *names: str, seconds: float = 300) -> list[CheckedConnector]:
        trusted = TrustedDomains(("responsys.net",))
        http = self.account.transport.session()

        def open_session(name: str, connector: Connector, credentials: Credentials) -> Session:
            store = self.tokens.setdefault(name, SharedToken())
            return Session(
                name,
                connector,
                http=http,
                trusted=trusted,
                token_store=NewTokensOnly(store, since=self.clock()),
                credentials=lambda: credentials,
                guard=SharedGuard(self.logins.setdefault(name, LoginState())),
                observe_login=self.seen,
                clock=self.clock,
                sleep=self.clock.sleep,
            )

        check = ConnectorCheck(
            parameters=ConnectorParameters("/stack/connectors/", cast(Any, self.parameters)),
            read_credentials=self._credentials,
            open_session=open_session,
            http=http,
            trusted=trusted,
            clock=self.clock,
        )
        return check.check(names or None, deadline=self.clock() + seconds)

    def _credentials(self, secret_id: str) -> Callable[[], Credentials]:
        def read() -> Credentials:
            if secret_id == self.unreadable:
                raise AwsUnavailableError(f"Secrets Manager get {secret_id}: AccessDeniedException")
            if secret_id not in self.passwords:
                raise LoginRefusedError(ErrorCode.INVALID_CREDENTIALS, clock=600, title=f"no secret {secret_id}")
            return Credentials(USERNAME, self.passwords[secret_id], f"version of {self.passwords[secret_id]}")

        return read

    def findings(self, *names: str) -> list[tuple[str, str, str]]:
        """Check, and give level, check and message of every finding."""
        checked = self.check(*names)
        return [(finding.level, finding.check, finding.message) for each in checked for finding in each.findings]


@pytest.fixture
def stack() -> Stack:
    return Stack()


def only(findings: Sequence[tuple[str, str, str]]) -> tuple[str, str, str]:
    """Give the only finding."""
    (finding,) = findings
    return finding


# --- a connector that would deliver -----------------------------------------------------------------------------


def test_a_right_connector_gets_its_limits_and_no_finding(stack: Stack) -> None:
    # Given a connector whose list, folder and events exist
    stack.put(eventNames={"aud-1": "CART_ABANDONED"})
    # When it is checked
    (checked,) = stack.check()
    # Then nothing is found, and it keeps to 95 % of the account's limit
    assert (checked.ok, checked.findings) == (True, [])
    assert (checked.account_requests_per_minute, checked.requests_per_minute) == (200, 190)


def test_a_check_logs_in_once_reads_three_things_and_sends_no_event(stack: Stack) -> None:
    # Given a right connector
    stack.put()
    # When it is checked
    stack.check()
    # Then these calls were made and no other: an event would be a POST below the events' path
    assert stack.account.calls == {LOGIN: 1, LISTS: 1, EVENTS: 1, LIMITS: 1}


def test_every_connector_is_found_however_many_pages_ssm_gives(stack: Stack) -> None:
    # Given five connectors, more than two pages
    names = ["c", "a", "e", "b", "d"]
    for name in names:
        stack.put(name, requestsPerMinute=1)
    # When all are checked / Then each is there, in the order of their names
    assert [each.name for each in stack.check()] == sorted(names)


def test_only_the_named_connectors_are_checked(stack: Stack) -> None:
    # Given three connectors
    for name in ("default", "loyalty", "travel"):
        stack.put(name)
    # When one is named / Then the others are left alone
    assert [each.name for each in stack.check("loyalty")] == ["loyalty"]


def test_without_a_connector_nothing_would_be_delivered(stack: Stack) -> None:
    # Given no connector / When all are checked / Then that is not ok
    document = report_document(stack.check())
    assert (document["ok"], document["connectors"]) == (False, [])
    assert "no connector" in document["report"]


# --- settings ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"identifierType": "RID"}, "identifierType: Input should be 'RIID'"),
        ({"profileList": {}}, "profileList.name: Field required"),
        ({"requestPerMinute": 5}, "requestPerMinute: Extra inputs are not permitted"),
        ({"authEndpoint": ABSENT}, "authEndpoint: Field required"),
    ],
)
def test_a_wrong_field_is_named(stack: Stack, changes: dict[str, Any], named: str) -> None:
    # Given settings with a mistake / When they are checked
    stack.put("loyalty", **changes)
    level, check, message = only(stack.findings())
    # Then the finding names connector, field and parameter, and nobody was called
    assert (level, check) == ("error", "settings")
    assert message.startswith("Connector loyalty, settings: ")
    assert named in message
    assert "/stack/connectors/loyalty" in message
    assert not stack.account.calls


def test_settings_that_are_no_json_are_found_and_not_quoted(stack: Stack) -> None:
    # Given a parameter that somebody put a password in / When it is checked
    stack.put(text=PASSWORD)
    _, check, message = only(stack.findings())
    # Then it is found, and not told
    assert check == "settings"
    assert PASSWORD not in message


def test_a_secure_string_cannot_be_read_by_the_delivering_function(stack: Stack) -> None:
    # Given right settings, stored as a SecureString / When they are checked / Then the type is found
    stack.put(kind="SecureString")
    assert "SecureString" in only(stack.findings())[2]


@pytest.mark.parametrize("name", ["_hidden", "../tokens/default", "a" * 101, ""])
def test_a_name_that_no_message_can_use_is_found(stack: Stack, name: str) -> None:
    # Given such a name in a request / When it is checked / Then it is found and SSM is not asked for it
    assert "no message can name it" in only(stack.findings(name))[2]
    assert stack.parameters.asked_for == []


def test_a_connector_that_does_not_exist_is_found(stack: Stack) -> None:
    # Given another connector / When a name without a parameter is checked
    stack.put()
    (checked,) = stack.check("loyality")
    # Then it is found, and marked as none
    assert "there is no SSM parameter /stack/connectors/loyality" in checked.findings[0].message
    assert not checked.exists


# --- secret and login -------------------------------------------------------------------------------------------


def test_a_missing_secret_is_named(stack: Stack) -> None:
    # Given a connector whose secret does not exist / When it is checked
    stack.put(credentialsSecretId="stack/none")
    level, check, message = only(stack.findings())
    # Then field and secret are named, and no login was tried
    assert (level, check) == ("error", "secret")
    assert message.startswith("Connector default, credentialsSecretId: no secret stack/none.")
    assert not stack.account.calls


def test_a_secret_out_of_reach_tells_how_it_must_be_named(stack: Stack) -> None:
    # Given a secret that the role may not read / When the connector is checked
    stack.unreadable = "stack/default"
    stack.put()
    _, check, message = only(stack.findings())
    # Then the finding says what the role goes by
    assert check == "secret"
    assert "AccessDeniedException" in message
    assert "must begin with the stack's name" in message


def test_a_wrong_password_is_found_although_an_older_token_is_still_good(stack: Stack) -> None:
    # Given a live token, and a secret that was changed to a wrong password
    stack.tokens["default"] = SharedToken(Token(AUTH_TOKEN, END_POINT, NOW - 60))
    stack.passwords["stack/default"] = "wrong"
    stack.put()
    # When the connector is checked
    level, check, message = only(stack.findings())
    # Then the login is refused, and the finding says what to correct
    assert (level, check) == ("error", "login")
    assert message.startswith("Connector default, credentialsSecretId: Responsys refuses the login")
    assert "put the API user's present username and password into the secret" in message
    # And the token of the others is untouched
    assert stack.tokens["default"].writes == 0


def test_a_login_that_is_taken_is_shared_with_the_delivering_function(stack: Stack) -> None:
    # Given an older token / When the connector is checked
    stack.tokens["default"] = SharedToken(Token("older", END_POINT, NOW - 60))
    stack.put()
    stack.check()
    # Then the new token is stored, and the login was counted
    assert stack.tokens["default"].token == Token(AUTH_TOKEN, END_POINT, NOW)
    assert stack.seen.logins == [("default", None)]


def test_a_refused_login_is_remembered_for_all_and_not_tried_again(stack: Stack) -> None:
    # Given a wrong password that a first check found
    stack.passwords["stack/default"] = "wrong"
    stack.put()
    stack.check()
    refused = stack.logins["default"].refused
    assert refused == RefusedLogin("INVALID_USER_NAME_PASSWORD", "version of wrong", NOW + 600)
    # When it is checked again, two minutes later
    stack.clock.now += 120
    message = only(stack.findings())[2]
    # Then no second login was made, and the finding says why, for how long, and what to do
    assert stack.account.calls[LOGIN] == 1
    assert "was refused before (INVALID_USER_NAME_PASSWORD)" in message
    assert "not tried again for 8 min unless the secret changes" in message
    # And a corrected secret is tried at once
    stack.passwords["stack/default"] = PASSWORD
    assert stack.findings() == []


def test_a_wrong_password_that_many_connectors_share_is_tried_once(stack: Stack) -> None:
    # Given ten connectors of one account with one wrong password, in different secrets
    for number in range(10):
        stack.passwords[f"stack/{number}"] = "wrong"
        stack.put(f"c{number}", credentialsSecretId=f"stack/{number}")
    # When all are checked
    checked = stack.check()
    # Then the account saw one login and is not locked, and each connector has its finding
    assert stack.account.calls[LOGIN] == 1
    assert not any(each.ok for each in checked)


@pytest.mark.parametrize(
    ("code", "advice"),
    [
        ("PASSWORD_EXPIRED", "give the API user a new password"),
        ("PASSWORD_LOCKOUT", "unlock the API user"),
        ("LOGIN_BLOCKED_INVALID_IPRANGE", "docs/runbook.md#ip-allow-listing"),
        ("ACCOUNT_SUSPENDED", "ask the administrator"),
    ],
)
def test_each_refusal_of_a_login_has_its_advice(stack: Stack, code: str, advice: str) -> None:
    # Given an account that refuses the login / When the connector is checked
    stack.account.instead[LOGIN] = refusing(401, code)
    stack.put()
    message = only(stack.findings())[2]
    # Then code and cure are told
    assert code in message
    assert advice in message


def test_an_untrusted_host_gets_no_password(stack: Stack) -> None:
    # Given a login host outside the trusted domains / When the connector is checked
    stack.put(authEndpoint="https://login.responsys.net.example.com")
    level, check, message = only(stack.findings())
    # Then field, host and both cures are told, and nothing was sent
    assert (level, check) == ("error", "endPoint")
    assert message.startswith("Connector default, authEndpoint: host login.responsys.net.example.com is not under")
    assert "TrustedEndpointDomains" in message
    assert not stack.account.calls


def test_an_untrusted_end_point_gets_no_token(stack: Stack) -> None:
    # Given a login whose reply names a host elsewhere / When the connector is checked
    stack.account.end_point = "https://api.example.com"
    stack.put()
    level, check, message = only(stack.findings())
    # Then the host and the cure are told, and the token went nowhere
    assert (level, check) == ("error", "endPoint")
    assert "api.example.com" in message
    assert "TrustedEndpointDomains" in message
    assert stack.account.calls == {LOGIN: 1}


@pytest.mark.parametrize("failure", [requests.ConnectTimeout(), requests.ReadTimeout(), requests.ConnectionError()])
def test_a_host_that_does_not_answer_may_be_a_matter_of_allow_listing(stack: Stack, failure: Exception) -> None:
    # Given a login host that is not reached / When the connector is checked
    stack.account.instead[LOGIN] = failure
    stack.put()
    level, check, message = only(stack.findings())
    # Then the finding says where it went and what to try
    assert (level, check) == ("error", "login")
    assert "https://login-default.responsys.net" in message
    assert "docs/runbook.md#ip-allow-listing" in message


@pytest.mark.parametrize(
    ("reply", "advice"),
    [
        (refusing(429, "API_LIMIT_EXCEEDED"), "run the check again in 1 min"),
        (refusing(503, "SERVICE_UNAVAILABLE"), "maintenance"),
        (Answer(200, b"<html>"), "no usable answer"),
    ],
)
def test_a_login_without_a_verdict_asks_for_another_check(stack: Stack, reply: Answer, advice: str) -> None:
    # Given a Responsys that says neither yes nor no / When the connector is checked
    stack.account.instead[LOGIN] = reply
    stack.put()
    level, check, message = only(stack.findings())
    # Then it is not called right
    assert (level, check) == ("error", "login")
    assert advice in message


# --- what the account has ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "meant"), [("CART_ABANDONNED", "CART_ABANDONED"), ("segment_change", "SEGMENT_CHANGED")]
)
def test_a_wrong_event_name_is_named_with_what_it_may_have_meant(stack: Stack, wrong: str, meant: str) -> None:
    # Given a segment's event that does not exist / When the connector is checked
    stack.put(eventNames={"aud-1": wrong})
    level, check, message = only(stack.findings())
    # Then field, name and the nearest name are told
    assert (level, check) == ("error", "events")
    assert message.startswith(f"Connector default, eventNames.aud-1: Responsys has no custom event {wrong}.")
    assert f"Did you mean {meant}?" in message


def test_a_wrong_name_that_is_like_no_other_comes_with_what_there_is(stack: Stack) -> None:
    # Given a default event that is like none of the account / When the connector is checked
    stack.put(defaultEventName="XYZ")
    message = only(stack.findings())[2]
    # Then the account's events are told
    assert message.startswith("Connector default, defaultEventName: ")
    assert "It has CART_ABANDONED, SEGMENT_CHANGED." in message


def test_an_event_that_many_settings_name_is_found_once(stack: Stack) -> None:
    # Given one wrong name in seven settings / When the connector is checked
    stack.put(defaultEventName="GONE", eventNames={f"aud-{number}": "GONE" for number in range(6)})
    # Then one finding names the first of them
    assert "defaultEventName, eventNames.aud-0, eventNames.aud-1" in only(stack.findings())[2]


def test_an_account_without_events_has_none_of_ours(stack: Stack) -> None:
    # Given an account that answers as documented when it has no event / When the connector is checked
    stack.account.instead[EVENTS] = refusing(404, "CUSTOM_EVENT_NOT_FOUND")
    stack.put()
    # Then the event is missing, rather than unread
    assert "no custom event SEGMENT_CHANGED. It has none." in only(stack.findings())[2]


def test_a_connector_without_any_event_is_a_warning(stack: Stack) -> None:
    # Given a connector whose messages must name their events / When it is checked / Then it would deliver
    stack.put(defaultEventName=ABSENT)
    assert only(stack.findings())[:2] == ("warning", "events")
    assert all_ok(stack.check())


def test_a_wrong_list_is_named_with_what_it_may_have_meant(stack: Stack) -> None:
    # Given a list that does not exist / When the connector is checked
    stack.put(profileList={"name": "CONTACT_LIST", "folder": "!MasterData"})
    level, check, message = only(stack.findings())
    # Then field, name and the nearest name are told
    assert (level, check) == ("error", "profileList")
    assert message.startswith("Connector default, profileList.name: Responsys has no profile list CONTACT_LIST.")
    assert "Did you mean CONTACTS_LIST?" in message


def test_a_wrong_folder_is_named_with_the_right_one(stack: Stack) -> None:
    # Given a list that is in another folder / When the connector is checked
    stack.put(profileList={"name": "CONTACTS_LIST", "folder": "!Master"})
    level, check, message = only(stack.findings())
    # Then both folders are told
    assert (level, check) == ("error", "profileList")
    assert message.startswith("Connector default, profileList.folder: ")
    assert "is not in the folder !Master but in !MasterData" in message


def test_a_list_without_a_folder_is_found_wherever_it_is_unless_there_are_two(stack: Stack) -> None:
    # Given a connector that names no folder / When there is one such list / Then it is right
    stack.put(profileList={"name": "CONTACTS_LIST"})
    assert stack.findings() == []
    # When there are two / Then that is a warning
    stack.account.lists.append({"name": "CONTACTS_LIST", "folderName": "Old", "fields": []})
    assert only(stack.findings())[:2] == ("warning", "profileList")


@pytest.mark.parametrize(("path", "check"), [(LISTS, "profileList"), (EVENTS, "events")])
def test_what_the_user_may_not_read_is_not_called_right(stack: Stack, path: str, check: str) -> None:
    # Given an API user without the role to read lists or events / When the connector is checked
    stack.account.instead[path] = refusing(401, "INSUFFICIENT_ACCESS")
    stack.put()
    level, found, message = only(stack.findings())
    # Then the finding asks for the role
    assert (level, found) == ("error", check)
    assert "web-service role" in message


@pytest.mark.parametrize("path", [LISTS, EVENTS, LIMITS])
@pytest.mark.parametrize(
    "failure", [requests.ReadTimeout(), refusing(401, "TOKEN_EXPIRED"), Answer(503, b""), refusing(429, "X")]
)
def test_what_was_not_read_is_an_error_and_no_second_login(
    stack: Stack, path: str, failure: Answer | Exception
) -> None:
    # Given one call that fails, be it for its token / When the connector is checked
    stack.account.instead[path] = failure
    stack.put()
    level, _, _ = only(stack.findings())
    # Then that is an error, the other calls were made, and no other login
    assert level == "error"
    assert stack.account.calls == {LOGIN: 1, LISTS: 1, EVENTS: 1, LIMITS: 1}


def test_a_list_of_lists_in_another_form_is_not_taken_for_an_empty_one(stack: Stack) -> None:
    # Given a reply that is JSON but no list / When the connector is checked
    stack.account.instead[LISTS] = replying({"lists": []})
    stack.put()
    # Then it was not read, rather than empty
    assert "the reply is not a list" in only(stack.findings())[2]


# --- limits -----------------------------------------------------------------------------------------------------


def test_a_pace_above_the_account_limit_is_a_warning(stack: Stack) -> None:
    # Given more requests a minute than the account takes / When the connector is checked
    stack.put(requestsPerMinute=300)
    (checked,) = stack.check()
    # Then it is told that the account's limit counts
    (finding,) = checked.findings
    assert (finding.level, finding.check) == (Level.WARNING, Check.LIMITS)
    assert (
        "300 is above the account's limit of 200 requests a minute, and no more than that are made" in finding.message
    )
    assert checked.requests_per_minute == 200


def test_a_limit_that_is_not_named_is_a_warning_with_what_is_done_instead(stack: Stack) -> None:
    # Given an account that names no limit for events / When the connector is checked
    stack.account.limits = []
    stack.put()
    (checked,) = stack.check()
    # Then the pace that is used instead is told
    assert checked.findings[0].level is Level.WARNING
    assert "100 requests a minute are made" in checked.findings[0].message
    assert (checked.account_requests_per_minute, checked.requests_per_minute) == (None, 100)


def test_limits_that_the_user_may_not_read_are_a_warning(stack: Stack) -> None:
    # Given a user who may not read limits, and settings that name a pace / When the connector is checked
    stack.account.instead[LIMITS] = refusing(401, "INSUFFICIENT_ACCESS")
    stack.put(requestsPerMinute=50)
    (checked,) = stack.check()
    # Then it would deliver at that pace
    assert (checked.ok, checked.requests_per_minute) == (True, 50)
    assert checked.findings[0].level is Level.WARNING


def test_connectors_of_one_account_share_its_limit(stack: Stack) -> None:
    # Given connectors with one host and secret that together want more than its limit / When all are checked
    stack.put("a")
    stack.put("b", requestsPerMinute=100)
    stack.put("c", requestsPerMinute=200)
    checked = stack.check()
    # Then nothing is wrong with that, and each is told what it gets at most
    assert [each.findings for each in checked] == [[], [], []]
    assert [each.requests_per_minute for each in checked] == [190, 100, 200]


def test_a_user_in_two_secrets_that_together_are_too_fast_is_a_warning(stack: Stack) -> None:
    # Given three connectors of one user, one of them by another secret / When all are checked
    stack.passwords["stack/other"] = PASSWORD
    stack.put("a", requestsPerMinute=60)
    stack.put("b", requestsPerMinute=60)
    stack.put("c", credentialsSecretId="stack/other", requestsPerMinute=100)
    messages = [message for _, _, message in stack.findings()]
    # Then each is told of those with the other secret
    assert len(messages) == 3
    assert "also that of c, with another secret" in messages[0]
    assert "together they may make 220 requests a minute where the account takes 200" in messages[0]
    assert "also that of a, b, with another secret" in messages[2]
    # And what keeps within the limit is not: connectors of one secret get no more than its account
    stack.put("c", credentialsSecretId="stack/other", requestsPerMinute=10)
    stack.put("d", requestsPerMinute=190)
    assert stack.findings() == []


def test_connectors_of_different_accounts_are_not_added_up(stack: Stack) -> None:
    # Given two accounts / When all connectors are checked / Then each has its own limit
    stack.put("a")
    stack.put("b", authEndpoint="https://login2.responsys.net")
    assert stack.findings() == []


# --- time -------------------------------------------------------------------------------------------------------


def test_a_connector_whose_turn_does_not_come_is_not_called_right(stack: Stack) -> None:
    # Given no time / When connectors are checked
    stack.put("a")
    stack.put("b")
    checked = stack.check(seconds=2)
    # Then each says how to check it alone, and nobody was called
    assert [each.ok for each in checked] == [False, False]
    assert '{"connectors": ["b"]}' in checked[1].findings[0].message
    assert not stack.account.calls


def test_a_login_elsewhere_is_waited_for_and_its_token_taken(stack: Stack) -> None:
    # Given another environment that holds the lease, and ends its login while we wait
    stack.put()
    state = stack.logins["default"] = LoginState()
    state.holder = object()
    store = stack.tokens["default"] = SharedToken()
    sleep = stack.clock.sleep

    def meanwhile(seconds: float) -> None:
        sleep(seconds)
        store.token = Token(AUTH_TOKEN, END_POINT, stack.clock.now)

    stack.clock.sleep = meanwhile  # type: ignore[method-assign]
    # When the connector is checked / Then that login is the proof
    assert stack.findings() == []
    assert stack.account.calls[LOGIN] == 0


# --- the report -------------------------------------------------------------------------------------------------


def test_the_answer_is_for_programs_and_its_report_for_people(stack: Stack) -> None:
    # Given a right and a wrong connector
    stack.put("good", requestsPerMinute=20)
    stack.put("wrong", requestsPerMinute=20, defaultEventName="SEGMENT_CHANGE")
    # When they are checked
    document = json.loads(json.dumps(report_document(stack.check())))
    # Then each has its verdict, findings and limits
    good, wrong = document["connectors"]
    assert document["ok"] is False
    assert good == {
        "connector": "good",
        "ok": True,
        "findings": [],
        "requestsPerMinute": 20,
        "accountRequestsPerMinute": 200,
        "recipientsPerRequest": 200,
    }
    assert (wrong["ok"], [finding["level"] for finding in wrong["findings"]]) == (False, ["error"])
    # And a person finds the same in the report
    lines = document["report"].splitlines()
    assert lines[0] == "1 of 2 connectors would deliver."
    assert "good: ok, 20 requests a minute (the account takes 200) of up to 200 recipients" in lines
    assert f"  error (events): {wrong['findings'][0]['message']}." in lines


def test_nothing_that_is_told_holds_a_credential(stack: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    # Given connectors that end in every way, with marked credentials
    stack.put("good")
    stack.put("wrong-event", defaultEventName="GONE")
    stack.put("untrusted", authEndpoint="https://example.com")
    stack.put("no-secret", credentialsSecretId="stack/none")
    stack.passwords["stack/wrong"] = "marked-wrong-password"
    stack.put("wrong-password", credentialsSecretId="stack/wrong")
    # When they are checked, logged, counted and told
    checked = stack.check()
    log_checked(checked)
    metrics = InvocationMetrics()
    count_failures(metrics, checked, all_of_service="connector_check")
    metrics.flush()
    told = json.dumps(report_document(checked)) + capsys.readouterr().out + repr(checked)
    # Then no user name, password or token is among it
    assert "INVALID_USER_NAME_PASSWORD" in told
    assert "marked-" not in told


def published(metrics: InvocationMetrics, capsys: pytest.CaptureFixture[str]) -> dict[tuple[str, str], float]:
    """Give the failures that were written, by dimension."""
    capsys.readouterr()
    metrics.flush()
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    return {
        (dimension, line[dimension]): sum(line["ConnectorCheckFailures"])
        for line in lines
        for ((dimension,),) in [line["_aws"]["CloudWatchMetrics"][0]["Dimensions"]]
    }


def test_failures_are_counted_by_connector_and_in_all_with_zeros(
    stack: Stack, capsys: pytest.CaptureFixture[str]
) -> None:
    # Given a right connector and one with two errors
    stack.put("good", requestsPerMinute=1)
    stack.put("wrong", requestsPerMinute=1, defaultEventName="A", eventNames={"aud-1": "B"})
    metrics = InvocationMetrics()
    # When all are checked and counted
    count_failures(metrics, stack.check(), all_of_service="connector_check")
    # Then there is a zero, and the sum
    assert published(metrics, capsys) == {
        ("connector", "good"): 0,
        ("connector", "wrong"): 2,
        ("service", "connector_check"): 2,
    }


def test_a_check_of_chosen_connectors_says_nothing_about_all(stack: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    # Given a right connector, and a name without one
    stack.put("good")
    metrics = InvocationMetrics()
    # When they are checked by name and counted
    count_failures(metrics, stack.check("good", "mistyped"), all_of_service=None)
    # Then the alarm's metric is not written, nor a dimension of what somebody typed
    assert published(metrics, capsys) == {("connector", "good"): 0}


def test_no_connector_at_all_is_a_failure(capsys: pytest.CaptureFixture[str]) -> None:
    # Given no connector / When that is counted / Then the alarm hears of it
    metrics = InvocationMetrics()
    count_failures(metrics, [], all_of_service="connector_check")
    assert published(metrics, capsys) == {("service", "connector_check"): 1}


# --- the request ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("event", [{}, {"connectors": None}, {"source": "aws.events", "detail": {}}])
def test_an_event_that_names_none_asks_for_all(event: dict[str, Any]) -> None:
    assert read_check_request(event) is None


def test_a_name_twice_is_checked_once() -> None:
    assert read_check_request({"connectors": ["b", "a", "b"]}) == ["b", "a"]


@pytest.mark.parametrize("connectors", ["default", [], [1], {"default": True}])
def test_another_form_is_refused_with_the_field(connectors: object) -> None:
    with pytest.raises(InvalidCheckRequestError, match=r"^connectors"):
        read_check_request({"connectors": connectors})
