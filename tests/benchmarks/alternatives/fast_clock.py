"""What is a template like on a clock that runs faster? Its times are divided; everything else stays as it is."""

import json
import math
from pathlib import Path
from typing import Any

from tests.local_stack.build import SOURCE_PROPERTIES, read_template
from tests.local_stack.environments import LOCAL_DIRECTORY

__all__ = ["on_fast_clock", "scaled"]

_TIMES = frozenset({"MaximumBatchingWindowInSeconds", "Timeout", "VisibilityTimeout"})


def scaled(node: Any, time_scale: float) -> Any:
    """Return a template with its times divided, in whole seconds and at least one."""
    if isinstance(node, list):
        return [scaled(each, time_scale) for each in node]
    if not isinstance(node, dict):
        return node
    return {
        name: max(1, math.ceil(value / time_scale)) if name in _TIMES and value else scaled(value, time_scale)
        for name, value in node.items()
    }


def on_fast_clock(template: Path, time_scale: float) -> Path:
    """Write a template for a fast clock, whose sources lie where they are, and return where it is."""
    body = scaled(read_template(template), time_scale)
    for resource in body["Resources"].values():
        source = SOURCE_PROPERTIES.get(resource["Type"])
        if source is not None:
            resource["Properties"][source] = str((template.parent / resource["Properties"][source]).resolve())
    written = LOCAL_DIRECTORY / "alternatives" / template.parent.name / "template.yaml"
    written.parent.mkdir(parents=True, exist_ok=True)
    written.write_text(json.dumps(body, indent=1))
    return written
