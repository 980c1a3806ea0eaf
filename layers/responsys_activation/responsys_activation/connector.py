"""Which Responsys account, profile list and identifier?"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from responsys_activation.membership import EventName, NonBlank
from responsys_activation.validation import reasons

__all__ = ["Connector", "IdentifierType", "InvalidConnectorError", "ProfileList", "read_connector"]


class InvalidConnectorError(ValueError):
    """The connector's settings cannot be used; the text names the field."""


class IdentifierType(StrEnum):
    """By what Responsys finds the recipient."""

    RIID = "RIID"
    HASHED_EMAIL = "HASHED_EMAIL"
    CRM_ID = "CRM_ID"
    EMAIL = "EMAIL"
    EMAIL_MD5 = "EMAIL_MD5"
    MOBILE_NUMBER = "MOBILE_NUMBER"


class ProfileList(BaseModel):
    """The list that the recipients are members of."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: NonBlank
    folder: NonBlank | None = None


class Connector(BaseModel):
    """One Responsys account, profile list and identifier type: the JSON kept in SSM.

    Attributes
    ----------
    send_occurred_at : bool
        Whether a message's time is sent as the property ``occurredAt``, so that a Program can tell the newer of two.
    requests_per_minute : int or None
        Most API requests per minute, within the account's limit; ``None``: as many as that leaves us.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel)

    auth_endpoint: NonBlank
    credentials_secret_id: NonBlank
    profile_list: ProfileList
    identifier_type: IdentifierType
    default_event_name: EventName | None = None
    event_names: dict[str, EventName] = {}
    requests_per_minute: Annotated[int | None, Field(ge=1)] = None
    send_occurred_at: Annotated[bool, Field(strict=True)] = False

    @property
    def configured_events(self) -> frozenset[str]:
        """The custom events that the settings name."""
        return frozenset(
            {*self.event_names.values()} | ({self.default_event_name} if self.default_event_name else set())
        )

    def event_name_for(self, segment_id: str) -> str | None:
        """Name the custom event of an audience or journey; ``None`` when there is none."""
        return self.event_names.get(segment_id, self.default_event_name)


def read_connector(text: str) -> Connector:
    """Read a connector's JSON.

    Raises
    ------
    InvalidConnectorError
        Not JSON, or a field is missing, unknown or wrong; the text names it.
    """
    try:
        return Connector.model_validate_json(text)
    except ValidationError as exc:
        raise InvalidConnectorError(reasons(exc, "settings")) from None
