"""Who is compared, and how does each run? As a user would deploy it, on the emulated AWS.

What a user writes of each stands in a folder of its name; it is deployed from there, and its lines are counted there.
"""

import contextlib
import json
import math
import os
import re
import shlex
import subprocess
import time
import tomllib
from base64 import b64decode
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from responsys_activation.aws.claims import ClaimState, claim_state, read_claim
from responsys_activation.change import membership_change
from responsys_activation.membership import Membership as ReadMembership
from tests.benchmarks.alternatives.fast_clock import on_fast_clock, scaled
from tests.benchmarks.alternatives.settings import PASSWORD
from tests.benchmarks.alternatives.world import CONNECTORS, Membership
from tests.benchmarks.stack_defaults import read_stack_defaults
from tests.local_stack.aws_endpoint import AwsEndpoint
from tests.local_stack.build import read_template
from tests.local_stack.environments import program
from tests.local_stack.local_aws import LocalAws
from tests.local_stack.ministack import ministack
from tests.local_stack.processes import child_process
from tests.local_stack.queues import send_all
from tests.local_stack.repeating import eventually
from tests.local_stack.stack import ConnectorSettings, LocalStack

__all__ = ["SUBJECTS", "Running", "Subject"]

_HERE = Path(__file__).parent
_CLIENT = _HERE / "responsys_client" / "responsys_client.py"
_ID = re.compile(r"m-\d{6}")
# The time-out holds what is kept back for settling a batch, which is work of ours and which no clock speeds up.
_SHORTEST_TIMEOUT, _REPLY_SECONDS = 40, 60
_SECONDS_TO_STOP = 60.0


@dataclass(frozen=True)
class Running:
    """A subject that runs.

    Attributes
    ----------
    send
        Hands messages over, as its producer does.
    work_queues, dead_letter_queues
        URLs of those that it reads, and of those where messages wait for a person.
    secrets
        Id of the secret of each connector's account.
    stop
        Ends its work; what it had received becomes visible again.
    counted
        Tells what it holds for delivered.
    """

    endpoint: AwsEndpoint
    send: Callable[[Sequence[str]], object]
    work_queues: Sequence[str]
    dead_letter_queues: Sequence[str]
    secrets: Mapping[str, str]
    stop: Callable[[], object]
    counted: Callable[[Sequence[Membership]], set[str]]

    def write_secret(self, connector: str, password: str) -> None:
        """Replace the password of an account."""
        secret = json.dumps({"username": connector, "password": password})
        self.endpoint.client("secretsmanager").put_secret_value(SecretId=self.secrets[connector], SecretString=secret)


Start = Callable[[str, float], AbstractContextManager[Running]]


@dataclass(frozen=True)
class Subject:
    """One of those compared.

    Attributes
    ----------
    start
        Runs it, given the login endpoint and how fast the account's clock runs.
    command
        What the command lines of its processes hold.
    written
        The files that a user writes.
    """

    title: str
    start: Start
    command: tuple[str, ...]
    written: tuple[Path, ...]

    @property
    def lines(self) -> int:
        """Lines that a user writes, without blank ones and comments."""
        lines = [line.strip() for path in self.written for line in path.read_text().splitlines()]
        return sum(bool(line) and not line.startswith("#") for line in lines)


@contextlib.contextmanager
def _this_stack(login_endpoint: str, time_scale: float) -> Iterator[Running]:
    given = tomllib.loads((_HERE / "this_stack" / "parameters.toml").read_text())
    connector = json.loads((_HERE / "this_stack" / "connector-second.json").read_text())
    secret = json.loads((_HERE / "this_stack" / "secret-second.json").read_text())
    defaults = read_stack_defaults()
    window = max(1, math.ceil(defaults.segment_events.window_seconds / time_scale))
    parameters = {**given, "ResponsysAuthEndpoint": login_endpoint, "BatchingWindowSeconds": f"{window}"}
    with (
        LocalStack(
            parameters,
            time_scale=time_scale,
            visibility_seconds=round(defaults.visibility_seconds / time_scale),
            say=lambda _: None,
        ) as stack,
        ExitStack() as ending,
    ):
        stack.set_function_environment({"REPLY_SECONDS": f"{max(1, round(_REPLY_SECONDS / time_scale))}"})
        stack.set_function_timeout(max(_SHORTEST_TIMEOUT, round(defaults.timeout_seconds / time_scale)))
        stack.add_connector(
            "second",
            ConnectorSettings(
                **secret,
                profile_list=connector.pop("profileList"),
                identifier_type=connector.pop("identifierType"),
                auth_endpoint=login_endpoint,
                optional={
                    name: value
                    for name, value in connector.items()
                    if name not in {"authEndpoint", "credentialsSecretId"}
                },
            ),
        )
        parameter = f"{stack.outputs['ConnectorParameterPrefix']}default"
        own = json.loads(stack.endpoint.client("ssm").get_parameter(Name=parameter)["Parameter"]["Value"])
        variables = stack.endpoint.lambda_.get_function_configuration(FunctionName=stack.function_name)["Environment"]
        url = stack.outputs["SegmentEventsQueueUrl"]
        yield Running(
            endpoint=stack.endpoint,
            send=partial(send_all, stack.endpoint.sqs, url),
            work_queues=(url, stack.outputs["ThrottledDeadLetterQueueUrl"]),
            dead_letter_queues=(stack.outputs["RejectedDeadLetterQueueUrl"],),
            secrets={"default": own["credentialsSecretId"], "second": connector["credentialsSecretId"]},
            stop=partial(_stop, stack, ending),
            counted=partial(_in_ledger, stack.endpoint, str(variables["Variables"]["DELIVERY_TABLE_NAME"])),
        )


def _in_ledger(endpoint: AwsEndpoint, table: str, memberships: Sequence[Membership]) -> set[str]:
    """Read whose claims are answered with "delivered"."""
    items = {(item["pk"]["S"], item["sk"]["S"]): item for item in _scan(endpoint, table)}
    delivered = set()
    for membership in memberships:
        if membership.kind == "invalid":
            continue
        read = ReadMembership.model_validate_json(membership.body)
        change = membership_change(membership.connector, read, membership.message_id, 0, 0)
        item = items.get((change.membership, change.key))
        if item is not None:
            claim = read_claim(item)
            answer = items.get((f"request#{claim.request_id}", "answer"))
            if claim_state(claim, answer, time.time())[0] is ClaimState.DELIVERED:
                delivered.add(membership.message_id)
    return delivered


@contextlib.contextmanager
def _function(folder: str, ids: Callable[[dict[str, Any]], str | None], url: str, scale: float) -> Iterator[Running]:
    """Deploy a folder's template; `ids` reads its own table: a message id where it holds one for delivered."""
    template = on_fast_clock(_HERE / folder / "template.yaml", scale)
    environment = {"TIME_SCALE": str(scale)}
    with (
        LocalAws(template, {"AuthEndpoint": url}, function_environment=environment, say=lambda _: None) as aws,
        ExitStack() as ending,
    ):
        queue, table = aws.outputs["QueueUrl"], aws.outputs["TableName"]
        yield Running(
            endpoint=aws.endpoint,
            send=partial(send_all, aws.endpoint.sqs, queue),
            work_queues=(queue,),
            dead_letter_queues=(aws.outputs["DeadLetterQueueUrl"],),
            secrets=_make_secrets(aws.endpoint),
            stop=partial(_stop, aws, ending),
            counted=lambda _: {found for item in _scan(aws.endpoint, table) if (found := ids(item))},
        )


def _completed(item: dict[str, Any]) -> str | None:
    if item["status"]["S"] != "COMPLETED":
        return None
    return str(json.loads(item["data"]["S"])["delivered"])


def _remembered(item: dict[str, Any]) -> str | None:
    return str(item["messageId"]["S"])


@contextlib.contextmanager
def _celery(login_endpoint: str, time_scale: float) -> Iterator[Running]:
    folder = _HERE / "celery_batches"
    with TemporaryDirectory(prefix="alternatives-") as temporary, ExitStack() as resources:
        endpoint = resources.enter_context(ministack(Path(temporary) / "ministack"))
        queues = _create_queues(endpoint, scaled(read_template(folder / "template.yaml"), time_scale))
        secrets = _make_secrets(endpoint)
        environment = {
            **endpoint.environment,
            "PATH": f"{program('.venv-alternatives', 'celery').parent}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": f"{folder}{os.pathsep}{_CLIENT.parent}",
            "PYTHONDONTWRITEBYTECODE": "1",
            "TIME_SCALE": str(time_scale),
            "AUTH_ENDPOINT": login_endpoint,
            "SECRETS": json.dumps(secrets),
            "BROKER_URL": endpoint.url.replace("http://", "sqs://"),
            **{re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).upper(): url for name, url in queues.items()},
        }
        log = Path(temporary) / "workers.log"
        output = resources.enter_context(log.open("wb"))
        options: dict[str, Any] = {"env": environment, "cwd": temporary, "stdout": output, "stderr": subprocess.STDOUT}
        workers = resources.enter_context(ExitStack())
        for line in (folder / "Procfile").read_text().splitlines():
            workers.enter_context(child_process(shlex.split(line.partition(": ")[2]), **options))
        command = [program(".venv-alternatives", "python"), _HERE / "celery_producer.py"]
        producer = resources.enter_context(child_process(command, stdin=subprocess.PIPE, **options))

        def send(bodies: Sequence[str]) -> None:
            assert producer.stdin is not None
            producer.stdin.write("".join(f"{body}\n" for body in bodies).encode())
            producer.stdin.flush()

        yield Running(
            endpoint=endpoint,
            send=send,
            work_queues=[url for name, url in queues.items() if name != "DeadLetterQueue"],
            dead_letter_queues=(queues["DeadLetterQueue"],),
            secrets=secrets,
            stop=workers.close,
            counted=lambda _: _logged(log.read_text(errors="replace")),
        )


def _create_queues(endpoint: AwsEndpoint, template: Mapping[str, Any]) -> dict[str, str]:
    client = endpoint.cloudformation
    client.create_stack(StackName="celery", TemplateBody=json.dumps(template))
    client.get_waiter("stack_create_complete").wait(StackName="celery", WaiterConfig={"Delay": 1})
    (stack,) = client.describe_stacks(StackName="celery")["Stacks"]
    return {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}


def _logged(log: str) -> set[str]:
    lines = [line for line in log.splitlines() if "delivered [" in line]
    return {found for line in lines for found in _ID.findall(line)}


def message_ids(body: str) -> set[str]:
    """Read which messages are in the body of an SQS message; celery wraps its own twice in base64."""
    if body.startswith("{") or _ID.search(body):
        return set(_ID.findall(body))
    return set(_ID.findall(b64decode(json.loads(b64decode(body))["body"]).decode()))


def _make_secrets(endpoint: AwsEndpoint) -> dict[str, str]:
    secrets = {connector: f"responsys/{connector}" for connector in CONNECTORS}
    for connector, name in secrets.items():
        value = json.dumps({"username": connector, "password": PASSWORD})
        endpoint.client("secretsmanager").create_secret(Name=name, SecretString=value)
    return secrets


def _scan(endpoint: AwsEndpoint, table: str) -> list[dict[str, Any]]:
    pages = endpoint.client("dynamodb").get_paginator("scan").paginate(TableName=table)
    return [item for page in pages for item in page["Items"]]


def _stop(aws: LocalAws, ending: ExitStack) -> None:
    """Give the function nothing more, and let what runs end."""
    ending.enter_context(aws.paused_event_sources())
    eventually(lambda: aws.worker_counts()["running"] == 0, _SECONDS_TO_STOP)


def _files(folder: str, *names: str) -> tuple[Path, ...]:
    return tuple(_HERE / folder / name for name in names)


SUBJECTS: Mapping[str, Subject] = {
    "this_stack": Subject(
        "this stack",
        _this_stack,
        ("awslambdaric",),
        _files("this_stack", "parameters.toml", "connector-second.json", "secret-second.json"),
    ),
    "powertools": Subject(
        "Powertools batch and idempotency",
        partial(_function, "powertools", _completed),
        ("awslambdaric",),
        (*_files("powertools", "app.py", "template.yaml"), _CLIENT),
    ),
    "celery_batches": Subject(
        "celery with celery-batches",
        _celery,
        ("celery", "worker"),
        (*_files("celery_batches", "tasks.py", "celeryconfig.py", "Procfile", "template.yaml"), _CLIENT),
    ),
    "by_hand": Subject(
        "by hand: boto3, requests",
        partial(_function, "by_hand", _remembered),
        ("awslambdaric",),
        (*_files("by_hand", "app.py", "template.yaml"), _CLIENT),
    ),
}
