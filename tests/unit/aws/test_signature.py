"""Are requests signed as botocore signs them?"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import ReadOnlyCredentials

from responsys_activation.aws.signature import signed
from tests.fakes.clock import NOW

DAY = 86_400.0


@pytest.mark.parametrize("token", [None, "session/token+of=Lambda"])
@pytest.mark.parametrize("host", ["dynamodb.eu-west-1.amazonaws.com", "127.0.0.1:4566"])
@pytest.mark.parametrize("body", [b"{}", '{"pk":"Zürich"}'.encode()])
@pytest.mark.parametrize("now", [NOW, NOW + DAY])
def test_a_signature_is_botocores(
    token: str | None, host: str, body: bytes, now: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given the request that botocore signs at that moment
    credentials: Any = ReadOnlyCredentials("AKIDEXAMPLE", "secret/key+", token)
    headers = {"content-type": "application/x-amz-json-1.0", "x-amz-target": "DynamoDB_20120810.PutItem"}
    monkeypatch.setattr("botocore.auth.get_current_datetime", lambda: datetime.fromtimestamp(now, UTC))
    request = AWSRequest("POST", f"https://{host}/", headers, body)
    SigV4Auth(credentials, "dynamodb", "eu-west-1").add_auth(request)
    # When we sign it
    ours = signed({**headers, "host": host}, body, credentials, region="eu-west-1", service="dynamodb", now=now)
    # Then its headers are the same, but for the host's, which botocore adds when it sends
    assert ours == {name.lower(): value for name, value in request.headers.items()} | {"host": host}
