"""Do connectors of one account share what is the account's, in one environment and across several?"""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from responsys_activation.aws.request_pace import RequestPace
from responsys_activation.aws.slots import BudgetOutOfReachError, NoSlotError
from responsys_activation.connector import Connector
from tests.fakes.clock import Clock
from tests.fakes.environment import Environment, Surroundings
from tests.fakes.memberships import connector
from tests.fakes.parameters import InMemoryParameters, InMemorySecrets
from tests.fakes.recording_sqs import RecordingSqs

FAR = 10_000.0


class Stack:
    """Environments of one stack."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.around = Surroundings(
            ssm=InMemoryParameters({}),
            secrets=InMemorySecrets({"stack/default": json.dumps({"username": "u", "password": "p"})}),
            sqs=RecordingSqs(),
            responsys={},
        )

    def environment(self) -> Environment:
        return Environment(self.around, clock=self.clock, sleep=self.clock.sleep)

    def reserve(self, pace: RequestPace) -> Any:
        return pace.reserve(lambda: 200, self.clock() + FAR)


def of_account(**changes: Any) -> Connector:
    return connector(requestsPerMinute=None, **changes)


def test_connectors_with_the_same_host_and_secret_share_budget_and_pause() -> None:
    # Given connectors of one account, in two environments
    stack = Stack()
    first = stack.environment().open_pace("a", of_account())
    second = stack.environment().open_pace("b", of_account(identifierType="CRM_ID"))

    # When both have a request / Then their slots are two of one budget
    assert stack.reserve(second).at < stack.reserve(first).at
    # And a throttle of one is the other's
    first.pause("API_LIMIT_EXCEEDED", 60.0)
    with pytest.raises(NoSlotError):
        stack.reserve(second)


@pytest.mark.parametrize(
    "changes", [{"authEndpoint": "https://login2.responsys.net"}, {"credentialsSecretId": "stack/other"}]
)
def test_connectors_with_another_host_or_secret_share_nothing(changes: dict[str, str]) -> None:
    stack = Stack()
    environment = stack.environment()
    first, second = environment.open_pace("a", of_account()), environment.open_pace("b", of_account(**changes))

    first.pause("API_LIMIT_EXCEEDED", 60.0)

    assert stack.reserve(second).at == stack.clock()


def test_connectors_of_one_environment_learn_together_that_the_table_is_out_of_reach(
    caplog: pytest.LogCaptureFixture,
) -> None:
    # Given two connectors of one account in an environment that cannot reach the table
    stack = Stack()
    stack.around.table.fail("*", times=math.inf)
    environment = stack.environment()
    paces = [environment.open_pace(name, of_account()) for name in ("a", "b")]

    # When each has a request with little time / Then the table's budget is tried once
    for pace in paces:
        with pytest.raises(BudgetOutOfReachError):
            pace.reserve(lambda: 200, stack.clock() + 5)
    assert [record.message for record in caplog.records].count("request budget out of reach") == 1


def test_a_merge_that_waits_for_its_slot_learns_of_a_pause_of_events() -> None:
    stack = Stack()
    merges = stack.environment().open_merge_pace(of_account())
    assert not merges.is_paused()

    stack.environment().open_pace("a", of_account()).pause("INTERNAL_CAPACITY_LIMIT_EXCEEDED", 600.0)

    assert merges.is_paused()


def test_a_merges_throttle_lowers_the_pace_of_merges_alone() -> None:
    # Given an account's events and merges
    stack = Stack()
    events, merges = stack.environment().open_pace("a", of_account()), stack.environment().open_merge_pace(of_account())
    for pace in (events, merges):
        stack.reserve(pace)

    # When a merge meets the limit / Then merges go half as fast afterwards, and events as before
    merges.pause("API_LIMIT_EXCEEDED", 60.0)
    stack.clock.sleep(60)
    merges.lift(stack.reserve(merges).probe)
    apart = []
    for pace in (events, merges):
        slots = [stack.reserve(pace).at for _ in range(2)]
        apart.append(slots[1] - slots[0])
    assert apart[1] == pytest.approx(2 * apart[0], rel=0.01)


def test_a_connector_that_wants_little_has_a_budget_of_its_own_by_its_name() -> None:
    stack = Stack()
    environment = stack.environment()

    for name in ("a", "b"):
        environment.open_pace(name, connector(requestsPerMinute=20)).reserve(lambda: 200, stack.clock() + FAR)

    budgets = {key for key, kind in stack.around.table.items if kind == "budget"}
    assert {"pace#a", "pace#b"} < budgets
    assert len(budgets) == 3
