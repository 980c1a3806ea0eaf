"""How does the page look while a connector is paused? Takes docs/page-light.png and docs/page-dark.png.

The demo's messages flow, and one of its two accounts has no capacity. Afterwards `palette` makes the pictures small.
"""

import time

from tests.browser.browser import Browser, Scheme, browser
from tests.browser.palette import picture
from tests.local_stack.demo_memberships import (
    SECOND_CONNECTOR,
    Arrival,
    demo_accounts,
    demo_memberships,
    second_connector,
)
from tests.local_stack.page.server import serving
from tests.local_stack.page.state import State
from tests.local_stack.queues import send_all
from tests.local_stack.stack import LocalStack
from tests.simulator.settings import SimulatorSettings

# The ten minutes of a throttle last a minute: enough for both pictures.
_TIME_SCALE = 10.0
_WIDTH, _HEIGHT = 1100, 1150
_SECONDS_TO_FLOW = 60.0
_SECONDS_TO_SETTLE = 4.0
_SCHEMES: tuple[Scheme, ...] = ("light", "dark")


def main() -> None:
    """Take both."""
    with LocalStack(
        time_scale=_TIME_SCALE, simulator=SimulatorSettings(accounts=demo_accounts()), say=lambda _: None
    ) as stack:
        account = second_connector()
        stack.add_connector(SECOND_CONNECTOR, account)
        with serving(State(stack).read, 0) as url, browser() as seen:
            seen.open(url)
            _throttle(stack, account.username, seen)
            for scheme in _SCHEMES:
                seen.look(scheme, _WIDTH, _HEIGHT, still=True)
                picture(scheme).write_bytes(seen.screenshot())


def _throttle(stack: LocalStack, username: str, seen: Browser) -> None:
    """Let one account run out of capacity once it is logged in, then publish the demo's memberships."""
    assert stack.simulator is not None
    memberships = demo_memberships()
    first = next(m for m in memberships if isinstance(m.fate, Arrival) and m.fate.account == username)
    send_all(stack.endpoint.sqs, stack.outputs["SegmentEventsQueueUrl"], [first.body])
    seen.until("document.querySelector('#accepted').innerText === '1'", _SECONDS_TO_FLOW)
    stack.simulator.start_capacity_outage(username)
    with stack.paused_event_sources():
        send_all(stack.endpoint.sqs, stack.outputs["SegmentEventsQueueUrl"], [m.body for m in memberships])
    seen.until("document.querySelector('#notices').innerText.includes('Paused')", _SECONDS_TO_FLOW)
    seen.until("document.querySelector('#queue-in-flight').innerText === '0'", _SECONDS_TO_FLOW)
    time.sleep(_SECONDS_TO_SETTLE)  # metrics follow the queues


if __name__ == "__main__":
    main()
