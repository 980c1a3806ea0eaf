"""May this version of a secret be tried at Responsys now? What the last logins of the user came to decides.

Responsys locks a user after some wrong passwords in a row, wherever they come from, and with the user every integration
that it serves. So no more than two go out in a row, over all secrets, connectors and environments, unless a person has
written a secret in between. Nothing here waits, asks or keeps: the rules alone.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from responsys_activation.responsys.errors import LOOK_AGAIN_AFTER, LoginRefusedError, ThrottledError
from responsys_activation.responsys.login import SecretVersion

__all__ = ["ANOTHER_TRY_AFTER", "Hold", "LoginHeldBackError", "LoginMemory"]

ANOTHER_TRY_AFTER = 3600.0  # seconds after a refused login
_WRONG_PASSWORDS_IN_A_ROW = 2


class LoginHeldBackError(LoginRefusedError):
    """No login was tried, because of what an earlier one came to.

    Attributes
    ----------
    code : str
        Of the refusal that is remembered.
    wait : float or None
        Seconds until a login may be tried; ``None``: time alone does not help, a person must write the secret.
    by_another_secret : bool
        The wrong password came from another secret of the same user.
    """

    def __init__(self, code: str, *, wait: float | None, by_another_secret: bool = False) -> None:
        retry_after = LOOK_AGAIN_AFTER if wait is None else min(wait, LOOK_AGAIN_AFTER)
        super().__init__(code, retry_after=retry_after, title="refused before; no login yet")
        self.wait = wait
        self.by_another_secret = by_another_secret


@dataclass(frozen=True, slots=True)
class Hold:
    """A refusal that says nothing about the password.

    Attributes
    ----------
    since, until : float
        Epoch seconds.
    throttle : bool
        There were too many logins; else a secret that is written meanwhile may be tried at once.
    """

    code: str
    since: float
    until: float
    throttle: bool


@dataclass(frozen=True, slots=True)
class LoginMemory:
    """What is known of one user at one login host.

    Attributes
    ----------
    tries : int
        Wrong passwords in a row: since a login succeeded, or since a secret was tried that a person had written after
        the refusal before.
    code : str
        What Responsys called the last of them.
    refused_at : float or None
        Epoch seconds at which it was answered.
    refused : tuple of SecretVersion
        The last version of each secret that was a wrong password and has not succeeded since.
    good : SecretVersion or None
        What the last login succeeded with, until it is refused.
    hold : Hold or None
        The last refusal of another kind.
    """

    tries: int = 0
    code: str = ""
    refused_at: float | None = None
    refused: tuple[SecretVersion, ...] = ()
    good: SecretVersion | None = None
    hold: Hold | None = None

    def heed(self, version: SecretVersion, now: float, *, time_scale: float = 1.0) -> None:
        """Return if a login with this version may be tried.

        Parameters
        ----------
        now : float
            Epoch seconds.
        time_scale : float
            Divides the hour between two tries. The seconds that the errors name are not divided.

        Raises
        ------
        LoginHeldBackError
            The login could lock the user, or was refused for another reason less than an hour ago.
        ThrottledError
            There were too many logins.
        """
        self._heed_hold(version, now, time_scale)
        if self.refused_at is None or version.written_at > self.refused_at:
            return
        refused = self._refused(version)
        if version == refused:
            # Where another version works, this one is a mistake that time does not cure.
            if self.tries >= _WRONG_PASSWORDS_IN_A_ROW or self.good is not None:
                raise LoginHeldBackError(self.code, wait=None)
            wait = (self.refused_at - now) * time_scale + ANOTHER_TRY_AFTER
            if wait > 0:
                raise LoginHeldBackError(self.code, wait=wait)
            return
        # Written while the version before it was being refused.
        replaced = refused is not None and refused.written_at <= version.written_at
        may_be_wrong = self.tries < _WRONG_PASSWORDS_IN_A_ROW and (replaced or version == self.good)
        if self.tries > 0 and not may_be_wrong:
            raise LoginHeldBackError(self.code, wait=None, by_another_secret=refused is None)

    def after_wrong_password(self, version: SecretVersion, code: str, now: float) -> LoginMemory:
        """Remember that Responsys called the password wrong, at epoch seconds ``now``."""
        written_since = self.refused_at is not None and version.written_at > self.refused_at
        before = self._refused(version)
        newest = version if before is None or before.written_at <= version.written_at else before
        return replace(
            self,
            tries=1 if written_since else self.tries + 1,
            code=code,
            refused_at=max(now, self.refused_at or now),
            refused=(*self._of_other_secrets(version), newest),
            good=None if version == self.good else self.good,
        )

    def after_refusal(self, hold: Hold) -> LoginMemory:
        """Remember a refusal that says nothing about the password."""
        return replace(self, hold=hold)

    def after_success(self, version: SecretVersion, *, alone: bool) -> LoginMemory:
        """Remember that a login succeeded; other secrets of the user stay refused.

        Parameters
        ----------
        alone : bool
            Nobody else may have logged in meanwhile: only then there is no wrong password since.
        """
        before = self._refused(version)
        newer = (before,) if before is not None and before.written_at > version.written_at else ()
        return replace(
            self,
            tries=0 if alone else self.tries,
            refused=(*self._of_other_secrets(version), *newer),
            good=version,
            hold=None if alone else self.hold,
        )

    def _heed_hold(self, version: SecretVersion, now: float, time_scale: float) -> None:
        hold = self.hold
        if hold is None or now >= hold.until:
            return
        wait = (hold.until - now) * time_scale
        if hold.throttle:
            raise ThrottledError(hold.code, retry_after=wait, title="too many logins before; no login yet")
        if version.written_at <= hold.since:
            raise LoginHeldBackError(hold.code, wait=wait)

    def _refused(self, version: SecretVersion) -> SecretVersion | None:
        """Return the refused version of the same secret."""
        return next((each for each in self.refused if each.secret == version.secret), None)

    def _of_other_secrets(self, version: SecretVersion) -> tuple[SecretVersion, ...]:
        return tuple(each for each in self.refused if each.secret != version.secret)
