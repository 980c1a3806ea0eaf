"""How is the simulator served?"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

from tests.simulator.api import ResponsysApi
from tests.simulator.control import Control
from tests.simulator.gateway import CONTROL_PREFIX, Gateway, add_recorded_headers
from tests.simulator.settings import SimulatorSettings
from tests.simulator.simulator import Simulator

CONTROL_REQUEST_BYTES = 64 * 1024 * 1024


def build_application(simulator: Simulator) -> web.Application:
    """Return API and control calls as one application."""
    application = web.Application(middlewares=[Gateway(simulator).handle], client_max_size=CONTROL_REQUEST_BYTES)
    application.on_response_prepare.append(add_recorded_headers)
    application.add_routes(ResponsysApi(simulator).routes())
    application.add_subapp(CONTROL_PREFIX, Control(simulator).application())
    return application


@asynccontextmanager
async def serving(settings: SimulatorSettings, host: str, port: int) -> AsyncIterator[str]:
    """Serve for as long as the context lasts, and give the base URL."""
    simulator = Simulator(settings)
    # A caller that gave up is no longer in flight: its request is cancelled, what was accepted stays.
    runner = web.AppRunner(
        build_application(simulator), access_log=None, handler_cancellation=True, shutdown_timeout=0.5
    )
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port, backlog=1024)
        await site.start()
        bound_port = runner.addresses[0][1]
        simulator.base_url = f"http://{f'[{host}]' if ':' in host else host}:{bound_port}"
        yield simulator.base_url
    finally:
        await runner.cleanup()
