"""How does the stack behave over hours and hundreds of thousands of messages? The real delivery code in virtual time.

Queues, table, parameters and Responsys are in memory, threads are greenlets and only sleeping takes time, so that an
hour costs what its messages cost. Lambda's event sources read the queues as AWS says they do
(:mod:`tests.local_stack.polling`): batch size, window and maximum concurrency are the template's.
"""

from __future__ import annotations

import gc
import json
import logging
from array import array
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

from responsys_activation.observability import InvocationMetrics
from tests.benchmarks.stack_defaults import EventSource, StackDefaults
from tests.fakes.dynamodb import InMemoryDynamoDb
from tests.fakes.environment import Environment, Surroundings
from tests.fakes.memberships import connector_document
from tests.fakes.parameters import InMemoryParameters, InMemorySecrets
from tests.fakes.responsys import Accepted, FakeResponsys
from tests.local_stack.polling import DOCUMENTED, MESSAGES_A_RECEIVE, Batch, Polling, Readers
from tests.property.simulation import Place, Simulation, Task, threads_of
from tests.property.sqs import Message, Queue, SqsClient

_PRINTED_METRICS = partial(InvocationMetrics, "stack")
_MOST_EVENTS = 50_000_000
AWS_SECONDS = 0.01  # that a call takes
_LOOK_SECONDS = 0.25  # how often a long poll looks
_UPSTREAM_SECONDS = 0.5


@dataclass(frozen=True)
class Invocation:
    """One invocation of the function."""

    queue: str
    began_at: float
    seconds: float
    messages: int
    event_bytes: int


@contextmanager
def only_the_numbers() -> Iterator[None]:
    """Neither log nor look for garbage before the end: there are millions of objects, and most are in no circle."""
    logging.disable(logging.CRITICAL)
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.collect()
        logging.disable(logging.NOTSET)


class Journeys:
    """When each message of a connector was sent by upstream and accepted by Responsys, and how often it was put off."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self.sent_at = array("d")
        self.accepted_at = array("d")  # 0 until then
        self.deferrals = bytearray()
        self.twice = 0

    def start(self) -> int:
        """Number a new message."""
        self.sent_at.append(self._now())
        self.accepted_at.append(0.0)
        self.deferrals.append(0)
        return len(self.sent_at) - 1

    def arrive(self, accepted: Accepted) -> None:
        """Note what Responsys accepted."""
        number = int(accepted.properties["profileId"].rpartition("-")[2])
        self.twice += self.accepted_at[number] > 0
        self.accepted_at[number] = accepted.at

    @property
    def lost(self) -> int:
        """Messages that were not accepted."""
        return self.accepted_at.count(0.0)


class VirtualStack:
    """The stack with its event sources, an account for each connector, and upstream.

    It is the stack's first day: nobody has read the accounts' limits yet.

    Parameters
    ----------
    requests_per_minute : Mapping of str to int
        Of each connector, and the limit of its account.
    latency : float
        Seconds that a request to Responsys takes.
    cpu_seconds : float
        That a message takes in the function.
    polling : Polling
        How Lambda reads the queues.
    message_groups : bool
        Whether upstream gives each message its connector as ``MessageGroupId``.
    body : callable
        Writes upstream's messages, as :func:`membership_body` does.
    one_account : bool
        Whether the connectors share the first one's account.
    names_pace : bool
        Whether each connector names its ``requestsPerMinute``; with the template's defaults the account's limit counts.
    """

    def __init__(
        self,
        defaults: StackDefaults,
        requests_per_minute: Mapping[str, int],
        *,
        latency: float = 0.3,
        cpu_seconds: float = 0.0,
        polling: Polling = DOCUMENTED,
        message_groups: bool = False,
        table: InMemoryDynamoDb | None = None,
        new_metrics: Callable[[], InvocationMetrics] = _PRINTED_METRICS,
        body: Callable[[str, int, str], str] | None = None,
        one_account: bool = False,
        names_pace: bool = True,
    ) -> None:
        self.defaults = defaults
        self.simulation = Simulation(seed=1, most_events=_MOST_EVENTS)
        self.began_at = self.simulation.now
        seconds = defaults.visibility_seconds
        self.rejected = Queue("rejected", self.now, visibility_timeout=seconds)
        self.source = Queue("segment-events", self.now, redrive=self.rejected, visibility_timeout=seconds)
        self.throttled = Queue("throttled", self.now, redrive=self.rejected, visibility_timeout=seconds)
        self.throttled.sent = self._deferred
        own = {name: next(iter(requests_per_minute)) if one_account else name for name in requests_per_minute}
        self.accounts = {
            name: self._account(name, limit, latency)
            for name, limit in requests_per_minute.items()
            if own[name] == name
        }
        self.journeys = {name: Journeys(self.now) for name in requests_per_minute}
        for account in self.accounts.values():
            account.on_accepted = self._accepted
        self.calls: Counter[str] = Counter()
        self.deferrals: Counter[str] = Counter()  # by error code
        self.invocations: list[Invocation] = []
        self.most_receives = 0
        self._cpu_seconds = cpu_seconds
        self._polling = polling
        self._message_groups = message_groups
        self._new_metrics = new_metrics
        self._body = body or membership_body
        self._upstream = 0
        self._pollers: list[Task] = []
        self._around = Surroundings(
            ssm=InMemoryParameters(
                {
                    f"/stack/connectors/{name}": _connector(own[name], rate if names_pace else None)
                    for name, rate in requests_per_minute.items()
                },
                self._call,
            ),
            secrets=InMemorySecrets(
                {f"stack/{name}": json.dumps({"username": name, "password": "secret"}) for name in requests_per_minute},
                self._call,
            ),
            sqs=SqsClient([self.source, self.throttled, self.rejected], self._call, lambda: False),
            responsys=self.accounts,
            table=table or InMemoryDynamoDb(),
        )
        self._around.table.before = self._before

    def now(self) -> float:
        """Tell the time."""
        return self.simulation.now

    def minute(self) -> float:
        """Tell the minutes since the beginning."""
        return (self.simulation.now - self.began_at) / 60

    def send_steadily(self, connector: str, messages_a_minute: float, minutes: float, *, after: float = 0.0) -> None:
        """Let upstream send messages of a connector, after some minutes and for some."""
        self._upstream += 1

        def send() -> None:
            self.simulation.sleep(after * 60)
            began, sent = self.now(), 0
            while (elapsed := self.now() - began) < minutes * 60:
                self.simulation.sleep(_UPSTREAM_SECONDS)
                due = round(min(elapsed + _UPSTREAM_SECONDS, minutes * 60) / 60 * messages_a_minute)
                occurred_at = datetime.fromtimestamp(self.now(), UTC).isoformat(timespec="milliseconds")
                for _ in range(due - sent):
                    self._send(connector, occurred_at)
                sent = due
            self._upstream -= 1

        self.simulation.spawn(send, Place())

    def send_at_once(self, connector: str, messages: int) -> None:
        """Let upstream have sent messages of a connector just now."""
        occurred_at = datetime.fromtimestamp(self.now(), UTC).isoformat(timespec="milliseconds")
        for _ in range(messages):
            self._send(connector, occurred_at)

    def _send(self, connector: str, occurred_at: str) -> None:
        body = self._body(connector, self.journeys[connector].start(), occurred_at)
        self.source.send(body, group=connector if self._message_groups else None)

    def expect_upstream(self) -> None:
        """Wait at the end for an upstream of somebody else's, too."""
        self._upstream += 1

    def upstream_ends(self) -> None:
        """Note that such an upstream has sent all it had."""
        self._upstream -= 1

    def watch(self, seconds: float, look: Callable[[], None]) -> None:
        """Call a function every so many seconds."""

        def keep_looking() -> None:
            while not self.at_rest():
                look()
                self.simulation.sleep(seconds)

        self.simulation.spawn(keep_looking, Place())

    def at_rest(self) -> bool:
        """Return whether upstream has ended and no message is left to deliver, or nobody is left to deliver it."""
        if any(poller.failure for poller in self._pollers):
            return True
        return not (self._upstream or self.source.messages or self.throttled.messages)

    def run(self) -> None:
        """Let time pass until all is at rest."""
        with threads_of(self.simulation):
            for queue, event_source in (
                (self.source, self.defaults.segment_events),
                (self.throttled, self.defaults.throttled_events),
            ):
                readers = Readers(self._polling, event_source.concurrency)
                self._pollers += [
                    self.simulation.spawn(partial(self._poll, queue, event_source, readers, number), Place())
                    for number in range(event_source.concurrency)
                ]
            try:
                self.simulation.run()
                for poller in self._pollers:
                    poller.outcome()
            finally:
                self.simulation.end()

    def _accepted(self, accepted: Accepted) -> None:
        self.journeys[accepted.properties["profileId"].rpartition("-")[0]].arrive(accepted)

    def _deferred(self, message: Message) -> None:
        self.deferrals[message.attributes["errorCode"]] += 1
        connector, _, number = message.body.partition('"profileId": "')[2].partition('"')[0].rpartition("-")
        self.journeys[connector].deferrals[int(number)] += 1

    def _account(self, name: str, limit: int, latency: float) -> FakeResponsys:
        account = FakeResponsys(self.now, self.simulation.sleep, name)
        account.requests_per_minute = limit
        account.latency = lambda: latency
        return account

    def _call(self, call: str, effect: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        self._before(call)
        return effect()

    def _before(self, call: str) -> None:
        self.calls[call] += 1
        self.simulation.sleep(AWS_SECONDS)

    def _poll(self, queue: Queue, event_source: EventSource, readers: Readers, number: int) -> None:
        """Gather and invoke, as one of those that read a queue."""
        place = Place()
        environment: Environment | None = None
        waiting: deque[Message] = deque()
        while not self.at_rest():
            if number >= readers.allowed(self.now()):
                self.simulation.sleep(_LOOK_SECONDS)
                continue
            batch = self._gather(queue, event_source, readers, waiting)
            if batch.messages:
                environment = environment or self._start()
                self._invoke(place, environment, queue, batch)

    def _gather(
        self, queue: Queue, event_source: EventSource, readers: Readers, waiting: deque[Message]
    ) -> Batch[Message]:
        """Receive until the batch is full or its window is over; what had no room is left for the next."""
        batch = Batch[Message](
            event_source.batch_size, event_source.window_seconds, partial(_record_bytes, queue), began=self.now()
        )
        batch.take(waiting, self.now())
        while not (batch.is_closed(self.now()) or self.at_rest()):
            began = self.now()
            asked = min(batch.room, MESSAGES_A_RECEIVE)
            waiting.extend(self._receive(queue, asked))
            readers.learn(self.now(), more_wait=len(waiting) == asked)
            batch.take(waiting, self.now())
            self.simulation.sleep(began + 1 / self._polling.receives_a_second - self.now())
        return batch

    def _receive(self, queue: Queue, most: int) -> list[Message]:
        """Poll as long as Lambda does."""
        until = self.now() + self._polling.longest_poll
        while not (messages := queue.receive(most)) and self.now() < until and not self.at_rest():
            # Any of those that wait may be the one that SQS answers.
            self.simulation.sleep(_LOOK_SECONDS * 2 * self.simulation.random.random())
        return messages

    def _start(self) -> Environment:
        return Environment(
            self._around,
            clock=self.now,
            sleep=self.simulation.sleep,
            in_flight=self.defaults.requests_in_flight,
            metrics=self._new_metrics(),
            jitter=self.simulation.random.random,
        )

    def _invoke(self, place: Place, environment: Environment, queue: Queue, batch: Batch[Message]) -> None:
        records = [message.record(queue.name) for message in batch.messages]
        self.most_receives = max(self.most_receives, *(message.receives for message in batch.messages))
        began = self.now()

        def deliver() -> dict[str, Any]:
            self.simulation.sleep(len(records) * self._cpu_seconds)
            return environment.invoke(records, self.defaults.timeout_seconds - (self.now() - began))

        self.simulation.thaw(place)
        task = self.simulation.spawn(deliver, place)
        if not self.simulation.join([task], self.defaults.timeout_seconds):
            raise TimeoutError("the function would have been killed")
        failures = {failure["itemIdentifier"] for failure in task.outcome()["batchItemFailures"]}
        place.frozen = True
        queue.delete(message.message_id for message in batch.messages if message.message_id not in failures)
        self.invocations.append(Invocation(queue.name, began, self.now() - began, len(records), batch.bytes))


def _record_bytes(queue: Queue, message: Message) -> int:
    return len(json.dumps(message.record(queue.name))) + len(", ")


def membership_body(
    connector: str, number: int, occurred_at: str, *, call_type: str = "ADD", recipient: int | None = None
) -> str:
    """Return a message as upstream would write it; its profile tells which it is."""
    recipient = 364_470_825 + (number if recipient is None else recipient)
    return (
        f'{{"messageId": "{connector}-{number:032x}", "profileId": "{connector}-{number}", "callType": "{call_type}", '
        '"segment": {"type": "AUDIENCE", "id": "aud-42", "name": "Cart abandoners"}, '
        f'"connector": "{connector}", "identifiers": {{"27": "{recipient}"}}, '
        f'"variables": {{"CART_VALUE": {number % 500}.90, "CURRENCY": "EUR", "CART_ITEMS": {number % 7}, '
        f'"LAST_PRODUCT": "SKU-{number % 9973:06}"}}, "occurredAt": "{occurred_at}"}}'
    )


def _connector(account: str, requests_per_minute: int | None) -> str:
    return json.dumps(
        connector_document(
            authEndpoint=f"https://login-{account}.responsys.net",
            credentialsSecretId=f"stack/{account}",
            defaultEventName="SEGMENT_CHANGED",
            **({"requestsPerMinute": requests_per_minute} if requests_per_minute else {}),
        )
    )
