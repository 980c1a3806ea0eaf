"""What was asked of Responsys, and what did it answer?

One record for each request, throttled and broken ones included; the summary is counted from these records.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Literal

from pydantic import ConfigDict, Field

from tests.simulator.json_model import JsonModel

RequestKind = Literal["login", "refresh", "event", "merge", "other"]
THROTTLE_CODES = frozenset({"API_LIMIT_EXCEEDED", "INTERNAL_CAPACITY_LIMIT_EXCEEDED"})


class RequestRecord(JsonModel):
    """One request and its answer, filled in by each part of the simulator that works on it."""

    model_config = ConfigDict(frozen=False)

    received_at_ms: int
    method: str
    path: str
    correlation_id: str
    request_id: str | None
    authorization: Literal["absent", "token", "with scheme"]
    content_type: str | None
    received_bytes: int
    duration_ms: float = 0.0
    kind: RequestKind = "other"
    account: str | None = None
    event_name: str | None = None
    recipients: int = 0
    accepted: int = 0
    """Recipients who got the event; of a merge, those whom the list has now."""
    created: int = 0
    """Recipients whom a merge inserted."""
    status: int | None = None
    """The HTTP status; none: no reply was sent."""
    error_code: str | None = None
    fault: str | None = None
    """The kind of the fault that was played, if one was."""
    result_codes: dict[str, int] = Field(default_factory=dict)
    """The refused recipients of a 200 reply, by code; of a merge, MERGEFAILED."""
    concurrent_requests: int = 0
    """Event requests of the account in flight when this one came, itself included."""
    overlaps: tuple[str, ...] = ()
    """Recipients that were in another request in flight at the same time."""
    warnings: dict[str, int] = Field(default_factory=dict)


class RequestPage(JsonModel):
    """Part of the request log, and how many records match in all."""

    total: int
    requests: list[RequestRecord]


class Summary(JsonModel):
    """The request log in numbers."""

    requests: int
    logins: int
    """Password logins that gave a token."""
    refreshes: int
    refused_logins: int
    """Logins and refreshes that gave none."""
    event_requests: int
    merge_requests: int
    throttled_requests: int
    accepted_recipients: int
    refused_recipients: int
    """Recipients refused in the 200 reply to an event."""
    created_recipients: int
    unanswered_requests: int
    overlaps: int
    most_concurrent_requests: int
    error_codes: dict[str, int]
    result_codes: dict[str, int]
    warnings: dict[str, int]
    duplicates: int
    """Accepted events that repeat an earlier one, by the properties named in the query."""


class RequestLog:
    """All requests, in the order in which they ended."""

    def __init__(self) -> None:
        self._records: list[RequestRecord] = []

    def add(self, record: RequestRecord) -> None:
        """Keep a record."""
        self._records.append(record)

    def select(self, account: str | None = None, kind: str | None = None) -> Iterator[RequestRecord]:
        """Return the requests of one account, one kind, or both."""
        return (record for record in self._records if account in (None, record.account) and kind in (None, record.kind))


def summarise(records: Iterable[RequestRecord], duplicates: int) -> Summary:
    """Count the records."""
    records = list(records)
    granted: Counter[str] = Counter()
    error_codes: Counter[str] = Counter()
    result_codes: Counter[str] = Counter()
    warnings: Counter[str] = Counter()
    for record in records:
        if record.status == 200 and record.error_code is None:
            granted[record.kind] += 1
        if record.error_code is not None:
            error_codes[record.error_code] += 1
        result_codes.update(record.result_codes)
        warnings.update(record.warnings)
    events = [record for record in records if record.kind == "event"]
    attempts = sum(record.kind in ("login", "refresh") for record in records)
    return Summary(
        requests=len(records),
        logins=granted["login"],
        refreshes=granted["refresh"],
        refused_logins=attempts - granted["login"] - granted["refresh"],
        event_requests=len(events),
        merge_requests=sum(record.kind == "merge" for record in records),
        throttled_requests=sum(record.error_code in THROTTLE_CODES for record in records),
        accepted_recipients=sum(record.accepted for record in events),
        refused_recipients=sum(sum(record.result_codes.values()) for record in events),
        created_recipients=sum(record.created for record in records),
        unanswered_requests=sum(record.status is None for record in records),
        overlaps=sum(len(record.overlaps) for record in records),
        most_concurrent_requests=max((record.concurrent_requests for record in records), default=0),
        error_codes=dict(error_codes),
        result_codes=dict(result_codes),
        warnings=dict(warnings),
        duplicates=duplicates,
    )
