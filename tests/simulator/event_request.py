"""Is this body a well-formed trigger request, and which recipients does it name?

As strict as the documented schema: what the real API might silently drop, this one refuses.
"""

from typing import Annotated, Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, with_config
from pydantic.alias_generators import to_camel
from pydantic_core import from_json
from typing_extensions import TypedDict

from tests.simulator import refusals
from tests.simulator.settings import Replies

MAXIMUM_RECIPIENTS = 200

CASELESS_KINDS = frozenset({"emailAddress", "emailSHA256Hash", "emailMD5Hash"})


class Identifier(NamedTuple):
    """What a recipient is looked up by."""

    kind: str
    value: str

    @property
    def key(self) -> str:
        """What makes two identifiers the same recipient."""
        value = self.value.strip()
        return f"{self.kind}={value.casefold() if self.kind in CASELESS_KINDS else value}"


class RequestModel(BaseModel):
    """Part of a request body: only the documented keys, and no conversion of types."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, alias_generator=to_camel)


class CustomEventMapping(RequestModel):
    """The `customEvent` object."""

    event_number_data_mapping: str | None = None
    event_date_data_mapping: str | None = None
    event_string_data_mapping: str | None = None


class ListName(RequestModel):
    """The profile list a recipient is looked up in."""

    folder_name: str | None = None
    object_name: str | None = None


class Recipient(RequestModel):
    """Who receives the event."""

    recipient_id: Annotated[int, Field(ge=-(2**63), lt=2**63)] | None = None
    email_address: str | None = None
    customer_id: str | None = None
    mobile_number: str | None = None
    email_sha256_hash: Annotated[str | None, Field(alias="emailSHA256Hash")] = None
    email_md5_hash: Annotated[str | None, Field(alias="emailMD5Hash")] = None
    email_format: Literal["HTML_FORMAT", "TEXT_FORMAT"] | None = None
    list_name: ListName | None = None

    def identifiers(self) -> list[Identifier]:
        """Return the identifiers that are not null, in the order in which Responsys looks at them."""
        candidates = (
            ("recipientId", self.recipient_id),
            ("emailAddress", self.email_address),
            ("customerId", self.customer_id),
            ("mobileNumber", self.mobile_number),
            ("emailSHA256Hash", self.email_sha256_hash),
            ("emailMD5Hash", self.email_md5_hash),
        )
        return [Identifier(kind, str(value)) for kind, value in candidates if value is not None]


@with_config(ConfigDict(extra="forbid", strict=True))
class OptionalData(TypedDict):
    """One name and value; a dict, because a full request has thousands of them."""

    name: Annotated[str, Field(min_length=1)]
    value: str


class RecipientData(RequestModel):
    """One record of the request."""

    recipient: Recipient
    optional_data: list[OptionalData] | None = None

    @property
    def properties(self) -> list[OptionalData]:
        """The `optionalData`, which may be absent."""
        return self.optional_data or []


RECORDS = TypeAdapter(list[RecipientData])
CUSTOM_EVENT = TypeAdapter(CustomEventMapping)


def parse_event_request(body: bytes, content_type: str, replies: Replies) -> list[RecipientData]:
    """Read the body of a trigger request.

    Raises
    ------
    RequestRefusedError
        It is not ASCII JSON, has too many recipients, or a record is not as documented.
    """
    content = read_json_object(body, content_type)
    if content.keys() != {"customEvent", "recipientData"}:
        raise refusals.invalid_content()
    return _parse_records(content, replies)


def read_json_object(body: bytes, content_type: str) -> dict[str, Any]:
    """Read a body of ASCII JSON that is an object; anything else is refused."""
    if content_type != "application/json":
        raise refusals.invalid_content(f"Content type {content_type} is not application/json")
    if not body.isascii():
        raise refusals.invalid_content()
    try:
        # Unlike the standard library it also refuses NaN and lone surrogates.
        content = from_json(body, allow_inf_nan=False)
    except ValueError as exc:
        raise refusals.invalid_content() from exc
    if not isinstance(content, dict):
        raise refusals.invalid_content()
    return content


def read_records(body: bytes) -> list[RecipientData]:
    """Read the records of a body that `parse_event_request` let pass."""
    return RECORDS.validate_python(from_json(body)["recipientData"])


def _parse_records(content: dict[str, Any], replies: Replies) -> list[RecipientData]:
    records = content["recipientData"]
    if not isinstance(records, list) or not records:
        raise refusals.invalid_content()
    if len(records) > MAXIMUM_RECIPIENTS:
        raise refusals.recipient_limit_exceeded()
    try:
        CUSTOM_EVENT.validate_python(content["customEvent"])
    except ValidationError as exc:
        raise refusals.invalid_content(explain(exc)) from exc
    try:
        return RECORDS.validate_python(records)
    except ValidationError as exc:
        raise invalid_record(int(exc.errors()[0]["loc"][0]), explain(exc), replies) from exc


def invalid_record(position: int, explanation: str, replies: Replies) -> refusals.RequestRefusedError:
    """Return the refusal of a whole request for one of its records."""
    named = f"Record {position + replies.first_record_number} = " if replies.invalid_record_is_named else ""
    return refusals.invalid_parameter(f"{named}{explanation}")


def explain(exc: ValidationError) -> str:
    """Say which field is wrong, and how."""
    # Field names and the kind of mistake only: a real error reply could end up in a log, personal data must not.
    error = exc.errors(include_url=False, include_input=False)[0]
    field = ".".join(part for part in error["loc"] if isinstance(part, str))
    return f"{field}: {error['msg']}"
