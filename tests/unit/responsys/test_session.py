"""Does every request get a live token with the fewest logins, and can nothing make us lock the account?"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any, cast

import pytest
import requests

from responsys_activation.aws.delivery_table import DeliveryTable
from responsys_activation.aws.faults import AwsCallError
from responsys_activation.aws.login_guard import LEASE_SECONDS, TableLoginGuard
from responsys_activation.error_code import ErrorCode
from responsys_activation.responsys import session
from responsys_activation.responsys.endpoint import TrustedDomains
from responsys_activation.responsys.errors import (
    LoginRefusedError,
    OutcomeUnknownError,
    ResponsysError,
    ThrottledError,
    TokenRefusedError,
    UnavailableError,
)
from responsys_activation.responsys.events import trigger_custom_event
from responsys_activation.responsys.http import CONNECT_SECONDS
from responsys_activation.responsys.login import Credentials, SecretVersion, Token, log_in
from responsys_activation.responsys.login_memory import LoginHeldBackError, LoginMemory
from responsys_activation.responsys.session import LONGEST_LOGIN, TOKEN_LIFETIME, Account, LoginGuard, Session
from tests.fakes.clock import NOW, Clock
from tests.fakes.dynamodb import InMemoryDynamoDb
from tests.fakes.login_state import Secret, SeenLogins, SharedToken
from tests.fakes.responsys_transport import Answer, ResponsysTransport, refusing, replying

HOST = "https://login-default.responsys.net"
END_POINT = "https://api5-009.responsys.net"
MINUTE = 60.0
HOUR = 3600.0
V1 = SecretVersion("secret", "v1", NOW - HOUR)
WRONG_PASSWORD = refusing(400, "INVALID_USER_NAME_PASSWORD")


class CountingLogins:
    """Every login gives another token, after a while."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.count = 0
        self._seconds = seconds
        self._lock = threading.Lock()

    def __call__(self, _request: requests.PreparedRequest) -> Answer:
        time.sleep(self._seconds)
        with self._lock:
            self.count += 1
            return replying({"authToken": f"token-{self.count}", "issuedAt": 1, "endPoint": END_POINT})


@dataclass
class Environment:
    """One Lambda environment's session and all that surrounds it."""

    transport: ResponsysTransport
    clock: Clock = field(default_factory=Clock)
    store: SharedToken = field(default_factory=SharedToken)
    table: InMemoryDynamoDb = field(default_factory=InMemoryDynamoDb)
    secret: Secret = field(default_factory=lambda: Secret(Credentials("api_user", "password", V1)))
    seen: SeenLogins = field(default_factory=SeenLogins)
    time_scale: float = 1.0
    sleep: Callable[[float], None] | None = None
    name: str = "default"
    host: str = HOST

    def __post_init__(self) -> None:
        self.session = Session(self.name, self.account())

    def account(self, open_guard: Callable[[str, str], LoginGuard] | None = None) -> Account:
        return Account(
            self.host,
            http=self.transport.session(),
            trusted=TrustedDomains(("responsys.net",)),
            token_store=self.store,
            credentials=self.secret,
            open_guard=open_guard or self.guard,
            observer=self.seen,
            time_scale=self.time_scale,
            clock=self.clock,
            sleep=self.sleep or self.clock.sleep,
        )

    def guard(self, host: str = HOST, username: str = "api_user") -> TableLoginGuard:
        """Open the guard as another environment would."""
        return TableLoginGuard(
            DeliveryTable(self.table.table, cast("Any", self.table)), host, username, clock=self.clock
        )

    @property
    def logins(self) -> int:
        return len(self.transport.requests)

    def token(self) -> str:
        return self.session.call(lambda token: token.auth_token, deadline=self.clock.now + 60)

    def another(self, transport: ResponsysTransport | None = None, **changes: Any) -> Environment:
        """Start another environment of the same connector, with nothing in memory."""
        return replace(self, transport=transport or self.transport, seen=SeenLogins(), **changes)

    def wait(self, seconds: float) -> None:
        self.clock.now += seconds

    def rotate(self, version: str) -> None:
        """Write the secret anew."""
        written = SecretVersion(self.secret.credentials.version.secret, version, self.clock.now)
        self.secret.credentials = replace(self.secret.credentials, version=written)

    def lease_is_free(self) -> bool:
        guard = self.guard()
        if free := guard.acquire():
            guard.end()
        return free


def short_sleep(_seconds: float) -> None:
    """Let other threads run."""
    time.sleep(0.001)


def stored(age: float = 0.0, called: str = "stored", end_point: str = END_POINT) -> SharedToken:
    return SharedToken(Token(called, end_point, NOW - age))


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
    assert environment.seen.logins == [("default", None)]
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


# --- the token errors ------------------------------------------------------------------------------------------

TOKEN_ERRORS = [
    refusing(401, "TOKEN_EXPIRED", detail="Token expired"),
    refusing(401, "INVALID_TOKEN", detail="Not a valid authentication token"),
    refusing(500, "UNEXPECTED_EXCEPTION", detail="Not a valid authentication token"),
]


def trigger(environment: Environment, events: ResponsysTransport) -> list[str | None]:
    http = events.session()
    return environment.session.call(
        lambda token: trigger_custom_event(http, token, "E", ['{"n":1}'], request_id="r-1", seconds_left=30),
        deadline=environment.clock.now + 60,
    ).error_codes


@pytest.mark.parametrize("token_error", TOKEN_ERRORS)
def test_after_a_token_error_one_login_and_the_same_request_again(token_error: Answer) -> None:
    environment = Environment(ResponsysTransport(CountingLogins()), store=stored())
    events = ResponsysTransport(token_error, replying([{"success": True}]))

    assert trigger(environment, events) == [None]

    first, second = events.requests
    assert environment.logins == 1
    assert (first.headers["Authorization"], second.headers["Authorization"]) == ("stored", "token-1")
    assert first.body == second.body
    assert first.headers["X-Request-Id"] == second.headers["X-Request-Id"]


@pytest.mark.parametrize("token_error", TOKEN_ERRORS)
def test_a_second_token_error_in_a_row_is_no_reason_for_a_second_login(token_error: Answer) -> None:
    environment = Environment(ResponsysTransport(CountingLogins()), store=stored())
    events = ResponsysTransport(token_error)

    with pytest.raises(UnavailableError) as raised:
        trigger(environment, events)

    assert not isinstance(raised.value, OutcomeUnknownError)
    assert environment.logins == 1
    assert len(events.requests) == 2


@pytest.mark.parametrize(
    "answer",
    [
        Answer(403, b""),
        refusing(401, "API_LIMIT_EXCEEDED"),
        refusing(401, "INSUFFICIENT_ACCESS"),
        refusing(401, "PASSWORD_LOCKOUT"),
        refusing(401, "LOGIN_BLOCKED_INVALID_IPRANGE"),
        refusing(500, "UNEXPECTED_EXCEPTION", detail="Something else"),
        refusing(500, "UNRECOVERABLE_EXCEPTION"),
        Answer(502, b""),
    ],
)
def test_no_other_error_causes_a_login_or_a_second_request(answer: Answer) -> None:
    environment = Environment(ResponsysTransport(CountingLogins()), store=stored())
    events = ResponsysTransport(answer)

    with pytest.raises(ResponsysError):
        trigger(environment, events)

    assert environment.logins == 0
    assert len(events.requests) == 1


def test_a_token_that_another_environment_renewed_meanwhile_is_taken_instead_of_a_login() -> None:
    environment = Environment(ResponsysTransport(CountingLogins()), store=stored(called="old"))
    environment.token()
    environment.store.token = Token("renewed elsewhere", END_POINT, NOW)
    events = ResponsysTransport(TOKEN_ERRORS[0], replying([{"success": True}]))

    trigger(environment, events)

    assert environment.logins == 0
    assert events.requests[1].headers["Authorization"] == "renewed elsewhere"


def test_threads_whose_requests_met_the_same_expired_token_share_one_login() -> None:
    environment = Environment(ResponsysTransport(CountingLogins(seconds=0.05)), store=stored(called="old"))
    all_refused = threading.Barrier(4)

    def request(token: Token) -> str:
        if token.auth_token == "old":
            all_refused.wait(timeout=5)
            raise TokenRefusedError("TOKEN_EXPIRED")
        return token.auth_token

    with ThreadPoolExecutor(4) as pool:
        tokens = list(pool.map(lambda _: environment.session.call(request, deadline=NOW + 60), range(4)))

    assert tokens == ["token-1"] * 4
    assert environment.logins == 1


# --- a 401 that does not speak Responsys's language --------------------------------------------------------------

ANOTHER_LANGUAGE = Answer(401, b"<html>Unauthorized</html>")


def test_a_401_in_another_language_may_mean_the_token_and_is_worth_one_login() -> None:
    # Given a gateway that says in HTML that a token is no good
    environment = Environment(ResponsysTransport(CountingLogins()), store=stored())
    events = ResponsysTransport(ANOTHER_LANGUAGE, replying([{"success": True}]))
    # When an event is triggered / Then a login brings the same request through
    assert trigger(environment, events) == [None]
    assert environment.logins == 1
    assert events.requests[1].headers["Authorization"] == "token-1"


def test_a_token_got_in_that_way_is_not_renewed_for_the_same_reason_by_any_environment() -> None:
    # Given a gateway that says so whatever the token is
    environment = Environment(ResponsysTransport(CountingLogins()), store=stored())
    events = ResponsysTransport(ANOTHER_LANGUAGE)
    # When this environment and others trigger events, again and again
    for each in (environment, environment, environment.another(), environment.another()):
        with pytest.raises(UnavailableError) as raised:
            trigger(each, events)
        # Then it stays an outage, in which nothing was processed
        assert not isinstance(raised.value, OutcomeUnknownError)
    # And there was one login
    assert environment.logins == 1
    # But when that token has aged out, the next one may be doubted again
    environment.wait(TOKEN_LIFETIME)
    with pytest.raises(UnavailableError):
        trigger(environment, events)
    assert environment.logins == 3


def test_an_environment_with_an_older_token_takes_the_renewed_one() -> None:
    # Given two environments with the same token, of which one has renewed it
    first = Environment(ResponsysTransport(CountingLogins()), store=stored())
    second = first.another()
    assert first.token() == second.token() == "stored"
    trigger(first, ResponsysTransport(ANOTHER_LANGUAGE, replying([{"success": True}])))
    # When the other one meets the 401 / Then it goes on with the stored token
    events = ResponsysTransport(ANOTHER_LANGUAGE, replying([{"success": True}]))
    assert trigger(second, events) == [None]
    assert (first.logins, events.requests[1].headers["Authorization"]) == (1, "token-1")


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
    assert environment.seen.logins == [("default", "INVALID_USER_NAME_PASSWORD")]
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
    assert refused(environment).clock == 600
    assert refused(environment).clock == 600
    environment.wait(HOUR - 100)
    assert refused(environment).clock == 100


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
    wrong = Environment(ResponsysTransport(WRONG_PASSWORD), host="https://login2.responsys.net", name="wrong")
    refused(wrong)
    # When a connector with the same secret and the right host needs a login / Then it gets one
    right = wrong.another(ResponsysTransport(CountingLogins()), host=HOST, name="right")
    assert right.token() == "token-1"
    assert right.seen.logins == [("right", None)]


def test_a_login_that_was_held_back_is_told_of_each_connector() -> None:
    # Given two connectors of one account, whose password was refused
    environment = Environment(ResponsysTransport(WRONG_PASSWORD))
    refused(environment)
    # When both need a login
    account = environment.account()
    for name in ("a", "b"):
        with pytest.raises(LoginHeldBackError):
            Session(name, account).call(lambda token: token, deadline=NOW + 60)
    # Then both are told of, and no login is
    assert environment.seen.held_back == [("a", "INVALID_USER_NAME_PASSWORD"), ("b", "INVALID_USER_NAME_PASSWORD")]
    assert len(environment.seen.logins) == 1


def test_a_secret_that_cannot_be_used_holds_its_login_back_too() -> None:
    # Given a secret that is not there
    environment = Environment(ResponsysTransport(CountingLogins()))

    def missing() -> Credentials:
        raise LoginRefusedError(ErrorCode.INVALID_CREDENTIALS, clock=600, title="no secret x")

    environment.secret = cast("Any", missing)
    # When a login is needed / Then that is told, and not remembered as Responsys's word
    with pytest.raises(LoginRefusedError):
        Session("default", environment.account()).call(lambda token: token, deadline=NOW + 60)
    assert environment.seen.held_back == [("default", ErrorCode.INVALID_CREDENTIALS)]
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

    def watched(*arguments: Any, seconds_left: float, **options: Any) -> Token:
        given.append(seconds_left)
        return log_in(*arguments, seconds_left=seconds_left, **options)

    monkeypatch.setattr(session, "log_in", watched)
    # When it is made / Then it gets no more than a lease covers, with room for the calls of AWS around it
    environment.session.call(lambda token: token, deadline=NOW + 900)
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
    """Give the lesson of a wrong password."""
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
    session = Session("default", environment.account(lambda _host, _username: guard))

    assert session.call(lambda token: token.auth_token, deadline=NOW + 60) == "just stored"
    assert environment.logins == 0
    assert environment.lease_is_free()


def test_who_gets_the_lease_after_a_refused_login_does_not_try_the_same_secret() -> None:
    environment = Environment(ResponsysTransport(CountingLogins()))

    class RefusedWhileAcquiring(TableLoginGuard):
        def acquire(self) -> bool:
            environment.guard().end(wrong())
            return super().acquire()

    guard = RefusedWhileAcquiring(DeliveryTable("delivery", cast("Any", environment.table)), HOST, "api_user")
    session = Session("default", environment.account(lambda _host, _username: guard))

    with pytest.raises(LoginHeldBackError):
        session.call(lambda token: token.auth_token, deadline=NOW + 60)
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
    """Give an environment whose login outlives its lease, and another that takes the lease over meanwhile."""
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
    account = environment.account()
    # When both need a token / Then one login is made
    tokens = [Session(name, account).call(lambda token: token.auth_token, deadline=NOW + 60) for name in ("a", "b")]
    assert tokens == ["token-1"] * 2
    assert environment.seen.logins == [("a", None)]
