"""How do the emulator, the lambda host, the event sources and the queue metrics become one local AWS?"""

import contextlib
import functools
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Self

from tests.local_stack import event_source
from tests.local_stack.alarm_states import AlarmStates
from tests.local_stack.aws_endpoint import AwsEndpoint
from tests.local_stack.deploy import deploy
from tests.local_stack.event_source import EventSource, deployed_mappings
from tests.local_stack.function_logs import FunctionLogs
from tests.local_stack.http_api import reachable
from tests.local_stack.lambda_host import LambdaHost
from tests.local_stack.ministack import ministack
from tests.local_stack.polling import Polling
from tests.local_stack.queue_metrics import QueueMetrics
from tests.local_stack.released import deploy_release
from tests.local_stack.repeating import repeating

_SECONDS_BETWEEN_LOGS = 0.25
_SECONDS_BETWEEN_METRICS = 2.0


class LocalAws:
    """A SAM template, deployed and alive on loopback for as long as the context lasts.

    Parameters
    ----------
    template_path
        The SAM template.
    parameters
        A value for each of its parameters.
    stack_name
        Name of the stack.
    function_output
        Output of the stack that names the function whose workers are looked at and killed.
    port
        Port of the emulated AWS; a free one when absent.
    function_environment
        Variables for every function beside its own, such as TIME_SCALE.
    time_scale
        Divides the periods of alarms.
    visibility_seconds
        How long a received message stays hidden, in place of what the template says of the polled queues.
    polling
        How Lambda polls queues; when absent, as fast as the emulated SQS can.
    enforces_iam
        Whether policies count; functions must then be given credentials of their roles.
    release
        The archive of a release, which is deployed in place of the template; made for this machine's runtime.
    say
        Told what is left out locally.

    Attributes
    ----------
    parameters
        The deployment parameters.
    outputs
        The outputs of the stack.
    time_scale
        As it was given.
    endpoint
        The emulated AWS.

    Examples
    --------
    >>> with LocalAws(Path("template.yaml"), {}) as aws:
    ...     aws.endpoint.sqs.send_message(QueueUrl=aws.outputs["QueueUrl"], MessageBody="hello")
    """

    def __init__(
        self,
        template_path: Path,
        parameters: Mapping[str, str],
        *,
        stack_name: str = "local",
        function_output: str = "FunctionName",
        port: int | None = None,
        function_environment: Mapping[str, str] | None = None,
        time_scale: float = 1.0,
        enforces_iam: bool = False,
        visibility_seconds: int | None = None,
        polling: Polling | None = None,
        release: Path | None = None,
        say: Callable[[str], None] = print,
    ) -> None:
        self._deploy = (
            functools.partial(deploy_release, release=release)
            if release
            else functools.partial(deploy, template_path=template_path)
        )
        self.parameters = dict(parameters)
        self._stack_name = stack_name
        self._function_output = function_output
        self._port = port
        self._function_environment = function_environment or {}
        self._visibility_seconds = visibility_seconds
        self._polling = polling
        self.time_scale = time_scale
        self._enforces_iam = enforces_iam
        self._say = say
        self._resources = contextlib.ExitStack()
        self._event_sources: list[EventSource] = []
        self.endpoint: AwsEndpoint
        self.outputs: dict[str, str] = {}

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as resources:
            temporary = tempfile.TemporaryDirectory(prefix="responsys-local-", ignore_cleanup_errors=True)
            directory = Path(resources.enter_context(temporary))
            self.endpoint = resources.enter_context(
                ministack(directory / "ministack", self._port, enforces_iam=self._enforces_iam)
            )
            logs = FunctionLogs(self.endpoint)
            resources.enter_context(repeating("function-logs", _SECONDS_BETWEEN_LOGS, logs.write_waiting))
            self._host = LambdaHost(self.endpoint, directory / "functions", self._function_environment, logs)
            self._host.start()
            resources.callback(self._host.stop)
            outputs = self._deploy(
                self.endpoint,
                stack_name=self._stack_name,
                parameters=self.parameters,
                hook_url=self._host.url,
                say=self._say,
            )
            self.outputs = {name: reachable(value, self.endpoint) for name, value in outputs.items()}
            self._start_event_sources(resources)
            self._resources = resources.pop_all()
        return self

    def __exit__(self, *_exc: object) -> None:
        for source in self._event_sources:
            source.begin_to_stop()
        self._host.kill_everything()
        self._resources.close()

    def _start_event_sources(self, resources: contextlib.ExitStack) -> None:
        for mapping in deployed_mappings(self.endpoint):
            self._shorten_visibility(mapping)
            source = EventSource(self.endpoint, mapping, self._polling)
            source.start()
            resources.callback(source.stop)
            self._event_sources.append(source)
        metrics = QueueMetrics(self.endpoint, {source.mapping.queue_arn: source for source in self._event_sources})
        alarms = AlarmStates(self.endpoint, self.time_scale)
        resources.enter_context(repeating("queue-metrics", _SECONDS_BETWEEN_METRICS, metrics.publish))
        resources.enter_context(repeating("alarm-states", _SECONDS_BETWEEN_METRICS, alarms.update))

    def _shorten_visibility(self, mapping: event_source.Mapping) -> None:
        # Before anybody polls: a receive that already waits would still hide its messages for the longer time.
        if self._visibility_seconds is not None:
            url = self.endpoint.sqs.get_queue_url(QueueName=mapping.queue_arn.rpartition(":")[2])["QueueUrl"]
            self.endpoint.sqs.set_queue_attributes(
                QueueUrl=url, Attributes={"VisibilityTimeout": str(self._visibility_seconds)}
            )

    @property
    def function_name(self) -> str:
        """The function whose workers are looked at and killed."""
        return self.outputs[self._function_output]

    @contextlib.contextmanager
    def paused_event_sources(self) -> Iterator[None]:
        """Give the functions no messages for as long as the context lasts."""
        for source in self._event_sources:
            source.begin_to_pause()
        for source in self._event_sources:
            source.pause()
        try:
            yield
        finally:
            for source in self._event_sources:
                source.resume()

    def kill_running_workers(self) -> int:
        """Kill the workers that run an invocation of the function, and return how many they were."""
        return self._host.kill_running(self.function_name)

    def set_function_environment(self, environment: Mapping[str, str], name: str | None = None) -> None:
        """Set variables of the function, or of another one, beside its own, in place of those set before."""
        self._host.set_environment(name or self.function_name, environment)

    def worker_counts(self) -> dict[str, int]:
        """Return `invocations`, `coldStarts`, `running` and `warm` of the function."""
        return self._host.counts(self.function_name)
