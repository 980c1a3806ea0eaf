"""How does a scenario go? The real delivery code between queues, AWS and Responsys in memory."""

from __future__ import annotations

import itertools
import json
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from random import Random
from typing import Any
from unittest.mock import patch

import greenlet
import requests
from botocore.exceptions import ConnectTimeoutError

from responsys_activation.aws import ledger, newcomers
from responsys_activation.delivery import lane, planning
from responsys_activation.observability import InvocationMetrics
from responsys_activation.received import MARK, read_mark
from responsys_activation.replay.composition import compose_replay
from responsys_activation.replay.request import read_replay_request
from responsys_activation.settings import ReplaySettings, read_settings
from tests.fakes.clock import NOW
from tests.fakes.dynamodb import client_error
from tests.fakes.environment import Environment, Surroundings
from tests.fakes.memberships import connector_document
from tests.fakes.parameters import InMemoryParameters, InMemorySecrets
from tests.fakes.recording_event_bridge import Fed
from tests.fakes.responsys import FakeResponsys, Fault, Reply
from tests.property.bodies import Sent, body_of, may_come_twice, pairs_of
from tests.property.scenario import CONNECTORS, Attributes, AwsFault, Crowd, MappingChange, Scenario, Upstream
from tests.property.simulation import Killed, Place, Simulation, threads_of
from tests.property.sqs import Message, Queue, SqsClient
from tests.simulator.settings import AccountSettings, IdentifierSet, Newcomers, Recipients, Replies

TIMEOUT = {45: 120.0, 60: 180.0, 120: 300.0}  # of the function, by ReplySeconds, as in template.yaml
_VISIBILITY_TIMEOUT = {45: 1020.0, 60: 1380.0, 120: 2100.0}
_REPLAY_SECONDS = 900.0
_POLL_SECONDS = 60.0
_RECIPIENTS_A_REQUEST = 4  # small, so that a small batch makes several requests
_STATEMENTS_A_CALL = 2  # likewise
_QUERIES_AT_ONCE = 2  # likewise
_LOGIN_SECONDS = 0.3
_USER = "user"
_OURS = {
    "outcome": "throttled",
    "errorCode": "API_LIMIT_EXCEEDED",
    "originalMessageId": "import-7",
    "attempts": "3",
    "firstReceivedAt": "2020-01-01T00:00:00+00:00",
}

Dimensions = tuple[tuple[str, str], ...]


@dataclass
class Invocation:
    """One run of the function.

    Attributes
    ----------
    pairs : int
        Most that its records may hold.
    fresh : set of str
        Pairs that nobody was given before.
    put_off : set of str
        Pairs that come back: left on their queue, or put on ThrottledDLQ.
    fed : list of dict
        The events that EventBridge took.
    not_fed : int
        Outcomes that are counted as not told.
    """

    began_at: float
    pairs: int
    fresh: set[str]
    put_off: set[str] = field(default_factory=set)
    fed: list[Fed] = field(default_factory=list)
    not_fed: int = 0


@dataclass
class Told:
    """What one invocation told in its metrics at its end.

    Attributes
    ----------
    received : tuple of int
        Least and most that it can have received.
    retried : tuple of int
        Messages that stay on their queue, and most that they may hold.
    """

    invocation: Invocation
    received: tuple[int, int]
    retried: tuple[int, int]
    counts: dict[Dimensions, dict[str, int]] = field(default_factory=dict)


@dataclass(frozen=True)
class Exchanged:
    """One event request, from setting out to its reply or the end of patience.

    Attributes
    ----------
    fault : Fault or None
        What went wrong on purpose.
    late : bool
        Whether the reply took longer than the limit.
    """

    began_at: float
    ended_at: float
    recipients: int
    fault: Fault | None
    late: bool
    place: Place


class RecordedMetrics(InvocationMetrics):
    """Keeps the counters of the last invocation instead of printing them.

    Parameters
    ----------
    tell : callable
        Gets what is told at once.
    """

    last: dict[Dimensions, dict[str, int]]

    def __init__(self, tell: Callable[[str, int, Dimensions], None]) -> None:
        super().__init__("stack")
        self._tell = tell

    def tell(self, name: str, value: int, *dimension_sets: Mapping[str, str]) -> None:
        for dimensions in dimension_sets:
            self._tell(name, value, tuple(dimensions.items()))

    def flush(self) -> None:
        self.last = {dimensions: dict(counts) for dimensions, counts in self._counts.items()}
        self._counts.clear()
        self._samples.clear()


class Account(FakeResponsys):
    """What has been sent arrives, whatever becomes of its sender meanwhile."""

    def __init__(self, world: World, name: str) -> None:
        super().__init__(world._time, world.simulation.sleep, name)
        self._world = world
        self.errand = lambda: world._task().errand
        self.fault = self._next_fault
        self.exchanged: list[Exchanged] = []

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:  # type: ignore[override]
        began, task = self._world.simulation.now, self._world._task()
        task.late = False
        try:
            return super().send(request, **options)
        finally:
            if (request.url or "").rpartition("/")[0].endswith("/events"):
                recipients = (request.body or b"").count(b'"listName"')  # type: ignore[arg-type]
                ended = self._world.simulation.now
                self.exchanged.append(Exchanged(began, ended, recipients, task.spoiled, task.late, task.place))

    def _next_fault(self, kind: str) -> Fault | None:
        number = self.calls[kind] - 1
        faults = self._world.scenario.responsys_faults
        found = (each.fault for each in faults if each.kind == kind and each.first <= number < each.first + each.times)
        fault = self._world._task().spoiled = next(found, None)
        return fault

    def _seconds(self, kind: str) -> float:
        return self.latency() if kind in {"event", "merge"} else _LOGIN_SECONDS

    def _exchange(self, seconds: float, limit: float, process: Callable[[], Reply]) -> Reply | None:
        simulation = self._world.simulation
        self._world._step()

        def arrive() -> Reply:
            simulation.sleep(seconds / 2)
            return process()

        arrival = simulation.spawn(arrive, self._world.outside)
        simulation.sleep(min(seconds, limit))
        self._world._step()
        self._world._task().late = seconds > limit
        return arrival.outcome() if seconds <= limit else None


class World:
    """Runs one scenario.

    Attributes
    ----------
    sent : dict of str to Sent
        Pairs of membership and connector, by their key.
    accounts : dict of str to Account
        By connector; both may have the same.
    told : list of Told
        By invocation that ended.
    told_at_once : Counter
        By name and dimensions.
    killed : list of Invocation
    timed_out : int
        Invocations that took too long.
    table_failed_at : list of float
        When a call to the table failed as a whole.
    fed : list of dict
        All events that EventBridge took.
    """

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self.simulation = Simulation(scenario.seed)
        self.outside = Place()
        self.rejected = self._queue("rejected")
        self.source = self._queue("segment-events")
        self.throttled = self._queue("throttled")
        self.throttled.sent = self._put_off
        accounts = [self._account(name) for name in CONNECTORS[: 1 if scenario.one_user else None]]
        self.accounts = dict(zip(CONNECTORS, itertools.cycle(accounts), strict=False))
        self.surroundings = Surroundings(
            ssm=InMemoryParameters(self._connectors(scenario.first_mapping), self.around),
            secrets=InMemorySecrets({f"stack/{name}": _secret(0) for name in CONNECTORS}, self.around, self._time),
            sqs=SqsClient([self.source, self.throttled, self.rejected], self.around, _nth(scenario.refused_entries)),
            responsys=self.accounts,
        )
        self.fed: list[Fed] = []
        self.surroundings.events.around = self.around
        self.surroundings.events.on_taken = self._feed
        table = self.surroundings.table
        table.before = lambda operation: self._begin("dynamodb", operation)
        table.after = self._finish
        table.between = self._between
        table.statement_error = self._statement_error
        self.sent: dict[str, Sent] = {}
        self.told: list[Told] = []
        self.told_at_once: Counter[tuple[str, Dimensions]] = Counter()
        self.killed: list[Invocation] = []
        self.timed_out = 0
        self.table_failed_at: list[float] = []
        self.receives: Counter[str] = Counter()
        self._held: defaultdict[str, dict[str, None]] = defaultdict(dict)  # keys of pairs, in their order, by body
        self._calls: Counter[str] = Counter()
        self._steps = itertools.count()
        self._idle: list[tuple[Any, Sequence[Queue]]] = []
        self._to_come = 1 + len(scenario.replays)
        self._received_twice = _nth(scenario.received_twice)
        self._not_deleted = _nth(scenario.not_deleted)
        self._skews = itertools.cycle(scenario.skews)

    def total(self, name: str, **dimensions: str) -> int:
        """Sum what was told of a metric under exactly these dimensions."""
        under = tuple(dimensions.items())
        return self.told_at_once[name, under] + sum(told.counts.get(under, {}).get(name, 0) for told in self.told)

    def run(self) -> World:
        """Let it come to rest: nothing on the queues that the function reads."""
        with (
            threads_of(self.simulation),
            patch.object(planning, "MAXIMUM_RECIPIENTS", _RECIPIENTS_A_REQUEST),
            patch.object(lane, "MAXIMUM_RECORDS", _RECIPIENTS_A_REQUEST),
            patch.object(ledger, "STATEMENTS", _STATEMENTS_A_CALL),
            patch.object(newcomers, "STATEMENTS", _STATEMENTS_A_CALL),
            patch.object(ledger, "_QUERIES_AT_ONCE", _QUERIES_AT_ONCE),
        ):
            try:
                tasks = [self._spawn_outside(self._send_upstream)]
                tasks += [self._spawn_outside(partial(self._at, NOW + after, do)) for after, do in self._changes()]
                for replay in self.scenario.replays:
                    tasks.append(self._spawn_outside(partial(self._replay, replay.after, in_doubt=replay.in_doubt)))
                for number in range(self.scenario.pollers):
                    queues = [self.source, self.throttled] if number == 0 else [self.source]
                    tasks.append(self._spawn_outside(partial(self._poll, queues)))
                self.simulation.run()
                for task in tasks:
                    task.outcome()
            finally:
                self.simulation.end()
        return self

    def around(self, call: str, effect: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """Make one AWS call."""
        self._begin(call)
        answer = effect()
        self._finish(call)
        return answer

    def _spawn_outside(self, run: Callable[[], Any]) -> Any:
        return self.simulation.spawn(run, self.outside)

    def _begin(self, *calls: str) -> None:
        fault = self._fault(*calls)
        self._step()
        self.simulation.sleep(self.simulation.random.uniform(*self._seconds(calls[0])))
        if fault and not fault.after:
            self._fail(fault, calls[0])
        self._task().fault = fault

    def _seconds(self, call: str) -> tuple[float, float]:
        if call.startswith("sqs"):
            return self.scenario.sqs_seconds
        return self.scenario.table_seconds if call == "dynamodb" else (0.005, 0.05)

    def _finish(self, operation: str = "sqs") -> None:
        task = self._task()
        fault, task.fault = task.fault, None
        self._step()
        if fault:
            self._fail(fault, operation)

    def _between(self, _operation: str) -> None:
        self._step()
        if fault := self._fault("between statements"):
            self._task().fault = None
            self._fail(fault, "dynamodb")

    def _fault(self, *calls: str) -> AwsFault | None:
        numbers = {call: self._calls[call] for call in calls}
        self._calls.update(calls)
        for fault in self.scenario.aws_faults:
            if fault.first <= numbers.get(fault.call, -1) < fault.first + fault.times:
                return fault
        return None

    def _fail(self, fault: AwsFault, call: str) -> None:
        if not call.startswith(("sqs", "ssm", "secrets", "events")):
            self.table_failed_at.append(self.simulation.now)
        self.simulation.sleep(fault.seconds)
        if fault.code:
            raise client_error(fault.code, call)
        raise ConnectTimeoutError(endpoint_url=fault.call)

    def _statement_error(self) -> str | None:
        number = self._calls["statement"]
        self._calls["statement"] += 1
        for fault in self.scenario.statement_faults:
            if fault.first <= number < fault.first + fault.times:
                return fault.code
        return None

    def _step(self) -> None:
        place = self._task().place
        if place is not self.outside and next(self._steps) in self.scenario.kills:
            self.simulation.kill(place)
            raise Killed

    @staticmethod
    def _task() -> Any:
        return greenlet.getcurrent()

    def _queue(self, name: str) -> Queue:
        seed = self.scenario.seed
        queue = Queue(
            name,
            self._time,
            redrive=None if name == "rejected" else self.rejected,
            visibility_timeout=_VISIBILITY_TIMEOUT[self.scenario.reply_seconds],
            any_order=Random(seed) if self.scenario.any_order else None,  # noqa: S311 - the same world again
        )
        queue.due = partial(self._wake, queue)
        return queue

    def keys_of(self, body: str, attributes: Mapping[str, str]) -> list[str]:
        """Name the pairs that may be in a message."""
        mark = read_mark(attributes.get(MARK, ""))
        to = mark.connector if mark and mark.connector in CONNECTORS else None
        return [key for key in self._held[body] if to in {None, self.sent[key].connector}]

    def _put_off(self, message: Message) -> None:
        self._task().errand.put_off.update(self.keys_of(message.body, message.attributes))

    def _connectors(self, mapping: MappingChange) -> dict[str, str]:
        rate = {"requestsPerMinute": self.scenario.requests_per_minute} if self.scenario.requests_per_minute else {}
        return {
            f"/stack/connectors/{name}": json.dumps(
                connector_document(
                    authEndpoint=self.accounts[name].login_host,
                    credentialsSecretId=f"stack/{name}",
                    defaultEventName="ENTERED",
                    eventNames=dict(mapping.event_names) if name in mapping.connectors else {},
                    identifierType="CRM_ID" if self.scenario.list_load.creates else "RIID",
                    missingRecipients={"action": self.scenario.list_load.action}
                    | ({"permission": "OPTOUT"} if self.scenario.list_load.creates else {}),
                    identifierFrom=list(mapping.identifier_from),
                    # Of a platform's membership each connector sends its own mark.
                    variables={
                        "omit": [*(f"mark-{other}" for other in CONNECTORS if other != name), "corrected"],
                        "rename": {f"mark-{name}": "mark"},
                    },
                    **rate,
                )
            )
            for name in CONNECTORS
        }

    def _account(self, name: str) -> Account:
        account = Account(self, name)
        account.latency = lambda: self.simulation.random.choice(self.scenario.latencies)
        account.requests_per_minute = self.scenario.account_limit
        account.record_named_from = self.scenario.record_named_from
        account.known_events = None if self.scenario.known_events is None else set(self.scenario.known_events)
        account.passwords = {_USER: _password(0)}
        load = self.scenario.list_load
        account.unknown = {str(profile) for profile in load.missing}
        account.settings = AccountSettings(
            recipients=Recipients(merge_failing=_profiles(load.refused), merge_invalid=_profiles(load.spoiling)),
            newcomers=Newcomers(visible_after_seconds=load.visible_after, by_riid_at_once=not load.visible_after),
            replies=Replies(match_names_riid=load.names_riid),
        )
        return account

    def _time(self) -> float:
        return self.simulation.now

    def _at(self, moment: float, do: Callable[[], None]) -> None:
        self.simulation.sleep(moment - self.simulation.now)
        do()

    def _changes(self) -> list[tuple[float, Callable[[], None]]]:
        """Return what people change, and when."""
        ssm, secrets = self.surroundings.ssm, self.surroundings.secrets
        changes: list[tuple[float, Callable[[], None]]] = [
            (change.after, partial(ssm.values.update, self._connectors(change))) for change in self.scenario.mapping
        ]
        if self.scenario.list_load.after is not None:
            changes += [(self.scenario.list_load.after, account.unknown.clear) for account in self.accounts.values()]
        for change in self.scenario.passwords:
            if change.where == "responsys":
                for account in self.accounts.values():
                    passwords = {_USER: _password(change.password)}
                    changes.append((change.after, partial(setattr, account, "passwords", passwords)))
            else:
                secret = partial(secrets.put, f"stack/{change.where}", _secret(change.password))
                changes.append((change.after, secret))
        return changes

    def _send_upstream(self) -> None:
        began = self.simulation.now
        crowd = self.scenario.crowd
        messages = [*enumerate(self.scenario.messages), *((1000 + number, each) for number, each in _each(crowd))]
        bodies: list[list[tuple[int, Upstream]]] = []
        for number, message in messages:
            if message.joined and bodies:
                bodies[-1].append((number, message))
            else:
                bodies.append([(number, message)])
        for together in sorted(bodies, key=lambda each: each[0][1].after):
            self.simulation.sleep(max(0.0, began + together[0][1].after - self.simulation.now))
            self._send(together)
        self._to_come -= 1

    def _send(self, messages: Sequence[tuple[int, Upstream]]) -> None:
        body, (_, first) = body_of(messages), messages[0]
        copies = first.copies if all(may_come_twice(message) for _, message in messages) else 1
        message_ids = tuple(self.source.send(body, _attributes(first.attributes)) for _ in range(copies))
        arrived = int(self.simulation.now * 1000) / 1000
        for pair in pairs_of(messages, body, arrived, message_ids):
            self.sent[pair.key] = pair
            for text in (body, pair.alone):
                self._held[text][pair.key] = None

    def _replay(self, after: float, *, in_doubt: bool) -> None:
        """Send back what waits in RejectedDLQ, as an operator does."""
        self.simulation.sleep(after)
        urls = {
            "SEGMENT_EVENTS_QUEUE_URL": self.source.url,
            "THROTTLED_DEAD_LETTER_QUEUE_URL": self.throttled.url,
            "REJECTED_DEAD_LETTER_QUEUE_URL": self.rejected.url,
        }
        replay = compose_replay(
            read_settings(ReplaySettings, urls),
            self.surroundings.sqs,
            clock=self._time,
            sleep=self.simulation.sleep,
        )
        arrived_before = datetime.fromtimestamp(self.simulation.now, UTC).isoformat()
        event = {"dryRun": False, "inDoubt": in_doubt, "arrivedBefore": arrived_before}
        replay.run(read_replay_request(event), self._time() + _REPLAY_SECONDS)
        self._to_come -= 1

    def _poll(self, queues: Sequence[Queue]) -> None:
        environment: tuple[Place, Environment, RecordedMetrics] | None = None
        while self._to_come or self.source.messages or self.throttled.messages:
            for queue in queues:
                received = queue.receive(self.scenario.batch_size, twice=self._received_twice)
                if received:
                    environment = self._invoke(environment or self._start(), queue, received)
            self._wait(queues)

    def _wait(self, queues: Sequence[Queue]) -> None:
        """Sleep until a message may be there, and its companions too."""
        waiting = [due - self.simulation.now for queue in queues if (due := queue.next_due()) is not None]
        idle = (self._task(), queues)
        self._idle.append(idle)
        self.simulation.sleep(min([_POLL_SECONDS, *waiting]))
        self._idle.remove(idle)
        self.simulation.sleep(self.scenario.batching_window)

    def _wake(self, queue: Queue, until: float) -> None:
        for task, queues in self._idle:
            if queue in queues:
                self.simulation.wake(task, max(0.0, until - self.simulation.now))

    def _invoke(
        self,
        environment: tuple[Place, Environment, RecordedMetrics],
        queue: Queue,
        received: Sequence[Message],
    ) -> tuple[Place, Environment, RecordedMetrics] | None:
        """Invoke the function; give the environment if it lives on."""
        place, function, metrics = environment
        records = [message.record(queue.name) for message in received]
        keys = {message.message_id: self.keys_of(message.body, message.attributes) for message in received}
        new = [each for each in received if each.receives == 1 and MARK not in each.attributes]
        fresh = {key for message in new for key in keys[message.message_id]}
        self.receives.update(key for message in received for key in keys[message.message_id])
        most = sum(map(len, keys.values()))
        least = sum(len({self.sent[key].alone for key in of_message}) for of_message in keys.values())
        timeout = TIMEOUT[self.scenario.reply_seconds]
        self.simulation.thaw(place)
        task = self.simulation.spawn(lambda: function.invoke(records, timeout), place)
        task.errand = Invocation(self.simulation.now, most, fresh)
        if not self.simulation.join([task], timeout):
            self.simulation.kill(place)
            self.timed_out += 1
        if not place.alive or isinstance(task.failure, Killed):
            self.killed.append(task.errand)
            return None
        response = task.outcome()
        place.frozen = True
        failures = {failure["itemIdentifier"] for failure in response["batchItemFailures"]}
        stays = [key for message_id in failures for key in keys[message_id]]
        task.errand.put_off.update(stays)
        self.told.append(Told(task.errand, (least, most), (len(failures), len(stays)), metrics.last))
        if not self._not_deleted():
            queue.delete(message.message_id for message in received if message.message_id not in failures)
        return environment

    def _start(self) -> tuple[Place, Environment, RecordedMetrics]:
        """Start an environment cold."""
        place = Place(next(self._skews))
        metrics = RecordedMetrics(self._tell)
        environment = Environment(
            self.surroundings,
            clock=lambda: self.simulation.now + place.skew,
            sleep=self.simulation.sleep,
            resend=self.scenario.resend,
            in_flight=self.scenario.in_flight,
            metrics=metrics,
            jitter=self.simulation.random.random,
            # A world whose password stays wrong is over sooner.
            MAXIMUM_EVENT_AGE_HOURS="3" if self.scenario.passwords else "24",
            MAXIMUM_RESENDS=str(self.scenario.maximum_resends),
            REPLY_SECONDS=str(self.scenario.reply_seconds),
            OUTCOME_FEED="On" if self.scenario.outcome_feed else "Off",
        )
        return place, environment, metrics

    def _tell(self, name: str, value: int, dimensions: Dimensions) -> None:
        self.told_at_once[name, dimensions] += value
        if name == "OutcomesNotFed":
            self._task().errand.not_fed += value

    def _feed(self, event: Fed) -> None:
        self.fed.append(event)
        self._task().errand.fed.append(event)


def _nth(chosen: Collection[int]) -> Callable[[], bool]:
    """Count its calls and tell whether this one is among the chosen."""
    numbers = itertools.count()
    return lambda: next(numbers) in chosen


def _profiles(numbers: Sequence[int]) -> IdentifierSet:
    return IdentifierSet(identifiers=tuple(map(str, numbers)))


def _password(number: int) -> str:
    return f"password-{number}"


def _secret(number: int) -> str:
    return json.dumps({"username": _USER, "password": _password(number)})


def _each(crowd: Crowd) -> list[tuple[int, Upstream]]:
    return [(number, Upstream(after=crowd.after, profile=1000 + number)) for number in range(crowd.size)]


def _attributes(kind: Attributes) -> dict[str, str]:
    match kind:
        case Attributes.NONE:
            return {}
        case Attributes.OURS:
            return _OURS
        case Attributes.TEN:
            return {f"attribute-{number}": "value" for number in range(10)}
