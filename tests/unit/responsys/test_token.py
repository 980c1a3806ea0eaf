"""Does every environment get a live token with the fewest logins, and can nothing make us lock the account?"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

import pytest
import requests

from responsys_activation.aws.delivery_table import DeliveryTable
from responsys_activation.aws.faults import AwsCallError
from responsys_activation.aws.login_guard import LEASE_SECONDS, TableLoginGuard
from responsys_activation.error_code import ErrorCode
from responsys_activation.responsys import token
from responsys_activation.responsys.errors import (
    LoginRefusedError,
    OutcomeUnknownError,
    ThrottledError,
    UnavailableError,
)
from responsys_activation.responsys.http import CONNECT_SECONDS
from responsys_activation.responsys.login import Credentials, SecretVersion, Token, log_in
from responsys_activation.responsys.login_memory import LoginHeldBackError, LoginMemory
from responsys_activation.responsys.token import LONGEST_LOGIN, TOKEN_LIFETIME
from tests.fakes.clock import NOW
from tests.fakes.login_environment import END_POINT, HOST, HOUR, V1, CountingLogins, Environment, stored
from tests.fakes.login_state import Secret, SeenLogins, SharedToken
from tests.fakes.responsys_transport import Answer, ResponsysTransport, refusing, replying

MINUTE = 60.0
WRONG_PASSWORD = refusing(400, "INVALID_USER_NAME_PASSWORD")


def short_sleep(_seconds: float) -> None:
    """Let other threads run."""
    time.sleep(0.001)


# --- where a token comes from ----------------------------------------------------------------------------------


def test_a_cold_start_with_a_live_token_makes_no_login_and_reads_no_secret() -> None:
    environment = Environment(ResponsysTransport(CountingLogins()), store=stored(age=TOKEN_LIFETIME - 1))

    assert environment.token() == "stored"
    assert environment.logins == 0
    assert environment.secret.reads == 0


def test_a_warm_invocation_reads_neither_the_store_nor_the_secret() -> None:
    environment = Environment(ResponsysTransport(CountingLogins()))
    environment.token()
    reads, secrets = environment.store.reads, environment.secret.reads

    assert [environment.token() for _ in range(10)] == ["token-1"] * 10
    assert (environment.store.reads, environment.secret.reads, environment.logins) == (reads, secrets, 1)


def test_a_login_is_shared_counted_and_gives_the_lease_back() -> None:
    environment = Environment(ResponsysTransport(CountingLogins()))

    environment.token()

    assert environment.store.token == Token("token-1", END_POINT, NOW)
    assert environment.seen.logins == [None]
    assert environment.lease_is_free()
    assert environment.another().token() == "token-1"
    assert environment.logins == 1


def test_a_token_is_replaced_at_ninety_minutes() -> None:
    environment = Environment(ResponsysTransport(CountingLogins()))
    assert environment.token() == "token-1"

    environment.clock.now += 90 * MINUTE - 1
    assert environment.token() == "token-1"
    environment.clock.now += 1
    assert environment.token() == "token-2"


def test_a_stored_token_of_ninety_minutes_is_replaced() -> None:
    environment = Environment(ResponsysTransport(CountingLogins()), store=stored(age=90 * MINUTE))

    assert environment.token() == "token-1"


def test_the_time_scale_does_not_shorten_a_tokens_life() -> None:
    environment = Environment(ResponsysTransport(CountingLogins()), store=stored(age=89 * MINUTE), time_scale=60.0)

    assert environment.token() == "stored"


def test_a_stored_token_for_an_endpoint_that_is_not_trusted_is_not_used() -> None:
    environment = Environment(ResponsysTransport(CountingLogins()), store=stored(end_point="https://evil.com"))

    assert environment.token() == "token-1"


def test_an_unreadable_store_makes_no_login() -> None:
    class Unreadable(SharedToken):
        def read(self) -> Token | None:
            raise AwsCallError("SSM get: ThrottlingException")

    environment = Environment(ResponsysTransport(CountingLogins()), store=Unreadable())

    with pytest.raises(AwsCallError):
        environment.token()
    assert environment.logins == 0


# --- a wrong password --------------------------------------------------------------------------------------------


def refused(environment: Environment) -> LoginRefusedError:
    with pytest.raises(LoginRefusedError) as raised:
        environment.token()
    return raised.value


def test_a_wrong_password_is_remembered_by_all_environments() -> None:
    # Given a login that was refused
    environment = Environment(ResponsysTransport(WRONG_PASSWORD))
    assert not isinstance(refused(environment), LoginHeldBackError)
    # When others need one
    for _ in range(5):
        error = refused(environment.another())
        # Then none is tried, and the refusal is told
        assert isinstance(error, LoginHeldBackError)
        assert error.code == "INVALID_USER_NAME_PASSWORD"
    assert environment.logins == 1
    assert environment.seen.logins == ["INVALID_USER_NAME_PASSWORD"]
    assert environment.lease_is_free()


@pytest.mark.parametrize("time_scale", [1.0, 60.0])
def test_a_refused_version_is_tried_once_more_after_an_hour_and_then_never(time_scale: float) -> None:
    # Given a wrong password
    environment = Environment(ResponsysTransport(WRONG_PASSWORD), time_scale=time_scale)
    refused(environment)
    # When not quite an hour is over, divided by the time scale / Then it is not tried
    environment.wait(HOUR / time_scale - 1)
    held_back = refused(environment)
    assert isinstance(held_back, LoginHeldBackError)
    assert held_back.wait == pytest.approx(time_scale), "settling divides it by the time scale again"
    assert environment.logins == 1
    # When it is over / Then it is tried once
    environment.wait(1)
    refused(environment)
    assert environment.logins == 2
    # When a year goes by / Then it is not
    environment.wait(365 * 24 * HOUR)
    held_back = refused(environment.another())
    assert isinstance(held_back, LoginHeldBackError)
    assert held_back.wait is None
    assert environment.logins == 2


def test_messages_look_again_after_ten_minutes_however_long_no_login_is_tried() -> None:
    # Given a wrong password, of which a person may write the right one at any moment
    environment = Environment(ResponsysTransport(WRONG_PASSWORD))
    # When a login is refused, or held back / Then that is how long its messages wait
    assert refused(environment).retry_after == 600
    assert refused(environment).retry_after == 600
    environment.wait(HOUR - 100)
    assert refused(environment).retry_after == 100


def test_a_version_written_after_the_refusal_is_tried_at_once_and_twice_at_most() -> None:
    # Given a password that was wrong twice
    environment = Environment(ResponsysTransport(WRONG_PASSWORD))
    for _ in range(3):
        refused(environment)
        environment.wait(HOUR)
    assert environment.logins == 2
    # When a person writes the secret, wrongly again / Then it has two tries of its own
    environment.rotate("v2")
    for _ in range(3):
        refused(environment)
        environment.wait(HOUR)
    assert environment.logins == 4


def test_the_same_value_written_anew_is_another_version() -> None:
    # Given a password that was wrong twice, until it was changed in Responsys
    environment = Environment(ResponsysTransport(WRONG_PASSWORD, WRONG_PASSWORD, CountingLogins()))
    for _ in range(2):
        refused(environment)
        environment.wait(HOUR)
    assert isinstance(refused(environment), LoginHeldBackError)
    # When a person writes the same value anew / Then it is tried at once
    environment.rotate("v2")
    assert environment.token() == "token-1"


def test_another_secret_of_the_user_is_not_tried_after_a_wrong_password() -> None:
    # Given ten secrets of one user, with a wrong password each
    transport = ResponsysTransport(WRONG_PASSWORD)
    first = Environment(transport)
    for number in range(10):
        secret = Secret(Credentials("api_user", "password", SecretVersion(f"secret-{number}", "v1", NOW - HOUR)))
        refused(first.another(secret=secret, store=SharedToken()))
    # When all have been needed / Then one was tried
    assert first.logins == 1


def test_a_wrong_password_at_one_login_host_says_nothing_about_another() -> None:
    # Given a connector whose authEndpoint is another account's
    wrong = Environment(ResponsysTransport(WRONG_PASSWORD), host="https://login2.responsys.net")
    refused(wrong)
    # When a connector with the same secret and the right host needs a login / Then it gets one
    right = wrong.another(ResponsysTransport(CountingLogins()), host=HOST)
    assert right.token() == "token-1"
    assert right.seen.logins == [None]


def test_a_login_that_was_held_back_is_told_of_each_connector() -> None:
    # Given two connectors of one account, whose password was refused
    environment = Environment(ResponsysTransport(WRONG_PASSWORD))
    refused(environment)
    # When both need a login
    tokens, connectors = environment.keeper(), (SeenLogins(), SeenLogins())
    for seen in connectors:
        with pytest.raises(LoginHeldBackError):
            tokens.token(seen, NOW + 60)
    # Then both are told of it, and of no login
    assert [seen.held_back for seen in connectors] == [["INVALID_USER_NAME_PASSWORD"]] * 2
    assert [seen.logins for seen in connectors] == [[], []]


def test_a_secret_that_cannot_be_used_holds_its_login_back_too() -> None:
    # Given a secret that is not there
    environment = Environment(ResponsysTransport(CountingLogins()))

    def missing() -> Credentials:
        raise LoginRefusedError(ErrorCode.INVALID_CREDENTIALS, retry_after=600, title="no secret x")

    environment.secret = cast("Any", missing)
    # When a login is needed / Then that is told, and not remembered as Responsys's word
    with pytest.raises(LoginRefusedError):
        environment.keeper().token(environment.seen, NOW + 60)
    assert environment.seen.held_back == [ErrorCode.INVALID_CREDENTIALS]
    assert environment.guard().memory() == LoginMemory()


# --- other refusals ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "code", "memory"),
    [
        (refusing(401, "LOGIN_BLOCKED_INVALID_IPRANGE"), "LOGIN_BLOCKED_INVALID_IPRANGE", HOUR),
        (refusing(401, "LOGIN_BLOCKED_TEMPORARILY"), "LOGIN_BLOCKED_TEMPORARILY", HOUR),
        (refusing(401, "PASSWORD_LOCKOUT"), "PASSWORD_LOCKOUT", HOUR),
        (refusing(401, "API_DISABLED_FOR_USER"), "API_DISABLED_FOR_USER", HOUR),
        (replying({"authToken": "t", "endPoint": "https://evil.com"}), ErrorCode.UNTRUSTED_ENDPOINT, HOUR),
        (Answer(404, b"<html>"), ErrorCode.NO_LOGIN_AT_ENDPOINT, 10 * MINUTE),
    ],
)
def test_a_refusal_that_is_not_about_the_password_is_tried_again_as_often_as_it_takes(
    answer: Answer, code: str, memory: float
) -> None:
    # Given a login that is refused, though not for its password
    environment = Environment(ResponsysTransport(answer))
    for number in range(1, 6):
        # When its time has not come / Then it is not tried
        assert refused(environment).code == code
        environment.wait(memory - 1)
        held_back = refused(environment)
        assert isinstance(held_back, LoginHeldBackError)
        assert held_back.code == code
        assert environment.logins == number
        # When it has / Then it is
        environment.wait(1)
    # And no wrong password was counted
    assert environment.guard().memory().tries == 0


def test_after_another_refusal_a_new_version_is_tried_at_once() -> None:
    # Given a password that has expired
    environment = Environment(ResponsysTransport(refusing(401, "PASSWORD_EXPIRED"), CountingLogins()))
    refused(environment)
    environment.wait(MINUTE)
    # When a person writes the new one / Then it is tried
    environment.rotate("v2")
    assert environment.token() == "token-1"


def test_a_throttled_login_is_not_tried_again_before_the_minute_is_over_and_counts_as_no_failure() -> None:
    # Given an account that takes no more logins in this minute
    environment = Environment(ResponsysTransport(refusing(401, "API_LIMIT_EXCEEDED"), CountingLogins()))
    # When one is needed, with whichever version / Then none is tried, and nobody is alarmed
    for version in ("v1", "v2", "v3"):
        with pytest.raises(ThrottledError):
            environment.token()
        environment.wait(1)
        environment.rotate(version)
    assert environment.logins == 1
    assert (environment.seen.logins, environment.seen.held_back) == ([], [])
    assert environment.lease_is_free()
    # When the minute is over / Then it is
    environment.wait(58)
    assert environment.token() == "token-1"


def test_a_login_that_got_no_answer_is_no_refusal_and_leaves_no_event_in_doubt() -> None:
    environment = Environment(ResponsysTransport(requests.ReadTimeout(), CountingLogins()))

    with pytest.raises(UnavailableError) as raised:
        environment.token()

    assert not isinstance(raised.value, OutcomeUnknownError)
    assert environment.guard().memory() == LoginMemory()
    assert environment.lease_is_free()
    assert environment.seen.logins == []


# --- the lease -------------------------------------------------------------------------------------------------


def test_a_lease_is_longer_than_any_login(monkeypatch: pytest.MonkeyPatch) -> None:
    # Given much more time than a login needs
    environment = Environment(ResponsysTransport(CountingLogins()))
    given: list[float] = []

    def watched(*arguments: Any, timeout: float, **options: Any) -> Token:
        given.append(timeout)
        return log_in(*arguments, timeout=timeout, **options)

    monkeypatch.setattr(token, "log_in", watched)
    # When it is made / Then it gets no more than a lease covers, with room for the calls of AWS around it
    environment.tokens.token(environment.seen, NOW + 900)
    assert given == [LONGEST_LOGIN]
    assert CONNECT_SECONDS + LONGEST_LOGIN + 20 < LEASE_SECONDS


def test_who_waits_for_the_lease_takes_the_token_that_its_holder_stores() -> None:
    holder = Environment(ResponsysTransport(CountingLogins()))
    guard = holder.guard()
    polls: list[float] = []

    def holder_logs_in_at_the_third_poll(seconds: float) -> None:
        polls.append(seconds)
        if len(polls) == 3:
            holder.store.write(Token("of the holder", END_POINT, NOW))
            guard.end()

    assert guard.acquire()
    waiting = holder.another(ResponsysTransport(CountingLogins()), sleep=holder_logs_in_at_the_third_poll)

    assert waiting.token() == "of the holder"
    assert waiting.logins == 0
    assert len(polls) == 3
    assert all(0.25 <= seconds <= 0.5 for seconds in polls)


def wrong(version: SecretVersion = V1) -> Callable[[LoginMemory, bool], LoginMemory]:
    """Return the lesson of a wrong password."""
    return lambda memory, _alone: memory.after_wrong_password(version, "INVALID_USER_NAME_PASSWORD", NOW)


def test_who_waits_for_the_lease_heeds_the_refusal_that_its_holder_met() -> None:
    holder = Environment(ResponsysTransport(WRONG_PASSWORD))
    guard = holder.guard()
    assert guard.acquire()

    waiting = holder.another(sleep=lambda _seconds: guard.end(wrong()))

    refused(waiting)
    assert waiting.logins == 0


def test_who_gets_the_lease_after_another_login_takes_its_token() -> None:
    environment = Environment(ResponsysTransport(CountingLogins()))

    class StoredWhileAcquiring(TableLoginGuard):
        def acquire(self) -> bool:
            environment.store.write(Token("just stored", END_POINT, NOW))
            return super().acquire()

    guard = StoredWhileAcquiring(DeliveryTable("delivery", cast("Any", environment.table)), HOST, "api_user")
    tokens = environment.keeper(lambda _host, _username: guard)

    assert tokens.token(environment.seen, NOW + 60).auth_token == "just stored"
    assert environment.logins == 0
    assert environment.lease_is_free()


def test_who_gets_the_lease_after_a_refused_login_does_not_try_the_same_secret() -> None:
    environment = Environment(ResponsysTransport(CountingLogins()))

    class RefusedWhileAcquiring(TableLoginGuard):
        def acquire(self) -> bool:
            environment.guard().end(wrong())
            return super().acquire()

    guard = RefusedWhileAcquiring(DeliveryTable("delivery", cast("Any", environment.table)), HOST, "api_user")
    tokens = environment.keeper(lambda _host, _username: guard)

    with pytest.raises(LoginHeldBackError):
        tokens.token(environment.seen, NOW + 60)
    assert environment.logins == 0
    assert environment.lease_is_free()


def test_a_remembered_refusal_is_told_at_once_even_while_another_environment_has_the_lease() -> None:
    environment = Environment(ResponsysTransport(CountingLogins()))
    environment.guard().end(wrong())
    assert environment.guard().acquire()

    refused(environment)
    assert environment.clock.now == NOW


def test_waiting_for_the_lease_ends_at_the_deadline() -> None:
    environment = Environment(ResponsysTransport(CountingLogins()))
    assert environment.guard().acquire(), "by an environment that is killed then"

    with pytest.raises(UnavailableError) as raised:
        environment.token()

    assert raised.value.code == ErrorCode.OUT_OF_TIME
    assert environment.clock.now == pytest.approx(NOW + 60, abs=1)
    assert environment.logins == 0


def outlived(environment: Environment, answer: Answer) -> tuple[Environment, Environment]:
    """Return an environment whose login outlives its lease, and another that takes the lease over meanwhile."""
    other = environment.another(ResponsysTransport(WRONG_PASSWORD))

    def late(_request: requests.PreparedRequest) -> Answer:
        environment.wait(LEASE_SECONDS + 1)
        with pytest.raises(LoginRefusedError):
            other.token()
        return answer

    return environment.another(ResponsysTransport(late)), other


def test_a_login_that_outlives_its_lease_still_counts_its_wrong_password() -> None:
    # Given a login so slow that another environment tries one as well, and both are refused
    environment = Environment(ResponsysTransport(WRONG_PASSWORD))
    slow, other = outlived(environment, WRONG_PASSWORD)
    refused(slow)
    # When both are remembered / Then these were two wrong passwords, and there is no third
    assert environment.guard().memory().tries == 2
    environment.wait(2 * HOUR)
    refused(environment)
    assert (environment.logins, slow.logins, other.logins) == (0, 1, 1)


def test_a_login_that_outlives_its_lease_does_not_make_up_for_a_wrong_password_since() -> None:
    # Given a login so slow that another environment is refused before its success is known
    environment = Environment(ResponsysTransport(WRONG_PASSWORD))
    slow, _ = outlived(environment, replying({"authToken": "late", "endPoint": END_POINT}))
    # When it succeeds / Then its token is used
    assert slow.token() == "late"
    # And it is remembered, though not as if it had come last
    memory = environment.guard().memory()
    assert (memory.good, memory.tries) == (V1, 1)


def test_twenty_cold_environments_without_a_token_make_one_login() -> None:
    all_here = threading.Barrier(20)
    logins = CountingLogins()
    first = Environment(ResponsysTransport(logins), sleep=short_sleep)
    environments = [first.another(ResponsysTransport(logins)) for _ in range(20)]

    def cold_start(environment: Environment) -> str:
        all_here.wait(timeout=5)
        return environment.token()

    with ThreadPoolExecutor(20) as pool:
        tokens = list(pool.map(cold_start, environments))

    assert tokens == ["token-1"] * 20
    assert logins.count == 1


def test_twenty_cold_environments_with_a_wrong_password_make_one_login() -> None:
    all_here = threading.Barrier(20)
    first = Environment(ResponsysTransport(WRONG_PASSWORD), sleep=short_sleep)
    environments = [first.another() for _ in range(20)]

    def cold_start(environment: Environment) -> None:
        all_here.wait(timeout=5)
        refused(environment)

    with ThreadPoolExecutor(20) as pool:
        list(pool.map(cold_start, environments))

    assert first.logins == 1


def test_connectors_of_one_account_share_one_login_in_a_process() -> None:
    # Given two connectors of one account, and a store that keeps nothing
    class Forgetful(SharedToken):
        def write(self, token: Token) -> None:
            self.writes += 1

    environment = Environment(ResponsysTransport(CountingLogins()), store=Forgetful())
    connectors = (SeenLogins(), SeenLogins())
    # When both need a token / Then one login is made
    tokens = [environment.tokens.token(seen, NOW + 60).auth_token for seen in connectors]
    assert tokens == ["token-1"] * 2
    assert [seen.logins for seen in connectors] == [[None], []]
