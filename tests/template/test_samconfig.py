"""Do all stages build, check and deploy alike, without a secret in the file?"""

import tomllib
from typing import Any

import pytest

from tests.template.conftest import REPOSITORY

STAGES = ["default", "staging", "production"]
SHARED_DEPLOYMENT = {
    "capabilities": "CAPABILITY_IAM",
    "confirm_changeset": True,
    "fail_on_empty_changeset": False,
    "resolve_s3": True,
}


@pytest.fixture(scope="module")
def stages() -> dict[str, Any]:
    settings = tomllib.loads((REPOSITORY / "samconfig.toml").read_text())
    assert settings.pop("version") == 0.1
    return settings


def test_each_stage_has_one_section_and_a_stack_of_its_own(stages: dict[str, Any]) -> None:
    # Given the stages / When their stacks are read / Then no two share one
    assert set(STAGES) <= set(stages)
    assert len({stages[stage]["deploy"]["parameters"]["stack_name"] for stage in STAGES}) == len(STAGES)


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_is_linted_confirmed_and_uploaded_alike(stages: dict[str, Any], stage: str) -> None:
    # Given a stage / When its defaults are read
    parameters = {command: section["parameters"] for command, section in stages[stage].items()}
    # Then they are these; what `sam deploy --guided` may have saved beside them is its user's
    deployment = {key: parameters["deploy"].get(key) for key in SHARED_DEPLOYMENT}
    assert parameters["validate"] == {"lint": True}
    assert parameters["package"] == {"resolve_s3": True}
    assert parameters["build"] == {"cached": stage != "production", "parallel": True}
    assert deployment == SHARED_DEPLOYMENT
