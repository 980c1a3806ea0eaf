"""What was deployed for a function: its code, its layers, its configuration?

Read over the Lambda API for every invocation, so that an update of the function takes effect at once; the
archives are fetched once.
"""

import base64
import hashlib
import io
import shutil
import threading
import urllib.request
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tests.local_stack.aws_endpoint import AwsEndpoint
from tests.local_stack.local_template import HOOK_VARIABLE

if TYPE_CHECKING:
    from mypy_boto3_lambda.type_defs import FunctionConfigurationResponseTypeDef


@dataclass(frozen=True)
class DeployedFunction:
    """One function as it is deployed, its archives unpacked.

    Parameters
    ----------
    name, arn, handler, memory_megabytes, timeout_seconds, log_group, log_format, log_level
        As in the function's configuration.
    revision
        Changes with every update of code or configuration, and differs between versions.
    task_root
        What Lambda mounts at `/var/task`.
    layer_root
        What Lambda mounts at `/opt`: all layers, the later over the earlier.
    environment
        The variables of the configuration.
    """

    name: str
    arn: str
    revision: str
    handler: str
    memory_megabytes: int
    timeout_seconds: int
    log_group: str
    log_format: str
    log_level: str
    task_root: Path
    layer_root: Path
    environment: tuple[tuple[str, str], ...]


class DeployedFunctions:
    """The functions of the emulated account, unpacked below a directory."""

    def __init__(self, endpoint: AwsEndpoint, directory: Path) -> None:
        self._endpoint = endpoint
        self._directory = directory
        self._lock = threading.Lock()

    def get(self, name: str, version: str) -> DeployedFunction:
        """Return a version of a function; `$LATEST` is as it is deployed now."""
        configuration = self._endpoint.lambda_.get_function_configuration(FunctionName=name, Qualifier=version)
        logging = configuration.get("LoggingConfig", {})
        with self._lock:
            task_root = self._task_root(configuration)
            layer_root = self._layer_root([layer["Arn"] for layer in configuration.get("Layers", [])])
        return DeployedFunction(
            name=configuration["FunctionName"],
            arn=configuration["FunctionArn"],
            revision=configuration["RevisionId"],
            handler=configuration["Handler"],
            memory_megabytes=configuration["MemorySize"],
            timeout_seconds=configuration["Timeout"],
            log_group=logging.get("LogGroup", f"/aws/lambda/{name}"),
            log_format=logging.get("LogFormat", "Text"),
            log_level=logging.get("ApplicationLogLevel", "INFO"),
            task_root=task_root,
            layer_root=layer_root,
            # The emulator keeps numbers of a template as numbers; on Lambda every value is text.
            environment=tuple(
                (variable, str(value))
                for variable, value in configuration.get("Environment", {}).get("Variables", {}).items()
                if variable != HOOK_VARIABLE
            ),
        )

    def _task_root(self, configuration: "FunctionConfigurationResponseTypeDef") -> Path:
        target = self._directory / "task" / base64.b64decode(configuration["CodeSha256"]).hex()
        if not target.exists():
            code = self._endpoint.lambda_.get_function(
                FunctionName=configuration["FunctionName"], Qualifier=configuration["Version"]
            )["Code"]
            _unpack([code["Location"]], target)
        return target

    def _layer_root(self, arns: Sequence[str]) -> Path:
        target = self._directory / "opt" / hashlib.sha256("\0".join(arns).encode()).hexdigest()
        if not target.exists():
            versions = [self._endpoint.lambda_.get_layer_version_by_arn(Arn=arn) for arn in arns]
            _unpack([version["Content"]["Location"] for version in versions], target)
        return target


def _unpack(locations: Sequence[str], target: Path) -> None:
    partial = target.with_suffix(".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    for location in locations:
        with urllib.request.urlopen(location, timeout=30) as response:  # noqa: S310 - loopback
            zipfile.ZipFile(io.BytesIO(response.read())).extractall(partial)
    partial.rename(target)
