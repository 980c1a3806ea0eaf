"""What passes between whoever invokes a function and the worker that runs it?"""

import json
from dataclasses import dataclass


@dataclass(frozen=True)
class Invocation:
    """One call of a function.

    Parameters
    ----------
    request_id
        Lambda's id of the invocation.
    function_arn
        The function as it was named by the caller.
    deadline_ms
        When the function times out, in milliseconds since 1970.
    event
        The event, as JSON.
    """

    request_id: str
    function_arn: str
    deadline_ms: int
    event: bytes


@dataclass(frozen=True)
class InvocationResult:
    """How a call ended: the function's answer, or a function error in AWS's shape."""

    payload: bytes
    is_function_error: bool = False


def function_error(error_type: str, message: str) -> InvocationResult:
    """Return the error that Lambda itself reports when the runtime cannot."""
    payload = json.dumps({"errorType": error_type, "errorMessage": message}).encode()
    return InvocationResult(payload, is_function_error=True)
