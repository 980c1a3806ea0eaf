"""Whose token is this, and is it still alive?

Responsys keeps no sessions: each login makes one more token, and older ones live on until their fixed lifetime ends.
"""

import secrets
from dataclasses import dataclass

from tests.simulator.clock import SimulatedClock

TOKEN_LENGTH = 54


@dataclass(frozen=True, slots=True)
class Token:
    """A token that was handed out."""

    username: str
    expires_at: float


class Tokens:
    """Every token handed out since the start."""

    def __init__(self, clock: SimulatedClock) -> None:
        self._clock = clock
        self._tokens: dict[str, Token] = {}

    def issue(self, username: str, lifetime_seconds: float) -> str:
        """Hand out a new token."""
        value = "E" + secrets.token_urlsafe(TOKEN_LENGTH)[: TOKEN_LENGTH - 1]
        self._tokens[value] = Token(username, self._clock.now() + lifetime_seconds)
        return value

    def find(self, value: str) -> Token | None:
        """Return the token of this value, alive or expired."""
        return self._tokens.get(value)

    def expired(self, token: Token) -> bool:
        """Return whether the token's lifetime is over."""
        return self._clock.now() >= token.expires_at

    def revoke(self, username: str) -> int:
        """Make all tokens of an account unknown, and return how many there were."""
        kept = {value: token for value, token in self._tokens.items() if token.username != username}
        revoked = len(self._tokens) - len(kept)
        self._tokens = kept
        return revoked
