"""Does each call reach Responsys with a live token, and again only where that is safe?"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests

from responsys_activation.responsys.catalogue import KnownList
from responsys_activation.responsys.client import ResponsysClient
from responsys_activation.responsys.errors import (
    OutcomeUnknownError,
    ResponsysError,
    TokenRefusedError,
    UnavailableError,
)
from responsys_activation.responsys.events import EventReply
from responsys_activation.responsys.login import Token
from responsys_activation.responsys.token import TOKEN_LIFETIME
from tests.fakes.clock import NOW
from tests.fakes.login_environment import END_POINT, CountingLogins, Environment, stored
from tests.fakes.responsys_transport import Answer, ResponsysTransport, refusing, replying

LIMIT = {"limit": "200", "resource_path": "/events/{eventName}", "verb": "POST", "api": "trigger"}

# --- the token errors ------------------------------------------------------------------------------------------

TOKEN_ERRORS = [
    refusing(401, "TOKEN_EXPIRED", detail="Token expired"),
    refusing(401, "INVALID_TOKEN", detail="Not a valid authentication token"),
    refusing(500, "UNEXPECTED_EXCEPTION", detail="Not a valid authentication token"),
]


def trigger(environment: Environment, events: ResponsysTransport) -> list[str | None]:
    client = environment.client(events)
    reply = client.trigger("E", ['{"n":1}'], deadline=environment.clock.now + 60, attempt=lambda post: post("r-1"))
    return reply.error_codes


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

    def answer(request: requests.PreparedRequest) -> Answer:
        if request.headers["Authorization"] == "old":
            all_refused.wait(timeout=5)
            return TOKEN_ERRORS[0]
        return replying([{"success": True}])

    events = ResponsysTransport(answer)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: trigger(environment, events), range(4)))

    assert [request.headers["Authorization"] for request in events.requests] == ["old"] * 4 + ["token-1"] * 4
    assert environment.logins == 1


@pytest.mark.parametrize("answer", [TOKEN_ERRORS[0], Answer(401, b"<html>Unauthorized</html>")])
def test_a_client_that_may_log_in_once_renews_no_token(answer: Answer) -> None:
    # Given a client that proves credentials, and an account that refuses the token it got
    environment = Environment(ResponsysTransport(CountingLogins()))
    client = environment.client(ResponsysTransport(answer), renews_token=False)
    client.log_in(NOW + 60)
    # When it reads something / Then that fails, and there was one login
    with pytest.raises(ResponsysError):
        client.event_names(NOW + 60)
    assert environment.logins == 1


def test_each_attempt_is_made_when_its_time_has_come_and_sees_its_end() -> None:
    # Given a token that Responsys no longer takes
    environment = Environment(ResponsysTransport(CountingLogins()), store=stored())
    events = ResponsysTransport(TOKEN_ERRORS[0], replying([{"success": True}]))
    seen: list[object] = []

    def attempt(post: Callable[[str], EventReply]) -> EventReply:
        environment.wait(50)
        try:
            reply = post(f"r-{len(seen)}")
        except ResponsysError as exc:
            seen.append(type(exc))
            raise
        seen.append(reply.error_codes)
        return reply

    # When an event is triggered by a caller that waits before each HTTP request
    environment.client(events).trigger("E", ["{}"], deadline=NOW + 120, attempt=attempt)

    # Then it saw both ends, each under an id of its own, and each had no more than the time that was left
    assert seen == [TokenRefusedError, [None]]
    assert [request.headers["X-Request-Id"] for request in events.requests] == ["r-0", "r-1"]
    assert [whole for _, whole in events.timeouts] == [60.0, 20.0]


@pytest.mark.parametrize(
    ("read", "reply", "result"),
    [
        (ResponsysClient.event_names, [{"eventName": "A"}, {"eventName": ""}, 7], {"A"}),
        (ResponsysClient.profile_lists, [{"name": "L", "folderName": "F"}, {"name": "M"}], {("L", "F"), ("M", "")}),
        (ResponsysClient.event_limit, {"limits": [LIMIT, LIMIT | {"limit": 90}, LIMIT | {"api": "async"}]}, 90),
        (ResponsysClient.event_limit, [], None),
    ],
    ids=["events", "lists", "limit", "no limit"],
)
def test_what_the_account_has_is_read_with_the_token(read: Any, reply: object, result: object) -> None:
    environment = Environment(ResponsysTransport(CountingLogins()))
    transport = ResponsysTransport(TOKEN_ERRORS[0], replying(reply))

    found = read(environment.client(transport), NOW + 60)

    assert found == ({KnownList(*each) for each in result} if read is ResponsysClient.profile_lists else result)  # type: ignore[attr-defined]
    assert [request.headers["Authorization"] for request in transport.requests] == ["token-1", "token-2"]


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
