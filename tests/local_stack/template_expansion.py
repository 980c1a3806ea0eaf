"""Who translates a SAM template that is deployed through a change set?

CloudFormation itself does on AWS; the emulator knows no SAM. So this stands before it: the call that makes a change set
gets the template as SAM translates it, adjusted for the emulator. Every other call is passed on as it came.
"""

import contextlib
import json
import re
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import requests
from samtranslator.yaml_helper import yaml_parse  # type: ignore[import-untyped]

from tests.local_stack.aws_endpoint import AwsEndpoint
from tests.local_stack.local_template import local_template
from tests.local_stack.parameters import resolved_parameters
from tests.local_stack.processes import LOOPBACK

_SECONDS_TO_REPLY = 120.0
_EXPANDED = "expanded-template.json"
_PASSED_ON = ("Authorization", "Content-Type", "X-Amz-Date")


@contextlib.contextmanager
def expanding_templates(endpoint: AwsEndpoint, hook_url: str, say: Callable[[str], None]) -> Iterator[str]:
    """Serve CloudFormation's API on loopback for as long as the context lasts, and give its address.

    Parameters
    ----------
    endpoint
        The emulated AWS, to which all calls go in the end.
    hook_url
        Where the emulator sends invocations: the lambda host.
    say
        Told what is left out locally.
    """

    class CloudFormation(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            call = dict(
                parse_qsl(self.rfile.read(int(self.headers["Content-Length"])).decode(), keep_blank_values=True)
            )
            if call.get("Action") == "CreateChangeSet":
                call["TemplateURL"] = _expanded(endpoint, call, hook_url, say)
            headers = {name: self.headers[name] for name in _PASSED_ON if name in self.headers}
            reply = requests.post(endpoint.url, data=urlencode(call), headers=headers, timeout=_SECONDS_TO_REPLY)
            self.send_response(reply.status_code)
            self.send_header("Content-Type", reply.headers.get("Content-Type", "text/xml"))
            self.send_header("Content-Length", str(len(reply.content)))
            self.end_headers()
            self.wfile.write(reply.content)

        def log_message(self, *_args: Any) -> None:
            pass

    with ThreadingHTTPServer((LOOPBACK, 0), CloudFormation) as server:
        thread = threading.Thread(target=server.serve_forever, name="template-expansion")
        thread.start()
        try:
            yield f"http://{LOOPBACK}:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


def _expanded(endpoint: AwsEndpoint, call: dict[str, str], hook_url: str, say: Callable[[str], None]) -> str:
    bucket, _, key = urlsplit(call["TemplateURL"]).path.lstrip("/").partition("/")
    template = yaml_parse(endpoint.s3.get_object(Bucket=bucket, Key=key)["Body"].read().decode())
    given = {
        name: call[f"Parameters.member.{number}.ParameterValue"]
        for member, name in call.items()
        if (number := "".join(re.findall(r"^Parameters\.member\.(\d+)\.ParameterKey$", member)))
    }
    local = local_template(template, resolved_parameters(template, given), {}, endpoint.region, hook_url)
    for logical_id, reason in local.left_out.items():
        say(f"Left out locally: {logical_id} ({reason}).")
    endpoint.s3.put_object(Bucket=bucket, Key=_EXPANDED, Body=json.dumps(local.body).encode())
    return f"{endpoint.url}/{bucket}/{_EXPANDED}"
