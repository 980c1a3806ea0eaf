"""Which deployed stack does a command line speak to: the running local one, or one on AWS?"""

import functools
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from tests.local_stack.aws_endpoint import AwsEndpoint
from tests.local_stack.environments import LOCAL_DIRECTORY
from tests.local_stack.processes import LocalStackError
from tests.local_stack.stack import STACK_NAME

_OUTPUTS = LOCAL_DIRECTORY / "outputs.json"
# A function may run for 15 minutes, and the SDK must not invoke it a second time meanwhile.
_PATIENT = Config(connect_timeout=5, read_timeout=930, retries={"total_max_attempts": 1})


@dataclass(frozen=True)
class StackInUse:
    """A deployed stack and the way to it.

    Parameters
    ----------
    name
        The stack's name.
    outputs
        The stack's outputs.
    client
        Gives a boto3 client of any service.
    """

    name: str
    outputs: Mapping[str, str]
    client: Callable[[str], Any]

    @functools.cached_property
    def delivery_table(self) -> str:
        """Name of the table that holds the delivery ledger."""
        answer = self.client("cloudformation").describe_stack_resource(
            StackName=self.name, LogicalResourceId="DeliveryTable"
        )
        table: str = answer["StackResourceDetail"]["PhysicalResourceId"]
        return table

    def invoke(self, function_name: str, event: Mapping[str, Any]) -> dict[str, Any]:
        """Invoke a function, as `aws lambda invoke` does, and return its answer.

        Raises
        ------
        LocalStackError
            The function failed.
        """
        answer = self.client("lambda").invoke(FunctionName=function_name, Payload=json.dumps(event))
        document: dict[str, Any] = json.loads(answer["Payload"].read())
        if "FunctionError" in answer:
            raise LocalStackError(f"{function_name} failed: {document.get('errorMessage', document)}")
        return document


def stack_in_use(environment: Mapping[str, str] = os.environ) -> StackInUse:
    """Find the stack: STACK names one on AWS, for which credentials are found as ever; else the running local one.

    Raises
    ------
    LocalStackError
        There is none.
    """
    if name := environment.get("STACK"):
        return _on_aws(name)
    try:
        outputs = json.loads(_OUTPUTS.read_text())
    except FileNotFoundError:
        raise LocalStackError(
            "no local stack is running: start `make local` in another terminal, or name a stack on AWS with STACK=name."
        ) from None
    return StackInUse(STACK_NAME, outputs, AwsEndpoint(outputs["awsEndpointUrl"], outputs["region"]).client)


def _on_aws(name: str) -> StackInUse:
    # The AWS CLI takes AWS_REGION too, boto3 does not.
    session = boto3.session.Session(region_name=os.environ.get("AWS_REGION"))

    def client(service: str) -> Any:
        create: Any = session.client
        return create(service, config=_PATIENT)

    try:
        (stack,) = client("cloudformation").describe_stacks(StackName=name)["Stacks"]
    except (BotoCoreError, ClientError) as exc:
        raise LocalStackError(f"STACK={name}: {exc}") from None
    return StackInUse(name, {each["OutputKey"]: each["OutputValue"] for each in stack["Outputs"]}, client)
