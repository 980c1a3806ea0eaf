"""What does the webhook's code do alone, behind HTTP? An event for each request, and threads in place of environments.

``python -m tests.benchmarks.webhook_server`` serves it in a process of its own, with the function's own composition,
settings and clients.
"""

import asyncio
import contextlib
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

from aiohttp import web

from responsys_activation.aws.clients import open_webhook_clients
from responsys_activation.settings import WebhookSettings, read_settings
from responsys_activation.webhook.composition import compose_webhook
from responsys_activation.webhook.inlet import Webhook
from tests.local_stack.environments import REPOSITORY
from tests.local_stack.processes import LOOPBACK, child_process, free_port
from tests.local_stack.repeating import eventually
from tests.local_stack.stack import STACK_NAME, LocalStack

__all__ = ["serving"]

_THREADS = 8
_SECONDS_TO_ANSWER = 20.0


@contextlib.contextmanager
def serving(stack: LocalStack, environment: Mapping[str, str]) -> Iterator["Served"]:
    """Serve the code for as long as the context lasts.

    Parameters
    ----------
    environment
        Variables for the process, such as where AWS is.
    """
    port = free_port()
    settings = {
        "STACK_NAME": STACK_NAME,
        "SEGMENT_EVENTS_QUEUE_URL": stack.outputs["SegmentEventsQueueUrl"],
        "WEBHOOK_SECRET_ID": stack.outputs["WebhookSecretArn"],
    }
    with child_process(
        [sys.executable, "-m", "tests.benchmarks.webhook_server", str(port)],
        cwd=REPOSITORY,
        env={**os.environ, **stack.endpoint.environment, **environment, **settings},
        stdout=subprocess.DEVNULL,
    ) as process:
        assert eventually(lambda: _is_there(port), 30)
        yield Served(f"http://{LOOPBACK}:{port}/memberships", process.pid)


class Served(NamedTuple):
    """Where the code is served, and by which process."""

    url: str
    pid: int

    def cpu_seconds(self) -> float:
        """Return what the process has taken of processors so far, as Linux counts it."""
        after_the_name = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        user, system = int(after_the_name[11]), int(after_the_name[12])
        return (user + system) / os.sysconf("SC_CLK_TCK")


def _is_there(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((LOOPBACK, port)) == 0


class _Server:
    """Threads with a composition each, as an environment runs one invocation at a time."""

    def __init__(self) -> None:
        self._own = threading.local()
        self._threads = ThreadPoolExecutor(_THREADS)
        self._settings = read_settings(WebhookSettings, os.environ)

    async def answer(self, request: web.Request) -> web.Response:
        event = {
            "headers": dict(request.headers),
            "requestContext": {"requestId": "load"},
            "body": (await request.read()).decode(),
            "isBase64Encoded": False,
        }
        response = await asyncio.get_running_loop().run_in_executor(self._threads, self._answer, event)
        return web.Response(status=response["statusCode"], headers=response["headers"], body=response["body"].encode())

    def _answer(self, event: Mapping[str, Any]) -> dict[str, Any]:
        webhook: Webhook | None = getattr(self._own, "webhook", None)
        if webhook is None:
            webhook = self._own.webhook = compose_webhook(self._settings, open_webhook_clients())
        return webhook.answer(event, time.time() + _SECONDS_TO_ANSWER)


def main(port: int) -> None:
    """Serve until a signal."""
    application = web.Application(client_max_size=16 * 1024 * 1024)
    application.router.add_post("/memberships", _Server().answer)
    web.run_app(application, host=LOOPBACK, port=port, access_log=None, print=None)


if __name__ == "__main__":
    main(int(sys.argv[1]))
