"""Do the alarms of the deployed stack ring when they must, and stop when it is over?"""

import json
import time

import pytest

from tests.end_to_end.alarms import AN_ALARMS_TIME, Alarms
from tests.end_to_end.connector_under_test import ConnectorUnderTest
from tests.end_to_end.observing import settle
from tests.local_stack.repeating import eventually
from tests.local_stack.stack import LocalStack

_AN_HOUR_OF_BACKLOG = 100.0


@pytest.fixture
def alarms(stack: LocalStack) -> Alarms:
    """Return the alarms, with all those at rest that the tests here raise."""
    alarms = Alarms(stack)
    for name in ("failure-share", "refused-logins", "throttled-backlog"):
        assert alarms.becomes(name, "OK"), name
    return alarms


def test_the_alarm_on_failures_rings_while_messages_fail_and_ends_when_they_do_not(
    stack: LocalStack, connector: ConnectorUnderTest, alarms: Alarms
) -> None:
    # Given a producer that begins to send messages without the identifier that the connector needs
    def rings_after_more_of_them() -> bool:
        connector.publish(connector.bodies(60, identifiers={}))
        return alarms.becomes("failure-share", "ALARM", 2)

    # When more than a tenth fails in one period after another / Then the alarm rings
    assert eventually(rings_after_more_of_them, AN_ALARMS_TIME)
    # And it ends when they are mended
    settle(stack)
    connector.publish(connector.bodies(60))
    assert alarms.becomes("failure-share", "OK")


def test_a_refused_login_rings_its_alarm_and_in_the_end_the_backlogs_until_the_secret_is_mended(
    stack: LocalStack, alarms: Alarms
) -> None:
    # Given a connector whose secret has the wrong password, and an account that bears with it
    connector = ConnectorUnderTest(stack, {"limits": {"wrongPasswordsBeforeLockout": 100}})
    connector.put(password="not-the-password")
    # When a message comes
    connector.publish([json.dumps(connector.message())])
    # Then the refused login rings, soon also that none is tried while the message waits, and after an hour the backlog
    assert alarms.becomes("refused-logins", "ALARM")
    assert alarms.state("throttled-backlog") == "OK"
    assert alarms.becomes("logins-held-back", "ALARM")
    assert alarms.becomes("throttled-backlog", "ALARM", _AN_HOUR_OF_BACKLOG)
    assert alarms.state("logins-held-back") == "ALARM"
    assert connector.simulator.summary(connector.name).refused_logins <= 2
    # And when the secret is right, the message arrives and the alarms end
    time.sleep(1)  # the emulator cuts the date of a secret's version to whole seconds
    connector.put()
    settle(stack)
    assert len(connector.inbox()) == 1
    assert alarms.becomes("throttled-backlog", "OK")
    assert alarms.becomes("refused-logins", "OK")
