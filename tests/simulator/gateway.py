"""What happens to every request before and after the API itself sees it?

Errors become the replies Responsys sends, headers become those that were recorded, and each request is logged.
"""

import secrets
import time
from typing import Literal

from aiohttp import web
from aiohttp.typedefs import Handler

from tests.simulator import refusals, replies
from tests.simulator.refusals import ConnectionCutError, RequestRefusedError
from tests.simulator.request_log import RequestRecord
from tests.simulator.simulator import Simulator

CONTROL_PREFIX = "/_simulator"
RECORD = web.RequestKey("record", RequestRecord)


class Gateway:
    """Stands in front of the API; control calls pass it untouched."""

    def __init__(self, simulator: Simulator) -> None:
        self._simulator = simulator

    @web.middleware
    async def handle(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Answer a request and log it, whatever happens."""
        if request.path.startswith(CONTROL_PREFIX):
            return await handler(request)
        record = request[RECORD] = RequestRecord(
            received_at_ms=time.time_ns() // 1_000_000,
            method=request.method,
            path=request.path,
            correlation_id=f"Id-{secrets.token_hex(12)} 0",
            request_id=request.headers.get("X-Request-Id"),
            authorization=_form_of(request.headers.get("Authorization")),
            content_type=request.headers.get("Content-Type"),
            received_bytes=request.content_length or 0,
        )
        # A reset in the middle of a request must not let the old request into the new log.
        log = self._simulator.request_log
        started = time.perf_counter()
        try:
            response = await _answer(request, handler)
            record.status = response.status
        except ConnectionCutError:
            replies.reset_connection(request)
            return web.Response()
        else:
            return response
        finally:
            record.duration_ms = (time.perf_counter() - started) * 1000
            log.add(record)


async def _answer(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except RequestRefusedError as refusal:
        request[RECORD].error_code = refusal.error_code
        return replies.refusal_reply(refusal)
    except web.HTTPMethodNotAllowed as refusal:
        envelope = refusals.method_not_supported(refusal.method)
        request[RECORD].error_code = envelope.error_code
        return replies.refusal_reply(envelope)
    except web.HTTPNotFound:
        return replies.page_not_found()


async def add_recorded_headers(request: web.Request, response: web.StreamResponse) -> None:
    """Make the reply look like those recorded; Responsys closes the connection after each."""
    if (record := request.get(RECORD)) is None:
        return
    response.headers["Via"] = "1.0 oag01-ri5 ()"
    response.headers["X-CorrelationID"] = record.correlation_id
    response.headers["Server"] = "Apache"
    response.headers["Connection"] = "close"
    response.force_close()


def _form_of(authorization: str | None) -> Literal["absent", "token", "with scheme"]:
    if not authorization:
        return "absent"
    return "with scheme" if " " in authorization else "token"
