"""Does a scanner of templates find fault with what is deployed, apart from what the template gives a reason for?

It reads the template as CloudFormation would make it, with every optional resource and a key of the owner's: in
the SAM form it sees little, and without a key it would ask for one.
"""

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.local_stack.environments import program
from tests.template.cloudformation import Stack
from tests.template.conftest import source, stack_with, translated  # noqa: F401 - fixtures

EVERYTHING = {
    "KmsKeyArn": "arn:aws:kms:eu-west-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab",
    "AlarmEmail": "crm@example.com",
    "ProducerSilentHours": "6",
}
# So few checks, or so few resources read, would mean that the scanner no longer understands the template.
LEAST_CHECKS_PASSED = 50


def scanned(resources: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Return what checkov says about resources."""
    template = folder / "template.json"
    template.write_text(json.dumps({"AWSTemplateFormatVersion": "2010-09-09", "Resources": resources}))
    checkov = str(program(".venv-checkov", "checkov"))
    run = subprocess.run(
        # Without --skip-download it would ask a service for guidelines.
        [
            checkov,
            "--file",
            template,
            "--framework",
            "cloudformation",
            "--skip-download",
            "--compact",
            "--output",
            "json",
        ],
        cwd=folder,
        env={"HOME": str(folder), "PATH": "/usr/bin:/bin", "LOG_LEVEL": "ERROR"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert run.returncode in {0, 1}, run.stderr
    report: dict[str, Any] = json.loads(run.stdout)
    assert report["summary"]["parsing_errors"] == 0
    return report


def suppressions(template: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Resource, check and reason of each suppression in the template."""
    for name, resource in template["Resources"].items():
        for skip in resource.get("Metadata", {}).get("checkov", {}).get("skip", []):
            yield name, skip["id"], skip["comment"]


@pytest.fixture(scope="module")
def report(
    source: dict[str, Any],  # noqa: F811
    stack_with: Callable[..., Stack],  # noqa: F811
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, Any]:
    resources = stack_with(**EVERYTHING).resources
    # The translation drops them.
    for name, resource in source["Resources"].items():
        if name in resources and "checkov" in resource.get("Metadata", {}):
            resources[name]["Metadata"] = {"checkov": resource["Metadata"]["checkov"]}
    return scanned(resources, tmp_path_factory.mktemp("scan"))


def test_the_scanner_has_no_findings(report: dict[str, Any]) -> None:
    # Given the scanner's report / When its findings are listed / Then there is none
    findings = [f"{c['resource']}: {c['check_id']} {c['check_name']}" for c in report["results"]["failed_checks"]]
    assert findings == []
    assert report["summary"]["passed"] >= LEAST_CHECKS_PASSED


def test_every_suppression_is_needed_and_says_why(
    source: dict[str, Any],  # noqa: F811
    report: dict[str, Any],
) -> None:
    # Given the suppressions in the template / When they are held against what the scanner left out
    left_out = {(c["resource"].partition(".")[2], c["check_id"]) for c in report["results"]["skipped_checks"]}
    # Then each was used, and has a reason
    assert {(name, check) for name, check, _ in suppressions(source)} == left_out
    assert all(len(reason) > 20 for *_, reason in suppressions(source))


def test_the_scanner_would_find_a_queue_without_encryption(tmp_path: Path) -> None:
    # Given such a queue / When it is scanned / Then that is found
    resources = {"Queue": {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": "open"}}}
    failed = {check["check_id"] for check in scanned(resources, tmp_path)["results"]["failed_checks"]}
    assert "CKV_AWS_27" in failed
