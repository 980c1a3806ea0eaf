"""Do the parts that keep things in AWS keep their promises against an AWS that answers, refuses and fails?"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.exceptions import ClientError, ConnectTimeoutError
from moto import mock_aws

from responsys_activation.account import account_id
from responsys_activation.aws.connectors import ConnectorParameters, ConnectorSettings, UnknownConnectorError
from responsys_activation.aws.credentials import SecretCredentials
from responsys_activation.aws.delivery_table import DeliveryTable
from responsys_activation.aws.faults import CLIENT_CONFIG, AwsCallError
from responsys_activation.aws.login_guard import LEASE_SECONDS, TableLoginGuard
from responsys_activation.aws.queues import DeadLetter, DeadLetterQueue, SourceQueue
from responsys_activation.aws.token_store import ParameterTokenStore
from responsys_activation.connector import InvalidConnectorError
from responsys_activation.error_code import ErrorCode
from responsys_activation.responsys.errors import LoginRefusedError
from responsys_activation.responsys.login import SecretVersion, Token
from responsys_activation.responsys.login_memory import Hold, LoginMemory
from tests.fakes.clock import NOW, Clock
from tests.fakes.function_output import captured_output
from tests.fakes.memberships import connector, connector_document
from tests.fakes.recording_sqs import Entry, RecordingSqs

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_secretsmanager import SecretsManagerClient
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_ssm import SSMClient

TOKEN = Token("secret-token", "https://api5-009.responsys.net", NOW + 0.25)
TOKENS = "/stack/tokens/"
ACCOUNT = account_id(connector())
PARAMETER = f"{TOKENS}{ACCOUNT}"
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


def refusal(code: str, status: int = 400) -> ClientError:
    response: Any = {
        "Error": {"Code": code, "Message": "secret-token"},
        "ResponseMetadata": {"HTTPStatusCode": status},
    }
    return ClientError(response, "Operation")


OUT_OF_REACH = [
    refusal("ThrottlingException"),
    refusal("InternalServerError", 500),
    ConnectTimeoutError(endpoint_url="https://aws"),
]
DENIALS = [refusal("AccessDeniedException"), refusal("InvalidKeyId"), refusal("KMSInvalidStateException")]
FAULTS = [*OUT_OF_REACH, *DENIALS]


# --- the token -------------------------------------------------------------------------------------------------


def token_store(ssm: SSMClient, **options: Any) -> ParameterTokenStore:
    return ParameterTokenStore(TOKENS, ACCOUNT, ssm, **options)


@pytest.mark.parametrize("token", [TOKEN, replace(TOKEN, renewed_in_doubt=True)])
def test_a_token_comes_back_as_it_was_written_and_lies_encrypted(ssm: SSMClient, token: Token) -> None:
    token_store(ssm).write(token)

    assert token_store(ssm).read() == token
    assert ssm.get_parameter(Name=PARAMETER)["Parameter"]["Type"] == "SecureString"


@pytest.mark.parametrize(
    ("given", "used"), [({}, "alias/aws/ssm"), ({"kms_key_id": "arn:aws:kms:key/own"}, "arn:aws:kms:key/own")]
)
def test_a_token_lies_encrypted_with_the_key_that_was_given(ssm: SSMClient, given: dict[str, Any], used: str) -> None:
    # Given a store with or without a key of its own / When it writes a token
    token_store(ssm, **given).write(TOKEN)
    # Then SSM encrypts with that key
    (described,) = ssm.describe_parameters()["Parameters"]
    assert described["KeyId"] == used


def test_a_newer_token_replaces_the_older_one(ssm: SSMClient) -> None:
    store = token_store(ssm)
    store.write(Token("old", TOKEN.end_point, NOW - 1))

    store.write(TOKEN)

    assert store.read() == TOKEN


def test_before_the_first_login_there_is_no_token_which_is_no_fault(ssm: SSMClient) -> None:
    with captured_output() as output:
        assert token_store(ssm).read() is None
    assert output.text() == ""


def test_a_parameter_copied_from_another_account_is_no_token_of_this_one(ssm: SSMClient) -> None:
    # Given a token that was stored for one account, and its parameter put in place of another's
    token_store(ssm).write(TOKEN)
    value = ssm.get_parameter(Name=PARAMETER, WithDecryption=True)["Parameter"]["Value"]
    other = account_id(connector(credentialsSecretId="stack/other"))
    ssm.put_parameter(Name=f"{TOKENS}{other}", Value=value, Type="SecureString")
    # When the other account's token is read / Then there is none
    assert ParameterTokenStore(TOKENS, other, ssm).read() is None


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
        json.dumps({"account": ACCOUNT}),
        json.dumps({"account": ACCOUNT, "authToken": "t", "endPoint": "e"}),
        json.dumps({"account": ACCOUNT, "authToken": "t", "endPoint": "e", "obtainedAt": "yesterday"}),
        json.dumps({"account": ACCOUNT, "authToken": "t", "endPoint": "e", "obtainedAt": None}),
    ],
)
def test_garbage_in_the_parameter_is_no_token_and_the_next_login_replaces_it(ssm: SSMClient, value: str) -> None:
    ssm.put_parameter(Name=PARAMETER, Value=value, Type="SecureString")
    store = token_store(ssm)

    assert store.read() is None
    store.write(TOKEN)
    assert store.read() == TOKEN


@pytest.mark.parametrize("fault", FAULTS)
def test_a_token_that_cannot_be_shared_stops_nothing_and_shows_nowhere(
    ssm: SSMClient, fault: Exception, capsys: pytest.CaptureFixture[str]
) -> None:
    calls = failing(ssm, "PutParameter", fault)

    token_store(ssm).write(TOKEN)

    assert len(calls) == 1
    captured = capsys.readouterr()
    assert TOKEN.auth_token not in captured.out + captured.err


@pytest.mark.parametrize("fault", OUT_OF_REACH)
def test_a_token_out_of_reach_is_a_fault_and_not_a_missing_token(ssm: SSMClient, fault: Exception) -> None:
    failing(ssm, "GetParameter", fault)

    with pytest.raises(AwsCallError) as raised:
        token_store(ssm).read()
    assert PARAMETER in str(raised.value)
    assert "secret-token" not in str(raised.value)


@pytest.mark.parametrize("fault", DENIALS)
def test_a_token_that_may_not_be_read_is_none_so_that_a_login_replaces_it(ssm: SSMClient, fault: Exception) -> None:
    # Given a token that another key encrypts / When it is read
    failing(ssm, "GetParameter", fault)
    with captured_output() as output:
        token = token_store(ssm).read()
    # Then there is none, and that is an error in the log
    assert token is None
    (line,) = output.lines("token not readable")
    assert line["level"] == "ERROR"
    assert "secret-token" not in output.text()


# --- the account ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "spelling",
    ["https://LOGIN-default.responsys.net/", "login-default.responsys.net", " https://login-default.responsys.net"],
)
def test_one_host_and_one_secret_are_one_account_however_they_are_spelled(spelling: str) -> None:
    assert account_id(connector(authEndpoint=spelling, defaultEventName="OTHER")) == ACCOUNT


@pytest.mark.parametrize(
    "changes", [{"authEndpoint": "https://login2.responsys.net"}, {"credentialsSecretId": "stack/other"}]
)
def test_another_host_or_secret_is_another_account(changes: dict[str, str]) -> None:
    assert account_id(connector(**changes)) != ACCOUNT


# --- credentials -----------------------------------------------------------------------------------------------


def test_credentials_carry_the_version_of_their_secret(secrets_manager: SecretsManagerClient) -> None:
    before = time.time() - 1
    created = secrets_manager.create_secret(
        Name="stack/default", SecretString=json.dumps({"username": "api_user ", "password": "p&ss\n"})
    )

    by_name = SecretCredentials("stack/default", secrets_manager)()
    by_arn = SecretCredentials(created["ARN"], secrets_manager)()

    assert (by_name.username, by_name.password) == ("api_user ", "p&ss\n"), "as they stand"
    assert (by_name.version.secret, by_name.version.version) == (created["ARN"], created["VersionId"])
    assert before <= by_name.version.written_at <= time.time()
    assert by_arn == by_name


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
    assert refused.value.retry_after == 600


@pytest.mark.parametrize("fault", OUT_OF_REACH)
def test_a_secret_out_of_reach_is_a_fault_and_no_refusal(
    secrets_manager: SecretsManagerClient, fault: Exception
) -> None:
    failing(secrets_manager, "GetSecretValue", fault)

    with pytest.raises(AwsCallError):
        SecretCredentials("stack/default", secrets_manager)()


@pytest.mark.parametrize("fault", DENIALS)
def test_a_secret_that_may_not_be_read_is_a_persons_mistake(
    secrets_manager: SecretsManagerClient, fault: Exception
) -> None:
    failing(secrets_manager, "GetSecretValue", fault)

    with pytest.raises(LoginRefusedError) as refused:
        SecretCredentials("stack/default", secrets_manager)()

    assert refused.value.code == ErrorCode.INVALID_CREDENTIALS
    assert "stack/default may not be read" in refused.value.title
    assert "secret-token" not in refused.value.title


# --- connector settings ----------------------------------------------------------------------------------------


def settings_of(ssm: SSMClient, clock: Clock | None = None, time_scale: float = 1.0) -> ConnectorSettings:
    parameters = ConnectorParameters("/stack/connectors/", ssm)
    return ConnectorSettings(parameters, time_scale=time_scale, clock=clock or Clock())


def put_connector(ssm: SSMClient, name: str = "default", **changes: Any) -> None:
    value = json.dumps(connector_document(**changes))
    ssm.put_parameter(Name=f"/stack/connectors/{name}", Value=value, Type="String", Overwrite=True)


def test_each_connector_has_its_own_parameter(ssm: SSMClient) -> None:
    put_connector(ssm)
    put_connector(ssm, "eu.brand-2", identifierType="CRM_ID")
    settings = settings_of(ssm)

    assert settings.read("default") == connector()
    assert settings.read("eu.brand-2") == connector(identifierType="CRM_ID")


@pytest.mark.parametrize(
    ("changes", "several"),
    [
        ({"identifierType": "CRM_ID"}, False),
        ({"authEndpoint": "https://login2.responsys.net"}, True),
        ({"credentialsSecretId": "stack/other"}, True),
        ({"identifierType": "NONE_SUCH", "credentialsSecretId": "stack/other"}, False),
    ],
)
def test_connectors_are_of_several_accounts_where_host_or_secret_differ(
    ssm: SSMClient, changes: dict[str, str], several: bool
) -> None:
    # Given two connectors
    put_connector(ssm)
    put_connector(ssm, "second", **changes)
    settings = settings_of(ssm)

    # When one has been read
    assert not settings.several_accounts()
    settings.read("default")

    # Then the other is known, too
    assert settings.several_accounts() is several


def test_a_connector_without_parameter_is_unknown(ssm: SSMClient) -> None:
    with pytest.raises(UnknownConnectorError, match="/stack/connectors/other"):
        settings_of(ssm).read("other")


@pytest.mark.parametrize("time_scale", [1.0, 10.0])
def test_a_connector_added_later_is_found_without_a_restart(ssm: SSMClient, time_scale: float) -> None:
    clock = Clock()
    settings = settings_of(ssm, clock, time_scale)
    with pytest.raises(UnknownConnectorError):
        settings.read("default")

    put_connector(ssm)
    clock.sleep(30 / time_scale)

    assert settings.read("default") == connector()


def test_a_connector_that_cannot_be_used_is_neither_unknown_nor_unavailable(ssm: SSMClient) -> None:
    ssm.put_parameter(Name="/stack/connectors/default", Value="{}", Type="String")

    with pytest.raises(InvalidConnectorError, match="authEndpoint"):
        settings_of(ssm).read("default")


@pytest.mark.parametrize("fault", FAULTS)
def test_a_connector_that_cannot_be_read_is_unavailable_and_not_unknown(ssm: SSMClient, fault: Exception) -> None:
    put_connector(ssm)
    failing(ssm, "GetParametersByPath", fault)

    with captured_output() as output, pytest.raises(AwsCallError) as raised:
        settings_of(ssm).read("default")
    (line,) = output.lines("connectors not listed")
    assert line["fault"] == str(raised.value)
    assert "secret-token" not in output.text()


@pytest.mark.parametrize("time_scale", [1.0, 10.0])
def test_connectors_are_listed_once_and_a_change_takes_effect_within_five_minutes(
    ssm: SSMClient, time_scale: float
) -> None:
    put_connector(ssm)
    clock = Clock()
    settings = settings_of(ssm, clock, time_scale)
    calls: list[Any] = []
    ssm.meta.events.register("provide-client-params.ssm.GetParametersByPath", lambda params, **_: calls.append(params))
    settings.read("default")
    put_connector(ssm, defaultEventName="CHANGED")

    assert settings.read("default").default_event_name == "SEGMENT_CHANGED"
    assert len(calls) == 1

    clock.sleep(300 / time_scale)
    assert settings.read("default").default_event_name == "CHANGED"


# --- the login guard -------------------------------------------------------------------------------------------


HOST = "https://login5.responsys.net"
VERSION = SecretVersion("arn:secret", "v1", NOW - 100.25)
GuardOf = Callable[..., TableLoginGuard]


@pytest.fixture
def guard_of(dynamodb: DynamoDBClient) -> GuardOf:
    """Open guards, each as another environment would."""

    def open_guard(clock: Clock, username: str = "api_user", host: str = HOST) -> TableLoginGuard:
        return TableLoginGuard(DeliveryTable(TABLE, dynamodb), host, username, clock=clock)

    return open_guard


def wrong(memory: LoginMemory, _alone: bool) -> LoginMemory:
    return memory.after_wrong_password(VERSION, "INVALID_USER_NAME_PASSWORD", NOW)


def test_only_one_environment_has_the_lease_until_it_gives_it_back(guard_of: GuardOf) -> None:
    clock = Clock()
    first, second = guard_of(clock), guard_of(clock)

    assert first.acquire()
    assert not second.acquire()
    first.end()
    assert second.acquire()
    assert not first.acquire()


def test_an_environment_that_lost_its_answer_may_take_its_own_lease_again(guard_of: GuardOf) -> None:
    guard = guard_of(Clock())

    assert guard.acquire()
    assert guard.acquire()


def test_the_lease_of_a_killed_environment_ends(guard_of: GuardOf) -> None:
    clock = Clock()
    killed, other = guard_of(clock), guard_of(clock)
    assert killed.acquire()

    clock.now += LEASE_SECONDS
    assert not other.acquire()
    clock.now += 0.5
    assert other.acquire()


def test_who_lost_the_lease_cannot_end_anothers_but_is_remembered(guard_of: GuardOf) -> None:
    # Given an environment whose lease ran out, and another one that has it now
    clock = Clock()
    slow, other, third = guard_of(clock), guard_of(clock), guard_of(clock)
    assert slow.acquire()
    clock.now += LEASE_SECONDS + 1
    assert other.acquire()
    seen: list[bool] = []

    def told(memory: LoginMemory, alone: bool) -> LoginMemory:
        seen.append(alone)
        return wrong(memory, alone)

    # When the slow one ends, refused
    slow.end(told)
    # Then the lease is the other's still, and both refusals count
    assert not third.acquire()
    assert seen == [False]
    other.end(wrong)
    assert third.acquire()
    assert third.memory().tries == 2


def test_every_user_and_every_host_has_a_lease_and_a_memory_of_its_own(guard_of: GuardOf) -> None:
    # Given two users of one host, and one name at two hosts
    clock = Clock()
    guards = [guard_of(clock), guard_of(clock, "another"), guard_of(clock, host="https://login2.responsys.net")]
    # When all take their leases, and one is refused / Then the others have nothing to do with it
    assert [guard.acquire() for guard in guards] == [True] * 3
    guards[0].end(wrong)
    assert [guard.memory().tries for guard in guards] == [1, 0, 0]


def test_everything_that_is_remembered_comes_back_as_it_was(guard_of: GuardOf) -> None:
    # Given a memory with something in every place
    clock = Clock()
    memory = LoginMemory(
        tries=1,
        code="INVALID_PASSWORD",
        refused_at=NOW + 0.125,
        refused=(VERSION, SecretVersion("arn:other", "v9", NOW)),
        good=SecretVersion("arn:good", "v2", NOW - 7),
        hold=Hold("API_LIMIT_EXCEEDED", NOW, NOW + 60.5, throttle=True),
    )
    assert guard_of(clock).memory() == LoginMemory()
    # When it is remembered by one environment / Then every other one reads the same, and the lease is free
    guard = guard_of(clock)
    assert guard.acquire()
    guard.end(lambda _memory, _alone: memory)
    assert guard_of(clock).memory() == memory
    assert guard_of(clock).acquire()


def test_two_environments_that_remember_at_once_lose_nothing(guard_of: GuardOf) -> None:
    # Given an environment that reads what is remembered, and another that writes before it can
    clock = Clock()
    first, second = guard_of(clock), guard_of(clock)
    rounds: list[int] = []

    def interrupted(memory: LoginMemory, alone: bool) -> LoginMemory:
        rounds.append(memory.tries)
        if len(rounds) <= 3:
            second.end(wrong)
        return wrong(memory, alone)

    # When both are refused / Then all wrong passwords are counted
    first.end(interrupted)
    assert rounds == [0, 1, 2, 3]
    assert first.memory().tries == 4


def test_a_lesson_whose_reply_got_lost_is_counted_once(guard_of: GuardOf, dynamodb: DynamoDBClient) -> None:
    # Given a write that DynamoDB carries out, and that boto3 sends once more because the reply got lost
    guard = guard_of(Clock())
    assert guard.acquire()
    update = dynamodb.update_item

    def sent_twice(**request: Any) -> Any:
        update(**request)
        return update(**request)

    dynamodb.update_item = sent_twice  # type: ignore[method-assign]
    # When a wrong password is remembered / Then it is one
    guard.end(wrong)
    assert guard.memory().tries == 1


def test_a_person_can_clear_what_is_remembered_without_taking_a_lease_away(guard_of: GuardOf) -> None:
    # Given a refusal, and an environment that is logging in
    clock = Clock()
    guard_of(clock).end(wrong)
    busy = guard_of(clock)
    assert busy.acquire()
    # When it is cleared / Then nothing is remembered, and the lease stands
    guard_of(clock).forget()
    assert guard_of(clock).memory() == LoginMemory()
    assert not guard_of(clock).acquire()
    # And clearing what is not there does no harm
    guard_of(clock, "nobody").forget()


@pytest.mark.parametrize("fault", FAULTS)
def test_without_the_table_there_is_no_lease_and_so_no_login(
    guard_of: GuardOf, dynamodb: DynamoDBClient, fault: Exception
) -> None:
    guard = guard_of(Clock())
    failing(dynamodb, "UpdateItem", fault)
    failing(dynamodb, "GetItem", fault)

    with pytest.raises(AwsCallError):
        guard.acquire()
    with pytest.raises(AwsCallError):
        guard.memory()
    with pytest.raises(AwsCallError):
        guard.forget()


def test_a_memory_in_another_form_is_no_leave_to_log_in(guard_of: GuardOf, dynamodb: DynamoDBClient) -> None:
    # Given an item that somebody edited
    guard_of(Clock()).end(wrong)
    (item,) = dynamodb.scan(TableName=TABLE)["Items"]
    dynamodb.put_item(TableName=TABLE, Item=item | {"loginMemory": {"S": "{"}})
    # When it is read / Then there is no login, until a person clears it
    with pytest.raises(AwsCallError):
        guard_of(Clock()).memory()
    guard_of(Clock()).forget()
    assert guard_of(Clock()).memory() == LoginMemory()


def test_a_lease_that_cannot_be_given_back_stops_nothing_and_is_told(
    guard_of: GuardOf, dynamodb: DynamoDBClient
) -> None:
    guard = guard_of(Clock())
    guard.acquire()
    failing(dynamodb, "UpdateItem", refusal("InternalServerError", 500))

    with captured_output() as output:
        guard.end(wrong)

    (line,) = output.lines("login not remembered")
    assert (line["level"], line["lost"]) == ("ERROR", True)


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

    assert DeadLetterQueue(url, sqs).send(letters(25, body)) == set(range(25))

    assert received(sqs, url) == {str(number): body for number in range(25)}


def test_a_delayed_letter_is_not_visible_yet(sqs: SQSClient) -> None:
    url = sqs.create_queue(QueueName="dlq")["QueueUrl"]

    assert DeadLetterQueue(url, sqs).send(letters(1, delay=900)) == {0}

    counts = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    assert counts["ApproximateNumberOfMessages"] == "0"
    assert counts["ApproximateNumberOfMessagesDelayed"] == "1"


def test_nothing_to_send_is_no_call(sqs: SQSClient) -> None:
    assert DeadLetterQueue("https://sqs/no-such-queue", sqs).send([]) == set()


def test_a_queue_that_does_not_exist_takes_nothing(sqs: SQSClient) -> None:
    assert DeadLetterQueue("https://sqs.eu-west-1.amazonaws.com/123456789012/no", sqs).send(letters(11)) == set()


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

    assert DeadLetterQueue("q", client).send(letters(count)) == set(range(count))

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

    assert DeadLetterQueue("q", client).send(letters(12, body)) == set(range(12))

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

    assert set(range(25)) - safe == {3, 17}


@pytest.mark.parametrize("fault", FAULTS)
def test_of_a_call_that_fails_as_a_whole_nothing_is_safe(sqs: SQSClient, fault: Exception) -> None:
    url = sqs.create_queue(QueueName="dlq")["QueueUrl"]
    calls = failing(sqs, "SendMessageBatch", fault)

    assert DeadLetterQueue(url, sqs).send(letters(12)) == set()
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
