"""What does the environment say? Parsed once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from responsys_activation.validation import reasons

__all__ = [
    "ConnectionSettings",
    "InvalidSettingsError",
    "ReplaySettings",
    "Settings",
    "WebhookSettings",
    "read_settings",
]


AnySettings = TypeVar("AnySettings", bound=BaseModel)
_FROM_VARIABLES = ConfigDict(frozen=True, alias_generator=str.upper)


class InvalidSettingsError(ValueError):
    """An environment variable is missing or wrong; the text names it."""


def _domains(value: object) -> object:
    if isinstance(value, str):
        return tuple(domain.strip().lower() for domain in value.split(",") if domain.strip())
    return value


Text = Annotated[str, Field(min_length=1)]
Prefix = Annotated[str, Field(pattern="^/.+/$")]  # of parameters' names


class ConnectionSettings(BaseModel):
    """What every function needs that logs in to Responsys, each from the variable of its name in capitals.

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

    model_config = _FROM_VARIABLES

    stack_name: Text
    connector_parameter_prefix: Prefix
    token_parameter_prefix: Prefix
    token_kms_key_id: str = ""
    delivery_table_name: Text
    trusted_endpoint_domains: Annotated[tuple[str, ...], BeforeValidator(_domains), Field(min_length=1)]
    reply_seconds: Annotated[float, Field(gt=0)] = 60
    time_scale: Annotated[float, Field(gt=0)] = 1.0


class Settings(ConnectionSettings):
    """The settings of the function that delivers.

    Attributes
    ----------
    requests_in_flight : int
        Most requests to Responsys at once in one invocation, those that wait for their turn included.
    unknown_outcome : str
        What becomes of a message whose request got no trustworthy reply.
    maximum_resends : int
        How often such a message is sent again at most, where it is sent again at all.
    outcome_feed : str
        Whether the outcomes are written to EventBridge, too.
    """

    segment_events_queue_url: Text
    throttled_dead_letter_queue_url: Text
    rejected_dead_letter_queue_url: Text
    maximum_event_age_hours: Annotated[float, Field(gt=0)] = 24
    requests_in_flight: Annotated[int, Field(ge=1, le=50)] = 25
    unknown_outcome: Literal["Resend", "Reject"] = "Resend"
    maximum_resends: Annotated[int, Field(ge=0, le=10)] = 2
    outcome_feed: Literal["Off", "On"] = "Off"

    @property
    def allowed_resends(self) -> int:
        """How often a message in doubt is sent again at most: never, where the owner would rather reject it."""
        return self.maximum_resends if self.unknown_outcome == "Resend" else 0

    @property
    def feeds_outcomes(self) -> bool:
        """Whether there is an outcome feed."""
        return self.outcome_feed == "On"


class ReplaySettings(BaseModel):
    """The settings of the function that sends dead letters back."""

    model_config = _FROM_VARIABLES

    segment_events_queue_url: Text
    throttled_dead_letter_queue_url: Text
    rejected_dead_letter_queue_url: Text


class WebhookSettings(BaseModel):
    """The settings of the function that answers the webhook.

    Attributes
    ----------
    stack_name : str
        The dimension under which the stack's metrics stand.
    webhook_secret_id : str
        The secret that a caller must know.
    """

    model_config = _FROM_VARIABLES

    stack_name: Text
    segment_events_queue_url: Text
    webhook_secret_id: Text


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
        raise InvalidSettingsError(f"environment: {reasons(exc, 'variables')}") from None
