"""Where are the subjects run? The deployed template on the emulated AWS, an account of Responsys for each subject."""

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict

from tests.benchmarks.memberships import EVENT_NAME, LIST_NAME, PROFILE_LIST
from tests.benchmarks.subjects import SUBJECTS, Cost, Task
from tests.local_stack.environments import REPOSITORY
from tests.local_stack.stack import ConnectorSettings, LocalStack
from tests.simulator.settings import AccountSettings, CustomEvent, Limits, ProfileList, SimulatorSettings

__all__ = ["Arena", "arena"]

# Nobody waits for the account in a measurement of CPU.
_NO_LIMIT = 1_000_000
_PASSWORD = "correct-horse"


class Arena:
    """Runs subjects, each in a new process, against the same simulator."""

    def __init__(self, stack: LocalStack) -> None:
        assert stack.simulator is not None
        self._stack = stack
        self._simulator = stack.simulator

    def run(self, subject: str, messages: int, batch_size: int) -> tuple[Cost, int]:
        """Send messages; give what they cost and the event requests that it took."""
        self._simulator.reset()  # what was accepted before would take ever more memory
        task = Task(
            messages=messages,
            batch_size=batch_size,
            connector=subject.replace("_", "-"),
            run=uuid.uuid4().hex[:12],
            endpoint=self._stack.parameters["ResponsysAuthEndpoint"],
            username=subject,
            password=_PASSWORD,
            queue_arn=self.queue_arn,
            environment=self.function_environment(),
        )
        answer = subprocess.run(
            [sys.executable, "-m", "tests.benchmarks.subjects", subject],
            input=json.dumps(asdict(task)),
            env={"PATH": os.environ["PATH"], "PYTHONPATH": "layers/responsys_activation"},
            cwd=REPOSITORY,
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        cost = Cost(**json.loads(answer.stdout))
        sent = self._simulator.requests(subject, "event")
        return cost, sum(request.received_at_ms >= cost.started_at * 1000 for request in sent)

    @property
    def queue_arn(self) -> str:
        """Where every message says that it comes from."""
        return self._stack.outputs["SegmentEventsQueueArn"]

    def last_request_at(self, subject: str) -> float:
        """Tell when the simulator got the last event request of a subject, in epoch seconds."""
        return self._simulator.requests(subject, "event")[-1].received_at_ms / 1000

    def settings(self, *names: str) -> dict[str, int]:
        """Return some of the parameters that the stack was deployed with."""
        return {name: int(self._stack.parameters[name]) for name in names}

    def function_environment(self) -> dict[str, str]:
        """Return the deployed function's variables, and those by which it reaches AWS."""
        configuration = self._stack.endpoint.lambda_.get_function_configuration(FunctionName=self._stack.function_name)
        own = {name: str(value) for name, value in configuration["Environment"]["Variables"].items()}
        return {**own, **self._stack.endpoint.environment}


@contextmanager
def arena() -> Iterator[Arena]:
    """Deploy, with an account and a connector for each subject."""
    accounts = tuple(
        AccountSettings(
            username=subject,
            password=_PASSWORD,
            lists=(ProfileList(name=LIST_NAME),),
            events=(CustomEvent(name=EVENT_NAME),),
            limits=Limits(requests_per_minute=_NO_LIMIT, logins_per_minute=_NO_LIMIT),
        )
        for subject in SUBJECTS
    )
    with (
        LocalStack(simulator=SimulatorSettings(accounts=accounts), say=lambda _: None) as stack,
        stack.paused_event_sources(),
    ):
        for subject in SUBJECTS:
            stack.add_connector(
                subject.replace("_", "-"),
                ConnectorSettings(
                    subject,
                    _PASSWORD,
                    PROFILE_LIST,
                    optional={"defaultEventName": EVENT_NAME, "requestsPerMinute": _NO_LIMIT},
                ),
            )
        yield Arena(stack)
