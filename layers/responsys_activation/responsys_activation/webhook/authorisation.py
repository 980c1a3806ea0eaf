"""Does the caller know the secret?

It shows the secret itself (``Authorization: Bearer``, or Firehose's access key), or a signature that only its owner can
write (Segment's ``X-Signature``).
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterator, Mapping, Sequence

from responsys_activation.webhook.request import Request

__all__ = ["CREDENTIALS", "is_authorised"]

_BEARER, _SIGNATURE, _ACCESS_KEY = "authorization", "x-signature", "x-amz-firehose-access-key"
CREDENTIALS = (_BEARER, _SIGNATURE, _ACCESS_KEY)  # headers, in lower case


def is_authorised(request: Request, secrets: Sequence[bytes]) -> bool:
    """Return whether a request shows one of the secrets, in a time that tells nothing about them.

    Parameters
    ----------
    secrets : sequence of bytes
        None is empty.
    """
    shown = list(_shown(request.headers))
    found = [hmac.compare_digest(each, secret) for each in shown for secret in secrets]
    if signature := request.headers.get(_SIGNATURE):
        told = _bytes(signature.strip().lower())
        found += [hmac.compare_digest(told, _signature(request.content, secret)) for secret in secrets]
    return any(found)


def _shown(headers: Mapping[str, str]) -> Iterator[bytes]:
    scheme, _, token = headers.get(_BEARER, "").strip().partition(" ")
    if scheme.lower() == "bearer":
        yield _bytes(token.strip())
    if _ACCESS_KEY in headers:
        yield _bytes(headers[_ACCESS_KEY])


def _signature(content: bytes, secret: bytes) -> bytes:
    """Sign as Segment does: HMAC-SHA1 of the body, in hexadecimal digits."""
    return hmac.new(secret, content, hashlib.sha1).hexdigest().encode()


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
