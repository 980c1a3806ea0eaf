"""How is a release deployed on the emulator? By the command that its own README shows, and the AWS CLI."""

import json
import os
import subprocess
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

from tests.local_stack.aws_endpoint import AwsEndpoint
from tests.local_stack.build import HOST_ARCHITECTURE, HOST_RUNTIME
from tests.local_stack.environments import program
from tests.local_stack.processes import LocalStackError
from tests.local_stack.template_expansion import expanding_templates

_BUCKET = "releases"


def deploy_release(
    endpoint: AwsEndpoint,
    release: Path,
    *,
    stack_name: str,
    parameters: Mapping[str, str],
    hook_url: str,
    say: Callable[[str], None],
) -> dict[str, str]:
    """Deploy a release's archive, and return the stack's outputs.

    Raises
    ------
    LocalStackError
        The release is for another runtime, or its command failed; the message is what it said.
    """
    aws = program(".venv-release", "aws")
    with tempfile.TemporaryDirectory(prefix="responsys-release-") as directory:
        zipfile.ZipFile(release).extractall(directory)
        (folder,) = Path(directory).iterdir()
        runtime = json.loads((folder / "template.json").read_text())["Globals"]["Function"]["Runtime"]
        if runtime != HOST_RUNTIME:
            raise LocalStackError(f"The release is for {runtime}, and here is {HOST_RUNTIME}: see make release-check.")
        values = {**parameters, "Architecture": HOST_ARCHITECTURE}
        (folder / "parameters.json").write_text(json.dumps([f"{name}={value}" for name, value in values.items()]))
        endpoint.s3.create_bucket(Bucket=_BUCKET)
        with expanding_templates(endpoint, hook_url, say) as cloudformation_url:
            run = subprocess.run(
                ["/bin/sh", "-c", deploying_command((folder / "README.md").read_text())],
                cwd=folder,
                env={
                    **endpoint.environment,
                    "AWS_ENDPOINT_URL_CLOUDFORMATION": cloudformation_url,
                    "BUCKET": _BUCKET,
                    "HOME": directory,
                    "PATH": f"{aws.parent}{os.pathsep}{os.environ['PATH']}",
                    "STACK": stack_name,
                },
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                check=False,
            )
    if run.returncode != 0:
        raise LocalStackError(f"The release was not deployed: {(run.stderr or run.stdout).strip()}")
    (stack,) = endpoint.cloudformation.describe_stacks(StackName=stack_name)["Stacks"]
    return {output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", [])}


def deploying_command(readme: str) -> str:
    """Return the command by which a page says that a release is deployed."""
    (command,) = (
        line.strip() for line in readme.splitlines() if line.strip().startswith("aws cloudformation package ")
    )
    return command
