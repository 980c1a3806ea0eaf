"""What do all environments share about an account's logins? The ports of ``token``, in memory."""

from __future__ import annotations

from dataclasses import dataclass, field

from responsys_activation.responsys.login import Credentials, Token


class SharedToken:
    """A token store that several environments read and write."""

    def __init__(self, token: Token | None = None) -> None:
        self.token = token
        self.reads = 0
        self.writes = 0

    def read(self) -> Token | None:
        self.reads += 1
        return self.token

    def write(self, token: Token) -> None:
        self.writes += 1
        self.token = token


@dataclass
class Secret:
    """A secret that a test can rotate."""

    credentials: Credentials
    reads: int = 0

    def __call__(self) -> Credentials:
        self.reads += 1
        return self.credentials


@dataclass
class SeenLogins:
    """Whatever a client's observer was told."""

    logins: list[str | None] = field(default_factory=list)
    held_back: list[str] = field(default_factory=list)

    def login_ended(self, *, refused_code: str | None) -> None:
        self.logins.append(refused_code)

    def login_held_back(self, *, code: str, reason: str) -> None:
        assert reason
        self.held_back.append(code)
