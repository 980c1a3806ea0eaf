"""Do the inlets bring upstream's events and records to the queue, lose none, and do no more than that?"""

from collections.abc import Callable
from typing import Any

import pytest

from tests.template.cloudformation import Stack

SOURCE = "aws.partner/segment.com"
BUS = "aws.partner/segment.com/abc"
STREAM = "arn:aws:kinesis:eu-west-1:123456789012:stream/memberships"
KEY = "arn:aws:kms:eu-west-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"
QUEUE = "arn:aws:sqs:eu-west-1:123456789012:crm-segment-events"
REJECTED = "arn:aws:sqs:eu-west-1:123456789012:crm-rejected-dlq"


@pytest.fixture(scope="module")
def rule(stack_with: Callable[..., Stack]) -> dict[str, Any]:
    stack = stack_with(UpstreamEventSource=SOURCE, UpstreamEventBusName=BUS)
    properties: dict[str, Any] = stack.of_type("AWS::Events::Rule")["UpstreamEventsRule"]
    return properties


@pytest.fixture
def inlet(stack_with: Callable[..., Stack], stream_inlet: dict[str, Any]) -> Callable[..., Stack]:
    """Return the nested stack that a stack with these parameters makes."""

    def make(**parameters: str) -> Stack:
        stack = stack_with(UpstreamStreamArn=STREAM, **parameters)
        (nested,) = stack.of_type("AWS::CloudFormation::Stack").values()
        assert set(nested["Parameters"]) == set(stream_inlet["Parameters"])
        return Stack(stream_inlet, nested["Parameters"])

    return make


def test_a_stack_has_no_inlet_unless_it_is_asked_for(stack: Stack, stack_with: Callable[..., Stack]) -> None:
    # Given stacks without inlets, with each, and with a bus but no source
    added = {
        parameter: set(stack_with(**{parameter: value}).resources) - set(stack.resources)
        for parameter, value in {
            "UpstreamEventSource": SOURCE,
            "UpstreamEventBusName": BUS,
            "UpstreamStreamArn": STREAM,
        }.items()
    }
    # When their resources are compared / Then each inlet brings itself and its alarm
    assert added == {
        "UpstreamEventSource": {"UpstreamEventsRule", "UpstreamEventsAlarm"},
        "UpstreamEventBusName": set(),
        "UpstreamStreamArn": {"UpstreamStreamInlet", "UpstreamStreamAlarm"},
    }


# ---- events


@pytest.mark.parametrize("bus", ["default", BUS])
def test_events_of_the_source_go_to_the_queue_whole(stack_with: Callable[..., Stack], bus: str) -> None:
    # Given a stack with a source, on one bus or another
    stack = stack_with(UpstreamEventSource=SOURCE, UpstreamEventBusName=bus)
    rule = stack.of_type("AWS::Events::Rule")["UpstreamEventsRule"]
    # When its rule is read / Then what comes on that bus from any source of that beginning goes to the queue
    assert (rule["EventBusName"], rule["EventPattern"]) == (bus, {"source": [{"prefix": SOURCE}]})
    (target,) = rule["Targets"]
    assert target["Arn"] == QUEUE
    # And nothing is taken off it: the envelope has id and time
    assert not {"Input", "InputPath", "InputTransformer"} & set(target)


def test_a_burst_of_events_is_one_tenant_of_the_fair_queue(rule: dict[str, Any]) -> None:
    # Given the rule's target / When its parameters for SQS are read / Then all events share a group
    (target,) = rule["Targets"]
    assert target["SqsParameters"] == {"MessageGroupId": "upstream-events"}


def test_an_event_is_tried_for_as_long_as_aws_takes_and_then_kept(rule: dict[str, Any]) -> None:
    # Given the rule's target / When its retries are read / Then they are the most, and RejectedDLQ has the rest
    (target,) = rule["Targets"]
    assert target["RetryPolicy"] == {"MaximumEventAgeInSeconds": 24 * 3600, "MaximumRetryAttempts": 185}
    assert target["DeadLetterConfig"] == {"Arn": REJECTED}


@pytest.mark.parametrize(("bus", "path"), [("default", ""), (BUS, f"{BUS}/")])
def test_the_rule_and_no_other_may_leave_events_on_the_rejected_queue(
    stack_with: Callable[..., Stack], bus: str, path: str
) -> None:
    # Given a stack with a source
    stack = stack_with(UpstreamEventSource=SOURCE, UpstreamEventBusName=bus)
    policy = stack.of_type("AWS::SQS::QueuePolicy")["RejectedDLQPolicy"]
    # When what the queue's policy allows is read
    (allowed,) = [each for each in policy["PolicyDocument"]["Statement"] if each["Effect"] == "Allow"]
    # Then it is that EventBridge sends for exactly this rule
    assert (allowed["Principal"], allowed["Action"]) == ({"Service": "events.amazonaws.com"}, "sqs:SendMessage")
    assert allowed["Resource"] == REJECTED
    arn = f"arn:aws:events:eu-west-1:123456789012:rule/{path}crm-upstream-events"
    assert allowed["Condition"] == {"ArnEquals": {"aws:SourceArn": arn}}


def test_the_queue_admits_the_rule_before_it_sends(source: dict[str, Any]) -> None:
    # Given that EventBridge tries nothing again that a policy refused
    # When what the rule waits for is read / Then it is the policy of the queue
    assert source["Resources"]["UpstreamEventsRule"]["DependsOn"] == "SegmentEventsQueuePolicy"


# ---- records of a stream


def test_records_of_the_stream_go_to_the_queue_as_the_pipe_reads_them(inlet: Callable[..., Stack]) -> None:
    # Given a stack with a stream / When its pipe is read
    pipe = inlet().of_type("AWS::Pipes::Pipe")["Pipe"]
    # Then it leads from one to the other, and changes nothing: the record has id and time
    assert (pipe["Source"], pipe["Target"]) == (STREAM, QUEUE)
    assert "TargetParameters" not in pipe
    assert "Enrichment" not in pipe


def test_no_record_is_missed_or_tried_for_ever(inlet: Callable[..., Stack]) -> None:
    # Given the pipe
    reading = inlet().of_type("AWS::Pipes::Pipe")["Pipe"]["SourceParameters"]["KinesisStreamParameters"]
    # When how it reads is read / Then it begins with what is there, and halves what SQS does not take
    assert reading["StartingPosition"] == "TRIM_HORIZON"
    assert reading["OnPartialBatchItemFailure"] == "AUTOMATIC_BISECT"
    assert reading["BatchSize"] <= 10  # SQS takes no more in a call, and a pipe no larger batch than its target
    # And what is given up after a number of times, or at an age, is told to RejectedDLQ
    assert 0 < reading["MaximumRetryAttempts"] <= 185
    assert reading["DeadLetterConfig"] == {"Arn": REJECTED}
    # while the stream, which keeps it for a day at least, has it for hours
    assert 0 < reading["MaximumRecordAgeInSeconds"] <= 12 * 3600


def test_the_pipe_has_the_name_that_its_alarm_watches(
    inlet: Callable[..., Stack], stack_with: Callable[..., Stack]
) -> None:
    # Given the pipe, and the alarm
    name = inlet().of_type("AWS::Pipes::Pipe")["Pipe"]["Name"]
    alarm = stack_with(UpstreamStreamArn=STREAM).of_type("AWS::CloudWatch::Alarm")["UpstreamStreamAlarm"]
    # When their names are compared / Then they are the same
    assert alarm["Dimensions"] == [{"Name": "PipeName", "Value": name}]
    # And it is none that is too long under the longest name of a stack
    assert len(name) - len("crm") + 48 <= 64


def statements(stack: Stack) -> dict[str, dict[str, Any]]:
    (role,) = stack.of_type("AWS::IAM::Role").values()
    (policy,) = role["Policies"]
    return {each["Sid"]: each for each in policy["PolicyDocument"]["Statement"]}


def test_the_pipe_may_read_this_stream_and_write_to_these_queues_alone(inlet: Callable[..., Stack]) -> None:
    # Given the pipe's role
    allowed = statements(inlet())
    # When what it allows is read
    assert set(allowed) == {"ReadStream", "DecryptStream", "PutRecordsOnQueues"}
    # Then it reads one stream
    assert allowed["ReadStream"]["Resource"] == STREAM
    assert all(
        action.split(":")[1].startswith(("Describe", "Get", "List")) for action in allowed["ReadStream"]["Action"]
    )
    # And decrypts what comes from it, whichever its key
    assert allowed["DecryptStream"]["Action"] == "kms:Decrypt"
    assert allowed["DecryptStream"]["Condition"] == {
        "StringEquals": {
            "kms:ViaService": "kinesis.eu-west-1.amazonaws.com",
            "kms:EncryptionContext:aws:kinesis:arn": STREAM,
        }
    }
    # And sends to the queue, and to that of what it could not send
    assert allowed["PutRecordsOnQueues"]["Action"] == "sqs:SendMessage"
    assert allowed["PutRecordsOnQueues"]["Resource"] == [QUEUE, REJECTED]


def test_with_a_key_of_the_owners_the_pipe_may_encrypt_what_it_sends(inlet: Callable[..., Stack]) -> None:
    # Given queues with a key of the owner's / When what the pipe's role says about it is read
    statement = statements(inlet(KmsKeyArn=KEY))["EncryptMessages"]
    # Then it is what sending needs, through SQS
    assert (statement["Action"], statement["Resource"]) == (["kms:Decrypt", "kms:GenerateDataKey"], KEY)
    assert statement["Condition"] == {"StringEquals": {"kms:ViaService": "sqs.eu-west-1.amazonaws.com"}}


def test_the_role_is_for_this_pipe_alone(inlet: Callable[..., Stack]) -> None:
    # Given the pipe and its role
    stack = inlet()
    (role,) = stack.of_type("AWS::IAM::Role").values()
    name = stack.of_type("AWS::Pipes::Pipe")["Pipe"]["Name"]
    # When who may assume the role is read / Then it is EventBridge, for a pipe of that name in this account
    (trust,) = role["AssumeRolePolicyDocument"]["Statement"]
    assert trust["Principal"] == {"Service": "pipes.amazonaws.com"}
    assert trust["Condition"] == {
        "StringEquals": {
            "aws:SourceAccount": "123456789012",
            "aws:SourceArn": f"arn:aws:pipes:eu-west-1:123456789012:pipe/{name}",
        }
    }
