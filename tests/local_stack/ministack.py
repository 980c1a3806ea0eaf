"""How is the AWS emulator started, and when is it ready?"""

import contextlib
import os
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from tests.local_stack.aws_endpoint import AwsEndpoint
from tests.local_stack.environments import program
from tests.local_stack.processes import LOOPBACK, LocalStackError, child_process, free_port, require_free_port

_SECONDS_TO_START = 30.0


@contextlib.contextmanager
def ministack(directory: Path, port: int | None = None, *, enforces_iam: bool = False) -> Iterator[AwsEndpoint]:
    """Run ministack on loopback for as long as the context lasts.

    Parameters
    ----------
    directory
        Where it keeps its data and temporary files, and leaves them: the caller removes it.
    port
        Port to listen on; a free one when absent.
    enforces_iam
        Whether it refuses what the caller's policies do not allow; our own credentials are the root user's.
    """
    if port is None:
        port = free_port()
    else:
        require_free_port(port, "AWS_PORT")
    temporary = directory / "tmp"
    temporary.mkdir(parents=True)
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(directory),
        "TMPDIR": str(temporary),
        "S3_DATA_DIR": str(directory / "s3"),
        "STATE_DIR": str(directory / "state"),
        "GATEWAY_PORT": str(port),
        "BIND_HOST": LOOPBACK,
        "MINISTACK_HOST": LOOPBACK,
        # Listeners and look-ups that nothing here needs; the first would open 0.0.0.0:8883.
        "IOT_MTLS_ENABLED": "0",
        "SFTP_ENABLED": "0",
        "DOCKER_HOST": "unix:///nonexistent.sock",
        "AWS_EC2_METADATA_DISABLED": "true",
        "LOG_LEVEL": "WARNING",
        "AUTH": str(enforces_iam).lower(),
    }
    log = directory / "ministack.log"
    endpoint = AwsEndpoint(f"http://{LOOPBACK}:{port}")
    command: list[str | Path] = [program(".venv-ministack", "python"), "-m", "ministack"]
    with (
        log.open("wb") as output,
        child_process(
            command,
            env=environment,
            cwd=directory,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        ) as process,
    ):
        deadline = time.monotonic() + _SECONDS_TO_START
        while not _is_ready(endpoint):
            if process.poll() is not None or time.monotonic() > deadline:
                raise LocalStackError(f"ministack did not start: {_last_line(log)}")
            time.sleep(0.05)
        yield endpoint


def _is_ready(endpoint: AwsEndpoint) -> bool:
    try:
        with urllib.request.urlopen(f"{endpoint.url}/_ministack/health", timeout=2):  # noqa: S310 - loopback
            return True
    except (urllib.error.URLError, OSError):
        return False


def _last_line(log: Path) -> str:
    lines = log.read_text(errors="replace").strip().splitlines()
    return lines[-1] if lines else "it said nothing"
