"""Do the parts that keep things in AWS keep their promises against an AWS that answers, refuses and fails?"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.exceptions import ClientError, ConnectTimeoutError
from moto import mock_aws

from responsys_activation.aws.connector_parameters import ConnectorParameters
from responsys_activation.aws.connector_settings import ConnectorSettings, UnknownConnectorError
from responsys_activation.aws.credentials import SecretCredentials
from responsys_activation.aws.faults import CLIENT_CONFIG, AwsUnavailableError
from responsys_activation.aws.login_guard import TableLoginGuard
from responsys_activation.aws.queues import DeadLetter, DeadLetterQueue, SourceQueue
from responsys_activation.aws.token_store import ParameterTokenStore
from responsys_activation.connector import InvalidConnectorError
from responsys_activation.outcome import ErrorCode
from responsys_activation.responsys.errors import LoginRefusedError
from responsys_activation.responsys.login import Token
from responsys_activation.responsys.session import RefusedLogin
from tests.fakes.clock import NOW, Clock
from tests.fakes.memberships import connector, connector_document
from tests.fakes.recording_sqs import Entry, RecordingSqs

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_secretsmanager import SecretsManagerClient
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_ssm import SSMClient

TOKEN = Token("secret-token", "https://api5-009.responsys.net", NOW + 0.25)
PARAMETER = "/stack/tokens/default"
TABLE = "delivery"


@pytest.fixture(autouse=True)
def _aws() -> Iterator[None]:
    with mock_aws():
        yield


@pytest.fixture
def ssm() -> SSMClient:
    return boto3.client("ssm", config=CLIENT_CONFIG)


@pytest.fixture
def secrets_manager() -> SecretsManagerClient:
    return boto3.client("secretsmanager", config=CLIENT_CONFIG)


@pytest.fixture
def sqs() -> SQSClient:
    return boto3.client("sqs", config=CLIENT_CONFIG)


@pytest.fixture
def dynamodb() -> DynamoDBClient:
    client = boto3.client("dynamodb", config=CLIENT_CONFIG)
    client.create_table(
        TableName=TABLE,
        AttributeDefinitions=[
            {"AttributeName": "pk", "AttributeType": "S"},
            {"AttributeName": "sk", "AttributeType": "S"},
        ],
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
        BillingMode="PAY_PER_REQUEST",
    )
    return client


def failing(client: Any, operation: str, failure: Exception) -> list[dict[str, Any]]:
    """Let one operation of a client fail; return the list of calls that it gets from now on."""
    calls: list[dict[str, Any]] = []

    def fail(params: dict[str, Any], **_event: Any) -> None:
        calls.append(params)
        raise failure

    service = client.meta.service_model.service_id.hyphenize()
    client.meta.events.register(f"provide-client-params.{service}.{operation}", fail)
    return calls


def refusal(code: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": "secret-token"}}, "Operation")


FAULTS = [
    refusal("ThrottlingException"),
    refusal("InternalServerError"),
    refusal("AccessDeniedException"),
    ConnectTimeoutError(endpoint_url="https://aws"),
]


# --- the token -------------------------------------------------------------------------------------------------


def test_a_token_comes_back_as_it_was_written_and_lies_encrypted(ssm: SSMClient) -> None:
    ParameterTokenStore(PARAMETER, connector(), ssm).write(TOKEN)

    assert ParameterTokenStore(PARAMETER, connector(), ssm).read() == TOKEN
    assert ssm.get_parameter(Name=PARAMETER)["Parameter"]["Type"] == "SecureString"


@pytest.mark.parametrize(
    ("given", "used"), [({}, "alias/aws/ssm"), ({"kms_key_id": "arn:aws:kms:key/own"}, "arn:aws:kms:key/own")]
)
def test_a_token_lies_encrypted_with_the_key_that_was_given(ssm: SSMClient, given: dict[str, Any], used: str) -> None:
    # Given a store with or without a key of its own / When it writes a token
    ParameterTokenStore(PARAMETER, connector(), ssm, **given).write(TOKEN)
    # Then SSM encrypts with that key
    (described,) = ssm.describe_parameters()["Parameters"]
    assert described["KeyId"] == used


def test_a_newer_token_replaces_the_older_one(ssm: SSMClient) -> None:
    store = ParameterTokenStore(PARAMETER, connector(), ssm)
    store.write(Token("old", TOKEN.end_point, NOW - 1))

    store.write(TOKEN)

    assert store.read() == TOKEN


def test_before_the_first_login_there_is_no_token(ssm: SSMClient) -> None:
    assert ParameterTokenStore(PARAMETER, connector(), ssm).read() is None


@pytest.mark.parametrize(
    "changes", [{"authEndpoint": "https://login2.responsys.net"}, {"credentialsSecretId": "stack/other"}]
)
def test_a_connector_moved_to_another_account_does_not_go_on_with_the_old_token(
    ssm: SSMClient, changes: dict[str, str]
) -> None:
    ParameterTokenStore(PARAMETER, connector(), ssm).write(TOKEN)

    assert ParameterTokenStore(PARAMETER, connector(**changes), ssm).read() is None


def test_a_change_of_other_settings_keeps_the_token(ssm: SSMClient) -> None:
    ParameterTokenStore(PARAMETER, connector(), ssm).write(TOKEN)

    assert ParameterTokenStore(PARAMETER, connector(defaultEventName="OTHER"), ssm).read() == TOKEN


ACCOUNT = {"authEndpoint": "https://login-default.responsys.net", "credentialsSecretId": "stack/default"}


@pytest.mark.parametrize(
    "value",
    [
        "garbage",
        "null",
        "[]",
        '"text"',
        "7",
        "{}",
        json.dumps({"authToken": "t", "endPoint": "e", "obtainedAt": 1}),
        json.dumps(ACCOUNT),
        json.dumps(ACCOUNT | {"authToken": "t", "endPoint": "e"}),
        json.dumps(ACCOUNT | {"authToken": "t", "endPoint": "e", "obtainedAt": "yesterday"}),
        json.dumps(ACCOUNT | {"authToken": "t", "endPoint": "e", "obtainedAt": None}),
    ],
)
def test_garbage_in_the_parameter_is_no_token_and_the_next_login_replaces_it(ssm: SSMClient, value: str) -> None:
    ssm.put_parameter(Name=PARAMETER, Value=value, Type="SecureString")
    store = ParameterTokenStore(PARAMETER, connector(), ssm)

    assert store.read() is None
    store.write(TOKEN)
    assert store.read() == TOKEN


@pytest.mark.parametrize("fault", FAULTS)
def test_a_token_that_cannot_be_shared_stops_nothing_and_shows_nowhere(
    ssm: SSMClient, fault: Exception, capsys: pytest.CaptureFixture[str]
) -> None:
    calls = failing(ssm, "PutParameter", fault)

    ParameterTokenStore(PARAMETER, connector(), ssm).write(TOKEN)

    assert len(calls) == 1
    captured = capsys.readouterr()
    assert TOKEN.auth_token not in captured.out + captured.err


@pytest.mark.parametrize("fault", FAULTS)
def test_a_token_that_cannot_be_read_is_a_fault_and_not_a_missing_token(ssm: SSMClient, fault: Exception) -> None:
    failing(ssm, "GetParameter", fault)

    with pytest.raises(AwsUnavailableError) as raised:
        ParameterTokenStore(PARAMETER, connector(), ssm).read()
    assert PARAMETER in str(raised.value)
    assert "secret-token" not in str(raised.value)


# --- credentials -----------------------------------------------------------------------------------------------


def test_credentials_carry_the_version_of_their_secret(secrets_manager: SecretsManagerClient) -> None:
    created = secrets_manager.create_secret(
        Name="stack/default", SecretString=json.dumps({"username": "api_user", "password": "p&ss"})
    )

    credentials = SecretCredentials("stack/default", secrets_manager)()

    assert (credentials.username, credentials.password) == ("api_user", "p&ss")
    assert credentials.version == created["VersionId"]


def test_a_rotated_secret_counts_at_once_with_a_new_version(secrets_manager: SecretsManagerClient) -> None:
    secrets_manager.create_secret(Name="s", SecretString=json.dumps({"username": "u", "password": "old"}))
    read = SecretCredentials("s", secrets_manager)
    before = read()

    secrets_manager.put_secret_value(SecretId="s", SecretString=json.dumps({"username": "u", "password": "new"}))

    assert read().password == "new"
    assert read().version != before.version


@pytest.mark.parametrize(
    "text",
    [
        "password",
        "[]",
        "null",
        "{}",
        '{"username": "u"}',
        '{"password": "do-not-quote-me"}',
        '{"username": "", "password": "do-not-quote-me"}',
        '{"username": "u", "password": ""}',
        '{"username": "u", "password": 12345}',
        '{"username": "u", "password": null}',
    ],
)
def test_a_secret_without_user_name_and_password_is_a_refused_login(
    secrets_manager: SecretsManagerClient, text: str
) -> None:
    secrets_manager.create_secret(Name="stack/default", SecretString=text)

    with pytest.raises(LoginRefusedError) as refused:
        SecretCredentials("stack/default", secrets_manager)()

    assert refused.value.code == ErrorCode.INVALID_CREDENTIALS
    assert "stack/default" in refused.value.title
    assert "do-not-quote-me" not in str(refused.value) + refused.value.title


def test_a_binary_secret_is_a_refused_login(secrets_manager: SecretsManagerClient) -> None:
    secrets_manager.create_secret(Name="stack/default", SecretBinary=b"\x00\x01")

    with pytest.raises(LoginRefusedError):
        SecretCredentials("stack/default", secrets_manager)()


def test_a_secret_that_does_not_exist_is_a_refused_login(secrets_manager: SecretsManagerClient) -> None:
    with pytest.raises(LoginRefusedError) as refused:
        SecretCredentials("stack/missing", secrets_manager)()

    assert refused.value.title == "no secret stack/missing"
    assert refused.value.clock == 600


@pytest.mark.parametrize("fault", FAULTS)
def test_a_secret_that_cannot_be_read_is_a_fault_and_no_refusal(
    secrets_manager: SecretsManagerClient, fault: Exception
) -> None:
    failing(secrets_manager, "GetSecretValue", fault)

    with pytest.raises(AwsUnavailableError):
        SecretCredentials("stack/default", secrets_manager)()


# --- connector settings ----------------------------------------------------------------------------------------


def settings_of(ssm: SSMClient, clock: Clock | None = None) -> ConnectorSettings:
    return ConnectorSettings(ConnectorParameters("/stack/connectors/", ssm), clock=clock or Clock())


def put_connector(ssm: SSMClient, name: str = "default", **changes: Any) -> None:
    value = json.dumps(connector_document(**changes))
    ssm.put_parameter(Name=f"/stack/connectors/{name}", Value=value, Type="String", Overwrite=True)


def test_each_connector_has_its_own_parameter(ssm: SSMClient) -> None:
    put_connector(ssm)
    put_connector(ssm, "eu.brand-2", identifierType="CRM_ID")
    settings = settings_of(ssm)

    assert settings.read("default") == connector()
    assert settings.read("eu.brand-2") == connector(identifierType="CRM_ID")


def test_a_connector_without_parameter_is_unknown(ssm: SSMClient) -> None:
    with pytest.raises(UnknownConnectorError, match="/stack/connectors/other"):
        settings_of(ssm).read("other")


def test_a_connector_added_later_is_found_without_a_restart(ssm: SSMClient) -> None:
    clock = Clock()
    settings = settings_of(ssm, clock)
    with pytest.raises(UnknownConnectorError):
        settings.read("default")

    put_connector(ssm)
    clock.sleep(30)

    assert settings.read("default") == connector()


def test_a_connector_that_cannot_be_used_is_neither_unknown_nor_unavailable(ssm: SSMClient) -> None:
    ssm.put_parameter(Name="/stack/connectors/default", Value="{}", Type="String")

    with pytest.raises(InvalidConnectorError, match="authEndpoint"):
        settings_of(ssm).read("default")


@pytest.mark.parametrize("fault", FAULTS)
def test_a_connector_that_cannot_be_read_is_unavailable_and_not_unknown(ssm: SSMClient, fault: Exception) -> None:
    put_connector(ssm)
    failing(ssm, "GetParametersByPath", fault)

    with pytest.raises(AwsUnavailableError) as raised:
        settings_of(ssm).read("default")
    assert "secret-token" not in str(raised.value)


def test_connectors_are_listed_once_and_a_change_takes_effect_within_five_minutes(ssm: SSMClient) -> None:
    put_connector(ssm)
    clock = Clock()
    settings = settings_of(ssm, clock)
    calls: list[Any] = []
    ssm.meta.events.register("provide-client-params.ssm.GetParametersByPath", lambda params, **_: calls.append(params))
    settings.read("default")
    put_connector(ssm, defaultEventName="CHANGED")

    assert settings.read("default").default_event_name == "SEGMENT_CHANGED"
    assert len(calls) == 1

    clock.sleep(300)
    assert settings.read("default").default_event_name == "CHANGED"


# --- the login guard -------------------------------------------------------------------------------------------


@pytest.fixture
def guard_of(dynamodb: DynamoDBClient) -> Callable[..., TableLoginGuard]:
    """Open guards, each as another environment would."""

    def open_guard(clock: Clock, name: str = "default") -> TableLoginGuard:
        return TableLoginGuard(TABLE, name, dynamodb, clock=clock)

    return open_guard


GuardOf = Callable[..., TableLoginGuard]


def test_only_one_environment_has_the_lease_until_it_gives_it_back(guard_of: GuardOf) -> None:
    clock = Clock()
    first, second = guard_of(clock), guard_of(clock)

    assert first.acquire()
    assert not second.acquire()
    first.release()
    assert second.acquire()
    assert not first.acquire()


def test_an_environment_that_lost_its_answer_may_take_its_own_lease_again(guard_of: GuardOf) -> None:
    guard = guard_of(Clock())

    assert guard.acquire()
    assert guard.acquire()


def test_the_lease_of_a_killed_environment_ends_after_a_minute(guard_of: GuardOf) -> None:
    clock = Clock()
    killed, other = guard_of(clock), guard_of(clock)
    assert killed.acquire()

    clock.now += 60
    assert not other.acquire()
    clock.now += 0.5
    assert other.acquire()


def test_who_lost_the_lease_can_neither_end_anothers_nor_overwrite_what_it_knows(guard_of: GuardOf) -> None:
    clock = Clock()
    slow, other, third = guard_of(clock), guard_of(clock), guard_of(clock)
    assert slow.acquire()
    clock.now += 61
    assert other.acquire()

    slow.release(RefusedLogin("INVALID_USER_NAME_PASSWORD", "v1", NOW + 600))

    assert not third.acquire()
    assert other.refused() is None


def test_the_leases_of_two_secrets_are_two(guard_of: GuardOf) -> None:
    clock = Clock()

    assert guard_of(clock, "default").acquire()
    assert guard_of(clock, "eu").acquire()


def test_a_refusal_is_known_to_every_user_of_the_secret_only(guard_of: GuardOf) -> None:
    clock = Clock()
    guard = guard_of(clock)
    refused = RefusedLogin("INVALID_USER_NAME_PASSWORD", "v1", NOW + 600.125)
    assert guard.refused() is None

    assert guard.acquire()
    guard.release(refused)

    assert guard_of(clock).refused() == refused
    assert guard_of(clock, "eu").refused() is None
    assert guard_of(clock).acquire(), "a refusal does not keep the lease"


def test_a_later_login_without_refusal_leaves_the_memory_to_its_own_end(guard_of: GuardOf) -> None:
    guard = guard_of(Clock())
    refused = RefusedLogin("PASSWORD_LOCKOUT", "v1", NOW + 600)
    guard.acquire()
    guard.release(refused)

    guard.acquire()
    guard.release()

    assert guard.refused() == refused


def test_the_item_goes_by_itself_when_the_secret_is_no_longer_used(guard_of: GuardOf, dynamodb: DynamoDBClient) -> None:
    guard_of(Clock()).acquire()

    (item,) = dynamodb.scan(TableName=TABLE)["Items"]
    assert (item["pk"]["S"], item["sk"]["S"]) == ("secret#default", "login")
    assert int(item["expiresAt"]["N"]) == NOW + 86_400


@pytest.mark.parametrize("fault", FAULTS)
def test_without_the_table_there_is_no_lease_and_so_no_login(
    guard_of: GuardOf, dynamodb: DynamoDBClient, fault: Exception
) -> None:
    guard = guard_of(Clock())
    failing(dynamodb, "UpdateItem", fault)
    failing(dynamodb, "GetItem", fault)

    with pytest.raises(AwsUnavailableError):
        guard.acquire()
    with pytest.raises(AwsUnavailableError):
        guard.refused()


def test_a_lease_that_cannot_be_given_back_stops_nothing(guard_of: GuardOf, dynamodb: DynamoDBClient) -> None:
    guard = guard_of(Clock())
    guard.acquire()
    failing(dynamodb, "UpdateItem", refusal("InternalServerError"))

    guard.release()


# --- queues ----------------------------------------------------------------------------------------------------


def letters(count: int, body: str = "{}", delay: int = 0) -> list[DeadLetter]:
    return [DeadLetter(body, {"outcome": "throttled", "number": str(number)}, delay) for number in range(count)]


def received(sqs: SQSClient, url: str) -> dict[str, str]:
    """Empty a queue; number attribute → body."""
    bodies: dict[str, str] = {}
    while messages := sqs.receive_message(
        QueueUrl=url, MaxNumberOfMessages=10, MessageAttributeNames=["All"], VisibilityTimeout=600
    ).get("Messages"):
        for message in messages:
            bodies[message["MessageAttributes"]["number"]["StringValue"]] = message["Body"]
    return bodies


def test_letters_arrive_with_body_and_attributes(sqs: SQSClient) -> None:
    url = sqs.create_queue(QueueName="dlq")["QueueUrl"]
    body = '{ "x": 1.10, "name": "Gr\u00fc\u00dfe \N{SHOPPING TROLLEY}" }'

    assert DeadLetterQueue(url, sqs).send(letters(25, body)) == [True] * 25

    assert received(sqs, url) == {str(number): body for number in range(25)}


def test_a_delayed_letter_is_not_visible_yet(sqs: SQSClient) -> None:
    url = sqs.create_queue(QueueName="dlq")["QueueUrl"]

    assert DeadLetterQueue(url, sqs).send(letters(1, delay=900)) == [True]

    counts = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    assert counts["ApproximateNumberOfMessages"] == "0"
    assert counts["ApproximateNumberOfMessagesDelayed"] == "1"


def test_nothing_to_send_is_no_call(sqs: SQSClient) -> None:
    assert DeadLetterQueue("https://sqs/no-such-queue", sqs).send([]) == []


def test_a_queue_that_does_not_exist_takes_nothing(sqs: SQSClient) -> None:
    assert DeadLetterQueue("https://sqs.eu-west-1.amazonaws.com/123456789012/no", sqs).send(letters(11)) == [False] * 11


class RecordedCalls(RecordingSqs):
    """Keeps the calls apart."""

    def __init__(self, refuses: Callable[[Entry], bool] = lambda _: False) -> None:
        super().__init__(refuses)
        self.calls: list[list[Entry]] = []

    def send_message_batch(self, *, QueueUrl: str, Entries: Any) -> dict[str, Any]:  # noqa: N803
        self.calls.append(list(Entries))
        return super().send_message_batch(QueueUrl=QueueUrl, Entries=Entries)


@pytest.mark.parametrize(("count", "calls"), [(1, 1), (10, 1), (11, 2), (100, 10), (101, 11)])
def test_small_letters_go_ten_in_a_call(count: int, calls: int) -> None:
    client: Any = RecordedCalls()

    assert DeadLetterQueue("q", client).send(letters(count)) == [True] * count

    assert len(client.calls) == calls
    assert all(len(call) <= 10 for call in client.calls)
    assert len({entry["Id"] for call in client.calls for entry in call}) == count


@pytest.mark.parametrize(
    ("body_bytes", "largest_call"), [(1_048_000, 1), (524_000, 2), (300_000, 3), (104_000, 10), (105_000, 9)]
)
@pytest.mark.parametrize("character", ["x", "\N{EURO SIGN}"])
def test_no_call_is_larger_than_one_mebibyte(body_bytes: int, largest_call: int, character: str) -> None:
    client: Any = RecordedCalls()
    body = character * (body_bytes // len(character.encode()))

    assert DeadLetterQueue("q", client).send(letters(12, body)) == [True] * 12

    assert max(len(call) for call in client.calls) == largest_call
    for call in client.calls:
        size = sum(
            len(entry["MessageBody"].encode())
            + sum(
                len(name) + len("String") + len(value["StringValue"])
                for name, value in entry["MessageAttributes"].items()
            )
            for entry in call
        )
        assert size <= 1_048_576


def test_a_letter_that_sqs_refuses_is_not_safe_and_its_neighbours_are() -> None:
    client: Any = RecordedCalls(lambda entry: entry["MessageAttributes"]["number"]["StringValue"] in {"3", "17"})

    safe = DeadLetterQueue("q", client).send(letters(25))

    assert [number for number, is_safe in enumerate(safe) if not is_safe] == [3, 17]


@pytest.mark.parametrize("fault", FAULTS)
def test_of_a_call_that_fails_as_a_whole_nothing_is_safe(sqs: SQSClient, fault: Exception) -> None:
    url = sqs.create_queue(QueueName="dlq")["QueueUrl"]
    calls = failing(sqs, "SendMessageBatch", fault)

    assert DeadLetterQueue(url, sqs).send(letters(12)) == [False] * 12
    assert len(calls) == 2


def test_a_message_put_off_comes_back_after_its_delay(sqs: SQSClient) -> None:
    url = sqs.create_queue(QueueName="segment-events", Attributes={"VisibilityTimeout": "600"})["QueueUrl"]
    for number in range(12):
        sqs.send_message(QueueUrl=url, MessageBody=str(number))
    handles = []
    while messages := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
        handles += [message["ReceiptHandle"] for message in messages]

    SourceQueue(url, sqs).put_off([(handle, 0 if number < 5 else 300) for number, handle in enumerate(handles)])

    counts = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    assert counts["ApproximateNumberOfMessages"] == "5"
    assert counts["ApproximateNumberOfMessagesNotVisible"] == "7"


def test_a_back_off_that_sqs_refuses_stops_nothing(sqs: SQSClient) -> None:
    url = sqs.create_queue(QueueName="segment-events")["QueueUrl"]

    SourceQueue(url, sqs).put_off([("no such handle", 30)])
    SourceQueue("https://sqs.eu-west-1.amazonaws.com/123456789012/none", sqs).put_off([("handle", 30)])
    SourceQueue(url, sqs).put_off([])


def test_a_source_queue_is_known_by_the_name_that_records_carry(sqs: SQSClient) -> None:
    url = sqs.create_queue(QueueName="stack-SegmentEventsQueue")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]

    assert SourceQueue(url, sqs).name == arn.rpartition(":")[2]
