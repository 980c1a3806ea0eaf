"""What does a deployed stack say of itself, and how does an operator speak to it?

For the command alone; no function imports this.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from functools import cached_property
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config

from responsys_activation.aws.connectors import ConnectorParameters
from responsys_activation.aws.delivery_table import DeliveryTable
from responsys_activation.aws.deployment import Deployment
from responsys_activation.aws.ledger import Ledger
from responsys_activation.aws.stack_call import StackError, stack_call
from responsys_activation.aws.temporary_source import temporary_rule, temporary_topic

if TYPE_CHECKING:
    from mypy_boto3_sqs.literals import QueueAttributeNameType

__all__ = ["DeployedStack", "stack_at_endpoint", "stack_on_aws"]

_CONFIG = Config(connect_timeout=5, read_timeout=60, retries={"mode": "standard", "total_max_attempts": 4})
# A function may run for 15 minutes, and the SDK must not invoke it a second time meanwhile.
_PATIENT = _CONFIG.merge(Config(read_timeout=930, retries={"total_max_attempts": 1}))
_DEPTHS: tuple[QueueAttributeNameType, ...] = (
    "ApproximateNumberOfMessages",
    "ApproximateNumberOfMessagesNotVisible",
    "ApproximateNumberOfMessagesDelayed",
)


class DeployedStack:
    """A stack and the way to it.

    Parameters
    ----------
    session : boto3.session.Session
        Knows credentials and region.
    endpoint_url : str or None
        Of an emulated AWS.

    Attributes
    ----------
    is_local : bool
        It is on an emulated AWS, where nothing can go wrong for anybody.
    """

    def __init__(self, name: str, session: boto3.session.Session, *, endpoint_url: str | None = None) -> None:
        self.name = name
        self.is_local = endpoint_url is not None
        self._session = session
        self._endpoint_url = endpoint_url
        self._clients: dict[str, Any] = {}

    @property
    def status(self) -> str:
        """CloudFormation's word for how its last deployment ended, such as ``UPDATE_COMPLETE``.

        Raises
        ------
        StackError
            There is no such stack, or it may not be looked at.
        """
        status: str = self._description["StackStatus"]
        return status

    @property
    def title(self) -> str:
        """Its name for a person, who must see which of the two it is."""
        return f"{self.name} (local)" if self.is_local else self.name

    @cached_property
    def outputs(self) -> Mapping[str, str]:
        """The stack's outputs, by name.

        Raises
        ------
        StackError
            There is no such stack, or it may not be looked at.
        """
        return {each["OutputKey"]: each["OutputValue"] for each in self._description.get("Outputs", [])}

    def output(self, name: str) -> str:
        """Return one of them.

        Raises
        ------
        StackError
            It has none of that name, so it is another's stack.
        """
        if name not in self.outputs:
            raise StackError(f"stack {self.name} has no output {name}: is it a stack of responsys-activation?")
        return self.outputs[name]

    @cached_property
    def parameters(self) -> Mapping[str, str]:
        """What the stack was deployed with, by the parameter's name."""
        return {each["ParameterKey"]: each["ParameterValue"] for each in self._description.get("Parameters", [])}

    def invoke(self, function: str, event: Mapping[str, Any]) -> dict[str, Any]:
        """Invoke a function and give its answer.

        Parameters
        ----------
        function : str
            The output that names it.

        Raises
        ------
        StackError
            It could not be invoked, or failed.
        """
        name = self.output(function)
        with stack_call(f"cannot invoke {name}"):
            answer = self._client("lambda").invoke(FunctionName=name, Payload=json.dumps(event))
            document: dict[str, Any] = json.loads(answer["Payload"].read())
        if "FunctionError" in answer:
            raise StackError(f"{name} failed: {document.get('errorMessage', document)}")
        return document

    def send(self, body: str) -> str:
        """Put a message on SegmentEventsQueue, and give its SQS message id.

        Raises
        ------
        StackError
            The queue did not take it.
        """
        with stack_call("cannot send to SegmentEventsQueue"):
            answer = self._client("sqs").send_message(QueueUrl=self.output("SegmentEventsQueueUrl"), MessageBody=body)
        message_id: str = answer["MessageId"]
        return message_id

    def temporary_topic(self) -> AbstractContextManager[Callable[[str], None]]:
        """Make a topic whose messages go to SegmentEventsQueue; gives what publishes one."""
        return temporary_topic(self.name, self.output("SegmentEventsQueueArn"), self._client("sns"))

    def temporary_rule(self) -> AbstractContextManager[Callable[[str], None]]:
        """Make an event rule whose events go to SegmentEventsQueue; gives what puts one."""
        return temporary_rule(self.name, self.output("SegmentEventsQueueArn"), self._client("events"))

    def queue_arn(self, queue_url: str) -> str:
        """Return the ARN of a queue of the stack.

        Parameters
        ----------
        queue_url : str
            The output that has the queue's URL.
        """
        of_account = self.output("SegmentEventsQueueArn").rpartition(":")[0]
        return f"{of_account}:{self.output(queue_url).rpartition('/')[2]}"

    def depth(self, queue_url: str) -> int:
        """Count the messages of a queue, be they visible, in flight or delayed.

        Parameters
        ----------
        queue_url : str
            The output that has the queue's URL.

        Raises
        ------
        StackError
            SQS did not tell.
        """
        with stack_call("cannot count the messages of a queue"):
            attributes = self._client("sqs").get_queue_attributes(
                QueueUrl=self.output(queue_url), AttributeNames=list(_DEPTHS)
            )["Attributes"]
        return sum(int(attributes[name]) for name in _DEPTHS)

    def log_events(self, since: float, term: str) -> Iterator[dict[str, Any]]:
        """Yield what the function that delivers logged.

        Parameters
        ----------
        since : float
            Epoch seconds.
        term : str
            What an event must hold.

        Yields
        ------
        dict
            An event as CloudWatch Logs has it: ``eventId``, ``logStreamName``, ``message``, and ``timestamp`` in
            milliseconds.

        Raises
        ------
        StackError
            The log group could not be read.
        """
        group = f"/aws/lambda/{self.output('SegmentEventsFunctionName')}"
        with stack_call(f"cannot read the log group {group}"):
            pages = (
                self._client("logs")
                .get_paginator("filter_log_events")
                .paginate(logGroupName=group, startTime=int(since * 1000), filterPattern=f'"{term}"')
            )
            for page in pages:
                yield from page["events"]

    @cached_property
    def connector_parameters(self) -> ConnectorParameters:
        """The connectors' settings."""
        return ConnectorParameters(self.output("ConnectorParameterPrefix"), self._client("ssm"))

    @cached_property
    def ledger(self) -> Ledger:
        """What is known of the messages that were sent."""
        with stack_call(f"cannot find the delivery table of {self.name}"):
            answer = self._client("cloudformation").describe_stack_resource(
                StackName=self.name, LogicalResourceId="DeliveryTable"
            )
        table: str = answer["StackResourceDetail"]["PhysicalResourceId"]
        return Ledger(DeliveryTable(table, self._client("dynamodb")))

    @cached_property
    def deployment(self) -> Deployment:
        """The resources of the stack, and their state."""
        return Deployment(self.name, self._client)

    @cached_property
    def _description(self) -> Mapping[str, Any]:
        with stack_call(f"stack {self.name}"):
            (description,) = self._client("cloudformation").describe_stacks(StackName=self.name)["Stacks"]
        found: Mapping[str, Any] = description
        return found

    def _client(self, service: str) -> Any:
        if service not in self._clients:
            with stack_call(f"stack {self.name}"):
                create: Any = self._session.client
                config = _PATIENT if service == "lambda" else _CONFIG
                self._clients[service] = create(service, endpoint_url=self._endpoint_url, config=config)
        return self._clients[service]


def stack_on_aws(name: str, *, region: str | None = None, profile: str | None = None) -> DeployedStack:
    """Return a stack on AWS; credentials, and what is not given, are found where the AWS CLI finds them.

    Raises
    ------
    StackError
        There is no such profile.
    """
    with stack_call(f"stack {name}"):
        return DeployedStack(name, boto3.session.Session(region_name=region, profile_name=profile))


def stack_at_endpoint(name: str, url: str, region: str) -> DeployedStack:
    """Return a stack of an emulated AWS, for which the caller's own credentials are never looked at."""
    session = boto3.session.Session(aws_access_key_id="test", aws_secret_access_key="test", region_name=region)  # noqa: S106
    return DeployedStack(name, session, endpoint_url=url)
