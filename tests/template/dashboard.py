"""What do the rows of a dashboard's widgets say?"""

from collections.abc import Sequence
from typing import Any


def written_out(rows: Sequence[Sequence[Any]]) -> list[list[Any]]:
    """Return a widget's rows with what stands in the row before in the place of each dot."""
    found: list[list[Any]] = []
    for row in rows:
        found.append([found[-1][place] if part == "." else part for place, part in enumerate(row)])
    return found


def metric_of(row: Sequence[Any]) -> tuple[str, str, dict[str, str]]:
    """Return namespace, name and dimensions of a row that names a metric."""
    namespace, name, *dimensions = (part for part in row if isinstance(part, str))
    return namespace, name, dict(zip(dimensions[::2], dimensions[1::2], strict=True))
