"""Which secrets count, for how long, and what if they cannot be read?"""

from __future__ import annotations

from typing import Any, cast

import pytest

from responsys_activation.aws.faults import AwsCallError, AwsRefusedError
from responsys_activation.aws.webhook_secret import WebhookSecret
from tests.fakes.clock import Clock
from tests.fakes.webhook import SECRET, FakeSecret

NEXT = "another-horse-another-battery"


@pytest.fixture
def clock() -> Clock:
    return Clock()


def secret_of(client: FakeSecret, clock: Clock) -> WebhookSecret:
    return WebhookSecret("stack-webhook", cast("Any", client), clock=clock)


def test_a_new_secret_counts_beside_the_former_within_five_minutes(clock: Clock) -> None:
    # Given a secret that was read
    client = FakeSecret()
    secret = secret_of(client, clock)
    assert secret.values() == (SECRET.encode(),)

    # When it is changed, as Secrets Manager does it
    client.versions = {"AWSCURRENT": f"{NEXT}\n", "AWSPREVIOUS": SECRET}
    clock.sleep(300)

    # Then both count
    assert secret.values() == (NEXT.encode(), SECRET.encode())

    # And five minutes after it was changed once more, the first no longer does
    client.versions = {"AWSCURRENT": NEXT, "AWSPREVIOUS": NEXT}
    clock.sleep(300)
    assert SECRET.encode() not in secret.values()


def test_within_minutes_it_is_read_once(clock: Clock) -> None:
    client = FakeSecret()
    secret = secret_of(client, clock)
    secret.values()
    calls = client.calls

    clock.sleep(200)
    secret.values()

    assert client.calls == calls


def test_what_was_read_counts_while_secrets_manager_is_down_which_is_asked_rarely(clock: Clock) -> None:
    client = FakeSecret()
    secret = secret_of(client, clock)
    secret.values()
    clock.sleep(300)
    client.is_down, client.calls = True, 0

    for _ in range(100):
        assert secret.values() == (SECRET.encode(),)
        clock.sleep(1)

    assert client.calls == 2


def test_without_any_it_says_so(clock: Clock) -> None:
    client = FakeSecret(is_down=True)

    with pytest.raises(AwsCallError, match="Secrets Manager get stack-webhook AWSCURRENT: ReadTimeoutError"):
        secret_of(client, clock).values()


@pytest.mark.parametrize("text", ["", " ", "short", f'{{"secret": "{SECRET}"}}'])
def test_a_secret_that_should_let_nobody_in_does_not(clock: Clock, text: str) -> None:
    current, previous = FakeSecret({"AWSCURRENT": text}), FakeSecret({"AWSCURRENT": SECRET, "AWSPREVIOUS": text})

    with pytest.raises(AwsRefusedError, match="must be a text of 16 characters or more") as refused:
        secret_of(current, clock).values()
    assert SECRET not in str(refused.value)
    assert secret_of(previous, clock).values() == (SECRET.encode(),)
