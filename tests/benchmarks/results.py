"""What did the benchmarks come to last, on which machine, and under which of the template's settings?"""

import json
from typing import Any

from tests.benchmarks.machine import this_machine
from tests.local_stack.environments import REPOSITORY

__all__ = ["RESULTS", "read_results", "save_result"]

RESULTS = REPOSITORY / "docs" / "performance" / "results.json"


def read_results() -> dict[str, Any]:
    """Read the results by benchmark."""
    results: dict[str, Any] = json.loads(RESULTS.read_text())
    return results


def save_result(name: str, result: dict[str, Any]) -> None:
    """Replace the result of one benchmark, and note on which machine it was made."""
    results = read_results() | {name: result | {"machine": this_machine()}}
    RESULTS.write_text(json.dumps(results, indent=1, sort_keys=True) + "\n")
