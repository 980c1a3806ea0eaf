"""How must the template be adjusted so that the emulator deploys it, and what is left out?

Each adjustment works around a fault or a gap of the pinned emulator, or hands Lambda's part over to the
lambda host and the event sources of this package. The template itself never bends to the emulator.
"""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import boto3
from samtranslator.parser.parser import Parser  # type: ignore[import-untyped]
from samtranslator.translator.translator import Translator  # type: ignore[import-untyped]

from tests.local_stack.alarm_states import locally_evaluated
from tests.local_stack.build import SOURCE_PROPERTIES
from tests.local_stack.metric_math import UnsupportedExpressionError

HOOK_VARIABLE = "MINISTACK_LAMBDA_PROXY_URL"

_REFUSED_TYPES = {
    "AWS::CloudWatch::CompositeAlarm": "composite alarms are not emulated",
    "AWS::Logs::QueryDefinition": "query definitions are not emulated",
    "AWS::CodeDeploy::Application": "CodeDeploy is not emulated",
    "AWS::CodeDeploy::DeploymentGroup": "CodeDeploy is not emulated",
}


class _NotEmulatedError(Exception):
    """A resource cannot be deployed to the emulator."""


@dataclass(frozen=True)
class LocalTemplate:
    """A plain CloudFormation template for the emulator.

    Parameters
    ----------
    body
        The template, without SAM resources.
    left_out
        What was left out, by logical id, and why.
    """

    body: dict[str, Any]
    left_out: Mapping[str, str]


def local_template(
    template: Mapping[str, Any],
    parameters: Mapping[str, str],
    code_uris: Mapping[str, str],
    region: str,
    hook_url: str,
) -> LocalTemplate:
    """Adjust a built SAM template for the emulator.

    Parameters
    ----------
    template
        The built SAM template.
    parameters
        The value of each of its parameters.
    code_uris
        S3 address of each function's and layer's archive, by logical id.
    region
        Region deployed to.
    hook_url
        Where the emulator sends invocations: the lambda host.
    """
    literals = {
        name: int(parameters[name])
        for name, declaration in template.get("Parameters", {}).items()
        if declaration["Type"] == "Number"
    }
    resources = _with_literals(template["Resources"], literals)
    for logical_id, uri in code_uris.items():
        resource = resources[logical_id]
        resource["Properties"][SOURCE_PROPERTIES[resource["Type"]]] = uri
        resource.pop("Metadata", None)
    body = _translated({**template, "Resources": resources}, parameters, region)
    left_out = {}
    for logical_id, resource in list(body["Resources"].items()):
        try:
            _adjust(resource, hook_url)
        except (UnsupportedExpressionError, _NotEmulatedError) as exc:
            left_out[logical_id] = str(exc)
            del body["Resources"][logical_id]
    return LocalTemplate(body, left_out)


def _with_literals(node: Any, literals: Mapping[str, int]) -> Any:
    # The emulator stops all polling over a MaximumConcurrency that came through a parameter: it keeps numbers of
    # parameters as text.
    if isinstance(node, list):
        return [_with_literals(item, literals) for item in node]
    if not isinstance(node, dict):
        return node
    if set(node) == {"Ref"} and node["Ref"] in literals:
        return literals[node["Ref"]]
    return {key: _with_literals(value, literals) for key, value in node.items()}


def _translated(template: dict[str, Any], parameters: Mapping[str, str], region: str) -> dict[str, Any]:
    session = boto3.session.Session(region_name=region)
    translator = Translator({}, Parser(), boto_session=session)
    body: dict[str, Any] = translator.translate(template, {**parameters, "AWS::Region": region})
    return body


def _adjust(resource: dict[str, Any], hook_url: str) -> None:
    if (reason := _REFUSED_TYPES.get(resource["Type"])) is not None:
        raise _NotEmulatedError(reason)
    match resource["Type"]:
        case "AWS::Lambda::EventSourceMapping":
            # The emulator would hand over 10 messages at most and knows no window; event_source.py polls instead.
            resource["Properties"]["Enabled"] = False
        case "AWS::Lambda::Function":
            environment = resource["Properties"].setdefault("Environment", {})
            environment.setdefault("Variables", {})[HOOK_VARIABLE] = hook_url
        case "AWS::SQS::QueuePolicy" | "AWS::SNS::TopicPolicy":
            # The emulator is reached without TLS, on loopback, and enforces policies when told to.
            document = resource["Properties"]["PolicyDocument"]
            document["Statement"] = [
                statement for statement in document["Statement"] if statement.get("Sid") != "TransportIsEncrypted"
            ]
        case "AWS::SecretsManager::Secret" if made := resource["Properties"].pop("GenerateSecretString", None):
            # The emulator's own would hold quotes and blanks, whatever the template excludes.
            resource["Properties"]["SecretString"] = secrets.token_hex(made["PasswordLength"] // 2)
        case "AWS::CloudWatch::Alarm":
            resource["Properties"] = locally_evaluated(resource["Properties"])
