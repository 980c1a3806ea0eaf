"""Does `responsys-activation verify` find nothing wrong with a stack that works, and what somebody broke?"""

from collections.abc import Iterator
from typing import Any

import pytest

from responsys_activation.cli.exit_code import ExitCode
from tests.end_to_end.observing import SEGMENT_EVENTS, deployed
from tests.local_stack.queues import send_all
from tests.local_stack.repeating import eventually
from tests.local_stack.stack import LocalStack
from tests.simulator.inbox import InboxEvent
from tests.unit.cli.commands import Ended, command

# One of their own: what other tests leave on a stack, dead letters and ringing alarms, is just what is looked for here.
PARAMETERS = {"BatchingWindowSeconds": "1", "AlarmEmail": "team@example.com"}
TYPED = ("--profile-id", "p-1", "--segment", "aud-42", "--id", "364470825")


@pytest.fixture(scope="module")
def own_stack() -> Iterator[LocalStack]:
    with LocalStack(PARAMETERS, say=lambda _: None) as stack:
        yield stack


def verify(stack: LocalStack, *arguments: str) -> Ended:
    return command("verify", "--json", "--timeout", "40", *arguments, stack=deployed(stack))


def steps(ended: Ended) -> dict[str, dict[str, Any]]:
    return {step["step"]: step for step in ended.document()["steps"]}


def inbox(stack: LocalStack) -> list[InboxEvent]:
    assert stack.simulator is not None
    return stack.simulator.inbox(stack.parameters["ResponsysUsername"])


def test_a_stack_that_works_delivers_by_every_way_and_nothing_is_wrong(own_stack: LocalStack) -> None:
    # Given a stack that was just deployed / When it is verified with a message by each way
    topics = own_stack.endpoint.client("sns").list_topics()["Topics"]
    rules = own_stack.endpoint.client("events").list_rules()["Rules"]
    ended = verify(own_stack, "--send", *TYPED, "--temporary-topic", "--temporary-rule")
    # Then nothing is wrong, and Responsys has an event of each
    assert ended.code == ExitCode.DONE, ended.out
    seen = steps(ended)
    for way in ("SQS", "SNS", "EventBridge"):
        assert seen[f"message by {way}"]["result"] == "ok"
    assert [event.value("profileId") for event in inbox(own_stack)] == ["p-1"] * 3
    # And what was made for them is gone
    assert own_stack.endpoint.client("sns").list_topics()["Topics"] == topics
    assert own_stack.endpoint.client("events").list_rules()["Rules"] == rules


def test_batches_and_metrics_of_the_hour_are_told(own_stack: LocalStack) -> None:
    # Given messages that were delivered / When the stack is verified without sending
    sent = len(inbox(own_stack))
    assert eventually(lambda: steps(verify(own_stack))["metrics, last hour"]["result"] == "ok")
    seen = steps(verify(own_stack))
    # Then both tell of them, and nothing was sent
    assert f" {sent:,} messages: " in seen["batches, last hour"]["seen"]
    assert f"MessagesReceived {sent:,}, OutcomesUnknown 0" in seen["metrics, last hour"]["seen"]
    assert len(inbox(own_stack)) == sent


def test_what_was_changed_by_hand_is_found(own_stack: LocalStack) -> None:
    # Given an event source, a function and a connector that somebody changed, and a message that cannot be sent
    lambda_ = own_stack.endpoint.lambda_
    (mapping,) = lambda_.list_event_source_mappings(EventSourceArn=own_stack.outputs["SegmentEventsQueueArn"])[
        "EventSourceMappings"
    ]
    lambda_.update_event_source_mapping(UUID=mapping["UUID"], BatchSize=7, Enabled=False)
    lambda_.update_function_configuration(FunctionName=own_stack.function_name, Timeout=17)
    own_stack.endpoint.client("ssm").put_parameter(
        Name=f"{own_stack.outputs['ConnectorParameterPrefix']}loyalty", Type="String", Value="{}"
    )
    send_all(own_stack.endpoint.sqs, own_stack.outputs[SEGMENT_EVENTS], ['{"profileId": "p-1"}'])
    assert eventually(lambda: steps(verify(own_stack))["RejectedDLQ"]["result"] == "wrong")
    # When the stack is verified / Then each is told, and nothing else but alarms that ring for them
    ended = verify(own_stack)
    assert ended.code == ExitCode.NOT_DONE
    wrong = {name: step["seen"] for name, step in steps(ended).items() if step["result"] == "wrong"}
    alarm = {name: wrong.pop(name) for name in list(wrong) if name.startswith("alarm ")}
    assert alarm.keys() <= {"alarm rejected-messages", "alarm connector-check"}
    assert "Connector loyalty" in wrong.pop("connector loyalty")
    assert wrong == {
        "function segment-events": "version 1, Active, last update Successful; not what was deployed last",
        "event source SegmentEventsQueue": "BatchSize is 7, deployed with 5000",
        "RejectedDLQ": "1 message",
    }
