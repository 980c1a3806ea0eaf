"""`make local`: keep the whole stack running until SIGINT or SIGTERM, for playing by hand."""

import json
import os
import shlex
import sys
import threading

from tests.local_stack.environments import LOCAL_DIRECTORY, REPOSITORY
from tests.local_stack.page.server import serving
from tests.local_stack.page.state import SEND_COMMAND, State
from tests.local_stack.processes import LocalStackError, ending_on_signals, require_free_port
from tests.local_stack.settings import read_settings
from tests.local_stack.stack import STACK_NAME, LocalStack

_OUTPUTS = LOCAL_DIRECTORY / "outputs.json"


def main() -> int:
    """Run until a signal; return the exit status."""
    _OUTPUTS.unlink(missing_ok=True)
    try:
        with ending_on_signals():
            _run()
    except LocalStackError as exc:
        print(f"error: {exc}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Stopped.")
    finally:
        _OUTPUTS.unlink(missing_ok=True)
    return 0


def _run() -> None:
    settings = read_settings(os.environ)
    require_free_port(settings.page_port, "PAGE_PORT")
    stack = LocalStack(
        settings.parameters, time_scale=settings.time_scale, port=settings.aws_port, polling=settings.polling
    )
    print("Starting (the first build takes a few seconds longer) ...")
    with stack, serving(State(stack).read, settings.page_port) as page_url:
        try:
            _write_outputs(stack)
            _print_directions(stack, page_url)
            threading.Event().wait()
        finally:
            # Whoever waits for the file must not find it while the stack comes down.
            _OUTPUTS.unlink(missing_ok=True)


def _write_outputs(stack: LocalStack) -> None:
    outputs = {
        **stack.outputs,
        "stackName": STACK_NAME,
        "awsEndpointUrl": stack.endpoint.url,
        "region": stack.endpoint.region,
    }
    if stack.simulator is not None:
        outputs["simulatorUrl"] = stack.simulator.url
    _OUTPUTS.parent.mkdir(exist_ok=True)
    partial = _OUTPUTS.with_suffix(".partial")
    partial.write_text(json.dumps(outputs, indent=2) + "\n")
    partial.replace(_OUTPUTS)


def _print_directions(stack: LocalStack, page_url: str) -> None:
    queue_url = stack.outputs["SegmentEventsQueueUrl"]
    message = json.dumps(
        {
            "profileId": "profile-1",
            "callType": "ADD",
            "segment": {"type": "AUDIENCE", "id": "aud-1"},
            "identifiers": {"27": "364470825"},
            "variables": {"firstName": "Ada"},
        }
    )
    credentials = " ".join(f"{name}={value}" for name, value in stack.endpoint.environment.items())
    send = f"aws sqs send-message --queue-url {queue_url} --message-body {shlex.quote(message)}"
    print(f"AWS:        {stack.endpoint.url} ({stack.endpoint.region})")
    if stack.simulator is not None:
        print(f"Responsys:  {stack.simulator.url} (simulated; inbox at /_simulator/inbox)")
    else:
        print(f"Responsys:  {stack.parameters['ResponsysAuthEndpoint']}")
    print(f"Page:       {page_url} (what becomes of your messages)")
    print(f"Outputs:    {_OUTPUTS.relative_to(REPOSITORY)}")
    print("\nSend a message:")
    print(f"  {credentials} \\\n    {send}")
    print("or, and follow it to its end:")
    print(f"  {SEND_COMMAND}")
    print("\nPost one to the webhook (outputs WebhookUrl and WebhookSecretArn), as a platform does:")
    print(f"  curl -i {shlex.quote(stack.outputs['WebhookUrl'])} -H 'Content-Type: application/json' \\")
    print(f"    -H 'Authorization: Bearer {stack.webhook_secret}' -d @events/upstream/segment_entered.json")
    print("\nCtrl-C stops everything.", flush=True)


if __name__ == "__main__":
    sys.exit(main())
