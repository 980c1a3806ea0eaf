"""How does a scenario go? The real delivery code between queues, AWS and Responsys in memory."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from unittest.mock import patch

import greenlet
from botocore.exceptions import ConnectTimeoutError

from responsys_activation import planning
from responsys_activation.aws import ledger as ledger_module
from responsys_activation.aws.ledger import ClaimState, Ledger
from responsys_activation.delivery import Delivery
from responsys_activation.ledger_key import LedgerKey
from responsys_activation.observability import InvocationMetrics
from tests.fakes.environment import Environment, Surroundings
from tests.fakes.memberships import connector_document
from tests.fakes.parameters import InMemoryParameters, InMemorySecrets
from tests.fakes.responsys import SPOILING, FakeResponsys, Fault
from tests.property.scenario import AwsFault, Kind, Scenario, Upstream
from tests.property.simulation import Killed, Place, Simulation, threads_of
from tests.property.sqs import Message, Queue, SqsClient

CONNECTORS = ("default", "second")
INVOCATION_SECONDS = 120.0
_POLL_SECONDS = 60.0
_RECIPIENTS_A_REQUEST = 4  # small, so that a small batch makes several requests
_CLAIMS_A_TRANSACTION = 2  # likewise

Dimensions = tuple[tuple[str, str], ...]


@dataclass
class Told:
    """What one invocation told in its metrics."""

    received: int
    retried: int
    counts: dict[Dimensions, dict[str, int]] = field(default_factory=dict)


class RecordedMetrics(InvocationMetrics):
    """Keeps the counters of the last invocation instead of printing them."""

    last: dict[Dimensions, dict[str, int]]

    def flush(self) -> None:
        self.last = {dimensions: dict(counts) for dimensions, counts in self._counts.items()}
        self._counts.clear()
        self._samples.clear()


class CountingLedger(Ledger):
    """Counts the doubts that the code knows of, whether or not its invocation lives to tell them.

    Parameters
    ----------
    count : callable
        Gets the number of outcomes that became unknown.
    count_out_of_reach : callable
        Gets the number of messages whose claim DynamoDB did not answer; new ones are sent all the same.
    """

    def __init__(
        self,
        *arguments: Any,
        count: Callable[[int], None],
        count_out_of_reach: Callable[[int], None],
        **options: Any,
    ) -> None:
        super().__init__(*arguments, **options)
        self._count = count
        self._count_out_of_reach = count_out_of_reach

    def claim(self, keys: Sequence[LedgerKey], request_id: str, deadline: float) -> tuple[list[ClaimState], int]:
        states, abandoned = super().claim(keys, request_id, deadline)
        self._count(abandoned)
        self._count_out_of_reach(states.count(ClaimState.OUT_OF_REACH))
        return states, abandoned

    def record(self, request_id: str, *, undelivered: Collection[int], unknown: Collection[int]) -> None:
        self._count(len(unknown))
        super().record(request_id, undelivered=undelivered, unknown=unknown)


class _CountingEnvironment(Environment):
    def __init__(self, world: World, *arguments: Any, **options: Any) -> None:
        self._world = world
        super().__init__(*arguments, **options)

    def open_ledger(self) -> Ledger:
        return CountingLedger(
            self._settings.delivery_table_name,
            self._clients.dynamodb,
            resend_unknown=self._resend_unknown,
            clock=self._clock,
            count=self._world._count_unknown,
            count_out_of_reach=self._world._count_out_of_reach,
        )


class World:
    """Runs one scenario.

    Attributes
    ----------
    told : list of Told
        By invocation that ended.
    unknown : int
        Outcomes that the code knew to be unknown.
    out_of_reach : int
        Messages that the ledger did not answer for.
    """

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self.simulation = Simulation(scenario.seed)
        self.rejected = Queue("rejected", self._time)
        self.source = Queue("segment-events", self._time, redrive=self.rejected)
        self.throttled = Queue("throttled", self._time, redrive=self.rejected)
        self.responsys = {name: self._account(name) for name in CONNECTORS}
        self.surroundings = Surroundings(
            ssm=InMemoryParameters(self._connectors(), self.around),
            secrets=InMemorySecrets(
                {f"stack/{name}": json.dumps({"username": name, "password": "secret"}) for name in CONNECTORS},
                self.around,
            ),
            sqs=SqsClient([self.source, self.throttled, self.rejected], self.around, _nth(scenario.refused_entries)),
            responsys=self.responsys,
        )
        self.surroundings.table.before = lambda operation: self._begin("dynamodb", operation)
        self.surroundings.table.after = self._finish
        self.bodies: dict[str, tuple[Upstream, str]] = {}
        self.told: list[Told] = []
        self.unknown = 0
        self.out_of_reach = 0
        self.killed = 0
        self._calls: Counter[str] = Counter()
        self._steps = itertools.count()
        self._running = 0
        self._to_come = len(scenario.messages)
        self._received_twice = _nth(scenario.received_twice)
        self._not_deleted = _nth(scenario.not_deleted)
        self._skews = itertools.cycle(scenario.skews)

    def total(self, name: str) -> int:
        """Sum a metric over all that was told."""
        return sum(counts.get(name, 0) for told in self.told for counts in told.counts.values())

    def run(self) -> World:
        """Let it come to rest: nothing on the queues that the function reads."""
        outside = Place()
        with (
            threads_of(self.simulation),
            patch.object(planning, "MAXIMUM_RECIPIENTS", _RECIPIENTS_A_REQUEST),
            patch.object(ledger_module, "_TRANSACTION_ITEMS", _CLAIMS_A_TRANSACTION),
        ):
            try:
                pollers = [self.simulation.spawn(self._send_upstream, outside)]
                for number in range(self.scenario.pollers):
                    queues = [self.source, self.throttled] if number == 0 else [self.source]
                    pollers.append(self.simulation.spawn(partial(self._poll, queues), outside))
                self.simulation.run()
                for poller in pollers:
                    poller.outcome()
            finally:
                self.simulation.end()
        return self

    def around(self, call: str, effect: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """Make one AWS call."""
        self._begin(call)
        answer = effect()
        self._finish()
        return answer

    def _begin(self, *calls: str) -> None:
        numbers = {call: self._calls[call] for call in calls}
        self._calls.update(calls)
        fault = next(
            (
                fault
                for fault in self.scenario.aws_faults
                if fault.first <= numbers.get(fault.call, -1) < fault.first + fault.times
            ),
            None,
        )
        self._step()
        self.simulation.sleep(self.simulation.random.uniform(0.005, 0.05))
        if fault and not fault.after:
            self._fail(fault)
        self._task().fault = fault

    def _finish(self, _operation: str = "") -> None:
        task = self._task()
        fault, task.fault = task.fault, None
        self._step()
        if fault:
            self._fail(fault)

    def _fail(self, fault: AwsFault) -> None:
        self.simulation.sleep(fault.seconds)
        raise ConnectTimeoutError(endpoint_url=fault.call)

    def _step(self) -> None:
        if next(self._steps) in self.scenario.kills:
            self.simulation.kill(self._task().place)
            raise Killed

    @staticmethod
    def _task() -> Any:
        return greenlet.getcurrent()

    def _connectors(self) -> dict[str, str]:
        rate = {"requestsPerMinute": self.scenario.requests_per_minute} if self.scenario.requests_per_minute else {}
        return {
            f"/stack/connectors/{name}": json.dumps(
                connector_document(
                    authEndpoint=f"https://login-{name}.responsys.net",
                    credentialsSecretId=f"stack/{name}",
                    defaultEventName="ENTERED",
                    **rate,
                )
            )
            for name in CONNECTORS
        }

    def _account(self, name: str) -> FakeResponsys:
        account = FakeResponsys(self._time, self._travel, name)
        account.latency = lambda: self.simulation.random.choice([0.1, 0.3, 2.0])
        account.requests_per_minute = self.scenario.account_limit
        account.record_named_from = self.scenario.record_named_from

        def fault(kind: str) -> Fault | None:
            number = account.calls[kind] - 1
            for each in self.scenario.responsys_faults:
                if each.kind == kind and each.first <= number < each.first + each.times:
                    return each.fault
            return None

        account.fault = fault
        return account

    def _time(self) -> float:
        return self.simulation.now

    def _travel(self, seconds: float) -> None:
        """Let a request or its reply take its time."""
        self._step()
        self.simulation.sleep(seconds)

    def _send_upstream(self) -> None:
        began = self.simulation.now
        for number, message in sorted(enumerate(self.scenario.messages), key=lambda pair: pair[1].after):
            self.simulation.sleep(max(0.0, began + message.after - self.simulation.now))
            mark = f"own-{number}" if message.message_id is None else f"id-{message.message_id}"
            body = _body(number, message, mark)
            self.bodies[body] = (message, mark)
            self.source.send(body)
            self._to_come -= 1

    def _poll(self, queues: Sequence[Queue]) -> None:
        environment: tuple[Place, Delivery, RecordedMetrics] | None = None
        while self._to_come or self.source.messages or self.throttled.messages:
            for queue in queues:
                received = queue.receive(self.scenario.batch_size, twice=self._received_twice)
                if received:
                    environment = self._invoke(environment or self._start(), queue, received)
            self._wait(queues)

    def _wait(self, queues: Sequence[Queue]) -> None:
        """Sleep until a message may be there, and its companions too."""
        waiting = [due - self.simulation.now for queue in queues if (due := queue.next_due()) is not None]
        self.simulation.sleep(max(self.scenario.batching_window, min([_POLL_SECONDS, *waiting])))

    def _invoke(
        self,
        environment: tuple[Place, Delivery, RecordedMetrics],
        queue: Queue,
        received: Sequence[Message],
    ) -> tuple[Place, Delivery, RecordedMetrics] | None:
        """Invoke the function; give the environment if it lives on."""
        place, delivery, metrics = environment
        records = [message.record(queue.name) for message in received]
        self.simulation.thaw(place)
        task = self.simulation.spawn(lambda: delivery.deliver(records, INVOCATION_SECONDS), place)
        if not self.simulation.join([task], INVOCATION_SECONDS):
            self.simulation.kill(place)
            self.killed += 1
            return None
        if isinstance(task.failure, Killed):
            self.killed += 1
            return None
        response = task.outcome()
        place.frozen = True
        failures = {failure["itemIdentifier"] for failure in response["batchItemFailures"]}
        self.told.append(Told(len(records), len(failures), metrics.last))
        if not self._not_deleted():
            queue.delete(message.message_id for message in received if message.message_id not in failures)
        return environment

    def _start(self) -> tuple[Place, Delivery, RecordedMetrics]:
        """Start an environment cold."""
        place = Place(next(self._skews))
        metrics = RecordedMetrics()
        environment = _CountingEnvironment(
            self,
            self.surroundings,
            clock=lambda: self.simulation.now + place.skew,
            sleep=self.simulation.sleep,
            resend=self.scenario.resend,
            in_flight=self.scenario.in_flight,
            environments=self.scenario.pollers,
            metrics=metrics,
            jitter=self.simulation.random.random,
        )
        return place, environment.delivery, metrics

    def _count_unknown(self, count: int) -> None:
        self.unknown += count

    def _count_out_of_reach(self, count: int) -> None:
        self.out_of_reach += count


def _nth(chosen: Collection[int]) -> Callable[[], bool]:
    """Count its calls and tell whether this one is among the chosen."""
    numbers = itertools.count()
    return lambda: next(numbers) in chosen


def _body(number: int, message: Upstream, mark: str) -> str:
    if message.kind is Kind.NOT_JSON:
        return f"not JSON {number}"
    document: dict[str, Any] = {
        "number": number,  # no field of ours: it makes each body one of a kind
        "profileId": f"profile-{message.recipient}",
        "callType": "ADD",
        "segment": {"type": "AUDIENCE", "id": "aud-42"},
        "connector": "nowhere" if message.kind is Kind.NO_CONNECTOR else message.connector,
        "eventName": message.event_name,
        "identifiers": {} if message.kind is Kind.NO_IDENTIFIER else {"27": str(message.recipient)},
        "variables": {"mark": mark} | ({SPOILING: "yes"} if message.kind is Kind.SPOILING else {}),
    }
    if message.message_id is not None:
        document["messageId"] = mark
    return json.dumps(document)
