"""How does the real template become a stack on the emulator?"""

import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from botocore.exceptions import ClientError

from tests.local_stack.aws_endpoint import AwsEndpoint
from tests.local_stack.build import built
from tests.local_stack.local_template import local_template
from tests.local_stack.processes import LocalStackError

_BUCKET = "local-stack-artifacts"
_TEMPLATE = "template.json"
_SECONDS_TO_CREATE = 120.0


def deploy(
    endpoint: AwsEndpoint,
    template_path: Path,
    *,
    stack_name: str,
    parameters: Mapping[str, str],
    hook_url: str,
    say: Callable[[str], None],
) -> dict[str, str]:
    """Build and deploy a SAM template, and return the stack's outputs.

    Raises
    ------
    LocalStackError
        The build failed, or CloudFormation refused or could not create the stack; the message is its reason.
    """
    endpoint.s3.create_bucket(Bucket=_BUCKET)
    code_uris = {}
    with built(template_path) as build:
        for logical_id, archive in build.archives.items():
            endpoint.s3.put_object(Bucket=_BUCKET, Key=archive.name, Body=archive.read_bytes())
            code_uris[logical_id] = f"s3://{_BUCKET}/{archive.name}"
    template = local_template(build.template, parameters, code_uris, endpoint.region, hook_url)
    for logical_id, reason in template.left_out.items():
        say(f"Left out locally: {logical_id} ({reason}).")
    # As SAM does it: a template that comes with the call may have 51,200 bytes only.
    endpoint.s3.put_object(Bucket=_BUCKET, Key=_TEMPLATE, Body=json.dumps(template.body).encode())
    try:
        endpoint.cloudformation.create_stack(
            StackName=stack_name,
            TemplateURL=f"{endpoint.url}/{_BUCKET}/{_TEMPLATE}",
            Parameters=[{"ParameterKey": name, "ParameterValue": value} for name, value in parameters.items()],
            Capabilities=["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM"],
        )
    except ClientError as exc:
        raise LocalStackError(f"CloudFormation refused the stack: {exc.response['Error']['Message']}") from exc
    return _outputs_once_created(endpoint, stack_name)


def _outputs_once_created(endpoint: AwsEndpoint, stack_name: str) -> dict[str, str]:
    deadline = time.monotonic() + _SECONDS_TO_CREATE
    while time.monotonic() < deadline:
        (stack,) = endpoint.cloudformation.describe_stacks(StackName=stack_name)["Stacks"]
        match stack["StackStatus"]:
            case "CREATE_COMPLETE":
                return {output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", [])}
            case "CREATE_IN_PROGRESS":
                time.sleep(0.05)
            case _:
                raise LocalStackError(f"The stack was not created: {_first_failure(endpoint, stack_name)}")
    raise LocalStackError(f"The stack was not created within {_SECONDS_TO_CREATE:.0f} s.")


def _first_failure(endpoint: AwsEndpoint, stack_name: str) -> str:
    events = endpoint.cloudformation.describe_stack_events(StackName=stack_name)["StackEvents"]
    failures = [event for event in events if event.get("ResourceStatus", "").endswith("FAILED")]
    first = min(failures, key=lambda event: event["Timestamp"], default=None)
    if first is None:
        return "CloudFormation gives no reason"
    return f"{first.get('LogicalResourceId')}: {first.get('ResourceStatusReason')}"
