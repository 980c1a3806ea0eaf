"""Does the delivery code keep the law, whatever the bodies of a batch say?

The real code between queues, AWS and Responsys in memory, each of which looks at everything that reaches it.
"""

from __future__ import annotations

import itertools
import json
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import unquote, urlsplit

import requests

from responsys_activation.account import account_id
from responsys_activation.connector import IdentifierType, read_connector
from responsys_activation.received import LIFE_ATTRIBUTES
from responsys_activation.upstream.memberships import read
from tests.fakes.clock import NOW, Clock
from tests.fakes.environment import CONNECTOR_PREFIX, QUEUE_URL, Environment, Surroundings
from tests.fakes.function_output import FunctionOutput, captured_output
from tests.fakes.memberships import bodies_of, connector_document
from tests.fakes.parameters import InMemoryParameters, InMemorySecrets
from tests.fakes.recording_sqs import Entry, RecordingSqs
from tests.fakes.responsys import FakeResponsys, Fault
from tests.hostile.bodies import CONNECTORS
from tests.hostile.platforms import PERSONAL
from tests.local_stack.published_metrics import OUTCOMES
from tests.local_stack.sqs_record import sqs_record

_EVENT_PATH = re.compile(r"/rest/api/v1\.3/events/([A-Za-z0-9_.~%-]+)")
_IDENTIFIER_FIELDS = {
    IdentifierType.RIID: "recipientId",
    IdentifierType.HASHED_EMAIL: "emailSHA256Hash",
    IdentifierType.CRM_ID: "customerId",
    IdentifierType.EMAIL: "emailAddress",
    IdentifierType.EMAIL_MD5: "emailMD5Hash",
    IdentifierType.MOBILE_NUMBER: "mobileNumber",
}
_EVENT_HEADERS = {"authorization", "content-type", "accept", "x-request-id", "user-agent", "accept-encoding"}
_EVENT_HEADERS |= {"connection", "content-length"}
_QUEUE_ARN = "arn:aws:sqs:eu-west-1:123456789012:segment-events"
_MOST_BYTES = 10_000_000
_LONGEST_LINE = 16_384
_SQS_TEXT = re.compile("[\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]+")
_SERVICE = {"service": "segment_events"}
# Those after which nothing was accepted: what was, must be what was told as delivered.
FAULTS = (Fault.CONNECTION_REFUSED, Fault.HTML_503, Fault.API_LIMIT, Fault.LOGIN_REFUSED, Fault.EXCEPTION_BEFORE)


class WatchedResponsys(FakeResponsys):
    """An account that takes nothing but the requests that the contract allows."""

    def __init__(self, clock: Clock, kind: IdentifierType) -> None:
        super().__init__(clock, clock.sleep, _account_name(kind))
        self._field = _IDENTIFIER_FIELDS[kind]

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:  # type: ignore[override]
        address = urlsplit(request.url or "")
        assert not address.query
        assert not address.fragment
        if request.method == "GET":
            assert request.url == f"{self.end_point}/rest/api/ratelimit"
            return super().send(request, **options)
        assert request.method == "POST"
        if address.path.endswith("/auth/token"):
            assert request.url == f"{self.login_host}/rest/api/v1.3/auth/token"
            assert "Authorization" not in request.headers
        else:
            self._look_at_event_request(request, f"{address.scheme}://{address.netloc}", address.path)
        return super().send(request, **options)

    def _look_at_event_request(self, request: requests.PreparedRequest, base_url: str, path: str) -> None:
        segment = _EVENT_PATH.fullmatch(path)
        assert base_url == self.end_point
        assert segment, path
        name = unquote(segment[1])
        assert name.strip() not in {"", ".", ".."}
        assert not set(name) & set("/\\\r\n\0")
        assert {name.lower() for name in request.headers} <= _EVENT_HEADERS
        for value in request.headers.values():
            assert re.fullmatch(r"[\x20-\x7e]+", value.decode() if isinstance(value, bytes) else value)
        assert isinstance(request.body, bytes)
        assert request.body.isascii()
        assert len(request.body) <= _MOST_BYTES
        recipients = json.loads(request.body)["recipientData"]
        assert 1 <= len(recipients) <= 200
        for entry in recipients:
            assert entry.keys() == {"recipient", "optionalData"}
            assert entry["recipient"].keys() == {self._field, "listName"}
            assert entry["recipient"]["listName"] == {"objectName": "CONTACTS_LIST", "folderName": "!MasterData"}
            _look_at_properties(entry["optionalData"])
        ids = [entry["recipient"][self._field] for entry in recipients]
        assert len(ids) == len(set(ids))


def _look_at_properties(properties: list[dict[str, Any]]) -> None:
    for each in properties:
        assert each.keys() == {"name", "value"}
        assert isinstance(each["value"], str)
        assert each["name"].strip()
        (each["name"] + each["value"]).encode()  # no half of a surrogate pair
    lowered = [each["name"].lower() for each in properties]
    assert len(lowered) == len(set(lowered))
    assert [each["name"] for each in properties[-2:]] == ["profileId", "callType"]
    assert properties[-2]["value"].strip()
    assert properties[-1]["value"] in {"ADD", "UPDATE", "REMOVE"}


class WatchedParameters(InMemoryParameters):
    """Systems Manager, where only connectors are read and only the tokens of those that exist are used.

    Attributes
    ----------
    astray : list of str
        Other names that were asked for. Told afterwards: the code under test takes an exception for a fault of AWS.
    """

    def __init__(self, values: dict[str, str]) -> None:
        super().__init__(values)
        self.astray: list[str] = []
        self._tokens = {f"/stack/tokens/{account_id(read_connector(text))}" for text in values.values()}

    def get_parameter(self, *, Name: str, WithDecryption: bool = False) -> dict[str, Any]:  # noqa: N803
        if Name not in self._tokens and not _CONNECTOR_PARAMETER.fullmatch(Name):
            self.astray.append(Name)
        return super().get_parameter(Name=Name, WithDecryption=WithDecryption)

    def put_parameter(self, *, Name: str, Value: str, Type: str, Overwrite: bool) -> dict[str, Any]:  # noqa: N803
        if Name not in self._tokens:
            self.astray.append(Name)
        return super().put_parameter(Name=Name, Value=Value, Type=Type, Overwrite=Overwrite)


_CONNECTOR_PARAMETER = re.compile(rf"{CONNECTOR_PREFIX}[A-Za-z0-9][A-Za-z0-9_.-]*")


def attack(bodies: Sequence[str], fault: Fault | None = None) -> Counter[str]:
    """Deliver a batch in a fresh environment, look at everything, and count what it came to.

    Parameters
    ----------
    fault : Fault or None
        How every account's first request of a kind fails; one of ``FAULTS``.

    Returns
    -------
    Counter
        By outcome, and by error code.
    """
    clock = Clock()
    accounts = {name: WatchedResponsys(clock, kind) for name, kind in CONNECTORS.items()}
    for account in accounts.values():
        account.fault = _first(account, fault)
    sqs = RecordingSqs()
    ssm = WatchedParameters({f"{CONNECTOR_PREFIX}{name}": _settings(kind) for name, kind in CONNECTORS.items()})
    around = Surroundings(
        ssm=ssm,
        secrets=InMemorySecrets({"stack/default": json.dumps({"username": "u", "password": "p"})}),
        sqs=sqs,
        responsys=accounts,
    )
    with captured_output() as output:
        environment = Environment(around, clock=clock, sleep=clock.sleep, in_flight=1)
        records = [sqs_record(str(number), body, _QUEUE_ARN, now=NOW) for number, body in enumerate(bodies)]
        response = environment.invoke(records, 600.0)
    retried = [int(failure["itemIdentifier"]) for failure in response["batchItemFailures"]]
    throttled, rejected = (sqs.sent.get(f"{QUEUE_URL}{queue}", []) for queue in ("throttled", "rejected"))
    accepted = list(itertools.chain.from_iterable(account.accepted for account in accounts.values()))
    refused = _look_at_dead_letters(bodies, [*throttled, *rejected])
    _look_at_output(output)
    outcomes = {name: round(output.total(name, **_SERVICE)) for name in OUTCOMES}
    assert ssm.astray == []
    pairs = [max(1, len(read(body, NOW).parts)) for body in bodies]  # no connector maps anything
    assert output.total("MessagesReceived", **_SERVICE) == sum(pairs) == sum(outcomes.values())
    assert len(retried) == len(set(retried))
    assert outcomes["EventsRetried"] == sum(pairs[number] for number in retried)
    assert not set(retried) & refused
    assert len(throttled) == outcomes["EventsThrottled"]
    assert len(rejected) == outcomes["EventsRejected"]
    assert len(accepted) == outcomes["EventsDelivered"]
    codes = Counter(entry["MessageAttributes"]["errorCode"]["StringValue"] for entry in [*throttled, *rejected])
    return codes + Counter({name.removeprefix("Events").lower(): count for name, count in outcomes.items()})


def _first(account: WatchedResponsys, fault: Fault | None) -> Callable[[str], Fault | None]:
    applies = "login" if fault is Fault.LOGIN_REFUSED else "event"
    return lambda kind: fault if kind == applies and account.calls[kind] == 1 else None


def _settings(kind: IdentifierType) -> str:
    return json.dumps(
        connector_document(
            authEndpoint=f"https://login-{_account_name(kind)}.responsys.net",
            identifierType=kind.value,
            requestsPerMinute=6000,
        )
    )


def _account_name(kind: IdentifierType) -> str:
    return kind.value.lower().replace("_", "-")


def _look_at_dead_letters(bodies: Sequence[str], entries: Sequence[Entry]) -> set[int]:
    """Assert that each has its body, or its part of it, and attributes that SQS takes; give the messages' numbers."""
    numbers = [int(entry["MessageAttributes"]["originalMessageId"]["StringValue"]) for entry in entries]
    letters: defaultdict[int, list[str]] = defaultdict(list)
    for number, entry in zip(numbers, entries, strict=True):
        letters[number].append(entry["MessageBody"])
        assert entry["MessageAttributes"].keys() == LIFE_ATTRIBUTES
        for attribute in entry["MessageAttributes"].values():
            assert _SQS_TEXT.fullmatch(attribute["StringValue"]), attribute
            assert len(attribute["StringValue"]) <= 300
        reason = entry["MessageAttributes"]["reason"]["StringValue"].lower()
        assert not [word for word in PERSONAL if word in reason]
    for number, of_message in letters.items():
        if of_message != [bodies[number]]:
            assert not Counter(of_message) - Counter(bodies_of(bodies[number], NOW))
    return set(numbers)


def _look_at_output(output: FunctionOutput) -> None:
    """Assert that no body forged a line, or made one long, and that no line says who anybody is."""
    for document in output.documents():
        line = json.dumps(document)
        assert document.keys() & {"_aws", "level"}
        assert len(line) <= _LONGEST_LINE
        assert not [word for word in PERSONAL if word in line.lower()]
    for namespace, _, dimensions, _ in output.metrics():
        assert namespace == "ResponsysActivation"
        assert tuple(dimensions) in [
            ("stack", "service"),
            ("stack", "connector"),
            ("stack", "connector", "eventName"),
            ("stack", "connector", "errorCode"),
        ]
        assert dimensions.get("connector", "-") in {"-", *CONNECTORS}
        assert all(value.strip() for value in dimensions.values())
