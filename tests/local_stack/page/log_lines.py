"""What did the function say last?"""

from collections import deque
from typing import Any

from responsys_activation.cli.log_line import TERM, read_log_line, told
from tests.local_stack.aws_endpoint import AwsEndpoint

_MOST_KEPT = 5_000
# A line may be found so much later than one that is younger: two workers, and a writer that takes turns.
_LATE_MS = 3_000


class LogLines:
    """The lines of one log group that tell an operator something, read a little further at each look.

    Parameters
    ----------
    since
        Epoch seconds; older lines are left alone.
    """

    def __init__(self, endpoint: AwsEndpoint, log_group: str, since: float) -> None:
        self._logs = endpoint.logs
        self._group = log_group
        self._newest = round(since * 1000)
        self._seen: dict[str, int] = {}
        self._kept: deque[dict[str, Any]] = deque(maxlen=_MOST_KEPT)

    def newest(self, most: int, find: str = "") -> list[dict[str, Any]]:
        """Return the newest lines, the newest first.

        Returns
        -------
        list of dict
            `at` in epoch milliseconds, `kind`, `level`, `text`. Lines on messages that say the same in the same second
            are one, for a throttle has a line for each of a thousand: `count` of them, and the newest `messageId`.
        """
        self._read_on()
        found: dict[tuple[int, str], dict[str, Any]] = {}
        for line in reversed(self._kept):
            if find.casefold() not in f"{line['text']} {line['messageId']}".casefold():
                continue
            same = (line["at"] // 1000, line["text"]) if line["messageId"] else (line["at"], line["text"])
            if same not in found and len(found) == most:
                break
            found.setdefault(same, {**line, "count": 0})["count"] += bool(line["messageId"])
        return list(found.values())

    def _read_on(self) -> None:
        events = []
        try:
            for page in self._logs.get_paginator("filter_log_events").paginate(
                logGroupName=self._group, startTime=self._newest - _LATE_MS, filterPattern=f'"{TERM}"'
            ):
                events += page["events"]
        except self._logs.exceptions.ResourceNotFoundException:
            return  # the function has not run yet
        for event in sorted(events, key=lambda event: event["timestamp"]):
            if event["eventId"] in self._seen:
                continue
            self._seen[event["eventId"]] = event["timestamp"]
            self._newest = max(self._newest, event["timestamp"])
            if line := read_log_line(event):
                message_id = line.pop("originalMessageId", "")
                shown = {"at": event["timestamp"], "messageId": message_id, "text": told(line)}
                self._kept.append(shown | {"kind": line["kind"], "level": line["level"]})
        self._seen = {name: at for name, at in self._seen.items() if at >= self._newest - _LATE_MS}
