"""What happens to the messages with one subject? Sends them, lets things go wrong, waits, gathers the facts."""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

from tests.benchmarks.alternatives.faults import WRONG_SECRET_ACCOUNT, schedule
from tests.benchmarks.alternatives.judging import Evidence, judge
from tests.benchmarks.alternatives.processor_time import measuring
from tests.benchmarks.alternatives.settings import simulator_settings
from tests.benchmarks.alternatives.subjects import Running, Subject, message_ids
from tests.benchmarks.alternatives.world import World, warming_up
from tests.local_stack.queues import depth, take_all
from tests.local_stack.repeating import eventually
from tests.simulator.client import SimulatorClient, simulator_process
from tests.simulator.request_log import THROTTLE_CODES

__all__ = ["Course", "run"]

_TICK = 0.1
_MOST_AT_ONCE = 100
_QUIET_LOOKS, _SECONDS_BETWEEN_LOOKS = 4, 0.5
_LOCKED = "PASSWORD_LOCKOUT"
_WRONG_PASSWORD = frozenset({"INVALID_USER_NAME_PASSWORD", _LOCKED})
_WARMING_UP = 100
_SECONDS_TO_WARM_UP = 60.0


@dataclass(frozen=True)
class Course:
    """How a run goes, in minutes of the account's clock.

    Attributes
    ----------
    time_scale
        Seconds of the account in a real one.
    sending_minutes
        The messages are sent evenly over these.
    most_minutes
        After these the run is cut off, and what waits is left.
    faults
        Whether anything goes wrong.
    """

    time_scale: float
    sending_minutes: float
    most_minutes: float
    faults: bool = True


def run(subject: Subject, world: World, course: Course, say: Callable[[str], object] = print) -> dict[str, Any]:
    """Return the columns of one subject, as JSON."""
    with (
        simulator_process(simulator_settings(course.time_scale)) as simulator,
        measuring(*subject.command) as processor,
        subject.start(simulator.url, course.time_scale) as running,
    ):
        _warm_up(running, simulator)
        processor.look()
        began, cpu_before = time.time(), processor.seconds
        sent_until, ended = _let_it_run(running, simulator, world, course, say)
        running.stop()
        processor.look()
        ids = {membership.message_id for membership in world.memberships}
        events = [event for event in simulator.inbox() if event.value("MESSAGE_ID") in ids]
        accepted = [event.value("MESSAGE_ID") or "" for event in events]
        requests = [each for each in simulator.requests(kind="event") if each.received_at_ms >= began * 1000]
        lost_replies = {each.correlation_id for each in requests if each.status is None}
        unanswered = [event.value("MESSAGE_ID") or "" for event in events if event.correlation_id in lost_replies]
        waiting = sum(depth(running.endpoint.sqs, url) for url in running.work_queues)
        counted = running.counted(world.memberships) & ids
        logins = simulator.requests(WRONG_SECRET_ACCOUNT, "login")
        refused = [each.error_code for each in logins if each.error_code in _WRONG_PASSWORD]
        drained = max(event.arrived_at_ms for event in events) / 1000 - sent_until
        return {
            "title": subject.title,
            **asdict(judge(world.memberships, Evidence(accepted, _kept(running), counted, unanswered))),
            "requests": len(requests),
            "throttled": sum(each.error_code in THROTTLE_CODES for each in requests),
            "wrong_passwords": len(refused),
            "locked": _LOCKED in refused,
            "drain_minutes": round(max(0.0, drained) / 60 * course.time_scale, 1),
            "cut_off": not ended,
            "waiting": waiting,
            "cpu_seconds_per_1000": round((processor.seconds - cpu_before) / len(world.memberships) * 1000, 2),
            "lines": subject.lines,
        }


def _warm_up(running: Running, simulator: SimulatorClient) -> None:
    """Let it deliver some messages first: a clock that runs faster does not speed up the start of processes.

    Raises
    ------
    RuntimeError
        It did not deliver them.
    """
    running.send([membership.body for membership in warming_up(_WARMING_UP)])
    if not eventually(lambda: simulator.inbox_count() >= _WARMING_UP, _SECONDS_TO_WARM_UP):
        raise RuntimeError("the subject does not deliver")


def _let_it_run(
    running: Running, simulator: SimulatorClient, world: World, course: Course, say: Callable[[str], object]
) -> tuple[float, bool]:
    """Send and disturb until nothing is on its way; tell when the last message was sent, and whether it was over."""
    write_secret = partial(running.write_secret, WRONG_SECRET_ACCOUNT)
    to_come = schedule(simulator, course.time_scale, write_secret) if course.faults else []
    began, sent, sent_until, quiet = time.monotonic(), 0, time.time(), 0
    while (minute := (time.monotonic() - began) / 60 * course.time_scale) < course.most_minutes:
        while to_come and to_come[0].minute <= minute:
            say(f"{minute:5.1f} min: {to_come[0].what}")
            to_come.pop(0).do()
        # Not so many that what is to happen would be late.
        due = min(len(world.sent), round(len(world.sent) * minute / course.sending_minutes), sent + _MOST_AT_ONCE)
        if due > sent:
            running.send([membership.body for membership in world.sent[sent:due]])
            sent, sent_until = due, time.time()
            continue
        if sent < len(world.sent) or to_come:
            time.sleep(_TICK)
            continue
        on_their_way = sum(depth(running.endpoint.sqs, url) for url in running.work_queues)
        quiet = quiet + 1 if on_their_way == 0 else 0
        if quiet >= _QUIET_LOOKS:
            return sent_until, True
        time.sleep(_SECONDS_BETWEEN_LOOKS)
    return sent_until, False


def _kept(running: Running) -> set[str]:
    """Take everything from the queues; what the subject had received comes back after its visibility time-out."""
    found: set[str] = set()
    sqs = running.endpoint.sqs
    for url in (*running.work_queues, *running.dead_letter_queues):
        while True:
            for message in take_all(sqs, url):
                found |= message_ids(message["Body"])
            if depth(sqs, url) == 0:
                break
            time.sleep(_SECONDS_BETWEEN_LOOKS)
    return found
