"""Does the local stack's page show what the metrics count: while messages flow, during a throttle, and after?"""

import json

import pytest

from tests.browser.browser import Browser
from tests.browser.fixture import running_browser  # noqa: F401 - pytest finds it by its name
from tests.end_to_end.connector_under_test import ConnectorUnderTest
from tests.end_to_end.observing import REJECTED, SERVICE, settle, waiting
from tests.local_stack.page.dead_letters import letters_on
from tests.local_stack.page.server import serving
from tests.local_stack.page.state import State
from tests.local_stack.published_metrics import OUTCOMES, PublishedMetrics
from tests.local_stack.repeating import eventually
from tests.local_stack.stack import LocalStack
from tests.simulator.faults import ErrorReply

pytestmark = pytest.mark.browser

NUMBERS = {
    "MessagesReceived": "#received",
    **{metric: f"[data-outcome={metric.removeprefix('Events').lower()}] b" for metric in OUTCOMES},
}


def test_it_shows_what_the_metrics_count_while_messages_flow_through_a_throttle(
    stack: LocalStack,
    connector: ConnectorUnderTest,
    running_browser: Browser,  # noqa: F811 - the fixture
) -> None:
    page, simulator = running_browser, stack.simulator
    assert simulator is not None
    metrics = PublishedMetrics(stack.endpoint.cloudwatch)

    def seen(selector: str) -> int:
        return int(page.text(selector).replace(",", ""))

    def shows_what_is_counted() -> bool:
        counted = metrics.outcomes(service=SERVICE)
        return {metric: seen(selector) for metric, selector in NUMBERS.items()} == counted

    # Given a connector that is logged in, and whose account is throttled from now on
    connector.publish(connector.bodies(1))
    settle(stack)
    fault = simulator.add_fault(
        ErrorReply(status=429, error_code="API_LIMIT_EXCEEDED", account=connector.username, times=None)
    )
    with serving(State(stack).read, 0) as url:
        page.open(url)

        # When 30 messages come for it, and one that can never be sent
        invalid = json.dumps(connector.message(callType="JOIN"))
        connector.publish([*connector.bodies(30), invalid])

        # Then the page tells the pause, what waits, and why one was rejected
        page.until(f"document.querySelector('#notices').innerText.includes('Paused: {connector.name}')")
        assert "API_LIMIT_EXCEEDED" in page.text("#notices")
        for code in ("API_LIMIT_EXCEEDED", "INVALID_MESSAGE"):
            page.until(f"document.querySelector('#letters [data-code={code}]')")
        assert "callType: must be ADD, UPDATE or REMOVE" in page.text("#letters [data-code=INVALID_MESSAGE]")

        # When the throttle is over
        simulator.delete_faults(fault)
        settle(stack)

        # Then all of them are in the inbox, the page is quiet, and every number is that of the metrics and queues
        page.until("document.querySelector('#notices').innerText === ''")
        assert eventually(shows_what_is_counted), page.text("#outcomes")
        assert seen("#accepted") == simulator.inbox_count()
        assert seen("#rejected-waiting") == waiting(stack, REJECTED) > 0
        assert connector.accepted().total() == 31

        # And who looks for a message finds what became of it
        page.evaluate("document.querySelector('#find').focus()")
        page.type(connector.inbox()[0].identifier)
        page.until("document.querySelector('#matches').innerText.includes(': 1 event, 0 dead letters')")

        # And nobody's message was received for it
        letters = letters_on(stack.endpoint.url, stack.outputs[REJECTED])
        assert {letter["ReceiveCount"] for letter in letters} == {0}
        page.leave()
    assert page.complaints == []
