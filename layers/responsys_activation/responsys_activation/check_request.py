"""Which connectors shall be checked?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, Field, ValidationError

__all__ = ["InvalidCheckRequestError", "read_check_request"]


class InvalidCheckRequestError(ValueError):
    """The event does not say which connectors; the text names the field."""


class _CheckRequest(BaseModel):
    connectors: Annotated[list[str] | None, Field(min_length=1)] = None


def read_check_request(event: Mapping[str, Any]) -> list[str] | None:
    """Read the names, each once; ``None`` for all, as when the schedule asks.

    Raises
    ------
    InvalidCheckRequestError
        ``connectors`` is not a list of texts.
    """
    try:
        names = _CheckRequest.model_validate(event).connectors
    except ValidationError as exc:
        errors = exc.errors(include_url=False, include_input=False, include_context=False)
        reasons = "; ".join(f"{'.'.join(map(str, error['loc']))}: {error['msg']}" for error in errors)
        raise InvalidCheckRequestError(reasons) from None
    return names and list(dict.fromkeys(names))
