"""Does `make local` say when it is ready, refuse what is wrong in one line, and leave nothing behind?"""

import itertools
import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import requests

from tests.local_stack.aws_endpoint import AwsEndpoint
from tests.local_stack.environments import LOCAL_DIRECTORY, REPOSITORY
from tests.local_stack.http_api import post
from tests.local_stack.processes import LOOPBACK, LocalStackError, child_process, free_port
from tests.local_stack.repeating import eventually
from tests.local_stack.settings import read_settings
from tests.local_stack.stack import LocalStack

OUTPUTS = LOCAL_DIRECTORY / "outputs.json"
SECONDS_TO_BE_READY = 60


class LocalStackProcess:
    """`make local` without make, its temporary files in a place of its own."""

    def __init__(self, temporary: Path, process: "subprocess.Popen[str]") -> None:
        self.process = process
        self._temporary = temporary

    def wait_until_ready(self) -> dict[str, str]:
        deadline = time.monotonic() + SECONDS_TO_BE_READY
        while not OUTPUTS.exists():
            assert self.process.poll() is None, self.process.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.05)
        outputs: dict[str, str] = json.loads(OUTPUTS.read_text())
        return outputs

    def processes_left(self) -> list[str]:
        """Return the command lines of all processes that it started, itself included."""
        marker = f"TMPDIR={self._temporary}"
        left = []
        for directory in Path("/proc").glob("[0-9]*"):
            try:
                if marker in (directory / "environ").read_text(errors="replace"):
                    left.append((directory / "cmdline").read_text().replace("\0", " "))
            except OSError:
                continue
        return left

    def runs(self, program: str) -> bool:
        return any(program in command for command in self.processes_left())


@pytest.fixture
def temporary(tmp_path: Path) -> Iterator[Path]:
    if OUTPUTS.exists():
        pytest.skip("a local stack runs already: its outputs must not be overwritten")
    yield tmp_path
    OUTPUTS.unlink(missing_ok=True)


@pytest.fixture
def start(temporary: Path) -> Iterator[Callable[..., LocalStackProcess]]:
    with ExitStack() as running:

        def start(**environment: str) -> LocalStackProcess:
            command = [sys.executable, "-u", "-m", "tests.local_stack"]
            own = {
                "PATH": os.environ["PATH"],
                "HOME": os.environ["HOME"],
                "TMPDIR": str(temporary),
                "PYTHONPATH": str(REPOSITORY / "layers" / "responsys_activation"),
            }
            process = child_process(
                command,
                cwd=REPOSITORY,
                env={**own, "AWS_PORT": str(free_port()), "PAGE_PORT": str(free_port()), **environment},
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            return LocalStackProcess(temporary, running.enter_context(process))

        yield start


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_it_tells_its_outputs_while_it_runs_and_leaves_nothing_behind(
    start: Callable[..., LocalStackProcess], temporary: Path, stop: signal.Signals
) -> None:
    # Given a local stack that is ready
    port, page_port = free_port(), free_port()
    local = start(AWS_PORT=str(port), PAGE_PORT=str(page_port))
    outputs = local.wait_until_ready()
    contract = {
        *("SegmentEventsQueueUrl", "SegmentEventsQueueArn", "ThrottledDeadLetterQueueUrl"),
        *("RejectedDeadLetterQueueUrl", "SegmentEventsFunctionName", "ConnectorParameterPrefix"),
        *("AlarmTopicArn", "DashboardName", "stackName", "awsEndpointUrl", "region", "simulatorUrl"),
        *("WebhookUrl", "WebhookSecretArn"),
    }
    assert contract <= set(outputs)
    assert outputs["awsEndpointUrl"] == f"http://{LOOPBACK}:{port}"
    assert len(local.processes_left()) >= 2
    page = f"http://{LOOPBACK}:{page_port}/"
    assert requests.get(page, proxies={"http": ""}, timeout=10).ok

    # When it is told to stop
    local.process.send_signal(stop)
    told, errors = local.process.communicate(timeout=20)

    # Then it ends well, with all its processes and files
    assert (local.process.returncode, errors) == (0, "")
    assert f"Page:       {page} " in told
    assert not OUTPUTS.exists()
    assert local.processes_left() == []
    assert list(temporary.iterdir()) == []


def test_the_command_that_it_prints_for_the_webhook_is_taken(start: Callable[..., LocalStackProcess]) -> None:
    # Given what a local stack prints when it is ready
    local = start()
    assert local.process.stdout is not None
    printed = "".join(itertools.takewhile(lambda line: "Ctrl-C" not in line, local.process.stdout))
    # When its curl command is carried out
    (command,) = re.findall(r"^  (curl .*?[^\\])$", printed, re.MULTILINE | re.DOTALL)
    _, _, url, *options = shlex.split(command.replace("\\\n", " "))
    given = list(zip(options[::2], options[1::2], strict=True))
    headers = dict(value.split(": ", 1) for name, value in given if name == "-H")
    (body,) = [REPOSITORY / value.removeprefix("@") for name, value in given if name == "-d"]
    # Then the webhook takes it
    assert post(url, body.read_bytes(), headers).status == 202


@pytest.mark.parametrize("seconds", [0.8, 1.6, 2.4])
def test_a_signal_during_the_start_leaves_nothing_behind_either(
    start: Callable[..., LocalStackProcess], temporary: Path, seconds: float
) -> None:
    local = start()
    time.sleep(seconds)

    local.process.terminate()
    local.process.communicate(timeout=20)

    assert not OUTPUTS.exists()
    assert local.processes_left() == []
    assert list(temporary.iterdir()) == []


def test_what_it_started_is_gone_soon_after_it_was_killed(start: Callable[..., LocalStackProcess]) -> None:
    # Given a local stack whose function has a worker, beside the emulator and the simulator
    local = start(BATCHING_WINDOW_SECONDS="1")
    outputs = local.wait_until_ready()
    sqs = AwsEndpoint(outputs["awsEndpointUrl"]).sqs
    sqs.send_message(QueueUrl=outputs["SegmentEventsQueueUrl"], MessageBody="no message of ours")
    assert eventually(lambda: local.runs("awslambdaric"))
    assert local.runs("ministack")
    assert local.runs("tests.simulator")

    # When it is killed, without a chance to end them
    local.process.kill()

    # Then all of them are gone within seconds
    assert eventually(lambda: not local.processes_left(), seconds=5), local.processes_left()


@pytest.mark.parametrize("variable", ["AWS_PORT", "PAGE_PORT"])
def test_a_port_in_use_is_told_in_one_line(start: Callable[..., LocalStackProcess], variable: str) -> None:
    with socket.socket() as taken:
        taken.bind((LOOPBACK, 0))
        taken.listen()
        port = taken.getsockname()[1]
        local = start(**{variable: str(port)})
        _, errors = local.process.communicate(timeout=20)

    assert local.process.returncode != 0
    assert re.fullmatch(rf"error: Port {port} is in use.*{variable}.*\n", errors)
    assert local.processes_left() == []


@pytest.mark.parametrize(
    ("environment", "parameter"),
    [
        ({"RESPONSYS_AUTH_ENDPOINT": "http://login5.responsys.net"}, "ResponsysAuthEndpoint"),
        ({"RESPONSYS_AUTH_ENDPOINT": "https://login5.example.com"}, "ResponsysAuthEndpoint"),
        ({"RESPONSYS_AUTH_ENDPOINT": "https://notresponsys.net"}, "ResponsysAuthEndpoint"),
        ({"RESPONSYS_AUTH_ENDPOINT": "https://login5.responsys.net", "PROFILE_LIST_NAME": ""}, "ProfileListName"),
        ({"PROFILE_LIST_NAME": ""}, "ProfileListName"),
        ({"IDENTIFIER_TYPE": "SHOE_SIZE"}, "IdentifierType"),
        ({"REQUESTS_PER_MINUTE": "many"}, "RequestsPerMinute"),
        ({"BATCHING_WINDOW_SECONDS": "301"}, "BatchingWindowSeconds"),
        ({"BATCHING_WINDOW_SECONDS": "2.5"}, "BatchingWindowSeconds"),
        ({"TIME_SCALE": "0"}, "TIME_SCALE"),
        ({"AWS_PORT": "http"}, "AWS_PORT"),
        ({"POLLING": "slow"}, "POLLING"),
        ({"PAGE_PORT": "65536"}, "PAGE_PORT"),
    ],
)
def test_a_wrong_setting_is_refused_by_name(environment: dict[str, str], parameter: str) -> None:
    # Given settings of which one is wrong
    complete = {"RESPONSYS_USERNAME": "user", "RESPONSYS_PASSWORD": "secret-word", "PROFILE_LIST_NAME": "LIST"}

    # When the stack is made, before anything starts
    with pytest.raises(LocalStackError) as refusal:
        LocalStack(read_settings({**complete, **environment}).parameters)

    # Then one line begins with its name, and tells no secret
    assert str(refusal.value).startswith(parameter)
    assert "\n" not in str(refusal.value)
    assert "secret-word" not in str(refusal.value)


@pytest.mark.parametrize(
    ("environment", "parameter"),
    [
        ({"RESPONSYS_AUTH_ENDPOINT": "https://login5.responsys.net"}, "ProfileListName"),
        # What no single parameter can say is found by the template's Rules.
        ({"RESPONSYS_PASSWORD": ""}, "ResponsysPassword"),
    ],
)
def test_a_refusal_is_one_line_on_the_terminal(
    start: Callable[..., LocalStackProcess], environment: dict[str, str], parameter: str
) -> None:
    local = start(**environment)

    _, errors = local.process.communicate(timeout=30)

    assert local.process.returncode != 0
    assert re.fullmatch(rf"error: .*{parameter}.*\n", errors)
    assert local.processes_left() == []
