"""Which secrets may a caller of the webhook know? The current one, and the one before it.

Both count, so that a secret can be changed here first and at the platform afterwards.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from responsys_activation.aws.faults import AwsCallError, AwsRefusedError, aws_call, error_code
from responsys_activation.observability import logger

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient

__all__ = ["WebhookSecret"]

_MAXIMUM_AGE = 270.0  # seconds; a change takes effect within five minutes
_FAULT_MEMORY = 60.0  # seconds until Secrets Manager is asked again after a fault: every question may take seconds
_LEAST_CHARACTERS = 16


class WebhookSecret:
    """Reads the secret's versions, and remembers them for a while."""

    def __init__(self, secret_id: str, client: SecretsManagerClient, *, clock: Callable[[], float] = time.time) -> None:
        self._secret_id = secret_id
        self._client = client
        self._clock = clock
        self._values: tuple[bytes, ...] = ()
        self._read_again_at = 0.0

    def values(self) -> tuple[bytes, ...]:
        """Return the secrets that count now, at least one; where they cannot be read anew, those read before.

        Raises
        ------
        AwsCallError
            None was ever read; the text says why.
        """
        if self._clock() < self._read_again_at:
            return self._values
        try:
            self._values = self._read()
            self._read_again_at = self._clock() + _MAXIMUM_AGE
        except AwsCallError as exc:
            if not self._values:
                raise
            logger.warning("webhook secret not read; the last one read still counts", extra={"fault": str(exc)})
            self._read_again_at = self._clock() + _FAULT_MEMORY
        return self._values

    def _read(self) -> tuple[bytes, ...]:
        current = self._version("AWSCURRENT")
        if current is None:
            raise AwsRefusedError(
                f"secret {self._secret_id}: must be a text of {_LEAST_CHARACTERS} characters or more, and no JSON"
            )
        try:
            previous = self._version("AWSPREVIOUS")
        except AwsRefusedError as exc:
            if error_code(exc.__cause__) != "ResourceNotFoundException":
                raise
            previous = None  # it was never changed
        return (current,) if previous is None else (current, previous)

    def _version(self, stage: str) -> bytes | None:
        """Read a version; ``None`` if nobody should be let in who knows it."""
        with aws_call(f"Secrets Manager get {self._secret_id} {stage}"):
            secret = self._client.get_secret_value(SecretId=self._secret_id, VersionStage=stage)
        text = secret.get("SecretString", "").strip()  # a file that it came from ends with a line break
        return text.encode() if len(text) >= _LEAST_CHARACTERS and not text.startswith('{"') else None
