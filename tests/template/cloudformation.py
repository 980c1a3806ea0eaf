"""What does CloudFormation make of a template and its parameters, before it makes any resource?

Parameters and rules are checked, conditions decided and functions resolved as CloudFormation documents it,
for as much of its language as this project's template uses; anything else raises. Attributes of resources
that AWS would invent are given in AWS's own form.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

REGION = "eu-west-1"
ACCOUNT_ID = "123456789012"
STACK_NAME = "crm"

PSEUDO_PARAMETERS = {
    "AWS::AccountId": ACCOUNT_ID,
    "AWS::Partition": "aws",
    "AWS::Region": REGION,
    "AWS::StackName": STACK_NAME,
    "AWS::URLSuffix": "amazonaws.com",
}

_REMOVED = object()
_VARIABLE = re.compile(r"\$\{([^!}][^}]*)\}")

JsonObject = dict[str, Any]


class Stack:
    """A translated template together with the values of its parameters."""

    def __init__(self, template: JsonObject, parameters: Mapping[str, str]) -> None:
        self._template = template
        self._values = {
            **PSEUDO_PARAMETERS,
            **{name: str(d["Default"]) for name, d in template["Parameters"].items() if "Default" in d},
            **parameters,
        }

    @property
    def resources(self) -> JsonObject:
        """The resources that would be made, by logical id, with every function resolved."""
        return {
            logical_id: {**resource, "Properties": self.resolved(resource.get("Properties", {}))}
            for logical_id, resource in self._template["Resources"].items()
            if "Condition" not in resource or self._condition(resource["Condition"])
        }

    @property
    def outputs(self) -> dict[str, str]:
        return {
            name: self.resolved(output["Value"])
            for name, output in self._template["Outputs"].items()
            if "Condition" not in output or self._condition(output["Condition"])
        }

    def of_type(self, resource_type: str) -> JsonObject:
        """The properties of the resources of one type, by logical id."""
        return {
            logical_id: resource["Properties"]
            for logical_id, resource in self.resources.items()
            if resource["Type"] == resource_type
        }

    def resolved(self, value: Any) -> Any:
        """Return `value` with every function in it replaced by its result."""
        if isinstance(value, list):
            return [item for item in map(self.resolved, value) if item is not _REMOVED]
        if not isinstance(value, dict):
            return value
        if len(value) == 1:
            (name, argument) = next(iter(value.items()))
            if name == "Ref" or name.startswith("Fn::"):
                return self._call(name, argument)
        items = {key: self.resolved(item) for key, item in value.items()}
        return {key: item for key, item in items.items() if item is not _REMOVED}

    def _call(self, function: str, argument: Any) -> Any:
        match function, argument:
            case "Ref", "AWS::NoValue":
                return _REMOVED
            case "Ref", name:
                return self._parameter(name) if name in self._values else self._reference(name)
            case "Fn::GetAtt", [logical_id, attribute]:
                return self._attribute(logical_id, attribute)
            case "Fn::Join", [delimiter, parts]:
                return delimiter.join(self.resolved(parts))
            case "Fn::Split", [delimiter, text]:
                return self.resolved(text).split(delimiter)
            case "Fn::Select", [index, items]:
                return self.resolved(items)[int(index)]
            case "Fn::FindInMap", [mapping, first_key, second_key]:
                return self._template["Mappings"][mapping][self.resolved(first_key)][second_key]
            case "Fn::If", [condition, yes, no]:
                return self.resolved(yes if self._condition(condition) else no)
            case "Fn::Sub", [text, variables]:
                return self._substituted(text, {key: self.resolved(item) for key, item in variables.items()})
            case "Fn::Sub", str(text):
                return self._substituted(text, {})
        raise NotImplementedError(function)

    def _parameter(self, name: str) -> Any:
        is_list = self._template["Parameters"].get(name, {}).get("Type") == "CommaDelimitedList"
        return self._values[name].split(",") if is_list else self._values[name]

    def _substituted(self, text: str, variables: Mapping[str, Any]) -> str:
        def value(match: re.Match[str]) -> str:
            name = match[1]
            if name in variables:
                return str(variables[name])
            logical_id, _, attribute = name.partition(".")
            return str(self._call("Fn::GetAtt", [logical_id, attribute]) if attribute else self._call("Ref", name))

        return _VARIABLE.sub(value, text).replace("${!", "${")  # an exclamation mark keeps the braces as they are

    def _reference(self, logical_id: str) -> str:
        resource = self._template["Resources"][logical_id]
        properties = resource.get("Properties", {})
        name_property = _NAME_PROPERTIES.get(resource["Type"])
        name: str = self.resolved(properties[name_property]) if name_property in properties else logical_id
        match resource["Type"]:
            case "AWS::SQS::Queue":
                return f"https://sqs.{REGION}.amazonaws.com/{ACCOUNT_ID}/{name}"
            case "AWS::SNS::Topic":
                return _arn("sns", name)
            case "AWS::SecretsManager::Secret":
                return _arn("secretsmanager", f"secret:{name}-AbC123")
            case "AWS::Lambda::LayerVersion":
                return _arn("lambda", f"layer:{name}:1")
            case "AWS::Lambda::Alias":
                return _arn("lambda", f"function:{self.resolved(properties['FunctionName'])}:{properties['Name']}")
        return name

    def _attribute(self, logical_id: str, attribute: str) -> str:
        resource = self._template["Resources"][logical_id]
        name = self._reference(logical_id)
        match resource["Type"], attribute:
            case "AWS::SQS::Queue", "Arn":
                return _arn("sqs", name.rpartition("/")[2])
            case "AWS::SQS::Queue", "QueueName":
                return name.rpartition("/")[2]
            case "AWS::DynamoDB::Table", "Arn":
                return _arn("dynamodb", f"table/{name}")
            case "AWS::Events::Rule", "Arn":
                bus = self.resolved(resource["Properties"].get("EventBusName", "default"))
                return _arn("events", f"rule/{name}" if bus == "default" else f"rule/{bus}/{name}")
            case "AWS::Lambda::Function", "Arn":
                return _arn("lambda", f"function:{name}")
            case "AWS::Lambda::Version", "Version":
                return "1"
            case "AWS::Logs::LogGroup", "Arn":
                return f"{_arn('logs', f'log-group:{name}')}:*"
            case "AWS::ApiGatewayV2::Api", "ApiEndpoint":
                return f"https://{name}.execute-api.{REGION}.amazonaws.com"
            case "AWS::SNS::Topic", "TopicName":
                return name.rpartition(":")[2]
            case "AWS::CloudWatch::Alarm" | "AWS::CloudWatch::CompositeAlarm", "Arn":
                return _arn("cloudwatch", f"alarm:{name}")
            case "AWS::IAM::Role", "Arn":
                return f"arn:aws:iam::{ACCOUNT_ID}:role/{name}"
        raise NotImplementedError(f"{logical_id}.{attribute}")

    def _condition(self, name: str) -> bool:
        return holds(self._template["Conditions"][name], self._values, self.resolved)


_NAME_PROPERTIES = {
    "AWS::CloudWatch::Alarm": "AlarmName",
    "AWS::CloudWatch::CompositeAlarm": "AlarmName",
    "AWS::CloudWatch::Dashboard": "DashboardName",
    "AWS::Events::Rule": "Name",
    "AWS::Lambda::Function": "FunctionName",
    "AWS::Lambda::LayerVersion": "LayerName",
    "AWS::Logs::LogGroup": "LogGroupName",
    "AWS::SecretsManager::Secret": "Name",
    "AWS::SNS::Topic": "TopicName",
    "AWS::SQS::Queue": "QueueName",
    "AWS::SSM::Parameter": "Name",
}


def _arn(service: str, resource: str) -> str:
    return f"arn:aws:{service}:{REGION}:{ACCOUNT_ID}:{resource}"


def holds(condition: JsonObject, values: Mapping[str, str], resolved: Callable[[Any], Any] | None = None) -> bool:
    """Decide a condition, or an assertion of a rule, in which only parameters may be referred to."""

    def plain(operand: Any) -> Any:
        if resolved is not None:
            return resolved(operand)
        return values[operand["Ref"]] if isinstance(operand, dict) else operand

    (function, operands) = next(iter(condition.items()))
    match function:
        case "Fn::Equals":
            return bool(plain(operands[0]) == plain(operands[1]))
        case "Fn::Not":
            return not holds(operands[0], values, resolved)
        case "Fn::And":
            return all(holds(operand, values, resolved) for operand in operands)
        case "Fn::Or":
            return any(holds(operand, values, resolved) for operand in operands)
        case "Fn::Contains":
            return plain(operands[1]) in operands[0]
    raise NotImplementedError(function)


def refusals(template: JsonObject, given: Mapping[str, str]) -> list[str]:
    """Return what CloudFormation would say against these parameters; empty if it takes them."""
    found: list[str] = []
    definitions = template["Parameters"]
    values = {
        name: str(given.get(name, definition.get("Default", "")))
        for name, definition in definitions.items()
        if name in given or "Default" in definition
    }
    found += [f"{name} is not a parameter." for name in given if name not in definitions]
    found += [f"{name} must have a value." for name in definitions if name not in values]
    found += [
        definitions[name]["ConstraintDescription"]
        for name, value in values.items()
        if not _allowed(definitions[name], value)
    ]
    for rule in template.get("Rules", {}).values():
        if "RuleCondition" not in rule or holds(rule["RuleCondition"], values):
            found += [a["AssertDescription"] for a in rule["Assertions"] if not holds(a["Assert"], values)]
    return found


def _allowed(definition: JsonObject, value: str) -> bool:
    if definition["Type"] == "Number":
        try:
            number = float(value)
        except ValueError:
            return False
        if not definition.get("MinValue", number) <= number <= definition.get("MaxValue", number):
            return False
    elif not definition.get("MinLength", 0) <= len(value) <= definition.get("MaxLength", len(value)):
        return False
    if "AllowedValues" in definition and value not in map(str, definition["AllowedValues"]):
        return False
    # CloudFormation matches a pattern against the whole value, or against each one of a list.
    members = value.split(",") if definition["Type"] == "CommaDelimitedList" else [value]
    return all(re.fullmatch(definition.get("AllowedPattern", ".*"), member, re.DOTALL) for member in members)
