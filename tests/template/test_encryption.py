"""Does a key of the owner's encrypt everything that holds data, and may the functions use it for that alone?"""

import ast
from collections.abc import Callable
from typing import Any

import pytest

from tests.template.cloudformation import Stack
from tests.template.conftest import REPOSITORY

KEY = "arn:aws:kms:eu-west-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"


@pytest.fixture(scope="module")
def stack(stack_with: Callable[..., Stack]) -> Stack:
    return stack_with(Webhook="On")


@pytest.fixture(scope="module")
def own_key(stack_with: Callable[..., Stack]) -> Stack:
    return stack_with(KmsKeyArn=KEY, Webhook="On")


ENCRYPTED = [
    ("AWS::SQS::Queue", {"SqsManagedSseEnabled": False, "KmsMasterKeyId": KEY}, {"SqsManagedSseEnabled": True}),
    ("AWS::SNS::Topic", {"KmsMasterKeyId": KEY}, {}),
    ("AWS::Logs::LogGroup", {"KmsKeyId": KEY}, {}),
    ("AWS::SecretsManager::Secret", {"KmsKeyId": KEY}, {}),
    (
        "AWS::DynamoDB::Table",
        {"SSESpecification": {"SSEEnabled": True, "SSEType": "KMS", "KMSMasterKeyId": KEY}},
        {"SSESpecification": {"SSEEnabled": True}},
    ),
]


@pytest.mark.parametrize(("resource_type", "with_key", "without"), ENCRYPTED, ids=[row[0] for row in ENCRYPTED])
def test_what_holds_data_is_encrypted_with_the_key_that_was_given(
    stack: Stack, own_key: Stack, resource_type: str, with_key: dict[str, Any], without: dict[str, Any]
) -> None:
    # Given every resource of a type that holds data, in a stack with a key and in one without
    assert own_key.of_type(resource_type)
    names = set(with_key)
    for name, properties in own_key.of_type(resource_type).items():
        # When its encryption is read / Then it is with the key, or as AWS does it by itself
        assert {each: properties[each] for each in names & set(properties)} == with_key
        plain = stack.of_type(resource_type)[name]
        assert {each: plain[each] for each in names & set(plain)} == without


def test_every_function_that_writes_tokens_encrypts_them_with_the_key(own_key: Stack) -> None:
    # Given the functions that know where tokens lie
    environments = [
        function["Environment"]["Variables"] for function in own_key.of_type("AWS::Lambda::Function").values()
    ]
    writing = [environment for environment in environments if "TOKEN_PARAMETER_PREFIX" in environment]
    assert writing
    # When the key they are told is read / Then it is the one that was given
    assert all(environment["TOKEN_KMS_KEY_ID"] == KEY for environment in writing)


def test_every_function_that_writes_tokens_says_so_to_ssm() -> None:
    # Given every place in the code that opens the store of tokens
    calls = [
        call
        for folder in ("functions", "layers")
        for path in (REPOSITORY / folder).rglob("*.py")
        for call in ast.walk(ast.parse(path.read_text()))
        if isinstance(call, ast.Call) and ast.unparse(call.func) == "ParameterTokenStore"
    ]
    assert calls
    # When its keywords are read / Then the key that the function was told is among them
    for call in calls:
        given = {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}
        assert given["kms_key_id"] == "settings.token_kms_key_id"


FORMER = KEY.replace("1234abcd", "9876abcd")
THROUGH = {
    "StringEquals": {
        "kms:ViaService": [
            f"{service}.eu-west-1.amazonaws.com" for service in ("dynamodb", "secretsmanager", "sqs", "ssm")
        ]
    }
}


def statements_about_keys(stack: Stack, role: str) -> list[dict[str, Any]]:
    policies = stack.of_type("AWS::IAM::Role")[role]["Policies"]
    statements = [each for policy in policies for each in policy["PolicyDocument"]["Statement"]]
    return [each for each in statements if "kms:" in str(each["Action"])]


def test_every_function_may_use_the_key_through_the_services_that_hold_data(own_key: Stack) -> None:
    # Given the roles of the stack
    roles = own_key.of_type("AWS::IAM::Role")
    assert len(roles) == 4
    for role in roles:
        # When what they say about the key is read
        (statement,) = statements_about_keys(own_key, role)
        # Then it is for that key, and for nothing that does not come through such a service
        assert (statement["Effect"], statement["Resource"]) == ("Allow", KEY)
        assert statement["Action"] == ["kms:Decrypt", "kms:Encrypt", "kms:GenerateDataKey"]
        assert statement["Condition"] == THROUGH
    # And it stands in the roles themselves, so that no function runs before its role has it
    assert own_key.of_type("AWS::IAM::Policy") == {}


@pytest.mark.parametrize("now", [KEY, ""])
def test_what_a_former_key_encrypted_stays_readable(stack_with: Callable[..., Stack], now: str) -> None:
    # Given a stack whose key was another before, or that has none any more
    stack = stack_with(KmsKeyArn=now, FormerKmsKeyArns=f"{FORMER},{KEY}", Webhook="On")
    for role in stack.of_type("AWS::IAM::Role"):
        # When what its roles say about keys is read / Then the former one may decrypt, and no more
        former = [each for each in statements_about_keys(stack, role) if each["Resource"] == [FORMER, KEY]]
        assert [(each["Effect"], each["Action"], each["Condition"]) for each in former] == [
            ("Allow", "kms:Decrypt", THROUGH)
        ]


def test_without_a_key_no_role_says_anything_about_keys(stack: Stack) -> None:
    # Given a stack without a key / When its policies are searched / Then there is nothing about one
    assert stack.of_type("AWS::IAM::Policy") == {}
    assert "kms:" not in str(stack.of_type("AWS::IAM::Role"))
