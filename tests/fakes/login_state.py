"""What do all environments share about a connector's logins? The ports of ``session``, in memory."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from responsys_activation.responsys.login import Credentials, Token
from responsys_activation.responsys.session import RefusedLogin


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


class LoginState:
    """What guards of several environments agree on."""

    def __init__(self) -> None:
        self.refused: RefusedLogin | None = None
        self.holder: object | None = None
        self.lock = threading.Lock()


@dataclass(eq=False)
class SharedGuard:
    """One environment's guard over a shared state."""

    state: LoginState

    def refused(self) -> RefusedLogin | None:
        return self.state.refused

    def acquire(self) -> bool:
        with self.state.lock:
            if self.state.holder not in {None, self}:
                return False
            self.state.holder = self
            return True

    def release(self, refused: RefusedLogin | None = None) -> None:
        with self.state.lock:
            self.state.refused = refused or self.state.refused
            self.state.holder = None


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
    """Whatever the session told its observer."""

    logins: list[tuple[str, str | None]] = field(default_factory=list)

    def __call__(self, connector: str, *, refused_code: str | None) -> None:
        self.logins.append((connector, refused_code))
