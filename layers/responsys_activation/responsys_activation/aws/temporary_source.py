"""How does one message come from SNS or EventBridge, where no producer is connected yet?

A topic or an event rule is made for it, and removed at the end. For the command alone; no function imports this.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

from responsys_activation.aws.stack_call import StackError, stack_call

__all__ = ["temporary_rule", "temporary_topic"]

Publish = Callable[[str], None]


@contextmanager
def temporary_topic(stack: str, queue_arn: str, sns: Any) -> Iterator[Publish]:
    """Subscribe a queue to a new topic while the context lasts; gives what publishes a message there.

    Raises
    ------
    StackError
        SNS refused; the text names the topic, also where it could not be removed.
    """
    name = _name(stack)
    with stack_call(f"topic {name}"), ExitStack() as made:
        topic = sns.create_topic(Name=name)["TopicArn"]
        made.callback(sns.delete_topic, TopicArn=topic)
        subscribed = sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=queue_arn, ReturnSubscriptionArn=True)
        made.callback(sns.unsubscribe, SubscriptionArn=subscribed["SubscriptionArn"])

        def publish(body: str) -> None:
            with stack_call(f"cannot publish to topic {name}"):
                sns.publish(TopicArn=topic, Message=body)

        yield publish


@contextmanager
def temporary_rule(stack: str, queue_arn: str, events: Any) -> Iterator[Publish]:
    """Let a new rule of the default event bus send to a queue while the context lasts; gives what puts an event.

    Raises
    ------
    StackError
        EventBridge refused; the text names the rule, also where it could not be removed.
    """
    name = _name(stack)
    target = "queue"
    with stack_call(f"event rule {name}"), ExitStack() as made:
        # No other rule can want an event of this source, unless it wants everything.
        events.put_rule(Name=name, EventPattern=json.dumps({"source": [name]}))
        made.callback(events.delete_rule, Name=name)
        answer = events.put_targets(Rule=name, Targets=[{"Id": target, "Arn": queue_arn}])
        _require_all_taken(answer, f"event rule {name}")
        made.callback(events.remove_targets, Rule=name, Ids=[target])

        def put(body: str) -> None:
            with stack_call("cannot put an event"):
                entry = {"Source": name, "DetailType": "membership", "Detail": body}
                _require_all_taken(events.put_events(Entries=[entry]), "cannot put an event")

        yield put


def _name(stack: str) -> str:
    """Name it so that a person who finds it knows what it was for; a rule's name takes 64 characters."""
    return f"{stack}-verify-{uuid.uuid4().hex[:8]}"


def _require_all_taken(answer: Mapping[str, Any], what: str) -> None:
    """Raise what EventBridge says of an entry in an answer that is no error."""
    if answer["FailedEntryCount"]:
        (entry,) = [each for each in answer.get("Entries", answer.get("FailedEntries", [])) if "ErrorCode" in each]
        raise StackError(f"{what}: {entry.get('ErrorMessage') or entry['ErrorCode']}")
