"""Which template do these tests look at? This repository's, as SAM translates it for CloudFormation."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from samtranslator.translator.transform import transform  # type: ignore[import-untyped]
from samtranslator.yaml_helper import yaml_parse  # type: ignore[import-untyped]

from tests.template.cloudformation import REGION, Stack

REPOSITORY = Path(__file__).parents[2]

# All that there is to choose from: time-outs follow from it.
REPLY_SECONDS = ["45", "60", "120"]
REQUIRED = {
    "ResponsysAuthEndpoint": "https://login5.responsys.net",
    "ResponsysUsername": "api_user",
    "ResponsysPassword": "correct-horse",
    "ProfileListName": "CONTACTS_LIST",
}


# Where packaging puts what is beside the template, in the words of each property.
_UPLOADED_TO = {
    "CodeUri": "s3://artifacts",
    "ContentUri": "s3://artifacts",
    "TemplateURL": "https://artifacts.s3.amazonaws.com",
}


class NoManagedPolicies:
    """Stands where SAM looks up AWS managed policies, which carry `*` resources: this template has none."""

    def load(self) -> dict[str, str]:
        raise AssertionError("The template uses a managed policy.")


@pytest.fixture(scope="session")
def source() -> dict[str, Any]:
    """Return the template as it is written."""
    template: dict[str, Any] = yaml_parse((REPOSITORY / "template.yaml").read_text())
    return template


@pytest.fixture(scope="session")
def stream_inlet() -> dict[str, Any]:
    """Return the template of the nested stack, as it is written."""
    template: dict[str, Any] = yaml_parse((REPOSITORY / "functions/upstream_stream/template.yaml").read_text())
    return template


@pytest.fixture(scope="session")
def functions(source: dict[str, Any]) -> dict[str, Any]:
    """Return the properties of each function as they are written, those that all have among them."""
    shared = source["Globals"]["Function"]
    return {
        name: {**shared, **resource["Properties"]}
        for name, resource in source["Resources"].items()
        if resource["Type"] == "AWS::Serverless::Function"
    }


@pytest.fixture(scope="session")
def translated(source: dict[str, Any]) -> dict[str, Any]:
    """Return the template as SAM hands it to CloudFormation."""
    return sam_translated(source)


def sam_translated(source: dict[str, Any]) -> dict[str, Any]:
    """Translate a template as SAM does when the required parameters are given."""
    packaged = copy.deepcopy(source)
    for resource in packaged["Resources"].values():
        for location, bucket in _UPLOADED_TO.items():
            if location in resource["Properties"]:
                resource["Properties"][location] = f"{bucket}/{resource['Properties'][location]}"
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("AWS_DEFAULT_REGION", REGION)
        template: dict[str, Any] = transform(packaged, dict(REQUIRED), NoManagedPolicies())
    return template


@pytest.fixture(scope="session")
def stack(translated: dict[str, Any]) -> Stack:
    """Return the stack that the required parameters alone give."""
    return Stack(translated, REQUIRED)


@pytest.fixture(scope="session")
def stack_with(translated: dict[str, Any]) -> Callable[..., Stack]:
    """Return the stack that the required parameters and some more give."""
    return lambda **parameters: Stack(translated, {**REQUIRED, **parameters})
