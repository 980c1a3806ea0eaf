"""What do several of these tests need? Peers that end with the test."""

import ssl
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.fakes.loopback import Peer, Talk


@pytest.fixture
def peer() -> Iterator[Callable[..., Peer]]:
    peers: list[Peer] = []

    def start(talk: Talk, tls: ssl.SSLContext | None = None, **options: Any) -> Peer:
        peers.append(Peer(talk, tls, **options))
        return peers[-1]

    yield start
    for each in peers:
        each.close()
