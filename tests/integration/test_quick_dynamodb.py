"""Do the table's calls come to the same, straight over HTTP and through botocore?"""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from zlib import crc32

import boto3
import pytest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError, CredentialRetrievalError

from responsys_activation.aws.clients import open_clients
from responsys_activation.aws.faults import CLIENT_CONFIG
from responsys_activation.aws.quick_dynamodb import QuickDynamoDb
from tests.fakes.clock import Clock
from tests.fakes.function_output import captured_output
from tests.fakes.loopback import (
    HOST,
    Peer,
    Talk,
    always,
    certificate,
    http_reply,
    read_request,
    resetting_after_request,
    saying,
)

REGION = "eu-west-1"
READ_SECONDS = 0.5
ITEM = {"pk": {"S": "Zürich"}, "sk": {"S": "a"}, "position": {"N": "7"}, "undelivered": {"NS": ["1", "2"]}}
KEY = {"pk": {"S": "Zürich"}, "sk": {"S": "a"}}
CALLS = [
    (
        "batch_execute_statement",
        {"Statements": [{"Statement": 'INSERT INTO "t" VALUE {}'}, {"Statement": "U", "Parameters": [{"S": "x"}]}]},
        {"Responses": [{"TableName": "t"}, {"TableName": "t", "Error": {"Code": "DuplicateItem", "Message": "m"}}]},
    ),
    (
        "batch_get_item",
        {"RequestItems": {"t": {"Keys": [KEY], "ConsistentRead": True}}},
        {"Responses": {"t": [ITEM]}, "UnprocessedKeys": {"t": {"Keys": [KEY], "ConsistentRead": True}}},
    ),
    ("get_item", {"TableName": "t", "Key": KEY, "ConsistentRead": True}, {"Item": ITEM}),
    ("get_item", {"TableName": "t", "Key": KEY, "ConsistentRead": False}, {}),
    ("put_item", {"TableName": "t", "Item": ITEM}, {}),
    (
        "query",
        {
            "TableName": "t",
            "KeyConditionExpression": "pk = :pk",
            "ExpressionAttributeValues": {":pk": {"S": "Zürich"}},
            "ConsistentRead": True,
        },
        {"Items": [ITEM], "Count": 1, "ScannedCount": 1, "LastEvaluatedKey": KEY},
    ),
    (
        "update_item",
        {
            "TableName": "t",
            "Key": KEY,
            "UpdateExpression": "SET a = :a",
            "ExpressionAttributeValues": {":a": {"N": "1"}},
        },
        {"Attributes": ITEM},
    ),
]


def answer(document: Any, status: str = "200 OK", *headers: bytes) -> bytes:
    """Write an answer as DynamoDB does."""
    body = json.dumps(document).encode()
    return http_reply(status, body, b"x-amz-crc32: %d" % crc32(body), *headers)


def fault(code: str, status: str = "400 Bad Request", **fields: Any) -> bytes:
    return answer({"__type": f"com.amazonaws.dynamodb.v20120810#{code}", "message": "m", **fields}, status)


def hanging(connection: socket.socket) -> None:
    read_request(connection)
    connection.recv(1)


class ByBotocore:
    """Stands for boto3's client: answers what is left to it."""

    def __init__(self, url: str) -> None:
        config = SimpleNamespace(user_agent="test", connect_timeout=30, read_timeout=READ_SECONDS)
        self.meta = SimpleNamespace(region_name=REGION, endpoint_url=url, config=config)
        self.calls: list[dict[str, Any]] = []

    def __getattr__(self, method: str) -> Any:
        def call(**request: Any) -> dict[str, Any]:
            self.calls.append({method: request})
            return {"by": "botocore"}

        return call


class Quick:
    """A quick client of a peer, and what it leaves to botocore."""

    def __init__(self, url: str, *, ca_certs: str = "", credentials: Any = None) -> None:
        self.clock = Clock()
        self.botocore = ByBotocore(url)
        credentials = credentials or Credentials("AKIDEXAMPLE", "secret", "token")
        client: Any = self.botocore
        self.client: Any = QuickDynamoDb(client, credentials, ca_certs=ca_certs, clock=self.clock)

    def put(self) -> Any:
        return self.client.put_item(TableName="t", Item=ITEM)


@pytest.mark.parametrize(("method", "request_", "reply"), CALLS)
def test_a_call_asks_and_answers_the_same_as_botocores(
    method: str, request_: dict[str, Any], reply: dict[str, Any], peer: Callable[..., Peer]
) -> None:
    # Given DynamoDB, and botocore's client of it
    seen: list[bytes] = []
    url = peer(always(answer(reply), seen)).url
    session = boto3.Session("AKIDEXAMPLE", "secret", "token", region_name=REGION)
    botocores = session.client("dynamodb", endpoint_url=url, config=CLIENT_CONFIG)
    # When both make the call
    expected = getattr(botocores, method)(**request_)
    quick = Quick(url)
    ours = getattr(quick.client, method)(**request_)
    # Then they ask for the same
    asked, asked_by_us = map(_asked, seen)
    assert asked_by_us == asked
    # And get the same
    expected.pop("ResponseMetadata")
    assert ours == expected
    assert not quick.botocore.calls


def _asked(request: bytes) -> tuple[Any, ...]:
    head, _, body = request.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    scope = headers["authorization"].partition("Credential=")[2].partition("/")[2][8:].partition(",")[0]
    named = ("host", "content-type", "x-amz-target", "x-amz-security-token", "content-length")
    return first, json.loads(body), scope, *(headers[name] for name in named)


def test_a_condition_that_fails_is_told_as_by_botocore_and_not_tried_again(peer: Callable[..., Peer]) -> None:
    # Given an update whose condition does not hold
    refusing = peer(always(fault("ConditionalCheckFailedException", Item=ITEM)))
    quick = Quick(refusing.url)
    # When it is made, twice
    for _ in range(2):
        with pytest.raises(ClientError) as refused:
            quick.client.update_item(TableName="t", Key=KEY, UpdateExpression="SET a = b")
        # Then it fails with the item that is there
        assert refused.value.response["Error"]["Code"] == "ConditionalCheckFailedException"
        assert refused.value.response["Item"] == ITEM  # type: ignore[typeddict-item]
    # And botocore does not try it at the price of another write
    assert not quick.botocore.calls
    assert refusing.accepted == 1


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n"


@pytest.mark.parametrize(
    "talk",
    [
        pytest.param(always(fault("ProvisionedThroughputExceededException")), id="throttled"),
        pytest.param(always(fault("InternalServerError", "500 Internal Server Error")), id="500"),
        pytest.param(always(http_reply("503 Service Unavailable", b"<html>")), id="a gateway's error"),
        pytest.param(always(http_reply("200 OK", b"{}", b"X-Amz-Crc32: 1")), id="another checksum"),
        pytest.param(always(http_reply("200 OK", b"{")), id="no JSON"),
        pytest.param(always(http_reply("200 OK", b"[1]")), id="no object"),
        pytest.param(saying(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}"), id="half a body"),
        pytest.param(saying(b"HTTP/1.1 200 OK\r\nConte"), id="half a head"),
        pytest.param(always(http_reply("200 OK", b"{}") + b"\r\n"), id="more than its length"),
        pytest.param(always(CHUNKED + b"\r\n2\r\n{}\r\n0\r\n\r\n"), id="chunks"),
        pytest.param(always(CHUNKED + b"Content-Length: 2\r\n\r\n{}"), id="two lengths"),
        pytest.param(always(http_reply("200 OK", b"{}").replace(b"/1.1", b"/1.0")), id="HTTP/1.0"),
        pytest.param(saying(b"nonsense\r\n\r\n"), id="no HTTP"),
        pytest.param(resetting_after_request, id="reset"),
        pytest.param(hanging, id="no answer in time"),
    ],
)
def test_what_does_not_go_well_is_left_to_botocore(talk: Talk, peer: Callable[..., Peer]) -> None:
    # Given a DynamoDB that does not answer as it should
    quick = Quick(peer(talk).url)
    # When a call is made
    began = time.monotonic()
    with captured_output() as output:
        answered = quick.put()
    # Then botocore soon makes it, and the log says so without a value
    assert time.monotonic() - began < 10
    assert answered == {"by": "botocore"}
    assert quick.botocore.calls == [{"put_item": {"TableName": "t", "Item": ITEM}}]
    assert "DynamoDB asked through botocore" in output.text()
    assert "rich" not in output.text()


def test_without_a_connection_or_credentials_the_call_is_left_to_botocore(peer: Callable[..., Peer]) -> None:
    # Given nobody at the endpoint, and credentials that cannot be got
    dynamodb = peer(always(answer({})))
    broken = SimpleNamespace(get_frozen_credentials=_no_credentials)
    # When / Then
    assert Quick("http://127.0.0.1:1").put() == {"by": "botocore"}
    assert Quick(dynamodb.url, credentials=broken).put() == {"by": "botocore"}


def _no_credentials() -> None:
    raise CredentialRetrievalError(provider="p", error_msg="m")


def test_after_a_failure_botocore_makes_the_calls_for_half_a_minute(peer: Callable[..., Peer]) -> None:
    # Given a call that did not go well
    seen: list[bytes] = []
    quick = Quick(peer(always(fault("InternalServerError", "500 Oh"), seen)).url)
    quick.put()
    # When more follow
    quick.clock.sleep(29)
    quick.put()
    # Then they do not wait for the same once more
    assert len(seen) == 1
    assert len(quick.botocore.calls) == 2
    # And later it is tried again
    quick.clock.sleep(2)
    quick.put()
    assert len(seen) == 2


@pytest.mark.parametrize(
    ("talk", "seconds_between", "connections"),
    [
        pytest.param(always(answer({})), 19, 1, id="kept"),
        pytest.param(always(answer({})), 21, 2, id="idle for too long"),
        pytest.param(always(answer({})), -1, 2, id="the clock was set back"),
        pytest.param(saying(answer({})), 0, 2, id="closed by the server"),
        pytest.param(always(answer({}, "200 OK", b"Connection: Close")), 0, 2, id="to be closed"),
    ],
)
def test_a_connection_is_used_again_if_it_stands(
    talk: Talk, seconds_between: float, connections: int, peer: Callable[..., Peer]
) -> None:
    # Given a call that went well
    dynamodb = peer(talk)
    quick = Quick(dynamodb.url)
    assert quick.put() == {}
    if "saying" in talk.__qualname__:
        [(connection, _)] = quick.client._connections._idle
        connection.recv(1, socket.MSG_PEEK)  # until the server has closed it
    # When another follows
    quick.clock.sleep(seconds_between)
    assert quick.put() == {}
    # Then it goes on the same connection, or on a new one
    assert dynamodb.accepted == connections
    assert not quick.botocore.calls


def test_an_answer_in_pieces_is_read_whole(peer: Callable[..., Peer]) -> None:
    # Given an answer that comes byte by byte
    def talk(connection: socket.socket) -> None:
        read_request(connection)
        for byte in answer({"Item": ITEM}):
            connection.sendall(bytes([byte]))

    quick = Quick(peer(talk).url)
    # When / Then
    assert quick.client.get_item(TableName="t", Key=KEY) == {"Item": ITEM}


def test_calls_of_several_threads_get_their_own_answers(peer: Callable[..., Peer]) -> None:
    # Given a DynamoDB that answers with what it was asked for
    def talk(connection: socket.socket) -> None:
        while request := read_request(connection):
            connection.sendall(answer({"Item": json.loads(request.partition(b"\r\n\r\n")[2])["Key"]}))

    dynamodb = peer(talk)
    quick = Quick(dynamodb.url)
    keys = [{"pk": {"S": str(number)}, "sk": {"S": "a"}} for number in range(200)]
    # When eight threads ask
    with ThreadPoolExecutor(8) as pool:
        items = list(pool.map(lambda key: quick.client.get_item(TableName="t", Key=key)["Item"], keys))
    # Then
    assert items == keys
    assert dynamodb.accepted <= 8
    assert not quick.botocore.calls


def test_a_server_is_trusted_by_its_certificate(tmp_path: Path, peer: Callable[..., Peer]) -> None:
    # Given a DynamoDB over TLS, and another authority than its own
    (tmp_path / "other").mkdir()
    own, other = certificate(tmp_path), certificate(tmp_path / "other")
    dynamodb = peer(always(answer({})), own.context)
    # When / Then
    assert Quick(dynamodb.url, ca_certs=str(own.path)).put() == {}
    assert Quick(dynamodb.url, ca_certs=str(other.path)).put() == {"by": "botocore"}
    # And by the name in it
    by_name = dynamodb.url.replace(HOST, "localhost")
    assert Quick(by_name, ca_certs=str(own.path)).put() == {"by": "botocore"}


def test_the_functions_clients_are_quick_unless_a_proxy_is_in_the_way(monkeypatch: pytest.MonkeyPatch) -> None:
    # Given a function's environment
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy", "HTTP_PROXY", "http_proxy"):
        monkeypatch.delenv(name, raising=False)
    # When / Then
    assert isinstance(open_clients().dynamodb, QuickDynamoDb)
    # And
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    assert not isinstance(open_clients().dynamodb, QuickDynamoDb)
