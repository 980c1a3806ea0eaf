"""Which ways of sending are compared? Each is a handler of SQS events, run in a process of its own.

- ``floor``: the least that could do: no validation, no ledger, no outcome of a recipient looked at.
- ``common``: common practice: a partial-batch processor, one request a message.
- ``ours``: the deployed function without its delivery table.
- ``ours_with_ledger``: the deployed function, the table on the emulated AWS.
- ``ours_with_feed``: the same with ``OutcomeFeed=On``, EventBridge on the emulated AWS.

`python -m tests.benchmarks.subjects SUBJECT` reads a :class:`Task` from standard input and prints a :class:`Cost`.
"""

import json
import os
import resource
import sys
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from types import SimpleNamespace
from typing import Any, TextIO

import requests

from tests.benchmarks.memberships import EVENT_NAME, LIST_NAME, batches

__all__ = ["SUBJECTS", "Cost", "Task"]

Handler = Callable[[dict[str, Any], Any], Any]

_RECIPIENTS = 200
_CONTEXT = SimpleNamespace(
    function_name="segment-events",
    memory_limit_in_mb=512,
    invoked_function_arn="arn:aws:lambda:us-east-1:123456789012:function:segment-events",
    aws_request_id="00000000-0000-4000-8000-000000000000",
    get_remaining_time_in_millis=lambda: 120_000,
)


@dataclass(frozen=True)
class Task:
    """What to send, and where.

    Attributes
    ----------
    run
        Makes the message ids of this run its own.
    endpoint, username, password
        The simulated account.
    environment
        The deployed function's variables, and how to reach AWS.
    """

    messages: int
    batch_size: int
    connector: str
    run: str
    endpoint: str
    username: str
    password: str
    queue_arn: str
    environment: Mapping[str, str]


@dataclass(frozen=True)
class Cost:
    """What the messages cost, without start and first batch.

    Attributes
    ----------
    started_at
        Epoch seconds, after the first batch.
    cpu_seconds
        Of the process and its threads, user and system.
    """

    started_at: float
    cpu_seconds: float


def _log_in(task: Task) -> tuple[str, str]:
    form = {"user_name": task.username, "password": task.password, "auth_type": "password"}
    reply = requests.post(f"{task.endpoint}/rest/api/v1.3/auth/token", data=form, timeout=10).json()
    return reply["authToken"], f"{reply['endPoint']}/rest/api/v1.3/events/{EVENT_NAME}"


def floor(task: Task) -> Handler:
    """Load, build, dump, post."""
    token, url = _log_in(task)
    session = requests.Session()
    session.trust_env = False
    headers = {"Authorization": token, "Content-Type": "application/json"}

    def handler(event: dict[str, Any], _context: Any) -> None:
        recipients = [_recipient(json.loads(record["body"])) for record in event["Records"]]
        for start in range(0, len(recipients), _RECIPIENTS):
            body = json.dumps({"customEvent": {}, "recipientData": recipients[start : start + _RECIPIENTS]})
            session.post(url, data=body, headers=headers, timeout=60).raise_for_status()

    return handler


def _recipient(document: dict[str, Any]) -> dict[str, Any]:
    properties = [
        {"name": name, "value": value if isinstance(value, str) else json.dumps(value)}
        for name, value in document["variables"].items()
    ]
    properties += [
        {"name": "profileId", "value": document["profileId"]},
        {"name": "callType", "value": document["callType"]},
    ]
    recipient = {
        "recipientId": int(document["identifiers"]["27"]),
        "listName": {"objectName": LIST_NAME, "folderName": "!MasterData"},
    }
    return {"recipient": recipient, "optionalData": properties}


def common(task: Task) -> Handler:
    """Powertools' batch processor, the same model, one post a message."""
    from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
    from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord

    from responsys_activation.membership import Membership

    token, url = _log_in(task)
    headers = {"Authorization": token, "Content-Type": "application/json"}
    processor = BatchProcessor(event_type=EventType.SQS)

    def send(record: SQSRecord) -> None:
        membership = Membership.model_validate_json(record.body)
        # Without warnings, which would cost more than the dump: our model keeps the time as the text that it was.
        document = membership.model_dump(mode="json", by_alias=True, warnings=False)
        body = json.dumps({"customEvent": {}, "recipientData": [_recipient(document)]})
        requests.post(url, data=body, headers=headers, timeout=60).raise_for_status()

    def handler(event: dict[str, Any], context: Any) -> Any:
        return process_partial_response(event=event, record_handler=send, processor=processor, context=context)

    return handler


def ours(task: Task) -> Handler:
    """Everything but the delivery table."""
    from responsys_activation.aws.claims import Claim, ClaimState
    from responsys_activation.aws.clients import open_clients
    from responsys_activation.aws.ledger import Ledger
    from responsys_activation.aws.request_pace import RequestPace
    from responsys_activation.aws.slots import Slot
    from responsys_activation.change import Change
    from responsys_activation.connector import Connector
    from responsys_activation.delivery.composition import DeliveryComposition
    from responsys_activation.settings import Settings, read_settings

    class NoLedger(Ledger):
        def __init__(self) -> None:
            """Nothing is kept."""

        def claim(self, changes: Sequence[Change], *_others: Any) -> list[Claim]:
            return [Claim(ClaimState.CLAIMED, written=True) for _ in changes]

        def record(self, _request_id: str, *, undelivered: Collection[int], unknown: Collection[int]) -> None:
            if undelivered or unknown:
                raise AssertionError("every message of a benchmark is delivered")

    class NoPace(RequestPace):
        def __init__(self) -> None:
            """Nobody waits."""

        def reserve(
            self,
            _read_limit: Any,
            latest: float,
            *,
            returned: bool | None = None,
            full: float = 1.0,
            patient: bool = False,
        ) -> Slot:
            return Slot(time.time(), until=latest)

    class WithoutTable(DeliveryComposition):
        def open_ledger(self) -> Ledger:
            return NoLedger()

        def open_pace(self, _name: str, _connector: Connector) -> RequestPace:
            return NoPace()

    app = _app(task)
    app.delivery = WithoutTable(read_settings(Settings, os.environ), open_clients()).delivery
    return _checked(app.handler)


def ours_with_ledger(task: Task) -> Handler:
    """The function as it is deployed."""
    return _checked(_app(task).handler)


def ours_with_feed(task: Task) -> Handler:
    """The function as it is deployed with the outcome feed."""
    return ours_with_ledger(replace(task, environment={**task.environment, "OUTCOME_FEED": "On"}))


def _app(task: Task) -> Any:
    os.environ.update(task.environment)
    from functions.segment_events import app

    return app


def _checked(handler: Handler) -> Handler:
    def checked(event: dict[str, Any], context: Any) -> None:
        if handler(event, context)["batchItemFailures"]:
            raise AssertionError("every message of a benchmark is delivered")

    return checked


SUBJECTS: Mapping[str, Callable[[Task], Handler]] = {
    "floor": floor,
    "common": common,
    "ours": ours,
    "ours_with_ledger": ours_with_ledger,
    "ours_with_feed": ours_with_feed,
}


def main() -> None:
    """Send, and tell what it cost."""
    task = Task(**json.load(sys.stdin))
    answer, sys.stdout = sys.stdout, _nowhere()
    handler = SUBJECTS[sys.argv[1]](task)
    warm_up = batches(_RECIPIENTS, _RECIPIENTS, task.queue_arn, connector=task.connector, run=f"{task.run}w")
    for event in warm_up:
        handler(event, _CONTEXT)
    started_at = time.time()
    cpu = 0.0
    # One at a time, as they arrive, so that all of them are not in memory together.
    for event in batches(
        task.messages, task.batch_size, task.queue_arn, connector=task.connector, run=task.run, first=_RECIPIENTS
    ):
        before = _cpu_seconds()
        handler(event, _CONTEXT)
        cpu += _cpu_seconds() - before
    print(json.dumps(asdict(Cost(started_at, cpu))), file=answer)


def _nowhere() -> TextIO:
    """Lambda takes what is printed through a pipe; writing it costs the same here."""
    return open(os.devnull, "w", encoding="utf-8")


def _cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    main()
