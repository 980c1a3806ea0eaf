"""Is it known of each request, over real connections, whether it can have reached Responsys?"""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Callable, Iterator
from itertools import cycle, islice
from pathlib import Path
from typing import Any, Literal

import pytest

from responsys_activation.error_code import ErrorCode
from responsys_activation.responsys.errors import OutcomeUnknownError, UnavailableError
from responsys_activation.responsys.http import HttpSession, Reply, exchange
from tests.fakes.loopback import (
    HOST,
    Certificate,
    Peer,
    Talk,
    always,
    certificate,
    http_reply,
    read_request,
    reset,
    resetting_after_request,
    saying,
    vanish,
)

LIMIT = 0.4  # seconds for a reply, in tests that wait for its end
OFTEN = 0.05  # seconds between the bytes of a reply that drips
MUCH_LATER = 3.0  # seconds; for a busy machine


@pytest.fixture(scope="module")
def trusted(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def http() -> Iterator[HttpSession]:
    with HttpSession(LIMIT) as session:
        yield session


def posted(
    http: HttpSession, url: str, *, body: bytes = b"{}", authorization: str = "a", timeout: float = 60.0
) -> Reply:
    return exchange(http, "POST", url, data=body, headers={"Authorization": authorization}, timeout=timeout)


def dripping(start: bytes, drops: bytes) -> Talk:
    """Begin a reply at once and do not come to its end for long, a byte at a time."""

    def talk(connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(start)
        for byte in islice(cycle(drops), round(2 * MUCH_LATER / OFTEN)):
            connection.sendall(bytes([byte]))
            time.sleep(OFTEN)

    return talk


def silent(connection: socket.socket) -> None:
    while connection.recv(65536):
        pass


def assert_nothing_sent(http: HttpSession, url: str, code: ErrorCode, **options: Any) -> None:
    with pytest.raises(UnavailableError) as raised:
        posted(http, url, **options)
    assert type(raised.value) is UnavailableError
    assert raised.value.code == code
    assert raised.value.status is None


# Before a connection stands


def test_a_refused_connection_sent_nothing(http: HttpSession) -> None:
    # Given a port where nobody listens
    with socket.create_server((HOST, 0)) as closed:
        port = closed.getsockname()[1]

    assert_nothing_sent(http, f"http://{HOST}:{port}", ErrorCode.OTHER_ERROR)


def test_a_name_that_is_not_found_sent_nothing(http: HttpSession, monkeypatch: pytest.MonkeyPatch) -> None:
    def not_found(*_args: object, **_options: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", not_found)

    assert_nothing_sent(http, "https://api5-009.responsys.net", ErrorCode.OTHER_ERROR)


def test_a_name_that_is_none_sent_nothing(http: HttpSession) -> None:
    assert_nothing_sent(http, f"https://{'a' * 64}.responsys.net", ErrorCode.OTHER_ERROR)


def test_a_connection_that_takes_too_long_sent_nothing(http: HttpSession) -> None:
    # Given a peer whose queue of connections is full
    with socket.socket() as full, socket.socket() as first, socket.socket() as second:
        full.bind((HOST, 0))
        full.listen(0)
        for client in (first, second):
            client.setblocking(False)
            client.connect_ex(full.getsockname())

        assert_nothing_sent(http, f"http://{HOST}:{full.getsockname()[1]}", ErrorCode.TIMEOUT, timeout=0.3)


def after_five_bytes(then: Talk) -> Talk:
    def talk(connection: socket.socket) -> None:
        connection.recv(5)
        then(connection)

    return talk


def test_a_connection_that_stands_too_late_is_not_used(
    http: HttpSession, peer: Callable[..., Peer], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a name that is looked up slowly, for which there is no limit
    seen: list[bytes] = []
    answering = peer(always(http_reply(), seen))
    look_up = socket.getaddrinfo

    def slowly(*args: Any, **options: Any) -> Any:
        time.sleep(0.3)
        return look_up(*args, **options)

    monkeypatch.setattr(socket, "getaddrinfo", slowly)

    # When there is less time / Then nothing is sent
    assert_nothing_sent(http, answering.url, ErrorCode.TIMEOUT, timeout=0.2)
    assert seen == []


@pytest.mark.parametrize(
    "then",
    [
        pytest.param(reset, id="reset"),
        pytest.param(socket.socket.close, id="closed"),
        pytest.param(lambda connection: connection.sendall(http_reply("400 Bad Request")), id="plain text"),
    ],
)
def test_a_tls_handshake_that_fails_sent_nothing(http: HttpSession, peer: Callable[..., Peer], then: Talk) -> None:
    assert_nothing_sent(http, peer(after_five_bytes(then), scheme="https").url, ErrorCode.OTHER_ERROR)


def test_a_tls_handshake_that_takes_too_long_sent_nothing(http: HttpSession, peer: Callable[..., Peer]) -> None:
    assert_nothing_sent(http, peer(silent, scheme="https").url, ErrorCode.TIMEOUT, timeout=0.3)


def test_a_certificate_that_is_not_trusted_gets_no_token(
    http: HttpSession, peer: Callable[..., Peer], trusted: Certificate
) -> None:
    seen: list[bytes] = []

    assert_nothing_sent(http, peer(always(http_reply(), seen), trusted.context).url, ErrorCode.OTHER_ERROR)

    assert seen == []


# A request that cannot be written


@pytest.mark.parametrize("token", [" leading blank", "two\r\nlines", "Ω"])
def test_a_header_that_cannot_be_written_sent_nothing_and_is_not_quoted(
    http: HttpSession, peer: Callable[..., Peer], token: str
) -> None:
    seen: list[bytes] = []
    answering = peer(always(http_reply(), seen))

    with pytest.raises(UnavailableError) as raised:
        posted(http, answering.url, authorization=token)

    assert type(raised.value) is UnavailableError
    assert raised.value.__cause__ is None
    assert raised.value.__suppress_context__
    assert seen == []


@pytest.mark.parametrize(
    "url", ["https://", "api5-009.responsys.net", "http://127.0.0.1:99999", "http://[::1", "ftp://x"]
)
def test_a_url_that_is_none_sent_nothing(http: HttpSession, url: str) -> None:
    assert_nothing_sent(http, url, ErrorCode.OTHER_ERROR)


# After the connection stands


CUT_OFF = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n[{"
CUT_CHUNK = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n64\r\n[{"
TWO_LENGTHS = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n[]"
NO_GZIP = http_reply("200 OK", b"[]", b"Content-Encoding: gzip")
ENDLESS_HEADER = b"HTTP/1.1 200 OK\r\nX-Long: " + b"x" * 100_000


@pytest.mark.parametrize(
    "talk",
    [
        pytest.param(saying(b""), id="closed without a reply"),
        pytest.param(resetting_after_request, id="reset, as beyond 10 MB"),
        pytest.param(saying(CUT_OFF), id="cut off"),
        pytest.param(saying(CUT_CHUNK), id="cut off in a chunk"),
        pytest.param(saying(TWO_LENGTHS), id="two lengths"),
        pytest.param(saying(NO_GZIP), id="not gzip"),
        pytest.param(saying(b"\x00\xff\r\n\r\n"), id="no HTTP"),
        pytest.param(saying(ENDLESS_HEADER), id="header without end"),
    ],
)
@pytest.mark.parametrize("secured", [False, True], ids=["plain", "TLS"])
def test_what_breaks_after_the_connection_stood_is_in_doubt(
    http: HttpSession, peer: Callable[..., Peer], trusted: Certificate, talk: Talk, *, secured: bool
) -> None:
    http.verify = str(trusted.path)

    with pytest.raises(OutcomeUnknownError) as raised:
        posted(http, peer(talk, trusted.context if secured else None).url)

    assert raised.value.code == ErrorCode.OTHER_ERROR


OK = b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize(
    "talk",
    [
        pytest.param(silent, id="no reply"),
        pytest.param(dripping(b"", b"HTTP/1.1 200 OK"), id="status line drips"),
        pytest.param(dripping(OK, b"X: y\r\n"), id="headers drip"),
        pytest.param(dripping(OK + b"Content-Length: 9999\r\n\r\n", b" "), id="body drips"),
        pytest.param(dripping(OK + b"\r\n", b" "), id="body without a length drips"),
        pytest.param(dripping(OK + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n"), id="chunks drip"),
        pytest.param(dripping(OK + b"Transfer-Encoding: chunked\r\n\r\n", b"0"), id="length of a chunk drips"),
    ],
)
@pytest.mark.parametrize("secured", [False, True], ids=["plain", "TLS"])
def test_a_reply_that_is_not_whole_in_time_is_in_doubt(
    http: HttpSession, peer: Callable[..., Peer], trusted: Certificate, talk: Talk, *, secured: bool
) -> None:
    http.verify = str(trusted.path)
    silent_or_slow = peer(talk, trusted.context if secured else None)
    started = time.monotonic()

    with pytest.raises(OutcomeUnknownError) as raised:
        posted(http, silent_or_slow.url)

    assert raised.value.code == ErrorCode.TIMEOUT
    assert LIMIT - 0.1 < time.monotonic() - started < LIMIT + MUCH_LATER


def test_the_time_left_ends_a_reply_before_the_sessions_limit_does(peer: Callable[..., Peer]) -> None:
    started = time.monotonic()

    with HttpSession(60.0) as http, pytest.raises(OutcomeUnknownError):
        posted(http, peer(dripping(OK, b"X: y\r\n")).url, timeout=LIMIT)

    assert time.monotonic() - started < LIMIT + MUCH_LATER


def test_a_reply_that_falls_silent_late_gets_no_more_time_for_it(peer: Callable[..., Peer]) -> None:
    # Given a reply that begins when most of its time is over
    def talk(connection: socket.socket) -> None:
        read_request(connection)
        time.sleep(1.5)
        connection.sendall(OK)
        silent(connection)

    started = time.monotonic()

    with HttpSession(2.0) as http, pytest.raises(OutcomeUnknownError):
        posted(http, peer(talk).url)

    assert time.monotonic() - started < 3.0


def test_a_reply_without_end_ends_when_its_time_is_over(peer: Callable[..., Peer]) -> None:
    # Given a reply of which there is always more to read
    def talk(connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(OK + b"\r\n")
        while True:
            connection.sendall(b" " * 65536)

    with HttpSession(0.1) as http, pytest.raises(OutcomeUnknownError) as raised:
        posted(http, peer(talk).url)

    assert raised.value.code == ErrorCode.TIMEOUT


def test_a_request_that_the_peer_does_not_read_is_in_doubt(http: HttpSession, peer: Callable[..., Peer]) -> None:
    # Given a peer that reads nothing, and a request larger than what the kernel buffers
    with pytest.raises(OutcomeUnknownError) as raised:
        posted(http, peer(lambda connection: time.sleep(1.5)).url, body=b"x" * 20_000_000, timeout=0.5)

    assert raised.value.code == ErrorCode.TIMEOUT


def test_a_reply_in_pieces_that_is_whole_in_time_is_taken(peer: Callable[..., Peer], trusted: Certificate) -> None:
    # Given a reply of two chunks with a pause in each place where one may be
    def talk(connection: socket.socket) -> None:
        read_request(connection)
        for piece in (
            b"HTTP/1.1 2",
            b"00 OK\r\nTransfer-Enc",
            b"oding: chunked\r\n\r\n",
            b"2\r\n",
            b"[1\r\n2",
            b"\r\n,2",
        ):
            connection.sendall(piece)
            time.sleep(0.02)
        connection.sendall(b"\r\n1\r\n]\r\n0\r\n\r\n")

    with HttpSession(10.0) as http:
        http.verify = str(trusted.path)

        assert posted(http, peer(talk, trusted.context).url).document == [1, 2]


# What an odd reply may not do


@pytest.mark.parametrize(
    "location",
    [
        pytest.param("/wartung/störung.html".encode("latin-1"), id="latin-1"),
        pytest.param(b"http://[", id="no URL"),
        pytest.param(b"http://" + b"a" * 64 + b".example/", id="label too long"),
        pytest.param(b"http://x:99999/", id="no port"),
        pytest.param(b"/elsewhere", id="elsewhere"),
    ],
)
@pytest.mark.parametrize("method", ["POST", "GET"])
def test_a_redirect_is_a_reply_whatever_it_leads_to(
    http: HttpSession, peer: Callable[..., Peer], location: bytes, method: Literal["GET", "POST"]
) -> None:
    seen: list[bytes] = []
    moved = peer(always(http_reply("302 Found", b"", b"Location: " + location), seen))

    reply = exchange(http, method, moved.url, headers={}, timeout=5.0)

    assert (reply.status, reply.document) == (302, None)
    assert len(seen) == 1


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        pytest.param("[1]".encode("utf-8-sig"), b"application/json", id="BOM"),
        pytest.param("[1]".encode("utf-16"), b"application/json;charset=UTF-16", id="UTF-16"),
        pytest.param(b"[1]", b"application/json;charset=no-such-charset", id="unknown charset"),
        pytest.param(b"[1]", b"\xff;;=;charset", id="no content type"),
    ],
)
def test_a_document_is_read_whatever_its_charset(
    http: HttpSession, peer: Callable[..., Peer], body: bytes, content_type: bytes
) -> None:
    reply = posted(http, peer(saying(http_reply("200 OK", body, b"Content-Type: " + content_type))).url)

    assert reply.document == [1]


def test_a_429_with_retry_after_is_told_at_once_and_not_sent_again(
    http: HttpSession, peer: Callable[..., Peer]
) -> None:
    seen: list[bytes] = []
    throttling = peer(always(http_reply("429 Too Many Requests", b"", b"Retry-After: 1"), seen))

    reply = exchange(http, "GET", throttling.url, headers={}, timeout=5.0)

    assert (reply.status, reply.retry_after) == (429, "1")
    assert len(seen) == 1


def test_no_cookie_is_kept_for_the_next_request_or_another_account(
    http: HttpSession, peer: Callable[..., Peer]
) -> None:
    # Given two accounts whose cookies go to the whole host
    cookies = [b"Set-Cookie: JSESSIONID=of-account-a; Path=/", b"Set-Cookie: b=c; Domain=127.0.0.1; Max-Age=999"]
    seen: list[bytes] = []
    one, other = (peer(always(http_reply("200 OK", b"[]", *cookies), seen)) for _ in range(2))

    # When requests follow
    for url in (one.url, one.url, other.url):
        posted(http, url)

    # Then none carries a cookie
    assert len(seen) == 3
    assert not any(b"cookie" in request.lower() for request in seen)
    assert not http.cookies


# Connections that are used again


def test_a_connection_is_used_again(http: HttpSession, peer: Callable[..., Peer]) -> None:
    answering = peer(always(http_reply()))

    for _ in range(3):
        posted(http, answering.url)

    assert answering.accepted == 1


def test_a_connection_that_the_peer_has_closed_is_made_anew(http: HttpSession, peer: Callable[..., Peer]) -> None:
    closing = peer(saying(http_reply("200 OK", b"[]", b"Connection: close")))

    for _ in range(2):
        posted(http, closing.url)

    assert closing.accepted == 2


def vanishing_first(peer: Callable[..., Peer]) -> Peer:
    """A peer whose first connection is gone after a reply, without a word to the client."""
    connections_seen: list[socket.socket] = []

    def talk(connection: socket.socket) -> None:
        connections_seen.append(connection)
        read_request(connection)
        connection.sendall(http_reply())
        if len(connections_seen) == 1:
            vanish(connection)
        else:
            silent(connection)

    return peer(talk)


@pytest.fixture(scope="module")
def may_vanish() -> None:
    with socket.socket() as probe:
        try:
            vanish(probe)
        except PermissionError:
            pytest.skip("the kernel lets no connection vanish")


@pytest.mark.usefixtures("may_vanish")
def test_what_goes_into_a_connection_that_vanished_is_in_doubt(http: HttpSession, peer: Callable[..., Peer]) -> None:
    answering = vanishing_first(peer)
    posted(http, answering.url)
    time.sleep(0.1)

    with pytest.raises(OutcomeUnknownError):
        posted(http, answering.url)


@pytest.mark.usefixtures("may_vanish")
@pytest.mark.parametrize("forward", [True, False], ids=["later", "clock set back"])
def test_a_connection_that_has_been_idle_is_not_used_again(
    http: HttpSession, peer: Callable[..., Peer], monkeypatch: pytest.MonkeyPatch, *, forward: bool
) -> None:
    # Given a connection that vanished while the environment was frozen
    answering = vanishing_first(peer)
    posted(http, answering.url)
    time.sleep(0.1)

    # When the next invocation sends
    now = time.time() + (20.5 if forward else -60.0)
    monkeypatch.setattr(time, "time", lambda: now)
    reply = posted(http, answering.url)

    # Then it does so over a new one
    assert reply.status == 200
    assert answering.accepted == 2


def test_authorities_are_read_once_for_all_connections(
    http: HttpSession, peer: Callable[..., Peer], trusted: Certificate, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # Given authorities that nobody has read yet, and peers that close after each reply, as Responsys does
    authorities = tmp_path / "authorities.pem"
    authorities.write_bytes(trusted.path.read_bytes())
    http.verify = str(authorities)
    peers = [peer(saying(http_reply("200 OK", b"[]", b"Connection: close")), trusted.context) for _ in range(2)]
    read: list[object] = []
    load = ssl.SSLContext.load_verify_locations

    def counted(context: ssl.SSLContext, *args: Any) -> None:
        read.append(args)
        load(context, *args)

    monkeypatch.setattr(ssl.SSLContext, "load_verify_locations", counted)

    # When several connections are made
    for each in peers * 2:
        posted(http, each.url)

    # Then the file was read for the first
    assert [each.accepted for each in peers] == [2, 2]
    assert len(read) == 1
