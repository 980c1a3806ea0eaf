"""Is what was made for one message gone afterwards, whatever happens?"""

from __future__ import annotations

import pytest

from responsys_activation.aws.stack_call import StackError
from responsys_activation.aws.temporary_source import temporary_rule, temporary_topic
from tests.unit.aws.stubbed import ANY, StubbedAws

QUEUE = "arn:aws:sqs:eu-west-1:123456789012:prod-segment-events"
TOPIC = "arn:aws:sns:eu-west-1:123456789012:prod-verify-1"
SUBSCRIPTION = f"{TOPIC}:1"


@pytest.fixture
def aws() -> StubbedAws:
    return StubbedAws()


def topic_made(aws: StubbedAws) -> None:
    aws.answers("sns", "create_topic", {"TopicArn": TOPIC}, Name=ANY)
    of_queue = {"TopicArn": TOPIC, "Protocol": "sqs", "Endpoint": QUEUE, "ReturnSubscriptionArn": True}
    aws.answers("sns", "subscribe", {"SubscriptionArn": SUBSCRIPTION}, **of_queue)


def topic_removed(aws: StubbedAws) -> None:
    aws.answers("sns", "unsubscribe", {}, SubscriptionArn=SUBSCRIPTION)
    aws.answers("sns", "delete_topic", {}, TopicArn=TOPIC)


def rule_made(aws: StubbedAws) -> None:
    aws.answers("events", "put_rule", {}, Name=ANY, EventPattern=ANY)
    targets = [{"Id": "queue", "Arn": QUEUE}]
    aws.answers("events", "put_targets", {"FailedEntryCount": 0, "FailedEntries": []}, Rule=ANY, Targets=targets)


def rule_removed(aws: StubbedAws) -> None:
    aws.answers("events", "remove_targets", {}, Rule=ANY, Ids=["queue"])
    aws.answers("events", "delete_rule", {}, Name=ANY)


def test_a_topic_publishes_to_the_queue_and_is_removed(aws: StubbedAws) -> None:
    topic_made(aws)
    aws.answers("sns", "publish", {}, TopicArn=TOPIC, Message="body")
    topic_removed(aws)
    with temporary_topic("prod", QUEUE, aws.client("sns")) as publish:
        publish("body")
    aws.require_all_called()


def test_a_rule_forwards_an_event_to_the_queue_and_is_removed(aws: StubbedAws) -> None:
    rule_made(aws)
    entries = [{"Source": ANY, "DetailType": "membership", "Detail": "{}"}]
    aws.answers("events", "put_events", {"FailedEntryCount": 0, "Entries": [{"EventId": "1"}]}, Entries=entries)
    rule_removed(aws)
    with temporary_rule("prod", QUEUE, aws.client("events")) as put:
        put("{}")
    aws.require_all_called()


def test_the_rule_takes_events_of_its_own_source_only(aws: StubbedAws, monkeypatch: pytest.MonkeyPatch) -> None:
    # Given a rule whose name is known
    monkeypatch.setattr("responsys_activation.aws.temporary_source._name", lambda stack: f"{stack}-verify-1")
    aws.answers("events", "put_rule", {}, Name="prod-verify-1", EventPattern='{"source": ["prod-verify-1"]}')
    targets = [{"Id": "queue", "Arn": QUEUE}]
    aws.answers("events", "put_targets", {"FailedEntryCount": 0}, Rule="prod-verify-1", Targets=targets)
    # When an event is put / Then it is of that source
    entries = [{"Source": "prod-verify-1", "DetailType": "membership", "Detail": "{}"}]
    aws.answers("events", "put_events", {"FailedEntryCount": 0, "Entries": []}, Entries=entries)
    rule_removed(aws)
    with temporary_rule("prod", QUEUE, aws.client("events")) as put:
        put("{}")


def test_whoever_gives_up_leaves_nothing_behind(aws: StubbedAws) -> None:
    # Given a topic and a rule / When somebody gives up meanwhile
    topic_made(aws)
    topic_removed(aws)
    with pytest.raises(KeyboardInterrupt), temporary_topic("prod", QUEUE, aws.client("sns")):
        raise KeyboardInterrupt
    rule_made(aws)
    rule_removed(aws)
    with pytest.raises(KeyboardInterrupt), temporary_rule("prod", QUEUE, aws.client("events")):
        raise KeyboardInterrupt
    # Then both are removed
    aws.require_all_called()


def test_what_is_made_in_part_is_removed_in_part(aws: StubbedAws) -> None:
    # Given credentials that may make a topic and not subscribe
    aws.answers("sns", "create_topic", {"TopicArn": TOPIC}, Name=ANY)
    aws.refuses("sns", "subscribe", "not authorized to perform: SNS:Subscribe")
    aws.answers("sns", "delete_topic", {}, TopicArn=TOPIC)
    # When one is made / Then it says so, and the topic is removed
    refusal = pytest.raises(StackError, match=r"^topic prod-verify-[0-9a-f]{8}: not authorized to perform: SNS:Subsc")
    with refusal, temporary_topic("prod", QUEUE, aws.client("sns")):
        pass
    aws.require_all_called()


def test_what_cannot_be_removed_is_named(aws: StubbedAws) -> None:
    topic_made(aws)
    aws.answers("sns", "unsubscribe", {}, SubscriptionArn=SUBSCRIPTION)
    aws.refuses("sns", "delete_topic", "not authorized to perform: SNS:DeleteTopic")
    refusal = pytest.raises(StackError, match=r"^topic prod-verify-[0-9a-f]{8}: not authorized to perform: SNS:Delete")
    with refusal, temporary_topic("prod", QUEUE, aws.client("sns")):
        pass


def test_what_eventbridge_does_not_take_is_an_error_though_it_answers(aws: StubbedAws) -> None:
    # Given an EventBridge that answers, and takes neither target nor event
    failed = {"ErrorCode": "InternalFailure", "ErrorMessage": "try again"}
    aws.answers("events", "put_rule", {}, Name=ANY, EventPattern=ANY)
    answer = {"FailedEntryCount": 1, "FailedEntries": [{"TargetId": "queue", **failed}]}
    aws.answers("events", "put_targets", answer, Rule=ANY, Targets=ANY)
    aws.answers("events", "delete_rule", {}, Name=ANY)
    # When a rule is made / Then it is an error, and the rule is removed
    with pytest.raises(StackError, match="try again"), temporary_rule("prod", QUEUE, aws.client("events")):
        pass
    # And so it is for the event
    rule_made(aws)
    aws.answers("events", "put_events", {"FailedEntryCount": 1, "Entries": [failed]}, Entries=ANY)
    rule_removed(aws)
    refusal = pytest.raises(StackError, match="cannot put an event: try again")
    with refusal, temporary_rule("prod", QUEUE, aws.client("events")) as put:
        put("{}")
    aws.require_all_called()


def test_the_name_tells_what_it_was_for_and_fits_a_rule_of_the_longest_stack(aws: StubbedAws) -> None:
    # Given a stack with the longest name / When a rule is made
    aws.refuses("events", "put_rule", "no")
    with pytest.raises(StackError) as refusal, temporary_rule("s" * 48, QUEUE, aws.client("events")):
        pass
    # Then its name, which the error tells, is no longer than EventBridge takes
    name = str(refusal.value).removeprefix("event rule ").removesuffix(": no")
    assert (len(name), "-verify-" in name) == (64, True)
