"""How do threads and hours become the same in every run?

Threads are greenlets here, and only sleeping hands over: whoever wakes first goes on. So one seed means one order of
events, and hours cost nothing. A killed environment's tasks stop where they are; whatever they try while they end
fails before it takes effect, as if they were not there.
"""

from __future__ import annotations

import concurrent.futures
import functools
import heapq
import itertools
import random
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from datetime import datetime
from types import ModuleType, SimpleNamespace
from typing import Any, NamedTuple
from unittest.mock import patch

import greenlet
from aws_lambda_powertools.utilities.parameters import base as parameters

from tests.fakes.clock import NOW

# Where what has to be replaced, or must not be used, comes from.
_REAL = {
    *("threading", "_thread", "random", "queue", "asyncio", "multiprocessing", "concurrent.futures"),
    *("concurrent.futures._base", "concurrent.futures.thread", "concurrent.futures.process"),
}
_MOST_EVENTS = 200_000  # of one world; more is a world that never ends


class Killed(BaseException):
    """The environment was killed."""


class UnendingError(AssertionError):
    """The world does not come to rest."""


class Place:
    """Where an execution environment's tasks run: frozen between invocations, and perhaps with a wrong clock."""

    def __init__(self, skew: float = 0.0) -> None:
        self.skew = skew
        self.alive = True
        self.frozen = False
        self.held: list[Task] = []


class Task(greenlet.greenlet):
    """One thread.

    Attributes
    ----------
    errand : Any
        What it runs for; its own threads run for the same.
    """

    def __init__(self, simulation: Simulation, run: Callable[[], Any], place: Place) -> None:
        super().__init__(self._run_to_end, parent=simulation.hub)
        self.simulation = simulation
        self.place = place
        self.errand: Any = None
        self.turn = 0
        self.ended = False
        self.result: Any = None
        self.failure: BaseException | None = None
        self._body = run
        self.awaited_by: list[Task] = []

    def _run_to_end(self) -> None:
        try:
            self.result = self._body()
        except BaseException as exc:  # noqa: BLE001 - as a future keeps it
            self.failure = exc
        self.ended = True
        self.simulation.forget(self)
        for task in self.awaited_by:
            self.simulation.wake(task)

    def outcome(self) -> Any:
        """Return the result, or raise what ended it."""
        if self.failure:
            raise self.failure
        return self.result


class Simulation:
    """A clock and the tasks that sleep by it.

    Parameters
    ----------
    most_events : int
        A world that takes more is taken for one that never ends.
    """

    def __init__(self, seed: int, most_events: int = _MOST_EVENTS) -> None:
        self.random = random.Random(seed)  # noqa: S311 - the same world again is the point
        self.now = NOW
        self.hub = greenlet.getcurrent()
        self._order = itertools.count()
        self._sleepers: list[tuple[float, int, Task, int]] = []
        self._tasks: dict[Task, None] = {}  # that have not ended, in the order of their start
        self._most_events = most_events

    def spawn(self, run: Callable[[], Any], place: Place) -> Task:
        """Start a task."""
        task = Task(self, run, place)
        task.errand = getattr(greenlet.getcurrent(), "errand", None)
        self._tasks[task] = None
        self.wake(task)
        return task

    def forget(self, task: Task) -> None:
        """Let go of a task that has ended, and of what it held."""
        self._tasks.pop(task, None)

    def wake(self, task: Task, after: float = 0.0) -> None:
        """Let a task go on at a time; an earlier waking makes a later one void."""
        heapq.heappush(self._sleepers, (self.now + after, next(self._order), task, task.turn))

    def sleep(self, seconds: float) -> None:
        """Stand where ``time.sleep`` is injected."""
        self._park(max(0.0, seconds))

    def join(self, tasks: Iterable[Task | _Future], timeout: float | None = None, *, for_all: bool = True) -> bool:
        """Wait until the tasks have ended, or one has; tell whether it was in time."""
        tasks = list(tasks)
        until = None if timeout is None else self.now + timeout
        enough = all if for_all else any
        while not enough(task.ended for task in tasks):
            if until is not None and self.now >= until:
                return False
            current = self._current()
            for task in tasks:
                task.awaited_by.append(current)
            self._park(None if until is None else until - self.now)
        return True

    def kill(self, place: Place) -> None:
        """End all tasks of an environment where they are."""
        place.alive = False
        place.held.clear()
        for task in self._tasks:
            if task.place is place:
                self.wake(task)

    def thaw(self, place: Place) -> None:
        """Let the tasks that outlived their invocation go on."""
        place.frozen = False
        for task in place.held:
            self.wake(task)
        place.held.clear()

    def run(self) -> None:
        """Let time pass until every task has ended or is frozen."""
        for _ in range(self._most_events):
            if not self._sleepers:
                return
            at, _, task, turn = heapq.heappop(self._sleepers)
            if task.ended or turn != task.turn:
                continue
            if task.place.frozen and task.place.alive:
                task.place.held.append(task)
                continue
            self.now = max(self.now, at)
            task.turn += 1
            task.switch()
        raise UnendingError(f"still busy after {self._most_events} events, {self.now - NOW:.0f} s")

    def end(self) -> None:
        """Kill whatever is left, so that no task outlives its world."""
        tasks = list(self._tasks)
        for task in tasks:
            task.place.alive = False
        for task in tasks:
            while not task.ended:
                task.switch()

    def _park(self, seconds: float | None) -> None:
        current = self._current()
        if not current.place.alive:
            raise Killed
        if seconds is not None:
            self.wake(current, seconds)
        self.hub.switch()
        if not current.place.alive:
            raise Killed

    @staticmethod
    def _current() -> Task:
        current = greenlet.getcurrent()
        if not isinstance(current, Task):
            raise TypeError("only a task can wait")
        return current


class _Lock:
    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation
        self._held = False
        self._waiting: deque[Task] = deque()

    def __enter__(self) -> None:
        while self._held:
            self._waiting.append(self._simulation._current())
            self._simulation._park(None)
        self._held = True

    def __exit__(self, *_exc: object) -> None:
        self._held = False
        if self._waiting:
            self._simulation.wake(self._waiting.popleft())


class _Future:
    """What ``ThreadPoolExecutor.submit`` gives, as far as it is used."""

    def __init__(self, simulation: Simulation, call: Callable[[], Any]) -> None:
        self._simulation = simulation
        self._call = call
        self._result: Any = None
        self._failure: BaseException | None = None
        self.ended = False
        self.awaited_by: list[Task] = []

    def run(self) -> None:
        try:
            self._result = self._call()
        except BaseException as exc:  # noqa: BLE001 - as a future keeps it
            self._failure = exc
        self.ended = True
        for task in self.awaited_by:
            self._simulation.wake(task)

    def result(self) -> Any:
        self._simulation.join([self])
        if self._failure:
            raise self._failure
        return self._result


class _Executor:
    """``ThreadPoolExecutor``, as far as it is used: what is more than its threads waits."""

    def __init__(self, simulation: Simulation, threads: int) -> None:
        self._simulation = simulation
        self._idle = threads
        self._waiting: deque[_Future] = deque()
        self._futures: list[_Future] = []

    def submit(self, function: Callable[..., Any], *arguments: Any) -> _Future:
        future = _Future(self._simulation, lambda: function(*arguments))
        self._futures.append(future)
        self._waiting.append(future)
        if self._idle:
            self._idle -= 1
            self._simulation.spawn(self._work, self._simulation._current().place)
        return future

    def map(self, function: Callable[[Any], Any], arguments: Iterable[Any]) -> Iterator[Any]:
        futures = [self.submit(function, argument) for argument in arguments]
        return (future.result() for future in futures)

    def shutdown(self, *, wait: bool, cancel_futures: bool) -> None:
        if wait or not cancel_futures:
            raise NotImplementedError
        self._waiting.clear()

    def _work(self) -> None:
        while self._waiting and self._simulation._current().place.alive:
            self._waiting.popleft().run()
        self._idle += 1

    def __enter__(self) -> _Executor:
        return self

    def __exit__(self, *_exc: object) -> None:
        self._simulation.join(self._futures)


class _Waited(NamedTuple):
    done: set[_Future]
    not_done: set[_Future]


@functools.cache
def _real_threads_and_chance() -> list[tuple[ModuleType, str, Any]]:
    """Find what every module of the package has of threads, locks and chance.

    Raises
    ------
    LookupError
        A module has something of them that has no stand-in here, and would stay real.
    """
    replaced = (ThreadPoolExecutor, concurrent.futures.wait, threading, random)
    found = []
    for name, module in list(sys.modules.items()):
        if not name.startswith("responsys_activation."):
            continue
        for attribute, value in vars(module).items():
            home = value.__name__ if isinstance(value, ModuleType) else getattr(value, "__module__", None)
            if any(value is original for original in replaced):
                found.append((module, attribute, value))
            elif home in _REAL and value is not concurrent.futures.Future:
                raise LookupError(f"{name}.{attribute} would stay real in a simulation")
    return found


@contextmanager
def threads_of(simulation: Simulation) -> Iterator[None]:
    """Replace threads, locks and chance in every module of the package, and time where Powertools looks at it."""

    def wait(futures: Iterable[_Future], timeout: float | None = None, *, return_when: str) -> _Waited:
        futures = list(futures)
        if return_when != "FIRST_COMPLETED":
            raise NotImplementedError(return_when)
        if futures:
            simulation.join(futures, timeout, for_all=False)
        done = {future for future in futures if future.ended}
        return _Waited(done, set(futures) - done)

    stand_ins = {
        ThreadPoolExecutor: lambda threads: _Executor(simulation, threads),
        concurrent.futures.wait: wait,
        threading: SimpleNamespace(Lock=lambda: _Lock(simulation)),
        random: simulation.random,
    }
    now = SimpleNamespace(now=lambda: datetime.fromtimestamp(simulation.now))  # noqa: DTZ006 - as Powertools has it
    with ExitStack() as stack:
        for module, attribute, original in _real_threads_and_chance():
            stack.enter_context(patch.object(module, attribute, stand_ins[original]))
        stack.enter_context(patch.object(parameters, "datetime", now))
        yield
