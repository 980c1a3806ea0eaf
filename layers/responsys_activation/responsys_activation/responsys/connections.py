"""When does a connection stand, how long may an exchange on it take, and when is it too old to be used again?

What fails before a connection stands is named here, where it is certain that nothing was sent.
"""

from __future__ import annotations

import io
import socket
import ssl
import time
from functools import cache
from http.client import HTTPResponse
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.util import Timeout
from urllib3.util.ssl_ import create_urllib3_context

from responsys_activation.error_code import ErrorCode
from responsys_activation.responsys.errors import UnavailableError

__all__ = ["ConnectionAdapter", "is_timeout"]

_CONNECTIONS = 50  # kept open: as many as requests may be in flight; one more would mean a TLS handshake each time
# Between invocations an environment is frozen, and an idle connection may die without a word: Lambda purges them, a NAT
# gateway forgets them. A request sent into a dead one would be in doubt although nobody saw it.
_IDLE_SECONDS = 20.0


def is_timeout(exc: BaseException | None) -> bool:
    """Return whether a time limit is behind an exception of ``requests`` or ``urllib3``, which wrap their causes."""
    while exc is not None:
        if isinstance(exc, TimeoutError | requests.Timeout):
            return True
        exc = exc.__cause__ or exc.__context__
    return False


class _TimelyBytes(io.RawIOBase):
    """The bytes of a reply, all of which must come within the socket's time limit.

    By itself the limit is for each piece, so a reply that drips may take for ever.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._raw: Any = sock.makefile("rb", buffering=0)
        self._end = time.monotonic() + (sock.gettimeout() or 0.0)

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(self)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        left = self._end - time.monotonic()
        if left <= 0:
            raise TimeoutError("the reply is not whole in time")
        self._sock.settimeout(left)
        return self._raw.readinto(buffer)  # type: ignore[no-any-return]

    def close(self) -> None:
        self._raw.close()
        super().close()


class _TimelyReply(HTTPResponse):
    """A reply whose status line, headers and body together keep the socket's time limit."""

    def __init__(self, sock: socket.socket, *args: Any, **options: Any) -> None:
        super().__init__(_TimelyBytes(sock), *args, **options)  # type: ignore[arg-type]  # it only makes a file of it


class _Connection(HTTPConnection):
    response_class = _TimelyReply
    _used_at = 0.0

    def connect(self) -> None:
        """Connect within the limit: look the name up, try its addresses, shake hands."""
        started = time.monotonic()
        try:
            super().connect()
        except Exception as exc:
            code = ErrorCode.TIMEOUT if is_timeout(exc) else ErrorCode.OTHER_ERROR
            raise UnavailableError(code, title="no connection") from exc
        if time.monotonic() - started > (self.timeout or 0.0):  # by itself the limit is for each step
            raise UnavailableError(ErrorCode.TIMEOUT, title="no connection in time")

    @property
    def is_connected(self) -> bool:
        # By the wall clock, because the other one may stand still in a frozen environment.
        return 0.0 <= time.time() - self._used_at < _IDLE_SECONDS and super().is_connected

    def getresponse(self) -> Any:
        response = super().getresponse()
        self._used_at = time.time()
        return response


class _TlsConnection(_Connection, HTTPSConnection):
    def __init__(self, *args: Any, ca_certs: str, **options: Any) -> None:
        super().__init__(*args, ssl_context=_trusting(ca_certs), **options)


@cache
def _trusting(ca_certs: str) -> ssl.SSLContext:
    """Read the trusted authorities once: for each connection it would cost more CPU than all of its request."""
    context = create_urllib3_context()
    context.load_verify_locations(ca_certs)
    return context


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _TlsConnection


class ConnectionAdapter(HTTPAdapter):
    """Keeps the connections for all threads, and the time limit of each exchange.

    Its :meth:`send` raises :class:`UnavailableError` if no connection came about; whatever else it raises leaves open
    whether the request was taken.
    """

    def __init__(self) -> None:
        super().__init__(pool_connections=_CONNECTIONS, pool_maxsize=_CONNECTIONS)

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        """Make the pools, of connections of our kind."""
        super().init_poolmanager(*args, **options)
        self.poolmanager.pool_classes_by_scheme = {"http": _Pool, "https": _TlsPool}

    def send(  # type: ignore[override]
        self, request: requests.PreparedRequest, *, timeout: tuple[float, float], **options: Any
    ) -> requests.Response:
        """Send; ``timeout`` has the seconds for connecting, and those for the whole exchange."""
        connect, whole = timeout
        limits: Any = Timeout(connect=connect, read=whole, total=whole)
        return super().send(request, timeout=limits, **options)
