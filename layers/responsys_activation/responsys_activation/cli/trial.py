"""Does a message come through, by each way that producers may take?"""

from __future__ import annotations

import time
import uuid
from argparse import Namespace
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import NamedTuple

from responsys_activation.aws.connectors import ConnectorParameter
from responsys_activation.aws.deployed_stack import DeployedStack
from responsys_activation.cli.following import Sent, changes_of, follow, rehearsed
from responsys_activation.cli.one_membership import membership_body
from responsys_activation.cli.verification import Result, Step, message_step, skipped

__all__ = ["EVENTBRIDGE", "SNS", "SQS", "Trial"]

_SECONDS_TO_TAKE_EFFECT = 10.0  # AWS: a new target of a rule may not be invoked at once

_Publish = Callable[[str], None]


class _Forwarder(NamedTuple):
    """What forwards messages to SegmentEventsQueue.

    Attributes
    ----------
    made : str
        What is made for one message.
    failures : str
        The metric that counts what it could not forward.
    """

    way: str
    made: str
    failures: str


SQS = "SQS"
SNS = _Forwarder("SNS", "topic", "NumberOfNotificationsFailed")
EVENTBRIDGE = _Forwarder("EventBridge", "rule", "FailedInvocations")


class Trial:
    """Sends the membership of the options, each time under another id, and follows it.

    Parameters
    ----------
    connectors : Mapping of str to ConnectorParameter
        The stack's, by name.

    Raises
    ------
    CommandError
        There is no such connector, or its settings cannot be used.
    """

    def __init__(self, stack: DeployedStack, options: Namespace, connectors: Mapping[str, ConnectorParameter]) -> None:
        self._stack = stack
        self._options = options
        self._connectors = connectors
        self._came_through = False
        self._body()  # what is wrong with it is told before anything is done

    def by_queue(self, tail: str) -> list[Step]:
        """Put one on SegmentEventsQueue.

        Parameters
        ----------
        tail : str
            The command that shows what the function does.
        """
        step = self._followed(SQS, self._stack.send, f"`{tail}` shows what the function does")
        self._came_through = step.result is Result.OK
        return [step]

    def by_forwarder(
        self, forwarder: _Forwarder, make: Callable[[], AbstractContextManager[_Publish]], *, allowed: bool
    ) -> list[Step]:
        """Publish one where it is forwarded to SegmentEventsQueue.

        Parameters
        ----------
        make : callable
            Makes the forwarder for as long as its context lasts.
        """
        name, made = f"message by {forwarder.way}", forwarder.made
        if not allowed:
            return [skipped(name, "not allowed", f"--temporary-{made} makes a {made} for it, and removes it")]
        if not self._came_through:
            return [skipped(name, f"the one by {SQS} was not delivered")]
        what_to_do = (
            f"look at the {made}'s metric {forwarder.failures}; SegmentEventsQueuePolicy must allow it, "
            "and so must the policy of KmsKeyArn"
        )
        with make() as publish:
            time.sleep(0 if self._stack.is_local else _SECONDS_TO_TAKE_EFFECT)
            return [self._followed(forwarder.way, publish, what_to_do)]

    def _followed(self, way: str, send: Callable[[str], str | None], what_to_do: str) -> Step:
        body = self._body()
        changes = changes_of(rehearsed(self._stack, self._connectors, body, "message 1"))
        began, sent_at = time.monotonic(), time.time()
        message_id = send(body)
        seen = follow(self._stack, Sent(sent_at, changes, message_id), self._options.timeout)
        return message_step(way, seen, time.monotonic() - began, what_to_do)

    def _body(self) -> str:
        return membership_body(self._options, self._connectors, f"verify-{uuid.uuid4()}")
