"""What does the environment say? Parsed once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

__all__ = [
    "ConnectionSettings",
    "InvalidSettingsError",
    "ReplaySettings",
    "Settings",
    "read_settings",
]


AnySettings = TypeVar("AnySettings", bound=BaseModel)


class InvalidSettingsError(ValueError):
    """An environment variable is missing or wrong; the text names it."""


def _domains(value: object) -> object:
    if isinstance(value, str):
        return tuple(domain.strip().lower() for domain in value.split(",") if domain.strip())
    return value


class ConnectionSettings(BaseModel):
    """What every function needs that logs in to Responsys, each from the environment variable of its alias.

    Attributes
    ----------
    stack_name : str
        The dimension under which the stack's metrics stand.
    token_kms_key_id : str
        The key that encrypts the shared tokens; empty for the account's ``aws/ssm``.
    reply_seconds : float
        Longest time that Responsys is given for one reply.
    time_scale : float
        Divides every wait of ours: throttle delays, retry back-off, the memory of a refused login. The local stack
        alone sets it.
    """

    model_config = ConfigDict(frozen=True)

    stack_name: Annotated[str, Field(alias="STACK_NAME", min_length=1)]
    connector_parameter_prefix: Annotated[str, Field(alias="CONNECTOR_PARAMETER_PREFIX", pattern="^/.+/$")]
    token_parameter_prefix: Annotated[str, Field(alias="TOKEN_PARAMETER_PREFIX", pattern="^/.+/$")]
    token_kms_key_id: Annotated[str, Field(alias="TOKEN_KMS_KEY_ID")] = ""
    delivery_table_name: Annotated[str, Field(alias="DELIVERY_TABLE_NAME", min_length=1)]
    trusted_endpoint_domains: Annotated[
        tuple[str, ...], BeforeValidator(_domains), Field(alias="TRUSTED_ENDPOINT_DOMAINS", min_length=1)
    ]
    reply_seconds: Annotated[float, Field(alias="REPLY_SECONDS", gt=0)] = 60
    time_scale: Annotated[float, Field(alias="TIME_SCALE", gt=0)] = 1.0


class Settings(ConnectionSettings):
    """The settings of the function that delivers.

    Attributes
    ----------
    requests_in_flight : int
        Most requests to Responsys at once in one invocation, those that wait for their turn included.
    maximum_concurrency, replay_maximum_concurrency : int
        Most environments at once for each event source.
    unknown_outcome : str
        What becomes of a message whose request got no trustworthy reply.
    maximum_resends : int
        How often such a message is sent again at most, where it is sent again at all.
    """

    segment_events_queue_url: Annotated[str, Field(alias="SEGMENT_EVENTS_QUEUE_URL", min_length=1)]
    throttled_dead_letter_queue_url: Annotated[str, Field(alias="THROTTLED_DEAD_LETTER_QUEUE_URL", min_length=1)]
    rejected_dead_letter_queue_url: Annotated[str, Field(alias="REJECTED_DEAD_LETTER_QUEUE_URL", min_length=1)]
    maximum_event_age_hours: Annotated[float, Field(alias="MAXIMUM_EVENT_AGE_HOURS", gt=0)] = 24
    requests_in_flight: Annotated[int, Field(alias="REQUESTS_IN_FLIGHT", ge=1, le=50)] = 25
    maximum_concurrency: Annotated[int, Field(alias="MAXIMUM_CONCURRENCY", ge=1)] = 2
    replay_maximum_concurrency: Annotated[int, Field(alias="REPLAY_MAXIMUM_CONCURRENCY", ge=1)] = 2
    unknown_outcome: Annotated[Literal["Resend", "Reject"], Field(alias="UNKNOWN_OUTCOME")] = "Resend"
    maximum_resends: Annotated[int, Field(alias="MAXIMUM_RESENDS", ge=0, le=10)] = 2

    @property
    def allowed_resends(self) -> int:
        """How often a message in doubt is sent again at most: never, where the owner would rather reject it."""
        return self.maximum_resends if self.unknown_outcome == "Resend" else 0


class ReplaySettings(BaseModel):
    """The settings of the function that sends dead letters back."""

    model_config = ConfigDict(frozen=True)

    segment_events_queue_url: Annotated[str, Field(alias="SEGMENT_EVENTS_QUEUE_URL", min_length=1)]
    throttled_dead_letter_queue_url: Annotated[str, Field(alias="THROTTLED_DEAD_LETTER_QUEUE_URL", min_length=1)]
    rejected_dead_letter_queue_url: Annotated[str, Field(alias="REJECTED_DEAD_LETTER_QUEUE_URL", min_length=1)]


def read_settings(model: type[AnySettings], environment: Mapping[str, Any]) -> AnySettings:
    """Read a function's settings.

    Parameters
    ----------
    model : type
        Which of the settings here the function has.

    Raises
    ------
    InvalidSettingsError
        Names every variable that is missing or wrong.
    """
    try:
        return model.model_validate(environment)
    except ValidationError as exc:
        errors = exc.errors(include_url=False, include_input=False, include_context=False)
        reasons = "; ".join(f"{error['loc'][0]}: {error['msg']}" for error in errors)
        raise InvalidSettingsError(f"environment: {reasons}") from None
