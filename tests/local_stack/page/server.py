"""Who serves the page? The process of the local stack, on loopback, for as long as the stack runs.

GET only, and only to a browser that was sent to this machine by name: a page from elsewhere whose name leads here must
not read what is on the queues.
"""

import asyncio
import contextlib
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import requests
from aiohttp import web
from aiohttp.typedefs import Handler
from botocore.exceptions import BotoCoreError, ClientError

from responsys_activation.aws.faults import AwsCallError
from tests.local_stack.processes import LOOPBACK

_FILES = {
    "/": ("index.html", "text/html"),
    "/page.css": ("page.css", "text/css"),
    "/page.js": ("page.js", "text/javascript"),
}
_HERE = Path(__file__).parent
_NAMES = (LOOPBACK, "localhost")
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


@contextlib.contextmanager
def serving(read: Callable[[str], dict[str, Any]], port: int) -> Iterator[str]:
    """Serve the page for as long as the context lasts, and give its address.

    Parameters
    ----------
    read
        Returns the state, given what to find; called in a thread.
    port
        Loopback port; 0 for a free one.
    """
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="page")
    runner = web.AppRunner(_application(read), access_log=None, shutdown_timeout=1.0)

    async def start() -> int:
        await runner.setup()
        await web.TCPSite(runner, LOOPBACK, port).start()
        bound: int = runner.addresses[0][1]
        return bound

    thread.start()
    try:
        bound_port = asyncio.run_coroutine_threadsafe(start(), loop).result()
        yield f"http://{LOOPBACK}:{bound_port}/"
    finally:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def _application(read: Callable[[str], dict[str, Any]]) -> web.Application:
    async def state(request: web.Request) -> web.Response:
        try:
            found = await asyncio.to_thread(read, request.query.get("find", "").strip())
        except (BotoCoreError, ClientError, AwsCallError, requests.RequestException) as exc:
            return web.json_response({"error": type(exc).__name__}, status=503)
        return web.json_response(found)

    async def file(request: web.Request) -> web.Response:
        name, content_type = _FILES[request.path]
        return web.Response(body=(_HERE / name).read_bytes(), content_type=content_type, charset="utf-8")

    application = web.Application(middlewares=[_for_this_machine])
    application.router.add_get("/state", state)
    for path in _FILES:
        application.router.add_get(path, file)
    return application


@web.middleware
async def _for_this_machine(request: web.Request, handler: Handler) -> web.StreamResponse:
    if request.host.rpartition(":")[0] not in _NAMES:
        raise web.HTTPForbidden(text=f"Open the page as http://{LOOPBACK}, on the machine that runs it.")
    response = await handler(request)
    response.headers.update(_HEADERS)
    return response
