"""Which accounts exist, and may this user log in?

Counts wrong passwords as Responsys does: too many in a row lock the account until somebody unlocks it.
"""

from dataclasses import dataclass

from tests.simulator import refusals
from tests.simulator.settings import AccountSettings


@dataclass
class Account:
    """An account's settings and what its logins have done to it."""

    settings: AccountSettings
    wrong_passwords: int = 0

    @property
    def username(self) -> str:
        """The name the account logs in with."""
        return self.settings.username

    @property
    def locked(self) -> bool:
        """Whether even the right password is refused."""
        return self.wrong_passwords >= self.settings.limits.wrong_passwords_before_lockout

    def check(self, password: str) -> None:
        """Let a right password pass and count a wrong one.

        Raises
        ------
        RequestRefusedError
            The password is wrong, or the account is locked.
        """
        if self.locked:
            raise refusals.password_locked()
        if password != self.settings.password:
            self.wrong_passwords += 1
            raise refusals.invalid_credentials()
        self.wrong_passwords = 0

    def unlock(self) -> None:
        """Forget the wrong passwords."""
        self.wrong_passwords = 0


class Accounts:
    """The accounts by user name."""

    def __init__(self, settings: tuple[AccountSettings, ...]) -> None:
        self._accounts = {account.username: Account(account) for account in settings}

    def find(self, username: str) -> Account | None:
        """Return the account of `username`, if there is one."""
        return self._accounts.get(username)

    def put(self, settings: AccountSettings) -> None:
        """Create the account, or give an existing one other settings and unlock it."""
        self._accounts[settings.username] = Account(settings)
