"""What does the template say once everything is built?

Where each archive is, in place of how it is built. ``aws cloudformation package`` uploads them and takes one path for
each, so that a layer which is not the same on both architectures becomes two, and the parameter chooses.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from release.error import ReleaseError

__all__ = ["ARCHITECTURES", "archive_name", "has_archive", "nested_templates", "release_template"]

ARCHITECTURES = {"arm64": "Arm64", "x86_64": "X8664"}  # as logical ids spell them
_SOURCES = {
    "AWS::Serverless::Function": ("functions", "CodeUri"),
    "AWS::Serverless::LayerVersion": ("layers", "ContentUri"),
}


def has_archive(resource: Mapping[str, Any]) -> bool:
    """Tell whether a resource is deployed as an archive of its own."""
    return resource["Type"] in _SOURCES


def nested_templates(source: Mapping[str, Any]) -> list[str]:
    """Return the paths of the templates of nested stacks, which a release holds as they are."""
    return [
        resource["Properties"]["TemplateURL"]
        for resource in source["Resources"].values()
        if resource["Type"] == "AWS::CloudFormation::Stack"
    ]


def archive_name(resource_type: str, logical_id: str) -> str:
    """Return the path of an archive within the release."""
    return f"{_SOURCES[resource_type][0]}/{logical_id}.zip"


def release_template(source: Mapping[str, Any], of_one_architecture: Collection[str]) -> dict[str, Any]:
    """Return the template that is deployed from a release.

    Parameters
    ----------
    source : Mapping
        The SAM template, its short intrinsic functions written out.
    of_one_architecture : Collection
        Logical ids of the layers that have an archive for each architecture.

    Raises
    ------
    ReleaseError
        A function would need an archive for each architecture.
    """
    conditions = {**source.get("Conditions", {})}
    resources: dict[str, Any] = {}
    chosen: dict[str, Any] = {}
    for logical_id, resource in source["Resources"].items():
        if logical_id not in of_one_architecture:
            resources[logical_id] = _located(logical_id, resource)
            continue
        if resource["Type"] != "AWS::Serverless::LayerVersion":
            raise ReleaseError(f"{logical_id} differs between architectures: only layers may, move what differs there.")
        ids = {name: f"{logical_id}{spelled}" for name, spelled in ARCHITECTURES.items()}
        for name, spelled in ARCHITECTURES.items():
            conditions[f"Is{spelled}"] = {"Fn::Equals": [{"Ref": "Architecture"}, name]}
            resources[ids[name]] = {**_located(ids[name], resource), "Condition": f"Is{spelled}"}
        (first, spelled), (second, _) = ARCHITECTURES.items()
        chosen[logical_id] = {"Fn::If": [f"Is{spelled}", {"Ref": ids[first]}, {"Ref": ids[second]}]}
    parameters = {**source["Parameters"]}
    parameters["Architecture"] = {
        **parameters["Architecture"],
        "Description": "Processor architecture of the functions and their layers.",  # no build that must be told
    }
    template = {**source, "Parameters": parameters, "Conditions": conditions, "Resources": resources}
    replaced: dict[str, Any] = _with_references(template, chosen)
    return replaced


def _located(logical_id: str, resource: Mapping[str, Any]) -> dict[str, Any]:
    if not has_archive(resource):
        return dict(resource)
    _, location = _SOURCES[resource["Type"]]
    kept = {key: value for key, value in resource.items() if key != "Metadata"}
    return {**kept, "Properties": {**resource["Properties"], location: archive_name(resource["Type"], logical_id)}}


def _with_references(node: Any, chosen: Mapping[str, Any]) -> Any:
    if isinstance(node, list):
        return [_with_references(item, chosen) for item in node]
    if not isinstance(node, dict):
        return node
    if set(node) == {"Ref"} and node["Ref"] in chosen:
        return chosen[node["Ref"]]
    return {key: _with_references(value, chosen) for key, value in node.items()}
