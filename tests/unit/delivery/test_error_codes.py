"""Do messages end as the table of error codes says? Each code is brought about, in the whole delivery."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError

from responsys_activation.change import membership_change
from responsys_activation.error_code import ERROR_CODES, CodeMeaning, ErrorClass, ErrorCode
from tests.fakes.clock import NOW, Clock
from tests.fakes.environment import CONNECTOR_PREFIX, Environment, Surroundings
from tests.fakes.function_output import captured_output
from tests.fakes.memberships import ABSENT, connector_document, document, read_membership
from tests.fakes.parameters import InMemoryParameters, InMemorySecrets
from tests.fakes.recording_sqs import RecordingSqs
from tests.fakes.responsys import FakeResponsys, Fault, Reply, refusal
from tests.hostile.platforms import SAMPLES

End = tuple[str, str]  # outcome and error code
LOGIN = ERROR_CODES[ErrorCode.INVALID_CREDENTIALS].family


class World:
    """One connector, and one message of it."""

    def __init__(self, **settings: Any) -> None:
        self.clock = Clock()
        self.responsys = FakeResponsys(self.clock, self.clock.sleep)
        self.secrets = {"stack/default": json.dumps({"username": "u", "password": "p"})}
        self.ssm = InMemoryParameters(
            {f"{CONNECTOR_PREFIX}default": json.dumps(connector_document(**{"requestsPerMinute": 600} | settings))}
        )
        self.surroundings = Surroundings(
            ssm=self.ssm,
            secrets=InMemorySecrets(self.secrets),
            sqs=RecordingSqs(),
            responsys={"default": self.responsys},
        )

    def environment(self, **options: Any) -> Environment:
        return Environment(self.surroundings, clock=self.clock, sleep=self.clock.sleep, **options)

    def deliver(
        self, body: str | None = None, *, receives: int = 1, sent_at: float = NOW, seconds: float = 120, **options: Any
    ) -> End:
        """Deliver the message, and give its end as the log has it."""
        record = {
            "messageId": "sqs-1",
            "receiptHandle": "handle",
            "body": body or json.dumps(document(messageId="m-1")),
            "attributes": {
                "ApproximateReceiveCount": str(receives),
                "SentTimestamp": str(int(sent_at * 1000)),
                "ApproximateFirstReceiveTimestamp": str(int(sent_at * 1000)),
            },
            "messageAttributes": {},
            "eventSourceARN": "arn:aws:sqs:eu-west-1:123456789012:segment-events",
        }
        with captured_output() as output:
            self.environment(**options).invoke([record], seconds)
        (line,) = output.lines("message settled")
        return line["outcome"], line["errorCode"]

    def send_elsewhere(self, **changes: Any) -> None:
        """Let another environment claim a change, and not end it."""
        given = read_membership(json.dumps(document(**changes)))
        happened_at = given.occurred_at.timestamp() if given.occurred_at else NOW
        change = membership_change("default", given, given.message_id or "", happened_at, NOW)
        self.environment().ledger.claim([change], "elsewhere", self.clock() + 100, [2])


# ---- Responsys's codes


def recipients_result(code: str) -> Reply:
    """Return a good reply in which the one recipient has an error."""
    result = {"errorMessage": f"{code}: no", "success": False, "recipientId": -1}
    return Reply(200, json.dumps([result]).encode())


def end_of(kind: str, reply: Reply, **settings: Any) -> End:
    """Deliver a message while Responsys answers one kind of request like this."""
    world = World(**settings)
    world.responsys.instead[kind] = reply
    return world.deliver()


THEIRS = [(code, meaning) for code, meaning in ERROR_CODES.items() if meaning.error_class]


@pytest.mark.parametrize(("code", "meaning"), THEIRS, ids=[code for code, _ in THEIRS])
def test_messages_with_a_code_of_responsys_end_as_the_table_says(code: str, meaning: CodeMeaning) -> None:
    # Given Responsys refuses the request, or its recipient / When a message is delivered
    ends = {end_of("event", refusal(400, code))}
    if meaning.error_class is not ErrorClass.CREDENTIALS:
        ends.add(end_of("event", recipients_result(code)))
        # or waits, where the connector's settings ask for it
        ends.add(end_of("event", recipients_result(code), missingRecipients={"action": "WAIT"}))
    # Then it ends in just these ways, and a refused login under a code of ours
    told = ErrorCode.INVALID_CREDENTIALS if meaning.error_class is ErrorClass.CREDENTIALS else code
    assert ends == {(outcome, told) for outcome in meaning.outcomes}


REFUSING = [code for code, meaning in ERROR_CODES.items() if meaning.error_class and meaning.family == LOGIN]


@pytest.mark.parametrize("code", REFUSING)
def test_a_login_that_is_refused_leaves_messages_throttled_under_our_code(code: str) -> None:
    assert end_of("login", refusal(401, code)) == ("throttled", ErrorCode.INVALID_CREDENTIALS)


# ---- our own


def without_secret() -> End:
    world = World()
    world.secrets.clear()
    return world.deliver()


def login_that_names_a_host(host: str) -> End:
    token = {"authToken": "E1", "issuedAt": 1, "endPoint": host}
    return end_of("login", Reply(200, json.dumps(token).encode()))


def with_fault(kind: str, fault: Fault, **options: Any) -> End:
    world = World()
    world.responsys.fault = lambda of: fault if of == kind else None
    return world.deliver(**options)


def overtaken() -> End:
    world = World()
    newer = {"messageId": "m-2", "callType": "REMOVE", "occurredAt": "2100-01-01T00:00:00Z"}
    world.deliver(json.dumps(document(**newer)), receives=2)
    return world.deliver(receives=2)


def sent_elsewhere(*, receives: int = 1, **changes: Any) -> End:
    world = World()
    world.send_elsewhere(messageId="m-1", **changes)
    return world.deliver(receives=receives)


def without_table() -> End:
    world = World(requestsPerMinute=20)
    world.surroundings.table.fail("*", times=math.inf)
    return world.deliver()


def without_parameters() -> End:
    def fail(service: str, _effect: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        raise EndpointConnectionError(endpoint_url=service)

    world = World()
    world.surroundings.ssm = InMemoryParameters({}, fail)
    return world.deliver()


def known_by_hash_alone() -> End:
    world = World(identifierType="HASHED_EMAIL", missingRecipients={"action": "CREATE", "permission": "OPTIN"})
    digest = "0" * 64
    world.responsys.unknown.add(digest)
    return world.deliver(json.dumps(document(identifiers={"7001": digest})))


BRINGING_ABOUT: dict[ErrorCode, list[Callable[[], End]]] = {
    ErrorCode.INVALID_MESSAGE: [lambda: World().deliver("no JSON")],
    ErrorCode.NO_IDENTIFIER: [lambda: World().deliver(json.dumps(document(identifiers={})))],
    ErrorCode.NO_EVENT_NAME: [lambda: World(defaultEventName=ABSENT).deliver()],
    ErrorCode.UNKNOWN_CONNECTOR: [lambda: World().deliver(json.dumps(document(connector="nobody")))],
    ErrorCode.INVALID_CONNECTOR: [
        lambda: World(profileList=ABSENT).deliver(),
        lambda: World(profileList=ABSENT).deliver(SAMPLES["segment_entered"]),
    ],
    ErrorCode.UNTRUSTED_ENDPOINT: [
        lambda: World(authEndpoint="https://evil.example").deliver(),
        lambda: login_that_names_a_host("https://evil.example"),
    ],
    ErrorCode.NO_LOGIN_AT_ENDPOINT: [lambda: end_of("login", Reply(404, b"<html>Not found</html>"))],
    ErrorCode.INVALID_CREDENTIALS: [without_secret],
    ErrorCode.EXPIRED: [lambda: World().deliver(sent_at=NOW - 86_401)],
    ErrorCode.SUPERSEDED: [overtaken],
    ErrorCode.OUTCOME_UNKNOWN: [lambda: with_fault("event", Fault.TIMEOUT_AFTER, resend=False, seconds=180)],
    ErrorCode.RECIPIENT_NOT_CREATED: [known_by_hash_alone],
    ErrorCode.BUDGET_EXHAUSTED: [without_table],
    ErrorCode.IN_FLIGHT: [
        sent_elsewhere,
        lambda: sent_elsewhere(receives=2, callType="REMOVE", occurredAt="2100-01-01T00:00:00Z"),
    ],
    ErrorCode.OUT_OF_TIME: [lambda: World().deliver(seconds=60)],
    ErrorCode.TIMEOUT: [lambda: with_fault("event", Fault.CONNECT_TIMEOUT)],
    ErrorCode.AWS_UNAVAILABLE: [without_parameters],
    ErrorCode.OTHER_ERROR: [
        lambda: with_fault("event", Fault.CONNECTION_REFUSED),
        lambda: end_of("event", Reply(429, b"Too many requests")),
        lambda: end_of("event", recipients_result("dear colleagues")),
    ],
}


@pytest.mark.parametrize("code", ErrorCode)
def test_messages_with_a_code_of_ours_end_as_the_table_says(code: ErrorCode) -> None:
    ends = [bring_about() for bring_about in BRINGING_ABOUT[code]]

    assert ends == [(outcome, code) for outcome in ERROR_CODES[code].outcomes]
