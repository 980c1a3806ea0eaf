"""Which Responsys account, profile list and identifier?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator
from pydantic.alias_generators import to_camel

from responsys_activation.membership import EventName, NonBlank
from responsys_activation.validation import reasons

__all__ = [
    "Connector",
    "IdentifierType",
    "InvalidConnectorError",
    "MissingAction",
    "MissingRecipients",
    "ProfileList",
    "VariableRules",
    "read_connector",
]


# The two rules that concern two fields, for whoever writes settings with the schema at hand.
_CREATES = {"properties": {"action": {"const": "CREATE"}}, "required": ["action"]}
_CREATE_NEEDS_PERMISSION: dict[str, Any] = {
    "if": _CREATES,
    "then": {"properties": {"permission": {"enum": ["OPTIN", "OPTOUT"]}}, "required": ["permission"]},
}
_NOBODY_IS_CREATED_BY_RIID: dict[str, Any] = {
    "if": {"properties": {"identifierType": {"const": "RIID"}}, "required": ["identifierType"]},
    "then": {"properties": {"missingRecipients": {"not": _CREATES}}},
}


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


class MissingAction(StrEnum):
    """What becomes of a message whose recipient the list does not have."""

    REJECT = "REJECT"
    WAIT = "WAIT"
    CREATE = "CREATE"


class MissingRecipients(BaseModel):
    """What becomes of messages whose recipients the list does not have.

    Attributes
    ----------
    permission : str or None
        Whether those that are created count as having opted in, or out. It is a legal act, so it has no default; it
        may stay where nobody is created any more.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", json_schema_extra=_CREATE_NEEDS_PERMISSION)

    action: MissingAction = MissingAction.REJECT
    permission: Annotated[Literal["OPTIN", "OPTOUT"] | None, Field(validate_default=True)] = None

    @field_validator("permission")
    @classmethod
    def _said_where_somebody_is_created(cls, permission: str | None, info: ValidationInfo) -> str | None:
        if permission is None and info.data.get("action") is MissingAction.CREATE:
            raise ValueError(
                "must be 'OPTIN' or 'OPTOUT' with action CREATE: it says whether those who are created have opted in"
            )
        return permission


class VariableRules(BaseModel):
    """Which variables are sent, and under which names.

    Attributes
    ----------
    only : tuple of str or None
        Names of the only ones that are sent; ``None``: all. A name also stands for what is flattened below it,
        ``address`` for ``address.city``.
    omit : tuple of str
        Names of those that are not sent; likewise.
    rename : dict of str to str
        Name in the message → name that is sent.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    only: tuple[NonBlank, ...] | None = None
    omit: tuple[NonBlank, ...] = ()
    rename: dict[str, NonBlank] = {}

    def collisions(self, reserved: Iterable[str] = ()) -> list[str]:
        """Name the new names of which Responsys would get only one value, for it compares names in any letter case.

        Parameters
        ----------
        reserved : iterable of str
            Names of properties that win over a variable.

        Returns
        -------
        list of str
            Each new name that two variables get, that a variable listed in ``only`` has already, or that is reserved.
        """
        kept = [name for name in self.only or () if name not in self.rename]
        times = Counter(name.casefold() for name in [*self.rename.values(), *kept, *reserved])
        return sorted({name for name in self.rename.values() if times[name.casefold()] > 1})


class Connector(BaseModel):
    """One Responsys account, profile list and identifier type: the JSON kept in SSM.

    Attributes
    ----------
    identifier_from : tuple of str
        Where in a message the identifier is, as dotted paths: the first that is there counts, then the usual places.
    variables : VariableRules or None
        ``None``: all variables are sent under their own names.
    send_occurred_at : bool
        Whether a message's time is sent as the property ``occurredAt``, so that a Program can tell the newer of two.
    requests_per_minute : int or None
        Most API requests per minute, within the account's limit; ``None``: as many as that leaves us.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", alias_generator=to_camel, json_schema_extra=_NOBODY_IS_CREATED_BY_RIID
    )

    auth_endpoint: NonBlank
    credentials_secret_id: NonBlank
    profile_list: ProfileList
    identifier_type: IdentifierType
    default_event_name: EventName | None = None
    event_names: dict[str, EventName] = {}
    requests_per_minute: Annotated[int | None, Field(ge=1)] = None
    identifier_from: tuple[NonBlank, ...] = ()
    variables: VariableRules | None = None
    send_occurred_at: Annotated[bool, Field(strict=True)] = False
    missing_recipients: MissingRecipients = MissingRecipients()

    @field_validator("missing_recipients")
    @classmethod
    def _by_another_identifier_than_a_riid(cls, missing: MissingRecipients, info: ValidationInfo) -> MissingRecipients:
        if missing.action is MissingAction.CREATE and info.data.get("identifier_type") is IdentifierType.RIID:
            raise ValueError(
                "must have action REJECT or WAIT with identifierType RIID: nobody can be created by a RIID, which only "
                "Responsys gives"
            )
        return missing

    @property
    def configured_events(self) -> frozenset[str]:
        """The custom events that the settings name."""
        return frozenset(
            {*self.event_names.values()} | ({self.default_event_name} if self.default_event_name else set())
        )

    def event_name_for(self, segment_id: str) -> str | None:
        """Name the custom event of an audience or journey; ``None`` when there is none."""
        return self.event_names.get(segment_id, self.default_event_name)

    def mapped_event(self, segment_names: Iterable[str]) -> str | None:
        """Name the custom event that ``eventNames`` has for the first of a segment's names that it knows."""
        return next((self.event_names[name] for name in segment_names if name in self.event_names), None)

    @property
    def colliding_renames(self) -> list[str]:
        """The new names of variables of which Responsys would get only one value."""
        reserved = ["profileId", "callType", *(["occurredAt"] if self.send_occurred_at else [])]
        return self.variables.collisions(reserved) if self.variables else []


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
