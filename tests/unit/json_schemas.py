"""What are the JSON Schemas of a membership message, a connector and the outcome feed? Generated from the models.

After a change of the models write them anew with::

    PYTHONPATH=layers/responsys_activation python -m tests.unit.json_schemas
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from responsys_activation.connector import Connector
from responsys_activation.delivery.outcome_feed import OutcomesSettled
from responsys_activation.membership import Membership

DOCS = Path(__file__).parents[2] / "docs"
MODELS: dict[str, type] = {
    "membership.schema.json": Membership,
    "connector.schema.json": Connector,
    "outcome.schema.json": OutcomesSettled,
}


def render(model: type) -> str:
    """Return a model's schema as the text of its file."""
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema"} | TypeAdapter(model).json_schema(by_alias=True)
    return json.dumps(_for_readers(schema), indent=2, ensure_ascii=False) + "\n"


def _for_readers(schema: Any) -> Any:
    """Keep of each docstring its first paragraph: the rest is about our attributes."""
    if isinstance(schema, dict):
        return {
            name: value.split("\n\n")[0].replace("\n", " ")
            if name == "description" and isinstance(value, str)
            else _for_readers(value)
            for name, value in schema.items()
        }
    return [_for_readers(value) for value in schema] if isinstance(schema, list) else schema


if __name__ == "__main__":
    for name, model in MODELS.items():
        (DOCS / name).write_text(render(model))
