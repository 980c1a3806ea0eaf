"""What became of the messages of a scenario? Sends them, waits until they have settled, and counts."""

import json
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from tests.local_stack.environments import REPOSITORY
from tests.local_stack.published_metrics import PublishedMetrics
from tests.local_stack.queues import depth, send_all, take_all
from tests.local_stack.stack import ConnectorSettings, LocalStack
from tests.simulator.client import SimulatorClient
from tests.simulator.settings import AccountSettings, CustomEvent, ProfileList

DOCUMENT = REPOSITORY / "docs" / "reliability.md"
LIST = ProfileList(name="CONTACTS_LIST", folder="!MasterData")
EVENT = "SEGMENT_CHANGED"
_POLL_SECONDS = 0.5
_QUIET_POLLS = 4
_BY_SQS = "received five times"


@dataclass(frozen=True)
class Result:
    """What became of a scenario's messages.

    Attributes
    ----------
    rejected_codes
        Messages on RejectedDLQ by error code; those that SQS moved there after five receives have none.
    ignored
        Counted in `EventsIgnored`: a newer change of the same profile and segment went out before.
    lost
        Neither accepted by Responsys, nor on RejectedDLQ, nor ignored when everything had settled.
    duplicates
        Acceptances beyond the first of a message.
    most_often, most_allowed
        How often Responsys accepted the message that it accepted most often, and 1 + `MaximumResends`.
    last_states_wrong
        Profiles whose newest change Responsys accepted, and after it an older one.
    counted_unknown
        Messages counted in `OutcomesUnknown`.
    received, ended
        What the metrics count as received, and as ended in one of the six outcomes; they must be the same.
    extra_requests
        Event requests beyond the least that could carry the messages.
    seconds
        From the first message sent until everything had settled.
    """

    fault: str
    messages: int
    accepted: int
    rejected: int
    rejected_codes: dict[str, int]
    ignored: int
    lost: int
    duplicates: int
    most_often: int
    most_allowed: int
    last_states_wrong: int
    counted_unknown: int
    received: int
    ended: int
    extra_requests: int
    throttled_requests: int
    seconds: float

    @property
    def holds(self) -> bool:
        """Nothing lost, twice only what was counted and not more often than allowed, last states and counts right."""
        bounded = self.duplicates <= self.counted_unknown and self.most_often <= self.most_allowed
        right = self.last_states_wrong == 0 and self.received == self.ended
        return self.lost == 0 and bounded and right


class Trial:
    """A connector and an account of its own for one scenario, so that scenarios cannot disturb each other."""

    identifier_type = "RIID"
    further_settings: ClassVar[Mapping[str, Any]] = {}

    def __init__(self, stack: LocalStack, fault: str, *, requests_per_minute: int = 600) -> None:
        assert stack.simulator is not None
        self.stack = stack
        self.simulator: SimulatorClient = stack.simulator
        self.fault = fault
        self.name = f"r-{uuid.uuid4().hex[:8]}"
        self.password = "correct-horse"
        self._sent: list[str] = []
        self._newest: dict[str, str] = {}  # by profile, the messageId of its newest change
        self._started = time.monotonic()
        self.simulator.put_account(
            AccountSettings(
                username=self.name, password=self.password, lists=(LIST,), events=(CustomEvent(name=EVENT),)
            )
        )
        self.simulator.patch_account(self.name, {"limits": {"requestsPerMinute": requests_per_minute}})
        self.requests_per_minute = requests_per_minute
        self.put_connector()

    def put_connector(self) -> None:
        """Write the connector's parameter and secret, the latter with `password`."""
        self.stack.add_connector(
            self.name,
            ConnectorSettings(
                username=self.name,
                password=self.password,
                profile_list={"name": LIST.name, "folder": LIST.folder},
                identifier_type=self.identifier_type,
                optional={
                    "defaultEventName": EVENT,
                    "requestsPerMinute": self.requests_per_minute,
                    **self.further_settings,
                },
            ),
        )

    def remove_other_connectors(self) -> None:
        """Leave one account: of several, requests give their places up for the others', and come back later."""
        ssm, prefix = self.stack.endpoint.client("ssm"), self.stack.outputs["ConnectorParameterPrefix"]
        pages = ssm.get_paginator("get_parameters_by_path").paginate(Path=prefix)
        for name in [parameter["Name"] for page in pages for parameter in page["Parameters"]]:
            if name != f"{prefix}{self.name}":
                ssm.delete_parameter(Name=name)

    def bodies(self, count: int) -> list[str]:
        """Make membership messages of new profiles, each with an id of its own as `messageId` and as a variable."""
        return [
            self._body(f"{self.name}-profile-{len(self._sent)}", 10_000_000 + len(self._sent), "ADD")
            for _ in range(count)
        ]

    def leaving(self, entering: Sequence[str]) -> list[str]:
        """Make the messages with which the profiles of these leave again."""
        entered = [json.loads(body) for body in entering]
        return [self._body(each["profileId"], int(each["identifiers"]["27"]), "REMOVE") for each in entered]

    def _body(self, profile: str, recipient: int, call_type: str) -> str:
        message_id = f"{self.name}-{len(self._sent)}"
        self._sent.append(message_id)
        self._newest[profile] = message_id
        return json.dumps(
            {
                "messageId": message_id,
                "profileId": profile,
                "callType": call_type,
                "connector": self.name,
                "segment": {"type": "AUDIENCE", "id": "aud-1"},
                "identifiers": {"27": str(recipient)},
                "variables": {"MESSAGE_ID": message_id},
            }
        )

    def send(self, bodies: Iterable[str]) -> None:
        """Put messages on SegmentEventsQueue."""
        send_all(self.stack.endpoint.sqs, self.stack.outputs["SegmentEventsQueueUrl"], list(bodies))

    def accepted(self) -> Counter[str]:
        """Count the acceptances of each message."""
        return Counter(event.value("MESSAGE_ID") or "" for event in self.simulator.inbox(self.name))

    def wait_settled(self, timeout: float, progress: Callable[[], None] = lambda: None) -> None:
        """Wait until no message is on its way: all accepted or rejected, or the queues have stayed empty."""
        deadline = time.monotonic() + timeout
        quiet = 0
        while time.monotonic() < deadline:
            progress()
            waiting = self.on_their_way()
            quiet = quiet + 1 if waiting == 0 else 0
            if quiet >= _QUIET_POLLS:
                return
            time.sleep(_POLL_SECONDS)

    def result(self) -> Result:
        """Count what became of the messages; takes this scenario's from RejectedDLQ."""
        seconds = time.monotonic() - self._started
        time.sleep(1.0)  # metrics follow the logs
        accepted = self.accepted()
        rejected = self._take_rejected()
        summary = self.simulator.summary(self.name)
        sent = set(self._sent)
        metrics = PublishedMetrics(self.stack.endpoint.cloudwatch)
        outcomes = metrics.outcomes(connector=self.name, eventName=EVENT)
        ignored, received = outcomes["EventsIgnored"], outcomes.pop("MessagesReceived")
        return Result(
            fault=self.fault,
            messages=len(sent),
            accepted=len(accepted),
            rejected=len(rejected),
            rejected_codes=dict(Counter(rejected.values())),
            ignored=ignored,
            lost=len(sent - accepted.keys() - rejected.keys()) - ignored,
            duplicates=sum(accepted.values()) - len(accepted),
            most_often=max(accepted.values(), default=0),
            most_allowed=1 + int(self.stack.parameters["MaximumResends"]),
            last_states_wrong=self._last_states_wrong(accepted),
            counted_unknown=round(metrics.total("OutcomesUnknown", connector=self.name)),
            received=received,
            ended=sum(outcomes.values()),
            extra_requests=summary.event_requests - -(-len(sent) // 200),
            throttled_requests=summary.throttled_requests,
            seconds=seconds,
        )

    def _last_states_wrong(self, accepted: Counter[str]) -> int:
        last = {event.value("profileId"): event.value("MESSAGE_ID") for event in self.simulator.inbox(self.name)}
        return sum(newest in accepted and last[profile] != newest for profile, newest in self._newest.items())

    def on_their_way(self) -> int:
        """Count the messages on SegmentEventsQueue and ThrottledDLQ, waiting, delayed or in flight."""
        queues = ("SegmentEventsQueueUrl", "ThrottledDeadLetterQueueUrl")
        return sum(depth(self.stack.endpoint.sqs, self.stack.outputs[queue]) for queue in queues)

    def waiting(self) -> int:
        """Count the messages on SegmentEventsQueue that nobody has received."""
        url = self.stack.outputs["SegmentEventsQueueUrl"]
        attributes = self.stack.endpoint.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
        return int(attributes["ApproximateNumberOfMessages"])

    def _take_rejected(self) -> dict[str, str]:
        """Empty RejectedDLQ; give each message's error code, or that SQS put it there after too many receives."""
        codes = {}
        for message in take_all(self.stack.endpoint.sqs, self.stack.outputs["RejectedDeadLetterQueueUrl"]):
            attributes = {name: value["StringValue"] for name, value in message.get("MessageAttributes", {}).items()}
            ours = attributes.get("outcome") == "rejected"
            codes[json.loads(message["Body"])["messageId"]] = attributes["errorCode"] if ours else _BY_SQS
        return codes
