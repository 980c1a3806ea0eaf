"""Does an upgrade, or another value of a parameter, leave alone what must stay?"""

from collections.abc import Callable
from typing import Any

import pytest

from tests.template.cloudformation import Stack
from tests.template.last_release import last_release
from tests.template.other_values import OTHER
from tests.template.replacements import MUST_STAY, create_only, identities, lost

# A secret that the stack made goes when one of the owner's takes its place.
EXPECTED = {"CredentialsSecretArn": ["DefaultCredentials is removed"]}
# A webhook that is switched off goes with its secret.
EXPECTED_ON_THE_WAY_BACK = {
    "Webhook": [
        f"{name} is removed"
        for name in ("WebhookAccessLogGroup", "WebhookSecret", "WebhookFunctionLogGroup", "WebhookFunction")
    ]
}


def test_an_upgrade_from_the_last_release_replaces_nothing_that_must_stay(stack: Stack) -> None:
    # Given what must stay of a stack of the last release
    before = last_release()
    assert {identity["Type"] for identity in before.values()} == MUST_STAY
    # When it becomes this template's stack / Then all of it stays
    assert list(lost(before, identities(stack))) == []


@pytest.mark.parametrize("parameter", OTHER)
def test_another_value_of_a_parameter_replaces_nothing_that_must_stay(
    stack: Stack, stack_with: Callable[..., Stack], parameter: str
) -> None:
    # Given a stack, and the same with another value of a parameter
    before, after = identities(stack), identities(stack_with(**{parameter: OTHER[parameter]}))
    # When the one becomes the other / Then all that must stay does, but for a secret that has no use any more
    assert list(lost(before, after)) == EXPECTED.get(parameter, [])
    # And so it does on the way back, but for what was only there with that value
    assert list(lost(after, before)) == EXPECTED_ON_THE_WAY_BACK.get(parameter, [])


@pytest.mark.parametrize(
    ("logical_id", "name", "value"),
    [
        ("SegmentEventsQueue", "QueueName", "other"),
        ("RejectedDLQ", "FifoQueue", True),
        ("DeliveryTable", "TableName", "other"),
        ("DeliveryTable", "KeySchema", [{"AttributeName": "pk", "KeyType": "HASH"}]),
        ("SegmentEventsFunctionLogGroup", "LogGroupName", "other"),
        ("DefaultCredentials", "Name", "other"),
    ],
)
def test_what_would_be_replaced_is_found(stack: Stack, logical_id: str, name: str, value: Any) -> None:
    # Given a stack in which a property is another that counts at creation only
    before = identities(stack)
    resource = stack.resources[logical_id]
    changed = create_only(resource["Type"], {**resource["Properties"], name: value})
    # When the stack becomes that one
    after = {**before, logical_id: {"Type": resource["Type"], **changed}}
    # Then the replacement is found, with its reason
    assert list(lost(before, after)) == [f"{logical_id} is replaced, for its {name} changed"]


def test_what_would_be_removed_is_found(stack: Stack) -> None:
    # Given a stack without one of its queues
    after = {name: identity for name, identity in identities(stack).items() if name != "RejectedDLQ"}
    # When the stack becomes it / Then that is found
    assert list(lost(identities(stack), after)) == ["RejectedDLQ is removed"]
