"""Is an account's limit followed when it changes, announced or not, and what is refused until then?

In virtual time: environments with a backlog, whose pace, budget and limit are the real ones, before the simulator's own
throttle, which counts by the strictest reading. Only the messages are left out.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any, cast

from responsys_activation.aws.account_limit import AccountLimit
from responsys_activation.aws.budget_reach import BudgetReach
from responsys_activation.aws.delivery_table import (
    DeliveryTable,
    account_budget_key,
    account_limit_key,
    connector_budget_key,
)
from responsys_activation.aws.request_budget import RequestBudget
from responsys_activation.aws.request_pace import RequestPace
from responsys_activation.aws.slots import USED_SHARE, NoSlotError, Slot, Timing
from responsys_activation.delivery.exchanges import Exchanges
from responsys_activation.delivery.pacing import Pacing
from responsys_activation.responsys.errors import ThrottledError
from responsys_activation.responsys.events import EventReply
from tests.benchmarks.stack_defaults import StackDefaults, read_stack_defaults
from tests.benchmarks.virtual_stack import AWS_SECONDS, only_the_numbers
from tests.fakes.dynamodb import InMemoryDynamoDb
from tests.generated_part import markdown_table
from tests.property.simulation import Place, Simulation, threads_of
from tests.simulator.functions import ApiFunction
from tests.simulator.refusals import RequestRefusedError
from tests.simulator.settings import AccountSettings, Limits
from tests.simulator.throttles import Throttles

__all__ = ["measure", "report"]

_REPLY_SECONDS = 0.3
_GATHER_SECONDS = 4.0  # 2,000 messages at 500 per second
_INVOCATION_SECONDS = 150.0
_REPLY_LIMIT = 45.0
_USED = 0.95  # of what the account has for us

Levels = Sequence[tuple[float, int]]
"""From which minute on, how many requests per minute."""


@dataclass(frozen=True)
class Scenario:
    """How an account's limit changes.

    Attributes
    ----------
    limit : sequence of (float, int)
        What it counts by.
    announced : sequence of (float, int)
        What it says; empty: the same.
    others : sequence of (float, int)
        Requests per minute of another user of the account.
    """

    name: str
    limit: Levels
    announced: Levels = ()
    others: Levels = ((0, 0),)
    minutes: float = 60.0

    def left(self, minute: float) -> int:
        """Return what the account has for us."""
        return _at(self.limit, minute) - _at(self.others, minute)

    def changes(self) -> list[tuple[float, float]]:
        """Return from when until when each further level lasts of what the account has for us."""
        since = sorted({minute for levels in (self.limit, self.others) for minute, _ in levels} - {0})
        return list(pairwise([*since, self.minutes]))


def _at(levels: Levels, minute: float) -> int:
    return levels[bisect_right([since for since, _ in levels], minute) - 1][1]


def _bursts(requests: int, *, lasting: float, every: float, minutes: float) -> Levels:
    levels: list[tuple[float, int]] = [(0, 0)]
    while (since := levels[-1][0] + every - lasting) < minutes:
        levels += [(since, requests), (since + lasting, 0)]
    return levels


_SCENARIOS = (
    Scenario("200", ((0, 200),)),
    Scenario("200, from 10 to 40: 100, announced", ((0, 200), (10, 100), (40, 200))),
    Scenario(
        "… announced 5 minutes late", ((0, 200), (10, 100), (40, 200)), announced=((0, 200), (15, 100), (45, 200))
    ),
    Scenario("… not announced", ((0, 200), (10, 100), (40, 200)), announced=((0, 200),)),
    Scenario("200, from 10: 150, announced", ((0, 200), (10, 150))),
    Scenario("… not announced", ((0, 200), (10, 150)), announced=((0, 200),)),
    Scenario("1,000, from 10: 400, announced", ((0, 1_000), (10, 400))),
    Scenario("… not announced", ((0, 1_000), (10, 400)), announced=((0, 1_000),)),
    Scenario("60, from 10: 15, not announced", ((0, 60), (10, 15)), announced=((0, 60),)),
    Scenario(
        "200, another user has 100 for 5 of 20 minutes",
        ((0, 200),),
        others=_bursts(100, lasting=5, every=20, minutes=60),
    ),
    Scenario(
        "200, another user has 100 for 1 of 10 minutes",
        ((0, 200),),
        others=_bursts(100, lasting=1, every=10, minutes=60),
    ),
)


def measure() -> dict[str, Any]:
    """Let each scenario pass."""
    defaults = read_stack_defaults()
    return {"settings": defaults.settings, "scenarios": [_run(scenario, defaults) for scenario in _SCENARIOS]}


def report(result: dict[str, Any]) -> str:
    """Tell how each change was followed."""

    def minutes(value: float | None) -> str:
        return "" if value is None else f"{value:.1f}"

    return "\n\n".join(
        [
            markdown_table(
                (
                    "requests per minute that the account takes",
                    "used of what it has for us, in an hour",
                    "requests",
                    "refused",
                    "limit read",
                    "minutes from a refusal until the pace fits",
                    "minutes from a rise until it is used",
                ),
                [
                    (
                        run["name"],
                        f"{run['used']:.1%}",
                        run["accepted"] + run["refused"],
                        run["refused"],
                        run["read"],
                        minutes(run["down"]),
                        minutes(run["up"]),
                    )
                    for run in result["scenarios"]
                ],
            ),
            f"With `MaximumConcurrency` {result['settings']['MaximumConcurrency']} and `BatchSize` "
            f"{result['settings']['BatchSize']:,}. The numbers of the first column are requests and minutes.",
        ]
    )


@only_the_numbers()
def _run(scenario: Scenario, defaults: StackDefaults) -> dict[str, Any]:
    backlog = _Backlog(scenario, defaults)
    account = backlog.account
    tenths = range(int(scenario.minutes * 10))
    in_time = sum(minute < scenario.minutes for minute in account.accepted)
    down, up = _followed(scenario, backlog.paces, account.refused)
    return {
        "name": scenario.name,
        "used": round(in_time / sum(scenario.left(tenth / 10) / 10 for tenth in tenths), 4),
        "accepted": len(account.accepted),
        "refused": len(account.refused),
        "read": account.read,
        "down": down,
        "up": up,
    }


def _followed(
    scenario: Scenario, paces: Sequence[tuple[float, float]], refused: Sequence[float]
) -> tuple[float | None, float | None]:
    """Return the most minutes that it took over all changes: down from the first refusal, up from the change."""
    down, up = [], []
    for since, until in scenario.changes():
        left = scenario.left(since)
        within = [(minute, pace) for minute, pace in paces if since <= minute < until]
        if left < scenario.left(since - 0.1):
            first = next((minute for minute in refused if since <= minute < until), None)
            if first is not None:
                down += [minute - first for minute, pace in within if minute > first and pace <= left][:1]
        else:
            up += [minute - since for minute, pace in within if pace >= left * _USED][:1]
    return (round(max(down), 2) if down else None), (round(max(up), 2) if up else None)


class _Account:
    """One account, which counts as the simulator does."""

    def __init__(self, scenario: Scenario, simulation: Simulation) -> None:
        self._scenario = scenario
        self._simulation = simulation
        self._began = simulation.now
        self._throttles = Throttles(cast("Any", self))
        self.accepted: list[float] = []  # after how many minutes
        self.refused: list[float] = []
        self.read = 0

    def now(self) -> float:
        """Tell the time."""
        return self._simulation.now

    def minute(self) -> float:
        """Tell the minutes since the beginning."""
        return (self._simulation.now - self._began) / 60

    def take(self) -> bool:
        """Take a request, or refuse it."""
        limits = Limits(requests_per_minute=_at(self._scenario.limit, self.minute()))
        try:
            self._throttles.admit(AccountSettings(limits=limits), ApiFunction.TRIGGER_CUSTOM_EVENT)
        except RequestRefusedError:
            return False
        return True

    def tell_limit(self) -> int:
        """Answer for which limit it was asked."""
        self.read += 1
        self._simulation.sleep(_REPLY_SECONDS)
        return _at(self._scenario.announced or self._scenario.limit, self.minute())

    def let_others_in(self) -> None:
        """Be used by somebody else."""
        while self.minute() < self._scenario.minutes:
            others = _at(self._scenario.others, self.minute())
            self._simulation.sleep(self._simulation.random.expovariate(others / 60) if others else 1.0)
            if others:
                self.take()


class _Request(Exchanges):
    """A request's way to the account, without its messages."""

    def __init__(self, account: _Account, simulation: Simulation, pacing: Pacing) -> None:
        deadline = simulation.now + _INVOCATION_SECONDS
        clock = account.now
        super().__init__("", deadline, returned=False, pacing=pacing, reply_seconds=_REPLY_LIMIT, clock=clock)
        self._account = account
        self._simulation = simulation

    def go(self) -> None:
        """Wait for a slot, and make the request."""
        self.wait_for_slot()
        self._exchange(1, self._post)

    def _post(self, _request_id: str) -> EventReply:
        way = _REPLY_SECONDS * self._simulation.random.uniform(0.2, 0.8)
        self._simulation.sleep(way)
        taken = self._account.take()
        (self._account.accepted if taken else self._account.refused).append(self._account.minute())
        self._simulation.sleep(_REPLY_SECONDS - way)
        if not taken:
            raise ThrottledError("API_LIMIT_EXCEEDED", retry_after=60.0)
        return EventReply([None], 200, "")


class _WatchedPace(RequestPace):
    """Notes its pace at each request that gets a slot."""

    note: Callable[[float], None]

    def _next_slot(self, of_account: float, of_budget: Callable[[RequestBudget, float], Slot]) -> Slot:
        slot = super()._next_slot(of_account, of_budget)
        self.note(of_account * USED_SHARE)
        return slot


class _Backlog:
    """Environments that always have the next batch."""

    def __init__(self, scenario: Scenario, defaults: StackDefaults) -> None:
        self.scenario = scenario
        self._defaults = defaults
        self._simulation = Simulation(seed=1, most_events=50_000_000)
        self.account = _Account(scenario, self._simulation)
        self.paces: list[tuple[float, float]] = []  # after how many minutes, and requests per minute
        self._table = InMemoryDynamoDb()
        self._table.before = lambda _: self._simulation.sleep(AWS_SECONDS)
        with threads_of(self._simulation):
            tasks = [
                self._simulation.spawn(task, Place())
                for task in (*[self._work] * defaults.segment_events.concurrency, self.account.let_others_in)
            ]
            self._simulation.run()
            for task in tasks:
                task.outcome()

    def _work(self) -> None:
        simulation, place = self._simulation, Place()
        pacing = self._pacing()
        simulation.sleep(_GATHER_SECONDS * simulation.random.random())
        while self.account.minute() < self.scenario.minutes:
            pacing.begin_batch()
            waits: list[float] = []
            tasks = [
                simulation.spawn(partial(self._send, pacing, waits), place)
                for _ in range(self._defaults.segment_events.batch_size // 200)
            ]
            simulation.join(tasks)
            for task in tasks:
                task.outcome()
            simulation.sleep(max(waits, default=0.0) + _GATHER_SECONDS)

    def _send(self, pacing: Pacing, waits: list[float]) -> None:
        try:
            _Request(self.account, self._simulation, pacing).go()
        except NoSlotError as exc:
            waits.append(exc.wait.retry_after)

    def _pacing(self) -> Pacing:
        table = DeliveryTable("delivery", cast("Any", self._table))
        timed: dict[str, Any] = {
            "timing": Timing(probe_seconds=75.0),
            "clock": self.account.now,
            "sleep": self._simulation.sleep,
        }
        reach = BudgetReach(**timed)
        limit = AccountLimit(table, account_limit_key("one"), **timed)
        budgets = [
            RequestBudget(table, key, reach=reach, **timed)
            for key in (account_budget_key("one"), connector_budget_key("default"))
        ]
        pace = _WatchedPace(
            max(limit for _, limit in self.scenario.limit),
            limit=limit,
            account=budgets[0],
            own=budgets[1],
            reach=reach,
            clock=self.account.now,
            sleep=self._simulation.sleep,
        )
        pace.note = lambda a_minute: self.paces.append((self.account.minute(), a_minute))
        return Pacing(
            pace,
            read_limit=lambda _: self.account.tell_limit(),
            reply_seconds=_REPLY_LIMIT,
            observe_doubt=lambda **_: None,
            several_accounts=lambda: False,
            **timed,
        )
