"""Does every request get a live token with the fewest logins, and can nothing make us lock the account?"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace

import pytest
import requests

from responsys_activation.aws.faults import AwsUnavailableError
from responsys_activation.endpoint import TrustedDomains
from responsys_activation.outcome import ErrorCode
from responsys_activation.responsys.errors import (
    LoginRefusedError,
    OutcomeUnknownError,
    ResponsysError,
    ThrottledError,
    TokenRefusedError,
    UnavailableError,
)
from responsys_activation.responsys.events import trigger_custom_event
from responsys_activation.responsys.login import Credentials, Token
from responsys_activation.responsys.session import TOKEN_LIFETIME, RefusedLogin, Session
from tests.fakes.clock import NOW, Clock
from tests.fakes.login_state import LoginState, Secret, SeenLogins, SharedGuard, SharedToken
from tests.fakes.memberships import connector
from tests.fakes.responsys_transport import Answer, ResponsysTransport, refusing, replying

END_POINT = "https://api5-009.responsys.net"
MINUTE = 60.0
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
    state: LoginState = field(default_factory=LoginState)
    secret: Secret = field(default_factory=lambda: Secret(Credentials("api_user", "password", "v1")))
    seen: SeenLogins = field(default_factory=SeenLogins)
    time_scale: float = 1.0
    sleep: Callable[[float], None] | None = None
    name: str = "default"

    def __post_init__(self) -> None:
        self.guard = SharedGuard(self.state)
        self.session = Session(
            self.name,
            connector(),
            http=self.transport.session(),
            trusted=TrustedDomains(("responsys.net",)),
            token_store=self.store,
            credentials=self.secret,
            guard=self.guard,
            observe_login=self.seen,
            time_scale=self.time_scale,
            clock=self.clock,
            sleep=self.sleep or self.clock.sleep,
        )

    @property
    def logins(self) -> int:
        return len(self.transport.requests)

    def token(self) -> str:
        return self.session.call(lambda token: token.auth_token, deadline=self.clock.now + 60)

    def another(self, transport: ResponsysTransport | None = None) -> Environment:
        """Start another environment of the same connector, with nothing in memory."""
        return Environment(
            transport or self.transport,
            clock=self.clock,
            store=self.store,
            state=self.state,
            secret=self.secret,
            time_scale=self.time_scale,
        )


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
    assert environment.state.holder is None
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
            raise AwsUnavailableError("SSM get: ThrottlingException")

    environment = Environment(ResponsysTransport(CountingLogins()), store=Unreadable())

    with pytest.raises(AwsUnavailableError):
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
        Answer(401, b""),
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


# --- a refused login -------------------------------------------------------------------------------------------


def test_a_refused_login_is_remembered_by_all_environments_with_the_secrets_version() -> None:
    environment = Environment(ResponsysTransport(WRONG_PASSWORD))

    with pytest.raises(LoginRefusedError):
        environment.token()

    assert environment.state.refused == RefusedLogin("INVALID_USER_NAME_PASSWORD", "v1", NOW + 600)
    assert environment.seen.logins == [("default", "INVALID_USER_NAME_PASSWORD")]
    assert environment.state.holder is None
    for _ in range(5):
        with pytest.raises(LoginRefusedError) as refused:
            environment.another().token()
        assert refused.value.code == "INVALID_USER_NAME_PASSWORD"
    assert environment.logins == 1


def test_the_memory_of_a_refused_login_tells_how_long_it_still_lasts() -> None:
    environment = Environment(ResponsysTransport(WRONG_PASSWORD))
    with pytest.raises(LoginRefusedError):
        environment.token()
    environment.clock.now += 400

    with pytest.raises(LoginRefusedError) as refused:
        environment.token()

    assert refused.value.clock == 200


def test_a_new_version_of_the_secret_is_tried_at_once() -> None:
    environment = Environment(ResponsysTransport(WRONG_PASSWORD, CountingLogins()))
    with pytest.raises(LoginRefusedError):
        environment.token()

    environment.secret.credentials = replace(environment.secret.credentials, password="right", version="v2")

    assert environment.token() == "token-1"


def test_a_refused_new_version_is_remembered_in_its_turn() -> None:
    environment = Environment(ResponsysTransport(WRONG_PASSWORD))
    with pytest.raises(LoginRefusedError):
        environment.token()
    environment.secret.credentials = replace(environment.secret.credentials, version="v2")

    for _ in range(3):
        with pytest.raises(LoginRefusedError):
            environment.token()

    assert environment.logins == 2
    assert environment.state.refused is not None
    assert environment.state.refused.secret_version == "v2"


@pytest.mark.parametrize("time_scale", [1.0, 60.0])
def test_after_ten_minutes_divided_by_the_time_scale_the_same_secret_is_tried_once_more(time_scale: float) -> None:
    environment = Environment(ResponsysTransport(WRONG_PASSWORD), time_scale=time_scale)
    with pytest.raises(LoginRefusedError):
        environment.token()

    environment.clock.now += 600 / time_scale - 1
    with pytest.raises(LoginRefusedError) as refused:
        environment.token()
    assert environment.logins == 1
    assert refused.value.clock == pytest.approx(time_scale), "settling divides it by the time scale again"

    environment.clock.now += 1
    with pytest.raises(LoginRefusedError):
        environment.token()
    assert environment.logins == 2


def test_a_throttled_login_is_not_tried_again_before_the_minute_is_over_and_counts_as_no_failure() -> None:
    environment = Environment(ResponsysTransport(refusing(401, "API_LIMIT_EXCEEDED"), CountingLogins()))

    for _ in range(3):
        with pytest.raises(ThrottledError):
            environment.token()
    assert environment.seen.logins == []
    assert environment.state.holder is None

    environment.clock.now += 61
    assert environment.token() == "token-1"


def test_a_login_that_got_no_answer_is_no_refusal_and_leaves_no_event_in_doubt() -> None:
    environment = Environment(ResponsysTransport(requests.ReadTimeout(), CountingLogins()))

    with pytest.raises(UnavailableError) as raised:
        environment.token()

    assert not isinstance(raised.value, OutcomeUnknownError)
    assert environment.state.refused is None
    assert environment.state.holder is None
    assert environment.seen.logins == []


# --- the lease -------------------------------------------------------------------------------------------------


def test_who_waits_for_the_lease_takes_the_token_that_its_holder_stores() -> None:
    holder = Environment(ResponsysTransport(CountingLogins()))
    polls: list[float] = []

    def holder_logs_in_at_the_third_poll(seconds: float) -> None:
        polls.append(seconds)
        if len(polls) == 3:
            holder.store.write(Token("of the holder", END_POINT, NOW))
            holder.guard.release()

    assert holder.guard.acquire()
    waiting = replace(holder, transport=ResponsysTransport(CountingLogins()), sleep=holder_logs_in_at_the_third_poll)

    assert waiting.token() == "of the holder"
    assert waiting.logins == 0
    assert len(polls) == 3
    assert all(0.25 <= seconds <= 0.5 for seconds in polls)


def test_who_waits_for_the_lease_heeds_the_refusal_that_its_holder_met() -> None:
    holder = Environment(ResponsysTransport(WRONG_PASSWORD))
    assert holder.guard.acquire()

    def holder_is_refused(_seconds: float) -> None:
        holder.guard.release(RefusedLogin("INVALID_USER_NAME_PASSWORD", "v1", NOW + 600))

    waiting = replace(holder, sleep=holder_is_refused)

    with pytest.raises(LoginRefusedError):
        waiting.token()
    assert waiting.logins == 0


def test_who_gets_the_lease_after_another_login_takes_its_token() -> None:
    class StoredWhileAcquiring(SharedGuard):
        def acquire(self) -> bool:
            environment.store.write(Token("just stored", END_POINT, NOW))
            return super().acquire()

    environment = Environment(ResponsysTransport(CountingLogins()))
    environment.session._guard = StoredWhileAcquiring(environment.state)

    assert environment.token() == "just stored"
    assert environment.logins == 0
    assert environment.state.holder is None


def test_who_gets_the_lease_after_a_refused_login_does_not_try_the_same_secret() -> None:
    class RefusedWhileAcquiring(SharedGuard):
        def acquire(self) -> bool:
            self.state.refused = RefusedLogin("PASSWORD_LOCKOUT", "v1", NOW + 600)
            return super().acquire()

    environment = Environment(ResponsysTransport(CountingLogins()))
    environment.session._guard = RefusedWhileAcquiring(environment.state)

    with pytest.raises(LoginRefusedError):
        environment.token()
    assert environment.logins == 0
    assert environment.state.holder is None


def test_a_remembered_refusal_is_told_at_once_even_while_another_environment_has_the_lease() -> None:
    environment = Environment(ResponsysTransport(CountingLogins()))
    environment.state.refused = RefusedLogin("PASSWORD_LOCKOUT", "v1", NOW + 600)
    environment.state.holder = "another environment"

    with pytest.raises(LoginRefusedError):
        environment.token()
    assert environment.clock.now == NOW


def test_waiting_for_the_lease_ends_at_the_deadline() -> None:
    environment = Environment(ResponsysTransport(CountingLogins()))
    environment.state.holder = "a killed environment"

    with pytest.raises(UnavailableError) as raised:
        environment.token()

    assert raised.value.code == ErrorCode.OUT_OF_TIME
    assert environment.clock.now == pytest.approx(NOW + 60, abs=1)
    assert environment.logins == 0


def test_twenty_cold_environments_without_a_token_make_one_login() -> None:
    all_here = threading.Barrier(20)
    logins = CountingLogins()
    first = Environment(ResponsysTransport(logins), sleep=short_sleep)
    environments = [replace(first, transport=ResponsysTransport(logins), seen=SeenLogins()) for _ in range(20)]

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
    environments = [replace(first, seen=SeenLogins()) for _ in range(20)]

    def cold_start(environment: Environment) -> None:
        all_here.wait(timeout=5)
        with pytest.raises(LoginRefusedError):
            environment.token()

    with ThreadPoolExecutor(20) as pool:
        list(pool.map(cold_start, environments))

    assert first.logins == 1


def test_the_sessions_of_two_connectors_know_nothing_of_each_other() -> None:
    refused = Environment(ResponsysTransport(WRONG_PASSWORD), name="wrong")
    working = Environment(ResponsysTransport(CountingLogins()), name="right")

    with pytest.raises(LoginRefusedError):
        refused.token()

    assert working.token() == "token-1"
    assert working.seen.logins == [("right", None)]
