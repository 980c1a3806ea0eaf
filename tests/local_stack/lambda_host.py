"""Who runs the deployed functions when the emulator is asked to invoke one?

The emulator posts each invocation here (its hook for functions served elsewhere), and a warm or new worker
of the function runs it: AWS's own runtime client, on an interpreter that has what the managed runtime brings
and nothing of the project.
"""

import asyncio
import threading
import time
from collections import defaultdict
from collections.abc import Coroutine, Mapping
from pathlib import Path
from typing import Any, TypeVar

from aiohttp import web

from tests.local_stack.aws_endpoint import AwsEndpoint
from tests.local_stack.deployed_function import DeployedFunction, DeployedFunctions
from tests.local_stack.environments import program
from tests.local_stack.function_logs import FunctionLogs
from tests.local_stack.invocation import Invocation, InvocationResult, function_error
from tests.local_stack.processes import LOOPBACK
from tests.local_stack.runtime_worker import RuntimeWorker

Result = TypeVar("Result")

_LARGEST_EVENT = 32 * 1024 * 1024
# As many as a machine of two cores bears; more invocations at once wait for one of these.
_MOST_WORKERS = 32


class LambdaHost:
    """Serves invocations in a thread of its own, from `start` until `stop`.

    Parameters
    ----------
    endpoint
        The emulated AWS, which the functions reach as well.
    directory
        Where deployed archives are unpacked.
    environment
        Variables for every function beside its own, such as TIME_SCALE.
    logs
        Takes what the functions write.
    """

    def __init__(
        self, endpoint: AwsEndpoint, directory: Path, environment: Mapping[str, str], logs: FunctionLogs
    ) -> None:
        self._functions = DeployedFunctions(endpoint, directory)
        self._interpreter = program(".venv-lambda", "python")
        self._endpoint = endpoint
        self._environment = {**environment, "TMPDIR": str(directory)}
        self._function_environments: dict[str, dict[str, str]] = defaultdict(dict)
        self._logs = logs
        self._workers: list[RuntimeWorker] = []
        self._invocations: dict[str, int] = defaultdict(int)
        self._cold_starts: dict[str, int] = defaultdict(int)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="lambda-host")
        self._free = asyncio.Semaphore(_MOST_WORKERS)
        self._server: web.AppRunner | None = None
        self._is_ending = False
        self.url = ""

    def start(self) -> None:
        """Begin to serve; `url` is set."""
        self._thread.start()
        self._await(self._serve())

    def kill_everything(self) -> None:
        """End every worker, so that nothing waits for an invocation; those that run fail as in a crash."""
        self._await(self._end_workers())

    def stop(self) -> None:
        """End every worker, then the server and its thread."""
        self._await(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def kill_running(self, name: str) -> int:
        """Kill the workers that run an invocation of a function, and return how many they were."""
        return self._await(self._kill(name))

    def set_environment(self, name: str, environment: Mapping[str, str]) -> None:
        """Set variables of a function beside its own, in place of those set before; warm workers are replaced."""
        self._await(self._set_environment(name, environment))

    def counts(self, name: str) -> dict[str, int]:
        """Return `invocations`, `coldStarts`, `running` and `warm` of a function."""
        return self._await(self._counts(name))

    def _await(self, coroutine: Coroutine[Any, Any, Result]) -> Result:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()

    async def _serve(self) -> None:
        application = web.Application(client_max_size=_LARGEST_EVENT)
        application.router.add_post("/", self._invoke)
        self._server = web.AppRunner(application, access_log=None, shutdown_timeout=1.0)
        await self._server.setup()
        site = web.TCPSite(self._server, LOOPBACK, 0)
        await site.start()
        self.url = f"http://{LOOPBACK}:{self._server.addresses[0][1]}"

    async def _end_workers(self) -> None:
        self._is_ending = True
        await asyncio.gather(*(worker.end() for worker in self._workers))

    async def _end(self) -> None:
        await self._end_workers()
        if self._server is not None:
            await self._server.cleanup()

    async def _invoke(self, request: web.Request) -> web.Response:
        name = request.headers["X-Amzn-Lambda-Function-Name"]
        version = request.headers["X-Amzn-Lambda-Function-Version"]
        invocation = Invocation(
            request_id=request.headers["X-Amzn-Lambda-Request-Id"],
            function_arn=request.headers["X-Amzn-Lambda-Function-Arn"],
            # The emulator gives up at this time too, so that loading the module counts here, as it does not on AWS.
            deadline_ms=int(request.headers["X-Amzn-Lambda-Deadline-Ms"]),
            event=await request.read(),
        )
        self._invocations[name] += 1
        async with self._free:
            result = await self._run(name, version, invocation)
        # Any other status is a function error to the emulator.
        status = 500 if result.is_function_error else 200
        return web.Response(body=result.payload, status=status, content_type="application/json")

    async def _run(self, name: str, version: str, invocation: Invocation) -> InvocationResult:
        function = await asyncio.to_thread(self._functions.get, name, version)
        await self._retire_outdated(function)
        if self._is_ending:
            return function_error("Runtime.ExitError", "The lambda host ends.")
        if time.time() * 1000 >= invocation.deadline_ms:
            return function_error("Sandbox.Timedout", "The invocation waited for a free worker until its deadline.")
        worker = self._warm_worker(function) or self._new_worker(function)
        try:
            await worker.start()
            return await worker.invoke(invocation)
        finally:
            worker.is_reserved = False
            if not worker.is_usable or worker not in self._workers:
                await self._remove(worker)

    async def _retire_outdated(self, function: DeployedFunction) -> None:
        for worker in list(self._workers):
            if worker.function.name == function.name and worker.function != function and not worker.is_reserved:
                await self._remove(worker)

    def _warm_worker(self, function: DeployedFunction) -> RuntimeWorker | None:
        for worker in self._workers:
            if worker.function == function and worker.is_usable and not worker.is_reserved:
                worker.is_reserved = True
                return worker
        return None

    def _new_worker(self, function: DeployedFunction) -> RuntimeWorker:
        environment = {
            **self._endpoint.environment,
            **dict(function.environment),
            **self._environment,
            **self._function_environments[function.name],
        }
        worker = RuntimeWorker(function, self._interpreter, environment, self._logs.write)
        worker.is_reserved = True
        self._workers.append(worker)
        self._cold_starts[function.name] += 1
        return worker

    async def _remove(self, worker: RuntimeWorker) -> None:
        if worker in self._workers:
            self._workers.remove(worker)
        await worker.end()

    async def _kill(self, name: str) -> int:
        running = [worker for worker in self._of(name) if worker.is_reserved]
        for worker in running:
            worker.kill()
        return len(running)

    async def _set_environment(self, name: str, environment: Mapping[str, str]) -> None:
        self._function_environments[name] = dict(environment)
        for worker in self._of(name):
            if worker.is_reserved:
                # It ends with its invocation, as it is no longer among the workers.
                self._workers.remove(worker)
            else:
                await self._remove(worker)

    async def _counts(self, name: str) -> dict[str, int]:
        running = sum(worker.is_reserved for worker in self._of(name))
        return {
            "invocations": self._invocations[name],
            "coldStarts": self._cold_starts[name],
            "running": running,
            "warm": len(self._of(name)) - running,
        }

    def _of(self, name: str) -> list[RuntimeWorker]:
        return [worker for worker in self._workers if worker.function.name == name]
