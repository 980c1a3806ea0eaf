"""Start the simulator from the command line; prints one JSON line with its URL once it listens."""

import argparse
import asyncio
import gc
import ipaddress
import json
import signal
import sys
from pathlib import Path

from pydantic import ValidationError

from tests.simulator.server import serving
from tests.simulator.settings import SimulatorSettings


def main() -> None:
    """Read the arguments and serve until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulator", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1", help="a loopback address (default %(default)s)")
    parser.add_argument("--port", type=int, default=0, help="0: any free port (default)")
    parser.add_argument("--time-scale", type=float, help="60 makes a simulated minute last a second")
    parser.add_argument("--settings", type=Path, help="JSON file with the settings of README.md")
    arguments = parser.parse_args()
    if not _is_loopback(arguments.host):
        parser.error(f"--host {arguments.host} is not a loopback address")
    try:
        given = json.loads(arguments.settings.read_bytes()) if arguments.settings else {}
        if arguments.time_scale is not None:
            given["timeScale"] = arguments.time_scale
        settings = SimulatorSettings.model_validate(given)
    except (OSError, ValueError, ValidationError) as exc:
        parser.error(f"settings cannot be used: {exc}")
    try:
        asyncio.run(_serve(settings, arguments.host, arguments.port))
    except OSError as exc:
        sys.exit(f"cannot listen on {arguments.host}:{arguments.port}: {exc.strerror}")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


async def _serve(settings: SimulatorSettings, host: str, port: int) -> None:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for stop_signal in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(stop_signal, stopped.set)
    async with serving(settings, host, port) as url:
        # What is loaded now stays to the end; not visiting it halves the time of a request.
        gc.freeze()
        print(json.dumps({"url": url}), flush=True)
        await stopped.wait()


if __name__ == "__main__":
    main()
