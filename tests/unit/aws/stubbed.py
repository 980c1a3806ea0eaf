"""How does a test let AWS answer, in the shapes of the services' own models?"""

from __future__ import annotations

from typing import Any

import boto3
from botocore.stub import ANY, Stubber

__all__ = ["ANY", "StubbedAws"]

# One for all tests: it reads each service's model, which takes a tenth of a second, only once.
_SESSION = boto3.session.Session(aws_access_key_id="test", aws_secret_access_key="test", region_name="eu-west-1")


class StubbedAws:
    """Clients that answer what was told, in that order; each call and each answer must fit the service's model."""

    def __init__(self) -> None:
        self._stubs: dict[str, Stubber] = {}

    def client(self, service: str) -> Any:
        """Return the client of a service."""
        return self._stub(service).client

    def answers(self, service: str, operation: str, answer: dict[str, Any], **expected: Any) -> None:
        """Let a call be answered that comes with just these parameters."""
        self._stub(service).add_response(operation, answer, expected)

    def refuses(self, service: str, operation: str, message: str) -> None:
        """Let a call be refused."""
        self._stub(service).add_client_error(operation, "AccessDenied", message)

    def require_all_called(self) -> None:
        """Assert that nothing is left that was to be called."""
        for stub in self._stubs.values():
            stub.assert_no_pending_responses()

    def _stub(self, service: str) -> Stubber:
        if service not in self._stubs:
            create: Any = _SESSION.client
            stub = Stubber(create(service))
            stub.activate()
            self._stubs[service] = stub
        return self._stubs[service]
