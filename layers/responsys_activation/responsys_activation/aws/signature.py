"""How does AWS know whose request it is? By Signature Version 4, here of a POST to ``/``.

botocore signs any request there is, and takes for that as long as all the rest of a small call. The steps and their
names: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
"""

from __future__ import annotations

import hmac
import time
from collections.abc import Mapping
from functools import lru_cache
from hashlib import sha256

from botocore.credentials import ReadOnlyCredentials

__all__ = ["signed"]

_ALGORITHM = "AWS4-HMAC-SHA256"


def signed(
    headers: Mapping[str, str], body: bytes, credentials: ReadOnlyCredentials, *, region: str, service: str, now: float
) -> dict[str, str]:
    """Return a request's headers with those that sign it.

    Parameters
    ----------
    headers : Mapping of str to str
        Names in lower case, ``host`` among them; all are signed.
    now : float
        Epoch seconds.
    """
    moment = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now))
    signed_headers = {**headers, "x-amz-date": moment}
    if credentials.token:
        signed_headers["x-amz-security-token"] = credentials.token
    names = sorted(signed_headers)
    listed = ";".join(names)
    lines = "".join([f"{name}:{signed_headers[name]}\n" for name in names])
    canonical_request = f"POST\n/\n\n{lines}\n{listed}\n{sha256(body).hexdigest()}"
    day = moment[:8]
    scope = f"{day}/{region}/{service}/aws4_request"
    to_sign = f"{_ALGORITHM}\n{moment}\n{scope}\n{sha256(canonical_request.encode()).hexdigest()}"
    signature = _hmac(_signing_key(credentials.secret_key, day, region, service), to_sign).hex()
    authorization = (
        f"{_ALGORITHM} Credential={credentials.access_key}/{scope}, SignedHeaders={listed}, Signature={signature}"
    )
    return {**signed_headers, "authorization": authorization}


@lru_cache(maxsize=4)
def _signing_key(secret_key: str, day: str, region: str, service: str) -> bytes:
    """Return the key of a day, which takes longer to make than to use."""
    key = f"AWS4{secret_key}".encode()
    for part in (day, region, service, "aws4_request"):
        key = _hmac(key, part)
    return key


def _hmac(key: bytes, text: str) -> bytes:
    return hmac.digest(key, text.encode(), "sha256")
