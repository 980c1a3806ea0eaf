"""Does the demo tell what is not as it should be, and does it end when it is told to?

That all is well is shown by the demo itself.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.local_stack.demo_memberships import (
    Arrival,
    Nothing,
    PublishedMembership,
    Rejection,
    demo_memberships,
    least_requests,
)
from tests.local_stack.demo_platforms import ADOBE, MPARTICLE, SEGMENT, memberships_of, platform_bodies
from tests.local_stack.demo_progress import Flow
from tests.local_stack.demo_results import Results, differences
from tests.local_stack.environments import REPOSITORY
from tests.local_stack.processes import child_process
from tests.simulator.inbox import InboxEvent
from tests.simulator.request_log import RequestRecord


@pytest.fixture(scope="module")
def memberships() -> list[PublishedMembership]:
    return demo_memberships()


@pytest.fixture(scope="module")
def as_it_should_be(memberships: list[PublishedMembership]) -> Results:
    arrivals = [membership.fate for membership in memberships if isinstance(membership.fate, Arrival)]
    rejected = [(m.body, m.fate.error_code) for m in memberships if isinstance(m.fate, Rejection)]
    outcomes = {
        "EventsDelivered": len(arrivals),
        "EventsDuplicate": len(memberships) - len(arrivals) - len(rejected),
        "EventsRejected": len(rejected),
        "EventsThrottled": 985,
        "EventsRetried": 0,
        "EventsIgnored": 0,
    }
    return Results(
        inbox=[event(number, arrival) for number, arrival in enumerate(arrivals)],
        rejected=rejected,
        left_over=Flow(queued=0, waiting=0, delivered=len(arrivals), rejected=len(rejected)),
        requests=[event_request()] * least_requests(memberships).total(),
        logins=2,
        outcomes={**outcomes, "MessagesReceived": sum(outcomes.values())},
        errors={},
        alarms={},
    )


def event(number: int, arrival: Arrival) -> InboxEvent:
    return InboxEvent(
        sequence_number=number,
        account=arrival.account,
        event_name=arrival.event_name,
        identifier_kind=arrival.identifier_kind,
        identifier=arrival.identifier,
        recipient_id=1,
        list_name="LIST",
        properties=[{"name": name, "value": value} for name, value in arrival.properties],
        arrived_at_ms=0,
        request_id=None,
        correlation_id="",
        position=0,
    )


def event_request(error_code: str | None = None) -> RequestRecord:
    return RequestRecord(
        received_at_ms=0,
        duration_ms=1,
        method="POST",
        path="/",
        kind="event",
        account="shop_api",
        event_name="SEGMENT_CHANGED",
        recipients=200,
        accepted=200,
        status=200,
        error_code=error_code,
        fault=None,
        result_codes={},
        request_id=None,
        correlation_id="",
        authorization="token",
        content_type=None,
        received_bytes=0,
        concurrent_requests=1,
        overlaps=(),
        warnings={},
    )


def test_platforms_tell_of_six_hundred_memberships_and_of_what_is_none() -> None:
    # Given what platforms send in the second act / When it is read as memberships
    bodies = platform_bodies()
    memberships = memberships_of(bodies)
    # Then there are 600, each to arrive once, beside what is to be ignored
    arrivals = [membership.fate for membership in memberships if isinstance(membership.fate, Arrival)]
    assert len(arrivals) == len(set(arrivals)) == 600
    assert {type(membership.fate) for membership in memberships} == {Arrival, Nothing}
    assert {(each.platform, each.is_posted) for each in bodies} == {
        (SEGMENT, True),
        (MPARTICLE, True),
        (ADOBE, False),
    }
    assert least_requests(memberships).total() == 4


def test_two_thousand_memberships_of_every_kind_are_the_same_at_each_run(
    memberships: list[PublishedMembership],
) -> None:
    assert memberships == demo_memberships()
    assert len(memberships) == 2000
    assert least_requests(memberships).total() == 10
    assert {type(membership.fate).__name__ for membership in memberships} == {"Arrival", "Repetition", "Rejection"}


def test_nothing_is_told_when_all_is_as_it_should_be(
    memberships: list[PublishedMembership], as_it_should_be: Results
) -> None:
    probes = [event_request("INTERNAL_CAPACITY_LIMIT_EXCEEDED")] * 5
    results = replace(as_it_should_be, requests=[*as_it_should_be.requests, *probes])

    assert differences(memberships, results) == []


SPOILED: dict[str, tuple[Callable[[Results], Results], str]] = {
    "an event is missing": (lambda r: replace(r, inbox=r.inbox[1:]), "did not arrive"),
    "an event arrived twice": (lambda r: replace(r, inbox=[*r.inbox, r.inbox[0]]), "should not have"),
    "a property is wrong": (
        lambda r: replace(r, inbox=[r.inbox[0].model_copy(update={"properties": []}), *r.inbox[1:]]),
        "not like this",
    ),
    "an event is in the wrong account": (
        lambda r: replace(r, inbox=[r.inbox[0].model_copy(update={"account": "other"}), *r.inbox[1:]]),
        "did not arrive",
    ),
    "a rejected message is missing": (lambda r: replace(r, rejected=r.rejected[1:]), "not on RejectedDLQ"),
    "a rejected message has another code": (
        lambda r: replace(r, rejected=[(r.rejected[0][0], "OTHER_ERROR"), *r.rejected[1:]]),
        "on RejectedDLQ as OTHER_ERROR",
    ),
    "a message is on RejectedDLQ that should not be": (
        lambda r: replace(r, rejected=[*r.rejected, ("body", "EXPIRED")]),
        "more than it should be",
    ),
    "the sum does not hold": (
        lambda r: replace(r, outcomes={**r.outcomes, "MessagesReceived": r.outcomes["MessagesReceived"] + 1}),
        "is not the sum",
    ),
    "a counter is wrong": (
        lambda r: replace(r, outcomes={**r.outcomes, "EventsDuplicate": 0}),
        "EventsDuplicate is 0",
    ),
    "nothing was throttled": (
        lambda r: replace(r, outcomes={**r.outcomes, "EventsThrottled": 0}),
        "throttle episode did not happen",
    ),
    "a message is still on its way": (
        lambda r: replace(r, left_over=replace(r.left_over, waiting=1)),
        "still on their way",
    ),
    "too many requests were sent": (lambda r: replace(r, requests=[event_request()] * 13), "13 requests were sent"),
}


@pytest.mark.parametrize("what", SPOILED)
def test_each_thing_that_is_not_as_it_should_be_is_told(
    memberships: list[PublishedMembership], as_it_should_be: Results, what: str
) -> None:
    spoil, told = SPOILED[what]

    found = differences(memberships, spoil(as_it_should_be))

    assert any(told in line for line in found), found


def test_an_interrupted_demo_ends_at_once_and_leaves_nothing_behind(tmp_path: Path) -> None:
    # Given a demo whose memberships flow
    environment = {"PATH": os.environ["PATH"], "HOME": os.environ["HOME"], "TMPDIR": str(tmp_path)}
    environment["PYTHONPATH"] = "layers/responsys_activation"
    with child_process(
        [sys.executable, "-u", "-m", "tests.local_stack.demo"],
        cwd=REPOSITORY,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as demo:
        assert demo.stdout is not None
        deadline = time.monotonic() + 60
        while "queued" not in demo.stdout.readline():
            assert demo.poll() is None
            assert time.monotonic() < deadline

        # When Ctrl-C is pressed, which the whole group of processes gets
        os.killpg(demo.pid, signal.SIGINT)
        output, errors = demo.communicate(timeout=20)

    # Then it ends without a report, all its processes and files with it
    assert (demo.returncode, errors) == (130, "")
    assert output.endswith("Stopped.\n")
    assert list(tmp_path.iterdir()) == []
    marker = f"TMPDIR={tmp_path}"
    for directory in Path("/proc").glob("[0-9]*"):
        try:
            assert marker not in (directory / "environ").read_text(errors="replace")
        except OSError:
            continue
