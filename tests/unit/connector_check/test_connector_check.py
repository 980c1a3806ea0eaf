"""Does the connector check find each mistake, say what to change, and do no harm while it looks?"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast
from urllib.parse import parse_qs

import pytest
import requests
from botocore.exceptions import EndpointConnectionError

from responsys_activation.account import account_id
from responsys_activation.aws.clients import Clients
from responsys_activation.aws.delivery_table import DeliveryTable
from responsys_activation.aws.faults import AwsCallError
from responsys_activation.aws.login_guard import TableLoginGuard
from responsys_activation.connector_check.check import ConnectorCheck
from responsys_activation.connector_check.composition import compose_connector_check
from responsys_activation.connector_check.findings import Check, CheckedConnector, Level
from responsys_activation.connector_check.report import (
    all_ok,
    count_failures,
    log_checked,
    report_document,
    report_text,
)
from responsys_activation.connector_check.request import InvalidCheckRequestError, read_check_request
from responsys_activation.observability import InvocationMetrics
from responsys_activation.settings import ConnectionSettings, read_settings
from tests.fakes.clock import NOW, Clock
from tests.fakes.dynamodb import InMemoryDynamoDb, client_error
from tests.fakes.function_output import FunctionOutput, captured_output
from tests.fakes.memberships import ABSENT, connector, connector_document
from tests.fakes.parameters import InMemorySecrets
from tests.fakes.responsys_transport import Answer, ResponsysTransport, refusing, replying

HOST = "https://login-default.responsys.net"
END_POINT = "https://api5-009.responsys.net"
HOUR = 3600.0
PASSWORD = "marked-password"
USERNAME = "marked-user"
AUTH_TOKEN = "marked-token"
LOGIN, LISTS, EVENTS, LIMITS, MERGE = (
    "/rest/api/v1.3/auth/token",
    "/rest/api/v1.3/lists",
    "/rest/api/v1.3/events",
    "/rest/api/ratelimit",
    "/rest/api/v1.3/lists/CONTACTS_LIST/members",
)
CREATE: dict[str, Any] = {"identifierType": "CRM_ID", "missingRecipients": {"action": "CREATE", "permission": "OPTOUT"}}


ACCOUNT = account_id(connector())
TOKEN = f"/stack/tokens/{ACCOUNT}"


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
        self.password = PASSWORD
        self.instead: dict[str, Answer | Exception] = {}
        self.calls: Counter[str] = Counter()
        self.merges: list[dict[str, Any]] = []
        self.transport = ResponsysTransport(self._answer)

    def _answer(self, request: requests.PreparedRequest) -> Answer:
        path = request.path_url
        self.calls[path] += 1
        if isinstance(instead := self.instead.get(path), Exception):
            raise instead
        if instead:
            return instead
        if path == LOGIN:
            if parse_qs(str(request.body))["password"][0].strip() != self.password:
                return refusing(400, "INVALID_USER_NAME_PASSWORD", title="Invalid username or password")
            return replying({"authToken": AUTH_TOKEN, "issuedAt": 1, "endPoint": self.end_point})
        assert request.headers["Authorization"] == AUTH_TOKEN
        if path == MERGE:
            self.merges.append(json.loads(request.body or b""))
            return replying({"recordData": {"fieldNames": ["RIID_"], "records": [["MERGEFAILED: Record 0 = x"]]}})
        assert request.method == "GET"
        events = [{"eventName": name, "description": "", "eventType": "1"} for name in self.events]
        return replying({LISTS: self.lists, EVENTS: events, LIMITS: self.limits}[path])


class Parameters:
    """SSM with two parameters a page."""

    def __init__(self) -> None:
        self.stored: dict[str, tuple[str, str]] = {}
        self.asked_for: list[str] = []
        self.writes = 0

    def get_parameter(self, *, Name: str, WithDecryption: bool = False) -> dict[str, Any]:  # noqa: N803
        self.asked_for.append(Name)
        if Name not in self.stored:
            raise client_error("ParameterNotFound", "GetParameter", ResponseMetadata={"HTTPStatusCode": 400})
        return {"Parameter": self._parameter(Name)}

    def put_parameter(self, *, Name: str, Value: str, Type: str, Overwrite: bool) -> None:  # noqa: N803
        assert Overwrite
        self.writes += 1
        self.stored[Name] = (Value, Type)

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
    """A stack without connectors, and the account that they lead to: the function's own composition."""

    account: Account = field(default_factory=Account)
    parameters: Parameters = field(default_factory=Parameters)
    secrets: InMemorySecrets = field(default_factory=lambda: InMemorySecrets({}))
    table: InMemoryDynamoDb = field(default_factory=InMemoryDynamoDb)
    metrics: InvocationMetrics = field(default_factory=lambda: InvocationMetrics("stack"))
    clock: Clock = field(default_factory=Clock)

    def __post_init__(self) -> None:
        self.write_secret()
        self.clock.now += 60

    def put(self, name: str = "default", *, kind: str = "String", text: str | None = None, **changes: Any) -> None:
        value = json.dumps(connector_document(**changes)) if text is None else text
        self.parameters.stored[f"/stack/connectors/{name}"] = (value, kind)

    def write_secret(self, password: str = PASSWORD, name: str = "stack/default", username: str = USERNAME) -> None:
        """Let a person write a secret."""
        self.clock.now += 1
        self.secrets.put(name, json.dumps({"username": username, "password": password}), self.clock.now)

    def check(self, *names: str, seconds: float = 300, forget_refused_login: bool = False) -> list[CheckedConnector]:
        return self.compose().check(
            names or None, deadline=self.clock() + seconds, forget_refused_login=forget_refused_login
        )

    def invoke(self, seconds: float = 300, **event: Any) -> tuple[dict[str, Any], FunctionOutput]:
        """Invoke the function, which Lambda ends in so many seconds."""
        with captured_output() as output:
            return self.compose().run(event, self.clock() + seconds), output

    def compose(self) -> ConnectorCheck:
        return compose_connector_check(
            read_settings(
                ConnectionSettings,
                {
                    "STACK_NAME": "stack",
                    "CONNECTOR_PARAMETER_PREFIX": "/stack/connectors/",
                    "TOKEN_PARAMETER_PREFIX": "/stack/tokens/",
                    "DELIVERY_TABLE_NAME": self.table.table,
                    "TRUSTED_ENDPOINT_DOMAINS": "responsys.net",
                },
            ),
            Clients(
                sqs=cast("Any", None),
                ssm=cast("Any", self.parameters),
                secrets_manager=cast("Any", self.secrets),
                dynamodb=cast("Any", self.table),
            ),
            metrics=self.metrics,
            http=self.account.transport.session(),
            clock=self.clock,
            sleep=self.clock.sleep,
        )

    def metrics_written(self) -> FunctionOutput:
        """Flush what was counted."""
        with captured_output() as output:
            self.metrics.flush()
        return output

    def guard(self) -> TableLoginGuard:
        """Open the guard of the user's logins, as the delivering function does."""
        return TableLoginGuard(
            DeliveryTable(self.table.table, cast("Any", self.table)), HOST, USERNAME, clock=self.clock
        )

    def store_token(self, token: str, obtained_at: float) -> None:
        """Leave a token that an earlier login brought."""
        value = {"account": ACCOUNT, "authToken": token, "endPoint": END_POINT, "obtainedAt": obtained_at}
        self.parameters.stored[TOKEN] = (json.dumps(value), "SecureString")

    @property
    def token(self) -> dict[str, Any]:
        """What is stored as the account's token."""
        return cast("dict[str, Any]", json.loads(self.parameters.stored[TOKEN][0]))

    def findings(self, *names: str) -> list[tuple[str, str, str]]:
        """Check, and give level, check and message of every finding."""
        checked = self.check(*names)
        return [(finding.level, finding.check, finding.message) for each in checked for finding in each.findings]


@pytest.fixture
def stack() -> Stack:
    return Stack()


def only(findings: Sequence[tuple[str, str, str]]) -> tuple[str, str, str]:
    """Return the only finding."""
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
        ({"identifierType": "RID"}, "identifierType: must be 'RIID'"),
        ({"profileList": {}}, "profileList.name: is missing"),
        ({"requestPerMinute": 5}, "requestPerMinute: is not a known field"),
        ({"authEndpoint": ABSENT}, "authEndpoint: is missing"),
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


def denied(call: str, code: str, status: int) -> Callable[..., Any]:
    def deny(**_request: Any) -> Any:
        raise client_error(code, call, ResponseMetadata={"HTTPStatusCode": status})

    return deny


def test_a_secret_that_may_not_be_read_tells_how_it_must_be_named(stack: Stack) -> None:
    # Given a secret that the role may not read / When the connector is checked
    stack.secrets.get_secret_value = denied("GetSecretValue", "AccessDeniedException", 400)  # type: ignore[method-assign]
    stack.put()
    _, check, message = only(stack.findings())
    # Then the finding says what the role goes by
    assert check == "secret"
    assert "secret stack/default may not be read (AccessDeniedException)" in message
    assert "begins with the stack's name and a slash" in message


def test_a_secret_out_of_reach_asks_for_another_check(stack: Stack) -> None:
    # Given a Secrets Manager that does not answer / When the connector is checked / Then nothing is called wrong
    stack.secrets.get_secret_value = denied("GetSecretValue", "InternalServiceError", 500)  # type: ignore[method-assign]
    stack.put()
    _, check, message = only(stack.findings())
    assert check == "secret"
    assert "Run the check again" in message


@pytest.mark.parametrize(
    ("username", "password", "field"),
    [
        (USERNAME, f"{PASSWORD}\n", "password"),
        (f"{USERNAME} ", PASSWORD, "username"),
        (USERNAME, f" {PASSWORD}", "password"),
    ],
)
def test_a_blank_at_an_end_is_sent_and_warned_of(stack: Stack, username: str, password: str, field: str) -> None:
    # Given a secret that a blank or a line feed got into
    stack.write_secret(password, username=username)
    stack.put()
    # When the connector is checked
    findings = stack.findings()
    # Then the field is named as a hint, beside what Responsys says about it
    (warning,) = [finding for finding in findings if finding[0] == "warning"]
    assert warning[1] == "secret"
    assert f"{field} begins or ends with a blank or a line feed" in warning[2]
    # And the value was sent as it stands
    (request,) = [each for each in stack.account.transport.requests if each.path_url == LOGIN]
    sent = parse_qs(str(request.body))
    assert (sent["user_name"], sent["password"]) == ([username], [password])


def test_a_wrong_password_is_found_although_an_older_token_is_still_good(stack: Stack) -> None:
    # Given a live token, and a secret that was changed to a wrong password
    stack.store_token(AUTH_TOKEN, NOW - 60)
    stack.write_secret("wrong")
    stack.put()
    # When the connector is checked
    level, check, message = only(stack.findings())
    # Then the login is refused, and the finding says what to correct
    assert (level, check) == ("error", "login")
    assert message.startswith("Connector default, credentialsSecretId: Responsys refuses the login")
    assert "put the API user's current user name and password into the secret" in message
    # And the token of the others is untouched
    assert stack.parameters.writes == 0


def test_a_login_that_is_taken_is_shared_with_the_delivering_function(stack: Stack) -> None:
    # Given an older token / When the connector is checked
    stack.store_token("older", NOW - 60)
    stack.put()
    stack.check()
    # Then the new token is stored, and the login was counted
    assert (stack.token["authToken"], stack.token["obtainedAt"]) == (AUTH_TOKEN, stack.clock.now)
    written = stack.metrics_written()
    assert written.total("TokenLogins", connector="default") == 1
    assert written.total("TokenLoginFailures", connector="default") == 0


def test_a_refused_login_is_remembered_for_all_and_not_tried_again(stack: Stack) -> None:
    # Given a wrong password that a first check found
    stack.write_secret("wrong")
    stack.put()
    stack.check()
    assert stack.guard().memory().tries == 1, "as the delivering function reads it"
    # When it is checked again, two minutes later
    stack.clock.now += 120
    message = only(stack.findings())[2]
    # Then no second login was made, and the finding says why, for how long, and what to do
    assert stack.account.calls[LOGIN] == 1
    assert "was refused before (INVALID_USER_NAME_PASSWORD)" in message
    assert "not tried again for 58 minutes unless the secret changes" in message
    assert stack.metrics_written().total("LoginsHeldBack", connector="default") == 1
    # And a corrected secret is tried at once
    stack.write_secret()
    assert stack.findings() == []


def test_a_check_every_hour_tries_a_wrong_password_twice_and_then_says_how_to_go_on(stack: Stack) -> None:
    # Given a wrong password / When it is checked every hour of a day
    stack.write_secret("wrong")
    stack.put()
    for _ in range(24):
        message = only(stack.findings())[2]
        stack.clock.now += HOUR
    # Then Responsys saw it twice, and the finding names what a person can do
    assert stack.account.calls[LOGIN] == 2
    assert "is not tried again unless the secret changes" in message
    assert "run the check with forgetRefusedLogin (docs/runbook.md#refused-logins)" in message


def test_a_person_can_have_a_refused_login_forgotten(stack: Stack) -> None:
    # Given a password that was wrong twice, and has been made right in Responsys
    stack.write_secret("wrong")
    stack.put()
    for _ in range(2):
        stack.check()
        stack.clock.now += HOUR
    stack.account.password = "wrong"
    assert "refused before" in only(stack.findings())[2]
    # When the connector is checked with that forgotten / Then the login is made, and the connector is right
    (checked,) = stack.check("default", forget_refused_login=True)
    assert checked.findings == []
    assert stack.account.calls[LOGIN] == 3


def test_a_user_is_forgotten_once_however_many_wrong_secrets_are_named(stack: Stack) -> None:
    # Given a user with wrong passwords in five secrets
    for number in range(5):
        stack.write_secret(f"wrong-{number}", f"stack/{number}")
        stack.put(f"c{number}", credentialsSecretId=f"stack/{number}")
    stack.clock.now += 1
    stack.check()
    # When all are checked with refused logins forgotten / Then one more was tried, not five
    checked = stack.check(*(f"c{number}" for number in range(5)), forget_refused_login=True)
    assert stack.account.calls[LOGIN] == 2
    # And the others say which one to correct first
    assert "another secret of the same user was refused" in checked[1].findings[0].message


def test_a_table_out_of_reach_lets_nothing_be_forgotten_and_nothing_be_tried(stack: Stack) -> None:
    # Given a delivery table that does not answer / When a refused login is to be forgotten
    stack.put()
    stack.table.fail("*", 99)
    (checked,) = stack.check("default", forget_refused_login=True)
    # Then no login was made
    assert "earlier logins could not be read" in checked.findings[0].message
    assert stack.account.calls[LOGIN] == 0


def test_a_wrong_password_that_many_connectors_share_is_tried_once(stack: Stack) -> None:
    # Given ten connectors of one account with one wrong password, in different secrets
    for number in range(10):
        stack.write_secret("wrong", f"stack/{number}")
        stack.put(f"c{number}", credentialsSecretId=f"stack/{number}")
    # When all are checked
    checked = stack.check()
    # Then the account saw one login and is not locked, and each connector has its finding
    assert stack.account.calls[LOGIN] == 1
    assert not any(each.ok for each in checked)


def test_two_secrets_of_one_user_are_warned_of(stack: Stack) -> None:
    # Given two connectors of one user with a secret each, and a third with the first one's
    stack.write_secret(name="stack/b", username=USERNAME.upper())
    stack.put("a", requestsPerMinute=10)
    stack.put("b", requestsPerMinute=10, credentialsSecretId="stack/b")
    stack.put("c", requestsPerMinute=10)
    # When all are checked
    findings = stack.findings()
    # Then each is told which other has another secret
    assert [finding[:2] for finding in findings] == [("warning", "secret")] * 3
    assert [message.split(". ")[0] for _, _, message in findings] == [
        "Connector a, credentialsSecretId: the same user logs in with another secret for b",
        "Connector b, credentialsSecretId: the same user logs in with another secret for a, c",
        "Connector c, credentialsSecretId: the same user logs in with another secret for b",
    ]
    # And connectors that share one are not
    stack.put("b", requestsPerMinute=10)
    assert stack.findings() == []


def test_an_address_that_is_no_responsys_login_is_told_as_such(stack: Stack) -> None:
    # Given an authEndpoint where a web page lives / When the connector is checked
    stack.account.instead[LOGIN] = Answer(404, b"<html>Not found</html>")
    stack.put()
    level, check, message = only(stack.findings())
    # Then the address is to blame, and not the secret
    assert (level, check) == ("error", "endPoint")
    assert message.startswith(f"Connector default, authEndpoint: {HOST} is not a Responsys login (")
    assert "WS End Point" in message
    # And for ten minutes that is known without another login
    assert "is not a Responsys login" in only(stack.findings())[2]
    assert stack.account.calls[LOGIN] == 1
    stack.clock.now += 600
    del stack.account.instead[LOGIN]
    assert stack.findings() == []


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
        (refusing(429, "API_LIMIT_EXCEEDED"), "Run the check again in 1 minute"),
        (refusing(503, "SERVICE_UNAVAILABLE"), "maintenance"),
        (replying({"authToken": None}), "no usable answer"),
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


def test_the_report_says_which_audiences_a_connector_takes(stack: Stack) -> None:
    # Given a connector that maps more audiences than a report shows
    stack.put(eventNames={f"aud-{number}": "SEGMENT_CHANGED" for number in range(12)})
    # When it is checked
    checked = stack.check()
    # Then a program gets all of them, and a person some
    (told,) = report_document(checked)["connectors"]
    assert len(told["audiences"]) == 12
    assert told["otherAudiences"] == "SEGMENT_CHANGED"
    text = report_text(checked)
    assert "takes aud-0 as SEGMENT_CHANGED, aud-1 as" in text
    assert "2 more, others as SEGMENT_CHANGED" in text


def test_an_audience_that_two_names_match_is_a_warning(stack: Stack) -> None:
    # Given names that differ only where nobody looks / When the connector is checked / Then it says that it counts
    stack.put(eventNames={"Cart abandoners": "SEGMENT_CHANGED", "cart abandoners ": "SEGMENT_CHANGED"})
    level, check, message = only(stack.findings())
    assert (level, check) == ("warning", "events")
    assert '"Cart abandoners" and "cart abandoners "' in message


def test_a_rename_that_collides_is_a_warning(stack: Stack) -> None:
    # Given a variable that would be sent as the profile's id / When the connector is checked / Then it says so
    stack.put(variables={"rename": {"customer": "PROFILEID"}})
    level, check, message = only(stack.findings())
    assert (level, check) == ("warning", "settings")
    assert "variables.rename: PROFILEID is the name of another variable" in message


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
        "300 is above the account's limit of 200 requests per minute, and no more than that are sent" in finding.message
    )
    assert checked.requests_per_minute == 200


def test_a_limit_that_is_not_named_is_a_warning_with_what_is_done_instead(stack: Stack) -> None:
    # Given an account that names no limit for events / When the connector is checked
    stack.account.limits = []
    stack.put()
    (checked,) = stack.check()
    # Then the pace that is used instead is told
    assert checked.findings[0].level is Level.WARNING
    assert "at most 100 requests per minute are sent" in checked.findings[0].message
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
    stack.write_secret(PASSWORD, "stack/other")
    stack.put("a", requestsPerMinute=60)
    stack.put("b", requestsPerMinute=60)
    stack.put("c", credentialsSecretId="stack/other", requestsPerMinute=100)
    messages = [message for _, _, message in stack.findings() if "together" in message]
    # Then each is told of those with the other secret
    assert len(messages) == 3
    assert "also that of c, with another secret" in messages[0]
    assert "together they may send 220 requests per minute where the account allows 200" in messages[0]
    assert "also that of a, b, with another secret" in messages[2]
    # And what keeps within the limit is not: connectors of one secret get no more than its account
    stack.put("c", credentialsSecretId="stack/other", requestsPerMinute=10)
    stack.put("d", requestsPerMinute=190)
    assert not any("together" in message for _, _, message in stack.findings())


def test_connectors_of_different_accounts_are_not_added_up(stack: Stack) -> None:
    # Given two accounts / When all connectors are checked / Then each has its own limit
    stack.put("a")
    stack.put("b", authEndpoint="https://login2.responsys.net")
    assert stack.findings() == []


def limit(value: Any, path: str, api: str) -> dict[str, Any]:
    return {"limit": value, "api": api, "resource_path": path, "verb": "POST"}


ASYNC_EVENTS = "asyncTriggerCustomEvent"


@pytest.mark.parametrize(
    ("limits", "told", "pays"),
    [
        ([], None, False),
        ([limit(200, "/events/{e}", "x")], "events 200, asynchronous events not named, list merges not named", False),
        (
            [limit(200, "/events/{e}", "x"), limit(399, "/events/{e}", ASYNC_EVENTS)],
            "events 200, asynchronous events 399, list merges not named",
            False,
        ),
        (
            [
                limit(200, "/events/{e}", "x"),
                limit(400, "/events/{e}", ASYNC_EVENTS),
                limit(1000, "/lists/{l}/members", "mergeListMembers"),
            ],
            "events 200, asynchronous events 400, list merges 1000",
            True,
        ),
        ([limit(400, "/events/{e}", ASYNC_EVENTS)], "events not named, asynchronous events 400", False),
    ],
    ids=["none", "events", "less than twice", "twice", "no limit of events"],
)
def test_the_limits_stand_side_by_side_with_whether_asynchronous_delivery_would_pay(
    stack: Stack, limits: list[dict[str, Any]], told: str | None, pays: bool
) -> None:
    # Given an account that names some limits / When a connector is checked
    stack.account.limits = limits
    stack.put()
    document = report_document(stack.check())
    # Then a person sees them side by side, and hears of asynchronous delivery from twice the limit on
    assert (f"  limits per minute: {told}" in document["report"]) is (told is not None)
    assert ("limits per minute" in document["report"]) is (told is not None)
    assert ("  asynchronous delivery would pay: the account takes 2.0 times" in document["report"]) is pays
    # And so does a program
    (connector,) = document["connectors"]
    assert connector["accountLimits"]["asynchronousPays"] is pays
    assert connector["accountLimits"].keys() == {"events", "asynchronousEvents", "listMerges", "asynchronousPays"}


# --- recipients that the list does not have -----------------------------------------------------------------------


@pytest.fixture
def creating(stack: Stack) -> Stack:
    """Give a stack whose account names all limits, with one connector that creates recipients."""
    stack.account.limits.append(limit(400, "/lists/{listName}/members", "mergeListMembers"))
    stack.put(**CREATE)
    return stack


def test_a_connector_that_creates_recipients_tries_a_merge_that_writes_nothing(creating: Stack) -> None:
    # Given a connector that may create / When it is checked / Then nothing is found
    assert creating.findings() == []
    # And the one merge forbade by its own rule to insert and to update
    assert creating.account.calls == {LOGIN: 1, LISTS: 1, EVENTS: 1, LIMITS: 1, MERGE: 1}
    (merge,) = creating.account.merges
    assert (merge["mergeRule"]["insertOnNoMatch"], merge["mergeRule"]["updateOnMatch"]) == (False, "NO_UPDATE")


@pytest.mark.parametrize("action", ["REJECT", "WAIT"])
def test_no_other_connector_tries_a_merge(stack: Stack, action: str) -> None:
    stack.put(identifierType="CRM_ID", missingRecipients={"action": action, "permission": "OPTIN"})

    assert stack.findings() == []
    assert stack.account.calls[MERGE] == 0


@pytest.mark.parametrize(
    ("reply", "advice"),
    [
        (refusing(401, "INSUFFICIENT_ACCESS"), "ask the administrator of the Responsys account"),
        (refusing(401, "API_DISABLED_FOR_USER"), "ask the administrator of the Responsys account"),
        (refusing(400, "API_BLOCKED"), "ask the administrator of the Responsys account"),
        (refusing(403, "A_CODE_OF_TOMORROW"), "needs the web-service role for lists"),
        (refusing(405, "METHOD_NOT_SUPPORTED"), "check the connector's authEndpoint"),
    ],
)
def test_a_user_who_may_not_merge_is_found_before_anybody_is_missed(
    creating: Stack, reply: Answer, advice: str
) -> None:
    # Given an account that refuses merges / When the connector is checked
    creating.account.instead[MERGE] = reply
    level, check, message = only(creating.findings())
    # Then that is an error, which names connector, field, list, and the way out
    assert (level, check) == ("error", "missingRecipients")
    assert message.startswith("Connector default, missingRecipients.action: Responsys refuses to merge members into ")
    assert "CONTACTS_LIST" in message
    assert advice in message
    assert "set the action to REJECT or WAIT" in message


@pytest.mark.parametrize(
    "reply",
    [
        refusing(400, "INVALID_PARAMETER", detail="Record 0 = no match"),
        refusing(404, "RECORD_NOT_FOUND"),
        refusing(400, "DUPLICATE_API_REQUEST"),
        replying({}),
        replying([]),
    ],
)
def test_a_merge_that_was_refused_for_its_record_may_be_made(creating: Stack, reply: Answer) -> None:
    creating.account.instead[MERGE] = reply

    assert creating.findings() == []


@pytest.mark.parametrize(
    "failure", [requests.ReadTimeout(), Answer(503, b""), refusing(429, "API_LIMIT_EXCEEDED"), Answer(404, b"<html>")]
)
def test_a_merge_without_a_verdict_asks_for_another_check(creating: Stack, failure: Answer | Exception) -> None:
    creating.account.instead[MERGE] = failure

    level, check, message = only(creating.findings())

    assert (level, check) == ("error", "missingRecipients")
    assert "could not find out whether members may be merged" in message


def test_a_list_that_does_not_exist_is_found_once(creating: Stack) -> None:
    # Given a wrong list / When the connector is checked / Then no merge is tried with it
    creating.put(**CREATE, profileList={"name": "CONTACT_LIST"})
    assert only(creating.findings())[:2] == ("error", "profileList")
    assert creating.account.merges == []


def test_two_lists_of_one_name_are_a_warning_because_a_merge_names_no_folder(creating: Stack) -> None:
    creating.account.lists.append({"name": "CONTACTS_LIST", "folderName": "Old", "fields": []})

    level, check, message = only(creating.findings())

    assert (level, check) == ("warning", "missingRecipients")
    assert "!MasterData and Old both have a list CONTACTS_LIST" in message


def test_a_limit_for_merges_that_is_not_named_is_a_warning(stack: Stack) -> None:
    stack.put(**CREATE)

    level, check, message = only(stack.findings())

    assert (level, check) == ("warning", "missingRecipients")
    assert "list merges is not known, so at most 100 per minute" in message


def test_a_connector_that_creates_without_a_permission_is_not_checked_further(stack: Stack) -> None:
    stack.put(identifierType="CRM_ID", missingRecipients={"action": "CREATE"})

    level, check, message = only(stack.findings())

    assert (level, check) == ("error", "settings")
    assert "missingRecipients.permission: must be 'OPTIN' or 'OPTOUT'" in message
    assert not stack.account.calls


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


@pytest.mark.parametrize(("seconds", "checked"), [(7.9, False), (8.1, True)])
def test_time_is_kept_back_for_the_report(stack: Stack, *, seconds: float, checked: bool) -> None:
    # Given so little time that a check would begin as Lambda ends the invocation, or a little more
    stack.put()
    # When the function is invoked / Then it looks at the connector only with five seconds to spare after it
    report, _ = stack.invoke(seconds)
    assert report["ok"] is checked


def test_a_login_elsewhere_is_waited_for_and_its_token_taken(stack: Stack) -> None:
    # Given another environment that holds the lease, and ends its login while we wait
    stack.put()
    assert stack.guard().acquire()
    sleep = stack.clock.sleep

    def meanwhile(seconds: float) -> None:
        sleep(seconds)
        stack.store_token(AUTH_TOKEN, stack.clock.now)

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
        "accountLimits": {"events": 200, "asynchronousEvents": None, "listMerges": None, "asynchronousPays": False},
        "recipientsPerRequest": 200,
        "audiences": {},
        "otherAudiences": "SEGMENT_CHANGED",
    }
    assert (wrong["ok"], [finding["level"] for finding in wrong["findings"]]) == (False, ["error"])
    # And a person finds the same in the report
    lines = document["report"].splitlines()
    assert lines[0] == "1 of 2 connectors would deliver."
    assert "good: ok, 20 requests per minute (the account allows 200) of up to 200 recipients" in lines
    assert f"  error (events): {wrong['findings'][0]['message']}." in lines


def test_nothing_that_is_told_holds_a_credential(stack: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    # Given connectors that end in every way, with marked credentials
    stack.put("good")
    stack.put("wrong-event", defaultEventName="GONE")
    stack.put("untrusted", authEndpoint="https://example.com")
    stack.put("no-secret", credentialsSecretId="stack/none")
    stack.write_secret("marked-wrong-password", "stack/wrong")
    stack.put("wrong-password", credentialsSecretId="stack/wrong")
    # When they are checked, logged, counted and told
    checked = stack.check()
    log_checked(checked)
    metrics = InvocationMetrics("stack")
    count_failures(metrics, checked, all_of_service="connector_check")
    metrics.flush()
    told = json.dumps(report_document(checked)) + capsys.readouterr().out + repr(checked)
    # Then no user name, password or token is among it
    assert "INVALID_USER_NAME_PASSWORD" in told
    assert "marked-" not in told


def failures(output: FunctionOutput) -> dict[tuple[str, str], float]:
    """Return the failures that were written, by the dimension beside the stack's."""
    return {
        dimension: value
        for _, name, dimensions, value in output.metrics()
        if name == "ConnectorCheckFailures"
        for dimension in (dimensions.items() - {("stack", "stack")})
    }


def test_failures_are_counted_by_connector_and_in_all_with_zeros(stack: Stack) -> None:
    # Given a right connector and one with two errors
    stack.put("good", requestsPerMinute=1)
    stack.put("wrong", requestsPerMinute=1, defaultEventName="A", eventNames={"aud-1": "B"})
    # When the function is invoked without naming any
    report, output = stack.invoke()
    # Then it tells of both, and there is a zero, and the sum
    assert [(each["connector"], each["ok"]) for each in report["connectors"]] == [("good", True), ("wrong", False)]
    assert [line["connector"] for line in output.lines("connector checked")] == ["good", "wrong"]
    assert failures(output) == {
        ("connector", "good"): 0,
        ("connector", "wrong"): 2,
        ("service", "connector_check"): 2,
    }


def test_a_check_of_chosen_connectors_says_nothing_about_all(stack: Stack) -> None:
    # Given a right connector, and a name without one
    stack.put("good")
    # When they are checked by name
    _, output = stack.invoke(connectors=["good", "mistyped"])
    # Then the alarm's metric is not written, nor a dimension of what somebody typed
    assert failures(output) == {("connector", "good"): 0}


def test_no_connector_at_all_is_a_failure(stack: Stack) -> None:
    # Given no connector / When all are checked / Then the alarm hears of it
    _, output = stack.invoke()
    assert failures(output) == {("service", "connector_check"): 1}


@pytest.mark.parametrize(
    ("event", "counted"), [({}, {("service", "connector_check"): 1}), ({"connectors": ["default"]}, {})]
)
def test_a_check_that_cannot_be_made_counts_only_where_it_was_to_tell_of_all(
    stack: Stack, event: dict[str, Any], counted: dict[tuple[str, str], float]
) -> None:
    # Given parameters that cannot be read
    def fail(**_request: Any) -> Any:
        raise EndpointConnectionError(endpoint_url="ssm")

    stack.parameters = cast("Any", SimpleNamespace(get_parameter=fail, get_parameters_by_path=fail))
    # When the function is invoked / Then it fails, and the alarm hears of it if it is one of all connectors
    with captured_output() as output, pytest.raises(AwsCallError):
        stack.compose().run(event, stack.clock() + 300)
    assert failures(output) == counted


# --- the request ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("event", [{}, {"connectors": None}, {"source": "aws.events", "detail": {}}])
def test_an_event_that_names_none_asks_for_all(event: dict[str, Any]) -> None:
    request = read_check_request(event)
    assert (request.connectors, request.forget_refused_login) == (None, False)


def test_a_name_twice_is_checked_once() -> None:
    assert read_check_request({"connectors": ["b", "a", "b"]}).connectors == ["b", "a"]


@pytest.mark.parametrize("connectors", ["default", [], [1], {"default": True}])
def test_another_form_is_refused_with_the_field(connectors: object) -> None:
    with pytest.raises(InvalidCheckRequestError, match=r"^connectors"):
        read_check_request({"connectors": connectors})


def test_refused_logins_are_forgotten_for_named_connectors_only() -> None:
    assert read_check_request({"connectors": ["a"], "forgetRefusedLogin": True}).forget_refused_login
    for event in ({"forgetRefusedLogin": True}, {"connectors": None, "forgetRefusedLogin": True}):
        with pytest.raises(InvalidCheckRequestError, match=r"^forgetRefusedLogin"):
            read_check_request(event)


@pytest.mark.parametrize("value", ["true", 1, None])
def test_whether_to_forget_is_said_with_true_or_false(value: object) -> None:
    with pytest.raises(InvalidCheckRequestError, match=r"^forgetRefusedLogin"):
        read_check_request({"connectors": ["a"], "forgetRefusedLogin": value})
