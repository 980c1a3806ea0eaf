"""Is the function fed, told and bounded as its code expects, and may it do that and nothing more?"""

import re
from collections.abc import Callable
from typing import Any

import pytest

from responsys_activation.delivery import batch as delivery
from responsys_activation.delivery.outcome_feed import SOURCE
from tests.template.cloudformation import Stack
from tests.template.conftest import REPLY_SECONDS, REPOSITORY

ARN = "arn:aws:{}:eu-west-1:123456789012:{}"
SEGMENT_EVENTS = ARN.format("sqs", "crm-segment-events")
THROTTLED = ARN.format("sqs", "crm-throttled-dlq")
REJECTED = ARN.format("sqs", "crm-rejected-dlq")
SECRET_ARN = ARN.format("secretsmanager", "secret:elsewhere-AbC123")

MAY = {
    SEGMENT_EVENTS: {
        "sqs:ReceiveMessage",
        "sqs:DeleteMessage",
        "sqs:GetQueueAttributes",
        "sqs:ChangeMessageVisibility",
    },
    THROTTLED: {
        "sqs:ReceiveMessage",
        "sqs:DeleteMessage",
        "sqs:GetQueueAttributes",
        "sqs:ChangeMessageVisibility",
        "sqs:SendMessage",
    },
    REJECTED: {"sqs:SendMessage"},
    ARN.format("ssm", "parameter/crm/connectors"): {"ssm:GetParametersByPath"},
    ARN.format("ssm", "parameter/crm/tokens/*"): {"ssm:GetParameter", "ssm:PutParameter"},
    ARN.format("secretsmanager", "secret:crm/*"): {"secretsmanager:GetSecretValue"},
    ARN.format("dynamodb", "table/DeliveryTable"): {
        "dynamodb:BatchGetItem",
        "dynamodb:GetItem",
        "dynamodb:PartiQLInsert",
        "dynamodb:PartiQLUpdate",
        "dynamodb:PutItem",
        "dynamodb:Query",
        "dynamodb:UpdateItem",
    },
    ARN.format("logs", "log-group:/aws/lambda/crm-segment-events:log-stream:*"): {
        "logs:CreateLogStream",
        "logs:PutLogEvents",
    },
}


CONNECTOR_CHECK_MAY = {
    ARN.format("ssm", "parameter/crm/connectors"): {"ssm:GetParametersByPath"},
    ARN.format("ssm", "parameter/crm/connectors/*"): {"ssm:GetParameter"},
    ARN.format("ssm", "parameter/crm/tokens/*"): {"ssm:GetParameter", "ssm:PutParameter"},
    ARN.format("secretsmanager", "secret:crm/*"): {"secretsmanager:GetSecretValue"},
    ARN.format("dynamodb", "table/DeliveryTable"): {"dynamodb:GetItem", "dynamodb:UpdateItem"},
    ARN.format("logs", "log-group:/aws/lambda/crm-connector-check:log-stream:*"): {
        "logs:CreateLogStream",
        "logs:PutLogEvents",
    },
}
REPLAY_MAY = {
    SEGMENT_EVENTS: {"sqs:SendMessage"},
    THROTTLED: {"sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:ChangeMessageVisibility"},
    REJECTED: {"sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:ChangeMessageVisibility"},
    ARN.format("logs", "log-group:/aws/lambda/crm-replay:log-stream:*"): {
        "logs:CreateLogStream",
        "logs:PutLogEvents",
    },
}
WEBHOOK_MAY = {
    SEGMENT_EVENTS: {"sqs:SendMessage"},
    ARN.format("secretsmanager", "secret:crm-webhook-AbC123"): {"secretsmanager:GetSecretValue"},
    ARN.format("logs", "log-group:/aws/lambda/crm-webhook:log-stream:*"): {
        "logs:CreateLogStream",
        "logs:PutLogEvents",
    },
}
# What each role allows, by the role's logical id.
MAY_BY_ROLE = {
    "SegmentEventsFunctionRole": MAY,
    "ConnectorCheckFunctionRole": CONNECTOR_CHECK_MAY,
    "ReplayFunctionRole": REPLAY_MAY,
    "WebhookFunctionRole": WEBHOOK_MAY,
}
# What IAM asks for where it knows no action of the call's name.
ACTIONS_OF = {
    "batch_execute_statement": {"dynamodb:PartiQLInsert", "dynamodb:PartiQLUpdate"},
}


@pytest.fixture(scope="module")
def stack(stack_with: Callable[..., Stack]) -> Stack:
    """A stack with all its functions."""
    return stack_with(Webhook="On")


@pytest.fixture(scope="module")
def function(stack: Stack) -> dict[str, Any]:
    return dict(stack.of_type("AWS::Lambda::Function")["SegmentEventsFunction"])


def listed(value: str | list[str]) -> list[str]:
    return value if isinstance(value, list) else [value]


def permissions(stack: Stack, *names: str) -> dict[str, set[str]]:
    """What some roles of the stack allow, or all of them: actions by resource."""
    allowed: dict[str, set[str]] = {}
    roles = stack.of_type("AWS::IAM::Role")
    for role in [roles[name] for name in names or roles]:
        for policy in role["Policies"]:
            for statement in policy["PolicyDocument"]["Statement"]:
                assert statement["Effect"] == "Allow"
                for resource in listed(statement["Resource"]):
                    allowed.setdefault(resource, set()).update(listed(statement["Action"]))
    return allowed


# ---- role


@pytest.mark.parametrize("role", MAY_BY_ROLE)
def test_role_allows_exactly_what_its_function_does(stack: Stack, role: str) -> None:
    # Given a stack with its own secret / When the role is read / Then it is this table, no more and no less
    assert permissions(stack, role) == MAY_BY_ROLE[role]


def test_roles_allow_every_call_of_the_code_and_no_other(stack_with: Callable[..., Stack]) -> None:
    # Given the calls that the code makes on AWS clients, where all that is optional is switched on
    # Nobody else has one: pyproject.toml holds that.
    aws = REPOSITORY / "layers/responsys_activation/responsys_activation/aws"
    code = [path.read_text() for path in aws.rglob("*.py")]
    called = {call for text in code for call in re.findall(r"\b_?client\.(\w+)\(", text)}
    assert called
    # When they are held against the actions that the roles allow
    allowed = {action for actions in permissions(stack_with(OutcomeFeed="On")).values() for action in actions}
    by_name = {action.partition(":")[2].lower(): action for action in allowed}
    # IAM knows no batch actions of SQS: they are allowed by the single one.
    by_name |= {f"{name}batch": action for name, action in by_name.items() if action.startswith("sqs:")}
    # Then each call has its actions
    needed = {call: ACTIONS_OF.get(call, {by_name.get(call.replace("_", ""), "none")}) for call in called}
    assert {call for call, actions in needed.items() if not actions <= allowed} == set()
    # And each action has a call, here or by Lambda itself
    assert allowed - set().union(*needed.values()) == {
        "logs:CreateLogStream",
        "logs:PutLogEvents",
        "sqs:GetQueueAttributes",
    }


@pytest.mark.parametrize("role", ["SegmentEventsFunctionRole", "ConnectorCheckFunctionRole"])
def test_role_also_reads_a_secret_that_was_given(stack_with: Callable[..., Stack], role: str) -> None:
    # Given a stack that uses a secret made elsewhere
    stack = stack_with(ResponsysUsername="", ResponsysPassword="", CredentialsSecretArn=SECRET_ARN)
    # When the role is read / Then that secret is the only addition
    assert permissions(stack, role) == {**MAY_BY_ROLE[role], SECRET_ARN: {"secretsmanager:GetSecretValue"}}


def test_role_also_writes_events_of_our_source_where_outcomes_are_fed(stack_with: Callable[..., Stack]) -> None:
    # Given a stack with the outcome feed
    stack = stack_with(OutcomeFeed="On")
    # When the role is read / Then the default bus is the only addition
    default_bus = ARN.format("events", "event-bus/default")
    assert permissions(stack, "SegmentEventsFunctionRole") == {**MAY, default_bus: {"events:PutEvents"}}
    # And there it may speak in our name alone
    (policy,) = stack.of_type("AWS::IAM::Role")["SegmentEventsFunctionRole"]["Policies"]
    (statement,) = (each for each in policy["PolicyDocument"]["Statement"] if each["Action"] == "events:PutEvents")
    assert statement["Condition"] == {"StringEquals": {"events:source": SOURCE}}


def test_every_role_names_its_resources_exactly(stack: Stack) -> None:
    # Given every resource and action that a role of the stack names
    for resource, actions in permissions(stack).items():
        # When they are read / Then service, region and account are given and only a last part is open
        assert re.fullmatch(r"arn:aws:[a-z]+:eu-west-1:123456789012:[^*]+(?<=[/:])?\*?", resource)
        assert not resource.endswith(":*") or ":log-stream:" in resource
        assert not any("*" in action for action in actions)


def test_roles_carry_no_managed_policies_and_serve_lambda_only(stack: Stack) -> None:
    # Given the roles / When what else they grant, and whom, is read
    roles = stack.of_type("AWS::IAM::Role")
    # Then each is one of the tables above, without managed policies, for Lambda
    assert set(roles) == set(MAY_BY_ROLE)
    for role in roles.values():
        assert "ManagedPolicyArns" not in role
        (trust,) = role["AssumeRolePolicyDocument"]["Statement"]
        assert (trust["Principal"], trust["Action"]) == ({"Service": "lambda.amazonaws.com"}, "sts:AssumeRole")


# ---- time-out


@pytest.mark.parametrize("reply_seconds", REPLY_SECONDS)
def test_a_batch_has_a_minute_to_begin_requests_in(stack_with: Callable[..., Stack], reply_seconds: str) -> None:
    # Given a batch of the default size, which keeps time back for settling
    stack = stack_with(ReplySeconds=reply_seconds)
    batch_size = int(stack.resolved({"Ref": "BatchSize"}))
    settling = delivery._SETTLING_SECONDS + batch_size / delivery._SETTLED_A_SECOND
    # When that and the longest reply are taken off the function's time-out
    time_out = stack.of_type("AWS::Lambda::Function")["SegmentEventsFunction"]["Timeout"]
    # Then a minute is left
    assert time_out - settling - int(reply_seconds) >= 60


# ---- event sources


def test_new_and_throttled_messages_feed_the_function(stack_with: Callable[..., Stack]) -> None:
    # Given a batch size, window and concurrency
    stack = stack_with(BatchSize="500", BatchingWindowSeconds="20", MaximumConcurrency="7")
    # When the event sources are read
    new, throttled = stack.of_type("AWS::Lambda::EventSourceMapping").values()
    # Then both hand over such batches and accept partial failures, and replay keeps its own concurrency
    shared = {
        "FunctionName": ARN.format("lambda", "function:crm-segment-events:live"),
        "BatchSize": "500",
        "MaximumBatchingWindowInSeconds": "20",
        "FunctionResponseTypes": ["ReportBatchItemFailures"],
    }
    assert new == {
        **shared,
        "EventSourceArn": SEGMENT_EVENTS,
        "ScalingConfig": {"MaximumConcurrency": "7"},
    }
    assert throttled == {**shared, "EventSourceArn": THROTTLED, "ScalingConfig": {"MaximumConcurrency": 5}}


def test_messages_may_pass_through_the_function_more_than_sixteen_times(stack: Stack, function: dict[str, Any]) -> None:
    # Given that the function reads a queue that it also sends to
    sources = {m["EventSourceArn"] for m in stack.of_type("AWS::Lambda::EventSourceMapping").values()}
    own = permissions(stack, "SegmentEventsFunctionRole")
    sent_to = {resource for resource, actions in own.items() if "sqs:SendMessage" in actions}
    assert sources & sent_to == {THROTTLED}
    # When Lambda's loop detection is read / Then it lets messages pass
    assert function["RecursiveLoop"] == "Allow"


# ---- configuration


def test_function_is_told_where_everything_is(stack_with: Callable[..., Stack]) -> None:
    # Given a stack with its own settings
    stack = stack_with(
        LogLevel="DEBUG",
        MaximumEventAgeHours="48",
        MaximumResends="5",
        ReplySeconds="120",
        RequestsInFlight="6",
        TrustedEndpointDomains="responsys.net,127.0.0.1",
    )
    # When the function's environment is read
    function = stack.of_type("AWS::Lambda::Function")["SegmentEventsFunction"]
    # Then it is this and nothing else
    queue = "https://sqs.eu-west-1.amazonaws.com/123456789012/crm-"
    assert function["Environment"]["Variables"] == {
        "POWERTOOLS_SERVICE_NAME": "segment_events",
        "STACK_NAME": "crm",
        "POWERTOOLS_LOG_LEVEL": "DEBUG",
        "CONNECTOR_PARAMETER_PREFIX": "/crm/connectors/",
        "TOKEN_PARAMETER_PREFIX": "/crm/tokens/",
        "TOKEN_KMS_KEY_ID": "",
        "SEGMENT_EVENTS_QUEUE_URL": f"{queue}segment-events",
        "THROTTLED_DEAD_LETTER_QUEUE_URL": f"{queue}throttled-dlq",
        "REJECTED_DEAD_LETTER_QUEUE_URL": f"{queue}rejected-dlq",
        "DELIVERY_TABLE_NAME": "DeliveryTable",
        "TRUSTED_ENDPOINT_DOMAINS": "responsys.net,127.0.0.1",
        "MAXIMUM_EVENT_AGE_HOURS": "48",
        "REQUESTS_IN_FLIGHT": "6",
        "REPLY_SECONDS": "120",
        "UNKNOWN_OUTCOME": "Resend",
        "MAXIMUM_RESENDS": "5",
        "OUTCOME_FEED": "Off",
    }


def test_functions_run_on_arm_unless_told_otherwise(stack_with: Callable[..., Stack]) -> None:
    # Given no architecture, and another one
    for parameters, architecture in (({}, "arm64"), ({"Architecture": "x86_64"}, "x86_64")):
        # When function and layers are read
        stack = stack_with(**parameters)
        functions = stack.of_type("AWS::Lambda::Function").values()
        layers = stack.of_type("AWS::Lambda::LayerVersion").values()
        # Then all agree on it and on the runtime
        assert {tuple(function["Architectures"]) for function in functions} == {(architecture,)}
        assert {function["Runtime"] for function in functions} == {"python3.14"}
        assert [layer["CompatibleArchitectures"] for layer in layers] == [[architecture]] * 3
        assert [layer["CompatibleRuntimes"] for layer in layers] == [["python3.14"]] * 3


def test_function_has_no_reserved_concurrency_and_no_dead_letter_queue_of_its_own(
    function: dict[str, Any],
) -> None:
    # Given the function / When the two settings that harm or do nothing behind SQS are looked for
    present = {"ReservedConcurrentExecutions", "DeadLetterConfig"} & set(function)
    # Then neither is there
    assert present == set()


def test_every_function_logs_as_json_to_a_group_with_retention(stack_with: Callable[..., Stack]) -> None:
    # Given a retention
    stack = stack_with(LogRetentionDays="90", Webhook="On")
    groups = {group["LogGroupName"]: group for group in stack.of_type("AWS::Logs::LogGroup").values()}
    # When every function's logging is read
    for function in stack.of_type("AWS::Lambda::Function").values():
        logging = function["LoggingConfig"]
        # Then it goes, as JSON, to the group of its name, which forgets in time
        assert logging["LogFormat"] == "JSON"
        assert logging["SystemLogLevel"] == "INFO"  # Lambda's report of each invocation, good ones included
        assert logging["LogGroup"] == f"/aws/lambda/{function['FunctionName']}"
        assert groups[logging["LogGroup"]]["RetentionInDays"] == "90"
    # And no other group is there, but that of the webhook's requests
    assert len(groups) == len(stack.of_type("AWS::Lambda::Function")) + 1
    assert groups["/aws/vendedlogs/crm-webhook"]["RetentionInDays"] == "90"


# ---- code


def test_layers_are_built_for_the_function_they_serve(source: dict[str, Any], functions: dict[str, Any]) -> None:
    # Given the sources of the layers
    function = functions["SegmentEventsFunction"]
    layers = [r for r in source["Resources"].values() if r["Type"] == "AWS::Serverless::LayerVersion"]
    built_by_sam = [layer for layer in layers if layer["Metadata"]["BuildMethod"] != "makefile"]
    assert len(built_by_sam) == 2
    for layer in built_by_sam:
        folder = REPOSITORY / layer["Properties"]["ContentUri"]
        # When how they are built is read / Then it is for the function's runtime and architecture
        assert layer["Metadata"]["BuildMethod"] == function["Runtime"]
        assert [layer["Metadata"]["BuildArchitecture"]] == function["Architectures"]
        # And no folder `python` of their own makes the built layer unimportable
        assert folder.is_dir()
        assert not (folder / "python").exists()


def test_bytecode_is_made_by_the_interpreter_that_runs_it(source: dict[str, Any], functions: dict[str, Any]) -> None:
    # Given the Makefile of the layer that holds it
    layer = source["Resources"]["BytecodeLayer"]
    makefile = (REPOSITORY / layer["Properties"]["ContentUri"] / "Makefile").read_text()
    # When it is read / Then it has the target that SAM asks for, and its interpreter is of every function's runtime
    assert layer["Metadata"] == {"BuildMethod": "makefile"}
    assert "\nbuild-BytecodeLayer:\n" in makefile
    for function in functions.values():
        assert f"\nLAYER_PYTHON ?= {function['Runtime']}\n" in makefile
        # And every function has it
        assert {"Ref": "BytecodeLayer"} in function["Layers"]


def test_handler_exists_where_its_function_looks_for_it(functions: dict[str, Any]) -> None:
    # Given the functions
    assert functions
    for function in functions.values():
        # When the handler is looked up in the code
        module, name = function["Handler"].split(".")
        code = (REPOSITORY / function["CodeUri"] / f"{module}.py").read_text()
        # Then it is defined there
        assert re.search(rf"^(def {name}\(|{name}\b.* = )", code, re.MULTILINE)
