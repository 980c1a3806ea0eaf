"""What did the benchmarks come to last, and under which of the template's settings?"""

import json
from typing import Any

from tests.local_stack.environments import REPOSITORY

__all__ = ["RESULTS", "read_results", "save_result"]

RESULTS = REPOSITORY / "docs" / "performance" / "results.json"


def read_results() -> dict[str, Any]:
    """Read the results by benchmark."""
    results: dict[str, Any] = json.loads(RESULTS.read_text())
    return results


def save_result(name: str, result: dict[str, Any]) -> None:
    """Replace the result of one benchmark."""
    RESULTS.write_text(json.dumps(read_results() | {name: result}, indent=1, sort_keys=True) + "\n")
