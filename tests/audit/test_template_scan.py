"""Does a scanner of templates find fault with what is deployed, apart from what .checkov.yaml gives a reason for?

It reads the template as CloudFormation would make it, with every optional resource and a key of the owner's: in
the SAM form it sees little, and without a key it would ask for one.
"""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from samtranslator.yaml_helper import yaml_parse  # type: ignore[import-untyped]

from tests.local_stack.environments import program
from tests.template.cloudformation import Stack
from tests.template.conftest import REPOSITORY, source, stack_with, stream_inlet, translated  # noqa: F401 - fixtures

EVERYTHING = {
    "KmsKeyArn": "arn:aws:kms:eu-west-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab",
    "AlarmEmail": "crm@example.com",
    "ProducerSilentHours": "6",
    "Webhook": "On",
    "UpstreamEventSource": "aws.partner/segment.com",
}
STREAM = {"UpstreamStreamArn": "arn:aws:kinesis:eu-west-1:123456789012:stream/memberships"}
IN_VPC = {"VpcSubnetIds": "subnet-0123456789abcdef0", "VpcSecurityGroupIds": "sg-0123456789abcdef0"}
WAIVERS = REPOSITORY / ".checkov.yaml"
# So few checks, or so few resources read, would mean that the scanner no longer understands the template.
LEAST_CHECKS_PASSED = 50


def scanned(resources: dict[str, Any], folder: Path, *options: str) -> dict[str, Any]:
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
            *options,
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


@pytest.fixture(scope="module")
def resources(stack_with: Callable[..., Stack]) -> dict[str, Any]:  # noqa: F811
    return stack_with(**EVERYTHING).resources


def test_the_scanner_has_no_findings(resources: dict[str, Any], tmp_path: Path) -> None:
    # Given what the scanner is not asked / When it reads the stack
    report = scanned(resources, tmp_path, "--config-file", str(WAIVERS))
    # Then it finds nothing
    findings = [f"{c['resource']}: {c['check_id']} {c['check_name']}" for c in report["results"]["failed_checks"]]
    assert findings == []
    assert report["summary"]["passed"] >= LEAST_CHECKS_PASSED


def test_every_waiver_is_needed_by_functions_and_by_nothing_else(resources: dict[str, Any], tmp_path: Path) -> None:
    # Given the checks that are waived
    waived = yaml_parse(WAIVERS.read_text())["skip-check"]
    # When the scanner is asked about them alone
    report = scanned(resources, tmp_path, "--check", ",".join(waived))
    failed = [(c["check_id"], c["resource"].partition(".")[0]) for c in report["results"]["failed_checks"]]
    # Then each would find fault, and with functions only
    assert {check for check, _ in failed} == set(waived)
    assert {resource_type for _, resource_type in failed} == {"AWS::Lambda::Function"}


def test_the_scanner_has_no_findings_in_the_nested_stack(
    stack_with: Callable[..., Stack],  # noqa: F811
    stream_inlet: dict[str, Any],  # noqa: F811
    tmp_path: Path,
) -> None:
    # Given what the inlet for a stream makes / When the scanner reads it
    (nested,) = stack_with(**EVERYTHING, **STREAM).of_type("AWS::CloudFormation::Stack").values()
    report = scanned(Stack(stream_inlet, nested["Parameters"]).resources, tmp_path)
    # Then it finds nothing, of its role among it
    assert [f"{c['resource']}: {c['check_id']} {c['check_name']}" for c in report["results"]["failed_checks"]] == []
    assert any("PipeRole" in check["resource"] for check in report["results"]["passed_checks"])


def test_a_vpc_adds_the_one_finding_that_lambda_insists_on(
    stack_with: Callable[..., Stack],  # noqa: F811
    tmp_path: Path,
) -> None:
    # Given a stack in a VPC / When the scanner reads it
    report = scanned(stack_with(**EVERYTHING, **IN_VPC).resources, tmp_path, "--config-file", str(WAIVERS))
    # Then it finds what Lambda asks for to attach a function: network interfaces of any name
    assert {(c["resource"], c["check_id"]) for c in report["results"]["failed_checks"]} == {
        ("AWS::IAM::Role.SegmentEventsFunctionRole", "CKV_AWS_111"),
        ("AWS::IAM::Role.ConnectorCheckFunctionRole", "CKV_AWS_111"),
    }


def test_the_scanner_would_find_a_queue_without_encryption(tmp_path: Path) -> None:
    # Given such a queue / When it is scanned / Then that is found
    resources = {"Queue": {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": "open"}}}
    failed = {check["check_id"] for check in scanned(resources, tmp_path)["results"]["failed_checks"]}
    assert "CKV_AWS_27" in failed
