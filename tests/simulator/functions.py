"""Which functions does the API have, as Get Throttling Limits names them?

Responsys counts requests by account and function.
"""

from enum import Enum

from tests.simulator.settings import Limits


class ApiFunction(Enum):
    """A function of the API: its name, resource path, verb and the field of `Limits` that rations it."""

    LOGIN = ("Login", "/auth/token", "POST", "logins_per_minute")
    TRIGGER_CUSTOM_EVENT = ("Trigger Custom Event", "/events/{eventName}", "POST", "requests_per_minute")
    TRIGGER_CUSTOM_EVENT_ASYNC = (
        "Asynchronous Trigger Custom Event",
        "/events/{eventName}",
        "POST",
        "asynchronous_requests_per_minute",
    )
    GET_CUSTOM_EVENTS = ("Get Custom Events", "/events", "GET", "requests_per_minute")
    GET_LISTS = ("Retrieve Profile Lists", "/lists", "GET", "list_requests_per_minute")
    GET_LIST_FIELDS = (
        "Retrieve Profile List Fields",
        "/lists/{listName}/fields",
        "GET",
        "list_requests_per_minute",
    )
    MERGE_LIST_MEMBERS = ("Merge List Recipients", "/lists/{listName}/members", "POST", "merges_per_minute")
    GET_END_POINT = ("Get Account Endpoint", "/settings/account/endpoint", "GET", "requests_per_minute")
    GET_RATE_LIMITS = ("Get Throttling Limits", "/ratelimit", "GET", "requests_per_minute")

    def __init__(self, title: str, resource_path: str, verb: str, limit_field: str) -> None:
        self.title = title
        self.resource_path = resource_path
        self.verb = verb
        self._limit_field = limit_field

    def limit(self, limits: Limits) -> int:
        """Return how many requests of this function an account may make in a minute."""
        return int(getattr(limits, self._limit_field))

    def row(self, limits: Limits) -> dict[str, object]:
        """Return the function's row in the reply of Get Throttling Limits."""
        return {
            "limit": self.limit(limits),
            "api": self.name,
            "resource_path": self.resource_path,
            "verb": self.verb,
            "description": self.title,
        }
