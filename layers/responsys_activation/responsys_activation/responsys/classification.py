"""What does an error reply mean?

Oracle contradicts itself about HTTP statuses, so ``errorCode`` decides first, by the one table of codes, and the status
only where no known code came.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from responsys_activation.error_code import ERROR_CODES, ErrorClass, ErrorCode

__all__ = ["RETRY_AFTER", "ErrorClass", "class_of_code", "classify", "known_code"]

_CODE = re.compile(r"[A-Z][A-Z0-9_]{2,63}")


# Seconds after which a throttle has certainly ended.
RETRY_AFTER: Mapping[ErrorClass, float] = {ErrorClass.THROTTLED_MINUTE: 60.0, ErrorClass.THROTTLED_CAPACITY: 600.0}


def class_of_code(code: str) -> ErrorClass | None:
    """Return what a code of Responsys's means, of a reply or of a recipient; ``None`` if no source names it."""
    return ERROR_CODES[code].error_class if code in ERROR_CODES else None


def known_code(error: Mapping[str, Any]) -> str:
    """Return the reply's ``errorCode`` if it has the form of one, else ``OTHER_ERROR``."""
    code = error.get("errorCode")
    return code if isinstance(code, str) and _CODE.fullmatch(code) else ErrorCode.OTHER_ERROR


def classify(status: int, error: Mapping[str, Any]) -> ErrorClass:
    """Classify a reply that is not a list of recipient results.

    Parameters
    ----------
    status : int
        HTTP status.
    error : Mapping
        The error object of the reply; empty when the reply was not one.
    """
    code = known_code(error)
    if code == "UNEXPECTED_EXCEPTION" and "authentication token" in str(error.get("detail", "")).lower():
        return ErrorClass.TOKEN
    if known := class_of_code(code):
        return known
    match status:
        case 429:
            return ErrorClass.THROTTLED_MINUTE
        case 408 | 502 | 504:
            return ErrorClass.UNKNOWN  # a gateway gave up waiting
        case 503:
            return ErrorClass.UNAVAILABLE
        case _ if status >= 500:
            return ErrorClass.UNKNOWN
        case 413:
            return ErrorClass.CONTENT
        case _ if status >= 300 and code == ErrorCode.OTHER_ERROR:
            return ErrorClass.UNAVAILABLE  # not Responsys's own words, but those of something in its way
        case _ if status >= 300:
            return ErrorClass.CONTENT  # if it is about one recipient, the others must not go down with it
        case _:
            return ErrorClass.UNKNOWN  # 2xx without the expected results
