"""How is an answer put on the wire, whole or as a fault wants it?"""

import asyncio
import json
import socket
import struct
from collections.abc import Callable
from typing import assert_never

from aiohttp import web

from tests.simulator.faults import (
    ConnectionReset,
    ErrorReply,
    Fault,
    Redirect,
    SlowReply,
    TruncatedReply,
    WrongLengthReply,
)
from tests.simulator.refusals import ConnectionCutError, RequestRefusedError

JSON_HEADERS = {"Content-Type": "application/json;charset=UTF-8"}

Json = dict[str, object] | list[dict[str, object]]


def json_reply(payload: Json, status: int = 200) -> web.Response:
    """Return `payload` as Responsys does."""
    return web.Response(status=status, body=json.dumps(payload).encode(), headers=JSON_HEADERS)


def refusal_reply(refusal: RequestRefusedError) -> web.Response:
    """Return a refusal's envelope."""
    return json_reply(refusal.envelope(), refusal.status)


def page_not_found() -> web.Response:
    """Return what the gateway shows for a path it does not know."""
    html = "<html><head><title>404 Not Found</title></head><body><h1>Not Found</h1></body></html>"
    return web.Response(status=404, text=html, content_type="text/html")


def reset_connection(request: web.Request) -> None:
    """Close the connection so that the caller gets a reset and not an end of stream."""
    if request.transport is not None:
        sock = request.transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        request.transport.abort()


async def reply_with_fault(request: web.Request, fault: Fault | None, work: Callable[[], Json]) -> web.StreamResponse:
    """Carry out `work`, unless the fault forbids it, and answer as the fault wants.

    Raises
    ------
    ConnectionCutError
        The fault is a reset.
    RequestRefusedError
        The fault is an error envelope, or `work` refused the request.
    """
    match fault:
        case None:
            return json_reply(work())
        case ErrorReply():
            return _error(fault, work)
        case SlowReply():
            return await _slow(fault, work)
        case ConnectionReset():
            if fault.accept_first:
                work()
            raise ConnectionCutError
        case TruncatedReply():
            return await _truncated(request, fault, work)
        case WrongLengthReply():
            return json_reply(_of_wrong_length(work(), fault.difference))
        case Redirect():
            return web.Response(status=fault.status, headers={"Location": fault.url})
        case _:
            assert_never(fault)


def _of_wrong_length(payload: Json, difference: int) -> Json:
    if isinstance(payload, list):
        return payload[:-1] if difference < 0 else [*payload, payload[-1]]
    data = payload["recordData"]
    assert isinstance(data, dict)
    records = data["records"]
    return payload | {"recordData": data | {"records": records[:-1] if difference < 0 else [*records, records[-1]]}}


def _error(fault: ErrorReply, work: Callable[[], Json]) -> web.Response:
    if fault.accept_first:
        work()
    if fault.error_code is not None:
        raise RequestRefusedError(fault.status, fault.error_code, fault.title, fault.detail)
    return web.Response(status=fault.status, text=fault.text, content_type=fault.content_type)


async def _slow(fault: SlowReply, work: Callable[[], Json]) -> web.Response:
    if not fault.accept_first:
        await asyncio.sleep(fault.seconds)
        return json_reply(work())
    payload = work()
    await asyncio.sleep(fault.seconds)
    return json_reply(payload)


async def _truncated(request: web.Request, fault: TruncatedReply, work: Callable[[], Json]) -> web.StreamResponse:
    body = json.dumps(work()).encode()
    half = body[: len(body) // 2]
    if not fault.cut_connection:
        return web.Response(body=half, headers=JSON_HEADERS)
    response = web.StreamResponse(headers=JSON_HEADERS)
    response.content_length = len(body)
    await response.prepare(request)
    await response.write(half)
    if request.transport is not None:
        request.transport.close()
    return response
