"""How do the simulator's settings, faults and records look as JSON?

As frozen models whose JSON names are camelCase, the way Responsys writes its own.
"""

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel


class JsonModel(BaseModel):
    """A value that travels between the simulator and whoever controls it; unknown fields are refused."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", alias_generator=to_camel, validate_by_name=True, validate_by_alias=True
    )
