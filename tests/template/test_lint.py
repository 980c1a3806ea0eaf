"""Is the translated template, which linters of the SAM form never see, clean for any deployment in any region?"""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from cfnlint.api import ManualArgs, lint  # type: ignore[import-untyped]
from cfnlint.helpers import REGIONS  # type: ignore[import-untyped]
from cfnlint.schema.manager import PROVIDER_SCHEMA_MANAGER  # type: ignore[import-untyped]

from tests.template.conftest import REQUIRED

SECRET_ARN = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:elsewhere-AbC123"


def batched_regions() -> Iterator[list[str]]:
    """Yield all regions, a dozen at a time: for a name with two regions in it the linter tries each with each."""
    for start in range(0, len(REGIONS), 12):
        yield REGIONS[start : start + 12]


@pytest.mark.parametrize(
    "parameters",
    [
        REQUIRED,
        {
            "ResponsysAuthEndpoint": "http://127.0.0.1:8080",
            "ProfileListName": "CONTACTS_LIST",
            "CredentialsSecretArn": SECRET_ARN,
            "ProfileListFolder": "!MasterData",
            "DefaultEventName": "SEGMENT_CHANGED",
            "RequestsPerMinute": "200",
            "AlarmEmail": "crm@example.com",
            "BatchingWindowSeconds": "300",
            "Architecture": "x86_64",
            "OutcomeFeed": "On",
            "VpcSubnetIds": ["subnet-0123456789abcdef0"],
            "VpcSecurityGroupIds": ["sg-0123456789abcdef0"],
            "Webhook": "On",
            "UpstreamEventSource": "aws.partner/segment.com",
            "UpstreamEventBusName": "aws.partner/segment.com/abc",
            "UpstreamStreamArn": "arn:aws:kinesis:eu-west-1:123456789012:stream/memberships",
        },
    ],
    ids=["only what is required", "everything"],
)
def test_translated_template_has_no_findings(translated: dict[str, Any], parameters: dict[str, Any]) -> None:
    # Given the translated template, parameters, and every region whose resource types the linter knows
    assert len(REGIONS) > 40
    # When it is linted against the types of each of them, informational rules included
    findings = [
        finding
        for regions in batched_regions()
        for finding in lint(
            json.dumps(translated), config=ManualArgs(regions=regions, include_checks=["I"], parameters=[parameters])
        )
    ]
    # Then there is nothing to say
    assert [str(finding) for finding in findings] == []


def test_the_nested_template_has_no_findings_wherever_there_are_pipes(stream_inlet: dict[str, Any]) -> None:
    # Given the regions that have its types: most, and not all, which is why it is a template of its own
    types = {resource["Type"] for resource in stream_inlet["Resources"].values()}
    regions = [region for region in REGIONS if types <= set(PROVIDER_SCHEMA_MANAGER.get_resource_types(region))]
    assert 30 < len(regions) < len(REGIONS)
    # When it is linted against the types of each of them / Then there is nothing to say
    arguments = ManualArgs(regions=regions, include_checks=["I"])
    assert [str(finding) for finding in lint(json.dumps(stream_inlet), config=arguments)] == []


def test_the_linter_would_find_a_resource_that_a_region_does_not_have() -> None:
    # Given a template with a resource that some regions do not offer
    template = {"Resources": {"Service": {"Type": "AWS::AppRunner::VpcIngressConnection", "Properties": {}}}}
    # When it is linted in all of them / Then they are named
    findings = [str(finding) for finding in lint(json.dumps(template), config=ManualArgs(regions=REGIONS))]
    assert any("does not exist in" in finding and "us-gov-west-1" in finding for finding in findings), findings
