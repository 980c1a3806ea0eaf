"""What would CloudFormation replace or remove where one stack becomes another?

As a change set tells it: a resource is replaced when a property changes that its type takes at its creation only. Which
these are stands in the types' schemas, which cfn-lint has.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from cfnlint.schema.manager import PROVIDER_SCHEMA_MANAGER  # type: ignore[import-untyped]

from tests.template.cloudformation import REGION, Stack

# What holds data, has a name that cannot be had twice, or feeds the function.
MUST_STAY = {
    "AWS::DynamoDB::Table",
    "AWS::Lambda::EventSourceMapping",
    "AWS::Lambda::Function",
    "AWS::Logs::LogGroup",
    "AWS::SecretsManager::Secret",
    "AWS::SNS::Topic",
    "AWS::SQS::Queue",
    "AWS::SSM::Parameter",
}

Identity = dict[str, Any]


def identities(stack: Stack) -> dict[str, Identity]:
    """Return type and create-only properties of each resource that must stay, by logical id."""
    return {
        logical_id: {"Type": resource["Type"], **create_only(resource["Type"], resource["Properties"])}
        for logical_id, resource in stack.resources.items()
        if resource["Type"] in MUST_STAY
    }


def create_only(resource_type: str, properties: Mapping[str, Any]) -> dict[str, Any]:
    """Return those of a resource's properties that its type takes at its creation only, by their path."""
    schema = PROVIDER_SCHEMA_MANAGER.get_resource_schema(REGION, resource_type).schema
    pointers = [*schema.get("createOnlyProperties", []), *schema.get("conditionalCreateOnlyProperties", [])]
    paths = [pointer.removeprefix("/properties/") for pointer in pointers]
    return {path: value for path in sorted(paths) if (value := _at(properties, path.split("/"))) is not None}


def _at(node: Any, path: list[str]) -> Any:
    for name in path:
        if not isinstance(node, Mapping) or name not in node:
            return None
        node = node[name]
    return node


def lost(before: Mapping[str, Identity], after: Mapping[str, Identity]) -> Iterator[str]:
    """Tell what is replaced or removed of what was there before, and why."""
    for logical_id, identity in before.items():
        if logical_id not in after:
            yield f"{logical_id} is removed"
            continue
        changed = [
            name
            for name in sorted({*identity, *after[logical_id]})
            if identity.get(name) != after[logical_id].get(name)
        ]
        if changed:
            yield f"{logical_id} is replaced, for its {' and '.join(changed)} changed"
