"""Do the others of a request get through, whichever recipients spoil it?"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
import requests
from hypothesis import given, settings
from hypothesis import strategies as st

from responsys_activation.delivery.outcome import Delivered, Duplicate, Outcome, Rejected, Retried, Throttled
from responsys_activation.error_code import ErrorCode
from tests.fakes.connected import Connected, is_told, planned


def assert_only_the_bad_one_is_rejected(count: int, bad: int, named_from: int | None) -> None:
    # Given a request one of whose recipients Responsys refuses together with all others
    connected = Connected()
    connected.responsys.record_named_from = named_from

    # When it is sent
    result = connected.send(planned(count, [bad]))

    # Then that one is rejected, the others are delivered once, and it took few requests more
    expected: list[Outcome] = [Delivered()] * count
    assert is_told(result.outcomes[bad], Rejected, "INVALID_PARAMETER")
    expected[bad] = result.outcomes[bad]
    assert result.outcomes == expected
    assert connected.deliveries() == {f"m{number}": 1 for number in range(count) if number != bad}
    assert len(result.exchanges) - 1 <= 2 * math.log2(count) + 2
    assert connected.responsys.calls["event"] == len(result.exchanges)


@pytest.mark.parametrize("named_from", [0, 1, None])
@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 7, 8, 9, 16, 17])
def test_one_bad_recipient_of_a_small_request_is_found_wherever_it_is(count: int, named_from: int | None) -> None:
    for bad in range(count):
        assert_only_the_bad_one_is_rejected(count, bad, named_from)


@pytest.mark.parametrize("named_from", [0, 1, None])
@pytest.mark.parametrize("bad", [0, 1, 2, 63, 64, 99, 100, 128, 198, 199])
def test_one_bad_recipient_of_a_full_request_is_found(bad: int, named_from: int | None) -> None:
    assert_only_the_bad_one_is_rejected(200, bad, named_from)


@settings(max_examples=25)
@given(st.integers(1, 200).flatmap(lambda count: st.tuples(st.just(count), st.integers(0, count - 1))))
def test_one_bad_recipient_in_any_request_is_found_by_bisection(where: tuple[int, int]) -> None:
    assert_only_the_bad_one_is_rejected(*where, named_from=None)


def test_a_named_record_costs_three_requests_more_at_most() -> None:
    for named_from in (0, 1):
        connected = Connected()
        connected.responsys.record_named_from = named_from
        assert len(connected.send(planned(200, [77])).exchanges) <= 4


def test_a_record_that_cannot_be_is_not_believed() -> None:
    connected = Connected()
    connected.responsys.record_named_from = 5_000

    result = connected.send(planned(8, [3]))

    assert [isinstance(outcome, Delivered) for outcome in result.outcomes] == [place != 3 for place in range(8)]


@pytest.mark.parametrize("named_from", [0, 1, None])
def test_several_bad_recipients_do_not_sink_the_others(named_from: int | None) -> None:
    connected = Connected()
    connected.responsys.record_named_from = named_from
    bad = [3, 4, 90, 199]

    result = connected.send(planned(200, bad))

    assert [place for place, outcome in enumerate(result.outcomes) if not isinstance(outcome, Delivered)] == bad
    assert set(connected.deliveries().values()) == {1}


def test_a_producer_that_spoils_everything_does_not_eat_the_budget_at_once() -> None:
    connected = Connected()

    result = connected.send(planned(200, range(200)))

    # Those that were found out are rejected, the others come back for another pass
    found_out = [is_told(outcome, Rejected, "INVALID_PARAMETER") for outcome in result.outcomes]
    come_back = [is_told(outcome, Retried, "INVALID_PARAMETER") for outcome in result.outcomes]
    assert any(found_out)
    assert all(rejected != retried for rejected, retried in zip(found_out, come_back, strict=True))
    assert len(result.exchanges) <= 1 + 64 + math.log2(200)


@pytest.mark.parametrize(("most", "exchanges"), [(100, 3), (50, 7)])
def test_a_request_with_too_many_recipients_is_split(most: int, exchanges: int) -> None:
    connected = Connected()
    connected.responsys.maximum_recipients = most

    result = connected.send(planned(200))

    assert result.outcomes == [Delivered()] * 200
    assert len(result.exchanges) == exchanges


def test_mending_keeps_to_the_budget() -> None:
    connected = Connected(requests_per_minute=20)

    result = connected.send(planned(8, [5]))

    times = [seen.at for seen in connected.responsys.seen]
    gaps = [later - earlier for earlier, later in pairwise(times)]
    assert len(result.exchanges) == 7
    assert min(gaps) >= 60 / 20
    assert result.budget_wait == pytest.approx(sum(gaps), abs=1)


def test_what_mending_has_no_time_for_is_deferred_and_what_it_did_stays_done() -> None:
    # Given a slow connector, and time for a few requests only
    connected = Connected(requests_per_minute=6)

    # When one bad recipient would take seven
    result = connected.send(planned(8, [7]), seconds=100)

    # Then the parts that went are delivered, the others come back by the budget's clock
    sent = [position for position, outcome in enumerate(result.outcomes) if isinstance(outcome, Delivered)]
    deferred = [outcome for outcome in result.outcomes if is_told(outcome, Throttled, ErrorCode.BUDGET_EXHAUSTED)]
    assert sent == [0, 1, 2, 3, 4, 5]
    assert len(deferred) == 2
    connected.clock.sleep(20)
    again = connected.send(planned(7))
    assert again.outcomes == [Duplicate()] * 6 + [Delivered()]


# ---- refusals under a code that no source names ----------------------------------------------------------------


def refusing_undocumented(connected: Connected, spoils: Callable[[list[int]], bool]) -> None:
    forward = connected.responsys.send

    def send(request: requests.PreparedRequest, **options: Any) -> requests.Response:
        response = forward(request, **options)
        if "/events/" in str(request.url):
            sent = [each["recipient"]["recipientId"] for each in json.loads(request.body or b"")["recipientData"]]
            if spoils(sent):
                response.status_code = 400
                response._content = json.dumps({"errorCode": "INVALID_RECIPIENT_DATA", "title": "x"}).encode()
        return response

    connected.responsys.send = send  # type: ignore[method-assign]


@pytest.mark.parametrize("bad", [0, 7, 199])
def test_an_undocumented_refusal_of_one_recipient_does_not_sink_the_others(bad: int) -> None:
    connected = Connected()
    refusing_undocumented(connected, lambda sent: 1000 + bad in sent)

    result = connected.send(planned(200))

    codes = Counter(type(outcome) for outcome in result.outcomes)
    assert codes == {Delivered: 199, Rejected: 1}
    assert is_told(result.outcomes[bad], Rejected, "INVALID_RECIPIENT_DATA")


def test_an_undocumented_refusal_of_everything_costs_few_requests() -> None:
    connected = Connected()
    refusing_undocumented(connected, lambda _sent: True)

    result = connected.send(planned(200))

    assert all(is_told(outcome, Rejected, "INVALID_RECIPIENT_DATA") for outcome in result.outcomes)
    assert len(result.exchanges) == 16
