"""Does each HTTP request go in a slot and under an id of its own, and is each recipient's result what it says?"""

from __future__ import annotations

import json
from typing import Any

import pytest
import requests

from responsys_activation.delivery.outcome import Delivered, Rejected, Retried, Throttled
from responsys_activation.error_code import ErrorCode
from responsys_activation.responsys.errors import TokenRefusedError
from tests.fakes.connected import Connected, is_told, outgoing, planned, request_of
from tests.fakes.responsys import Fault


def test_every_further_request_has_an_id_of_its_own() -> None:
    connected = Connected()
    request = planned(4, [2])

    result = connected.send(request)

    ids = [exchange.request_id for exchange in result.exchanges]
    assert ids[:3] == [request.request_id, f"{request.request_id}-1", f"{request.request_id}-2"]
    assert ids == [seen.request_id for seen in connected.responsys.seen]


# ---- what a single recipient's result may say ------------------------------------------------------------------


def answering(connected: Connected, code: str, recipient: int = 1001) -> None:
    """Let Responsys give one recipient this code in a reply of status 200."""
    forward = connected.responsys.send

    def send(request: requests.PreparedRequest, **options: Any) -> requests.Response:
        response = forward(request, **options)
        if "/events/" in str(request.url):
            sent = [each["recipient"]["recipientId"] for each in json.loads(request.body or b"")["recipientData"]]
            results = response.json()
            for each, result in zip(sent, results, strict=True):
                if each == recipient:
                    result.update(success=False, recipientId=-1, errorMessage=f"{code}: not now")
            response._content = json.dumps(results).encode()
        return response

    connected.responsys.send = send  # type: ignore[method-assign]


@pytest.mark.parametrize("code", ["INTERNAL_CAPACITY_LIMIT_EXCEEDED", "API_LIMIT_EXCEEDED"])
def test_a_recipient_that_is_throttled_in_a_good_reply_pauses_the_account(code: str) -> None:
    connected = Connected()
    answering(connected, code)

    result = connected.send(planned(3))

    assert [type(outcome) for outcome in result.outcomes] == [Delivered, Throttled, Delivered]
    assert is_told(result.outcomes[1], Throttled, code)
    assert all(is_told(outcome, Throttled, code) for outcome in connected.send(request_of(outgoing(9))).outcomes)


def test_a_recipient_that_is_unavailable_in_a_good_reply_comes_back() -> None:
    connected = Connected()
    answering(connected, "SERVICE_UNAVAILABLE")

    assert connected.send(planned(3)).outcomes == [Delivered(), Retried("SERVICE_UNAVAILABLE"), Delivered()]


def test_a_recipients_failure_without_reason_is_tried_once_more() -> None:
    connected = Connected()
    answering(connected, "FAILURE")

    assert connected.send(planned(2)).outcomes[1] == Retried("FAILURE")
    assert connected.send(planned(2, attempts=2)).outcomes[1] == Rejected("FAILURE")


def test_a_recipient_that_was_perhaps_processed_is_in_doubt() -> None:
    connected = Connected()
    answering(connected, "UNEXPECTED_EXCEPTION")

    result = connected.send(planned(3))

    assert result.outcomes == [Delivered(), Retried("UNEXPECTED_EXCEPTION"), Delivered()]
    assert (result.outcome_unknown, connected.told.unknown) == ({1}, 1)


# ---- tokens ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", [Fault.TOKEN_EXPIRED, Fault.TOKEN_NOT_VALID])
def test_after_a_token_error_the_same_body_goes_again_in_a_slot_of_its_own(fault: Fault) -> None:
    # Given a token that Responsys no longer takes
    connected = Connected(requests_per_minute=20)
    sender = connected.sender()
    connected.send(request_of(outgoing(9)), sender=sender)
    connected.fail_event(fault)
    posts: list[tuple[float, Any]] = []
    forward = connected.responsys.send

    def watch(request: requests.PreparedRequest, **options: Any) -> requests.Response:
        if "/events/" in str(request.url):
            posts.append((connected.clock(), request.body))
        return forward(request, **options)

    connected.responsys.send = watch  # type: ignore[method-assign]

    # When a request meets that
    result = connected.send(planned(2), sender=sender)

    # Then it logs in once and sends the same again, a slot later
    assert result.outcomes == [Delivered()] * 2
    assert [type(exchange.failure) for exchange in result.exchanges] == [TokenRefusedError, type(None)]
    assert connected.responsys.calls["login"] == 2
    (first, body), (second, same) = posts
    assert body == same
    assert second - first >= 60 / 20
    assert connected.deliveries() == {"m9": 1, "m0": 1, "m1": 1}


def test_a_token_refused_twice_is_no_endless_loop() -> None:
    connected = Connected()
    connected.fail_event(Fault.TOKEN_EXPIRED, Fault.TOKEN_EXPIRED, Fault.TOKEN_EXPIRED)

    result = connected.send(planned(2))

    assert [outcome for outcome in result.outcomes if is_told(outcome, Retried, "TOKEN_EXPIRED")] == result.outcomes
    assert connected.responsys.calls == {"login": 2, "ratelimit": 1, "event": 2}


def test_a_request_that_had_to_wait_for_a_login_takes_another_slot() -> None:
    # Given a login that takes ten seconds, in which others use the slots that come
    connected = Connected(requests_per_minute=20)
    connected.responsys.requests_per_minute = 20
    connected.send(planned(1))
    connected.surroundings.ssm.values.clear()  # the token
    connected.clock.sleep(60)
    connected.responsys.latency = lambda: 10.0 if connected.responsys.calls["event"] == 1 else 0.1

    # When a request waits for it
    began = connected.clock()
    connected.send(request_of(outgoing(2)))

    # Then it does not go on top of theirs
    assert [item["nextSlot"]["N"] for item in connected.table.items.values() if "nextSlot" in item] == [
        f"{began + 10 + 60 / 19.7:.6f}"
    ]


# ---- time ------------------------------------------------------------------------------------------------------


def test_a_request_without_time_for_its_reply_is_not_sent() -> None:
    # Given a claim that takes nearly all the time there was
    connected = Connected()
    connected.table.before = lambda operation: connected.clock.sleep(8.0 if operation == "BatchExecuteStatement" else 0)

    result = connected.send(planned(2), seconds=66.5)

    assert all(is_told(outcome, Retried, ErrorCode.OUT_OF_TIME) for outcome in result.outcomes)
    assert connected.responsys.calls["event"] == 0
    assert result.outcome_unknown == set()
