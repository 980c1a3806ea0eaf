"""Which messages does a person want to send again?"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    ValidationError,
    model_validator,
)
from pydantic.alias_generators import to_camel

from responsys_activation.error_code import ErrorCode
from responsys_activation.membership import CallType
from responsys_activation.received import MARK, read_mark
from responsys_activation.upstream.memberships import Part, read
from responsys_activation.validation import reasons

__all__ = ["NO_ERROR_CODE", "Candidate", "InvalidReplayRequestError", "ReplayRequest", "read_replay_request"]

# Stands for the error code of messages that SQS itself moved, after five crashes.
NO_ERROR_CODE = "NONE"
# A message that SQS moved has its producer's attributes, and what they say is not for logs.
_ERROR_CODE = re.compile(r"[A-Z][A-Z0-9_]{0,99}")


class InvalidReplayRequestError(ValueError):
    """The event cannot be followed; the text names the fields."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A waiting message, as far as the choice depends on it.

    Attributes
    ----------
    attributes : Mapping of str to str
        Those that the message got when it was settled; none if SQS itself moved it.
    sent_at : float
        Epoch seconds when it was put on the dead-letter queue.
    """

    attributes: Mapping[str, str]
    body: str
    sent_at: float

    @property
    def error_code(self) -> str:
        """Why it was put there, or ``NONE``."""
        code = self.attributes.get("errorCode", "")
        return code if _ERROR_CODE.fullmatch(code) else NO_ERROR_CODE

    @property
    def arrived_at(self) -> float:
        """Epoch seconds when SQS first had it; what is new of Adobe's counts against that."""
        mark = read_mark(self.attributes.get(MARK, ""))
        return (mark and mark.first_sent_at) or self.sent_at


def _one_or_more(value: object) -> object:
    return [value] if isinstance(value, str) else value


def _now() -> datetime:
    return datetime.now(UTC)


Names = Annotated[frozenset[str], BeforeValidator(_one_or_more), Field(min_length=1)]
CallTypes = Annotated[frozenset[CallType], BeforeValidator(_one_or_more), Field(min_length=1)]
Minutes = Annotated[float, Field(ge=0)]


class ReplayRequest(BaseModel):
    """The event of the replay function; each filter takes one value or a list, and all must hold.

    Attributes
    ----------
    error_code : frozenset of str or None
        ``NONE`` stands for messages that SQS itself moved.
    segment_id : frozenset of str or None
        Of a platform's audience also its key or name, as ``eventNames`` may call it.
    older_than_minutes, newer_than_minutes : float or None
        How long a message has been on the dead-letter queue.
    in_doubt : bool
        Also those that Responsys may have taken (``OUTCOME_UNKNOWN``): they are sent once more, and perhaps twice.
    dry_run : bool
        Only count what would move.
    limit : int or None
        Most messages to move.
    arrived_before : datetime
        When the replay began; a continuation sets it. What came later is left alone, so that a message that is rejected
        again does not go round and round.
    """

    # A mistyped filter would choose everything.
    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel)

    source: Literal["rejected", "throttled"] = "rejected"
    error_code: Names | None = None
    connector: Names | None = None
    event_name: Names | None = None
    call_type: CallTypes | None = None
    segment_id: Names | None = None
    older_than_minutes: Minutes | None = None
    newer_than_minutes: Minutes | None = None
    in_doubt: StrictBool = False
    dry_run: StrictBool = True
    messages_per_second: Annotated[float, Field(ge=1, le=1000)] = 50
    limit: Annotated[int | None, Field(ge=1)] = None
    arrived_before: Annotated[AwareDatetime, Field(default_factory=_now)]

    @model_validator(mode="after")
    def _an_age_is_possible(self) -> Self:
        if (
            self.older_than_minutes is not None
            and self.newer_than_minutes is not None
            and self.older_than_minutes >= self.newer_than_minutes
        ):
            raise ValueError("olderThanMinutes must be less than newerThanMinutes")
        return self

    def continuation(self, moved: int) -> dict[str, Any]:
        """Return the event that goes on where this one ends, after so many messages."""
        limit = {"limit": self.limit - moved} if self.limit else {}
        event = self.model_dump(mode="json", by_alias=True, exclude_none=True) | limit
        return {name: sorted(value) if isinstance(value, list) else value for name, value in event.items()}

    def chooses(self, candidate: Candidate) -> bool:
        """Return whether a message is one of those to move."""
        age = self.arrived_before.timestamp() - candidate.sent_at
        if age < 60 * (self.older_than_minutes or 0):
            return False
        if self.newer_than_minutes is not None and age > 60 * self.newer_than_minutes:
            return False
        if candidate.error_code == ErrorCode.OUTCOME_UNKNOWN and not self.in_doubt:
            return False  # the function would not send it
        if self.error_code is not None and candidate.error_code not in self.error_code:
            return False
        return self._chooses_content(candidate)

    def _chooses_content(self, candidate: Candidate) -> bool:
        if not any((self.connector, self.event_name, self.call_type, self.segment_id)):
            return True
        attributes = candidate.attributes
        parts = _parts(candidate)
        own = [part.membership for part in parts if part.platform is None]
        connectors = {attributes["connector"]} if "connector" in attributes else {each.connector for each in own}
        event_names = {attributes["eventName"]} if "eventName" in attributes else {each.event_name for each in own}
        return (
            (self.connector is None or not connectors.isdisjoint(self.connector))
            and (self.event_name is None or not event_names.isdisjoint(self.event_name))
            and ((self.call_type is None and self.segment_id is None) or any(map(self._chooses_part, parts)))
        )

    def _chooses_part(self, part: Part) -> bool:
        names = part.names or (part.membership.segment.id,)
        return (self.call_type is None or part.membership.call_type in self.call_type) and (
            self.segment_id is None or not self.segment_id.isdisjoint(names)
        )


def read_replay_request(event: Mapping[str, Any]) -> ReplayRequest:
    """Read the event of the replay function.

    Raises
    ------
    InvalidReplayRequestError
        Names every field that is unknown or wrong.
    """
    try:
        return ReplayRequest.model_validate(event)
    except ValidationError as exc:
        raise InvalidReplayRequestError(reasons(exc, "event")) from None


def _parts(candidate: Candidate) -> list[Part]:
    """Read what a body holds, whoever wrote it: of several memberships any may be meant."""
    return [part for part in read(candidate.body, candidate.arrived_at).parts if isinstance(part, Part)]
