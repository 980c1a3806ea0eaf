"""Are events written in full calls, again where that helps, and never beyond the time that there is?"""

from __future__ import annotations

import json
import threading
import time
from typing import Any

import pytest
from botocore.exceptions import ConnectTimeoutError

from responsys_activation.aws.event_bus import MOST_BYTES, EventBus, Written
from tests.fakes.clock import Clock
from tests.fakes.dynamodb import client_error
from tests.unit.aws.stubbed import StubbedAws

Entries = list[dict[str, str]]
OUT_OF_REACH = ConnectTimeoutError(endpoint_url="events")
FAR = 10_000.0


class Bridge:
    """Answers each call with what comes next; afterwards it takes everything."""

    def __init__(self, *answers: Exception | list[str | None]) -> None:
        self.answers = list(answers)
        self.calls: list[list[str]] = []
        self.sizes: list[int] = []

    def put_events(self, *, Entries: Entries) -> dict[str, Any]:  # noqa: N803
        self.calls.append([entry["Detail"] for entry in Entries])
        self.sizes.append(sum(len(text) for entry in Entries for text in entry.values()))
        answer = self.answers.pop(0) if self.answers else [None] * len(Entries)
        if isinstance(answer, Exception):
            raise answer
        return {"Entries": [{"ErrorCode": code} if code else {"EventId": "e"} for code in answer]}


class Bus:
    """A bus in virtual time."""

    def __init__(self, bridge: Any) -> None:
        self.clock = Clock()
        self.bus = EventBus("source", "type", bridge, clock=self.clock, sleep=self.clock.sleep)

    def write(self, details: list[str], seconds: float = FAR) -> Written:
        return self.bus.write(details, self.clock() + seconds)


def test_a_call_is_one_that_eventbridge_knows() -> None:
    # Given AWS's own model of the call / When an event is written
    aws = StubbedAws()
    entry = {"Source": "source", "DetailType": "type", "Detail": "{}"}
    aws.answers("events", "put_events", {"FailedEntryCount": 0, "Entries": [{"EventId": "1"}]}, Entries=[entry])

    # Then call and answer fit it
    assert Bus(aws.client("events")).write(["{}"]) == Written({0}, set())
    aws.require_all_called()


def test_a_call_takes_ten_events_and_less_than_aws_allows() -> None:
    # Given many small events, and some as large as they come
    small, large = [json.dumps(number) for number in range(25)], ["x" * MOST_BYTES] * 2
    bus = Bus(bridge := Bridge())
    began = bus.clock()

    # When they are written
    written = bus.write([*small, *large])

    # Then all are, at once, ten per call, and no call is too large
    assert written == Written(set(range(27)), set())
    assert bus.clock() == began
    assert sorted(map(len, bridge.calls)) == [1, 1, 5, 10, 10]
    assert max(bridge.sizes) < 256 * 1024


@pytest.mark.parametrize("code", ["InternalFailure", "ThrottlingException"])
def test_of_a_call_only_what_eventbridge_may_take_later_is_written_again(code: str) -> None:
    # Given a call of which one entry is put off, and one refused for good
    bridge = Bridge([None, code, "MalformedDetail"])

    # When three events are written
    written = Bus(bridge).write(["a", "b", "c"])

    # Then the first is not written again, the last is not tried again, and why it is missing is known
    assert bridge.calls == [["a", "b", "c"], ["b"]]
    assert written == Written({0, 1}, {"EventBridge put events: MalformedDetail"})


@pytest.mark.parametrize(
    "failure", [OUT_OF_REACH, client_error("ThrottlingException", "PutEvents"), client_error("InternalFailure", "")]
)
def test_a_call_that_failed_is_made_again_a_few_times_and_later_each_time(failure: Exception) -> None:
    bus = Bus(bridge := Bridge(failure, failure))
    began = bus.clock()

    assert bus.write(["a"]) == Written({0}, set())
    assert len(bridge.calls) == 3
    assert bus.clock() - began == pytest.approx(0.6)

    bus = Bus(bridge := Bridge(*[failure] * 9))
    taken, faults = bus.write(["a"])
    assert (taken, len(faults), len(bridge.calls)) == (set(), 1, 3)


def test_a_call_that_is_denied_is_not_made_again() -> None:
    denied = client_error("AccessDeniedException", "PutEvents", ResponseMetadata={"HTTPStatusCode": 400})
    written = Bus(bridge := Bridge(denied)).write(["a", "b"])

    assert written == Written(set(), {"EventBridge put events: AccessDeniedException"})
    assert len(bridge.calls) == 1


def test_nothing_begins_when_the_time_is_over() -> None:
    # Given no time, or less than the pause before another attempt
    bus = Bus(bridge := Bridge(OUT_OF_REACH))

    # When events are written / Then no call begins afterwards, and nothing counts as taken
    assert bus.write(["a"], seconds=0.0) == Written(set(), {"EventBridge put events: no time left"})
    assert bridge.calls == []
    assert bus.write(["a"], seconds=0.1).taken == set()
    assert len(bridge.calls) == 1


def test_a_call_that_hangs_is_left_behind() -> None:
    # Given an EventBridge that answers the first call and lets the others hang
    released = threading.Event()

    class Hanging:
        def put_events(self, *, Entries: Entries) -> dict[str, Any]:  # noqa: N803
            if Entries[0]["Detail"] != "0":
                released.wait(30)
            return {"Entries": [{"EventId": "e"}] * len(Entries)}

    # When more is written than one call takes
    began = time.monotonic()
    try:
        written = EventBus("source", "type", Hanging()).write(map(str, range(95)), time.time() + 0.3)
    finally:
        released.set()

    # Then nobody waits longer, and what was answered is known to be there
    assert time.monotonic() - began < 5
    assert written == Written(set(range(10)), {"EventBridge put events: no time left"})


def test_events_are_made_when_there_is_a_call_to_take_them() -> None:
    # Given events that are made one by one, and an EventBridge that takes its time
    made = 0
    ahead: list[int] = []

    class Slow(Bridge):
        def put_events(self, *, Entries: Entries) -> dict[str, Any]:  # noqa: N803
            ahead.append(made - 10 * len(self.calls))
            return super().put_events(Entries=Entries)

    def details() -> Any:
        nonlocal made
        for number in range(2_000):
            made += 1
            yield str(number)

    # When they are written / Then few wait in memory
    assert len(EventBus("source", "type", Slow()).write(details(), time.time() + 30).taken) == 2_000
    assert max(ahead) <= 100
