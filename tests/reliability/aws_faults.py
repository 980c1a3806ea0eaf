"""How does an AWS call fail on request?

A proxy between the function and the emulated AWS. boto3 finds it by `AWS_ENDPOINT_URL_{SERVICE}`, so the function is
told through its environment and nothing in it changes.
"""

import asyncio
import json
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from types import TracebackType
from typing import Any, Self

import aiohttp
from aiohttp import web

_LOOPBACK = "127.0.0.1"
_SERVICES = ("SSM", "SECRETS_MANAGER", "SQS", "DYNAMODB")
# What the function asks of its table.
TABLE_CALLS = ("BatchExecuteStatement", "BatchGetItem", "GetItem", "PutItem", "Query", "UpdateItem")
_HOP_HEADERS = {"host", "content-length", "transfer-encoding", "connection"}


@dataclass
class AwsFault:
    """Calls that fail.

    Parameters
    ----------
    operation
        The end of `X-Amz-Target`, such as `SendMessageBatch`; a prefix is enough.
    times
        How many calls fail; None: all, until `seconds` have passed.
    seconds
        For how long they fail.
    error, status
        What AWS answers, and under which HTTP status; by default that it is out of order itself.
    after_effect
        Whether AWS carries the call out and only its answer is lost.
    partial
        Of a batch, every second entry or statement fails and the others are carried out.
    """

    operation: str
    times: int | None = None
    seconds: float | None = None
    error: str = "InternalServerError"
    status: int = 500
    after_effect: bool = False
    partial: bool = False
    met: int = 0
    started: float | None = None

    def hits(self, operation: str) -> bool:
        """Return whether this call fails, and count it."""
        if not operation.startswith(self.operation):
            return False
        self.started = self.started or time.monotonic()
        if self.seconds is not None and time.monotonic() - self.started > self.seconds:
            return False
        if self.times is not None and self.met >= self.times:
            return False
        self.met += 1
        return True


class AwsFaultProxy:
    """Passes calls on to `target`, but for the faults in `faults`; alive for as long as the context lasts."""

    def __init__(self, target: str) -> None:
        self._target = target
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="aws-faults")
        self._runner: web.AppRunner
        self._client: aiohttp.ClientSession
        self.faults: list[AwsFault] = []
        self.url = ""

    @property
    def environment(self) -> Mapping[str, str]:
        """The variables that lead a function's calls through the proxy."""
        return {f"AWS_ENDPOINT_URL_{service}": self.url for service in _SERVICES}

    def __enter__(self) -> Self:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._serve(), self._loop).result()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _serve(self) -> None:
        self._client = aiohttp.ClientSession(auto_decompress=False)
        application = web.Application(client_max_size=16 * 1024 * 1024)
        application.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.5)
        await self._runner.setup()
        await web.TCPSite(self._runner, _LOOPBACK, 0).start()
        self.url = f"http://{_LOOPBACK}:{self._runner.addresses[0][1]}"

    async def _end(self) -> None:
        await self._runner.cleanup()
        await self._client.close()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        operation = request.headers.get("X-Amz-Target", "").rpartition(".")[2]
        body = await request.read()
        fault = next((fault for fault in self.faults if fault.hits(operation)), None)
        if fault is None:
            return await self._pass_on(request, body)
        if fault.partial:
            return await self._pass_half(request, body, fault.error)
        if fault.after_effect:
            await self._pass_on(request, body)
        return web.json_response({"__type": fault.error, "message": "injected"}, status=fault.status)

    async def _pass_on(self, request: web.Request, body: bytes) -> web.Response:
        answer, status, headers = await self._carry_out(request, body)
        return web.Response(body=answer, status=status, headers=headers)

    async def _carry_out(self, request: web.Request, body: bytes) -> tuple[bytes, int, dict[str, str]]:
        headers = {name: value for name, value in request.headers.items() if name.lower() not in _HOP_HEADERS}
        url = f"{self._target}{request.path_qs}"
        async with self._client.request(request.method, url, data=body, headers=headers) as reply:
            kept = {name: value for name, value in reply.headers.items() if name.lower() not in _HOP_HEADERS}
            return await reply.read(), reply.status, kept

    async def _pass_half(self, request: web.Request, body: bytes, error: str) -> web.Response:
        call: dict[str, Any] = json.loads(body)
        name = "Statements" if "Statements" in call else "Entries"
        entries = call[name]
        call[name] = entries[::2]
        carried_out, status, _ = await self._carry_out(request, json.dumps(call).encode())
        answer = json.loads(carried_out)
        if status != HTTPStatus.OK:
            return web.json_response(answer, status=status)
        if name == "Statements":  # answered in the order of the call
            answered = iter(answer["Responses"])
            refused = {"Error": {"Code": error, "Message": "injected"}}
            answer["Responses"] = [refused if place % 2 else next(answered) for place in range(len(entries))]
        else:
            answer["Failed"] = [{"Id": entry["Id"], "SenderFault": False, "Code": error} for entry in entries[1::2]]
        return web.json_response(answer)
