"""Which events did the simulated Responsys accept last?"""

from collections import deque
from typing import Any

import requests

from tests.simulator.control import PAGE_SIZE

_SECONDS_TO_ANSWER = 10.0
_MOST_KEPT = 10_000
_OWN_PROPERTIES = ("profileId", "callType")


class Inbox:
    """The simulator's inbox, read a little further at each look.

    Parameters
    ----------
    simulator_url
        Base URL.
    """

    def __init__(self, simulator_url: str) -> None:
        self._url = f"{simulator_url}/_simulator/inbox"
        self._session = requests.Session()
        self._session.trust_env = False
        self._total = 0
        self._kept: deque[dict[str, Any]] = deque(maxlen=_MOST_KEPT)

    @property
    def total(self) -> int:
        """How many events there were at the last look."""
        return self._total

    def newest(self, most: int, find: str = "") -> list[dict[str, Any]]:
        """Return the newest events, the newest first.

        Raises
        ------
        requests.RequestException
            The simulator did not answer.
        """
        self._read_on()
        found = (event for event in reversed(self._kept) if find.casefold() in _searched(event))
        return [event for event, _ in zip(found, range(most), strict=False)]

    def _read_on(self) -> None:
        while True:
            reply = self._session.get(
                self._url, params={"offset": self._total, "limit": PAGE_SIZE}, timeout=_SECONDS_TO_ANSWER
            )
            reply.raise_for_status()
            page = reply.json()
            if page["total"] < self._total:  # it was reset
                self._total = 0
                self._kept.clear()
                continue
            self._kept.extend(_shown(event) for event in page["events"])
            self._total += len(page["events"])
            if self._total >= page["total"]:
                return


def _shown(event: dict[str, Any]) -> dict[str, Any]:
    properties = [(each["name"], each["value"]) for each in event["properties"]]
    own = {name: value for name, value in properties if name in _OWN_PROPERTIES}
    return {
        "number": event["sequenceNumber"],
        "at": event["arrivedAtMs"],
        "eventName": event["eventName"],
        "account": event["account"],
        "list": event["listName"],
        "identifierKind": event["identifierKind"],
        "identifier": event["identifier"],
        **own,
        "properties": [each for each in properties if each[0] not in _OWN_PROPERTIES],
    }


def _searched(event: dict[str, Any]) -> str:
    values = (event["identifier"], event.get("profileId", ""), *(value for _, value in event["properties"]))
    return " ".join(str(value) for value in values).casefold()
