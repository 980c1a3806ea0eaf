"""What does the page show? Everything that it needs for one look at the local stack, and nothing is changed by it."""

import threading
import time
from collections.abc import Mapping
from typing import Any

from responsys_activation.aws.connectors import ConnectorParameters
from tests.local_stack.aws_endpoint import AwsEndpoint
from tests.local_stack.page.dead_letters import grouped, letters_on
from tests.local_stack.page.graphs import graphs
from tests.local_stack.page.inbox import Inbox
from tests.local_stack.page.log_lines import LogLines
from tests.local_stack.page.pauses import budgets, pause_of
from tests.local_stack.published_metrics import PublishedMetrics
from tests.local_stack.stack import STACK_NAME, LocalStack

SEND_COMMAND = "make send PROFILE_ID=profile-1 SEGMENT=aud-1 ID=364470825"

_QUEUES = {
    "SegmentEventsQueue": "SegmentEventsQueueUrl",
    "ThrottledDLQ": "ThrottledDeadLetterQueueUrl",
    "RejectedDLQ": "RejectedDeadLetterQueueUrl",
}
_DEAD_LETTER_QUEUES = ("ThrottledDLQ", "RejectedDLQ")
_DEPTHS = {
    "waiting": "ApproximateNumberOfMessages",
    "inFlight": "ApproximateNumberOfMessagesNotVisible",
    "delayed": "ApproximateNumberOfMessagesDelayed",
}
_MOST_LETTERS = 5_000  # of a queue; beyond that only their number is shown
_MOST_EVENTS = 50
_MOST_LINES = 50


class State:
    """What the local stack looks like, at each look.

    Parameters
    ----------
    stack
        The running stack.
    """

    def __init__(self, stack: LocalStack) -> None:
        self._stack = stack
        self._endpoint: AwsEndpoint = stack.endpoint
        self._started = time.time()
        self._lock = threading.Lock()
        self._metrics = PublishedMetrics(stack.endpoint.cloudwatch)
        self._connectors = ConnectorParameters(stack.outputs["ConnectorParameterPrefix"], stack.endpoint.client("ssm"))
        self._lines = LogLines(stack.endpoint, f"/aws/lambda/{stack.function_name}", self._started)
        self._inbox = Inbox(stack.simulator.url) if stack.simulator else None
        resource = stack.endpoint.cloudformation.describe_stack_resource(
            StackName=STACK_NAME, LogicalResourceId="DeliveryTable"
        )
        self._table = resource["StackResourceDetail"]["PhysicalResourceId"]

    def read(self, find: str = "") -> dict[str, Any]:
        """Look at everything once.

        Parameters
        ----------
        find
            Part of a profile, a recipient, a message id or a value: events, letters and lines without it are left out.

        Raises
        ------
        BotoCoreError, ClientError, AwsCallError, requests.RequestException
            The emulator or the simulator did not answer.
        """
        with self._lock:
            connectors = self._connectors.read_all()
            queues = {name: self._depths(self._stack.outputs[output]) for name, output in _QUEUES.items()}
            return {
                "started": round(self._started * 1000),
                "send": SEND_COMMAND,
                "timeScale": self._stack.time_scale,
                "simulated": self._inbox is not None,
                "queues": queues,
                "function": self._stack.worker_counts(),
                "outcomes": self._metrics.outcomes(service="segment_events"),
                "requests": round(sum(self._metrics.total("ApiRequests", connector=name) for name in connectors)),
                "pauses": self._pauses(budgets(connectors)),
                "letters": {name: self._letters(name, queues[name], find) for name in _DEAD_LETTER_QUEUES},
                "events": self._inbox.newest(_MOST_EVENTS, find) if self._inbox else [],
                "accepted": self._inbox.total if self._inbox else None,
                "lines": self._lines.newest(_MOST_LINES, find),
                **graphs(
                    self._endpoint.cloudwatch,
                    {name: self._stack.outputs[output].rpartition("/")[2] for name, output in _QUEUES.items()},
                    connectors,
                    self._started,
                ),
                "now": round(time.time() * 1000),
            }

    def _depths(self, queue_url: str) -> dict[str, int]:
        answer = self._endpoint.sqs.get_queue_attributes(QueueUrl=queue_url, AttributeNames=["All"])
        attributes = {str(name): value for name, value in answer["Attributes"].items()}
        return {name: int(attributes[attribute]) for name, attribute in _DEPTHS.items()}

    def _pauses(self, budget_keys: Mapping[Any, list[str]]) -> list[dict[str, Any]]:
        dynamodb = self._endpoint.client("dynamodb")
        items = {
            key: dynamodb.get_item(TableName=self._table, Key=key.attributes()).get("Item", {}) for key in budget_keys
        }
        found = (pause_of(connectors, items[key]) for key, connectors in budget_keys.items())
        return [pause for pause in found if pause]

    def _letters(self, name: str, depths: Mapping[str, int], find: str) -> list[dict[str, Any]] | None:
        """Return the groups of a dead-letter queue's letters; None: too many to look at each second."""
        if not sum(depths.values()):
            return []
        if sum(depths.values()) > _MOST_LETTERS:
            return None
        return grouped(letters_on(self._endpoint.url, self._stack.outputs[_QUEUES[name]]), find)
