"""Has every item one key, and does an update tell a failed condition from a fault?"""

from __future__ import annotations

import re
from typing import Any, cast

import pytest

from responsys_activation.aws import delivery_table
from responsys_activation.aws.delivery_table import (
    DeliveryTable,
    Key,
    Updated,
    account_budget_key,
    account_limit_key,
    answer_key,
    claim_key,
    connector_budget_key,
    login_key,
    merge_budget_key,
    merge_limit_key,
    newcomer_key,
)
from responsys_activation.aws.faults import AwsCallError
from responsys_activation.change import Change
from tests.fakes.clock import NOW
from tests.fakes.dynamodb import InMemoryDynamoDb

ONE, TWO = Key("login#1", "login"), Key("login#2", "login")
SET_ONCE: dict[str, Any] = {"condition": "attribute_not_exists(leaseOwner)", "values": {":owner": {"S": "a"}}}


def test_no_two_kinds_of_item_share_a_key_and_each_stands_in_the_modules_table() -> None:
    # Given the same name for a membership, a request, an account, a connector and a user
    keys = [
        claim_key(Change("x", "x", "ADD", NOW, NOW)),
        answer_key("x"),
        account_budget_key("x"),
        connector_budget_key("x"),
        account_limit_key("x"),
        login_key("x", "x"),
        merge_budget_key("x"),
        merge_limit_key("x"),
        newcomer_key("x", "x", "x", "x"),
    ]

    # Then all keys differ, and the page that answers "What is in the delivery table?" has a line for each
    assert len(set(keys)) == len(keys)
    assert len(keys) == sum(name.endswith("_key") for name in delivery_table.__all__)
    told = re.findall(r"^``(\w+)#\{.*?\}`` +``(\w+)``", delivery_table.__doc__ or "", re.MULTILINE)
    assert sorted(told) == sorted((key.pk.partition("#")[0], key.sk) for key in keys[1:])


def test_a_users_logins_have_one_key_however_many_secrets_lead_there_and_the_user_is_not_in_it() -> None:
    assert login_key("https://h", "u") == login_key("https://h", "u")
    assert login_key("https://h", "u") != login_key("https://h2", "u")
    assert "someone" not in login_key("https://h", "someone").pk


def test_a_newcomer_has_one_key_for_each_list_and_column_and_is_not_in_it() -> None:
    key = newcomer_key("account", "LIST", "EMAIL_ADDRESS_", "nora@example.org")

    assert key == newcomer_key("account", "LIST", "EMAIL_ADDRESS_", "nora@example.org")
    assert key != newcomer_key("account", "OTHER", "EMAIL_ADDRESS_", "nora@example.org")
    assert key != newcomer_key("account", "LIST", "CUSTOMER_ID_", "nora@example.org")
    assert key != newcomer_key("another", "LIST", "EMAIL_ADDRESS_", "nora@example.org")
    assert "nora" not in key.pk


def test_an_update_tells_what_it_replaced_and_a_failed_condition_what_stands() -> None:
    table = DeliveryTable("delivery", cast("Any", InMemoryDynamoDb()))

    first = table.update("x", ONE, "SET leaseOwner = :owner", **SET_ONCE)
    second = table.update("x", ONE, "SET leaseOwner = :owner", **SET_ONCE)

    assert first == Updated(True, {})
    assert second == Updated(False, {"pk": {"S": "login#1"}, "sk": {"S": "login"}, "leaseOwner": {"S": "a"}})


def test_a_fault_of_an_update_is_no_failed_condition_and_says_what_was_tried() -> None:
    client = InMemoryDynamoDb()
    client.fail("UpdateItem", times=1)
    table = DeliveryTable("delivery", cast("Any", client))

    with pytest.raises(AwsCallError, match="DynamoDB take login lease"):
        table.update("take login lease", ONE, "SET leaseOwner = :owner", **SET_ONCE)
    assert not client.items


def test_many_items_are_read_by_their_keys_and_those_that_are_not_there_are_left_out() -> None:
    table = DeliveryTable("delivery", cast("Any", InMemoryDynamoDb()))
    table.write("x", TWO, {"expiresAt": {"N": "1"}})

    found = table.read_all("x", [ONE, TWO])

    assert found == {TWO: {"pk": {"S": "login#2"}, "sk": {"S": "login"}, "expiresAt": {"N": "1"}}}
    assert table.read("x", ONE) == {}
    assert table.read("x", TWO) == found[TWO]
