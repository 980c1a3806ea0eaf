"""How does a test get a connector and a Responsys account of its own, on the stack that all tests share?"""

import contextlib
import itertools
import json
import uuid
from collections import Counter
from collections.abc import Sequence
from typing import Any

from tests.local_stack.published_metrics import PublishedMetrics
from tests.local_stack.queues import send_all
from tests.local_stack.stack import ConnectorSettings, LocalStack
from tests.simulator.client import SimulatorClient
from tests.simulator.inbox import InboxEvent
from tests.simulator.request_log import RequestRecord
from tests.simulator.settings import AccountSettings, CustomEvent, ProfileList

EVENT = "SEGMENT_CHANGED"
OTHER_EVENT = "CART_ABANDONED"
LIST = ProfileList(name="CONTACTS_LIST")

_riids = itertools.count(500_000_000)


class ConnectorUnderTest:
    """A connector with an account of its own.

    Parameters
    ----------
    stack
        The local stack, with a simulator of its own.
    account
        Settings of the account that differ, as the simulator's JSON.
    username
        Of the account; the connector's name where none is given.
    optional
        Further keys of the connector's parameter.

    Attributes
    ----------
    password
        What the account takes; the secret holds it unless `put` is told otherwise.
    """

    def __init__(
        self, stack: LocalStack, account: dict[str, Any] | None = None, *, username: str | None = None, **optional: Any
    ) -> None:
        assert stack.simulator is not None
        self.stack = stack
        self.simulator: SimulatorClient = stack.simulator
        self.name = f"c-{uuid.uuid4().hex[:10]}"
        self.username = username or self.name
        self.password = f"password-of-{self.username}"
        self.profile_list = {"name": LIST.name, "folder": LIST.folder}
        self.optional = {"defaultEventName": EVENT, **optional}
        self.simulator.put_account(
            AccountSettings(
                username=self.username,
                password=self.password,
                lists=(LIST,),
                events=(CustomEvent(name=EVENT), CustomEvent(name=OTHER_EVENT)),
            )
        )
        if account:
            self.simulator.patch_account(self.username, account)
        self.put()

    def put(self, password: str | None = None, identifier_type: str = "RIID") -> None:
        """Write the connector's secret and parameter."""
        self.stack.add_connector(
            self.name,
            ConnectorSettings(
                username=self.username,
                password=password or self.password,
                profile_list=self.profile_list,
                identifier_type=identifier_type,
                optional=self.optional,
            ),
        )

    def message(self, **changes: Any) -> dict[str, Any]:
        """Make a valid membership message of a new profile, with its messageId among the variables."""
        riid = str(next(_riids))
        message_id = f"message-{riid}"
        message = {
            "messageId": message_id,
            "profileId": f"profile-{riid}",
            "callType": "ADD",
            "segment": {"type": "AUDIENCE", "id": "aud-1"},
            "connector": self.name,
            "identifiers": {"27": riid},
            "variables": {"MESSAGE_ID": message_id},
        }
        return {name: value for name, value in {**message, **changes}.items() if value is not None}

    def bodies(self, count: int, **changes: Any) -> list[str]:
        """Make that many message bodies."""
        return [json.dumps(self.message(**changes)) for _ in range(count)]

    def publish(self, bodies: Sequence[str]) -> list[str]:
        """Put messages on SegmentEventsQueue so that they come in one batch, and return their SQS ids."""
        # Ten are sent in one call; more would be received while they are being sent.
        pause = self.stack.paused_event_sources() if len(bodies) > 10 else contextlib.nullcontext()
        with pause:
            return send_all(self.stack.endpoint.sqs, self.stack.outputs["SegmentEventsQueueUrl"], bodies)

    def inbox(self) -> list[InboxEvent]:
        """Return what Responsys accepted."""
        return self.simulator.inbox(self.username)

    def accepted(self) -> Counter[str]:
        """Count how often Responsys accepted each message, by messageId."""
        return Counter(event.value("MESSAGE_ID") or "" for event in self.inbox())

    def event_requests(self) -> list[RequestRecord]:
        """Return the requests that were to trigger events."""
        return self.simulator.requests(self.username, "event")

    def error_codes(self) -> Counter[str | None]:
        """Count the answers to event requests by error code; None: a list of results."""
        return Counter(record.error_code for record in self.event_requests())

    def metric(self, name: str, **dimensions: str) -> int:
        """Return the sum of one of the connector's metrics."""
        metrics = PublishedMetrics(self.stack.endpoint.cloudwatch)
        return round(metrics.total(name, connector=self.name, **dimensions))


def message_ids(bodies: Sequence[str]) -> list[str]:
    """Return the messageId of each body."""
    return [json.loads(body)["messageId"] for body in bodies]
