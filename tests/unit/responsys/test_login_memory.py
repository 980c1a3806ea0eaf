"""Do secrets, rotations and environments together ever send a third wrong password in a row, and does a right one pass?

Against a user that counts wrong passwords as Responsys does. The sessions and guards are the real ones; only Responsys,
the table and the secrets are in memory.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast
from urllib.parse import parse_qs

import pytest
import requests
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from responsys_activation.aws.credentials import SecretCredentials
from responsys_activation.aws.delivery_table import DeliveryTable
from responsys_activation.aws.login_guard import LEASE_SECONDS, TableLoginGuard
from responsys_activation.responsys.endpoint import TrustedDomains
from responsys_activation.responsys.errors import LoginRefusedError, ResponsysError
from responsys_activation.responsys.login import Credentials
from responsys_activation.responsys.login_memory import LoginHeldBackError
from responsys_activation.responsys.token import TokenKeeper
from tests.fakes.clock import Clock
from tests.fakes.dynamodb import InMemoryDynamoDb
from tests.fakes.login_state import SeenLogins, SharedToken
from tests.fakes.parameters import InMemorySecrets
from tests.fakes.responsys_transport import Answer, ResponsysTransport, refusing, replying

HOST = "https://login5.responsys.net"
HOUR = 3600.0
RIGHT, WRONG = "right", "wrong"


class User:
    """One user of Responsys, and secrets that hold his password or another.

    Attributes
    ----------
    in_a_row : int
        Wrong passwords since the last right one, and since a person last wrote a secret.
    excused : int
        Of these, logins that overlapped another one's: a lease had run out.
    """

    def __init__(self, **passwords: str) -> None:
        self.clock = Clock()
        self.table = InMemoryDynamoDb()
        self.secrets = InMemorySecrets({})
        self.password = RIGHT
        self.in_a_row = 0
        self.excused = 0
        self.meanwhile: Callable[[], None] | None = None
        self._http = ResponsysTransport(self._answer).session()
        for name, password in passwords.items():
            self.secrets.put(name, self._text(password), self.clock.now - HOUR)

    def write(self, name: str, password: str) -> None:
        """Let a person write a secret."""
        self.clock.now += 1
        self.secrets.put(name, self._text(password), self.clock.now)
        self.clock.now += 1
        self.in_a_row = self.excused = 0

    def try_(self, name: str) -> str:
        """Let some environment need a login with a secret; tell what it came to."""
        tokens = TokenKeeper(
            HOST,
            http=self._http,
            trusted=TrustedDomains(("responsys.net",)),
            token_store=SharedToken(),
            credentials=SecretCredentials(name, cast("Any", self.secrets)),
            open_guard=self._guard,
            clock=self.clock,
            sleep=self.clock.sleep,
        )
        try:
            tokens.token(SeenLogins(), self.clock.now + 60)
        except LoginHeldBackError:
            return "held back"
        except LoginRefusedError:
            return "wrong"
        except ResponsysError:
            return "no answer"
        return "in"

    def forget(self) -> None:
        """Let a person clear what is remembered."""
        self._guard(HOST, "api_user").forget()
        self.in_a_row = self.excused = 0

    def _guard(self, host: str, username: str) -> TableLoginGuard:
        return TableLoginGuard(
            DeliveryTable(self.table.table, cast("Any", self.table)), host, username, clock=self.clock
        )

    def _answer(self, request: requests.PreparedRequest) -> Answer:
        right = parse_qs(str(request.body))["password"] == [self.password]
        if not right:
            self.in_a_row += 1
        else:
            self.in_a_row = self.excused = 0
        assert self.in_a_row <= 2 + self.excused, "the user would be locked"
        if meanwhile := self.meanwhile:
            self.meanwhile = None
            meanwhile()
        if right:
            return replying({"authToken": "token", "endPoint": "https://api5-009.responsys.net"})
        return refusing(400, "INVALID_USER_NAME_PASSWORD")

    @staticmethod
    def _text(password: str) -> str:
        return f'{{"username": "api_user", "password": "{password}"}}'


# --- one by one --------------------------------------------------------------------------------------------------


def test_two_secrets_of_which_one_is_wrong() -> None:
    # Given a right secret that has logged in, and a wrong one
    user = User(a=RIGHT, b=WRONG)
    assert user.try_("a") == "in"
    assert user.try_("b") == "wrong"
    # When both need logins for days
    for _ in range(50):
        user.clock.now += HOUR
        # Then the right one gets them, and the wrong one, where the other proves that it is wrong, is not tried again
        assert (user.try_("a"), user.try_("b")) == ("in", "held back")


def test_two_secrets_of_which_the_wrong_one_comes_first() -> None:
    # Given a wrong secret that was tried before the right one ever was
    user = User(a=RIGHT, b=WRONG)
    assert user.try_("b") == "wrong"
    # When the right one needs a login / Then nobody knows that it is right, and two more wrong ones would be too many
    assert user.try_("a") == "held back"
    user.clock.now += HOUR
    assert (user.try_("b"), user.try_("a"), user.try_("b")) == ("wrong", "held back", "held back")
    # When a person corrects the wrong one / Then both get in
    user.write("b", RIGHT)
    assert (user.try_("a"), user.try_("b"), user.try_("a")) == ("held back", "in", "in")


def test_eight_right_secrets_beside_a_wrong_one() -> None:
    # Given a user with nine secrets that were written on one day, the second of them wrongly
    user = User(a=RIGHT, b=WRONG, **{f"c{number}": RIGHT for number in range(7)})
    assert (user.try_("a"), user.try_("b")) == ("in", "wrong")
    # When the others need their first login / Then they wait for the one that is known to be right, and get in
    assert user.try_("c0") == "held back"
    assert user.try_("a") == "in"
    assert [user.try_(f"c{number}") for number in range(7)] == ["in"] * 7
    assert user.try_("b") == "held back"


def test_ten_wrong_secrets() -> None:
    # Given ten secrets of one user, all wrong
    names = [f"s{number}" for number in range(10)]
    user = User(**dict.fromkeys(names, WRONG))
    # When all need a login / Then one is tried, once more after an hour, and never again
    assert [user.try_(name) for name in names] == ["wrong"] + ["held back"] * 9
    user.clock.now += HOUR
    assert [user.try_(name) for name in reversed(names)] == ["held back"] * 9 + ["wrong"]
    user.clock.now += 1000 * HOUR
    assert [user.try_(name) for name in names] == ["held back"] * 10


def test_a_password_that_was_changed_in_responsys_alone() -> None:
    # Given two secrets that have logged in, and then a change in Responsys
    user = User(a=RIGHT, b=RIGHT)
    assert (user.try_("a"), user.try_("b")) == ("in", "in")
    user.password = "new"
    # When both need logins / Then the first is refused, then the one that was good last, and then nobody asks
    assert (user.try_("a"), user.try_("b")) == ("wrong", "wrong")
    for _ in range(5):
        user.clock.now += HOUR
        assert (user.try_("a"), user.try_("b")) == ("held back", "held back")
    # When a person writes one of them / Then it gets in, and the other one is known to be wrong
    user.write("a", "new")
    assert (user.try_("a"), user.try_("b")) == ("in", "held back")
    user.write("b", "new")
    assert user.try_("b") == "in"


def test_a_password_that_was_wrong_for_less_than_an_hour() -> None:
    # Given a secret that was written before the password was changed in Responsys
    user = User(a="new")
    assert user.try_("a") == "wrong"
    # When Responsys has it too, and an hour is over / Then it gets in, and may be wrong twice again
    user.password = "new"
    assert user.try_("a") == "held back"
    user.clock.now += HOUR
    assert user.try_("a") == "in"
    user.password = "newer"
    assert user.try_("a") == "wrong"
    user.clock.now += HOUR
    assert user.try_("a") == "wrong"


def test_a_secret_written_while_its_old_version_is_being_refused() -> None:
    # Given a login with the old version, during which a person writes the new one
    user = User(a=WRONG)
    user.meanwhile = lambda: user.write("a", RIGHT)
    assert user.try_("a") == "wrong"
    # When the next login is needed / Then the new version gets it, though it was written before the refusal
    assert user.try_("a") == "in"


def test_a_secret_written_wrongly_while_its_old_version_is_being_refused() -> None:
    # Given such a login, and a new version that is wrong, too
    user = User(a=WRONG)
    user.meanwhile = lambda: user.write("a", "wrong too")
    assert (user.try_("a"), user.try_("a")) == ("wrong", "wrong")
    # When an hour is over / Then it counts as the second in a row
    user.clock.now += HOUR
    assert user.try_("a") == "held back"


def test_several_secrets_written_during_one_refusal_are_not_all_tried() -> None:
    # Given three secrets that were refused one after the other, as each was written, and the last of them once more
    user = User(a=WRONG)
    assert user.try_("a") == "wrong"
    for name in "bc":
        user.write(name, WRONG)
        assert user.try_(name) == "wrong"
    user.clock.now += HOUR

    def write_all() -> None:
        for name in "abc":
            user.write(name, "wrong too")

    user.meanwhile = write_all
    assert user.try_("c") == "wrong"
    # When all were written during that last login / Then none of them is tried: they could be three more in a row
    assert [user.try_(name) for name in "abc"] == ["held back"] * 3
    # And what a person writes from now on is
    user.write("a", RIGHT)
    assert user.try_("a") == "in"


def test_a_wrong_version_is_not_held_against_the_one_before() -> None:
    # Given a secret that was good, was written wrongly, and was put back
    user = User(a=RIGHT)
    assert user.try_("a") == "in"
    user.write("a", WRONG)
    assert user.try_("a") == "wrong"
    user.write("a", RIGHT)
    # When a login is needed / Then it gets in
    assert user.try_("a") == "in"


def test_a_person_may_clear_what_is_remembered() -> None:
    # Given a password that was wrong twice, and then was made right in Responsys
    user = User(a="new")
    assert user.try_("a") == "wrong"
    user.clock.now += HOUR
    assert user.try_("a") == "wrong"
    user.password = "new"
    assert user.try_("a") == "held back"
    # When a person clears what is remembered / Then it gets in
    user.forget()
    assert user.try_("a") == "in"


@pytest.mark.parametrize("other", ["API_USER", " api_user ", "Api_User"])
def test_a_name_in_other_letters_is_the_same_user(other: str) -> None:
    # Given a user whose password was wrong
    user = User(a=WRONG)
    assert user.try_("a") == "wrong"
    # When another secret spells the name in another way / Then it is held back as well
    user.secrets.put("b", f'{{"username": "{other}", "password": "wrong"}}', user.clock.now - 1)
    assert user.try_("b") == "held back"


def test_what_is_remembered_names_nobody() -> None:
    # Given logins of all kinds
    user = User(a=RIGHT, b=WRONG)
    user.try_("a")
    user.try_("b")
    # When the table is looked at / Then neither user name nor password is there in clear
    ((key, item),) = user.table.items.items()
    assert key[0].startswith("login#")
    for word in ("api_user", f'"{RIGHT}"', f'"{WRONG}"', "responsys"):
        assert word not in repr((key, item))
    assert "expiresAt" not in item, "a wrong password does not get right by itself"


def test_credentials_show_no_password() -> None:
    credentials = Credentials("api_user", "secret word", cast("Any", "v1"))
    assert "secret word" not in repr(credentials)


# --- any sequence ------------------------------------------------------------------------------------------------

_SECRETS = st.sampled_from(["a", "b", "c"])
_PASSWORDS = st.sampled_from([RIGHT, WRONG, "other"])


class Logins(RuleBasedStateMachine):
    """Any number of environments, as each login is a new one's; what a person does to the secrets; and time."""

    def __init__(self) -> None:
        super().__init__()
        self.user = User()

    @initialize(passwords=st.tuples(_PASSWORDS, _PASSWORDS, _PASSWORDS))
    def begin(self, passwords: tuple[str, str, str]) -> None:
        self.user = User(a=passwords[0], b=passwords[1], c=passwords[2])

    @rule(name=_SECRETS)
    def need(self, name: str) -> None:
        self.user.try_(name)

    @rule(name=_SECRETS, seconds=st.sampled_from([30.0, HOUR]))
    def need_and_wait(self, name: str, seconds: float) -> None:
        self.user.try_(name)
        self.user.clock.now += seconds

    @rule(name=_SECRETS, password=_PASSWORDS)
    def write(self, name: str, password: str) -> None:
        self.user.write(name, password)

    @rule(name=_SECRETS, written=_SECRETS, password=_PASSWORDS)
    def write_during_a_login(self, name: str, written: str, password: str) -> None:
        self.user.meanwhile = lambda: self.user.write(written, password)
        self.user.try_(name)
        self.user.meanwhile = None

    @rule(name=_SECRETS, other=_SECRETS)
    def outlive_the_lease(self, name: str, other: str) -> None:
        def meanwhile() -> None:
            self.user.clock.now += LEASE_SECONDS + 1
            self.user.excused += 1
            self.user.try_(other)

        self.user.meanwhile = meanwhile
        self.user.try_(name)
        self.user.meanwhile = None

    @rule(password=_PASSWORDS)
    def change_in_responsys(self, password: str) -> None:
        self.user.password = password

    @precondition(lambda self: self.user.in_a_row > 0)
    @rule()
    def clear(self) -> None:
        self.user.forget()

    def teardown(self) -> None:
        # A person who writes all secrets rightly gets all of them in, whatever was before.
        for name in ("a", "b", "c"):
            self.user.write(name, self.user.password)
        for name in ("a", "b", "c"):
            assert self.user.try_(name) == "in"


Logins.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestAnySequence = Logins.TestCase
