"""How does one execution environment run: a process with AWS's own runtime client, and the Runtime API it polls?

The client takes a host and a port and nothing more, so each worker has a Runtime API on a port of its own.
Time-outs and crashes end the process and are reported in Lambda's words.
"""

import asyncio
import contextlib
import os
import signal
import time
import uuid
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from aiohttp import web

from tests.local_stack.deployed_function import DeployedFunction
from tests.local_stack.invocation import Invocation, InvocationResult, function_error
from tests.local_stack.processes import LOOPBACK, gone_with_us

_LONGEST_LOG_LINE = 4 * 1024 * 1024
_SECONDS_FOR_LAST_LINES = 1.0
_LARGEST_PAYLOAD = 7 * 1024 * 1024
# The client sends the trace of an unhandled error as a header, up to a megabyte of it.
_LARGEST_HEADER = 2 * 1024 * 1024

LogLine = Callable[[DeployedFunction, str, str], None]


class RuntimeWorker:
    """One execution environment of a function, warm until it is ended.

    Parameters
    ----------
    function
        What to run.
    interpreter
        A Python with what the managed runtime brings.
    environment
        Its variables, but for those that Lambda itself sets.
    write_log
        Called with the function, the log stream and each line that the function writes.

    Attributes
    ----------
    is_reserved
        Whether an invocation has it to itself; the host's to set.
    """

    def __init__(
        self,
        function: DeployedFunction,
        interpreter: Path,
        environment: Mapping[str, str],
        write_log: LogLine,
    ) -> None:
        self.function = function
        self._interpreter = interpreter
        self._environment = environment
        self._write_log = write_log
        self._log_stream = f"{datetime.now(UTC):%Y/%m/%d}/[$LATEST]{uuid.uuid4().hex}"
        self._invocations: asyncio.Queue[Invocation] = asyncio.Queue()
        self._result: asyncio.Future[InvocationResult] | None = None
        self.is_reserved = False
        self._init_error: InvocationResult | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._output: asyncio.Task[None] | None = None
        self._runtime_api: web.AppRunner | None = None
        self._resources = contextlib.ExitStack()

    @property
    def is_usable(self) -> bool:
        """Whether it can take another invocation, now or once it has finished its present one."""
        return self._is_alive and self._init_error is None

    @property
    def _is_alive(self) -> bool:
        return self._process is not None and self._process.returncode is None

    async def start(self) -> None:
        """Start the Runtime API and the process, unless it runs; the module loads while the first event waits."""
        if self._process is not None:
            return
        application = web.Application(client_max_size=_LARGEST_PAYLOAD)
        runtime = "/2018-06-01/runtime"
        application.router.add_get(f"{runtime}/invocation/next", self._next)
        application.router.add_post(f"{runtime}/invocation/{{id}}/response", self._response)
        application.router.add_post(f"{runtime}/invocation/{{id}}/error", self._error)
        application.router.add_post(f"{runtime}/init/error", self._initialisation_failed)
        # The long poll ends with its process, and must not hold up the end.
        self._runtime_api = web.AppRunner(
            application,
            access_log=None,
            shutdown_timeout=0.1,
            handler_cancellation=True,
            max_field_size=_LARGEST_HEADER,
        )
        await self._runtime_api.setup()
        site = web.TCPSite(self._runtime_api, LOOPBACK, 0)
        await site.start()
        port = self._runtime_api.addresses[0][1]
        self._process = await asyncio.create_subprocess_exec(
            *(str(self._interpreter), "-m", "awslambdaric", self.function.handler),
            cwd=self.function.task_root,
            env=self._process_environment(port),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            limit=_LONGEST_LOG_LINE,
            start_new_session=True,
        )
        self._resources.enter_context(gone_with_us(self._process.pid))
        self._output = asyncio.create_task(self._follow_output())

    def _process_environment(self, port: int) -> dict[str, str]:
        # A path among the further variables comes first: so a test can put something between Python and the function.
        path = [self._environment.get("PYTHONPATH"), self.function.task_root, self.function.layer_root / "python"]
        return {
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "LANG": "en_US.UTF-8",
            "TZ": ":UTC",
            "PYTHONUNBUFFERED": "1",
            "PYTHONDONTWRITEBYTECODE": "1",
            **self._environment,
            "PYTHONPATH": os.pathsep.join(str(part) for part in path if part),
            "LAMBDA_TASK_ROOT": str(self.function.task_root),
            "_HANDLER": self.function.handler,
            "AWS_LAMBDA_RUNTIME_API": f"{LOOPBACK}:{port}",
            "AWS_LAMBDA_FUNCTION_NAME": self.function.name,
            "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(self.function.memory_megabytes),
            "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
            "AWS_LAMBDA_LOG_GROUP_NAME": self.function.log_group,
            "AWS_LAMBDA_LOG_STREAM_NAME": self._log_stream,
            "AWS_LAMBDA_LOG_FORMAT": self.function.log_format,
            "AWS_LAMBDA_LOG_LEVEL": self.function.log_level,
        }

    async def invoke(self, invocation: Invocation) -> InvocationResult:
        """Run one invocation to its end, which a time-out or a crash may be."""
        self._result = asyncio.get_running_loop().create_future()
        if self._init_error is not None:
            self._result.set_result(self._init_error)
        await self._invocations.put(invocation)
        exited = asyncio.create_task(self._exit())
        remaining = invocation.deadline_ms / 1000 - time.time()
        try:
            ends: list[asyncio.Future[Any]] = [self._result, exited]
            await asyncio.wait(ends, timeout=max(0.0, remaining), return_when=asyncio.FIRST_COMPLETED)
            if self._result.done():
                return self._result.result()
            if exited.done():
                return self._crashed(invocation)
            return await self._timed_out(invocation)
        finally:
            exited.cancel()
            self._result = None

    async def _exit(self) -> None:
        assert self._process is not None
        await self._process.wait()

    def _crashed(self, invocation: Invocation) -> InvocationResult:
        assert self._process is not None
        code = self._process.returncode or 0
        reason = f"signal: {signal.Signals(-code).name}" if code < 0 else f"exit status {code}"
        if code == -signal.SIGKILL:
            reason = "signal: killed"
        message = f"RequestId: {invocation.request_id} Error: Runtime exited with error: {reason}"
        self._write_log(self.function, self._log_stream, f"{message} Runtime.ExitError")
        return function_error("Runtime.ExitError", message)

    async def _timed_out(self, invocation: Invocation) -> InvocationResult:
        now = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S}.{datetime.now(UTC).microsecond // 1000:03d}Z"
        seconds = f"{self.function.timeout_seconds:.2f}"
        message = f"{now} {invocation.request_id} Task timed out after {seconds} seconds"
        self.kill()
        await self._exit()
        self._write_log(self.function, self._log_stream, message)
        return function_error("Sandbox.Timedout", message)

    def kill(self) -> None:
        """End the process as a crash of its environment would: SIGKILL, to whatever it started as well."""
        if self._is_alive and self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)

    async def end(self) -> None:
        """End the process and its Runtime API, its last lines read."""
        self.kill()
        if self._process is not None:
            await self._process.wait()
        self._resources.close()
        if self._output is not None:
            # A process that it started and left behind may hold the pipe open.
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._output, _SECONDS_FOR_LAST_LINES)
        if self._runtime_api is not None:
            await self._runtime_api.cleanup()

    async def _follow_output(self) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            self._write_log(self.function, self._log_stream, line.decode(errors="replace").rstrip("\n"))

    async def _next(self, _request: web.Request) -> web.Response:
        invocation = await self._invocations.get()
        headers = {
            "Lambda-Runtime-Aws-Request-Id": invocation.request_id,
            "Lambda-Runtime-Deadline-Ms": str(invocation.deadline_ms),
            "Lambda-Runtime-Invoked-Function-Arn": invocation.function_arn,
            "Lambda-Runtime-Trace-Id": f"Root=1-{int(time.time()):08x}-{uuid.uuid4().hex[:24]};Sampled=0",
        }
        return web.Response(body=invocation.event, headers=headers, content_type="application/json")

    async def _response(self, request: web.Request) -> web.Response:
        self._settle(InvocationResult(await request.read()))
        return web.json_response({"status": "OK"}, status=202)

    async def _error(self, request: web.Request) -> web.Response:
        self._settle(InvocationResult(await request.read(), is_function_error=True))
        return web.json_response({"status": "OK"}, status=202)

    async def _initialisation_failed(self, request: web.Request) -> web.Response:
        self._init_error = InvocationResult(await request.read(), is_function_error=True)
        self._settle(self._init_error)
        return web.json_response({"status": "OK"}, status=202)

    def _settle(self, result: InvocationResult) -> None:
        if self._result is not None and not self._result.done():
            self._result.set_result(result)
