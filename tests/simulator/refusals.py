"""How does Responsys refuse a request?

Each function builds one refusal, worded and numbered as recorded or documented; `api` raises it, `gateway` writes it.
"""

from dataclasses import dataclass


@dataclass
class RequestRefusedError(Exception):
    """The request is answered with an error envelope."""

    status: int
    error_code: str
    title: str
    detail: str = ""

    def envelope(self) -> dict[str, object]:
        """Return the JSON body of the reply."""
        return {
            "type": "",
            "title": self.title,
            "errorCode": self.error_code,
            "detail": self.detail,
            "errorDetails": [],
        }


class ConnectionCutError(Exception):
    """The connection is reset without a reply."""


def invalid_credentials() -> RequestRefusedError:
    return RequestRefusedError(400, "INVALID_USER_NAME_PASSWORD", "Invalid username or password")


def password_locked() -> RequestRefusedError:
    return RequestRefusedError(401, "PASSWORD_LOCKOUT", "Password locked")


def invalid_token() -> RequestRefusedError:
    return RequestRefusedError(401, "INVALID_TOKEN", "Not a valid token", "Not a valid authentication token")


def token_expired() -> RequestRefusedError:
    return RequestRefusedError(401, "TOKEN_EXPIRED", "Authentication token expired", "Token expired")


def token_not_understood() -> RequestRefusedError:
    return RequestRefusedError(500, "UNEXPECTED_EXCEPTION", "Unexpected exception", "Not a valid authentication token")


def api_limit_exceeded(function_name: str) -> RequestRefusedError:
    detail = (
        f"You exceeded your allowable limit to call the {function_name} API function. Please try again in a minute."
    )
    return RequestRefusedError(429, "API_LIMIT_EXCEEDED", "Request limit exceeded.", detail)


def capacity_limit_exceeded() -> RequestRefusedError:
    return RequestRefusedError(
        400,
        "INTERNAL_CAPACITY_LIMIT_EXCEEDED",
        "Internal capacity limit exceeded",
        "Internal capacity limit of the account exceeded",
    )


def recipient_limit_exceeded() -> RequestRefusedError:
    return RequestRefusedError(
        400,
        "RECIPIENT_LIMIT_EXCEEDED",
        "Recipient limit exceeded",
        "Recipient limit exceeded, maximum of 200 recipients are allowed per each api call",
    )


def record_limit_exceeded() -> RequestRefusedError:
    return RequestRefusedError(
        400,
        "RECORD_LIMIT_EXCEEDED",
        "Record limit exceeded",
        "Record limit exceeded, maximum of 200 records are allowed per each api call",
    )


def invalid_field_name(detail: str) -> RequestRefusedError:
    return RequestRefusedError(400, "INVALID_FIELD_NAME", "Invalid field name", detail)


def insufficient_access() -> RequestRefusedError:
    return RequestRefusedError(401, "INSUFFICIENT_ACCESS", "Insufficient access")


def invalid_content(detail: str = "Request body is empty or invalid") -> RequestRefusedError:
    return RequestRefusedError(400, "INVALID_REQUEST_CONTENT", "Invalid request content", detail)


def invalid_parameter(detail: str) -> RequestRefusedError:
    return RequestRefusedError(400, "INVALID_PARAMETER", "Invalid request parameters", detail)


def invalid_authentication_option() -> RequestRefusedError:
    return RequestRefusedError(400, "INVALID_AUTHENTICATION_OPTION", "Invalid authentication option")


def event_not_found(event_name: str) -> RequestRefusedError:
    return RequestRefusedError(
        404, "CUSTOM_EVENT_NOT_FOUND", "Custom event not found", f"Custom event {event_name} not found"
    )


def no_events(username: str) -> RequestRefusedError:
    return RequestRefusedError(
        404,
        "CUSTOM_EVENT_NOT_FOUND",
        "Custom event not found",
        f"Account : {username} : does not have any custom events.",
    )


def list_not_found(list_name: str) -> RequestRefusedError:
    return RequestRefusedError(404, "LIST_NOT_FOUND", "List not found", f"List {list_name} not found")


def method_not_supported(method: str) -> RequestRefusedError:
    return RequestRefusedError(
        405, "METHOD_NOT_SUPPORTED", "Method not supported", f"Request method '{method}' not supported"
    )
