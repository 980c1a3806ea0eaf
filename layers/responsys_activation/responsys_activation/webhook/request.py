"""What did the caller send? An event of API Gateway's HTTP API, in its payload format 2.0."""

from __future__ import annotations

import base64
import gzip
import io
import zlib
from collections.abc import Mapping
from typing import Any, NamedTuple

from responsys_activation.envelope import InvalidMessageError

__all__ = ["LARGEST_BODY", "Request", "TooLargeError", "read_request"]

LARGEST_BODY = 10 * 1024 * 1024  # bytes, unpacked; the HTTP API itself takes no more than 10 MB


class TooLargeError(ValueError):
    """What was sent is larger than can be taken; the text says what is, and what to do."""


class Request(NamedTuple):
    """One HTTP request.

    Attributes
    ----------
    headers : Mapping of str to str
        By their names in lower case.
    content : bytes
        The body exactly as it was sent: signatures are of this.
    id : str
        API Gateway's, which its access log has as well.
    """

    headers: Mapping[str, str]
    content: bytes
    id: str = ""

    @property
    def firehose_id(self) -> str | None:
        """The id by which Firehose knows its request; ``None`` of anybody else's."""
        return self.headers.get("x-amz-firehose-request-id")

    def text(self) -> str:
        """Return the body, unpacked.

        Raises
        ------
        InvalidMessageError
            It is no text.
        TooLargeError
            It has more than ``LARGEST_BODY`` bytes when unpacked.
        """
        try:
            return self._unpacked().decode()
        except UnicodeDecodeError:
            raise InvalidMessageError("body: not UTF-8 text") from None

    def _unpacked(self) -> bytes:
        encoding = self.headers.get("content-encoding", "identity").strip().lower()
        if encoding not in {"identity", "gzip", ""}:
            raise InvalidMessageError("Content-Encoding: must be gzip, or left out")
        if encoding != "gzip":
            return self.content
        try:
            # Never more than asked for: a few kilobytes can unpack to gigabytes.
            unpacked = gzip.GzipFile(fileobj=io.BytesIO(self.content)).read(LARGEST_BODY + 1)
        except (OSError, EOFError, zlib.error):
            raise InvalidMessageError("body: not gzip, though Content-Encoding says so; send it unpacked") from None
        if len(unpacked) > LARGEST_BODY:
            raise TooLargeError(f"body: has more than {LARGEST_BODY:,} bytes when unpacked; send less in one request")
        return unpacked


def read_request(event: Mapping[str, Any]) -> Request:
    """Read the event of an HTTP API."""
    headers = {name.lower(): value for name, value in event.get("headers", {}).items()}
    body = event.get("body") or ""
    content = base64.b64decode(body) if event.get("isBase64Encoded") else body.encode("utf-8", "surrogatepass")
    return Request(headers, content, event.get("requestContext", {}).get("requestId", ""))
