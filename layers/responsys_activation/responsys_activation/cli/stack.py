"""Which stack does a command line mean: the running local one, or one on AWS?"""

from __future__ import annotations

import json
from argparse import ArgumentParser, Namespace
from collections.abc import Mapping
from pathlib import Path

from responsys_activation.aws.deployed_stack import DeployedStack, stack_at_endpoint, stack_on_aws
from responsys_activation.cli.exit_code import CommandError

__all__ = ["add_stack_options", "stack_in_use"]

_LOCAL = Path(".local", "outputs.json")  # `make local` writes it, and takes it away at its end


def add_stack_options(parser: ArgumentParser) -> None:
    """Add the options that say which stack is meant."""
    group = parser.add_argument_group("stack")
    group.add_argument("--stack", metavar="NAME", help="a stack on AWS (default: the running local stack)")
    group.add_argument("--region", help="its region (default: as the AWS CLI finds it)")
    group.add_argument("--profile", help="profile of the AWS CLI whose credentials are used (default: as the AWS CLI)")


def stack_in_use(options: Namespace, environment: Mapping[str, str], directory: Path) -> DeployedStack:
    """Find the stack. STACK of the environment does not count: a command for the local stack would go to AWS.

    Parameters
    ----------
    environment : Mapping of str to str
        AWS_REGION is read here, because the AWS CLI takes it and boto3 does not.
    directory : Path
        Where to look for the local stack: here, and in the folders that this is in.

    Raises
    ------
    CommandError
        There is none.
    StackError
        There is no such profile.
    """
    if options.stack:
        return stack_on_aws(
            options.stack, region=options.region or environment.get("AWS_REGION"), profile=options.profile
        )
    for option in ("region", "profile"):
        if getattr(options, option):
            raise CommandError(f"--{option} is for a stack on AWS: name it with --stack NAME.")
    for folder in (directory, *directory.parents):
        if (path := folder / _LOCAL).exists():
            return _local(path)
    raise CommandError("no local stack is running here: start `make local`, or name a stack on AWS with --stack NAME.")


def _local(path: Path) -> DeployedStack:
    try:
        found = json.loads(path.read_text())
        return stack_at_endpoint(found["stackName"], found["awsEndpointUrl"], found["region"])
    except (OSError, ValueError, KeyError, TypeError) as exc:
        raise CommandError(
            f"{path} does not say where the local stack is ({type(exc).__name__}): restart it."
        ) from None
