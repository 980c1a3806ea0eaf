"""Which connectors should be checked, and should their refused logins be forgotten first?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StrictBool, ValidationError
from pydantic.alias_generators import to_camel

from responsys_activation.validation import reasons

__all__ = ["CheckRequest", "InvalidCheckRequestError", "read_check_request"]


class InvalidCheckRequestError(ValueError):
    """The event cannot be followed; the text names the field."""


def _each_once(names: list[str] | None) -> list[str] | None:
    return names and list(dict.fromkeys(names))


class CheckRequest(BaseModel):
    """What a check is asked for.

    Attributes
    ----------
    connectors : list of str or None
        Their names, each once; ``None`` for all, as when the schedule asks.
    forget_refused_login : bool
        Whether their logins are tried whatever was refused before.
    """

    model_config = ConfigDict(frozen=True, alias_generator=to_camel)

    connectors: Annotated[list[str] | None, Field(min_length=1), AfterValidator(_each_once)] = None
    forget_refused_login: StrictBool = False


def read_check_request(event: Mapping[str, Any]) -> CheckRequest:
    """Read an event.

    Raises
    ------
    InvalidCheckRequestError
        A field is wrong, or refused logins are to be forgotten and no connector is named: the memory is there to keep
        all wrong passwords from being tried at once.
    """
    try:
        request = CheckRequest.model_validate(event)
    except ValidationError as exc:
        raise InvalidCheckRequestError(reasons(exc, "event")) from None
    if request.forget_refused_login and request.connectors is None:
        raise InvalidCheckRequestError(
            "forgetRefusedLogin: needs connectors, the names of those whose logins to try again"
        )
    return request
