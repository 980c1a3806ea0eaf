"""Are connectors' parameters found in SSM, as they are at this moment?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from responsys_activation.aws.connectors import ConnectorParameter, ConnectorParameters
from responsys_activation.aws.faults import CLIENT_CONFIG, AwsCallError

if TYPE_CHECKING:
    from mypy_boto3_ssm import SSMClient

PREFIX = "/stack/connectors/"


@pytest.fixture
def ssm() -> Iterator[SSMClient]:
    with mock_aws():
        yield boto3.client("ssm", config=CLIENT_CONFIG)


def test_all_parameters_below_the_prefix_are_found_and_no_others(ssm: SSMClient) -> None:
    # Given more connectors than SSM gives in one page, tokens, another stack, and a folder below
    for number in range(23):
        ssm.put_parameter(Name=f"{PREFIX}c{number:02}", Type="String", Value=str(number))
    for name in ("/stack/tokens/c00", "/stack-2/connectors/c00", f"{PREFIX}folder/c00"):
        ssm.put_parameter(Name=name, Type="String", Value="other")
    # When all are read
    found = ConnectorParameters(PREFIX, ssm).read_all()
    # Then these are there, by the connectors' names
    assert found == {f"c{number:02}": ConnectorParameter(str(number), encrypted=False) for number in range(23)}


def test_a_stack_without_connectors_has_none(ssm: SSMClient) -> None:
    assert ConnectorParameters(PREFIX, ssm).read_all() == {}


def test_a_changed_parameter_is_read_anew(ssm: SSMClient) -> None:
    # Given a parameter that was read
    parameters = ConnectorParameters(PREFIX, ssm)
    ssm.put_parameter(Name=f"{PREFIX}default", Type="String", Value="wrong")
    parameters.read("default")
    # When it is mended and read again / Then it is as it was mended
    ssm.put_parameter(Name=f"{PREFIX}default", Type="String", Value="right", Overwrite=True)
    assert parameters.read("default") == ConnectorParameter("right", encrypted=False)


def test_an_encrypted_parameter_is_known_and_not_decrypted(ssm: SSMClient) -> None:
    # Given a SecureString / When it is read, alone or with all / Then it is known for one
    ssm.put_parameter(Name=f"{PREFIX}default", Type="SecureString", Value="settings")
    parameters = ConnectorParameters(PREFIX, ssm)
    read = parameters.read("default")
    assert read is not None
    assert read.encrypted
    assert read.text != "settings"
    assert parameters.read_all() == {"default": read}


def test_a_parameter_that_does_not_exist_is_none(ssm: SSMClient) -> None:
    assert ConnectorParameters(PREFIX, ssm).read("default") is None


@pytest.mark.parametrize("operation", ["GetParameter", "GetParametersByPath"])
def test_a_refusal_of_ssm_is_no_missing_connector(ssm: SSMClient, operation: str) -> None:
    # Given an SSM that refuses
    def refuse(**_event: object) -> None:
        raise ClientError({"Error": {"Code": "AccessDeniedException"}}, operation)

    ssm.meta.events.register(f"provide-client-params.ssm.{operation}", refuse)
    parameters = ConnectorParameters(PREFIX, ssm)
    # When a connector is read, or all / Then that is told
    with pytest.raises(AwsCallError, match="AccessDeniedException"):
        parameters.read("default") if operation == "GetParameter" else parameters.read_all()
