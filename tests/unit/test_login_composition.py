"""Do the delivering function and the check log in as one, and is a login that is held back told to those who watch?"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from typing import Any, cast

import pytest

from responsys_activation.account import account_id
from responsys_activation.aws.clients import Clients
from responsys_activation.connector_check.composition import compose_connector_check
from responsys_activation.responsys.http import HttpSession
from responsys_activation.settings import ConnectionSettings, read_settings
from tests.fakes.clock import NOW, Clock
from tests.fakes.dynamodb import client_error
from tests.fakes.environment import CONNECTOR_PREFIX, QUEUE_URL, Environment, Surroundings
from tests.fakes.function_output import FunctionOutput, captured_output
from tests.fakes.memberships import connector, connector_document, document
from tests.fakes.parameters import InMemoryParameters, InMemorySecrets
from tests.fakes.recording_sqs import RecordingSqs
from tests.fakes.responsys import FakeResponsys, Fault, Reply

SERVICE = {"service": "segment_events"}
THROTTLED = f"{QUEUE_URL}throttled"
TOKEN = f"/stack/tokens/{account_id(connector())}"


class Stack:
    """Connectors ``a`` and ``b`` of one account, in any number of environments."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.numbers = itertools.count()
        self.responsys = FakeResponsys(self.clock, self.clock.sleep)
        self.ssm = InMemoryParameters(
            {f"{CONNECTOR_PREFIX}{name}": json.dumps(connector_document(requestsPerMinute=600)) for name in "ab"}
        )
        self.secrets = InMemorySecrets({"stack/default": json.dumps({"username": "u", "password": "p"})})
        self.sqs = RecordingSqs()
        self.around = Surroundings(
            ssm=self.ssm, secrets=self.secrets, sqs=self.sqs, responsys={"default": self.responsys}
        )

    def environment(self) -> Environment:
        return Environment(self.around, clock=self.clock, sleep=self.clock.sleep, in_flight=1)

    def deliver(self, environment: Environment | None = None) -> FunctionOutput:
        """Deliver two messages for each connector."""
        environment = environment or self.environment()
        numbers = itertools.islice(self.numbers, 2)
        records = [_record(f"{name}-{number}", name) for number in numbers for name in "ab"]
        with captured_output() as output:
            environment.invoke(records, 120.0)
        return output

    def check(self, name: str) -> FunctionOutput:
        http = HttpSession()
        for host in (self.responsys.login_host, self.responsys.end_point):
            http.mount(host, self.responsys)
        check = compose_connector_check(
            read_settings(
                ConnectionSettings,
                {
                    "STACK_NAME": "stack",
                    "CONNECTOR_PARAMETER_PREFIX": CONNECTOR_PREFIX,
                    "TOKEN_PARAMETER_PREFIX": "/stack/tokens/",
                    "DELIVERY_TABLE_NAME": self.around.table.table,
                    "TRUSTED_ENDPOINT_DOMAINS": "responsys.net",
                },
            ),
            Clients(
                sqs=cast("Any", None),
                ssm=cast("Any", self.ssm),
                secrets_manager=cast("Any", self.secrets),
                dynamodb=cast("Any", self.around.table),
            ),
            http=http,
            clock=self.clock,
            sleep=self.clock.sleep,
        )
        with captured_output() as output:
            check.run({"connectors": [name]}, self.clock() + 60)
        return output

    def codes(self) -> set[str]:
        return {entry["MessageAttributes"]["errorCode"]["StringValue"] for entry in self.sqs.sent.get(THROTTLED, [])}

    def refuse_logins(self) -> None:
        self.responsys.fault = lambda kind: Fault.LOGIN_REFUSED if kind == "login" else None


def _record(message_id: str, name: str) -> dict[str, Any]:
    return {
        "messageId": message_id,
        "receiptHandle": f"handle-{message_id}",
        "body": json.dumps(document(profileId=message_id, connector=name)),
        "attributes": {
            "ApproximateReceiveCount": "1",
            "SentTimestamp": str(int(NOW * 1000)),
            "ApproximateFirstReceiveTimestamp": str(int(NOW * 1000)),
        },
        "messageAttributes": {},
        "eventSourceARN": "arn:aws:sqs:eu-west-1:123456789012:segment-events",
    }


def denying(call: str, code: str = "AccessDeniedException") -> Callable[..., Any]:
    def deny(**_request: Any) -> Any:
        raise client_error(code, call, ResponseMetadata={"HTTPStatusCode": 400})

    return deny


def held_back(output: FunctionOutput) -> dict[str, float]:
    """Return the counter by its dimension's value, beside the stack's, where it is not 0."""
    found: dict[str, float] = {}
    for _, name, dimensions, value in output.metrics():
        if name == "LoginsHeldBack" and value:
            _, dimension = dimensions.values()
            found[dimension] = found.get(dimension, 0) + value
    return found


def test_connectors_of_one_account_log_in_once_and_share_the_token() -> None:
    # Given two connectors with one login host and one secret
    stack = Stack()
    # When both have messages, here and in a cold environment
    stack.deliver()
    stack.deliver()
    # Then the account saw one login, and its token lies under the account's id and nowhere else
    assert stack.responsys.calls["login"] == 1
    assert len(stack.responsys.accepted) == 8
    assert [name for name in stack.ssm.values if "/tokens/" in name] == [TOKEN]


def test_an_environment_that_cannot_share_its_token_still_logs_in_once() -> None:
    # Given a parameter store that takes no token
    stack = Stack()
    stack.ssm.put_parameter = denying("PutParameter")  # type: ignore[method-assign]
    environment = stack.environment()
    # When both connectors have messages, twice / Then there was one login
    stack.deliver(environment)
    stack.deliver(environment)
    assert stack.responsys.calls["login"] == 1


def test_a_login_that_is_held_back_is_counted_once_an_invocation_and_connector() -> None:
    # Given an account that refuses the login
    stack = Stack()
    stack.refuse_logins()
    first = stack.deliver()
    # When the invocation that met it counts / Then it is a failure for one connector, and held back for the other
    assert first.total("TokenLoginFailures", **SERVICE) == 1
    assert held_back(first) == {"b": 1, "segment_events": 1}
    environment = stack.environment()
    for _ in range(3):
        # When later ones need a login / Then each counts both connectors, and no failure, for none was tried
        later = stack.deliver(environment)
        assert held_back(later) == {"a": 1, "b": 1, "segment_events": 2}
        assert not [name for _, name, _, _ in later.metrics() if name == "TokenLoginFailures"]
        assert [line["errorCode"] for line in later.lines("login held back")] == ["INVALID_USER_NAME_PASSWORD"] * 2
    assert stack.responsys.calls["login"] == 1
    assert stack.codes() == {"INVALID_CREDENTIALS"}


def test_a_throttled_login_is_not_held_back() -> None:
    # Given an account that takes no more logins this minute
    stack = Stack()
    stack.responsys.fault = lambda kind: Fault.API_LIMIT if kind == "login" else None
    # When invocations need one / Then nobody is alarmed
    assert [held_back(stack.deliver()) for _ in range(2)] == [{}, {}]


def test_the_check_and_the_function_heed_the_same_refusal() -> None:
    # Given a password that the function found wrong
    stack = Stack()
    stack.refuse_logins()
    stack.deliver()
    # When the check logs in / Then it does not, and counts that under its own name
    assert held_back(stack.check("a")) == {"a": 1, "connector_check": 1}
    # When an hour is over / Then the check's login is the second and last
    stack.clock.now += 3600
    assert held_back(stack.check("a")) == {}
    stack.clock.now += 3600
    assert held_back(stack.deliver()) == {"a": 1, "b": 1, "segment_events": 2}
    assert stack.responsys.calls["login"] == 2


@pytest.mark.parametrize("status", [200, 302, 403, 404])
def test_an_address_that_is_no_login_has_a_code_of_its_own(status: int) -> None:
    # Given an authEndpoint where something else answers
    stack = Stack()
    stack.responsys._log_in = lambda *_login, **_told: Reply(status, b"<html>")  # type: ignore[method-assign]
    # When messages come / Then they wait under that code, and nobody is sent to look at the password
    stack.deliver()
    assert stack.codes() == {"NO_LOGIN_AT_ENDPOINT"}
    assert stack.responsys.calls["login"] == 1


def test_a_secret_that_may_not_be_read_is_told_as_a_login_that_is_held_back() -> None:
    # Given a role that may not read the secret
    stack = Stack()
    stack.secrets.get_secret_value = denying("GetSecretValue")  # type: ignore[method-assign]
    # When messages come
    output = stack.deliver()
    # Then they wait, instead of going round, and the log says why
    assert stack.codes() == {"INVALID_CREDENTIALS"}
    assert held_back(output) == {"a": 1, "b": 1, "segment_events": 2}
    assert {line["errorTitle"] for line in output.lines("login held back")} == {
        "secret stack/default may not be read (AccessDeniedException)"
    }


def test_a_token_that_may_not_be_read_is_replaced_by_a_login() -> None:
    # Given a token that was encrypted with another key
    stack = Stack()
    stack.deliver()
    read = stack.ssm.get_parameter

    def denied_for_tokens(*, Name: str, **options: Any) -> dict[str, Any]:  # noqa: N803
        return denying("GetParameter")() if Name == TOKEN else read(Name=Name, **options)

    stack.ssm.get_parameter = denied_for_tokens  # type: ignore[method-assign]
    # When a cold environment needs it / Then it logs in and delivers
    before = stack.ssm.values[TOKEN]
    stack.deliver()
    assert len(stack.responsys.accepted) == 8
    assert stack.responsys.calls["login"] == 2
    assert stack.ssm.values[TOKEN] != before
