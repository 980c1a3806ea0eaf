"""What does the other end of a connection do? A peer on loopback that speaks in raw bytes, well or badly."""

from __future__ import annotations

import ipaddress
import socket
import ssl
import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

HOST = "127.0.0.1"
Talk = Callable[[socket.socket], None]


def http_reply(status: str = "200 OK", body: bytes = b"[]", *headers: bytes) -> bytes:
    """Write a reply whose connection stays open."""
    return b"\r\n".join([b"HTTP/1.1 " + status.encode(), b"Content-Length: %d" % len(body), *headers, b"", body])


def read_request(connection: socket.socket) -> bytes:
    """Read one request; nothing if the client has closed."""
    received = b""
    while b"\r\n\r\n" not in received:
        if not (piece := connection.recv(65536)):
            return b""
        received += piece
    head, _, body = received.partition(b"\r\n\r\n")
    lengths = [line for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")]
    length = int(lengths[0].partition(b":")[2]) if lengths else 0
    while len(body) < length:
        body += connection.recv(65536)
    return head + b"\r\n\r\n" + body


def reset(connection: socket.socket) -> None:
    """Close with an RST in place of a FIN."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def vanish(connection: socket.socket) -> None:
    """Close without a word, as where an idle connection was purged or forgotten on the way.

    Raises
    ------
    PermissionError
        The kernel lets only a network administrator do this.
    """
    connection.setsockopt(socket.IPPROTO_TCP, 19, 1)  # TCP_REPAIR
    connection.close()


class Peer:
    """Accepts connections; ``talk`` has each in a thread of its own.

    Attributes
    ----------
    accepted : int
        Connections.
    """

    def __init__(self, talk: Talk, tls: ssl.SSLContext | None = None, *, scheme: str = "") -> None:
        self.accepted = 0
        self._open: list[socket.socket] = []
        self._talk = talk
        self._tls = tls
        self._listening = socket.create_server((HOST, 0))
        self.url = f"{scheme or ('https' if tls else 'http')}://{HOST}:{self._listening.getsockname()[1]}"
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def close(self) -> None:
        """End all connections."""
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._threads[0].join()
        for connection in self._open:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listening.accept()
                self.accepted += 1
                connection.settimeout(10)
                thread = threading.Thread(target=self._serve, args=(connection,))
                self._threads.append(thread)
                thread.start()

    def _serve(self, connection: socket.socket) -> None:
        self._open.append(connection)
        with suppress(OSError), connection:  # whatever the client does to the connection
            if self._tls is None:
                self._talk(connection)
                return
            with self._tls.wrap_socket(connection, server_side=True) as secured:
                self._open.append(secured)
                self._talk(secured)


@dataclass(frozen=True)
class Certificate:
    """A certificate for the loopback address, and who trusts it."""

    context: ssl.SSLContext
    path: Path


def certificate(folder: Path) -> Certificate:
    """Make a certificate that is its own authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "loopback")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(HOST))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path, key_path = folder / "certificate.pem", folder / "key.pem"
    path.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    key_path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path, key_path)
    return Certificate(context, path)


def saying(*replies: bytes) -> Talk:
    """Answer each request with the next reply, then close."""

    def talk(connection: socket.socket) -> None:
        for reply in replies:
            if not read_request(connection):
                return
            connection.sendall(reply)

    return talk


def always(reply: bytes, seen: list[bytes] | None = None) -> Talk:
    """Answer each request alike for as long as the client wants."""

    def talk(connection: socket.socket) -> None:
        while request := read_request(connection):
            if seen is not None:
                seen.append(request)
            connection.sendall(reply)

    return talk


def resetting_after_request(connection: socket.socket) -> None:
    """Read a request, and reset the connection in place of an answer."""
    read_request(connection)
    reset(connection)
