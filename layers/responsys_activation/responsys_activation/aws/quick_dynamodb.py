"""How does a call to DynamoDB take a third of the CPU that botocore takes for it?

It is tried once, straight over HTTP. Whatever does not go well is left to botocore, which makes the same call with its
retries and tells what is wrong: a call made twice does no more harm here than one that botocore itself tries twice.
"""

from __future__ import annotations

import json
import select
import socket
import ssl
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import SplitResult, urlsplit
from zlib import crc32

from botocore.exceptions import BotoCoreError, ClientError

from responsys_activation.aws.signature import signed
from responsys_activation.observability import logger

if TYPE_CHECKING:
    from botocore.credentials import Credentials
    from mypy_boto3_dynamodb import DynamoDBClient

__all__ = ["QuickDynamoDb"]

# Whose answers are the same over HTTP as through botocore: documents of texts and numbers, and no failure of their own
# but a condition's.
_OPERATIONS = {
    "batch_execute_statement": "BatchExecuteStatement",
    "batch_get_item": "BatchGetItem",
    "get_item": "GetItem",
    "put_item": "PutItem",
    "query": "Query",
    "update_item": "UpdateItem",
}
_CONDITION_FAILED = "ConditionalCheckFailedException"
# A frozen environment's connections die without a word, as those to Responsys do.
_IDLE_SECONDS = 20.0
# In an outage each call would wait for its time-out once more.
_REST_SECONDS = 30.0
_END_OF_HEAD = b"\r\n\r\n"
_PIECE = 65_536  # bytes


class QuickDynamoDb:
    """A client like boto3's, for the calls of the delivery table; safe to use from several threads.

    Parameters
    ----------
    client : DynamoDBClient
        Names the endpoint and the time limits, and makes the calls that do not go well.
    ca_certs : str
        The file with the authorities to be trusted.
    """

    def __init__(
        self,
        client: DynamoDBClient,
        credentials: Credentials,
        *,
        ca_certs: str,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._credentials = credentials
        self._region = client.meta.region_name
        url = urlsplit(client.meta.endpoint_url)
        self._host = url.netloc
        config: Any = client.meta.config
        self._user_agent = config.user_agent
        self._connections = _Connections(url, config.connect_timeout, config.read_timeout, ca_certs, clock)
        self._clock = clock
        self._rests_until = 0.0
        for method, operation in _OPERATIONS.items():
            setattr(self, method, partial(self._call, operation, getattr(client, method)))

    def _call(self, operation: str, by_botocore: Callable[..., Any], **request: Any) -> Any:
        if self._clock() >= self._rests_until:
            try:
                status, answer = self._exchange(operation, json.dumps(request).encode())
            except (OSError, ValueError, LookupError, TypeError, BotoCoreError) as exc:
                fault = type(exc).__name__
            else:
                if status == 200:
                    return answer
                fault = str(answer.get("__type", status)).rpartition("#")[2]
                if fault == _CONDITION_FAILED:
                    # Not left to botocore: a condition that fails costs write units, too.
                    response: Any = {"Error": {"Code": fault}, "Item": answer.get("Item", {})}
                    raise ClientError(response, operation)
            self._rests_until = self._clock() + _REST_SECONDS
            logger.info("DynamoDB asked through botocore", extra={"operation": operation, "fault": fault})
        return by_botocore(**request)

    def _exchange(self, operation: str, body: bytes) -> tuple[int, dict[str, Any]]:
        """Return status and document of an answer; raise what keeps it from coming whole."""
        headers = signed(
            {
                "content-type": "application/x-amz-json-1.0",
                "host": self._host,
                "x-amz-target": f"DynamoDB_20120810.{operation}",
            },
            body,
            self._credentials.get_frozen_credentials(),
            region=self._region,
            service="dynamodb",
            now=self._clock(),
        )
        answer = self._connections.post(
            {**headers, "user-agent": self._user_agent, "content-length": str(len(body))}, body
        )
        checksum = answer.headers.get("x-amz-crc32")
        if checksum is not None and int(checksum) != crc32(answer.content):
            raise ValueError("not the answer's checksum")
        document = json.loads(answer.content)
        if not isinstance(document, dict):
            raise TypeError("no JSON object")
        return answer.status, document


class _Answer(NamedTuple):
    """What a server answers; the headers' names in lower case."""

    status: int
    headers: Mapping[str, str]
    content: bytes


class _Connections:
    """Connections to one server, for all threads; the one that was used last is used next."""

    def __init__(
        self, url: SplitResult, connect_seconds: float, read_seconds: float, ca_certs: str, clock: Callable[[], float]
    ) -> None:
        self._name = url.hostname or ""
        self._port = url.port or (443 if url.scheme == "https" else 80)
        self._connect_seconds = connect_seconds
        self._read_seconds = read_seconds
        self._clock = clock
        self._idle: list[tuple[socket.socket, float]] = []
        self._trust: ssl.SSLContext | None = None
        if url.scheme == "https":
            # Read once: for each connection, as botocore does, it takes more CPU than all of a call.
            self._trust = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            self._trust.load_verify_locations(ca_certs)

    def post(self, headers: Mapping[str, str], body: bytes) -> _Answer:
        """Post to ``/``, and read the whole answer."""
        connection = self._take() or self._connect()
        try:
            lines = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
            # In one piece: a second one would wake the server twice.
            connection.sendall(f"POST / HTTP/1.1\r\n{lines}\r\n".encode() + body)
            answer = _read_answer(connection)
        except BaseException:
            connection.close()
            raise
        if answer.headers.get("connection", "").lower() == "close":
            connection.close()
        else:
            self._idle.append((connection, self._clock()))
        return answer

    def _take(self) -> socket.socket | None:
        """Take a connection that stands; one that could be read from was closed by the server."""
        while True:
            try:
                connection, used_at = self._idle.pop()
            except IndexError:
                return None
            is_recent = 0.0 <= self._clock() - used_at < _IDLE_SECONDS
            if is_recent and not select.select([connection], [], [], 0)[0]:
                return connection
            connection.close()

    def _connect(self) -> socket.socket:
        connection = socket.create_connection((self._name, self._port), self._connect_seconds)
        try:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._trust:
                connection = self._trust.wrap_socket(connection, server_hostname=self._name)
            connection.settimeout(self._read_seconds)
        except BaseException:
            connection.close()
            raise
        return connection


def _read_answer(connection: socket.socket) -> _Answer:
    """Read an answer of the form that DynamoDB's have, with its length; http.client takes three times as long.

    Raises
    ------
    OSError, ValueError, LookupError
        It breaks off, or has another form.
    """
    received = b""
    while (end := received.find(_END_OF_HEAD)) < 0:
        received += _more(connection)
    first, *lines = received[:end].decode("latin-1").split("\r\n")
    version, status = first.split(" ")[:2]
    headers = {name.lower(): value.strip() for name, _, value in [line.partition(":") for line in lines]}
    content, length = received[end + len(_END_OF_HEAD) :], int(headers["content-length"])
    while len(content) < length:
        content += _more(connection)
    if version != "HTTP/1.1" or len(content) > length or "transfer-encoding" in headers:
        raise ValueError("not DynamoDB's form of an answer")
    return _Answer(int(status), headers, content)


def _more(connection: socket.socket) -> bytes:
    if piece := connection.recv(_PIECE):
        return piece
    raise ConnectionError("the answer breaks off")
