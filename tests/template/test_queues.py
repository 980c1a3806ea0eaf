"""Do the queues keep every message until it is settled, and show it to one invocation at a time?"""

from collections.abc import Callable
from fnmatch import fnmatchcase
from typing import Any

import pytest

from tests.template.cloudformation import Stack
from tests.template.conftest import REPLY_SECONDS

QUEUES = ["SegmentEventsQueue", "ThrottledDLQ", "RejectedDLQ"]


@pytest.fixture(scope="module")
def queues(stack: Stack) -> dict[str, Any]:
    return stack.of_type("AWS::SQS::Queue")


def test_there_are_three_standard_queues(queues: dict[str, Any]) -> None:
    # Given the stack / When its queues are listed / Then these are there, and none is FIFO
    assert list(queues) == QUEUES
    assert not any("FifoQueue" in queue for queue in queues.values())


@pytest.mark.parametrize("name", QUEUES)
def test_messages_are_kept_for_fourteen_days_and_encrypted(queues: dict[str, Any], name: str) -> None:
    # Given a queue / When its storage is looked at / Then it is the longest, and encrypted by SQS
    assert queues[name]["MessageRetentionPeriod"] == 14 * 24 * 3600
    assert queues[name]["SqsManagedSseEnabled"] is True


def test_messages_outlive_the_greatest_age_at_which_the_function_gives_them_up(
    queues: dict[str, Any], source: dict[str, Any]
) -> None:
    # Given the greatest age that may be chosen
    greatest = source["Parameters"]["MaximumEventAgeHours"]["MaxValue"] * 3600
    # When it is held against the retention / Then a day is left to settle a message before SQS drops it
    assert all(queue["MessageRetentionPeriod"] - greatest >= 24 * 3600 for queue in queues.values())


@pytest.mark.parametrize("reply_seconds", REPLY_SECONDS)
def test_messages_stay_hidden_for_six_time_outs_and_the_longest_window(
    stack_with: Callable[..., Stack], source: dict[str, Any], reply_seconds: str
) -> None:
    # Given the queues that feed a function, and the longest window that may be chosen
    stack = stack_with(ReplySeconds=reply_seconds)
    window = source["Parameters"]["BatchingWindowSeconds"]["MaxValue"]
    queues = {stack.resolved({"Fn::GetAtt": [name, "Arn"]}): name for name in QUEUES}
    functions = stack.of_type("AWS::Lambda::Function")
    mappings = stack.of_type("AWS::Lambda::EventSourceMapping").values()
    fed_by = [queues[mapping["EventSourceArn"]] for mapping in mappings]
    assert fed_by == ["SegmentEventsQueue", "ThrottledDLQ"]
    # When their visibility time-outs are compared with the function's time-out
    for name in fed_by:
        visibility = stack.of_type("AWS::SQS::Queue")[name]["VisibilityTimeout"]
        # Then no message is handed out again while it may still be worked on
        assert visibility >= 6 * functions["SegmentEventsFunction"]["Timeout"] + window


@pytest.mark.parametrize("name", ["SegmentEventsQueue", "ThrottledDLQ"])
def test_messages_of_crashes_move_to_the_rejected_queue_after_five_receives(queues: dict[str, Any], name: str) -> None:
    # Given a queue that feeds the function / When its redrive is read / Then it leads to RejectedDLQ
    assert queues[name]["RedrivePolicy"] == {
        "deadLetterTargetArn": "arn:aws:sqs:eu-west-1:123456789012:crm-rejected-dlq",
        "maxReceiveCount": 5,
    }


def test_rejected_queue_takes_crashed_messages_from_the_other_two_only(stack: Stack, queues: dict[str, Any]) -> None:
    # Given the queues that redrive
    redriving = [stack.resolved({"Fn::GetAtt": [name, "Arn"]}) for name in QUEUES if "RedrivePolicy" in queues[name]]
    # When the rejected queue's allowance is read / Then it names exactly these
    assert queues["RejectedDLQ"]["RedriveAllowPolicy"] == {
        "redrivePermission": "byQueue",
        "sourceQueueArns": redriving,
    }


def test_a_dead_letter_queue_has_room_for_the_largest_message_and_its_attributes(
    queues: dict[str, Any],
) -> None:
    # Given the largest message that upstream may send
    largest = queues["SegmentEventsQueue"]["MaximumMessageSize"]
    # When it is copied with ten attributes of the longest name and a kilobyte of value
    copied = largest + 10 * (256 + 256 + 1024)
    # Then it still fits
    assert copied <= queues["ThrottledDLQ"]["MaximumMessageSize"]
    assert copied <= queues["RejectedDLQ"]["MaximumMessageSize"]


@pytest.mark.parametrize("name", QUEUES)
def test_a_queue_refuses_unencrypted_transport(stack: Stack, name: str) -> None:
    # Given the policies of a queue
    url, arn = stack.resolved([{"Ref": name}, {"Fn::GetAtt": [name, "Arn"]}])
    (policy,) = [p for p in stack.of_type("AWS::SQS::QueuePolicy").values() if url in p["Queues"]]
    # When what it denies is read
    (denial,) = [s for s in policy["PolicyDocument"]["Statement"] if s["Effect"] == "Deny"]
    # Then it is everything without TLS, from anyone
    assert (denial["Principal"], denial["Action"], denial["Resource"]) == ("*", "sqs:*", arn)
    assert denial["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}


def test_only_topics_and_rules_of_this_account_are_let_in_by_a_queue(stack: Stack) -> None:
    # Given the policies of all queues, of a stack without inlets
    policies = stack.of_type("AWS::SQS::QueuePolicy").values()
    # When what they allow is read
    allowed = [s for p in policies for s in p["PolicyDocument"]["Statement"] if s["Effect"] == "Allow"]
    # Then SNS and EventBridge of this account may send to SegmentEventsQueue, and nobody else anything
    (statement,) = allowed
    assert statement["Principal"] == {"Service": ["sns.amazonaws.com", "events.amazonaws.com"]}
    assert statement["Action"] == "sqs:SendMessage"
    assert statement["Resource"] == stack.outputs["SegmentEventsQueueArn"]
    assert statement["Condition"] == {
        "ArnLike": {
            "aws:SourceArn": ["arn:aws:sns:*:123456789012:*", "arn:aws:events:eu-west-1:123456789012:rule/*"],
        }
    }


@pytest.mark.parametrize(
    ("sender", "is_admitted"),
    [
        ("arn:aws:sns:eu-west-1:123456789012:memberships", True),
        ("arn:aws:sns:us-east-1:123456789012:memberships", True),
        ("arn:aws:sns:eu-west-1:210987654321:memberships", False),
        ("arn:aws:events:eu-west-1:123456789012:rule/memberships", True),
        ("arn:aws:events:eu-west-1:123456789012:rule/own-bus/memberships", True),
        ("arn:aws:events:eu-west-1:210987654321:rule/memberships", False),
        ("arn:aws:s3:::bucket", False),
    ],
)
def test_a_topic_or_rule_is_admitted_by_its_arn(stack: Stack, sender: str, is_admitted: bool) -> None:
    # Given the patterns of the queue's policy
    (statement,) = [
        statement
        for policy in stack.of_type("AWS::SQS::QueuePolicy").values()
        for statement in policy["PolicyDocument"]["Statement"]
        if statement["Effect"] == "Allow"
    ]
    patterns = statement["Condition"]["ArnLike"]["aws:SourceArn"]
    # When an ARN is held against them, part by part as IAM does it
    admitted = any(
        all(fnmatchcase(part, like) for part, like in zip(sender.split(":", 5), pattern.split(":", 5), strict=True))
        for pattern in patterns
    )
    # Then those of this account are admitted, and no others
    assert admitted is is_admitted
