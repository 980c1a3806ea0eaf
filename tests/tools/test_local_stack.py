"""Does the local stack give a deployed function what AWS would? Proved on a sample, not on the real template."""

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.local_stack import queues
from tests.local_stack.environments import REPOSITORY
from tests.local_stack.local_aws import LocalAws
from tests.local_stack.queues import send_all
from tests.local_stack.repeating import eventually

SAMPLE = REPOSITORY / "tests" / "local_stack" / "sample" / "template.yaml"


@pytest.fixture(scope="module")
def aws() -> Iterator[LocalAws]:
    with LocalAws(SAMPLE, {"WindowSeconds": "1", "MostAtOnce": "2"}, stack_name="sample") as aws:
        yield aws


@pytest.fixture(autouse=True)
def _empty_queues(aws: LocalAws) -> Iterator[None]:
    yield
    with aws.paused_event_sources():
        assert eventually(lambda: aws.worker_counts()["running"] == 0)
        for name in ("LargeBatchesUrl", "SmallBatchesUrl", "DroppedUrl"):
            aws.endpoint.sqs.purge_queue(QueueUrl=aws.outputs[name])


def send(aws: LocalAws, queue: str, bodies: list[str]) -> set[str]:
    """Send messages, and return their ids."""
    return set(send_all(aws.endpoint.sqs, aws.outputs[queue], bodies))


def log_lines(aws: LocalAws) -> list[str]:
    pages = aws.endpoint.logs.get_paginator("filter_log_events").paginate(logGroupName=aws.outputs["LogGroup"])
    return [event["message"] for page in pages for event in page["events"]]


def observations(aws: LocalAws, ids: set[str]) -> list[dict[str, Any]]:
    """Return what the function saw of batches that begin with one of these messages."""
    seen = [json.loads(line)["observed"] for line in log_lines(aws) if line.startswith('{"observed"')]
    return [each for each in seen if each["first"]["messageId"] in ids]


def only_observation(aws: LocalAws, ids: set[str]) -> dict[str, Any]:
    """Wait for the one batch that begins with one of these messages."""
    seen = eventually(lambda: observations(aws, ids))
    assert len(seen) == 1
    return seen[0]


def depth(aws: LocalAws, queue: str) -> int:
    """Return how many messages a queue holds, visible or not."""
    return queues.depth(aws.endpoint.sqs, aws.outputs[queue])


def invoke(aws: LocalAws, event: dict[str, Any]) -> tuple[bool, Any]:
    """Invoke the function as any caller would; return whether it failed, and its answer."""
    answer = aws.endpoint.lambda_.invoke(FunctionName=aws.outputs["FunctionName"], Payload=json.dumps(event))
    return "FunctionError" in answer, json.loads(answer["Payload"].read())


# ---- batches ---------------------------------------------------------------------------------------------


def test_a_thousand_messages_arrive_in_one_invocation(aws: LocalAws) -> None:
    # Given as many messages as a batch takes, which wait together
    with aws.paused_event_sources():
        ids = send(aws, "LargeBatchesUrl", ["succeed" + "." * 500] * 1000)

    # When the event source gathers
    seen = only_observation(aws, ids)

    # Then one full batch was given to the function, and nothing is left
    assert seen["count"] == 1000
    assert eventually(lambda: depth(aws, "LargeBatchesUrl") == 0)


def test_a_record_has_the_shape_that_lambda_gives_it(aws: LocalAws) -> None:
    # Given a message with attributes of each kind
    message_id = aws.endpoint.sqs.send_message(
        QueueUrl=aws.outputs["LargeBatchesUrl"],
        MessageBody="succeed",
        MessageAttributes={
            "text": {"DataType": "String", "StringValue": "a"},
            "bytes": {"DataType": "Binary", "BinaryValue": b"\x00\x01"},
        },
    )["MessageId"]

    # When the function gets it
    seen = only_observation(aws, {message_id})

    # Then its record is as on AWS
    record = seen["first"]
    assert set(record) == {
        *("messageId", "receiptHandle", "body", "attributes", "messageAttributes", "md5OfBody"),
        *("md5OfMessageAttributes", "eventSource", "eventSourceARN", "awsRegion"),
    }
    assert record["body"] == "succeed"
    assert (record["eventSource"], record["awsRegion"]) == ("aws:sqs", "us-east-1")
    assert record["attributes"]["ApproximateReceiveCount"] == "1"
    assert {"SentTimestamp", "ApproximateFirstReceiveTimestamp", "SenderId"} <= set(record["attributes"])
    lists: dict[str, list[str]] = {"stringListValues": [], "binaryListValues": []}
    assert record["messageAttributes"] == {
        "text": {"dataType": "String", "stringValue": "a", **lists},
        "bytes": {"dataType": "Binary", "binaryValue": "AAE=", **lists},
    }


def test_the_window_begins_with_the_first_message(aws: LocalAws) -> None:
    # Given two messages, the second half a window later, and one after the window
    began = time.monotonic()
    ids = send(aws, "LargeBatchesUrl", ["succeed"])
    time.sleep(0.5)
    ids |= send(aws, "LargeBatchesUrl", ["succeed"])

    # When the window has closed
    seen = only_observation(aws, ids)

    # Then both came together, and not before it closed
    assert seen["count"] == 2
    assert time.monotonic() - began >= 0.95


def test_a_batch_ends_at_six_megabytes(aws: LocalAws) -> None:
    # Given nine messages of 900 kB
    with aws.paused_event_sources():
        ids = {message_id for _ in range(9) for message_id in send(aws, "LargeBatchesUrl", ["succeed" + "." * 900_000])}

    # When the event source gathers
    seen = eventually(lambda: [each for each in [observations(aws, ids)] if sum(s["count"] for s in each) == 9])

    # Then no batch is larger than Lambda takes, and none is left behind
    assert seen
    assert sorted(each["count"] for each in seen[0]) == [3, 6]


def test_no_more_invocations_run_at_once_than_the_mapping_allows(aws: LocalAws) -> None:
    # Given six messages, each an invocation of its own that works for a while
    ids = send(aws, "SmallBatchesUrl", ["work"] * 6)

    # When all have been handled
    seen = eventually(lambda: [each for each in [observations(aws, ids)] if len(each) == 6])

    # Then two ran at once, and never three
    assert seen
    running = [sum(other["began"] <= each["began"] < other["ended"] for other in seen[0]) for each in seen[0]]
    assert max(running) == 2


# ---- failures --------------------------------------------------------------------------------------------


def test_only_failed_messages_come_again_and_are_dropped_after_their_last_receive(aws: LocalAws) -> None:
    # Given a message that fails among some that do not
    send(aws, "LargeBatchesUrl", ["succeed", "succeed", "fail", "succeed"])

    # When it was received twice, as often as the queue allows
    dropped = eventually(lambda: depth(aws, "DroppedUrl"), seconds=25)

    # Then it alone was moved to the dead-letter queue
    assert dropped == 1
    assert depth(aws, "LargeBatchesUrl") == 0


@pytest.mark.parametrize(
    ("action", "told"),
    [
        ("crash", "Runtime exited with error: exit status 3"),
        ("hang", "Task timed out after 3.00 seconds"),
        ("raise", "as the message said"),
    ],
)
def test_a_function_error_leaves_the_whole_batch_on_the_queue(aws: LocalAws, action: str, told: str) -> None:
    # Given a batch with a message that ends the invocation
    invocations = aws.worker_counts()["invocations"]
    before = sum(told in line for line in log_lines(aws))
    send(aws, "LargeBatchesUrl", ["succeed", action])

    # When the function was invoked
    assert eventually(lambda: sum(told in line for line in log_lines(aws)) > before)

    # Then both messages are still there, and its log says why
    assert aws.worker_counts()["invocations"] == invocations + 1
    assert depth(aws, "LargeBatchesUrl") == 2


def test_a_killed_worker_is_a_crash_and_the_next_invocation_gets_a_new_one(aws: LocalAws) -> None:
    # Given an invocation that runs
    with ThreadPoolExecutor() as threads:
        running = threads.submit(invoke, aws, {"do": "hang"})
        assert eventually(lambda: aws.worker_counts()["running"] == 1)
        time.sleep(0.3)

        # When its worker is killed
        killed = aws.kill_running_workers()

        # Then the caller is told so, and the function works again
        failed, answer = running.result()
    assert killed == 1
    assert failed
    assert "signal: killed" in answer["errorMessage"]
    assert invoke(aws, {})[0] is False


@pytest.mark.parametrize("action", ["raise", "raise a long story"])
def test_an_error_of_the_function_reaches_a_plain_invoke(aws: LocalAws, action: str) -> None:
    failed, answer = invoke(aws, {"do": action})

    assert failed
    assert "as the message said" in answer["errorMessage"]


# ---- environment -----------------------------------------------------------------------------------------


def test_a_worker_stays_warm(aws: LocalAws) -> None:
    first, second = invoke(aws, {})[1], invoke(aws, {})[1]

    assert first["processId"] == second["processId"]
    assert first["requestId"] != second["requestId"]
    assert 0 < second["milliseconds"] <= 3000


def test_a_function_gets_its_own_variables_and_lambdas_and_nothing_of_ours(
    aws: LocalAws, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OF_THE_DEVELOPER", "secret")

    environment = invoke(aws, {})[1]["environment"]

    assert environment["GREETING"] == "hello"
    assert environment["AWS_LAMBDA_FUNCTION_NAME"] == aws.outputs["FunctionName"]
    assert environment["AWS_ENDPOINT_URL"] == aws.endpoint.url
    assert "OF_THE_DEVELOPER" not in environment
    assert "MINISTACK_LAMBDA_PROXY_URL" not in environment


def test_variables_set_from_outside_take_effect_with_the_next_invocation(aws: LocalAws) -> None:
    invoke(aws, {})
    aws.set_function_environment({"GREETING": "good day"})
    try:
        assert invoke(aws, {})[1]["greeting"] == "good day"
    finally:
        aws.set_function_environment({})
    assert invoke(aws, {})[1]["greeting"] == "hello"


def test_an_update_of_the_configuration_takes_effect_with_the_next_invocation(aws: LocalAws) -> None:
    invoke(aws, {})
    configuration = aws.endpoint.lambda_.get_function_configuration(FunctionName=aws.outputs["FunctionName"])
    variables = configuration["Environment"]["Variables"]

    aws.endpoint.lambda_.update_function_configuration(
        FunctionName=aws.outputs["FunctionName"], Environment={"Variables": {**variables, "GREETING": "updated"}}
    )

    try:
        assert invoke(aws, {})[1]["greeting"] == "updated"
    finally:
        aws.endpoint.lambda_.update_function_configuration(
            FunctionName=aws.outputs["FunctionName"], Environment={"Variables": variables}
        )


# ---- metrics ---------------------------------------------------------------------------------------------


def statistic(aws: LocalAws, namespace: str, metric: str, dimensions: dict[str, str], name: str) -> float | None:
    now = datetime.now(UTC)
    points = aws.endpoint.cloudwatch.get_metric_statistics(
        Namespace=namespace,
        MetricName=metric,
        Dimensions=[{"Name": key, "Value": value} for key, value in dimensions.items()],
        StartTime=now - timedelta(minutes=10),
        EndTime=now + timedelta(minutes=10),
        Period=1200,
        Statistics=["Sum", "Maximum", "SampleCount"],
    )["Datapoints"]
    values: list[float] = [point[name] for point in points]  # type: ignore[literal-required]
    if not values:
        return None
    # A period may end while a test runs: then there are two points.
    return max(values) if name == "Maximum" else sum(values)


def test_metric_lines_become_metrics_of_every_dimension_set(aws: LocalAws) -> None:
    # Given what was counted so far
    sets = [{"service": "observer"}, {"service": "observer", "kind": "sqs"}]
    before = [statistic(aws, "Sample", "Messages", each, "Sum") or 0 for each in sets]
    sizes = statistic(aws, "Sample", "Sizes", sets[0], "SampleCount") or 0

    # When the function counts three messages in one invocation
    with aws.paused_event_sources():
        send(aws, "LargeBatchesUrl", ["succeed"] * 3)

    # Then each dimension set has them, and each value of a list counts
    after = [count + 3 for count in before]
    assert eventually(lambda: [statistic(aws, "Sample", "Messages", each, "Sum") for each in sets] == after)
    assert statistic(aws, "Sample", "Sizes", sets[0], "SampleCount") == sizes + 3


def test_queue_depths_are_published_and_lambda_counts_our_invocations(aws: LocalAws) -> None:
    function = {"FunctionName": aws.outputs["FunctionName"]}
    before = statistic(aws, "AWS/Lambda", "Invocations", function, "Sum") or 0

    send(aws, "LargeBatchesUrl", ["work", "work"])

    queue = {"QueueName": aws.outputs["LargeBatchesUrl"].rpartition("/")[2]}
    assert eventually(lambda: statistic(aws, "AWS/SQS", "ApproximateNumberOfMessagesNotVisible", queue, "Maximum"))
    assert eventually(lambda: (statistic(aws, "AWS/Lambda", "Invocations", function, "Sum") or 0) > before)


# ---- alarms ----------------------------------------------------------------------------------------------


def alarm_state(aws: LocalAws, alarm: str) -> str:
    answer = aws.endpoint.cloudwatch.describe_alarms(AlarmNames=[aws.outputs[alarm]])
    return answer["MetricAlarms"][0]["StateValue"]


def test_an_alarm_looks_at_its_own_queue_alone(aws: LocalAws) -> None:
    # Given two alarms on one metric: of a queue that stays empty for now, and of one that fills, with metric math
    with aws.paused_event_sources():
        # When the other queue fills
        send(aws, "LargeBatchesUrl", ["succeed"] * 3)
        assert eventually(lambda: alarm_state(aws, "BacklogAlarm") == "ALARM")

        # Then the alarm of the empty queue is unmoved, until that queue has a message
        assert alarm_state(aws, "UnusedAlarm") == "OK"
    send(aws, "UnusedUrl", ["lost"])
    assert eventually(lambda: alarm_state(aws, "UnusedAlarm") == "ALARM")
