"""Where is a deployed HTTP API reached?

The emulator has its routes and invokes its functions, but names a host that nobody can look up: the same API is found
below a path of the emulator's own address. It throttles nothing, and publishes no metrics of AWS/ApiGateway.
"""

import json
import re
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any, NamedTuple

from tests.local_stack.aws_endpoint import AwsEndpoint

_ADDRESS = re.compile(r"https?://(?P<api>\w+)\.execute-api\.[^/]+(?P<path>/.*)")


def reachable(value: str, endpoint: AwsEndpoint) -> str:
    """Return an output of a stack, with the address that works here in place of an HTTP API's."""
    address = _ADDRESS.fullmatch(value)
    return f"{endpoint.url}/_aws/execute-api/{address['api']}/$default{address['path']}" if address else value


class Reply(NamedTuple):
    """An answer over HTTP; headers by their names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: Any


def post(url: str, body: bytes, headers: Mapping[str, str]) -> Reply:
    """Post JSON as a platform does, and return the answer, whatever its status."""
    request = urllib.request.Request(url, data=body, headers={"Content-Type": "application/json", **headers})  # noqa: S310 - loopback
    try:
        with urllib.request.urlopen(request, timeout=30) as response:  # noqa: S310
            status, answered, content = response.status, response.headers, response.read()
    except urllib.error.HTTPError as error:
        status, answered, content = error.code, error.headers, error.read()
    return Reply(status, {name.lower(): value for name, value in answered.items()}, json.loads(content))
