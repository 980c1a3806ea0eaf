"""What does the delivery ledger tell somebody who only wants to know?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import boto3
import pytest
from moto import mock_aws

from responsys_activation.aws.faults import CLIENT_CONFIG
from responsys_activation.aws.ledger import ClaimState, Ledger
from responsys_activation.ledger_key import LedgerKey
from tests.fakes.clock import NOW, Clock

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

KEYS = [LedgerKey("default", "SEGMENT_CHANGED", f"message-{n}") for n in range(3)]


@pytest.fixture
def dynamodb() -> Iterator[DynamoDBClient]:
    with mock_aws():
        client = boto3.client("dynamodb", config=CLIENT_CONFIG)
        client.create_table(
            TableName="delivery",
            AttributeDefinitions=[
                {"AttributeName": "pk", "AttributeType": "S"},
                {"AttributeName": "sk", "AttributeType": "S"},
            ],
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
            BillingMode="PAY_PER_REQUEST",
        )
        yield client


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ledger(dynamodb: DynamoDBClient, clock: Clock) -> Ledger:
    return Ledger("delivery", dynamodb, resend_unknown=False, clock=clock)


def test_a_message_that_was_never_sent_is_not_known(ledger: Ledger) -> None:
    # Given an empty ledger / When it is asked / Then it knows nothing
    assert ledger.look_up(KEYS[0]) is None


def test_a_claim_without_an_answer_is_in_flight_and_then_abandoned(ledger: Ledger, clock: Clock) -> None:
    # Given a request on its way until in ten seconds
    ledger.claim(KEYS, "request-1", NOW + 10)
    # When it is asked now, and long after
    assert ledger.look_up(KEYS[0]) is ClaimState.IN_FLIGHT
    clock.now += 3600
    # Then its sender counts as killed
    assert ledger.look_up(KEYS[0]) is ClaimState.ABANDONED


def test_an_answer_tells_each_message_of_its_request_apart(ledger: Ledger) -> None:
    # Given a request of which one was taken, one not, and one has no trustworthy reply
    ledger.claim(KEYS, "request-1", NOW + 10)
    ledger.record("request-1", undelivered=[1], unknown=[2])
    # When each is asked for / Then it is told so
    assert [ledger.look_up(key) for key in KEYS] == [ClaimState.DELIVERED, ClaimState.FREE, ClaimState.UNKNOWN]


def test_looking_up_claims_nothing(ledger: Ledger) -> None:
    # Given a message that was looked up / When it is claimed / Then nobody stands in the way
    ledger.look_up(KEYS[0])
    assert ledger.claim(KEYS[:1], "request-1", NOW + 10) == ([ClaimState.CLAIMED], 0)
