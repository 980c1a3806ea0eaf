"""What can be set about the simulated Responsys?

Where Oracle contradicts itself or says nothing, the stricter reading holds; other answers are faults of kind `error`.
"""

from typing import Literal

from pydantic import Field

from tests.simulator.json_model import JsonModel

MEGABYTE = 1_000_000


class ProfileList(JsonModel):
    """A profile list and the folder it lives in."""

    name: str
    folder: str = "!MasterData"
    fields: frozenset[str] = frozenset()
    """Its columns beside those of the system, in capitals."""


class CustomEvent(JsonModel):
    """A custom event as `GET /rest/api/v1.3/events` lists it."""

    name: str
    description: str = ""
    event_type: str = "1"


class IdentifierSet(JsonModel):
    """Recipients chosen by identifier: those listed, and those that start with a prefix."""

    identifiers: frozenset[str] = frozenset()
    prefixes: tuple[str, ...] = ()

    def holds(self, identifier: str) -> bool:
        """Return whether `identifier` is one of them."""
        return identifier in self.identifiers or (bool(self.prefixes) and identifier.startswith(self.prefixes))


class Recipients(JsonModel):
    """Who is on the profile lists: everyone, but for these."""

    unknown: IdentifierSet = IdentifierSet()
    ambiguous: IdentifierSet = IdentifierSet()
    undeliverable: IdentifierSet = IdentifierSet()
    failing: IdentifierSet = IdentifierSet()
    invalid: IdentifierSet = IdentifierSet()
    """Each refuses the whole request that names it, with INVALID_PARAMETER."""
    failure_text: str = "FAILURE: The event could not be processed for this recipient"
    merge_failing: IdentifierSet = IdentifierSet()
    """Their records are not merged into a list; the others of the request are."""
    merge_failure_text: str = 'The value "{value}" is not valid for the field type STR500'
    merge_invalid: IdentifierSet = IdentifierSet()
    """Each refuses the whole merge that names it, with INVALID_PARAMETER."""


class Newcomers(JsonModel):
    """When events find those whom a merge has inserted; other merges do at once."""

    visible_after_seconds: float = Field(default=0, ge=0)
    by_riid_at_once: bool = True


class Limits(JsonModel):
    """How much Responsys takes, and how it says no."""

    requests_per_minute: int = Field(default=200, ge=0)
    logins_per_minute: int = Field(default=10, ge=0)
    list_requests_per_minute: int = Field(default=100, ge=0)
    merges_per_minute: int = Field(default=400, ge=0)
    asynchronous_requests_per_minute: int = Field(default=200, ge=0)
    """Only told: no asynchronous event is taken."""
    refused_requests_count: bool = False
    wrong_passwords_before_lockout: int = Field(default=5, ge=1)
    token_lifetime_seconds: float = Field(default=7200, gt=0)
    maximum_request_bytes: int = Field(default=10 * MEGABYTE, ge=1)


class Replies(JsonModel):
    """How replies look where more than one form has been seen or may exist."""

    end_point: str | None = None
    """The `endPoint` a login returns; none: the simulator's own base URL."""
    first_record_number: Literal[0, 1] = 0
    invalid_record_is_named: bool = True
    match_names_riid: bool = True
    """Whether a merge tells the RIID of somebody whom it found and did not update."""
    latency_ms: float = Field(default=0, ge=0)


class AccountSettings(JsonModel):
    """One Responsys account."""

    username: str = "api_user"
    password: str = "correct-horse"
    lists: tuple[ProfileList, ...] = (ProfileList(name="CONTACTS_LIST"),)
    events: tuple[CustomEvent, ...] = (
        CustomEvent(name="SEGMENT_CHANGED"),
        CustomEvent(name="CART_ABANDONED"),
    )
    recipients: Recipients = Recipients()
    newcomers: Newcomers = Newcomers()
    may_merge: bool = True
    """Whether the user may merge into lists."""
    limits: Limits = Limits()
    replies: Replies = Replies()


class SimulatorSettings(JsonModel):
    """The whole simulator."""

    time_scale: float = Field(default=1, gt=0)
    accounts: tuple[AccountSettings, ...] = (AccountSettings(),)
