"""Does the template of a release deploy what the sources' template does?"""

import json
from typing import Any

import pytest
from cfnlint.api import ManualArgs, lint  # type: ignore[import-untyped]

from release.error import ReleaseError
from release.template import ARCHITECTURES, release_template
from tests.local_stack.parameters import resolved_parameters
from tests.local_stack.released import deploying_command
from tests.template.cloudformation import REGION, Stack
from tests.template.conftest import REPOSITORY, REQUIRED, sam_translated

# SAM writes a digest of what is deployed into their ids.
PUBLISHED = {"AWS::Lambda::LayerVersion", "AWS::Lambda::Version", "AWS::Lambda::Alias"}


@pytest.fixture(scope="module")
def released(source: dict[str, Any]) -> dict[str, Any]:
    return release_template(source, {"DependenciesLayer"})


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_release_makes_the_same_stack(
    source: dict[str, Any], released: dict[str, Any], translated: dict[str, Any], architecture: str
) -> None:
    # Given the stack of the sources, and that of a release, for either architecture
    parameters = {**REQUIRED, "Architecture": architecture}
    built, unpacked = (Stack(template, parameters) for template in (translated, sam_translated(released)))
    # When their resources are compared
    for logical_id, resource in built.resources.items():
        if resource["Type"] in PUBLISHED:
            continue
        # Then each is the same but for where code is found
        assert without_code(unpacked.resources[logical_id]) == without_code(resource)
    assert unpacked.outputs == built.outputs
    # And its layers are the same ones, one of them this architecture's
    layers = unpacked.of_type("AWS::Lambda::LayerVersion")
    names = [layer["LayerName"] for layer in built.of_type("AWS::Lambda::LayerVersion").values()]
    assert sorted(layer["LayerName"] for layer in layers.values()) == sorted(names)
    assert f"layers/DependenciesLayer{ARCHITECTURES[architecture]}.zip" in json.dumps(layers)
    assert all(layer["CompatibleArchitectures"] == [architecture] for layer in layers.values())


def test_a_release_has_an_archive_for_all_code_and_no_way_to_build_it(
    source: dict[str, Any], released: dict[str, Any]
) -> None:
    # Given the resources of a release that hold code
    code = {name: r for name, r in released["Resources"].items() if r["Type"].startswith("AWS::Serverless::")}
    assert len(code) == 1 + sum(r["Type"].startswith("AWS::Serverless::") for r in source["Resources"].values())
    for name, resource in code.items():
        # When they are read / Then each names its archive
        folder = "functions" if resource["Type"] == "AWS::Serverless::Function" else "layers"
        where = resource["Properties"].get("CodeUri") or resource["Properties"]["ContentUri"]
        assert where == f"{folder}/{name}.zip"
        # And nothing tells how it is built
        assert "BuildMethod" not in json.dumps(resource)
    assert "sam build" not in json.dumps(released)


def test_the_template_of_a_release_is_clean_to_the_linter(released: dict[str, Any]) -> None:
    # Given the template, its archives uploaded / When it is linted
    uploaded = json.dumps(released).replace('Uri": "', 'Uri": "s3://artifacts/')
    matches = lint(uploaded, config=ManualArgs(regions=[REGION]))
    # Then nothing is found
    assert [f"{match.rule.id} {match.message}" for match in matches] == []


def test_a_function_that_differs_between_architectures_is_refused(source: dict[str, Any]) -> None:
    # Given a function with an archive for each architecture / When the template is made / Then it says what to do
    with pytest.raises(ReleaseError, match="ReplayFunction differs between architectures: only layers may"):
        release_template(source, {"ReplayFunction"})


def test_the_parameters_that_come_with_a_release_are_taken(source: dict[str, Any]) -> None:
    # Given the sample in a release
    sample = json.loads((REPOSITORY / ".ci/release/parameters.json").read_text())
    given = dict(entry.split("=", 1) for entry in sample)
    # When the template takes it / Then every value satisfies it, and no required one is missing
    assert resolved_parameters(source, given).items() >= given.items()


def test_the_readme_shows_the_command_of_the_release() -> None:
    # Given both pages that tell how a release is deployed / When the commands are compared / Then they are the same
    ours, theirs = ((REPOSITORY / page).read_text() for page in ("README.md", ".ci/release/README.md"))
    assert deploying_command(ours) == deploying_command(theirs)


def without_code(resource: dict[str, Any]) -> dict[str, Any]:
    return {**resource, "Properties": {name: v for name, v in resource["Properties"].items() if name != "Code"}}
