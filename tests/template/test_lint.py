"""Is the translated template, which linters of the SAM form never see, clean for every kind of deployment?"""

import json
from typing import Any

import pytest
from cfnlint.api import ManualArgs, lint  # type: ignore[import-untyped]

from tests.template.cloudformation import REGION
from tests.template.conftest import REQUIRED

SECRET_ARN = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:elsewhere-AbC123"


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
        },
    ],
    ids=["only what is required", "everything"],
)
def test_translated_template_has_no_findings(translated: dict[str, Any], parameters: dict[str, str]) -> None:
    # Given the translated template and parameters
    arguments = ManualArgs(regions=[REGION], include_checks=["I"], parameters=[parameters])
    # When it is linted, informational rules included
    findings = lint(json.dumps(translated), config=arguments)
    # Then there is nothing to say
    assert [str(finding) for finding in findings] == []
